// What tests of the network share: a ring with buffers, and UDP datagrams to send from it.
#ifndef NETKIT_H
#define NETKIT_H
#include "test.h"
#include "xok/net.h"

struct kit { // a ring, 2 KiB buffers for its receive descriptors, a page to send from
    s64 ring;
    u32 cap;
    u64 va, ppn, pages, buf_pages; // ring, buffers and the page to send from, in one run
    volatile struct xok_ring *head;
    volatile struct xok_rx *rx;
    volatile struct xok_tx *tx;
    u8 (*bufs)[2048];
    u8 *out;
    u64 out_pa;
    u32 rx_count, tx_count, tx_at, rx_at;
};

static u64 kit_at = 0x70000000;

static u64 run_alloc(u32 cap, u64 count)
{
    for (u64 p = XOK_INFO->page_count - 1, have = 0; p > 256; p--) {
        have = XOK_PAGES[p].type == XOK_PAGE_FREE ? have + 1 : 0;
        if (have < count)
            continue;
        for (u64 i = 0; i < count; i += 512)
            if (xok_page_alloc(cap, p + i, count - i < 512 ? count - i : 512) < 0)
                return 0;
        return p;
    }
    return 0;
}

__attribute__((used)) static struct kit kit_new(u32 cap, u32 nic, u32 rx, u32 tx, u32 flags)
{
    struct kit k = {.cap = cap, .rx_count = rx, .tx_count = tx, .pages = XOK_RING_PAGES(rx, tx), .buf_pages = rx / 2};
    u64 all = k.pages + k.buf_pages + 2;
    k.va = kit_at;
    kit_at += (all + 1) * PAGE;
    k.ppn = run_alloc(cap, all);
    CHECK(k.ppn);
    CHECK(map(k.va, k.ppn, all, XOK_PTE_W | XOK_PTE_NX) == 1);
    memset((void *)k.va, 0, all * PAGE);
    k.head = (void *)k.va;
    k.rx = XOK_RING_RX(k.va);
    k.tx = XOK_RING_TX(k.va, rx);
    k.bufs = (void *)(k.va + k.pages * PAGE);
    k.out = (u8 *)k.va + (k.pages + k.buf_pages) * PAGE;
    k.out_pa = (k.ppn + k.pages + k.buf_pages) * PAGE;
    for (u32 i = 0; i < rx; i++)
        k.rx[i] = (struct xok_rx){.buf = (k.ppn + k.pages) * PAGE + i * 2048, .room = 2048, .state = XOK_DESC_KERNEL};
    struct xok_ring_setup s = {.ppn = k.ppn, .rx_count = rx, .tx_count = tx, .flags = flags};
    k.ring = xok_ring_make(cap, nic, &s);
    CHECK(k.ring >= 0);
    return k;
}

__attribute__((used)) static void kit_free_ring(struct kit *k)
{
    u64 all = k->pages + k->buf_pages + 2;
    EQ(xok_ring_free(k->cap, k->ring), 0);
    unmap(k->va, all);
    EQ(xok_page_free(k->cap, k->ppn, all), 0);
}

static void put(u8 *p, u32 n, u64 v)
{
    while (n--)
        p[n] = v, v >>= 8;
}

static u64 get(const u8 *p, u32 n)
{
    u64 v = 0;
    while (n--)
        v = v << 8 | *p++;
    return v;
}

struct datagram {
    u8 dst[6], src[6];
    u32 from, to, from_port, to_port, len; // len of the payload
    u32 fragment, type, protocol;
    u32 head;                              // bytes of the first part; 0: everything
    u16 flags, csum_start, csum_offset;
};

static u16 ip_sum(const u8 *p, u32 n)
{
    u32 s = 0;
    for (u32 i = 0; i < n; i += 2)
        s += get(p + i, 2);
    while (s >> 16)
        s = (s & 0xffff) + (s >> 16);
    return ~s;
}

// Writes the datagram to the page that is sent from, and a descriptor for it that is not yet the kernel's.
static void kit_fill(struct kit *k, const struct datagram *d)
{
    u8 *p = k->out;
    u32 all = 42 + d->len, n = all < 2 * PAGE ? all : 2 * PAGE;
    memset(p, 0, 42);
    memset(p + 42, 'x', n - 42);
    memcpy(p, d->dst, 6);
    memcpy(p + 6, d->src, 6);
    put(p + 12, 2, d->type ? d->type : 0x800);
    p[14] = 0x45;
    put(p + 16, 2, 28 + d->len);
    put(p + 20, 2, d->fragment);
    p[22] = 64, p[23] = d->protocol ? d->protocol : 17;
    put(p + 26, 4, d->from);
    put(p + 30, 4, d->to);
    put(p + 24, 2, ip_sum(p + 14, 20));
    put(p + 34, 2, d->from_port);
    put(p + 36, 2, d->to_port);
    put(p + 38, 2, 8 + d->len);
    u32 head = d->head ? d->head : all;
    k->tx[k->tx_at & (k->tx_count - 1)] = (struct xok_tx){
        .flags = d->flags, .csum_start = d->csum_start, .csum_offset = d->csum_offset, .parts = head < all ? 2 : 1,
        .part = {{k->out_pa, head, 0}, {k->out_pa + head, all - head, 0}}};
}

// Sends what was filled in. Returns the result of the frame.
static s64 kit_go(struct kit *k, u32 cap)
{
    volatile struct xok_tx *t = &k->tx[k->tx_at++ & (k->tx_count - 1)];
    t->state = XOK_DESC_KERNEL;
    if (xok_net_send(cap, k->ring) != 1)
        return 1000;
    return t->result;
}

__attribute__((used)) static s64 kit_send(struct kit *k, u32 cap, const struct datagram *d)
{
    kit_fill(k, d);
    return kit_go(k, cap);
}

static void atom(struct xok_filter *f, u32 base, u32 offset, u32 width, u64 value)
{
    f->atom[f->count++] = (struct xok_atom){.base = base, .width = width, .offset = offset,
                                            .mask = width == 8 ? ~0ul : (1ul << 8 * width) - 1, .value = value};
}

__attribute__((used)) static s64 add_ip(u32 cap, u64 ring, u32 ip)
{
    struct xok_filter f = {.count = 0};
    atom(&f, XOK_ATOM_FRAME, 12, 2, 0x800);
    atom(&f, XOK_ATOM_FRAME, 30, 4, ip);
    return xok_filter_add(cap, ring, &f);
}

__attribute__((used)) static struct xok_filter udp_filter(u32 ip, u32 port)
{
    struct xok_filter f = {.count = 0};
    atom(&f, XOK_ATOM_FRAME, 12, 2, 0x800);
    atom(&f, XOK_ATOM_FRAME, 23, 1, 17);
    atom(&f, XOK_ATOM_FRAME, 30, 4, ip);
    atom(&f, XOK_ATOM_TRANSPORT, 2, 2, port);
    return f;
}
#endif
