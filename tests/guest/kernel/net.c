// Rings, filters, sending and its checks, over the loop: no device is needed. netdev.c has the device.
#include "child.h"
#include "netkit.h"

static u8 mac[6];

static void filters(void)
{
    EQ(xok_cap_forge(ROOT, 20, XOK_ALL, 1), 0);
    EQ(xok_cap_forge(ROOT, 21, XOK_ALL, 2), 0);
    struct kit a = kit_new(1, 0, 128, 64, 0), b = kit_new(2, 0, 128, 64, 0);
    struct xok_filter f = udp_filter(0x0a000001, 80);
    EQ(xok_filter_add(1, a.ring, &f), XOK_E_CAP); // nobody gave it that
    s64 ip = add_ip(ROOT, a.ring, 0x0a000001);
    CHECK(ip > 0);
    s64 port = xok_filter_add(1, a.ring, &f);
    CHECK(port > 0);
    EQ(XOK_FILTERS[port & 0xffff].id, port);
    EQ(XOK_RINGS[a.ring].filters, 2);
    EQ(xok_filter_add(1, a.ring, &f), XOK_E_BUSY);
    EQ(xok_filter_add(2, b.ring, &f), XOK_E_CAP);
    EQ(xok_filter_add(2, a.ring, &f), XOK_E_CAP); // into another's ring
    f = udp_filter(0x0a000001, 81);
    EQ(xok_filter_add(2, b.ring, &f), XOK_E_CAP); // narrower than another's
    EQ(xok_filter_add(3, a.ring, &f), XOK_E_CAP);
    EQ(xok_filter_add(ROOT, 99, &f), XOK_E_ARG);
    EQ(xok_filter_add(ROOT, a.ring, (void *)0x10), XOK_E_FAULT);
    f.count = 13;
    EQ(xok_filter_add(ROOT, a.ring, &f), XOK_E_ARG);
    EQ(xok_filter_del(2, port), XOK_E_CAP);
    EQ(xok_filter_del(1, port + 0x10000), XOK_E_ARG);
    EQ(xok_filter_del(1, 0xffffffffffff), XOK_E_ARG);
    EQ(xok_ring_free(1, a.ring), XOK_E_BUSY);
    EQ(xok_ring_free(2, a.ring), XOK_E_CAP);
    EQ(xok_page_free(1, a.ppn, 1), XOK_E_BUSY);
    unmap(a.va, a.pages);
    EQ(xok_page_free(1, a.ppn, 1), XOK_E_BUSY); // pinned, though mapped nowhere
    map(a.va, a.ppn, a.pages, XOK_PTE_W | XOK_PTE_NX);
    EQ(xok_cap_quota(ROOT, 20, XOK_RES_FILTERS, 3), 0);
    f = udp_filter(0x0a000001, 82);
    s64 last = xok_filter_add(1, a.ring, &f);
    CHECK(last > 0);
    f = udp_filter(0x0a000001, 83);
    EQ(xok_filter_add(1, a.ring, &f), XOK_E_QUOTA);
    EQ(xok_filter_del(1, last), 0);
    EQ(xok_filter_del(ROOT, ip), 0);
    EQ(xok_filter_del(1, port), 0);
    EQ(xok_filter_del(1, port), XOK_E_ARG);
    EQ(XOK_NET->filter_count, 0);
    kit_free_ring(&a);
    kit_free_ring(&b);
    EQ(xok_cap_drop(1), 0);
    EQ(xok_cap_drop(2), 0);
}

static void rings(void)
{
    u64 ppn = xok_page_alloc(ROOT, XOK_PAGE_ANY, 1);
    struct xok_ring_setup s = {.ppn = ppn, .rx_count = 128, .tx_count = 0};
    EQ(xok_ring_make(ROOT, 0, (void *)8), XOK_E_FAULT);
    EQ(xok_ring_make(ROOT, 9, &s), XOK_E_ARG);
    EQ(xok_ring_make(4, 0, &s), XOK_E_CAP);
    s.rx_count = 100;
    EQ(xok_ring_make(ROOT, 0, &s), XOK_E_ARG);
    s.rx_count = 8192;
    EQ(xok_ring_make(ROOT, 0, &s), XOK_E_ARG);
    s.rx_count = 0;
    s.flags = 2;
    EQ(xok_ring_make(ROOT, 0, &s), XOK_E_ARG);
    s.flags = 0;
    s.ppn = 1ul << 40;
    EQ(xok_ring_make(ROOT, 0, &s), XOK_E_CAP);
    s.ppn = ~0ul;
    EQ(xok_ring_make(ROOT, 0, &s), XOK_E_CAP);
    s.ppn = 0x200; // the kernel's
    EQ(xok_ring_make(ROOT, 0, &s), XOK_E_CAP);
    EQ(xok_cap_forge(ROOT, 22, XOK_ALL, 1), 0);
    s.ppn = ppn;
    EQ(xok_ring_make(1, 0, &s), XOK_E_CAP); // another's page
    u64 mine = xok_page_alloc(1, XOK_PAGE_ANY, 1);
    s.ppn = mine;
    s.flags = XOK_RING_TAP;
    EQ(xok_ring_make(1, 0, &s), XOK_E_CAP); // not the root
    s.flags = 0;
    EQ(xok_cap_quota(ROOT, 22, XOK_RES_RINGS, 0), 0);
    EQ(xok_ring_make(1, 0, &s), XOK_E_QUOTA);
    EQ(xok_cap_quota(ROOT, 22, XOK_RES_RINGS, 1), 0);
    s64 r = xok_ring_make(1, 0, &s);
    CHECK(r >= 0);
    EQ(XOK_RINGS[r].owner != 0, 1);
    EQ(xok_net_send(1, r), 0); // no transmit descriptors
    EQ(xok_net_send(2, r), XOK_E_CAP);
    EQ(xok_net_send(ROOT, r + 1), XOK_E_ARG);
    EQ(xok_ring_free(ROOT, r), 0);
    EQ(xok_ring_free(ROOT, r), XOK_E_ARG);
    EQ(XOK_RINGS[r].owner, 0);
    EQ(xok_page_free(1, mine, 1), 0);
    EQ(xok_page_free(ROOT, ppn, 1), 0);
    EQ(xok_cap_drop(1), 0);
    EQ(xok_net_poll(0, 0), 0);
    EQ(xok_net_poll(9, 0), XOK_E_ARG);
    EQ(xok_net_poll(0, ~0ul), XOK_E_ARG);
}

// Two names, each with an address of its own and the other's frames out of reach.
static void two_owners(void)
{
    EQ(xok_cap_forge(ROOT, 20, XOK_ALL, 1), 0);
    EQ(xok_cap_forge(ROOT, 21, XOK_ALL, 2), 0);
    struct kit a = kit_new(1, 0, 128, 64, 0), b = kit_new(2, 0, 128, 64, 0), t = kit_new(ROOT, 0, 128, 0, XOK_RING_TAP);
    struct xok_filter fa = udp_filter(0x0a000001, 80), fb = udp_filter(0x0a000002, 90);
    fa.tag = 0xaaaa, fb.tag = 0xbbbb;
    s64 ia = xok_filter_add(ROOT, a.ring, &fa), ib = xok_filter_add(ROOT, b.ring, &fb);
    CHECK(ia > 0 && ib > 0);
    struct datagram d = {.from = 0x0a000001, .to = 0x0a000002, .from_port = 80, .to_port = 90, .len = 100};
    memcpy(d.dst, mac, 6);
    memcpy(d.src, mac, 6);
    // a to b
    EQ(kit_send(&a, 1, &d), 0);
    EQ(b.head->arrived, 1);
    EQ(a.head->arrived, 0);
    EQ(b.rx[0].state, XOK_DESC_MINE);
    EQ(b.rx[0].len, 142);
    EQ(b.rx[0].tag, 0xbbbb);
    EQ(b.rx[0].flags, XOK_RX_CSUM_OK);
    EQ(b.bufs[0][14 + 28], 'x');
    EQ(b.bufs[0][141], 'x');
    EQ(t.head->arrived, 1);
    EQ(a.head->sent, 1);
    EQ(XOK_FILTERS[ib & 0xffff].hits, 1);
    // from somebody else's port, address, hardware address
    u64 refused = XOK_NET->nic[0].tx_refused;
    struct datagram forged = d;
    forged.from_port = 81;
    EQ(kit_send(&a, 1, &forged), XOK_E_CAP);
    forged = d, forged.from = 0x0a000003;
    EQ(kit_send(&a, 1, &forged), XOK_E_CAP);
    forged = d, forged.from = 0x0a000002, forged.from_port = 90;
    EQ(kit_send(&a, 1, &forged), XOK_E_CAP);
    EQ(kit_send(&b, 2, &d), XOK_E_CAP);
    forged = d, forged.src[5] ^= 1;
    EQ(kit_send(&a, 1, &forged), XOK_E_CAP);
    forged = d, forged.fragment = 5; // ports that nobody can check
    EQ(kit_send(&a, 1, &forged), XOK_E_CAP);
    forged = d, forged.type = 0x0806;
    EQ(kit_send(&a, 1, &forged), XOK_E_CAP);
    // the head cut short of the ports: the kernel looks at what follows
    forged = d, forged.from_port = 81, forged.head = 14;
    EQ(kit_send(&a, 1, &forged), XOK_E_CAP);
    d.head = 14;
    EQ(kit_send(&a, 1, &d), 0);
    EQ(b.rx[1].len, 142);
    EQ(b.bufs[1][141], 'x');
    d.head = 0;
    EQ(XOK_NET->nic[0].tx_refused, refused + 8);
    EQ(a.head->refused, 7);
    EQ(b.head->arrived, 2);
    EQ(kit_send(&a, ROOT, &forged), 0); // who dominates everybody may be anybody
    EQ(b.head->arrived, 3);
    // nobody's frames
    struct datagram lost = d;
    lost.to_port = 91;
    u64 unclaimed = XOK_NET->nic[0].rx_unclaimed;
    EQ(kit_send(&a, 1, &lost), 0);
    EQ(XOK_NET->nic[0].rx_unclaimed, unclaimed + 1);
    lost = d, lost.dst[5] ^= 1; // another machine's
    EQ(kit_send(&a, 1, &lost), 0);
    EQ(XOK_NET->nic[0].rx_unclaimed, unclaimed + 2);
    EQ(b.head->arrived, 3);
    // overflow: the ring has 128 descriptors, 3 are used
    for (u32 i = 0; i < 130; i++)
        if (kit_send(&a, 1, &d))
            CHECK(0);
    EQ(b.head->arrived, 128);
    EQ(b.head->dropped, 5);
    for (u32 i = 0; i < 128; i++)
        b.rx[i].state = XOK_DESC_KERNEL;
    EQ(kit_send(&a, 1, &d), 0);
    EQ(b.head->arrived, 129);
    // a buffer that is not b's
    b.rx[1].buf = a.ppn << 12;
    EQ(kit_send(&a, 1, &d), 0);
    EQ(b.head->bad, 1);
    EQ(b.rx[1].state, XOK_DESC_MINE);
    EQ(b.rx[1].len, 0);
    static const u64 bad[] = {~0ul, 0xfffffffffffff000, 1ul << 52, 0x200000, 0};
    for (u32 i = 0; i < 5; i++) {
        b.rx[2 + i].buf = bad[i];
        EQ(kit_send(&a, 1, &d), 0);
        EQ(b.head->bad, 2 + i);
    }
    b.rx[7].room = 0;
    b.rx[8].room = 0xffffffff;
    EQ(kit_send(&a, 1, &d), 0);
    EQ(b.head->bad, 7);
    EQ(kit_send(&a, 1, &d), 0);
    EQ(b.head->bad, 8);
    // sending from pages that are not a's
    struct xok_tx *tx = (struct xok_tx *)&a.tx[a.tx_at];
    for (u32 i = 0; i < 5; i++) {
        tx = (struct xok_tx *)&a.tx[a.tx_at++ & 63];
        *tx = (struct xok_tx){.parts = 1, .part = {{bad[i], 60, 0}}, .state = XOK_DESC_KERNEL};
        EQ(xok_net_send(1, a.ring), 1);
        EQ(tx->result, XOK_E_ARG);
    }
    tx = (struct xok_tx *)&a.tx[a.tx_at++ & 63];
    *tx = (struct xok_tx){.parts = 1, .part = {{b.ppn << 12, 60, 0}}, .state = XOK_DESC_KERNEL};
    EQ(xok_net_send(1, a.ring), 1);
    EQ(tx->result, XOK_E_ARG);
    static const struct {
        u8 parts;
        u32 len;
    } odd[] = {{0, 60}, {4, 60}, {255, 60}, {1, 0}, {1, 13}, {1, 65537}, {1, ~0u}};
    for (u32 i = 0; i < 7; i++) {
        tx = (struct xok_tx *)&a.tx[a.tx_at++ & 63];
        *tx = (struct xok_tx){.parts = odd[i].parts, .part = {{a.ppn << 12, odd[i].len, 0}}, .state = XOK_DESC_KERNEL};
        EQ(xok_net_send(1, a.ring), 1);
        EQ(tx->result, XOK_E_ARG);
    }
    // a chain that never ends
    for (u32 i = 0; i < 64; i++)
        a.tx[i] = (struct xok_tx){.parts = 1, .flags = XOK_TX_MORE, .part = {{a.ppn << 12, 60, 0}}, .state = XOK_DESC_KERNEL};
    EQ(xok_net_send(1, a.ring), 4);
    EQ(a.tx[a.tx_at & 63].result, XOK_E_ARG);
    // offloads that would write over what was checked
    d.flags = XOK_TX_CSUM, d.csum_start = 34, d.csum_offset = 0;
    EQ(kit_send(&a, 1, &d), XOK_E_ARG);
    d.csum_start = 14, d.csum_offset = 16;
    EQ(kit_send(&a, 1, &d), XOK_E_ARG);
    d.csum_start = 34, d.csum_offset = 6;
    EQ(kit_send(&a, 1, &d), 0);
    EQ(xok_filter_del(ROOT, ia), 0);
    EQ(kit_send(&a, 1, &d), XOK_E_CAP); // what it does not receive it may not send
    EQ(xok_filter_del(ROOT, ib), 0);
    kit_free_ring(&a);
    kit_free_ring(&b);
    kit_free_ring(&t);
    EQ(xok_cap_drop(1), 0);
    EQ(xok_cap_drop(2), 0);
}

// 32 KiB by segmentation offload, in parts of a page, into buffers of 2 KiB and less.
static void long_frames(void)
{
    struct kit a = kit_new(ROOT, 0, 128, 64, 0);
    struct xok_filter all = {.count = 0};
    s64 id = xok_filter_add(ROOT, a.ring, &all);
    CHECK(id > 0);
    u64 page = page_new(0x60000000);
    u8 *data = (u8 *)0x60000000;
    for (u32 i = 0; i < 4096; i++)
        data[i] = i * 7;
    struct datagram d = {.from = 1, .to = 2, .from_port = 5, .to_port = 6, .len = 0, .flags = XOK_TX_CSUM | XOK_TX_TSO4,
                         .csum_start = 34, .csum_offset = 16, .protocol = 6};
    memcpy(d.dst, mac, 6);
    memcpy(d.src, mac, 6);
    d.len = 40; // the head: 42 + 40 bytes
    kit_fill(&a, &d);
    struct xok_tx *tx = (struct xok_tx *)&a.tx[a.tx_at & 63];
    tx->gso_size = 1460, tx->head_len = 54;
    tx->flags |= XOK_TX_MORE;
    for (u32 i = 1; i <= 3; i++) {
        struct xok_tx *more = (struct xok_tx *)&a.tx[(a.tx_at + i) & 63];
        *more = (struct xok_tx){.parts = 3, .flags = i < 3 ? XOK_TX_MORE : 0};
        for (u32 k = 0; k < 3; k++)
            more->part[k] = (struct xok_part){page << 12, i == 3 && k ? 1 : 4096, 0};
        more->state = XOK_DESC_KERNEL;
    }
    tx->state = XOK_DESC_KERNEL;
    EQ(xok_net_send(ROOT, a.ring), 1);
    EQ(tx->result, 0);
    EQ(tx->state, XOK_DESC_MINE);
    EQ(a.head->arrived, 1);
    u32 got = 0, n = 0, wrong = 0;
    for (;; n++) {
        for (u32 i = 0; i < a.rx[n].len; i++, got++)
            wrong += got >= 82 && a.bufs[n][i] != (got < 82 + 28672 ? (u8)((got - 82) % 4096 * 7) : 0);
        if (!(a.rx[n].flags & XOK_RX_MORE))
            break;
    }
    EQ(got, 82 + 7 * 4096 + 2);
    EQ(n, got / 2048);
    EQ(wrong, 0);
    EQ(a.rx[0].gso_size, 1460);
    EQ(a.rx[0].flags, XOK_RX_MORE | XOK_RX_CSUM_OK | XOK_RX_TSO);
    EQ(XOK_PAGES[page].pins, 0);
    a.tx_at += 4;
    d.flags = 0, d.len = 66000 - 42;
    kit_fill(&a, &d);
    a.tx[a.tx_at & 63].part[0].len = 65000;
    EQ(kit_go(&a, ROOT), XOK_E_ARG); // its own pages do not go that far, or the frame is too long
    EQ(xok_filter_del(ROOT, id), 0);
    page_gone(0x60000000, page);
    kit_free_ring(&a);
}

static struct kit shared;
static volatile u64 got;
static void receiver(u64 arg)
{
    struct xok_pred_term t = {.addr = (u64)&shared.head->arrived, .op = XOK_PRED_NE, .last = 1, .tag = 9};
    (void)arg;
    for (u64 seen = 0;; seen++) {
        t.value = seen;
        xok_pred_set(&t, 1);
        while (shared.head->arrived == seen)
            xok_sleep(0, 0);
        got++;
    }
}

static void a_frame_wakes(void)
{
    shared = kit_new(ROOT, 0, 128, 64, 0);
    struct xok_filter f = udp_filter(0x0a000001, 80);
    s64 id = xok_filter_add(ROOT, shared.ring, &f);
    struct child c = child_new(1, 0, receiver, 0, ~0u);
    RUN(c);
    EQ(got, 0);
    struct datagram d = {.from = 1, .to = 0x0a000001, .from_port = 5, .to_port = 80, .len = 10};
    memcpy(d.dst, mac, 6);
    for (u64 i = 1; i < 4; i++) {
        EQ(STATE(c.env), XOK_ENV_ASLEEP);
        EQ(kit_send(&shared, ROOT, &d), 0);
        EQ(STATE(c.env), XOK_ENV_READY);
        RUN(c);
        EQ(got, i);
    }
    child_free(&c);
    xok_filter_del(ROOT, id);
    kit_free_ring(&shared);
}

static void test(void)
{
    adult();
    for (int i = 0; i < 6; i++)
        mac[i] = XOK_NET->nic[0].mac[i];
    EQ(XOK_NET->nic_count >= 1, 1);
    u64 free = XOK_INFO->pages_free;
    rings();
    filters();
    two_owners();
    long_frames();
    a_frame_wakes();
    CHECK(XOK_INFO->pages_free + 16 > free);
}
