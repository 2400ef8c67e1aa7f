// The one kernel lock. Calls are short and bounded, so processors queue for the kernel; bounces and page
// faults of programs do not take it.
#include "kernel.h"

// Whoever comes while it is free has it, out of turn: where a processor is itself a thread of a busy host, a
// queue would hand the kernel to one that is not running, and all would wait until the host runs it again.
volatile u32 kernel_held; // cpu/pct.S takes it too, when nobody holds it

void kernel_lock(void)
{
    while (__atomic_exchange_n(&kernel_held, 1, __ATOMIC_ACQUIRE))
        while (__atomic_load_n(&kernel_held, __ATOMIC_RELAXED)) {
            // The holder may be waiting for this processor to drop translations.
            tlb_serve();
            __builtin_ia32_pause();
        }
}

void kernel_unlock(void)
{
    __atomic_store_n(&kernel_held, 0, __ATOMIC_RELEASE);
}
