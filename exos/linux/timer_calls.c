// alarm(2), setitimer(2), timer_create(2) and what goes with them.
#include "linux/misc.h"
#include "proc/alarms.h"
#include "proc/signal.h"

enum { TIMER_ABSTIME = 1, SIGALRM = 14, USEC = 1000 };
#define TIME_MAX (9000000000ul * SECOND)

struct itimerval_native {
    struct timeval_native interval, value;
};

static bool timeval_bad(const struct timeval_native *t) { return t->sec < 0 || (u64)t->usec >= 1000000; }
static u64 timeval_ns(const struct timeval_native *t) { return MIN(t->sec, (s64)9000000000) * SECOND + t->usec * USEC; }
// Rounded up: what is left of a timer that has not expired is not nothing.
static struct timeval_native to_timeval(u64 ns)
{
    u64 us = (ns + USEC - 1) / USEC;
    return (struct timeval_native){us / 1000000, us % 1000000};
}

static void set_relative(struct alarm *a, u64 left, u64 interval)
{
    alarm_set(a, left ? alarm_now(a) + left : 0, interval);
}

CALL(alarm)
{
    u64 left = 0, interval;
    UNUSED;
    struct alarms *s = alarms_get(proc_self());
    if (!s)
        return -ENOMEM;
    lock_take(&s->lock);
    alarm_left(&s->itimer[ITIMER_REAL], &left, &interval);
    set_relative(&s->itimer[ITIMER_REAL], (u32)a * (u64)SECOND, 0);
    lock_drop(&s->lock);
    u64 sec = left / SECOND, rest = left % SECOND;
    return sec + (rest >= SECOND / 2 || (!sec && rest));
}

CALL(getitimer)
{
    u64 left, interval;
    UNUSED;
    if ((u32)a >= ITIMERS)
        return -EINVAL;
    struct alarms *s = alarms_get(proc_self());
    if (!s)
        return -ENOMEM;
    lock_take(&s->lock);
    alarm_left(&s->itimer[(u32)a], &left, &interval);
    lock_drop(&s->lock);
    struct itimerval_native v = {to_timeval(interval), to_timeval(left)};
    return copy_out(b, &v, sizeof v);
}

CALL(setitimer)
{
    struct itimerval_native v = {0};
    u64 left, interval;
    UNUSED;
    if (b && copy_in(&v, b, sizeof v))
        return -EFAULT;
    if (b && (timeval_bad(&v.value) || timeval_bad(&v.interval)))
        return -EINVAL;
    if ((u32)a >= ITIMERS)
        return -EINVAL;
    struct alarms *s = alarms_get(proc_self());
    if (!s)
        return -ENOMEM;
    lock_take(&s->lock);
    struct alarm *t = &s->itimer[(u32)a];
    alarm_left(t, &left, &interval);
    set_relative(t, timeval_ns(&v.value), timeval_ns(&v.interval));
    lock_drop(&s->lock);
    struct itimerval_native old = {to_timeval(interval), to_timeval(left)};
    return c ? copy_out(c, &old, sizeof old) : 0;
}

// ---- timer_create(2)
struct sigevent_native {
    u64 value;
    s32 signal, notify;
    s32 tid, pad[11];
};
_Static_assert(sizeof(struct sigevent_native) == 64, "struct sigevent");

static s64 clock_for(s32 clock, struct alarm *t)
{
    u64 now;
    switch (clock) {
    case CLOCK_MONOTONIC_RAW:
    case CLOCK_REALTIME_COARSE:
    case CLOCK_MONOTONIC_COARSE:
    case CLOCK_REALTIME_ALARM:
    case CLOCK_BOOTTIME_ALARM: return -EOPNOTSUPP;
    case CLOCK_REALTIME:
    case CLOCK_MONOTONIC:
    case CLOCK_BOOTTIME:
    case CLOCK_TAI:
        t->clock = CLOCK_MONOTONIC;
        t->real = clock == CLOCK_REALTIME || clock == CLOCK_TAI;
        return 0;
    case CLOCK_THREAD_CPUTIME_ID: t->clock = (s32)(~thread_self()->tid << 3 | 4 | 2); return 0;
    default: t->clock = clock; return clock_read(clock, &now);
    }
}

static bool in_process(u32 tid)
{
    lock_take(&proc_lock);
    struct thread *t = thread_find(tid);
    bool r = t && t->proc == proc_self();
    lock_drop(&proc_lock);
    return r;
}

CALL(timer_create)
{
    UNUSED;
    struct proc *p = proc_self();
    struct sigevent_native ev = {.signal = SIGALRM, .notify = SIGEV_SIGNAL};
    struct alarm t = {.id = -1};
    if (b && copy_in(&ev, b, sizeof ev))
        return -EFAULT;
    s64 r = clock_for(a, &t);
    if (r)
        return r;
    t.signal = ev.signal, t.notify = ev.notify, t.value = ev.value, t.tid = ev.tid;
    if (ev.notify == SIGEV_THREAD_ID && !in_process(ev.tid))
        return -EINVAL;
    if (ev.notify != SIGEV_NONE && ev.notify != SIGEV_SIGNAL && ev.notify != SIGEV_THREAD && ev.notify != SIGEV_THREAD_ID)
        return -EINVAL;
    if (ev.notify != SIGEV_NONE && (ev.signal < 1 || ev.signal > 64))
        return -EINVAL;
    s64 id = alarm_new(p, &t);
    if (id < 0)
        return id;
    struct alarms *s = p->alarms;
    lock_take(&s->lock);
    if (!b && alarm_find(s, id))
        alarm_find(s, id)->value = id;
    lock_drop(&s->lock);
    s32 out = id;
    if (!copy_out(c, &out, 4))
        return 0;
    lock_take(&s->lock);
    if (alarm_find(s, id))
        alarm_delete(s, alarm_find(s, id));
    lock_drop(&s->lock);
    return -EFAULT;
}

// The timer with its lock held, or NULL.
static struct alarm *timer_take(s32 id)
{
    struct alarms *s = proc_self()->alarms;
    if (!s)
        return NULL;
    lock_take(&s->lock);
    struct alarm *t = alarm_find(s, id);
    if (!t)
        lock_drop(&s->lock);
    return t;
}

static void timer_drop(void) { lock_drop(&proc_self()->alarms->lock); }

struct itimerspec_native {
    struct timespec_native interval, value;
};

static s64 spec_out(u64 to, u64 left, u64 interval)
{
    struct itimerspec_native v = {{interval / SECOND, interval % SECOND}, {left / SECOND, left % SECOND}};
    return copy_out(to, &v, sizeof v);
}

CALL(timer_settime)
{
    u64 value, interval, left, old;
    UNUSED;
    if (!c)
        return -EINVAL;
    s64 r = time_in(c, &interval), r2 = time_in(c + 16, &value);
    if (r || r2)
        return r == -EFAULT || r2 == -EFAULT ? -EFAULT : -EINVAL;
    struct alarm *t = timer_take(a);
    if (!t)
        return -EINVAL;
    alarm_left(t, &left, &old);
    if (value && b & TIMER_ABSTIME) {
        u64 shift = t->real ? clock_real_ns() - clock_mono_ns() : 0;
        value = value > shift ? value - shift : 1;
    } else if (value) {
        value += alarm_now(t);
    }
    alarm_set(t, value, interval);
    timer_drop();
    return d ? spec_out(d, left, old) : 0;
}

CALL(timer_gettime)
{
    u64 left, interval;
    UNUSED;
    struct alarm *t = timer_take(a);
    if (!t)
        return -EINVAL;
    alarm_left(t, &left, &interval);
    timer_drop();
    return spec_out(b, left, interval);
}

CALL(timer_getoverrun)
{
    UNUSED;
    struct alarm *t = timer_take(a);
    if (!t)
        return -EINVAL;
    s64 r = t->overrun;
    timer_drop();
    return r;
}

CALL(timer_delete)
{
    UNUSED;
    struct alarm *t = timer_take(a);
    if (!t)
        return -EINVAL;
    alarm_delete(proc_self()->alarms, t);
    timer_drop();
    return 0;
}
