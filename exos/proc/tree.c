// The process tree: fork, exit, wait, groups.
#include "core/calls.h"
#include "core/pages.h"
#include "core/thread.h"
#include "fs/vfs.h"
#include "linux/ipc_exit.h"
#include "proc/alarms.h"
#include "proc/pidfd.h"
#include "proc/proc.h"
#include "proc/signal.h"
#include "vm/vm.h"

struct lock proc_lock;
struct list proc_all = {&proc_all, &proc_all};
enum { PIDS = 32768, HASH = 1024, RLIMIT_NPROC = 6, RLIMIT_NOFILE = 7, RLIMIT_STACK = 3 };
enum { CLONE_VM = 0x100, CLONE_FS = 0x200, CLONE_FILES = 0x400, CLONE_SIGHAND = 0x800, CLONE_VFORK = 0x4000,
       CLONE_PARENT = 0x8000, CLONE_THREAD = 0x10000, CLONE_SETTLS = 0x80000, CLONE_PARENT_SETTID = 0x100000,
       CLONE_CHILD_CLEARTID = 0x200000, CLONE_CHILD_SETTID = 0x1000000, CLONE_NEW = 0x7e020000,
       CLONE_PIDFD = 0x1000, CLONE_PTRACE = 0x2000 };
enum { P_PIDFD = 3, WNOHANG = 1, WUNTRACED = 2, WEXITED = 4, WCONTINUED = 8, WNOWAIT = 0x1000000 };

static struct proc *hash[HASH];
static u32 next_pid = 1, proc_count;
u64 proc_forks;
u32 proc_last;
static struct proc *init; // the program that the family was started for: pid 1

// ---- pids ------------------------------------------------------------------------------------------------
// Thread ids share the space of process ids; a bitmap says which are taken.
static u64 pid_bits[PIDS / 64];

static u32 pid_take(void)
{
    for (u32 tried = 0; tried < PIDS; tried++, next_pid++) {
        if (next_pid >= PIDS)
            next_pid = 2; // 1 is never free again
        if (pid_bits[next_pid / 64] == ~0ul && !(next_pid & 63)) {
            next_pid += 63, tried += 63;
            continue;
        }
        if (!(pid_bits[next_pid / 64] >> next_pid % 64 & 1)) {
            pid_bits[next_pid / 64] |= 1ul << next_pid % 64;
            proc_forks++;
            proc_last = next_pid;
            return next_pid++;
        }
    }
    return 0;
}

static void pid_give(u32 pid) { pid_bits[pid / 64] &= ~(1ul << pid % 64); }

bool pid_taken(u32 pid) { return pid < PIDS && pid_bits[pid / 64] >> pid % 64 & 1; }

struct proc *proc_next(u32 pid)
{
    for (; pid < PIDS; pid++) {
        u64 word = pid_bits[pid / 64] >> pid % 64;
        if (!word) {
            pid |= 63;
            continue;
        }
        pid += __builtin_ctzl(word);
        struct proc *p = proc_find(pid); // NULL: a thread's id
        if (p)
            return p;
    }
    return NULL;
}

struct proc *proc_find(u32 pid)
{
    struct proc *p = hash[pid % HASH];
    while (p && p->pid != pid)
        p = p->hash_next;
    return p;
}

struct thread *thread_find(u32 tid)
{
    struct proc *p = proc_find(tid);
    if (p && !list_empty(&p->threads)) {
        struct thread *t = container_of(p->threads.next, struct thread, proc_link);
        if (t->tid == tid)
            return t;
    }
    list_for(it, &proc_all) { // a thread that is not its process's first: rare, by debuggers and raise()
        struct proc *q = container_of(it, struct proc, all_link);
        list_for(jt, &q->threads) {
            struct thread *t = container_of(jt, struct thread, proc_link);
            if (t->tid == tid)
                return t;
        }
    }
    return NULL;
}

static void proc_add(struct proc *p)
{
    p->hash_next = hash[p->pid % HASH];
    hash[p->pid % HASH] = p;
    list_add_tail(&proc_all, &p->all_link);
    proc_count++;
}

static void proc_remove(struct proc *p)
{
    struct proc **at = &hash[p->pid % HASH];
    while (*at != p)
        at = &(*at)->hash_next;
    *at = p->hash_next;
    list_del(&p->all_link);
    list_del(&p->sibling);
    pid_give(p->pid);
    pidref_gone(p);
    proc_count--;
}

void args_put(struct args *a)
{
    if (a && !__atomic_sub_fetch(&a->refs, 1, __ATOMIC_ACQ_REL))
        heap_free(a);
}

static void proc_release(struct proc *p)
{
    signal_queue_free(p->siginfo, p->sigpend);
    if (p->exe)
        file_put(p->exe);
    args_put(p->args);
    heap_free(p);
}

static struct proc *proc_new(struct proc *from)
{
    struct proc *p = from ? heap_alloc_raw(sizeof *p) : heap_alloc(sizeof *p);
    if (!p)
        return NULL;
    if (from)
        memcpy(p, from, sizeof *p);
    list_init(&p->children), list_init(&p->sibling), list_init(&p->threads), list_init(&p->all_link);
    waitq_init(&p->wait), waitq_init(&p->vfork_done), waitq_init(&p->sigfd_wait);
    p->sig_lock.owner = 0;
    p->sigpend = 0;
    memset(p->siginfo, 0, sizeof p->siginfo);
    p->nthreads = 0, p->state = PROC_RUNNING, p->exit_status = 0;
    p->subreaper = false;
    p->stop_report = p->cont_report = p->group_exit = p->did_exec = p->vfork_wait = false;
    p->times_told = (struct times){0};
    p->maxrss = p->cmaxrss = 0;
    p->utime_ns = p->stime_ns = p->cutime_ns = p->cstime_ns = 0;
    p->alarms = NULL;
    p->sem_undo = NULL;
    p->pidref = NULL;
    p->vm = NULL, p->files = NULL, p->fs = NULL;
    if (p->args)
        __atomic_add_fetch(&p->args->refs, 1, __ATOMIC_RELAXED);
    p->exe = from && from->exe ? file_get(from->exe) : NULL;
    p->start_ns = clock_mono_ns();
    return p;
}

static void thread_add(struct proc *p, struct thread *t, u32 tid)
{
    t->proc = p;
    t->tid = tid;
    t->fast_pid = p->pid;
    t->start_ns = clock_mono_ns();
    lock_take(&p->sig_lock);
    list_add_tail(&p->threads, &t->proc_link);
    p->nthreads++;
    lock_drop(&p->sig_lock);
}

struct proc *proc_first(void)
{
    s64 err;
    struct proc *p = proc_new(NULL);
    struct thread *t = thread_new(NULL, &err);
    if (!p || !t || !(p->vm = vm_new()) || !(p->files = files_new()) || !(p->fs = fsctx_new()))
        panic("not enough memory for the first process");
    for (int i = 0; i < RLIM_COUNT; i++)
        p->rlim[i] = (struct rlimit_native){~0ul, ~0ul};
    p->rlim[RLIMIT_STACK].cur = 8 << 20;
    p->rlim[RLIMIT_NOFILE] = (struct rlimit_native){1024, 65536};
    p->rlim[RLIMIT_NPROC] = (struct rlimit_native){15000, 15000};
    p->rlim[4].cur = 0; // RLIMIT_CORE
    p->rlim[8] = (struct rlimit_native){8 << 20, 8 << 20}; // RLIMIT_MEMLOCK
    p->rlim[11] = p->rlim[RLIMIT_NPROC]; // RLIMIT_SIGPENDING
    p->rlim[12] = (struct rlimit_native){819200, 819200}; // RLIMIT_MSGQUEUE
    p->rlim[13] = p->rlim[14] = (struct rlimit_native){0, 0}; // RLIMIT_NICE, RLIMIT_RTPRIO
    p->pid = p->pgid = p->sid = pid_take();
    p->exit_signal = 17;
    p->dumpable = true;
    p->cap_bounding = (1ul << 41) - 1;
    init = p;
    proc_add(p);
    thread_add(p, t, p->pid);
    return p;
}

// What a new thread has from the one that makes it.
static void thread_inherit(struct thread *t, const struct thread *from)
{
    t->sigmask = from->sigmask;
    memcpy(t->comm, from->comm, sizeof t->comm);
    t->timer_slack = from->timer_slack;
    t->ioprio = from->ioprio;
    if (from->policy & 0x40000000) { // SCHED_RESET_ON_FORK
        t->nice = MAX(from->nice, 0);
        return;
    }
    t->nice = from->nice, t->policy = from->policy, t->rt_priority = from->rt_priority;
}

// ---- fork and clone ---------------------------------------------------------------------------------------
static s64 clone_thread(u64 flags, u64 stack, u64 ptid, u64 ctid, u64 tls)
{
    struct thread *me = thread_self();
    struct proc *p = me->proc;
    s64 err;
    if (!(flags & CLONE_VM) || !(flags & CLONE_SIGHAND))
        return -EINVAL;
    struct thread *t = thread_new(me, &err);
    if (!t)
        return err;
    lock_take(&proc_lock);
    u32 tid = p->group_exit ? 0 : pid_take();
    if (tid)
        thread_add(p, t, tid);
    lock_drop(&proc_lock);
    if (!tid) {
        thread_abandon(t);
        return -EAGAIN;
    }
    thread_inherit(t, me);
    struct uregs r = *me->regs;
    r.rax = 0;
    if (stack)
        r.rsp = stack;
    t->fsbase = flags & CLONE_SETTLS ? tls : thread_fsbase_get();
    t->clear_child_tid = flags & CLONE_CHILD_CLEARTID ? ctid : 0;
    if (flags & CLONE_PARENT_SETTID)
        copy_out(ptid, &tid, 4);
    if (flags & CLONE_CHILD_SETTID)
        copy_out(ctid, &tid, 4);
    thread_fpu_give(t);
    thread_start(t, &r);
    return tid;
}

static s64 clone_process(u64 flags, u64 stack, u64 pidfd_at, u64 ptid, u64 ctid, u64 tls, u32 exit_signal)
{
    struct thread *me = thread_self();
    struct proc *parent = me->proc, *p = proc_new(parent);
    s64 err = -ENOMEM;
    bool share = flags & CLONE_VM;
    struct thread *t = p ? thread_new(share ? me : NULL, &err) : NULL;
    if (!t) {
        if (p)
            proc_release(p);
        return err;
    }
    lock_take(&proc_lock);
    u32 pid = proc_count < parent->rlim[RLIMIT_NPROC].cur ? pid_take() : 0;
    lock_drop(&proc_lock);
    struct pidref *ref = NULL;
    p->vm = share ? vm_share(parent->vm) : vm_new();
    p->files = flags & CLONE_FILES ? files_share(parent->files) : files_fork(parent->files);
    p->fs = flags & CLONE_FS ? fsctx_share(parent->fs) : fsctx_fork(parent->fs);
    s64 pidfd = flags & CLONE_PIDFD ? pidfd_new(0, &ref) : 0;
    err = !pid ? -EAGAIN : !p->vm || !p->files || !p->fs ? -ENOMEM : pidfd < 0 ? pidfd : share ? 0 : vm_fork(parent->vm, p->vm, t);
    if (err) {
        if (p->vm)
            vm_put(p->vm);
        if (p->files)
            files_put(p->files);
        if (p->fs)
            fsctx_put(p->fs);
        if (ref) {
            fd_close(parent->files, pidfd);
            pidref_put(ref);
        }
        thread_abandon(t);
        proc_release(p);
        lock_take(&proc_lock);
        if (pid)
            pid_give(pid);
        lock_drop(&proc_lock);
        return err;
    }
    p->pid = pid;
    p->parent = flags & CLONE_PARENT ? parent->parent : parent;
    p->exit_signal = exit_signal;
    p->vfork_wait = flags & CLONE_VFORK;
    lock_take(&proc_lock);
    proc_add(p);
    if (ref)
        pidref_bind(ref, p);
    list_add_tail(&p->parent->children, &p->sibling);
    thread_add(p, t, pid);
    lock_drop(&proc_lock);
    thread_inherit(t, me);
    t->sigalt_sp = me->sigalt_sp, t->sigalt_size = me->sigalt_size, t->sigalt_flags = me->sigalt_flags;
    struct uregs r = *me->regs;
    r.rax = 0;
    if (stack)
        r.rsp = stack;
    t->fsbase = flags & CLONE_SETTLS ? tls : thread_fsbase_get();
    t->clear_child_tid = flags & CLONE_CHILD_CLEARTID ? ctid : 0;
    t->set_child_tid = flags & CLONE_CHILD_SETTID ? ctid : 0; // the child stores it itself: its page, its copy
    if (ref) {
        u32 fd = pidfd;
        copy_out(pidfd_at, &fd, 4);
        pidref_put(ref);
    }
    if (flags & CLONE_PARENT_SETTID)
        copy_out(ptid, &pid, 4);
    thread_fpu_give(t);
    if (t->set_child_tid)
        t->pending = THREAD_SIGNAL;
    alarms_limit(p);
    thread_start(t, &r);
    if (flags & CLONE_VFORK) {
        lock_take(&proc_lock);
        struct proc *child = p;
        waitq_until(&parent->vfork_done, &proc_lock, proc_find(pid) != child || !child->vfork_wait, 0, false);
        lock_drop(&proc_lock);
    }
    return pid;
}

static s64 clone_any(u64 flags, u64 stack, u64 pidfd, u64 ptid, u64 ctid, u64 tls, u32 exit_signal)
{
    if (flags & CLONE_NEW)
        return -EPERM;
    if ((flags & CLONE_PIDFD && flags & CLONE_THREAD) || exit_signal > 64 || (flags & CLONE_SETTLS && tls >= USER_HIGH_END))
        return -EINVAL;
    return flags & CLONE_THREAD ? clone_thread(flags, stack, ptid, ctid, tls)
                                : clone_process(flags, stack, pidfd, ptid, ctid, tls, exit_signal);
}

#define CALL(name) s64 sys_##name(u64 a, u64 b, u64 c, u64 d, u64 e, u64 f)
#define UNUSED (void)a, (void)b, (void)c, (void)d, (void)e, (void)f

CALL(clone)
{
    UNUSED;
    if (a & CLONE_PIDFD && a & CLONE_PARENT_SETTID) // both are told at c
        return -EINVAL;
    return clone_any(a & ~0xfful, b, c, c, d, e, a & 0xff);
}

CALL(fork) { UNUSED; return clone_any(0, 0, 0, 0, 0, 0, 17); }
CALL(vfork) { UNUSED; return clone_any(CLONE_VFORK | CLONE_VM, 0, 0, 0, 0, 0, 17); }

CALL(clone3)
{
    struct {
        u64 flags, pidfd, child_tid, parent_tid, exit_signal, stack, stack_size, tls, set_tid, set_tid_size, cgroup;
    } args = {0};
    UNUSED;
    if (b < 64)
        return -EINVAL;
    if (copy_in(&args, a, MIN(b, sizeof args)))
        return -EFAULT;
    if (args.set_tid_size || args.cgroup)
        return -EINVAL;
    return clone_any(args.flags, args.stack ? args.stack + args.stack_size : 0, args.pidfd, args.parent_tid,
                     args.child_tid, args.tls, args.exit_signal);
}

// ---- exit -----------------------------------------------------------------------------------------------------
static void vfork_release(struct proc *p)
{
    if (!p->vfork_wait)
        return;
    p->vfork_wait = false;
    if (p->parent)
        waitq_wake(&p->parent->vfork_done, 1 << 30, 0);
}

void proc_exec_done(void)
{
    struct proc *p = proc_self();
    p->did_exec = true;
    if (p->vfork_wait) {
        lock_take(&proc_lock);
        vfork_release(p);
        lock_drop(&proc_lock);
    }
}

// SIGCHLD and the wake-up of wait(2). proc_lock is held.
static void parent_tell(struct proc *p, int code, int status)
{
    struct proc *up = p->parent;
    if (!up)
        return;
    struct siginfo_native info = {.signo = 17, .code = code};
    info.field[0] = p->pid | (u64)p->ruid << 32;
    info.field[1] = (u32)status;
    u64 handler = up->action[16].handler, flags = up->action[16].flags;
    bool stop = code > 3;
    if (p->exit_signal && !(stop && (handler == 1 || flags & 1 /* SA_NOCLDSTOP */)))
        signal_proc(up, stop ? 17 : p->exit_signal, &info);
    waitq_wake(&up->wait, 1 << 30, 0);
}

static bool nobody_waits(struct proc *p)
{
    struct proc *up = p->parent;
    return !up || (p->exit_signal == 17 && (up->action[16].handler == 1 || up->action[16].flags & 2 /* NOCLDWAIT */));
}

// Who takes over the children of p: its nearest ancestor that asked to (prctl(2)), or the first process.
static struct proc *new_parent(struct proc *p)
{
    for (struct proc *up = p->parent; up; up = up->parent)
        if (up->subreaper)
            return up;
    return init;
}

static void children_orphan(struct proc *p)
{
    struct proc *to = new_parent(p);
    list_for_safe(it, next, &p->children) {
        struct proc *c = container_of(it, struct proc, sibling);
        list_del(&c->sibling);
        c->parent = to;
        list_add_tail(&to->children, &c->sibling);
        list_for(jt, &c->threads) {
            struct thread *t = container_of(jt, struct thread, proc_link);
            if (t->pdeath_signal)
                signal_thread(t, t->pdeath_signal, NULL);
        }
        if (c->state == PROC_ZOMBIE)
            parent_tell(c, c->exit_status & 0x7f ? 2 : 1, c->exit_status & 0x7f ? c->exit_status & 0x7f : c->exit_status >> 8);
    }
}

// A stopped group whose last link to its session goes is woken: nobody else could (POSIX exit).
bool group_orphaned(u32 pgid, struct proc *leaving, bool *stopped)
{
    *stopped = false;
    list_for(it, &proc_all) {
        struct proc *p = container_of(it, struct proc, all_link);
        if (p->pgid != pgid || p == leaving || p->state == PROC_ZOMBIE)
            continue;
        *stopped |= p->state == PROC_STOPPED;
        if (p->parent && p->parent != leaving && p->parent->pgid != pgid && p->parent->sid == p->sid)
            return false;
    }
    return true;
}

static void groups_check(struct proc *p)
{
    bool stopped;
    list_for(it, &p->children) {
        struct proc *c = container_of(it, struct proc, sibling);
        if (c->state == PROC_STOPPED && c->pgid != p->pgid && c->sid == p->sid &&
            group_orphaned(c->pgid, p, &stopped) && stopped) {
            signal_group_locked(c->pgid, 1, NULL);
            signal_group_locked(c->pgid, 18, NULL);
        }
    }
}

// What the kernel has counted, and the time since the thread was last given a processor.
u64 thread_cpu_ns(struct thread *t)
{
    const volatile struct xok_env_info *i = &XOK_ENVS[XOK_ENV_INDEX(t->env)];
    u64 before, tsc;
    do {
        before = i->run_tsc;
        u64 since = i->run_since, now = __builtin_ia32_rdtsc();
        tsc = before + (i->cpu != 0xffff && now > since ? now - since : 0);
    } while (i->run_tsc != before);
    return (u64)(((unsigned __int128)tsc * XOK_INFO->tsc_mult) >> 32);
}

// How much of it was ExOS's, by where the timer found it.
static u64 thread_system_ns(struct thread *t, u64 cpu_ns)
{
    const volatile struct xok_env_info *i = &XOK_ENVS[XOK_ENV_INDEX(t->env)];
    u64 all = i->ticks, inside = MIN(i->ticks_text, all);
    return all ? cpu_ns / all * inside + cpu_ns % all * inside / all : 0;
}

// A sample more may shift the shares: neither is ever told to have shrunk.
static struct times never_less(struct times t, struct times *told)
{
    u64 sum = t.user + t.system;
    if (t.user < told->user)
        t = (struct times){told->user, sum - MIN(sum, told->user)};
    if (t.system < told->system)
        t = (struct times){MAX(sum - MIN(sum, told->system), told->user), told->system};
    return *told = t;
}

static struct times times_of(struct thread *t)
{
    u64 cpu = thread_cpu_ns(t), system = thread_system_ns(t, cpu);
    return (struct times){cpu - system, system};
}

struct times thread_times(struct thread *t) { return never_less(times_of(t), &t->times_told); }

struct times proc_times(struct proc *p)
{
    lock_take(&p->sig_lock);
    struct times sum = {p->utime_ns, p->stime_ns};
    list_for(it, &p->threads) {
        struct times t = times_of(container_of(it, struct thread, proc_link));
        sum.user += t.user, sum.system += t.system;
    }
    sum = never_less(sum, &p->times_told);
    lock_drop(&p->sig_lock);
    return sum;
}

u64 proc_cpu_ns(struct proc *p)
{
    lock_take(&p->sig_lock);
    u64 ns = p->utime_ns + p->stime_ns;
    list_for(it, &p->threads)
        ns += thread_cpu_ns(container_of(it, struct thread, proc_link));
    lock_drop(&p->sig_lock);
    return ns;
}

// A thread is leaving the process, or its environment: sig_lock held.
static void times_keep(struct proc *p, struct thread *t)
{
    struct times had = times_of(t);
    p->utime_ns += had.user, p->stime_ns += had.system;
}

static void proc_end(struct proc *p)
{
    if (p == init)
        family_exit(p->exit_status);
    alarms_exit(p);
    sem_exit(p);
    lock_take(&proc_lock);
    p->ending = true;
    lock_drop(&proc_lock);
    proc_leaves_terminal(p);
    files_put(p->files);
    fsctx_put(p->fs);
    p->maxrss = MAX(p->vm->peak_rss, p->vm->rss) * (PAGE / 1024);
    vm_put(p->vm);
    lock_take(&proc_lock);
    p->vm = NULL, p->files = NULL, p->fs = NULL;
    groups_check(p);
    children_orphan(p);
    p->state = PROC_ZOMBIE;
    pidref_ended(p);
    vfork_release(p);
    int status = p->exit_status;
    bool killed = status & 0x7f;
    bool gone = nobody_waits(p);
    parent_tell(p, killed ? (status & 0x80 ? 3 : 2) : 1, killed ? status & 0x7f : status >> 8);
    if (gone) {
        proc_remove(p);
        lock_drop(&proc_lock);
        proc_release(p);
        return;
    }
    lock_drop(&proc_lock);
}

static void thread_end(void) __attribute__((noreturn));
static void thread_end(void)
{
    struct thread *t = thread_self();
    struct proc *p = t->proc;
    futex_exit(t);
    lock_take(&proc_lock);
    lock_take(&p->sig_lock);
    list_del(&t->proc_link);
    bool last = !--p->nthreads;
    times_keep(p, t);
    if (last || t->tid == p->pid)
        memcpy(p->comm, t->comm, sizeof p->comm);
    lock_drop(&p->sig_lock);
    if (t->tid != p->pid)
        pid_give(t->tid);
    if (p->nthreads == 1)
        waitq_wake(&p->vfork_done, 1 << 30, 0); // exec waits for the others to go
    lock_drop(&proc_lock);
    signal_queue_free(t->siginfo, t->sigpend);
    if (last)
        proc_end(p);
    t->proc = NULL;
    thread_exit_self();
}

static void others_kick(struct proc *p, u32 pending)
{
    list_for(it, &p->threads) {
        struct thread *t = container_of(it, struct thread, proc_link);
        if (t != thread_self())
            thread_kick(t, pending);
    }
}

void proc_exit_group(int status)
{
    struct proc *p = proc_self();
    lock_take(&proc_lock);
    if (!p->group_exit) {
        p->group_exit = true;
        p->exit_status = status;
        others_kick(p, THREAD_KILL);
    }
    lock_drop(&proc_lock);
    thread_end();
}

void proc_thread_replace(struct thread *from, struct thread *to, struct vm *vm)
{
    struct proc *p = from->proc;
    thread_inherit(to, from);
    to->proc = p, to->tid = from->tid, to->fast_pid = p->pid, to->start_ns = from->start_ns;
    lock_take(&proc_lock);
    lock_take(&p->sig_lock);
    to->sigpend = from->sigpend;
    memcpy(to->siginfo, from->siginfo, sizeof to->siginfo);
    to->pending = from->pending;
    from->sigpend = 0;
    list_add_tail(&from->proc_link, &to->proc_link);
    list_del(&from->proc_link);
    times_keep(p, from);
    from->proc = NULL;
    lock_drop(&p->sig_lock);
    p->vm = vm;
    lock_drop(&proc_lock);
}

void proc_exec_threads(void)
{
    struct proc *p = proc_self();
    struct thread *t = thread_self();
    if (p->nthreads == 1)
        return;
    lock_take(&proc_lock);
    p->group_exit = true;
    others_kick(p, THREAD_KILL);
    waitq_until(&p->vfork_done, &proc_lock, p->nthreads == 1, 0, false);
    p->group_exit = false;
    if (t->tid != p->pid) {
        pid_give(t->tid);
        t->tid = p->pid;
    }
    lock_drop(&proc_lock);
    t->pending &= ~THREAD_KILL;
}

void thread_killed(void)
{
    thread_end();
}

CALL(exit)
{
    UNUSED;
    struct proc *p = proc_self();
    if (p->nthreads == 1)
        proc_exit_group((a & 0xff) << 8);
    thread_end();
}

CALL(exit_group)
{
    UNUSED;
    proc_exit_group((a & 0xff) << 8);
}

// ---- stop and continue: proc_lock is held ------------------------------------------------------------------------
void proc_stop(struct proc *p, int sig)
{
    p->state = PROC_STOPPED;
    p->stop_signal = sig;
    p->stop_report = true;
    p->cont_report = false;
    others_kick(p, THREAD_STOP);
    parent_tell(p, 5 /* CLD_STOPPED */, sig);
}

void proc_continue(struct proc *p)
{
    if (p->state != PROC_STOPPED)
        return;
    p->state = PROC_RUNNING;
    p->cont_report = true;
    p->stop_report = false;
    list_for(it, &p->threads)
        thread_wake(container_of(it, struct thread, proc_link));
    parent_tell(p, 6 /* CLD_CONTINUED */, 18);
}

// ---- wait ------------------------------------------------------------------------------------------------------------
static bool wanted(struct proc *c, s64 pid, struct proc *me)
{
    return pid == -1 || (pid > 0 && c->pid == (u32)pid) || (pid == 0 && c->pgid == me->pgid) ||
           (pid < -1 && c->pgid == (u32)-pid);
}

struct waited {
    struct proc *child; // removed from the tree if it was a zombie
    u32 pid, uid;
    int status; // wait(2) encoding
    int code;   // CLD_*
    u64 utime, stime, maxrss;
    bool reaped;
};

static bool wait_look(struct proc *me, s64 pid, u32 options, struct waited *w, bool *any)
{
    *any = false;
    list_for(it, &me->children) {
        struct proc *c = container_of(it, struct proc, sibling);
        if (!wanted(c, pid, me))
            continue;
        *any = true;
        bool keep = options & WNOWAIT;
        *w = (struct waited){.child = c, .pid = c->pid, .uid = c->ruid};
        if (c->state == PROC_ZOMBIE && options & WEXITED) {
            w->status = c->exit_status;
            w->code = c->exit_status & 0x7f ? 2 : 1;
            w->utime = c->utime_ns + c->cutime_ns, w->stime = c->stime_ns + c->cstime_ns;
            w->maxrss = MAX(c->maxrss, c->cmaxrss);
            if (!keep) {
                me->cutime_ns += w->utime, me->cstime_ns += w->stime;
                me->cmaxrss = MAX(me->cmaxrss, w->maxrss);
                proc_remove(c);
                w->reaped = true;
            }
            return true;
        }
        if (c->stop_report && options & WUNTRACED) {
            w->status = c->stop_signal << 8 | 0x7f, w->code = 5;
            c->stop_report = keep;
            return true;
        }
        if (c->cont_report && options & WCONTINUED) {
            w->status = 0xffff, w->code = 6;
            c->cont_report = keep;
            return true;
        }
    }
    return false;
}

static s64 wait_any(s64 pid, u32 options, struct waited *w)
{
    struct proc *me = proc_self();
    bool found = false, any = true;
    lock_take(&proc_lock);
    s64 r = waitq_until(&me->wait, &proc_lock,
                        (found = wait_look(me, pid, options, w, &any)) || !any || options & WNOHANG, 0, true);
    lock_drop(&proc_lock);
    if (found) {
        if (w->reaped)
            proc_release(w->child);
        return w->pid;
    }
    return !any ? -ECHILD : r ? -ERESTARTSYS : 0;
}

static s64 rusage_out(u64 to, const struct waited *w)
{
    u64 ru[18] = {w->utime / 1000000000, w->utime / 1000 % 1000000, w->stime / 1000000000, w->stime / 1000 % 1000000, w->maxrss};
    return to ? copy_out(to, ru, sizeof ru) : 0;
}

CALL(wait4)
{
    struct waited w = {0};
    UNUSED;
    if (c & ~(u64)(WNOHANG | WUNTRACED | WCONTINUED | 0xe0000000))
        return -EINVAL;
    s64 r = wait_any((s32)a, (c & (WNOHANG | WUNTRACED | WCONTINUED)) | WEXITED, &w);
    if (r <= 0)
        return r;
    if (b && copy_out(b, &w.status, 4))
        return -EFAULT;
    return rusage_out(d, &w) ? -EFAULT : r;
}

CALL(waitid)
{
    struct waited w = {0};
    UNUSED;
    u32 options = d & (WNOHANG | WUNTRACED | WEXITED | WCONTINUED | WNOWAIT);
    if (d & ~(u64)(options | 0xe0000000) || !(options & (WUNTRACED | WEXITED | WCONTINUED)) || a > P_PIDFD)
        return -EINVAL;
    bool nonblock = false;
    if (a == P_PIDFD) {
        s64 named = pidfd_pid(b, &nonblock);
        if (named < 0)
            return named;
        a = 1, b = named;
        options |= nonblock ? WNOHANG : 0;
    }
    s64 pid = a == 0 ? -1 : a == 1 ? (s32)b : b ? -(s64)(s32)b : 0;
    if (a == 1 && (s32)b <= 0)
        return -EINVAL;
    s64 r = wait_any(pid, options, &w);
    if (!r && nonblock && !(d & WNOHANG))
        return -EAGAIN;
    if (r < 0)
        return r;
    struct siginfo_native info = {0};
    if (r) {
        info.signo = 17;
        info.code = w.code;
        info.field[0] = w.pid | (u64)w.uid << 32;
        info.field[1] = (u32)(w.code == 1 ? w.status >> 8 : w.code == 5 ? w.status >> 8 : w.code == 6 ? 18 : w.status & 0x7f);
    }
    if (c && copy_out(c, &info, sizeof info))
        return -EFAULT;
    return rusage_out(e, &w) ? -EFAULT : 0;
}

CALL(set_tid_address)
{
    UNUSED;
    thread_self()->clear_child_tid = a;
    return thread_self()->tid;
}
