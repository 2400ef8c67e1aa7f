// The start and the end of a family: memory, files, the program that the host asked for; its status.
#include "core/calls.h"
#include "core/pages.h"
#include "core/start.h"
#include "core/thread.h"
#include "fs/console.h"
#include "fs/vfs.h"
#include "linux/linux.h"
#include "net/keep.h"
#include "proc/proc.h"

extern bool avx_ok;
static u32 stats_wanted;
static u64 ready_ns;

// The boot module's pages, read-only, at MODULE_VA: the root image is used in place.
static void module_map(u64 ppn, u64 pages)
{
    for (u64 at = 0; at < pages;) {
        u64 n = MIN(pages - at, (u64)XOK_PT_OP_MAX);
        struct xok_pt_op op = {.va = MODULE_VA + at * PAGE, .pte = (ppn + at) * PAGE | XOK_PTE_P | XOK_PTE_U | XOK_PTE_NX,
                               .count = n, .kind = XOK_PT_SET, .level = 1, .flags = XOK_PT_CREATE};
        if (xok_pt_batch(FAMILY, 0, &op, 1) != 1)
            panic("the boot module cannot be mapped: is the memory large enough?");
        at += n;
    }
}

static void fail(u32 status, const char *format, const char *what, s64 err) __attribute__((noreturn));
static void fail(u32 status, const char *format, const char *what, s64 err)
{
    char line[600];
    int n = snprintf(line, sizeof line, format, what, -err);
    control_send2(CONTROL_ERROR, &status, sizeof status, line, n);
    xok_halt(FAMILY, 0);
    for (;;)
        ;
}

static const char *error_text(s64 err)
{
    switch (-err) {
    case ENOENT: return "no such file";
    case EACCES: return "permission denied";
    case ENOEXEC: return "not an x86-64 ELF program or #! script";
    case ENOTDIR: return "a part of the path is not a directory";
    case ELOOP: return "too many symbolic links";
    case ENOMEM: return "out of guest memory";
    case E2BIG: return "arguments and environment are too long";
    default: return "cannot be run";
    }
}

static const char *next_string(const char **at, const char *end)
{
    const char *s = *at;
    const char *nul = s < end ? memchr(s, 0, end - s) : NULL;
    if (!nul)
        panic("the host's configuration is damaged");
    *at = nul + 1;
    return s;
}

// Runs on the first process's own environment, as its first thread, with its empty address space.
struct first {
    const char *path, *cwd;
    const char **argv, **envp;
    const struct control_config *config;
};
static struct first first;

static s64 chdir_to(const char *name)
{
    struct path p;
    s64 r = path_lookup(-100 /* AT_FDCWD */, name, WALK_FOLLOW | WALK_DIR, &p);
    if (!r)
        fsctx_move(&proc_self()->fs->cwd, &p);
    return r;
}

void first_main(void)
{
    struct thread *t = thread_self();
    struct uregs *r = t->regs;
    const struct control_config *c = first.config;
    s64 err = fs_console_files(proc_self()->files, c->tty_mask, c->rows, c->cols);
    if (err)
        fail(125, "%s: standard streams cannot be opened (error %ld)", first.path, err);
    err = chdir_to(first.cwd);
    if (err)
        fail(125, "%s: cannot be the current directory (error %ld)", first.cwd, err);
    stack_ready();
    err = proc_exec(first.path, (char *const *)first.argv, (char *const *)first.envp, r);
    if (err) {
        char text[400];
        snprintf(text, sizeof text, "%s: %s", first.path, error_text(err));
        u32 status = err == -ENOENT || err == -ENOTDIR ? 127 : err == -EACCES ? 126 : 125;
        fail(status, "%s", text, err);
    }
    struct control_ready ready = {__builtin_ia32_rdtsc(), clock_mono_ns()};
    ready_ns = ready.ns;
    control_send(CONTROL_READY, &ready, sizeof ready);
    thread_full_return(r);
}

static void program_start(void)
{
    u64 length;
    const struct control_config *c = control_config(&length);
    const char *at = (const char *)(c + 1), *end = (const char *)c + length;
    if (c->version != CONTROL_VERSION)
        fail(125, "xok and the machine's ExOS are of different versions: run make%s", "", 0);
    linux_start(c->flags & CONTROL_FLAG_STRACE);
    stats_wanted = c->flags & CONTROL_FLAG_STATS;
    struct proc *p = proc_first();
    p->ruid = p->euid = p->suid = p->fsuid = c->uid;
    p->rgid = p->egid = p->sgid = p->fsgid = c->gid;
    p->ngroups = MIN(c->ngroups, 16u);
    memcpy(p->groups, c->groups, p->ngroups * sizeof p->groups[0]);
    first.config = c;
    first.path = next_string(&at, end);
    first.cwd = next_string(&at, end);
    first.argv = heap_alloc((c->argc + 1) * sizeof *first.argv);
    first.envp = heap_alloc((c->envc + 1) * sizeof *first.envp);
    if (!first.argv || !first.envp)
        panic("no memory for the arguments");
    for (u32 i = 0; i < c->argc; i++)
        first.argv[i] = next_string(&at, end);
    for (u32 i = 0; i < c->envc; i++)
        first.envp[i] = next_string(&at, end);
    struct thread *t = container_of(p->threads.next, struct thread, proc_link);
    struct xok_regs regs = {.rip = (u64)first_main, .rsp = t->stack_top - sizeof(struct uregs) - 8, .rflags = 2, .gsbase = (u64)t};
    if (xok_env_regs(FAMILY, t->env, &regs, 1) < 0 || xok_env_run(FAMILY, t->env) < 0)
        panic("the first process does not start");
}

void exos_start(u64 module_ppn, u64 module_pages)
{
    const struct xok_boot_header *h = (const void *)MODULE_VA;
    // Locks name their owner: until the keeper's thread stands, this is who we are.
    static struct thread nobody;
    nobody.self = &nobody;
    nobody.env = XOK_INFO->cpu[0].env;
    xok_env_base(1, (u64)&nobody);
    avx_ok = XOK_INFO->cpu_features & XOK_CPU_AVX;
    pages_start();
    heap_start();
    module_map(module_ppn, module_pages);
    keeper = thread_boot();
    fs_start((const void *)(MODULE_VA + h->data_off), h->data_size);
    stack_start();
    program_start();
    keeper_run();
}

static int stats_text(char *buf, u64 size)
{
    u64 entries[XOK_ENTRY_COUNT] = {0}, faults = 0, notifies = 0, switches = 0, spaces = 0;
    for (u32 i = 0; i < XOK_INFO->cpu_count; i++) {
        for (int j = 0; j < XOK_ENTRY_COUNT; j++)
            entries[j] += XOK_INFO->cpu[i].entries[j];
        faults += XOK_INFO->cpu[i].upcalls[XOK_UP_FAULT];
        notifies += XOK_INFO->cpu[i].upcalls[XOK_UP_NOTIFY];
        switches += XOK_INFO->cpu[i].switches;
        spaces += XOK_INFO->cpu[i].space_switches;
    }
    return snprintf(buf, size,
                    "\"boot_ns\": %lu, \"program_ns\": %lu, \"kernel_calls\": %lu, \"kernel_bounces\": %lu, "
                    "\"page_faults\": %lu, \"timer_interrupts\": %lu, \"device_interrupts\": %lu, "
                    "\"processor_interrupts\": %lu, \"linux_calls_direct\": %lu, \"linux_calls_bounced\": %lu, "
                    "\"linux_calls_unknown\": %lu, \"upcalls_fault\": %lu, \"upcalls_notify\": %lu, "
                    "\"environment_switches\": %lu, \"space_switches\": %lu, \"pages_total\": %lu, "
                    "\"pages_free\": %lu, \"kernel_pages_peak\": %lu",
                    ready_ns, clock_mono_ns() - ready_ns, entries[XOK_ENTRY_CALL], linux_bounced, faults,
                    entries[XOK_ENTRY_TIMER], entries[XOK_ENTRY_DEVICE], entries[XOK_ENTRY_IPI], linux_direct,
                    linux_bounced, linux_unknown, faults, notifies, switches, spaces, pages_total(), pages_free(),
                    XOK_INFO->pages_peak);
}

void family_exit(int status)
{
    if (stats_wanted) {
        char text[1024];
        control_send(CONTROL_STATS, text, stats_text(text, sizeof text));
    }
    struct control_exit e = {.status = status, .out_bytes = {console_out_bytes(1), console_out_bytes(2)}};
    control_send(CONTROL_EXIT, &e, sizeof e);
    for (;;) // the host ends the machine
        thread_sleep(0, false);
}
