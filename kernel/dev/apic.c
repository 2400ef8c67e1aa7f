// Local and I/O interrupt controllers (Intel SDM vol. 3, ch. 11; 82093AA).
#include "kernel.h"

enum { ID = 0x20, TPR = 0x80, EOI = 0xb0, SVR = 0xf0, ICR_LOW = 0x300, ICR_HIGH = 0x310, LVT_TIMER = 0x320,
       LVT_LINT0 = 0x350, LVT_LINT1 = 0x360, TIMER_INIT = 0x380, TIMER_NOW = 0x390, TIMER_DIV = 0x3e0 };
enum { ICR_PENDING = 1 << 12, ICR_INIT = 0x4500, ICR_SIPI = 0x4600, DIV_1 = 0xb, MASKED = 1 << 16 };
static volatile u32 *lapic, *ioapic;
u64 apic_timer_hz;

static u32 get(u32 reg) { return lapic[reg / 4]; }
static void set(u32 reg, u32 v) { lapic[reg / 4] = v; }

u32 apic_id(void) { return get(ID) >> 24; }
void apic_eoi(void) { set(EOI, 0); }

void apic_init_ap(void)
{
    wrmsr(0x1b, (rdmsr(0x1b) & 0xfff) | acpi_lapic | 1 << 11);
    set(SVR, 0x100 | VECTOR_SPURIOUS);
    set(TPR, 0);
    set(LVT_LINT0, MASKED);
    set(LVT_LINT1, MASKED);
    set(TIMER_DIV, DIV_1);
    set(LVT_TIMER, VECTOR_TIMER);
}

void apic_init_bsp(void)
{
    outb(0x21, 0xff); // the old controllers stay silent
    outb(0xa1, 0xff);
    lapic = mmio_map(acpi_lapic, XOK_PAGE_SIZE);
    ioapic = mmio_map(acpi_ioapic, XOK_PAGE_SIZE);
    apic_init_ap();
    ioapic[0] = 1;
    u32 pins = ioapic[4] >> 16 & 0xff;
    for (u32 i = 0; i <= pins; i++) {
        ioapic[0] = 0x10 + i * 2;
        ioapic[4] = MASKED;
    }
}

static void icr_write(u32 id, u32 command)
{
    for (int i = 0; i < 1000000 && get(ICR_LOW) & ICR_PENDING; i++)
        __builtin_ia32_pause();
    set(ICR_HIGH, id << 24);
    set(ICR_LOW, command);
}

void apic_ipi(u32 id, u32 vector)
{
    icr_write(id, 0x4000 | vector);
}

void apic_start(u32 id, u32 page)
{
    icr_write(id, ICR_INIT);
    delay_us(200); // the manual's 10 ms is for processors of the last century
    for (int i = 0; i < 2; i++) {
        icr_write(id, ICR_SIPI | page);
        delay_us(200);
    }
}

void apic_timer_arm(u64 ns)
{
    u64 max = 1000000000; // a second: longer waits are armed again
    u64 ticks = MIN(ns, max) * apic_timer_hz / 1000000000;
    set(TIMER_INIT, MAX(ticks, 1ul));
}

void ioapic_route(u32 gsi, u32 vector, bool level, bool low)
{
    ioapic[0] = 0x10 + gsi * 2 + 1;
    ioapic[4] = cpus[0].apic_id << 24;
    ioapic[0] = 0x10 + gsi * 2;
    ioapic[4] = vector | (level ? 1 << 15 : 0) | (low ? 1 << 13 : 0);
}

// The timer counts down from all ones without an interrupt, for calibration.
void apic_timer_start(void)
{
    set(LVT_TIMER, MASKED);
    set(TIMER_INIT, ~0u);
}

u32 apic_timer_elapsed(void) { return ~get(TIMER_NOW); }

void apic_timer_stop(void)
{
    set(TIMER_INIT, 0);
    set(LVT_TIMER, VECTOR_TIMER);
}

// QEMU's microvm wires its transports to pins 5.. of the first controller (8 of them), or, when it has a
// second controller (at 0xfec10000, ACPI on), to that one's pins (24 of them).
void ioapic_route_virtio(u32 slot, u32 vector)
{
    volatile u32 *second = mmio_map(0xfec10000, XOK_PAGE_SIZE);
    second[0] = 1;
    u32 version = second[4];
    if (version == ~0u || !(version >> 16 & 0xff)) {
        ioapic_route(5 + slot, vector, false, false);
        return;
    }
    second[0] = 0x10 + slot * 2 + 1;
    second[4] = cpus[0].apic_id << 24;
    second[0] = 0x10 + slot * 2;
    second[4] = vector;
}
