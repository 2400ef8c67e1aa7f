// The clock is the processor's counter and the kernel's exposed scale: no call.
#include "core/exos.h"

u64 clock_mono_ns(void)
{
    return (u64)(((unsigned __int128)__builtin_ia32_rdtsc() * XOK_INFO->tsc_mult) >> 32);
}

u64 clock_real_ns(void)
{
    return XOK_INFO->boot_epoch_ns + clock_mono_ns();
}
