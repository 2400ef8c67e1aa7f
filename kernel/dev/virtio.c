// Virtio transports and queues. A device's answers (ids, lengths) are checked: it may be broken.
#include "kernel.h"
#include "dev/virtio.h"

enum { ACKNOWLEDGE = 1, DRIVER = 2, DRIVER_OK = 4, FEATURES_OK = 8 };
// MMIO registers (virtio 1.2, 4.2.2)
enum { M_MAGIC = 0, M_VERSION = 4, M_DEVICE = 8, M_FEATURES = 0x10, M_FEATURES_SEL = 0x14, M_DRV_FEATURES = 0x20,
       M_DRV_FEATURES_SEL = 0x24, M_QUEUE_SEL = 0x30, M_QUEUE_MAX = 0x34, M_QUEUE_NUM = 0x38, M_QUEUE_READY = 0x44,
       M_NOTIFY = 0x50, M_ISR = 0x60, M_ACK = 0x64, M_STATUS = 0x70, M_QUEUE_DESC = 0x80, M_QUEUE_AVAIL = 0x90,
       M_QUEUE_USED = 0xa0, M_CONFIG = 0x100 };
// PCI common configuration (4.1.4.3)
enum { C_FEATURES_SEL = 0, C_FEATURES = 4, C_DRV_SEL = 8, C_DRV = 12, C_MSIX = 16, C_STATUS = 20, C_QUEUE_SEL = 22,
       C_QUEUE_SIZE = 24, C_QUEUE_MSIX = 26, C_QUEUE_ENABLE = 28, C_QUEUE_NOTIFY = 30, C_QUEUE_DESC = 32,
       C_QUEUE_AVAIL = 40, C_QUEUE_USED = 48 };
enum { MMIO_BASE = 0xfeb00000, MMIO_STEP = 512, MMIO_SLOTS = 24 };
static u32 next_vector = VECTOR_DEVICE;

static u32 r32(volatile u8 *p) { return *(volatile u32 *)p; }
static void w32(volatile u8 *p, u32 v) { *(volatile u32 *)p = v; }
static u16 r16(volatile u8 *p) { return *(volatile u16 *)p; }
static void w16(volatile u8 *p, u16 v) { *(volatile u16 *)p = v; }
static void w64(volatile u8 *p, u64 v) { w32(p, v), w32(p + 4, v >> 32); }

// ---- transport ---------------------------------------------------------------------------------------
static u8 status_get(struct virtio *v) { return v->mmio ? r32(v->mmio + M_STATUS) : v->common[C_STATUS]; }

static void status_set(struct virtio *v, u8 s)
{
    if (v->mmio)
        w32(v->mmio + M_STATUS, s);
    else
        v->common[C_STATUS] = s;
}

static u32 features_get(struct virtio *v, u32 word)
{
    w32(v->mmio ? v->mmio + M_FEATURES_SEL : v->common + C_FEATURES_SEL, word);
    return r32(v->mmio ? v->mmio + M_FEATURES : v->common + C_FEATURES);
}

static void features_set(struct virtio *v, u32 word, u32 bits)
{
    w32(v->mmio ? v->mmio + M_DRV_FEATURES_SEL : v->common + C_DRV_SEL, word);
    w32(v->mmio ? v->mmio + M_DRV_FEATURES : v->common + C_DRV, bits);
}

static bool negotiate(struct virtio *v, u64 want, u64 *have)
{
    status_set(v, 0);
    for (int i = 0; i < 100000 && status_get(v); i++)
        __builtin_ia32_pause();
    status_set(v, ACKNOWLEDGE);
    status_set(v, ACKNOWLEDGE | DRIVER);
    u64 offered = features_get(v, 0) | (u64)features_get(v, 1) << 32;
    *have = offered & (want | 1ul << VIRTIO_F_VERSION_1);
    if (!(*have >> VIRTIO_F_VERSION_1 & 1))
        return false;
    features_set(v, 0, *have);
    features_set(v, 1, *have >> 32);
    status_set(v, ACKNOWLEDGE | DRIVER | FEATURES_OK);
    return status_get(v) & FEATURES_OK;
}

void virtio_ready(struct virtio *v) { status_set(v, status_get(v) | DRIVER_OK); }
u32 virtio_config32(struct virtio *v, u32 offset) { return r32((v->mmio ? v->mmio + M_CONFIG : v->config) + offset); }

u32 virtio_ack(struct virtio *v)
{
    u32 isr = v->mmio ? r32(v->mmio + M_ISR) : 0;
    if (isr)
        w32(v->mmio + M_ACK, isr);
    return isr;
}

void virtio_config_irq(struct virtio *v, void (*fn)(void *), void *arg)
{
    if (!v->msix)
        return;
    irq_register(next_vector, fn, arg);
    w64(v->msix + 16, 0xfee00000 | cpus[0].apic_id << 12);
    w32(v->msix + 24, next_vector++);
    w32(v->msix + 28, 0);
    w16(v->common + C_MSIX, 1);
}

// ---- PCI ---------------------------------------------------------------------------------------------------
u32 pci_get(u32 dev, u32 reg)
{
    outl(0xcf8, 1u << 31 | dev << 8 | (reg & 0xfc));
    return inl(0xcfc);
}

void pci_set(u32 dev, u32 reg, u32 v)
{
    outl(0xcf8, 1u << 31 | dev << 8 | (reg & 0xfc));
    outl(0xcfc, v);
}

volatile u8 *pci_bar(u32 dev, u32 bar, u32 offset)
{
    u32 low = pci_get(dev, 0x10 + bar * 4);
    if (bar > 5 || low & 1)
        return NULL;
    u64 pa = low & ~15u;
    if ((low & 6) == 4)
        pa |= (u64)pci_get(dev, 0x14 + bar * 4) << 32;
    return pa ? (volatile u8 *)mmio_map(pa + offset, 0x4000) : NULL;
}

static volatile u8 *msix_route(u32 dev, u32 cap, u32 vector)
{
    u32 where = pci_get(dev, cap + 4);
    volatile u8 *table = pci_bar(dev, where & 7, where & ~7u);
    if (!table)
        return NULL;
    w64(table, 0xfee00000 | cpus[0].apic_id << 12);
    w32(table + 8, vector);
    w32(table + 12, 0);
    u32 control = pci_get(dev, cap);
    pci_set(dev, cap, (control & 0x3fffffff) | 1u << 31);
    return control >> 16 & 0x7ff ? table : NULL;
}

static bool pci_bind(struct virtio *v, u32 dev, u32 vector)
{
    *v = (struct virtio){0};
    pci_set(dev, 4, pci_get(dev, 4) | 6); // memory space, bus master
    u32 cap = pci_get(dev, 0x34) & 0xfc;
    for (int n = 0; cap && n < 48; n++, cap = pci_get(dev, cap) >> 8 & 0xfc) {
        u32 head = pci_get(dev, cap);
        if ((head & 0xff) == 0x11)
            v->msix = msix_route(dev, cap, vector);
        if ((head & 0xff) != 9)
            continue;
        volatile u8 *at = pci_bar(dev, pci_get(dev, cap + 4) & 0xff, pci_get(dev, cap + 8));
        switch (head >> 24) {
        case 1: v->common = at; break;
        case 2: v->notify = at, v->notify_step = pci_get(dev, cap + 16); break;
        case 3: v->isr = at; break;
        case 4: v->config = at; break;
        }
    }
    return v->common && v->notify && v->config;
}

static bool pci_find(struct virtio *v, u32 type, u32 n, u32 vector)
{
    if (pci_get(0, 0) == ~0u)
        return false;
    for (u32 dev = 0; dev < 256; dev++) { // bus 0, function 0 and others
        u32 id = pci_get(dev, 0), device = id >> 16;
        if ((id & 0xffff) != 0x1af4)
            continue;
        u32 t = device >= 0x1040 ? device - 0x1040 : pci_get(dev, 0x2c) >> 16;
        if (t == type && !n--)
            return pci_bind(v, dev, vector);
    }
    return false;
}

static bool mmio_find(struct virtio *v, u32 type, u32 n, u32 vector)
{
    volatile u8 *base = mmio_map(MMIO_BASE, MMIO_SLOTS * MMIO_STEP);
    for (u32 i = 0; i < MMIO_SLOTS; i++) {
        volatile u8 *p = base + i * MMIO_STEP;
        if (r32(p + M_MAGIC) != 0x74726976 || r32(p + M_VERSION) != 2 || r32(p + M_DEVICE) != type || n--)
            continue;
        *v = (struct virtio){.mmio = p};
        ioapic_route_virtio(i, vector);
        return true;
    }
    return false;
}

bool pci_interrupt(u32 dev, void (*fn)(void *), void *arg)
{
    u32 cap = pci_get(dev, 0x34) & 0xfc;
    for (int n = 0; cap && n < 48; n++, cap = pci_get(dev, cap) >> 8 & 0xfc)
        if ((pci_get(dev, cap) & 0xff) == 0x11 && msix_route(dev, cap, next_vector)) {
            irq_register(next_vector++, fn, arg);
            return true;
        }
    return false;
}

bool virtio_find(struct virtio *v, u32 type, u32 n, u64 want, u64 *have, void (*fn)(void *), void *arg)
{
    u32 vector = next_vector;
    if (!pci_find(v, type, n, vector) && !mmio_find(v, type, n, vector))
        return false;
    next_vector++;
    irq_register(vector, fn, arg);
    return negotiate(v, want, have);
}

// ---- queues ------------------------------------------------------------------------------------------------------
u32 virtio_queue_max(struct virtio *v, u32 index)
{
    if (v->mmio)
        w32(v->mmio + M_QUEUE_SEL, index);
    else
        w16(v->common + C_QUEUE_SEL, index);
    return v->mmio ? r32(v->mmio + M_QUEUE_MAX) : r16(v->common + C_QUEUE_SIZE);
}

volatile u16 *virtio_queue_set(struct virtio *v, u32 index, u32 size, u64 desc, u64 avail, u64 used)
{
    volatile u8 *c = v->mmio ? v->mmio : v->common;
    virtio_queue_max(v, index); // selects it
    if (v->mmio) {
        w32(c + M_QUEUE_NUM, size);
        w64(c + M_QUEUE_DESC, desc), w64(c + M_QUEUE_AVAIL, avail), w64(c + M_QUEUE_USED, used);
        w32(c + M_QUEUE_READY, 1);
        return (volatile u16 *)(c + M_NOTIFY);
    }
    w16(c + C_QUEUE_SIZE, size);
    w64(c + C_QUEUE_DESC, desc), w64(c + C_QUEUE_AVAIL, avail), w64(c + C_QUEUE_USED, used);
    w16(c + C_QUEUE_MSIX, 0);
    volatile u16 *doorbell = (void *)(v->notify + r16(c + C_QUEUE_NOTIFY) * v->notify_step);
    w16(c + C_QUEUE_ENABLE, 1);
    return doorbell;
}

void virtio_doorbell(struct virtio *v, volatile u16 *doorbell, u16 index)
{
    if (v->mmio)
        w32((volatile u8 *)doorbell, index);
    else
        *doorbell = index;
}

bool virtq_init(struct virtq *q, struct virtio *v, u32 index)
{
    u64 pa = kpage_alloc();
    if (!pa)
        return false;
    u8 *page = phys_to_virt(pa);
    u32 max = virtio_queue_max(v, index);
    if (!max)
        return false;
    *q = (struct virtq){.dev = v, .index = index, .size = MIN(max, (u32)VIRTQ_SIZE)};
    q->desc = (void *)page;
    q->avail = (void *)(page + 16 * VIRTQ_SIZE);
    q->used = (void *)(page + 16 * VIRTQ_SIZE + 512);
    q->free_count = q->size;
    for (u16 i = 0; i < q->size; i++)
        q->desc[i].next = i + 1;
    q->doorbell = virtio_queue_set(v, index, q->size, pa, virt_to_phys((void *)q->avail),
                                   virt_to_phys((void *)q->used));
    return true;
}

bool virtq_put(struct virtq *q, u64 pa, u32 len, u16 flags, u64 cookie)
{
    if (!q->free_count)
        return false;
    u16 i = q->free_head;
    q->free_head = q->desc[i].next;
    q->free_count--;
    q->desc[i].addr = pa;
    q->desc[i].len = len;
    q->desc[i].flags = flags;
    q->cookie[i] = cookie;
    q->avail[2 + q->avail_next++ % q->size] = i;
    __atomic_thread_fence(__ATOMIC_RELEASE);
    q->avail[1] = q->avail_next;
    return true;
}

bool virtq_add(struct virtq *q, u64 pa, u32 len, bool device_writes, u64 cookie)
{
    return virtq_put(q, pa, len, device_writes ? 2 : 0, cookie);
}

void virtq_kick(struct virtq *q)
{
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
    if (q->used->flags & 1) // the device is looking already
        return;
    virtio_doorbell(q->dev, q->doorbell, q->index);
}

bool virtq_pop(struct virtq *q, u64 *cookie, u32 *len)
{
    if (q->used_seen == q->used->idx)
        return false;
    __atomic_thread_fence(__ATOMIC_ACQUIRE);
    u32 id = q->used->ring[q->used_seen % q->size].id;
    *len = q->used->ring[q->used_seen % q->size].len;
    q->used_seen++;
    if (id >= q->size)
        return false;
    *cookie = q->cookie[id];
    q->desc[id].next = q->free_head;
    q->free_head = id;
    q->free_count++;
    return true;
}

void virtq_interrupts(struct virtq *q, bool on)
{
    q->avail[0] = !on;
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
}
