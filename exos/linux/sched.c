// Scheduling calls: sched(7). What a thread is given is slots; processors are chosen by having slots there.
// Policies and nice values are kept and told, but every thread has one slot a processor.
#include "linux/misc.h"
#include "core/calls.h"
#include "proc/signal.h"

enum { SCHED_OTHER, SCHED_FIFO, SCHED_RR, SCHED_BATCH, SCHED_IDLE = 5, SCHED_DEADLINE, SCHED_RESET_ON_FORK = 0x40000000 };
enum { PRIO_PROCESS, PRIO_PGRP, PRIO_USER, RLIMIT_NICE = 13, RLIMIT_RTPRIO };

// A thread by id (0: the caller) under proc_lock.
static struct thread *thread_named(s32 tid) { return tid ? tid < 0 ? NULL : thread_find(tid) : thread_self(); }

static bool may_change(struct thread *t)
{
    struct proc *me = proc_self();
    return me->euid == t->proc->ruid || me->euid == t->proc->euid || has_capability(CAP_SYS_NICE);
}

CALL(sched_yield)
{
    UNUSED;
    xok_yield(0);
    return 0;
}

static u64 processors(void) { return (1ul << XOK_INFO->cpu_count) - 1; }

CALL(sched_getaffinity)
{
    UNUSED;
    if (b & 7 || !b)
        return -EINVAL;
    lock_take(&proc_lock);
    struct thread *t = thread_named(a);
    u64 mask = !t ? 0 : t->affinity ? t->affinity : processors();
    lock_drop(&proc_lock);
    if (!t)
        return -ESRCH;
    return copy_out(c, &mask, 8) ? -EFAULT : 8;
}

CALL(sched_setaffinity)
{
    u64 mask = 0;
    UNUSED;
    if (copy_in(&mask, c, MIN((u32)b, 8u)))
        return -EFAULT;
    lock_take(&proc_lock);
    struct thread *t = thread_named(a);
    s64 r = !t ? -ESRCH : !may_change(t) ? -EPERM : !(mask &= processors()) ? -EINVAL : thread_affinity(t, mask);
    lock_drop(&proc_lock);
    return r;
}

static bool real_time(u32 policy) { return policy == SCHED_FIFO || policy == SCHED_RR; }

enum { SCHED_EXT = 7 };
static bool ranged(u32 policy) { return policy <= SCHED_BATCH || (policy >= SCHED_IDLE && policy <= SCHED_EXT); }

static bool policy_known(u32 policy) { return policy <= SCHED_BATCH || policy == SCHED_IDLE; }

CALL(sched_get_priority_max)
{
    UNUSED;
    u32 policy = a;
    return ranged(policy) ? real_time(policy) ? 99 : 0 : -EINVAL;
}

CALL(sched_get_priority_min)
{
    UNUSED;
    u32 policy = a;
    return ranged(policy) ? real_time(policy) : -EINVAL;
}

// policy -1: stays.
static s64 policy_set(s32 tid, s32 policy, s32 priority)
{
    lock_take(&proc_lock);
    struct thread *t = thread_named(tid);
    s64 r = 0;
    if (t && policy == -1)
        policy = t->policy;
    u32 kind = policy & ~SCHED_RESET_ON_FORK;
    if (!t)
        r = -ESRCH;
    else if (!policy_known(kind) || priority < 0 || priority > 99 || real_time(kind) != (priority > 0))
        r = -EINVAL;
    else if (!may_change(t) || (real_time(kind) && !has_capability(CAP_SYS_NICE) &&
                                (u32)priority > t->proc->rlim[RLIMIT_RTPRIO].cur))
        r = -EPERM;
    else
        t->policy = policy, t->rt_priority = priority;
    lock_drop(&proc_lock);
    return r;
}

CALL(sched_setscheduler)
{
    s32 priority;
    UNUSED;
    if ((s32)b < 0 || !c || (s32)a < 0)
        return -EINVAL;
    return copy_in(&priority, c, 4) ? -EFAULT : policy_set(a, b, priority);
}

CALL(sched_setparam)
{
    s32 priority;
    UNUSED;
    if (!b || (s32)a < 0)
        return -EINVAL;
    return copy_in(&priority, b, 4) ? -EFAULT : policy_set(a, -1, priority);
}

struct scheduling {
    bool found;
    s32 policy, priority, nice;
};
static struct scheduling scheduling_of(s32 tid)
{
    lock_take(&proc_lock);
    struct thread *t = thread_named(tid);
    struct scheduling s = {.found = t};
    if (t)
        s = (struct scheduling){true, t->policy, t->rt_priority, t->nice};
    lock_drop(&proc_lock);
    return s;
}

CALL(sched_getscheduler)
{
    UNUSED;
    struct scheduling s = scheduling_of(a);
    return (s32)a < 0 ? -EINVAL : s.found ? s.policy : -ESRCH;
}

CALL(sched_getparam)
{
    UNUSED;
    struct scheduling s = scheduling_of(a);
    if (!b || (s32)a < 0)
        return -EINVAL;
    return s.found ? copy_out(b, &s.priority, 4) : -ESRCH;
}

CALL(sched_rr_get_interval)
{
    UNUSED;
    struct scheduling s = scheduling_of(a);
    if ((s32)a < 0)
        return -EINVAL;
    if (!s.found)
        return -ESRCH;
    return time_out(b, (s.policy & ~SCHED_RESET_ON_FORK) == SCHED_FIFO ? 0 : XOK_SLOT_NS);
}

struct sched_attr {
    u32 size, policy;
    u64 flags;
    s32 nice;
    u32 priority;
    u64 runtime, deadline, period;
    u32 util_min, util_max;
};

CALL(sched_getattr)
{
    UNUSED;
    struct scheduling s = scheduling_of(a);
    u32 size = c;
    if (!b || (s32)a < 0 || size < 48 || size > PAGE || d)
        return -EINVAL;
    if (!s.found)
        return -ESRCH;
    struct sched_attr at = {.size = MIN(size, (u32)sizeof at), .policy = s.policy & ~SCHED_RESET_ON_FORK,
                            .flags = s.policy & SCHED_RESET_ON_FORK ? 1 : 0, .nice = s.nice, .priority = s.priority,
                            .util_max = 1024};
    return copy_out(b, &at, at.size);
}

static s64 nice_set(struct thread *t, s32 nice)
{
    struct proc *me = proc_self(), *p = t->proc;
    if (me->euid != p->ruid && me->euid != p->euid && !has_capability(CAP_SYS_NICE))
        return -EPERM;
    if (nice < t->nice && !has_capability(CAP_SYS_NICE) && 20 - nice > (s64)MIN(p->rlim[RLIMIT_NICE].cur, 40ul))
        return -EACCES;
    t->nice = nice;
    return 0;
}

CALL(sched_setattr)
{
    UNUSED;
    struct sched_attr at = {0};
    u32 size;
    if (!b || (s32)a < 0 || c)
        return -EINVAL;
    if (copy_in(&size, b, 4))
        return -EFAULT;
    size = size ? size : 48;
    if (size < 48 || size > PAGE)
        return -E2BIG;
    if (copy_in(&at, b, MIN(size, (u32)sizeof at)))
        return -EFAULT;
    if (at.policy == SCHED_DEADLINE || at.flags & ~0x7ful)
        return at.policy == SCHED_DEADLINE ? -EPERM : -EINVAL;
    s64 r = policy_set(a, at.flags & 8 ? -1 : (s32)(at.policy | (at.flags & 1 ? SCHED_RESET_ON_FORK : 0)), at.priority);
    if (!r && !real_time(at.policy)) {
        lock_take(&proc_lock);
        struct thread *t = thread_named(a);
        r = t ? nice_set(t, MAX(-20, MIN(at.nice, 19))) : -ESRCH;
        lock_drop(&proc_lock);
    }
    return r;
}

// ---- getpriority(2), setpriority(2)
static bool selected(struct proc *p, u32 which, u32 who)
{
    struct proc *me = proc_self();
    return which == PRIO_PGRP ? p->pgid == (who ? who : me->pgid) : p->ruid == (who ? who : me->ruid);
}

// Calls fn for each thread meant. -ESRCH if there is none.
static s64 priority_each(u32 which, u32 who, s64 (*fn)(struct thread *, s32), s32 arg)
{
    s64 r = -ESRCH;
    lock_take(&proc_lock);
    if (which == PRIO_PROCESS) {
        struct thread *t = thread_named(who);
        r = t ? fn(t, arg) : -ESRCH;
    }
    list_for(it, &proc_all) {
        struct proc *p = container_of(it, struct proc, all_link);
        if (which == PRIO_PROCESS || !selected(p, which, who))
            continue;
        list_for(jt, &p->threads) {
            s64 one = fn(container_of(jt, struct thread, proc_link), arg);
            r = r == -ESRCH || (one < 0 ? one < r || r >= 0 : one > r && r >= 0) ? one : r;
        }
    }
    lock_drop(&proc_lock);
    return r;
}

static s64 nice_of(struct thread *t, s32 unused) { return 20 - t->nice + 0 * unused; }

CALL(getpriority) { UNUSED; return (u32)a > PRIO_USER ? -EINVAL : priority_each(a, b, nice_of, 0); }

CALL(setpriority)
{
    UNUSED;
    return (u32)a > PRIO_USER ? -EINVAL : priority_each(a, b, nice_set, MAX(-20, MIN((s32)c, 19)));
}

// ---- ioprio_get(2), ioprio_set(2): kept and told
enum { IOPRIO_WHO_PROCESS = 1, IOPRIO_WHO_USER = 3, IOPRIO_IDLE = 3 };
static s64 ioprio_of(struct thread *t, s32 unused) { return t->ioprio + 0 * unused; }
static s64 ioprio_put(struct thread *t, s32 value)
{
    if (!may_change(t))
        return -EPERM;
    t->ioprio = value;
    return 0;
}

CALL(ioprio_get)
{
    UNUSED;
    return a < IOPRIO_WHO_PROCESS || a > IOPRIO_WHO_USER ? -EINVAL : priority_each(a - 1, b, ioprio_of, 0);
}

CALL(ioprio_set)
{
    UNUSED;
    u32 class = (u32)c >> 13, level = c & 0x1fff;
    if (class > IOPRIO_IDLE || (!class && level) || ((class == 1 || class == 2) && level > 7))
        return -EINVAL;
    if (class == 1 && !has_capability(CAP_SYS_ADMIN))
        return -EPERM;
    return a < IOPRIO_WHO_PROCESS || a > IOPRIO_WHO_USER ? -EINVAL : priority_each(a - 1, b, ioprio_put, c);
}
