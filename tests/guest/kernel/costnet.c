// What the network's paths cost, in instructions: run under -icount, where the time stamp counter counts them.
// Over the loop: the device's own part is its emulator's.
#include "child.h"
#include "netkit.h"

enum { ROUNDS = 16 };
static u8 mac[6];

static void cost(const char *what, u64 each, u64 limit)
{
    say(each <= limit ? "ok cost " : "not ok cost ", what, each, limit);
}

// Sends `count` frames of `len` bytes with one call, `head` bytes of each copied, and gives the least of some rounds.
static u64 sends(struct kit *a, struct kit *b, u32 count, u32 len, u32 head)
{
    struct datagram d = {.from = 0x0a000001, .to = 0x0a000002, .from_port = 80, .to_port = 90, .len = len - 42,
                         .head = head};
    memcpy(d.dst, mac, 6);
    memcpy(d.src, mac, 6);
    u64 least = ~0ul;
    for (int r = 0; r < ROUNDS; r++) {
        for (u32 i = 0; i < count; i++) {
            kit_fill(a, &d);
            a->tx[a->tx_at++ & 63].state = XOK_DESC_KERNEL;
        }
        u64 from = __builtin_ia32_rdtsc();
        s64 n = xok_net_send(1, a->ring);
        u64 took = __builtin_ia32_rdtsc() - from;
        least = took < least ? took : least;
        if (n != count)
            CHECK(0);
        for (u32 i = 0; i < count; i++)
            b->rx[b->rx_at++ & 127].state = XOK_DESC_KERNEL;
    }
    return least;
}

static void test(void)
{
    adult();
    for (int i = 0; i < 6; i++)
        mac[i] = XOK_NET->nic[0].mac[i];
    EQ(xok_cap_forge(ROOT, 20, XOK_ALL, 1), 0);
    EQ(xok_cap_forge(ROOT, 21, XOK_ALL, 2), 0);
    struct kit a = kit_new(1, 0, 128, 64, 0), b = kit_new(2, 0, 128, 64, 0);
    struct xok_filter fa = udp_filter(0x0a000001, 80), fb = udp_filter(0x0a000002, 90);
    CHECK(xok_filter_add(ROOT, a.ring, &fa) > 0);
    CHECK(xok_filter_add(ROOT, b.ring, &fb) > 0);
    u64 one = sends(&a, &b, 1, 64, 0), many = sends(&a, &b, 33, 64, 0);
    cost("send and deliver a frame of 64 bytes", one, 1250);
    cost("one more in the same call", (many - one) / 32, 800);
    many = sends(&a, &b, 33, 1514, 54), one = sends(&a, &b, 1, 1514, 54);
    cost("one more of 1514 bytes, in two parts", (many - one) / 32, 1350);
    u64 from = __builtin_ia32_rdtsc();
    s64 id = 0;
    for (u32 i = 0; i < 8000; i++) {
        fb = udp_filter(0x0b000000 + i, 90);
        id = xok_filter_add(ROOT, b.ring, &fb);
    }
    u64 each = (__builtin_ia32_rdtsc() - from) / 8000;
    CHECK(id > 0);
    cost("insert a filter", each, 5000);
    one = sends(&a, &b, 1, 64, 0), many = sends(&a, &b, 33, 64, 0);
    cost("a frame more, among 8000 filters", (many - one) / 32, 800);
    from = __builtin_ia32_rdtsc();
    EQ(xok_filter_del(ROOT, id), 0);
    cost("remove a filter", __builtin_ia32_rdtsc() - from, 2000);
}
