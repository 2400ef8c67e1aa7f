// Devices: what the rest of the kernel may ask of each driver. All under the BKL unless said.
#ifndef XOK_DEV_H
#define XOK_DEV_H
#include <stdbool.h>
#include "xok/types.h"
#include "xok/cpu.h"

// ---- serial.c: 16550 at 0x3f8, polled; the machine's log. No lock of its own.
void serial_init(void);
void serial_putc(char c);
// Stops QEMU through isa-debug-exit at port 0xf4: its exit status is code * 2 + 1. No device: halts.
void debug_exit(u32 code) __attribute__((noreturn));

// ---- acpi.c: processors and interrupt controllers from the MADT; one processor if there is none.
extern u32 acpi_cpu_count, acpi_apic_id[XOK_CPU_MAX];
extern u64 acpi_ioapic, acpi_lapic, acpi_ecam;
void acpi_init(u64 rsdp); // physical, 0: search
u32 acpi_gsi(u32 isa_irq, bool *low, bool *level);

// ---- apic.c
void apic_init_bsp(void), apic_init_ap(void);
u32 apic_id(void);
void apic_eoi(void);
void apic_ipi(u32 apic_id, u32 vector);
void apic_start(u32 apic_id, u32 page); // INIT, then two SIPIs at page * 4096
void apic_timer_arm(u64 ns);            // one interrupt on VECTOR_TIMER, ns from now; replaces the last
void apic_timer_start(void), apic_timer_stop(void); // for calibration
u32 apic_timer_elapsed(void);
void ioapic_route(u32 gsi, u32 vector, bool level, bool low);
void ioapic_route_virtio(u32 slot, u32 vector); // the MMIO transport in this slot of microvm

// ---- clock.c: fills info.tsc_mult and boot_epoch_ns; calibrates the APIC timer in the same window
extern u64 apic_timer_hz;
void clock_init(void);
void delay_us(u32 us);

// ---- console.c: four byte streams over virtio-console (docs/console.md)
void console_init(void);
// Copies at most len bytes from/to a user address; returns the count or XOK_E_FAULT.
s64 console_write(u32 port, u64 user, u64 len);
s64 console_read(u32 port, u64 user, u64 len);
void console_drain(void); // bounded wait until the host has taken everything

// ---- entropy.c
void entropy_init(void);
void entropy_get(void *buf, u64 len);
#endif
