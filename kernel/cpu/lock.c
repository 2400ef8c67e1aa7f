// The one kernel lock. Calls are short and bounded, so processors queue for the kernel; bounces and page
// faults of programs do not take it.
#include "kernel.h"

volatile u32 next_ticket, now_serving; // cpu/pct.S takes it too, when nobody holds it

void kernel_lock(void)
{
    u32 mine = __atomic_fetch_add(&next_ticket, 1, __ATOMIC_ACQ_REL);
    while (__atomic_load_n(&now_serving, __ATOMIC_ACQUIRE) != mine) {
        // The holder may be waiting for this processor to drop translations.
        tlb_serve();
        __builtin_ia32_pause();
    }
}

void kernel_unlock(void)
{
    __atomic_store_n(&now_serving, now_serving + 1, __ATOMIC_RELEASE);
}
