// prctl(2), arch_prctl(2).
#include "linux/misc.h"
#include "proc/signal.h"

enum { ARCH_SET_GS = 0x1001, ARCH_SET_FS, ARCH_GET_FS, ARCH_GET_GS, ARCH_GET_CPUID = 0x1011, ARCH_SET_CPUID };

// GS holds the library's thread: a program's own GS base cannot be had.
CALL(arch_prctl)
{
    UNUSED;
    u64 v;
    switch ((u32)a) {
    case ARCH_SET_FS:
        if (b >= USER_HIGH_END)
            return -EPERM;
        thread_fsbase_set(b);
        return 0;
    case ARCH_GET_FS: v = thread_fsbase_get(); return copy_out(b, &v, 8);
    case ARCH_SET_GS: return b ? -EPERM : 0;
    case ARCH_GET_GS: v = 0; return copy_out(b, &v, 8);
    case ARCH_GET_CPUID: return 1;
    case ARCH_SET_CPUID: return b ? 0 : -ENODEV;
    default: return -EINVAL;
    }
}

enum {
    PR_SET_PDEATHSIG = 1, PR_GET_PDEATHSIG, PR_GET_DUMPABLE, PR_SET_DUMPABLE, PR_GET_KEEPCAPS = 7, PR_SET_KEEPCAPS,
    PR_GET_TIMING = 13, PR_SET_TIMING, PR_SET_NAME, PR_GET_NAME, PR_GET_SECCOMP = 21, PR_SET_SECCOMP,
    PR_CAPBSET_READ, PR_CAPBSET_DROP, PR_GET_TSC, PR_SET_TSC, PR_GET_SECUREBITS, PR_SET_SECUREBITS,
    PR_SET_TIMERSLACK, PR_GET_TIMERSLACK, PR_SET_MM = 35, PR_SET_CHILD_SUBREAPER, PR_GET_CHILD_SUBREAPER,
    PR_SET_NO_NEW_PRIVS, PR_GET_NO_NEW_PRIVS, PR_GET_TID_ADDRESS, PR_SET_THP_DISABLE, PR_GET_THP_DISABLE,
    PR_CAP_AMBIENT = 47, PR_SET_PTRACER = 0x59616d61, PR_SET_VMA = 0x53564d41,
    SLACK_NS = 50000, SECUREBITS_ALL = 0xff,
};

static s64 ambient(struct proc *p, u64 what, u64 cap)
{
    if (what == 4) { // PR_CAP_AMBIENT_CLEAR_ALL
        p->cap_ambient = 0;
        return cap ? -EINVAL : 0;
    }
    if (cap > CAP_LAST || what < 1 || what > 3)
        return -EINVAL;
    if (what == 1)
        return p->cap_ambient >> cap & 1;
    if (what == 2 && !(p->cap_permitted & p->cap_inheritable & 1ul << cap))
        return -EPERM;
    p->cap_ambient = what == 2 ? p->cap_ambient | 1ul << cap : p->cap_ambient & ~(1ul << cap);
    return 0;
}

static s64 name_set(u64 from)
{
    char name[16];
    s64 n = copy_in_str(name, from, sizeof name);
    if (n == -EFAULT)
        return n;
    memset(thread_self()->comm, 0, 16);
    memcpy(thread_self()->comm, name, n < 0 ? 15 : n);
    return 0;
}

CALL(prctl)
{
    UNUSED;
    struct thread *t = thread_self();
    struct proc *p = t->proc;
    u32 v;
    switch ((u32)a) {
    case PR_SET_PDEATHSIG:
        if (b > 64)
            return -EINVAL;
        t->pdeath_signal = b;
        return 0;
    case PR_GET_PDEATHSIG: v = t->pdeath_signal; return copy_out(b, &v, 4);
    case PR_GET_DUMPABLE: return p->dumpable;
    case PR_SET_DUMPABLE:
        if (b > 1)
            return -EINVAL;
        p->dumpable = b;
        return 0;
    case PR_GET_KEEPCAPS: return p->keep_caps;
    case PR_SET_KEEPCAPS:
        if (b > 1)
            return -EINVAL;
        p->keep_caps = b;
        return 0;
    case PR_GET_TIMING: return 0;
    case PR_SET_TIMING: return b ? -EINVAL : 0;
    case PR_SET_NAME: return name_set(b);
    case PR_GET_NAME: return copy_out(b, t->comm, 16);
    case PR_GET_SECCOMP: return 0;
    case PR_SET_SECCOMP: return -EINVAL;
    case PR_CAPBSET_READ: return b > CAP_LAST ? -EINVAL : (s64)(p->cap_bounding >> b & 1);
    case PR_CAPBSET_DROP:
        if (!has_capability(CAP_SETPCAP))
            return -EPERM;
        if (b > CAP_LAST)
            return -EINVAL;
        p->cap_bounding &= ~(1ul << b);
        return 0;
    case PR_GET_TSC: v = 1; return copy_out(b, &v, 4);
    case PR_SET_TSC: return b == 1 ? 0 : -EINVAL;
    case PR_GET_SECUREBITS: return p->securebits;
    case PR_SET_SECUREBITS:
        if (!has_capability(CAP_SETPCAP) || b & ~(u64)SECUREBITS_ALL)
            return -EPERM;
        p->securebits = b;
        return 0;
    case PR_SET_TIMERSLACK: t->timer_slack = (s64)b > 0 ? b : SLACK_NS; return 0;
    case PR_GET_TIMERSLACK: return t->timer_slack ? t->timer_slack : SLACK_NS;
    case PR_SET_MM: return has_capability(CAP_SYS_RESOURCE) ? -EINVAL : -EPERM;
    case PR_SET_CHILD_SUBREAPER: p->subreaper = b; return 0;
    case PR_GET_CHILD_SUBREAPER: v = p->subreaper; return copy_out(b, &v, 4);
    case PR_SET_NO_NEW_PRIVS:
        if (b != 1 || c || d || e)
            return -EINVAL;
        p->no_new_privs = true;
        return 0;
    case PR_GET_NO_NEW_PRIVS: return b || c || d || e ? -EINVAL : p->no_new_privs;
    case PR_GET_TID_ADDRESS: return copy_out(b, &t->clear_child_tid, 8);
    case PR_SET_THP_DISABLE: return c || d || e ? -EINVAL : 0;
    case PR_GET_THP_DISABLE: return b || c || d || e ? -EINVAL : 0;
    case PR_CAP_AMBIENT: return d || e ? -EINVAL : ambient(p, b, c);
    case PR_SET_PTRACER: return 0;
    case PR_SET_VMA: return b ? -EINVAL : 0; // a name for a mapping: not shown anywhere
    default: return -EINVAL;
    }
}
