// The clock is the processor's counter and the kernel's exposed scale: no call.
#include "core/exos.h"
#include "linux/vdso.h"

u64 clock_mono_ns(void)
{
    return (u64)(((unsigned __int128)__builtin_ia32_rdtsc() * XOK_INFO->tsc_mult) >> 32);
}

static s64 real_shift; // what clock_settime(2) has made of the machine's own idea

u64 clock_real_ns(void)
{
    return XOK_INFO->boot_epoch_ns + real_shift + clock_mono_ns();
}

void clock_real_set(u64 ns)
{
    real_shift = ns - clock_mono_ns() - XOK_INFO->boot_epoch_ns;
    vdso_real_set(XOK_INFO->boot_epoch_ns + real_shift);
}
