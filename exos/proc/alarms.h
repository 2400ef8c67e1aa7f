// Timers of a process: setitimer(2), timer_create(2).
#ifndef EXOS_ALARMS_H
#define EXOS_ALARMS_H
#include "proc/timers.h"
#include "proc/proc.h"

enum { ITIMER_REAL, ITIMER_VIRTUAL, ITIMER_PROF, ITIMERS, ALARMS_MAX = 1024, ALARM_LIMIT = -2 };
enum { SIGEV_SIGNAL, SIGEV_NONE, SIGEV_THREAD, SIGEV_THREAD_ID = 4 };

struct alarm {
    struct timer timer;
    struct proc *proc;
    s32 clock;          // whose time deadline is; CLOCK_MONOTONIC for every clock that is not processor time
    bool real;          // made for CLOCK_REALTIME: so are its absolute times
    s32 id;             // of timer_create; -1: an itimer; ALARM_LIMIT
    s32 signal, notify; // SIGEV_*
    u32 tid;            // SIGEV_THREAD_ID: who gets the signal
    u64 value;          // si_value
    u64 deadline, interval; // ns of the clock; 0: disarmed. alarms->values
    u64 looked;         // processor time when it was last looked at
    bool queued;        // its signal waits; the next period begins when that is taken. alarms->values
    s32 overrun;        // periods missed before the signal taken last
};

struct alarms {
    struct lock lock;   // the table, and calls that set timers, one at a time: outside proc_lock
    struct lock values; // innermost but the timers' own
    struct alarm itimer[ITIMERS];
    struct alarm limit; // RLIMIT_CPU: each second from the soft limit on
    struct alarm **table; // by timer id
    u32 room;
};

struct alarms *alarms_get(struct proc *p);  // made when first asked for; NULL: out of memory
void alarms_limit(struct proc *p);          // RLIMIT_CPU was set, or inherited. proc_lock not held
void alarms_exec(struct proc *p);           // timer_create's go
void alarms_exit(struct proc *p);           // all go. No lock held
s64 alarm_new(struct proc *p, struct alarm *like); // its id; -EAGAIN
struct alarm *alarm_find(struct alarms *s, s32 id); // alarms->lock held
void alarm_delete(struct alarms *s, struct alarm *a); // likewise
u64 alarm_now(const struct alarm *a); // its clock
// Reads what is left and the interval, and sets both anew (left 0: disarms). alarms->lock held.
void alarm_left(struct alarm *a, u64 *left, u64 *interval);
void alarm_set(struct alarm *a, u64 deadline, u64 interval);
// A timer's signal is being taken: fills in how many periods were missed and starts the next one.
void alarm_delivered(struct proc *p, struct siginfo_native *info);
#endif
