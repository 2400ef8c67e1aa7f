// One-shot timers of the family, run by the keeper. Arming and disarming cost O(log n), amortised.
#ifndef EXOS_TIMERS_H
#define EXOS_TIMERS_H
#include "core/exos.h"

struct timer {
    u64 deadline; // CLOCK_MONOTONIC, ns
    void (*fn)(struct timer *);
    struct timer *child, *next; // pairing heap: first child, next sibling
    struct timer **from;        // the pointer that points here; NULL: not armed
};

// fn(t) is called by the keeper, without a lock, at or soon after the deadline; it may arm t again. An armed
// timer moves to the new deadline. Any lock but the page pools' may be held.
void timer_arm(struct timer *t, u64 deadline_ns_mono, void (*fn)(struct timer *));
// When it returns, fn is neither running nor will run: t may be freed. Hold no lock that fn takes.
void timer_disarm(struct timer *t);
u64 timers_run(u64 now_ns); // fires what is due; the next deadline, 0 if none. The keeper only
#endif
