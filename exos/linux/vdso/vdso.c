// The vDSO (vdso(7)): clocks read in the program itself, with no way into ExOS. One page of code and data that every
// process maps; ExOS (linux/vdso.c) fills in the data.
#include "xok/types.h"
#include "linux/vdso.h"

enum { SECOND = 1000000000, EINVAL_ = 22, CLOCKS = 12, COARSE_NS = 4000000 };
#define REAL_CLOCKS (1u << 0 | 1u << 5 | 1u << 11) // CLOCK_REALTIME, its coarse one, CLOCK_TAI
#define MONO_CLOCKS (1u << 1 | 1u << 4 | 1u << 6 | 1u << 7)

__attribute__((section(".vdso_data"), visibility("hidden"))) const volatile struct vdso_data vdso_data = {0};

static s64 call(u64 nr, u64 a, u64 b)
{
    s64 r;
    __asm__ volatile("int $0x7e" : "=a"(r) : "a"(nr), "D"(a), "S"(b) : "rcx", "r11", "memory");
    return r;
}

static u64 mono(void) { return (u64)(((unsigned __int128)__builtin_ia32_rdtsc() * vdso_data.scale) >> 32); }

s64 __vdso_clock_gettime(u32 clock, s64 *t)
{
    if (clock >= CLOCKS || !((REAL_CLOCKS | MONO_CLOCKS) >> clock & 1))
        return call(228, clock, (u64)t);
    u64 ns = mono();
    if (REAL_CLOCKS >> clock & 1)
        ns += vdso_data.real;
    t[0] = ns / SECOND;
    t[1] = ns % SECOND;
    return 0;
}

s64 __vdso_clock_getres(u32 clock, s64 *t)
{
    if (clock >= CLOCKS || !((REAL_CLOCKS | MONO_CLOCKS) >> clock & 1))
        return call(229, clock, (u64)t);
    if (t)
        t[0] = 0, t[1] = clock == 5 || clock == 6 ? COARSE_NS : 1;
    return 0;
}

s64 __vdso_gettimeofday(s64 *tv, u32 *zone)
{
    u64 ns = mono() + vdso_data.real;
    if (tv)
        tv[0] = ns / SECOND, tv[1] = ns % SECOND / 1000;
    if (zone)
        zone[0] = zone[1] = 0;
    return 0;
}

s64 __vdso_time(s64 *t)
{
    s64 now = (mono() + vdso_data.real) / SECOND;
    if (t)
        *t = now;
    return now;
}

// The control page tells; the kernel writes it at each dispatch.
s64 __vdso_getcpu(u32 *cpu, u32 *node)
{
    u64 ctl;
    __asm__("mov %%gs:%c1, %0" : "=r"(ctl) : "i"(VDSO_T_CTL));
    if (cpu)
        *cpu = *(volatile u32 *)(ctl + VDSO_CTL_CPU);
    if (node)
        *node = 0;
    return 0;
}
