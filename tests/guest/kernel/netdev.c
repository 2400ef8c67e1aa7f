// A network device: QEMU's user network answers ARP, DHCP and echo requests by itself.
#include "child.h"
#include "netkit.h"

enum { GATEWAY = 0x0a000202, ME = 0x0a00020f };
static u8 mac[6];
static u32 nic;
static struct xok_ctl *ctl;

// Sleeps until the ring has seen `want` frames. A frame that never comes ends the test by run.sh's limit.
static void await(struct kit *k, u64 want)
{
    struct xok_pred_term t = {.addr = (u64)&k->head->arrived, .value = want, .op = XOK_PRED_GE, .last = 1};
    EQ(xok_pred_set(&t, 1), 0);
    while (k->head->arrived < want)
        xok_sleep(0, 0);
    xok_pred_set(0, 0);
    ctl->event = 0;
}

static u8 *frame_at(struct kit *k, u32 i)
{
    u32 n = i & (k->rx_count - 1);
    return (u8 *)k->bufs + n * 2048;
}

static s64 send_raw(struct kit *k, u32 cap, u32 len, u32 head, u16 flags)
{
    k->tx[k->tx_at & (k->tx_count - 1)] = (struct xok_tx){
        .flags = flags, .parts = head < len ? 2 : 1, .part = {{k->out_pa, head, 0}, {k->out_pa + head, len - head, 0}}};
    return kit_go(k, cap);
}

static u32 arp_request(u8 *p, u32 sender)
{
    memset(p, 0, 60);
    memset(p, 0xff, 6);
    memcpy(p + 6, mac, 6);
    put(p + 12, 2, 0x0806);
    put(p + 14, 8, 0x0001080006040001);
    memcpy(p + 22, mac, 6);
    put(p + 28, 4, sender);
    put(p + 38, 4, GATEWAY);
    return 60;
}

static u32 echo_request(u8 *p, const u8 *gateway, u32 id, u32 size)
{
    memset(p, 0, 42);
    memcpy(p, gateway, 6);
    memcpy(p + 6, mac, 6);
    put(p + 12, 2, 0x0800);
    p[14] = 0x45, p[22] = 64, p[23] = 1;
    put(p + 16, 2, 28 + size);
    put(p + 26, 4, ME);
    put(p + 30, 4, GATEWAY);
    put(p + 24, 2, ip_sum(p + 14, 20));
    p[34] = 8;
    put(p + 38, 2, id);
    for (u32 i = 0; i < size; i++)
        p[42 + i] = i * 3 + id;
    put(p + 36, 2, ip_sum(p + 34, 8 + size));
    return 42 + size;
}

static void test(void)
{
    ctl = adult();
    EQ(XOK_NET->nic_count, 2);
    nic = 1;
    const volatile struct xok_nic_info *n = &XOK_NET->nic[nic];
    for (int i = 0; i < 6; i++)
        mac[i] = n->mac[i];
    EQ(get(mac, 6), 0x525400123456);
    EQ(n->link, 1);
    EQ(n->mtu, 1500);
    EQ(n->features & XOK_NIC_DEVICE, XOK_NIC_DEVICE);

    EQ(xok_cap_forge(ROOT, 20, XOK_ALL, 1), 0);
    EQ(xok_cap_forge(ROOT, 21, XOK_ALL, 2), 0);
    struct kit a = kit_new(1, nic, 128, 64, 0), b = kit_new(2, nic, 128, 64, 0), t = kit_new(ROOT, nic, 128, 64, XOK_RING_TAP);
    struct xok_filter arp = {.count = 0, .tag = 7}, icmp = {.count = 0, .tag = 8};
    atom(&arp, XOK_ATOM_FRAME, 12, 2, 0x0806);
    atom(&arp, XOK_ATOM_FRAME, 38, 4, ME);
    atom(&icmp, XOK_ATOM_FRAME, 12, 2, 0x0800);
    atom(&icmp, XOK_ATOM_FRAME, 23, 1, 1);
    atom(&icmp, XOK_ATOM_FRAME, 30, 4, ME);
    s64 arp_id = xok_filter_add(ROOT, a.ring, &arp), icmp_id = xok_filter_add(ROOT, b.ring, &icmp);
    CHECK(arp_id > 0 && icmp_id > 0);

    // ARP: one name's
    EQ(send_raw(&a, 1, arp_request(a.out, ME + 1), 60, 0), XOK_E_CAP); // another's address
    EQ(send_raw(&b, 2, arp_request(b.out, ME), 60, 0), XOK_E_CAP);
    EQ(send_raw(&a, 1, arp_request(a.out, ME), 60, 0), 0);
    await(&a, 1);
    u8 *p = frame_at(&a, 0), gateway[6];
    EQ(get(p + 12, 2), 0x0806);
    EQ(get(p + 28, 4), GATEWAY);
    EQ(a.rx[0].tag, 7);
    memcpy(gateway, p + 22, 6);
    CHECK(n->interrupts > 0);
    CHECK(n->doorbells > 0);

    // echo: another name's; from its pages, a completion that wakes
    EQ(send_raw(&a, 1, echo_request(a.out, gateway, 1, 100), 142, 0), XOK_E_CAP);
    EQ(send_raw(&b, 2, echo_request(b.out, gateway, 2, 1400), 42, XOK_TX_WAKE), 0);
    await(&b, 1);
    while (b.head->sent < 2)
        xok_net_poll(nic, 0);
    EQ(b.tx[1].state, XOK_DESC_MINE);
    EQ(XOK_PAGES[b.out_pa >> 12].pins, 0);
    p = frame_at(&b, 0);
    EQ(b.rx[0].len, 1442);
    EQ(p[34], 0);
    EQ(get(p + 38, 2), 2);
    u32 wrong = 0;
    for (u32 i = 0; i < 1400; i++)
        wrong += p[42 + i] != (u8)(i * 3 + 2);
    EQ(wrong, 0);
    EQ(b.rx[0].tag, 8);

    // many in one call, by polling
    u64 bells = n->doorbells, polls = n->polls;
    for (u32 i = 0; i < 40; i++) {
        u32 at = i & 1 ? 2048 : 0;
        echo_request(b.out + at, gateway, 100, 64);
        b.tx[b.tx_at++ & 63] = (struct xok_tx){.parts = 1, .part = {{b.out_pa + at, 106, 0}}, .state = XOK_DESC_KERNEL};
    }
    EQ(xok_net_send(2, b.ring), 40);
    CHECK(n->doorbells - bells <= 2);
    u64 interrupts = n->interrupts;
    while (b.head->arrived < 41)
        EQ(xok_net_poll(nic, 1000000) >= 0, 1);
    EQ(xok_net_poll(nic, 0), 0);
    CHECK(n->polls > polls);
    say("ok ", "interrupts while polling", n->interrupts - interrupts, 0);
    EQ(b.head->dropped, 0);
    EQ(xok_net_poll(nic, 0), 0);

    // quiet, then asleep: the frame still arrives
    EQ(xok_net_poll(nic, 1000000), 0);
    EQ(send_raw(&b, 2, echo_request(b.out, gateway, 3, 64), 106, 0), 0);
    await(&b, 42);
    // quiet, and busy with something else: it arrives too
    EQ(xok_net_poll(nic, 1000000), 0);
    EQ(send_raw(&b, 2, echo_request(b.out, gateway, 4, 64), 106, 0), 0);
    while (b.head->arrived < 43)
        ;
    // the device runs through all its buffers, twice, and through the ring's
    for (u32 i = 0; i < 42; i++)
        b.rx[i].state = XOK_DESC_KERNEL;
    for (u32 i = 0; i < 600; i++) {
        while (b.head->arrived < 43 + i)
            ;
        b.rx[(42 + i) & 127].state = XOK_DESC_KERNEL;
        if (send_raw(&b, 2, echo_request(b.out, gateway, i, 2 * i), i & 1 ? 42 : 42 + 2 * i, 0))
            CHECK(0);
        while (b.tx[(b.tx_at - 1) & 63].state != XOK_DESC_MINE)
            xok_net_poll(nic, 0);
    }
    while (b.head->arrived < 643)
        ;
    EQ(b.head->dropped, 0);
    EQ(b.head->arrived, 643);
    CHECK(t.head->arrived >= 128);
    CHECK(t.head->dropped > 0); // nobody empties it
    EQ(t.rx[0].flags & XOK_RX_SENT, XOK_RX_SENT);
    EQ(XOK_PAGES[b.out_pa >> 12].pins, 0);
    EQ(xok_filter_del(1, arp_id), 0);
    EQ(xok_filter_del(2, icmp_id), 0);
    kit_free_ring(&a);
    kit_free_ring(&b);
    kit_free_ring(&t);
}
