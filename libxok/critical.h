// Robust critical sections: no call to enter or to leave one, however often (thesis 3.3, 3.5).
//
// The end of a slice waits until the section is left, within the grace time (include/xok/cpu.h). A lock
// whose holder died is taken over, and the new holder told so, that it may mend what the lock guards.
#ifndef LIBXOK_CRITICAL_H
#define LIBXOK_CRITICAL_H
#include "xok/calls.h"
#include "xok/info.h"

static inline void critical_enter(volatile struct xok_ctl *ctl)
{
    ctl->critical++;
    __asm__ volatile("" : : : "memory");
}

static inline void critical_leave(volatile struct xok_ctl *ctl)
{
    __asm__ volatile("" : : : "memory");
    if (--ctl->critical || !ctl->slice_over)
        return;
    ctl->slice_over = 0;
    xok_yield(0);
}

static inline int env_lives(u32 id)
{
    const volatile struct xok_env_info *e = &XOK_ENVS[XOK_ENV_INDEX(id)];
    return e->id == id && e->state != XOK_ENV_DEAD;
}

// A lock is a word: the id of its holder, 0 if free. 1: taken over from a holder that is no more.
static inline int robust_lock(volatile struct xok_ctl *ctl, volatile u32 *lock)
{
    for (;;) {
        critical_enter(ctl);
        u32 holder = 0;
        if (__atomic_compare_exchange_n(lock, &holder, ctl->id, 0, __ATOMIC_ACQUIRE, __ATOMIC_RELAXED))
            return 0;
        if (!env_lives(holder) &&
            __atomic_compare_exchange_n(lock, &holder, ctl->id, 0, __ATOMIC_ACQUIRE, __ATOMIC_RELAXED))
            return 1;
        critical_leave(ctl);
        xok_yield(holder);
    }
}

static inline void robust_unlock(volatile struct xok_ctl *ctl, volatile u32 *lock)
{
    __atomic_store_n(lock, 0, __ATOMIC_RELEASE);
    critical_leave(ctl);
}

#endif
