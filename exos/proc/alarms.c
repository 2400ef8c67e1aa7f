// Timers of a process. The keeper's timer fires; the signal is sent; a periodic timer_create(2) timer goes on
// when its signal is taken, so that one which nobody takes costs nothing (timer_getoverrun(2) counts).
#include "proc/alarms.h"
#include "linux/misc.h"
#include "proc/signal.h"

enum { RLIMIT_CPU = 0, SIGKILL = 9, SIGXCPU = 24, SI_TIMER = -2, LOOK_NS = 1000000, IDLE_LOOK_NS = 20000000, IGNORED_NS = 10000000 };

static bool by_cpu(const struct alarm *a) { return a->clock != CLOCK_MONOTONIC; }

// A process or thread that has gone uses no more time.
static u64 cpu_now(const struct alarm *a)
{
    s32 id = ~(a->clock >> 3);
    struct proc *p = a->clock & 4 ? NULL : proc_find(id);
    struct thread *t = a->clock & 4 ? thread_find(id) : NULL;
    return p ? proc_cpu_ns(p) : t ? thread_cpu_ns(t) : a->looked;
}

u64 alarm_now(const struct alarm *a)
{
    if (!by_cpu(a))
        return clock_mono_ns();
    if (a->clock == CLOCK_PROCESS_CPUTIME_ID)
        return proc_cpu_ns(a->proc);
    bool mine = lock_mine(&proc_lock);
    if (!mine)
        lock_take(&proc_lock);
    u64 ns = cpu_now(a);
    if (!mine)
        lock_drop(&proc_lock);
    return ns;
}

static void alarm_fired(struct timer *timer);

// values held. Processor time passes no faster than the processors let it: look again then.
static void arm(struct alarm *a, u64 now)
{
    u64 at = a->deadline;
    if (by_cpu(a)) {
        u64 wait = a->deadline > now ? (a->deadline - now) / XOK_INFO->cpu_count : 0;
        at = clock_mono_ns() + MAX(wait, now == a->looked ? (u64)IDLE_LOOK_NS : (u64)LOOK_NS);
        a->looked = now;
    }
    timer_arm(&a->timer, at, alarm_fired);
}

// values held. Returns how many further periods have passed.
static u64 period_next(struct alarm *a, u64 now)
{
    u64 missed = now > a->deadline ? (now - a->deadline) / a->interval : 0;
    a->deadline += (missed + 1) * a->interval;
    return missed;
}

static void send(struct alarm *a)
{
    struct siginfo_native info = {.signo = a->signal, .code = SI_TIMER, .field = {(u32)a->id, a->value}};
    if (a->id == ALARM_LIMIT)
        signal_proc(a->proc, alarm_now(a) / SECOND >= a->proc->rlim[RLIMIT_CPU].max ? SIGKILL : SIGXCPU, NULL);
    else if (a->id < 0)
        signal_proc(a->proc, a->signal, NULL);
    else if (a->notify != SIGEV_THREAD_ID)
        signal_proc(a->proc, a->signal, &info);
    else if (thread_find(a->tid) && thread_find(a->tid)->proc == a->proc)
        signal_thread(thread_find(a->tid), a->signal, &info);
}

static void alarm_fired(struct timer *timer)
{
    struct alarm *a = container_of(timer, struct alarm, timer);
    struct alarms *s = a->proc->alarms;
    lock_take(&proc_lock);
    u64 now = alarm_now(a);
    lock_take(&s->values);
    bool due = a->deadline && now >= a->deadline;
    if (a->deadline && !due) {
        arm(a, now);
    } else if (due && !a->interval) {
        a->deadline = 0;
        a->queued = a->id >= 0;
    } else if (due && a->id >= 0 && !signal_ignored(a->proc, a->signal)) {
        a->queued = true;
    } else if (due) {
        period_next(a, now);
        if (a->id >= 0 && !by_cpu(a)) // nobody hears it: no need to be exact
            a->deadline = MAX(a->deadline, now + IGNORED_NS);
        arm(a, now);
    }
    lock_drop(&s->values);
    if (due)
        send(a);
    lock_drop(&proc_lock);
}

void alarm_delivered(struct proc *p, struct siginfo_native *info)
{
    struct alarms *s = p->alarms;
    if (!s || info->code != SI_TIMER)
        return;
    lock_take(&s->lock);
    struct alarm *a = alarm_find(s, (s32)info->field[0]);
    if (a && a->queued) {
        u64 now = alarm_now(a);
        lock_take(&s->values);
        a->queued = false;
        a->overrun = 0;
        if (a->deadline && a->interval) {
            u64 missed = period_next(a, now);
            a->overrun = MIN(missed, 0x7ffffffful);
            arm(a, now);
        }
        info->field[0] = (u32)a->id | (u64)a->overrun << 32;
        lock_drop(&s->values);
    }
    lock_drop(&s->lock);
}

void alarm_left(struct alarm *a, u64 *left, u64 *interval)
{
    struct alarms *s = a->proc->alarms;
    u64 now = alarm_now(a);
    lock_take(&s->values);
    if (!by_cpu(a)) // as late as the deadline that it is compared with
        now = clock_mono_ns();
    *interval = a->interval;
    *left = !a->deadline ? 0 : a->deadline > now ? a->deadline - now : 1;
    if (a->deadline && a->deadline <= now && (a->id >= 0 || a->notify == SIGEV_NONE))
        *left = a->interval ? a->interval - (now - a->deadline) % a->interval : a->notify == SIGEV_NONE ? 0 : 1;
    lock_drop(&s->values);
}

void alarm_set(struct alarm *a, u64 deadline, u64 interval)
{
    struct alarms *s = a->proc->alarms;
    timer_disarm(&a->timer);
    u64 now = alarm_now(a);
    lock_take(&s->values);
    a->deadline = deadline, a->interval = interval;
    a->looked = ~0ul;
    a->queued = false;
    a->overrun = 0;
    if (deadline && a->notify != SIGEV_NONE)
        arm(a, now);
    lock_drop(&s->values);
}

struct alarms *alarms_get(struct proc *p)
{
    static const s32 clocks[] = {CLOCK_MONOTONIC, CLOCK_PROCESS_CPUTIME_ID, CLOCK_PROCESS_CPUTIME_ID};
    static const s32 signals[] = {14, 26, 27}; // SIGALRM, SIGVTALRM, SIGPROF
    struct alarms *s = __atomic_load_n(&p->alarms, __ATOMIC_ACQUIRE), *none = NULL;
    if (s || !(s = heap_alloc(sizeof *s)))
        return s;
    for (int i = 0; i < ITIMERS; i++)
        s->itimer[i] = (struct alarm){.proc = p, .clock = clocks[i], .signal = signals[i], .id = -1};
    s->limit = (struct alarm){.proc = p, .clock = CLOCK_PROCESS_CPUTIME_ID, .id = ALARM_LIMIT};
    if (__atomic_compare_exchange_n(&p->alarms, &none, s, false, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE))
        return s;
    heap_free(s);
    return none;
}

void alarms_limit(struct proc *p)
{
    u64 soft = p->rlim[RLIMIT_CPU].cur;
    struct alarms *s = soft < 1ul << 33 || p->alarms ? alarms_get(p) : NULL;
    if (!s)
        return;
    lock_take(&s->lock);
    alarm_set(&s->limit, soft < 1ul << 33 ? MAX(soft, 1ul) * SECOND : 0, SECOND);
    lock_drop(&s->lock);
}

struct alarm *alarm_find(struct alarms *s, s32 id) { return id >= 0 && (u32)id < s->room ? s->table[id] : NULL; }

s64 alarm_new(struct proc *p, struct alarm *like)
{
    struct alarms *s = alarms_get(p);
    struct alarm *a = s ? heap_alloc(sizeof *a) : NULL;
    if (!a)
        return -EAGAIN;
    *a = *like;
    a->proc = p;
    lock_take(&s->lock);
    u32 id = 0;
    while (id < s->room && s->table[id])
        id++;
    if (id == s->room && id < ALARMS_MAX) {
        struct alarm **t = heap_resize(s->table, (s->room ? s->room * 2 : 8) * sizeof *t);
        if (t)
            s->table = t, s->room = s->room ? s->room * 2 : 8;
    }
    if (id < s->room)
        s->table[id] = a, a->id = id;
    lock_drop(&s->lock);
    if (a->id >= 0)
        return id;
    heap_free(a);
    return -EAGAIN;
}

void alarm_delete(struct alarms *s, struct alarm *a)
{
    s->table[a->id] = NULL;
    timer_disarm(&a->timer);
    heap_free(a);
}

void alarms_exec(struct proc *p)
{
    struct alarms *s = p->alarms;
    for (u32 i = 0; s && i < s->room; i++)
        if (s->table[i])
            alarm_delete(s, s->table[i]);
}

void alarms_exit(struct proc *p)
{
    struct alarms *s = p->alarms;
    if (!s)
        return;
    alarms_exec(p);
    for (int i = 0; i < ITIMERS; i++)
        timer_disarm(&s->itimer[i].timer);
    timer_disarm(&s->limit.timer);
    p->alarms = NULL;
    heap_free(s->table);
    heap_free(s);
}
