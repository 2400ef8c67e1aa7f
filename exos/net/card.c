// The network card: a packet ring of the kernel's (xok/net.h) as an interface of the stack. All of it under
// the stack's lock.
#include "core/calls.h"
#include "core/pages.h"
#include "core/thread.h"
#include "net/card.h"
#include "net/keep.h"
#include "xok/net.h"

enum {
    RX = 512, TX = 256,           // descriptors
    ROOM = 2048,                  // of a receive buffer
    HEAD_ROOM = XOK_TX_HEAD,
    RING_ORDER = 4, RX_ORDER = 8, HEADS_ORDER = 4,
    PARTS_MAX = XOK_TX_DESCS * XOK_TX_PARTS,
};
_Static_assert(XOK_RING_PAGES(RX, TX) <= 1 << RING_ORDER, "");
_Static_assert(RX * ROOM <= (PAGE << RX_ORDER), "");
_Static_assert(TX * HEAD_ROOM <= (PAGE << HEADS_ORDER), "");

static struct netif nif;
static s64 ring = -1, nic;
static volatile struct xok_ring *head;
static volatile struct xok_rx *rx;
static volatile struct xok_tx *tx;
static u8 *rx_room, *tx_heads;
static u32 rx_at, tx_at, tx_done;   // next descriptor; of tx they count on
static void *tx_page[TX][XOK_TX_PARTS]; // whose bytes are on their way, a reference each
static bool tx_waiting;             // frames stand in the ring that the kernel has not been told of
static u8 long_frame[XOK_FRAME_MAX];
static u32 long_len;

// The physical address of a byte of the family's pages, or of the root image.
static u64 physical(const void *at)
{
    u64 va = (u64)at;
    if (va >= WINDOW_VA)
        return va - WINDOW_VA;
    return va - MODULE_VA + XOK_INFO->module_ppn * PAGE;
}

// ---- out
static void reap(void)
{
    while (tx_done != tx_at && __atomic_load_n(&tx[tx_done % TX].state, __ATOMIC_ACQUIRE) == XOK_DESC_MINE) {
        void **p = tx_page[tx_done % TX];
        for (u32 n = 0; n < XOK_TX_PARTS; n++) {
            if (p[n])
                net_page_put(p[n]);
            p[n] = NULL;
        }
        tx_done++;
    }
}

void card_flush(void)
{
    if (!tx_waiting)
        return;
    tx_waiting = false;
    while (xok_net_send(FAMILY, ring) >= 64) // the most it takes at once
        ;
}

static bool room_for(u32 descs)
{
    if (TX - (tx_at - tx_done) >= descs)
        return true;
    card_flush();
    xok_net_poll(nic, 0);
    reap();
    return TX - (tx_at - tx_done) >= descs;
}

static void part_set(volatile struct xok_tx *d, u32 n, u64 addr, u32 len)
{
    d->part[n].addr = addr;
    d->part[n].len = len;
}

static bool transmit(struct netif *f, const struct netpkt *p)
{
    u32 parts = 1;
    (void)f;
    bool small = p->len <= HEAD_ROOM; // all of it is copied: done with when the call returns
    for (const struct netref *r = p->refs; !small && r; r = r->next)
        parts++;
    u32 descs = (parts + XOK_TX_PARTS - 1) / XOK_TX_PARTS, first = tx_at;
    if (!room_for(descs))
        return false;
    u8 *h = tx_heads + (first % TX) * HEAD_ROOM;
    memcpy(h, p->head, p->head_len);
    if (small)
        refs_read(p->refs, 0, h + p->head_len, p->len - p->head_len);
    const struct netref *r = small ? NULL : p->refs;
    for (u32 n = 0; n < descs; n++) {
        volatile struct xok_tx *d = &tx[(first + n) % TX];
        void **page = tx_page[(first + n) % TX];
        u32 k = 0;
        if (!n)
            part_set(d, k++, physical(h), small ? p->len : p->head_len);
        for (; r && k < XOK_TX_PARTS; r = r->next, k++) {
            part_set(d, k, physical(r->data), r->len);
            net_page_ref(r->data);
            page[k] = r->data;
        }
        d->parts = k;
        d->flags = n + 1 < descs ? XOK_TX_MORE : 0;
        if (n)
            __atomic_store_n(&d->state, XOK_DESC_KERNEL, __ATOMIC_RELEASE);
    }
    volatile struct xok_tx *d = &tx[first % TX];
    u16 flags = d->flags;
    if (p->flags & NETPKT_CSUM)
        flags |= XOK_TX_CSUM;
    if (p->flags & NETPKT_TSO4)
        flags |= XOK_TX_TSO4;
    if (p->flags & NETPKT_TSO6)
        flags |= XOK_TX_TSO6;
    d->flags = flags;
    d->csum_start = p->csum_start, d->csum_offset = p->csum_offset;
    d->gso_size = p->gso_size, d->head_len = p->head_len;
    __atomic_store_n(&d->state, XOK_DESC_KERNEL, __ATOMIC_RELEASE);
    tx_at += descs;
    tx_waiting = true;
    return true;
}

// ---- in
static void frame_in(const u8 *p, u32 len, u32 flags)
{
    net_input(&nif, p, len, flags & XOK_RX_CSUM_OK ? NETRX_CSUM_OK : 0);
}

void card_poll(void)
{
    if (ring < 0)
        return;
    // A flood must not keep the lock for ever: the rest waits for the next look.
    for (u32 n = 0; n < RX; n++) {
        volatile struct xok_rx *d = &rx[rx_at];
        if (__atomic_load_n(&d->state, __ATOMIC_ACQUIRE) != XOK_DESC_MINE)
            break;
        const u8 *p = rx_room + rx_at * ROOM;
        u32 len = MIN(d->len, (u32)ROOM), flags = d->flags;
        if (long_len || flags & XOK_RX_MORE) {
            u32 k = MIN(len, (u32)sizeof long_frame - long_len);
            memcpy(long_frame + long_len, p, k);
            long_len += k;
            if (!(flags & XOK_RX_MORE)) {
                frame_in(long_frame, long_len, flags);
                long_len = 0;
            }
        } else {
            frame_in(p, len, flags);
        }
        __atomic_store_n(&d->state, XOK_DESC_KERNEL, __ATOMIC_RELEASE);
        rx_at = (rx_at + 1) % RX;
    }
    if (tx_done != tx_at)
        reap();
}

const volatile u64 *card_word(void) { return ring < 0 ? NULL : &head->arrived; }

static s64 find(void)
{
    for (u32 n = 0; n < XOK_NET->nic_count && n < XOK_NIC_MAX; n++)
        if (XOK_NET->nic[n].features & XOK_NIC_DEVICE)
            return n;
    return -1;
}

static bool memory_get(void)
{
    u64 r = block_get(RING_ORDER), b = block_get(RX_ORDER), h = block_get(HEADS_ORDER);
    if (!r || !b || !h)
        return false;
    head = page_va(r);
    memset(page_va(r), 0, PAGE << RING_ORDER);
    rx = XOK_RING_RX(head), tx = XOK_RING_TX(head, RX);
    rx_room = page_va(b), tx_heads = page_va(h);
    for (u32 n = 0; n < RX; n++) {
        rx[n].buf = physical(rx_room + n * ROOM);
        rx[n].room = ROOM;
        rx[n].state = XOK_DESC_KERNEL;
    }
    return true;
}

struct netif *card_start(struct net *net)
{
    nic = find();
    if (nic < 0)
        return NULL;
    if (!memory_get())
        panic("no memory for the packet ring");
    struct xok_ring_setup setup = {.ppn = page_of((void *)head), .rx_count = RX, .tx_count = TX};
    struct xok_filter all = {.count = 0};
    ring = xok_ring_make(FAMILY, nic, &setup);
    if (ring < 0 || xok_filter_add(FAMILY, ring, &all) < 0) {
        debug("network: the card cannot be had (%ld)", ring);
        ring = -1;
        return NULL;
    }
    const volatile struct xok_nic_info *i = &XOK_NET->nic[nic];
    for (u32 n = 0; n < 6; n++)
        nif.mac[n] = i->mac[n];
    memcpy(nif.name, "eth0", 5);
    nif.mtu = i->mtu;
    nif.features = NETIF_UP | (i->features & XOK_NIC_CSUM ? NETIF_CSUM : 0) | (i->features & XOK_NIC_TSO4 ? NETIF_TSO4 : 0) |
                   (i->features & XOK_NIC_TSO6 ? NETIF_TSO6 : 0);
    nif.max_refs = PARTS_MAX - 1;
    nif.tso_max = 65535;
    nif.transmit = transmit;
    net_attach(&nif, net);
    return &nif;
}
