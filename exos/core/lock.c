// Locks among the threads of a family. The word names the owner, so that a waiter can give it the
// processor: with one processor a held lock means that its owner was pre-empted.
#include "core/exos.h"
#include "core/calls.h"

enum { SPINS = 200 }; // the longest critical sections are about this many instructions

void lock_contended(struct lock *l)
{
    for (;;) {
        u32 owner = __atomic_load_n(&l->owner, __ATOMIC_RELAXED);
        if (owner && XOK_ENVS[XOK_ENV_INDEX(owner)].cpu != 0xffff)
            for (int i = 0; i < SPINS && __atomic_load_n(&l->owner, __ATOMIC_RELAXED); i++)
                __builtin_ia32_pause();
        if (lock_try(l))
            return;
        owner = __atomic_load_n(&l->owner, __ATOMIC_RELAXED);
        if (owner == thread_self()->env)
            panic("lock %p taken twice", (void *)l);
        if (owner)
            xok_yield(owner);
    }
}
