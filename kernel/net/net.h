// Links, rings and filters inside the kernel: what kernel/net/ and the drivers share. All under the BKL.
#ifndef XOK_KNET_H
#define XOK_KNET_H
#include "kernel.h"
#include "net/dpf.h"

struct ring {
    u32 number;
    u32 owner, nic, flags;
    u32 rx_count, tx_count;
    u32 rx_at, tx_at;   // next descriptor of each, below their counts
    u32 filters;        // that point here
    u32 sending;        // frames whose pages a device may still read
    u8 touched;         // TOUCHED_*: predicates to look at before the kernel is left
    u32 next_touched;   // ring number + 1
    u64 pa;             // of the first page
};
enum { TOUCHED_ARRIVED = 1, TOUCHED_SENT = 2 };

struct piece { // of a frame in the kernel's reach
    const u8 *at;
    u32 len;
};

struct virtio_net;
enum { NIC_TAPS = 4, FRAME_PARTS = XOK_TX_PARTS * XOK_TX_DESCS };
struct nic {
    u32 index;
    struct xok_nic_info *info;
    struct virtio_net *device; // NULL: the loop
    u32 tap[NIC_TAPS], taps;   // rings
    u64 quiet_until;           // ns: no interrupts till then; 0 if they are on
};

// A frame to be sent, read from its descriptors once and checked.
struct frame {
    u16 flags, csum_start, csum_offset, gso_size;
    u32 len, head_len;         // bytes in all, and in `head`
    u8 *head;
    struct xok_part part[FRAME_PARTS]; // what follows the head, each physically contiguous
    u32 parts;
    u32 ring, first, descs;    // where it stands
};

static inline bool mac_equal(const u8 *a, const u8 *b)
{
    return *(const u32 *)a == *(const u32 *)b && *(const u16 *)(a + 4) == *(const u16 *)(b + 4);
}

// ---- net.c
extern struct dpf dpf;
extern struct nic nics[XOK_NIC_MAX];
extern struct xok_net_info *net; // writable view of the exposed structure
struct nic *nic_find(u64 index);
// A frame from the link (outside 0), or one that a tap sees go out. flags: XOK_RX_*.
void nic_input(struct nic *nic, const struct piece *p, u32 len, u16 flags, u16 gso_size);
void nic_tap(struct nic *nic, const struct piece *p, u32 len, u16 flags, u16 gso_size);
u32 nic_serve(struct nic *nic); // in the device's interrupt
struct nic *nic_add(const u8 *mac, u32 mtu, u32 features, struct virtio_net *device); // NULL: too many

// ---- ring.c
struct ring *ring_find(u64 number);
static inline volatile struct xok_ring *ring_head(const struct ring *r) { return phys_to_virt(r->pa); }
static inline volatile struct xok_rx *ring_rx(const struct ring *r, u32 i)
{
    return XOK_RING_RX(phys_to_virt(r->pa)) + i;
}
static inline volatile struct xok_tx *ring_tx(const struct ring *r, u32 i)
{
    return XOK_RING_TX(phys_to_virt(r->pa), r->rx_count) + i;
}
// False: no room, or a bad buffer; counted in the ring.
bool ring_deliver(struct ring *r, const struct piece *p, u32 len, u16 flags, u16 gso_size, u32 tag);
void ring_sent(u32 number, u32 first, u32 descs, s8 result); // descriptors are the library's again
void rings_wake(void); // looks at the predicates over rings that were touched

// ---- handler.c
bool handler_run(struct nic *nic, struct xok_filter_info *f, const struct piece *p, u32 len); // false: declined
void handler_drop(struct xok_filter_info *f);

// ---- send.c
s64 frame_send(struct nic *nic, const struct cap *c, const u8 *bytes, u32 len); // len <= XOK_REPLY_MAX; no doorbell
bool pages_may_all(const struct cap *c, u64 addr, u64 len, u32 rights);
// May c use memory [addr, addr + len), len >= 1? Most often it is one page of its own.
static inline bool pages_may(const struct cap *c, u64 addr, u64 len, u32 rights)
{
    u64 ppn = addr / XOK_PAGE_SIZE;
    if (addr % XOK_PAGE_SIZE + len <= XOK_PAGE_SIZE && ppn < page_count && pages[ppn].type == XOK_PAGE_USER &&
        XOK_ACL_NAME(pages[ppn].acl[0]) == c->name && (c->rights & rights) == rights)
        return true;
    return pages_may_all(c, addr, len, rights);
}

// ---- dev/virtio_net.c
void virtio_net_init(void);
u8 *virtio_net_head(struct virtio_net *d);                       // where the next frame's head goes, NULL: full
void virtio_net_send(struct virtio_net *d, const struct frame *f); // head is virtio_net_head's; no doorbell yet
void virtio_net_kick(struct virtio_net *d);
u32 virtio_net_poll(struct virtio_net *d, u32 budget);           // frames delivered; completions collected
void virtio_net_disarm(struct virtio_net *d);                    // no interrupts for arriving frames
bool virtio_net_arm(struct virtio_net *d);                       // one for the next; false: there is one already
void virtio_net_want_sent(struct virtio_net *d);                 // an interrupt when what stands there is sent
#endif
