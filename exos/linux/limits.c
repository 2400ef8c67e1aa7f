// What a process may use and has used: getrlimit(2), getrusage(2), times(2), sysinfo(2).
#include "linux/load.h"
#include "linux/misc.h"
#include "proc/alarms.h"
#include "fs/fs.h"
#include "vm/vm.h"

enum { RLIMIT_CPU = 0, RLIMIT_NOFILE = 7, RUSAGE_CHILDREN = -1, RUSAGE_SELF, RUSAGE_THREAD, TICK_NS = 10000000 };

static s64 limit_set(struct proc *p, u32 resource, const struct rlimit_native *new)
{
    if (new->cur > new->max)
        return -EINVAL;
    if (resource == RLIMIT_NOFILE && new->max > FILES_MAX)
        return -EPERM;
    if (new->max > p->rlim[resource].max && !has_capability(CAP_SYS_RESOURCE))
        return -EPERM;
    p->rlim[resource] = *new;
    return 0;
}

CALL(getrlimit)
{
    UNUSED;
    return (u32)a >= RLIM_COUNT ? -EINVAL : copy_out(b, &proc_self()->rlim[(u32)a], sizeof(struct rlimit_native));
}

CALL(setrlimit)
{
    UNUSED;
    struct rlimit_native new;
    if (copy_in(&new, b, sizeof new))
        return -EFAULT;
    s64 r = (u32)a >= RLIM_COUNT ? -EINVAL : limit_set(proc_self(), a, &new);
    if (!r && (u32)a == RLIMIT_CPU)
        alarms_limit(proc_self());
    return r;
}

static bool same_user(const struct proc *p)
{
    const struct proc *me = proc_self();
    return (me->ruid == p->ruid && me->ruid == p->euid && me->ruid == p->suid && me->rgid == p->rgid &&
            me->rgid == p->egid && me->rgid == p->sgid) || has_capability(CAP_SYS_RESOURCE);
}

CALL(prlimit64)
{
    UNUSED;
    struct rlimit_native new, old;
    u32 resource = b;
    if (resource >= RLIM_COUNT)
        return -EINVAL;
    if (c && copy_in(&new, c, sizeof new))
        return -EFAULT;
    lock_take(&proc_lock);
    struct proc *p = proc_named(a);
    s64 r = !p ? -ESRCH : p != proc_self() && !same_user(p) ? -EPERM : 0;
    if (!r) {
        old = p->rlim[resource];
        r = c ? limit_set(p, resource, &new) : 0;
    }
    lock_drop(&proc_lock);
    if (!r && c && resource == RLIMIT_CPU && p == proc_self())
        alarms_limit(p);
    return !r && d ? copy_out(d, &old, sizeof old) : r;
}

struct rusage_native {
    struct timeval_native utime, stime;
    s64 maxrss, ixrss, idrss, isrss, minflt, majflt, nswap, inblock, oublock, msgsnd, msgrcv, nsignals, nvcsw, nivcsw;
};

static struct timeval_native to_timeval(u64 ns) { return (struct timeval_native){ns / SECOND, ns % SECOND / 1000}; }

static void usage_add(struct rusage_native *u, const struct thread *t)
{
    const volatile struct xok_env_info *i = &XOK_ENVS[XOK_ENV_INDEX(t->env)];
    u->minflt += i->faults;
    u->nvcsw += i->slices;
}

CALL(getrusage)
{
    UNUSED;
    struct proc *p = proc_self();
    struct rusage_native u = {0};
    struct times t;
    switch ((s32)a) {
    case RUSAGE_SELF:
        t = proc_times(p);
        u.utime = to_timeval(t.user), u.stime = to_timeval(t.system);
        u.maxrss = MAX(p->vm->peak_rss, p->vm->rss) * (PAGE / 1024);
        lock_take(&p->sig_lock);
        list_for(it, &p->threads)
            usage_add(&u, container_of(it, struct thread, proc_link));
        lock_drop(&p->sig_lock);
        break;
    case RUSAGE_THREAD:
        t = thread_times(thread_self());
        u.utime = to_timeval(t.user), u.stime = to_timeval(t.system);
        u.maxrss = MAX(p->vm->peak_rss, p->vm->rss) * (PAGE / 1024);
        usage_add(&u, thread_self());
        break;
    case RUSAGE_CHILDREN:
        u.utime = to_timeval(p->cutime_ns), u.stime = to_timeval(p->cstime_ns);
        u.maxrss = p->cmaxrss;
        break;
    default: return -EINVAL;
    }
    return copy_out(b, &u, sizeof u);
}

CALL(times)
{
    UNUSED;
    struct proc *p = proc_self();
    struct times now = proc_times(p);
    u64 t[4] = {now.user / TICK_NS, now.system / TICK_NS, p->cutime_ns / TICK_NS, p->cstime_ns / TICK_NS};
    return a && copy_out(a, t, sizeof t) ? -EFAULT : (s64)(clock_mono_ns() / TICK_NS);
}

struct sysinfo_native {
    s64 uptime;
    u64 loads[3], totalram, freeram, sharedram, bufferram, totalswap, freeswap;
    u16 procs, pad;
    u64 totalhigh, freehigh;
    u32 mem_unit;
};
_Static_assert(sizeof(struct sysinfo_native) == 112, "struct sysinfo");

CALL(sysinfo)
{
    UNUSED;
    struct sysinfo_native s = {.uptime = clock_mono_ns() / SECOND, .totalram = (pages_total() - XOK_INFO->module_pages) * PAGE,
                               .freeram = pages_free() * PAGE, .mem_unit = 1};
    load_average(s.loads);
    lock_take(&proc_lock);
    list_for(it, &proc_all)
        s.procs += container_of(it, struct proc, all_link)->nthreads;
    lock_drop(&proc_lock);
    return copy_out(a, &s, sizeof s);
}
