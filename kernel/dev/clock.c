// The clock: the TSC, measured once against the i8254's channel 0, which every PC machine has (microvm lacks
// port 0x61, which channel 2 would need). Its interrupt stays masked.
#include "kernel.h"

enum { PIT_HZ = 1193182, WINDOW = 2386 }; // about 2 ms: 1 in 2000 of the PIT, and short for the boot

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

// The i8254's count with what the other counters say meanwhile. The tightest of a few readings, for one may
// be torn apart by whoever runs the machine.
struct reading {
    u64 tsc, width;
    u32 pit, apic;
};

static struct reading read_clocks(void)
{
    struct reading best = {.width = ~0ul};
    for (int i = 0; i < 8; i++) {
        u64 tsc = rdtsc();
        outb(0x43, 0x00); // latch channel 0
        u32 apic = apic_timer_elapsed(), low = inb(0x40);
        u32 pit = low | inb(0x40) << 8;
        u64 width = rdtsc() - tsc;
        if (width < best.width)
            best = (struct reading){tsc, width, pit, apic};
    }
    return best;
}

// Under -icount a tick is a nanosecond by definition: the measurement only rounds it.
static u64 rounded(u64 hz) { return hz > 990000000 && hz < 1010000000 ? 1000000000 : hz; }

void clock_init(void)
{
    outb(0x43, 0x34); // channel 0, mode 2: counts down from 65536 again and again
    outb(0x40, 0);
    outb(0x40, 0);
    apic_timer_start();
    struct reading from = read_clocks(), to = from;
    for (int i = 0; i < 1000000 && (u16)(from.pit - to.pit) < WINDOW; i++)
        to = read_clocks();
    apic_timer_stop();
    u32 window = (u16)(from.pit - to.pit);
    if (!window)
        panic("the i8254 does not count");
    u64 hz = rounded((to.tsc - from.tsc) * PIT_HZ / window);
    apic_timer_hz = rounded((u64)(to.apic - from.apic) * PIT_HZ / window);
    if (!hz || !apic_timer_hz)
        panic("the clock stands still");
    info.tsc_mult = (1000000000ul << 32) / hz;
    const char *epoch = boot_option("epoch_ns");
    info.boot_epoch_ns = (epoch ? decimal(epoch) : rtc_seconds() * 1000000000) - (epoch ? 0 : clock_ns());
}

void delay_us(u32 us)
{
    u64 until = clock_ns() + us * 1000ul;
    while (clock_ns() < until)
        __builtin_ia32_pause();
}
