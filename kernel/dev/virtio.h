// Virtio 1.2 devices over MMIO and PCI, with split queues. All under the BKL.
#ifndef XOK_VIRTIO_H
#define XOK_VIRTIO_H
#include <stdbool.h>
#include "xok/types.h"

struct virtio { // one device
    volatile u8 *mmio;                       // MMIO transport, else PCI:
    volatile u8 *common, *notify, *isr, *config;
    u32 notify_step;
};
enum { VIRTIO_CONSOLE = 3, VIRTIO_F_VERSION_1 = 32 };
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

// Finds the n-th device of a type and negotiates `want` features (VERSION_1 is always asked for and
// required); routes its interrupt to fn on a vector of its own. False: none, or it refuses.
bool virtio_find(struct virtio *v, u32 type, u32 n, u64 want, u64 *have, void (*fn)(void *), void *arg);
void virtio_ready(struct virtio *v);
u32 virtio_config32(struct virtio *v, u32 offset);
void virtio_ack(struct virtio *v); // in the interrupt handler
bool virtq_init(struct virtq *q, struct virtio *v, u32 index);
bool virtq_add(struct virtq *q, u64 pa, u32 len, bool device_writes, u64 cookie); // false: full
void virtq_kick(struct virtq *q);
bool virtq_pop(struct virtq *q, u64 *cookie, u32 *len); // a buffer that the device is done with
void virtq_interrupts(struct virtq *q, bool on);
#endif
