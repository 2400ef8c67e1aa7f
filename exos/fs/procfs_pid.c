// /proc/PID and /proc/PID/task/TID: what proc(5) tells of a process in files of text.
#include "core/calls.h"
#include "fs/procfs.h"
#include "fs/tty.h"
#include "vm/vm.h"

enum { TICK_NS = 10000000, NS = 1000000000, PF_FORKNOEXEC = 0x40, SIGKILL = 9 };

char thread_state(struct proc *p, struct thread *t)
{
    if (p->state == PROC_ZOMBIE || !t)
        return 'Z';
    if (p->state == PROC_STOPPED)
        return 'T';
    return t == thread_self() || XOK_ENVS[XOK_ENV_INDEX(t->env)].state == XOK_ENV_READY ? 'R' : 'S';
}

static const char *state_name(char c)
{
    return c == 'R' ? "running" : c == 'S' ? "sleeping" : c == 'T' ? "stopped" : "zombie";
}

static void comm_get(struct proc *p, struct thread *t, char comm[16])
{
    memcpy(comm, t ? t->comm : p->comm, 16);
    comm[15] = 0;
}

static struct vm *vm_of(struct proc *p) { return p->ending ? NULL : p->vm; }

// Every show() below runs under proc_lock, with the process and thread found.
static s64 with_proc(struct text *t, const struct ref *r, void (*show)(struct text *, struct proc *, struct thread *, bool))
{
    lock_take(&proc_lock);
    struct proc *p = ref_proc(r);
    struct thread *th = p ? ref_thread(r, p) : NULL;
    s64 err = p && (!r->tid || th) ? 0 : -ESRCH;
    if (!err)
        show(t, p, th, !r->tid);
    lock_drop(&proc_lock);
    return err;
}
#define SHOW(name) \
    static void name(struct text *t, struct proc *p, struct thread *th, bool whole); \
    static s64 name##_show(struct text *t, const struct ref *r) { return with_proc(t, r, name); } \
    static void name(struct text *t, struct proc *p, struct thread *th, bool whole)
#define UNUSED (void)t, (void)p, (void)th, (void)whole

static void signal_sets(struct proc *p, u64 *ignored, u64 *caught)
{
    *ignored = *caught = 0;
    for (u32 n = 0; n < 64; n++) {
        if (p->action[n].handler == 1)
            *ignored |= 1ul << n;
        else if (p->action[n].handler)
            *caught |= 1ul << n;
    }
}

static u64 faults_of(struct proc *p)
{
    u64 n = 0;
    list_for(it, &p->threads)
        n += XOK_ENVS[XOK_ENV_INDEX(container_of(it, struct thread, proc_link)->env)].faults;
    return n;
}

SHOW(stat)
{
    char comm[16];
    u64 ignored, caught;
    struct vm *vm = vm_of(p);
    struct vm none = {0}, *v = vm ? vm : &none;
    bool see = trace_allowed(p);
    signal_sets(p, &ignored, &caught);
    comm_get(p, th, comm);
    struct times run = whole ? proc_times(p) : th ? thread_times(th) : (struct times){0};
    u64 start = th && !whole ? th->start_ns : p->start_ns;
    struct tty *tty = terminal_of(p);
    s32 nice = th ? th->nice : 0;
    text_add(t, "%u (%s) %c %u %u %u %u %d %u ", whole ? p->pid : th->tid, comm, thread_state(p, th),
             p->parent ? p->parent->pid : 0, p->pgid, p->sid, tty ? tty->dev : 0, tty ? (s32)tty->pgid : -1,
             p->did_exec ? 0x400000 : 0x400000 | PF_FORKNOEXEC);
    text_add(t, "%lu 0 0 0 %lu %lu %lu %lu %d %d %u 0 %lu ", faults_of(p), run.user / TICK_NS, run.system / TICK_NS,
             p->cutime_ns / TICK_NS, p->cstime_ns / TICK_NS, 20 + nice, nice, p->nthreads, start / TICK_NS);
    text_add(t, "%lu %lu %lu %lu %lu %lu 0 0 ", vm ? vm_size_pages(vm) * PAGE : 0, vm ? vm_rss_pages(vm) : 0,
             MIN(p->rlim[5].cur, ~0ul), see && vm ? v->code_start : vm ? 1ul : 0, see && vm ? v->code_end : vm ? 1ul : 0,
             see ? v->arg_start ? v->arg_start & ~15ul : 0 : 0);
    text_add(t, "%lu %lu %lu %lu 0 0 0 %u %u 0 0 0 0 0 ", th ? (th->sigpend | p->sigpend) & 0x7fffffff : p->sigpend,
             th ? th->sigmask & 0x7fffffff : 0, ignored & 0x7fffffff, caught & 0x7fffffff, p->exit_signal,
             th ? th->ctl->cpu : 0);
    if (see)
        text_add(t, "%lu %lu %lu %lu %lu %lu %lu %d\n", v->data_start, v->data_end, v->brk_start, v->arg_start, v->arg_end,
                 v->env_start, v->env_end, p->exit_status);
    else
        text_add(t, "0 0 0 0 0 0 0 0\n");
}

struct sizes {
    u64 data, stack, text, lib, locked, shared;
};

static struct sizes sizes_of(struct vm *vm)
{
    struct sizes s = {0};
    lock_take(&vm->lock);
    for (u32 i = 0; i < vm->count; i++) {
        struct area *a = &vm->area[i];
        u64 pages = (a->end - a->start) / PAGE;
        bool stack = a->flags & (AREA_STACK | MAP_GROWSDOWN);
        if (stack)
            s.stack += pages;
        else if ((a->prot & PROT_EXEC) && !(a->prot & PROT_WRITE))
            *(a->start <= vm->code_start && vm->code_start < a->end ? &s.text : &s.lib) += pages;
        else if ((a->prot & PROT_WRITE) && !(a->flags & MAP_SHARED))
            s.data += pages;
        if (a->flags & MAP_LOCKED)
            s.locked += pages;
        if (a->file)
            s.shared += pages;
    }
    lock_drop(&vm->lock);
    return s;
}

SHOW(statm)
{
    UNUSED;
    struct vm *vm = vm_of(p);
    struct sizes s = vm ? sizes_of(vm) : (struct sizes){0};
    u64 rss = vm ? vm_rss_pages(vm) : 0;
    text_add(t, "%lu %lu %lu %lu 0 %lu 0\n", vm ? vm_size_pages(vm) : 0, rss, MIN(rss, s.shared), s.text, s.data + s.stack);
}

static void status_memory(struct text *t, struct vm *vm)
{
    struct sizes s = sizes_of(vm);
    u64 size = vm_size_pages(vm), rss = vm_rss_pages(vm), file = MIN(rss, s.shared);
    const struct { const char *name; u64 pages; } rows[] = {
        {"VmPeak", MAX(vm->peak, size)}, {"VmSize", size}, {"VmLck", s.locked}, {"VmPin", 0},
        {"VmHWM", MAX(vm->peak_rss, rss)}, {"VmRSS", rss}, {"RssAnon", rss - file}, {"RssFile", file},
        {"RssShmem", 0}, {"VmData", s.data}, {"VmStk", s.stack}, {"VmExe", s.text}, {"VmLib", s.lib},
        {"VmSwap", 0}, {"HugetlbPages", 0},
    };
    for (u32 n = 0; n < countof(rows); n++)
        text_add(t, "%s:\t%8lu kB\n", rows[n].name, rows[n].pages * 4);
}

static void affinity_rows(struct text *t, const struct thread *th)
{
    u64 all = (1ul << XOK_INFO->cpu_count) - 1, mask = th && th->affinity ? th->affinity & all : all;
    text_add(t, "Cpus_allowed:\t%lx\nCpus_allowed_list:\t", mask);
    const char *comma = "";
    for (u32 i = 0; mask >> i; i++) {
        u32 first = i;
        while (mask >> i & 1)
            i++;
        if (i > first) {
            text_add(t, i - first > 1 ? "%s%u-%u" : "%s%u", comma, first, i - 1);
            comma = ",";
        }
    }
    text_add(t, "\n");
}

SHOW(status)
{
    char comm[16], state = thread_state(p, th);
    u64 ignored, caught;
    struct vm *vm = vm_of(p);
    comm_get(p, th, comm);
    signal_sets(p, &ignored, &caught);
    text_add(t, "Name:\t");
    for (char *c = comm; *c; c++) {
        if (*c == '\n')
            text_add(t, "\\n");
        else if (*c == '\\')
            text_add(t, "\\\\");
        else
            text_bytes(t, c, 1);
    }
    u32 id = whole ? p->pid : th->tid;
    text_add(t, "\nUmask:\t%04o\nState:\t%c (%s)\nTgid:\t%u\nNgid:\t0\nPid:\t%u\nPPid:\t%u\nTracerPid:\t0\n",
             p->ending ? 0 : p->fs->umask, state, state_name(state), p->pid, id, p->parent ? p->parent->pid : 0);
    text_add(t, "Uid:\t%u\t%u\t%u\t%u\nGid:\t%u\t%u\t%u\t%u\nFDSize:\t%u\nGroups:\t", p->ruid, p->euid, p->suid,
             p->fsuid, p->rgid, p->egid, p->sgid, p->fsgid, p->ending ? 0 : p->files->cap);
    for (u32 n = 0; n < p->ngroups; n++)
        text_add(t, "%u ", p->groups[n]);
    text_add(t, "\nNStgid:\t%u\nNSpid:\t%u\nNSpgid:\t%u\nNSsid:\t%u\nKthread:\t0\n", p->pid, id, p->pgid, p->sid);
    if (vm)
        status_memory(t, vm);
    text_add(t, "CoreDumping:\t0\nTHP_enabled:\t0\nuntag_mask:\t0xffffffffffffffff\nThreads:\t%u\nSigQ:\t0/%lu\n",
             MAX(p->nthreads, 1u), MIN(p->rlim[11].cur, 0x7ffffffful));
    text_add(t, "SigPnd:\t%016lx\nShdPnd:\t%016lx\nSigBlk:\t%016lx\nSigIgn:\t%016lx\nSigCgt:\t%016lx\n",
             th ? th->sigpend : 0, p->sigpend, th ? th->sigmask : 0, ignored, caught);
    text_add(t, "CapInh:\t%016lx\nCapPrm:\t%016lx\nCapEff:\t%016lx\nCapBnd:\t%016lx\nCapAmb:\t%016lx\n", p->cap_inheritable,
             p->cap_permitted, p->cap_effective, p->cap_bounding, p->cap_ambient);
    text_add(t, "NoNewPrivs:\t%d\nSeccomp:\t0\nSeccomp_filters:\t0\n", p->no_new_privs);
    affinity_rows(t, th);
    text_add(t, "Mems_allowed:\t1\nMems_allowed_list:\t0\n");
    u32 slices = 0;
    if (th)
        slices = XOK_ENVS[XOK_ENV_INDEX(th->env)].slices;
    text_add(t, "voluntary_ctxt_switches:\t%u\nnonvoluntary_ctxt_switches:\t0\n", slices);
}

SHOW(comm)
{
    (void)whole;
    char comm[16];
    comm_get(p, th, comm);
    text_add(t, "%s\n", comm);
}

static s64 comm_store(const struct ref *r, char *text, u64 len)
{
    lock_take(&proc_lock);
    struct proc *p = ref_proc(r);
    struct thread *th = p ? ref_thread(r, p) : NULL;
    s64 err = !th ? -ESRCH : p == proc_self() ? 0 : -EINVAL; // only one's own threads
    if (!err) {
        len = MIN(len, sizeof th->comm - 1);
        memset(th->comm, 0, sizeof th->comm);
        memcpy(th->comm, text, len);
    }
    lock_drop(&proc_lock);
    return err;
}

// The strings that exec passed. The caller's own are read where they are now: setproctitle(3).
static s64 own_strings(struct text *t, u64 start, u64 end)
{
    char part[256];
    while (start < end) {
        u64 n = MIN(end - start, sizeof part);
        if (copy_in(part, start, n))
            break;
        text_bytes(t, part, n);
        start += n;
    }
    return 0;
}

static s64 strings_show(struct text *t, const struct ref *r, int which)
{
    struct proc *me = proc_self();
    if (r->pid == me->pid && which < 2)
        return which ? own_strings(t, me->vm->env_start, me->vm->env_end) : own_strings(t, me->vm->arg_start, me->vm->arg_end);
    lock_take(&proc_lock);
    struct proc *p = ref_proc(r);
    struct args *a = p && vm_of(p) ? p->args : NULL;
    if (a) {
        const u32 size[3] = {a->cmdline, a->environ, a->auxv};
        u64 at = 0;
        for (int n = 0; n < which; n++)
            at += size[n];
        text_bytes(t, a->text + at, size[which]);
    }
    lock_drop(&proc_lock);
    return p ? 0 : -ESRCH;
}
static s64 cmdline_show(struct text *t, const struct ref *r) { return strings_show(t, r, 0); }
static s64 environ_show(struct text *t, const struct ref *r) { return strings_show(t, r, 1); }
static s64 auxv_show(struct text *t, const struct ref *r) { return strings_show(t, r, 2); }

SHOW(limits)
{
    (void)th, (void)whole;
    static const struct { const char *name, *unit; } rows[RLIM_COUNT] = {
        {"Max cpu time", "seconds"}, {"Max file size", "bytes"}, {"Max data size", "bytes"}, {"Max stack size", "bytes"},
        {"Max core file size", "bytes"}, {"Max resident set", "bytes"}, {"Max processes", "processes"},
        {"Max open files", "files"}, {"Max locked memory", "bytes"}, {"Max address space", "bytes"},
        {"Max file locks", "locks"}, {"Max pending signals", "signals"}, {"Max msgqueue size", "bytes"},
        {"Max nice priority", ""}, {"Max realtime priority", ""}, {"Max realtime timeout", "us"},
    };
    text_add(t, "%-25s %-20s %-20s %-10s\n", "Limit", "Soft Limit", "Hard Limit", "Units");
    for (u32 n = 0; n < RLIM_COUNT; n++) {
        char v[2][24];
        const u64 limit[2] = {p->rlim[n].cur, p->rlim[n].max};
        for (int i = 0; i < 2; i++)
            if (limit[i] == ~0ul)
                snprintf(v[i], sizeof v[i], "unlimited");
            else
                snprintf(v[i], sizeof v[i], "%lu", limit[i]);
        text_add(t, *rows[n].unit ? "%-25s %-20s %-20s %-10s\n" : "%-25s %-20s %-20s\n", rows[n].name, v[0], v[1], rows[n].unit);
    }
}

SHOW(schedstat)
{
    u64 ns = whole ? proc_cpu_ns(p) : thread_cpu_ns(th);
    text_add(t, "%lu 0 %u\n", ns, th ? XOK_ENVS[XOK_ENV_INDEX(th->env)].slices : 0);
}

static s64 badness(struct proc *p)
{
    struct vm *vm = vm_of(p);
    u64 total = pages_total();
    s64 points = (s64)((vm ? vm_rss_pages(vm) : 0) * 1000 / MAX(total, 1ul)) + p->oom_score_adj;
    return p->oom_score_adj == -1000 || !vm ? 0 : MAX(0l, (1000 + points) * 2 / 3);
}

SHOW(oom_score) { UNUSED; text_add(t, "%ld\n", badness(p)); }
SHOW(personality) { UNUSED; text_add(t, "%08x\n", p->personality); }
SHOW(oom_score_adj) { UNUSED; text_add(t, "%d\n", p->oom_score_adj); }
SHOW(oom_adj) { UNUSED; text_add(t, "%d\n", p->oom_score_adj == 1000 ? 15 : p->oom_score_adj * 17 / 1000); }

static s64 oom_score_adj_store(const struct ref *r, char *text, u64 len)
{
    s64 v, err = number_store(text, -1000, 1000, &v);
    (void)len;
    if (err)
        return err;
    lock_take(&proc_lock);
    struct proc *p = ref_proc(r);
    err = !p ? -ESRCH : v < p->oom_score_adj && !capable() ? -EACCES : 0;
    if (!err)
        p->oom_score_adj = v;
    lock_drop(&proc_lock);
    return err;
}

static s64 fixed_show(struct text *t, const struct ref *r)
{
    text_add(t, "%s", (const char *)r->node->arg);
    return 0;
}

#define FILES \
    {"stat", S_IFREG | 0444, .show = stat_show}, {"status", S_IFREG | 0444, .show = status_show}, {"statm", S_IFREG | 0444, .show = statm_show}, \
    {"comm", S_IFREG | 0644, .show = comm_show, .store = comm_store}, {"cmdline", S_IFREG | 0444, .show = cmdline_show}, \
    {"environ", S_IFREG | 0400, .show = environ_show, .allowed = trace_check, .attr = owner_attr}, \
    {"auxv", S_IFREG | 0400, .show = auxv_show, .allowed = trace_check, .attr = owner_attr}, \
    {"maps", S_IFREG | 0444, .show = maps_show, .allowed = trace_check}, {"smaps", S_IFREG | 0444, .show = smaps_show, .allowed = trace_check}, \
    {"smaps_rollup", S_IFREG | 0444, .show = smaps_rollup_show, .allowed = trace_check}, \
    {"limits", S_IFREG | 0444, .show = limits_show}, {"schedstat", S_IFREG | 0444, .show = schedstat_show}, \
    {"oom_score", S_IFREG | 0444, .show = oom_score_show}, \
    {"oom_score_adj", S_IFREG | 0644, .show = oom_score_adj_show, .store = oom_score_adj_store, .attr = owner_attr}, \
    {"oom_adj", S_IFREG | 0644, .show = oom_adj_show, .attr = owner_attr}, \
    {"cgroup", S_IFREG | 0444, .show = fixed_show, .arg = "0::/\n"}, {"wchan", S_IFREG | 0444, .show = fixed_show, .arg = "0"}, \
    {"loginuid", S_IFREG | 0644, .show = fixed_show, .arg = "4294967295"}, \
    {"sessionid", S_IFREG | 0444, .show = fixed_show, .arg = "4294967295"}, \
    {"uid_map", S_IFREG | 0644, .show = fixed_show, .arg = "         0          0 4294967295\n"}, \
    {"gid_map", S_IFREG | 0644, .show = fixed_show, .arg = "         0          0 4294967295\n"}, \
    {"setgroups", S_IFREG | 0644, .show = fixed_show, .arg = "allow\n"}, \
    {"personality", S_IFREG | 0400, .show = personality_show, .allowed = trace_check, .attr = owner_attr}, \
    {"mounts", S_IFREG | 0444, .show = mounts_show}, {"mountinfo", S_IFREG | 0444, .show = mountinfo_show}, \
    {"exe", S_IFLNK | 0777, .target = exe_target, .follow = exe_follow, .attr = owner_attr}, \
    {"cwd", S_IFLNK | 0777, .target = cwd_target, .follow = cwd_follow, .attr = owner_attr}, \
    {"root", S_IFLNK | 0777, .target = root_target, .follow = root_follow, .attr = owner_attr}

static const struct node thread_names[] = {FILES};
static const struct node thread_node = {.mode = S_IFDIR | 0555, .sub = thread_names, .subs = countof(thread_names), .attr = owner_attr};

// ---- task
static s64 task_find(const struct ref *r, const char *name, u32 len, struct ref *to)
{
    u64 tid;
    if (!number_parse(name, len, &tid) || tid > ~0u)
        return -ENOENT;
    lock_take(&proc_lock);
    struct proc *p = ref_proc(r);
    to->tid = tid;
    to->node = &thread_node;
    s64 err = p && ref_thread(to, p) ? 0 : -ENOENT;
    lock_drop(&proc_lock);
    return err;
}

static const struct node *task_next(const struct ref *r, u64 *n, char *name, struct ref *to)
{
    u32 least = ~0u;
    lock_take(&proc_lock);
    struct proc *p = ref_proc(r);
    if (p)
        list_for(it, &p->threads) {
            u32 tid = container_of(it, struct thread, proc_link)->tid;
            if (tid >= *n && tid < least)
                least = tid;
        }
    lock_drop(&proc_lock);
    if (least == ~0u)
        return NULL;
    *n = (u64)least + 1;
    to->tid = least;
    snprintf(name, NAME_MAX + 1, "%u", least);
    return &thread_node;
}

#define DIRECTORY(what, bits, ...) {what, S_IFDIR | (bits), .attr = self_attr, __VA_ARGS__}
static const struct node pid_names[] = {
    FILES,
    DIRECTORY("task", 0555, .find = task_find, .next = task_next),
    DIRECTORY("fd", 0500, .find = fd_find, .next = fd_next, .allowed = trace_check),
    DIRECTORY("fdinfo", 0555, .find = fdinfo_find, .next = fdinfo_next, .allowed = trace_check),
    DIRECTORY("ns", 0511, .sub = ns_names, .subs = NS_COUNT),
    {"net", S_IFDIR | 0555, .sub = net_names, .subs = NET_COUNT},
    {"mountstats", S_IFREG | 0400, .show = mountstats_show, .allowed = trace_check, .attr = owner_attr},
};
const struct node pid_node = {.mode = S_IFDIR | 0555, .sub = pid_names, .subs = countof(pid_names), .attr = owner_attr};
