// Virtio 1.2 devices over MMIO and PCI, with split queues. All under the BKL.
#ifndef XOK_VIRTIO_H
#define XOK_VIRTIO_H
#include <stdbool.h>
#include "xok/types.h"

struct virtio { // one device
    volatile u8 *mmio;                       // MMIO transport, else PCI:
    volatile u8 *common, *notify, *isr, *config;
    u32 notify_step;
    volatile u8 *msix;                       // PCI: table of two vectors or more
};
enum { VIRTIO_NET = 1, VIRTIO_BLK = 2, VIRTIO_CONSOLE = 3, VIRTIO_F_INDIRECT = 28, VIRTIO_F_EVENT_IDX = 29, VIRTIO_F_VERSION_1 = 32 };
enum { VIRTQ_SIZE = 64 }; // a queue's tables fit one page; drivers keep at most this many buffers posted

struct virtq {
    struct virtio *dev;
    u32 index;
    u16 size, free_head, free_count, used_seen, avail_next;
    struct virtq_desc {
        u64 addr;
        u32 len;
        u16 flags, next;
    } volatile *desc;
    volatile u16 *avail; // flags, idx, ring[]
    volatile struct virtq_used {
        u16 flags, idx;
        struct {
            u32 id, len;
        } ring[];
    } *used;
    volatile u16 *doorbell; // PCI
    u64 cookie[VIRTQ_SIZE];
};

// Functions on PCI bus 0, by device << 3 | function.
u32 pci_get(u32 dev, u32 reg);
void pci_set(u32 dev, u32 reg, u32 v);
volatile u8 *pci_bar(u32 dev, u32 bar, u32 offset); // 16 KiB of it, NULL
bool pci_interrupt(u32 dev, void (*fn)(void *), void *arg); // entry 0 of its MSI-X table; false: it has none

// Finds the n-th device of a type and negotiates `want` features (VERSION_1 is always asked for and
// required); routes its interrupt to fn on a vector of its own. False: none, or it refuses.
bool virtio_find(struct virtio *v, u32 type, u32 n, u64 want, u64 *have, void (*fn)(void *), void *arg);
void virtio_ready(struct virtio *v);
u32 virtio_config32(struct virtio *v, u32 offset);
u32 virtio_ack(struct virtio *v); // in the interrupt handler. MMIO: the ISR's bits, 2: the configuration changed
void virtio_config_irq(struct virtio *v, void (*fn)(void *), void *arg); // PCI: when the configuration changes
// Queues of a driver's own making: their size at most, their tables' physical addresses, their doorbell.
u32 virtio_queue_max(struct virtio *v, u32 index);
volatile u16 *virtio_queue_set(struct virtio *v, u32 index, u32 size, u64 desc, u64 avail, u64 used);
void virtio_doorbell(struct virtio *v, volatile u16 *doorbell, u16 index);
bool virtq_init(struct virtq *q, struct virtio *v, u32 index);
bool virtq_put(struct virtq *q, u64 pa, u32 len, u16 flags, u64 cookie); // the descriptor's flags as given
bool virtq_add(struct virtq *q, u64 pa, u32 len, bool device_writes, u64 cookie); // false: full
void virtq_kick(struct virtq *q);
bool virtq_pop(struct virtq *q, u64 *cookie, u32 *len); // a buffer that the device is done with
void virtq_interrupts(struct virtq *q, bool on);
#endif
