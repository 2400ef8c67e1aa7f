// What the network's paths cost, in instructions: run under -icount, where the time stamp counter counts them.
// Over the loop: the device's own part is its emulator's.
#include "child.h"
#include "netkit.h"
#include "build/ktest/handlers.h"

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

// An echo: the client sends, and has the answer in its ring when its call returns, or after the server ran.
static struct kit server_kit;
static void server(u64 parent)
{
    struct xok_pred_term t = {.addr = (u64)&server_kit.head->arrived, .op = XOK_PRED_NE, .last = 1};
    for (u64 seen = server_kit.head->arrived;; seen++) {
        t.value = seen;
        xok_pred_set(&t, 1);
        while (server_kit.head->arrived == seen)
            xok_sleep(0, parent);
        struct datagram d = {.from = 0x0a000002, .to = 0x0a000001, .from_port = 90, .to_port = 80, .len = 64};
        memcpy(d.dst, mac, 6);
        memcpy(d.src, mac, 6);
        kit_send(&server_kit, 2, &d);
        server_kit.rx[server_kit.rx_at++ & 127].state = XOK_DESC_KERNEL;
    }
}

static u64 echo(struct kit *a, u32 env)
{
    struct datagram d = {.from = 0x0a000001, .to = 0x0a000002, .from_port = 80, .to_port = 90, .len = 64};
    memcpy(d.dst, mac, 6);
    memcpy(d.src, mac, 6);
    u64 least = ~0ul;
    for (int r = 0; r < ROUNDS; r++) {
        u64 want = a->head->arrived + 1;
        kit_fill(a, &d);
        u64 from = __builtin_ia32_rdtsc();
        a->tx[a->tx_at++ & 63].state = XOK_DESC_KERNEL;
        xok_net_send(1, a->ring);
        while (a->head->arrived < want)
            xok_yield(env);
        u64 took = __builtin_ia32_rdtsc() - from;
        least = took < least ? took : least;
        a->rx[a->rx_at++ & 127].state = XOK_DESC_KERNEL;
    }
    return least;
}

static void echoes(struct kit *a, struct kit *b, s64 filter)
{
    server_kit = *b;
    a->rx_at = a->head->arrived;
    server_kit.rx_at = b->head->arrived;
    for (u32 i = 0; i < 128; i++)
        a->rx[i].state = server_kit.rx[i].state = XOK_DESC_KERNEL;
    struct child c = child_new(1, 0, server, XOK_ENVS[1].id, 0);
    EQ(xok_cap_copy(2, ROOT, c.env, XOK_ALL, 2), 0);
    while (STATE(c.env) != XOK_ENV_ASLEEP)
        xok_yield(c.env);
    cost("echo by a sleeping environment", echo(a, c.env), 4500);
    child_free(&c);
    struct xok_handler h = {.code = (u64)handler_echo, .code_len = sizeof handler_echo, .fuel = 4096,
                            .state_ppn = page_new(0x60000000), .state_pages = 1};
    EQ(xok_filter_code(ROOT, filter, &h), 0);
    cost("echo by a handler", echo(a, 0), 2200);
    h.code = 0;
    EQ(xok_filter_code(ROOT, filter, &h), 0);
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
    s64 filter = xok_filter_add(ROOT, b.ring, &fb);
    CHECK(filter > 0);
    u64 one = sends(&a, &b, 1, 64, 0), many = sends(&a, &b, 33, 64, 0);
    cost("send and deliver a frame of 64 bytes", one, 1250);
    cost("one more in the same call", (many - one) / 32, 840);
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
    cost("a frame more, among 8000 filters", (many - one) / 32, 850);
    from = __builtin_ia32_rdtsc();
    EQ(xok_filter_del(ROOT, id), 0);
    cost("remove a filter", __builtin_ia32_rdtsc() - from, 2000);
    echoes(&a, &b, filter);
}
