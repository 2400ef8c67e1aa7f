// The clock: the TSC, measured once against the i8254's channel 2, which every PC machine has.
#include "kernel.h"

enum { PIT_HZ = 1193182, WINDOW = 1193 }; // about 1 ms: 1 in 1000 of the PIT, and short for the boot

static u64 decimal(const char *s)
{
    u64 v = 0;
    while (s && *s >= '0' && *s <= '9')
        v = v * 10 + *s++ - '0';
    return v;
}

static u8 cmos(u8 reg)
{
    outb(0x70, reg);
    return inb(0x71);
}

static u32 bcd(u8 v, bool binary) { return binary ? v : (v >> 4) * 10 + (v & 15); }

// Days from 1970-01-01 (proleptic Gregorian).
static s64 days(s64 y, u32 m, u32 d)
{
    y -= m <= 2;
    s64 era = y / 400;
    u32 yoe = y - era * 400, doy = (153 * (m + (m > 2 ? -3 : 9)) + 2) / 5 + d - 1;
    return era * 146097 + yoe * 365 + yoe / 4 - yoe / 100 + doy - 719468;
}

static u64 rtc_seconds(void)
{
    if (cmos(0x0d) == 0xff || !(cmos(0x0d) & 0x80))
        return 0;
    for (int i = 0; i < 10000 && cmos(0x0a) & 0x80; i++)
        ;
    bool binary = cmos(0x0b) & 4;
    u32 s = bcd(cmos(0), binary), m = bcd(cmos(2), binary), h = bcd(cmos(4) & 0x7f, binary);
    u32 d = bcd(cmos(7), binary), mo = bcd(cmos(8), binary), y = 2000 + bcd(cmos(9), binary);
    return days(y, mo, d) * 86400 + h * 3600 + m * 60 + s;
}

void clock_init(void)
{
    outb(0x61, (inb(0x61) & ~2) | 1); // gate on, speaker off
    outb(0x43, 0xb0);                 // channel 2, mode 0, both bytes
    outb(0x42, WINDOW & 0xff);
    apic_timer_start();
    u64 from = rdtsc();
    outb(0x42, WINDOW >> 8);
    for (int i = 0; i < 10000000 && !(inb(0x61) & 0x20); i++)
        ;
    u64 tsc = rdtsc() - from;
    u32 ticks = apic_timer_elapsed();
    u64 hz = tsc * PIT_HZ / WINDOW;
    // Under -icount a tick is a nanosecond by definition: the measurement only rounds it.
    if (hz > 990000000 && hz < 1010000000)
        hz = 1000000000;
    info.tsc_mult = (1000000000ul << 32) / (hz ? hz : 1);
    apic_timer_hz = (u64)ticks * PIT_HZ / WINDOW;
    if (apic_timer_hz > 990000000 && apic_timer_hz < 1010000000)
        apic_timer_hz = 1000000000;
    const char *epoch = boot_option("epoch_ns");
    info.boot_epoch_ns = (epoch ? decimal(epoch) : rtc_seconds() * 1000000000) - (epoch ? 0 : clock_ns());
}

void delay_us(u32 us)
{
    u64 until = clock_ns() + us * 1000ul;
    while (clock_ns() < until)
        __builtin_ia32_pause();
}
