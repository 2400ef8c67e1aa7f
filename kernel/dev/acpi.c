// What the kernel needs of ACPI (6.4): processors and interrupt controllers (MADT), PCI configuration (MCFG).
#include "kernel.h"

struct sdt {
    char signature[4];
    u32 length;
    u8 revision, checksum;
    char oem[6], table[8];
    u32 rest[3];
} __attribute__((packed));

u32 acpi_cpu_count, acpi_apic_id[XOK_CPU_MAX];
u64 acpi_ioapic = 0xfec00000, acpi_lapic = 0xfee00000, acpi_ecam;
static struct {
    u32 gsi;
    u16 flags;
    bool set;
} overrides[16];
enum { TABLE_MAX = 1 << 20 }; // no table of these machines comes near; guards against damaged lengths

static bool sum_ok(const void *p, u32 len)
{
    u8 sum = 0;
    for (u32 i = 0; i < len; i++)
        sum += ((const u8 *)p)[i];
    return !sum;
}

static struct sdt *table_at(u64 pa)
{
    struct sdt *t = pa && pa < (1ul << 32) ? mmio_map(pa, TABLE_MAX) : NULL;
    return t && t->length >= sizeof *t && t->length <= TABLE_MAX && sum_ok(t, t->length) ? t : NULL;
}

static void madt_read(struct sdt *t)
{
    u8 *p = (u8 *)t + 44, *end = (u8 *)t + t->length;
    acpi_lapic = *(u32 *)((u8 *)t + 36);
    for (; p + 2 <= end && p[1] >= 2 && p + p[1] <= end; p += p[1]) {
        if (p[0] == 0 && p[1] >= 8 && *(u32 *)(p + 4) & 1 && acpi_cpu_count < XOK_CPU_MAX)
            acpi_apic_id[acpi_cpu_count++] = p[3];
        else if (p[0] == 1 && p[1] >= 12 && *(u32 *)(p + 8) == 0)
            acpi_ioapic = *(u32 *)(p + 4);
        else if (p[0] == 2 && p[1] >= 10 && p[3] < 16)
            overrides[p[3]].gsi = *(u32 *)(p + 4), overrides[p[3]].flags = *(u16 *)(p + 8), overrides[p[3]].set = true;
    }
}

static u64 rsdp_search(void)
{
    for (u64 pa = 0xe0000; pa < 0x100000; pa += 16)
        if (!memcmp(phys_to_virt(pa), "RSD PTR ", 8) && sum_ok(phys_to_virt(pa), 20))
            return pa;
    return 0;
}

void acpi_init(u64 rsdp)
{
    rsdp = rsdp ? rsdp : rsdp_search();
    if (!rsdp)
        return;
    u8 *r = phys_to_virt(rsdp);
    bool wide = r[15] >= 2 && *(u64 *)(r + 24);
    struct sdt *root = table_at(wide ? *(u64 *)(r + 24) : *(u32 *)(r + 16));
    if (!root)
        return;
    u32 size = wide ? 8 : 4, n = (root->length - 36) / size;
    for (u32 i = 0; i < n; i++) {
        u8 *at = (u8 *)root + 36 + i * size;
        struct sdt *t = table_at(wide ? *(u64 *)at : *(u32 *)at);
        if (t && !memcmp(t->signature, "APIC", 4) && t->length >= 44)
            madt_read(t);
        if (t && !memcmp(t->signature, "MCFG", 4) && t->length >= 60)
            acpi_ecam = *(u64 *)((u8 *)t + 44);
    }
}

u32 acpi_gsi(u32 irq, bool *low, bool *level)
{
    bool set = irq < 16 && overrides[irq].set;
    *low = set && (overrides[irq].flags & 3) == 3;
    *level = set && (overrides[irq].flags >> 2 & 3) == 3;
    return set ? overrides[irq].gsi : irq;
}
