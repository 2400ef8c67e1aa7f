// One table of Linux system calls, gathered from the rooms' rows.
#include "linux/linux.h"
#include "proc/proc.h"

#define LINUX(nr, name, nargs, args) linux_fn sys_##name;
#include "linux/all.def"
#undef LINUX

linux_fn *const linux_table[LINUX_CALLS] = {
#define LINUX(nr, name, nargs, args) [nr] = sys_##name,
#include "linux/all.def"
#undef LINUX
};

const struct linux_name linux_names[LINUX_CALLS] = {
#define LINUX(nr, name, nargs, args) [nr] = {#name, args},
#include "linux/all.def"
#undef LINUX
};

linux_fn *linux_fast[LINUX_CALLS];
linux_fn *linux_leaf[LINUX_CALLS];

// Look at the program's registers, or replace them.
static bool whole(int nr)
{
    return nr == 15 /* rt_sigreturn */ || (nr >= 56 && nr <= 59) /* clone, fork, vfork, execve */ ||
           nr == 131 /* sigaltstack */ || nr == 322 /* execveat */ || nr == 435 /* clone3 */;
}

void linux_start(bool trace)
{
    linux_slow = trace;
    for (int i = 0; i < LINUX_CALLS; i++)
        linux_leaf[i] = int_call, linux_fast[i] = trace || !linux_table[i] || whole(i) ? linux_full : linux_table[i];
    if (!trace)
        linux_leaf[39] = leaf_getpid, linux_leaf[186] = leaf_gettid;
}

bool linux_slow;
u64 linux_direct, linux_bounced, linux_unknown;

void linux_call(struct uregs *r)
{
    u64 nr = r->orig_rax;
    linux_fn *fn = nr < LINUX_CALLS ? linux_table[nr] : NULL;
    if (linux_slow)
        strace_enter(r);
    if (fn) {
        r->rax = fn(r->rdi, r->rsi, r->rdx, r->r10, r->r8, r->r9);
    } else {
        linux_unknown++;
        r->rax = -ENOSYS;
    }
    if (linux_slow)
        strace_leave(r, nr < LINUX_CALLS ? &linux_names[nr] : NULL);
}

// The first calls from a site come this way. Patching is an optimisation: a site that cannot be patched
// bounces for ever.
void linux_bounce(struct uregs *r)
{
    linux_bounced++;
    if (!linux_slow)
        vm_patch_site(proc_self()->vm, r->rip, r->orig_rax);
    linux_call(r);
}
