// Clocks and sleep: clock_gettime(2), nanosleep(2) and their elders.
#include "linux/misc.h"
#include "proc/signal.h"

enum { TIMER_ABSTIME = 1, COARSE_NS = 4000000, SECONDS_MAX = 9000000000, CLOCKS = 12 };

s64 time_in(u64 from, u64 *ns)
{
    struct timespec_native t;
    if (copy_in(&t, from, sizeof t))
        return -EFAULT;
    if (t.sec < 0 || (u64)t.nsec >= SECOND)
        return -EINVAL;
    *ns = MIN(t.sec, (s64)SECONDS_MAX) * SECOND + t.nsec;
    return 0;
}

s64 time_out(u64 to, u64 ns)
{
    struct timespec_native t = {ns / SECOND, ns % SECOND};
    return copy_out(to, &t, sizeof t);
}

// A processor-time clock of any process or thread: ~id << 3 | 4 if of a thread | kind 0..2 (clock_getcpuclockid(3)).
static s64 cpu_clock(s32 clock, u64 *ns)
{
    s32 id = ~(clock >> 3);
    if ((clock & 3) == 3)
        return -EINVAL;
    lock_take(&proc_lock);
    struct proc *p = clock & 4 ? NULL : proc_named(id);
    struct thread *t = clock & 4 ? id ? thread_find(id) : thread_self() : NULL;
    if (t && t->proc != proc_self())
        t = NULL;
    if (p)
        *ns = proc_cpu_ns(p);
    if (t)
        *ns = thread_cpu_ns(t);
    lock_drop(&proc_lock);
    return p || t ? 0 : -EINVAL;
}

// The two alarm clocks are refused as by a Linux whose machine has no clock that could wake it.
s64 clock_read(s32 clock, u64 *ns)
{
    switch (clock) {
    case CLOCK_REALTIME:
    case CLOCK_REALTIME_COARSE:
    case CLOCK_TAI: *ns = clock_real_ns(); return 0;
    case CLOCK_MONOTONIC:
    case CLOCK_MONOTONIC_RAW:
    case CLOCK_MONOTONIC_COARSE:
    case CLOCK_BOOTTIME: *ns = clock_mono_ns(); return 0;
    case CLOCK_PROCESS_CPUTIME_ID: *ns = proc_cpu_ns(proc_self()); return 0;
    case CLOCK_THREAD_CPUTIME_ID: *ns = thread_cpu_ns(thread_self()); return 0;
    default: return clock < 0 ? cpu_clock(clock, ns) : -EINVAL;
    }
}

CALL(clock_gettime)
{
    u64 ns;
    UNUSED;
    s64 r = clock_read(a, &ns);
    return r ? r : time_out(b, ns);
}

CALL(clock_getres)
{
    u64 ns;
    UNUSED;
    s64 r = clock_read(a, &ns);
    if (r || !b)
        return r;
    return time_out(b, (s32)a == CLOCK_REALTIME_COARSE || (s32)a == CLOCK_MONOTONIC_COARSE ? COARSE_NS : 1);
}

CALL(clock_settime)
{
    u64 ns;
    UNUSED;
    s32 clock = a;
    if (clock != CLOCK_REALTIME) // the processor-time clocks say EPERM, the others cannot be set
        return clock < 0 || clock == CLOCK_PROCESS_CPUTIME_ID || clock == CLOCK_THREAD_CPUTIME_ID ? -EPERM : -EINVAL;
    s64 r = time_in(b, &ns);
    if (r)
        return r;
    if (!has_capability(CAP_SYS_TIME))
        return -EPERM;
    clock_real_set(ns);
    return 0;
}

CALL(gettimeofday)
{
    UNUSED;
    u64 ns = clock_real_ns();
    struct timeval_native tv = {ns / SECOND, ns % SECOND / 1000};
    u32 zone[2] = {0, 0};
    return (a && copy_out(a, &tv, sizeof tv)) || (b && copy_out(b, zone, sizeof zone)) ? -EFAULT : 0;
}

CALL(settimeofday)
{
    UNUSED;
    struct timeval_native tv;
    if (a && copy_in(&tv, a, sizeof tv))
        return -EFAULT;
    if (a && (tv.sec < 0 || (u64)tv.usec >= 1000000))
        return -EINVAL;
    if (!has_capability(CAP_SYS_TIME))
        return -EPERM;
    if (a)
        clock_real_set(MIN(tv.sec, (s64)SECONDS_MAX) * SECOND + tv.usec * 1000);
    return 0;
}

CALL(time)
{
    UNUSED;
    s64 now = clock_real_ns() / SECOND;
    return a && copy_out(a, &now, 8) ? -EFAULT : now;
}

// ---- sleep
static u64 to_mono(s32 clock, u64 ns)
{
    u64 base = clock == CLOCK_REALTIME || clock == CLOCK_TAI ? clock_real_ns() - clock_mono_ns() : 0;
    return ns > base ? ns - base : 1;
}

// Sleeps until the deadline. rem: where the rest goes when a signal comes, 0 for a sleep until a moment.
static s64 sleep_until(u64 deadline, u64 rem, bool relative)
{
    s64 r = 0;
    while (!r && clock_mono_ns() < deadline)
        r = thread_sleep(deadline, true);
    if (r != -EINTR)
        return 0;
    if (!relative)
        return -ERESTARTNOHAND;
    u64 now = clock_mono_ns();
    if (now >= deadline)
        return 0;
    if (rem && time_out(rem, deadline - now))
        return -EFAULT;
    struct thread *t = thread_self();
    t->restart_call = 230;
    t->restart_arg[0] = deadline, t->restart_arg[1] = rem;
    return -ERESTART_RESTARTBLOCK;
}

CALL(restart_syscall)
{
    UNUSED;
    struct thread *t = thread_self();
    if (t->restart_call != 230)
        return -EINTR;
    t->restart_call = 0;
    return sleep_until(t->restart_arg[0], t->restart_arg[1], true);
}

CALL(nanosleep)
{
    u64 ns;
    UNUSED;
    s64 r = time_in(a, &ns);
    return r ? r : sleep_until(clock_mono_ns() + ns, b, true);
}

// Sleep by processor time: other threads of the process must use it up.
static s64 cpu_sleep(s32 clock, bool absolute, u64 ns, u64 rem)
{
    u64 used;
    s64 r = clock_read(clock, &used);
    u64 until = absolute ? ns : used + ns;
    while (!r && used < until) {
        r = thread_sleep(clock_mono_ns() + MAX(until - used, 1000000ul), true);
        if (r == -EINTR) {
            clock_read(clock, &used);
            if (!absolute && rem && time_out(rem, until > used ? until - used : 0))
                return -EFAULT;
            return absolute ? -ERESTARTNOHAND : -EINTR;
        }
        r = clock_read(clock, &used);
    }
    return r;
}

CALL(clock_nanosleep)
{
    u64 ns, used;
    UNUSED;
    s32 clock = a;
    bool absolute = b & TIMER_ABSTIME;
    if (clock >= CLOCKS || clock == 10)
        return -EINVAL;
    if (clock == CLOCK_THREAD_CPUTIME_ID || clock == CLOCK_MONOTONIC_RAW || clock == CLOCK_REALTIME_COARSE ||
        clock == CLOCK_MONOTONIC_COARSE || clock == CLOCK_REALTIME_ALARM || clock == CLOCK_BOOTTIME_ALARM)
        return -EOPNOTSUPP;
    s64 r = time_in(c, &ns);
    if (r)
        return r;
    if (clock < 0 && clock & 4 && (~(clock >> 3) == 0 || ~(clock >> 3) == (s32)thread_self()->tid))
        return -EINVAL; // it would never end
    if (clock < 0 || clock == CLOCK_PROCESS_CPUTIME_ID)
        return clock_read(clock, &used) ? -EINVAL : cpu_sleep(clock, absolute, ns, d);
    return absolute ? sleep_until(to_mono(clock, ns), 0, false) : sleep_until(clock_mono_ns() + ns, d, true);
}

// ---- adjtimex(2): the clock is nobody's to steer, only to set
enum { ADJ_SETOFFSET = 0x100, ADJ_NANO = 0x2000, STA_UNSYNC = 0x40, STA_NANO = 0x2000, TIME_ERROR = 5, TICK_US = 10000,
       MAX_ERROR_US = 16000000, TOLERANCE = 32768000 };
struct timex_native {
    u32 modes, pad0;
    s64 offset, freq, maxerror, esterror;
    u32 status, pad1;
    s64 constant, precision, tolerance;
    struct timeval_native time;
    s64 tick, unused[14];
};
_Static_assert(sizeof(struct timex_native) == 208, "struct timex");

CALL(clock_adjtime)
{
    UNUSED;
    struct timex_native t;
    if ((s32)a != CLOCK_REALTIME)
        return clock_read(a, &(u64){0}) ? -EINVAL : -EOPNOTSUPP;
    if (copy_in(&t, b, sizeof t))
        return -EFAULT;
    u64 sub = t.modes & ADJ_NANO ? 1 : 1000;
    if (t.modes && (!has_capability(CAP_SYS_TIME) || t.modes & ~(ADJ_SETOFFSET | ADJ_NANO)))
        return -EPERM;
    if (t.modes & ADJ_SETOFFSET && (u64)t.time.usec >= SECOND / sub)
        return -EINVAL;
    if (t.modes & ADJ_SETOFFSET)
        clock_real_set(clock_real_ns() + t.time.sec * SECOND + t.time.usec * sub);
    u64 ns = clock_real_ns();
    t = (struct timex_native){.modes = t.modes, .maxerror = MAX_ERROR_US, .esterror = MAX_ERROR_US,
                              .status = STA_UNSYNC | (sub == 1 ? STA_NANO : 0), .constant = 2, .precision = 1,
                              .tolerance = TOLERANCE, .time = {ns / SECOND, ns % SECOND / sub}, .tick = TICK_US};
    return copy_out(b, &t, sizeof t) ? -EFAULT : TIME_ERROR;
}

CALL(adjtimex) { UNUSED; return sys_clock_adjtime(CLOCK_REALTIME, a, 0, 0, 0, 0); }
