// Process ids, groups and sessions.
#include "linux/misc.h"

struct proc *proc_named(s32 pid) { return pid ? pid < 0 ? NULL : proc_find(pid) : proc_self(); }

CALL(getpid) { UNUSED; return proc_self()->pid; }
CALL(gettid) { UNUSED; return thread_self()->tid; }

CALL(getppid)
{
    UNUSED;
    lock_take(&proc_lock);
    struct proc *up = proc_self()->parent;
    u32 pid = up ? up->pid : 0;
    lock_drop(&proc_lock);
    return pid;
}

CALL(getpgid)
{
    UNUSED;
    lock_take(&proc_lock);
    struct proc *p = proc_named(a);
    s64 r = p ? (s64)p->pgid : -ESRCH;
    lock_drop(&proc_lock);
    return r;
}

CALL(getpgrp) { UNUSED; return proc_self()->pgid; }

CALL(getsid)
{
    UNUSED;
    lock_take(&proc_lock);
    struct proc *p = proc_named(a);
    s64 r = p ? (s64)p->sid : -ESRCH;
    lock_drop(&proc_lock);
    return r;
}

static bool group_in_session(u32 pgid, u32 sid)
{
    list_for(it, &proc_all) {
        struct proc *p = container_of(it, struct proc, all_link);
        if (p->pgid == pgid && p->sid == sid)
            return true;
    }
    return false;
}

static s64 group_set(struct proc *me, s32 pid, s32 pgid)
{
    struct proc *p = proc_named(pid);
    if (!p || (p != me && p->parent != me))
        return -ESRCH;
    if (p != me && p->sid != me->sid)
        return -EPERM;
    if (p != me && p->did_exec)
        return -EACCES;
    if (p->sid == p->pid)
        return -EPERM;
    if ((u32)pgid != p->pid && !group_in_session(pgid, me->sid))
        return -EPERM;
    p->pgid = pgid;
    return 0;
}

CALL(setpgid)
{
    UNUSED;
    struct proc *me = proc_self();
    s32 pid = a ? (s32)a : (s32)me->pid, pgid = b ? (s32)b : pid;
    if (pgid < 0)
        return -EINVAL;
    lock_take(&proc_lock);
    s64 r = group_set(me, pid, pgid);
    lock_drop(&proc_lock);
    return r;
}

static bool group_leads(u32 pgid)
{
    list_for(it, &proc_all)
        if (container_of(it, struct proc, all_link)->pgid == pgid)
            return true;
    return false;
}

CALL(setsid)
{
    UNUSED;
    struct proc *me = proc_self();
    lock_take(&proc_lock);
    s64 r = group_leads(me->pid) ? -EPERM : (s64)me->pid;
    if (r > 0) {
        me->sid = me->pgid = me->pid;
        me->tty = NULL;
    }
    lock_drop(&proc_lock);
    return r;
}
