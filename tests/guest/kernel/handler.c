// Handlers: replies at arrival, vectored messages, and those that fail.
#include "child.h"
#include "netkit.h"
#include "build/ktest/handlers.h"

static u8 mac[6];
static struct xok_handler setup;

static s64 bind(u32 cap, u64 id, const u8 *code, u64 len)
{
    setup.code = (u64)code, setup.code_len = len;
    return xok_filter_code(cap, id, &setup);
}
#define BIND(cap, id, f) bind(cap, id, handler_##f, sizeof handler_##f)

static void test(void)
{
    adult();
    for (int i = 0; i < 6; i++)
        mac[i] = XOK_NET->nic[0].mac[i];
    EQ(xok_cap_forge(ROOT, 20, XOK_ALL, 1), 0);
    EQ(xok_cap_forge(ROOT, 21, XOK_ALL, 2), 0);
    struct kit a = kit_new(1, 0, 128, 64, 0), b = kit_new(2, 0, 128, 64, 0);
    struct xok_filter fa = udp_filter(0x0a000001, 80), fb = udp_filter(0x0a000002, 90);
    s64 ia = xok_filter_add(ROOT, a.ring, &fa), ib = xok_filter_add(ROOT, b.ring, &fb);
    u64 ppn = xok_page_alloc(2, XOK_PAGE_ANY, 1);
    u64 *state = (u64 *)0x60000000;
    CHECK(map((u64)state, ppn, 1, XOK_PTE_W | XOK_PTE_NX) == 1);
    memset(state, 0, PAGE);

    // who may, and what is taken
    setup.state_ppn = ppn, setup.state_pages = 1, setup.fuel = 4096;
    EQ(BIND(1, ib, echo), XOK_E_CAP);
    EQ(BIND(2, ib + 0x10000, echo), XOK_E_ARG);
    setup.state_ppn = a.ppn;
    EQ(BIND(2, ib, echo), XOK_E_CAP);
    setup.state_ppn = ~0ul;
    EQ(BIND(2, ib, echo), XOK_E_CAP);
    setup.state_ppn = ppn, setup.state_pages = 0;
    EQ(BIND(2, ib, echo), XOK_E_ARG);
    setup.state_pages = 257;
    EQ(BIND(2, ib, echo), XOK_E_ARG);
    setup.state_pages = 1, setup.fuel = 4097;
    EQ(BIND(2, ib, echo), XOK_E_ARG);
    setup.fuel = 4096;
    EQ(bind(2, ib, handler_echo, 3), XOK_E_ARG);
    EQ(bind(2, ib, handler_echo, sizeof handler_echo - 8), XOK_E_ARG);
    EQ(bind(2, ib, handler_echo, 1u << 31), XOK_E_ARG);
    EQ(bind(2, ib, (u8 *)0x1000, 4096), XOK_E_FAULT);
    EQ(xok_filter_code(2, ib, (void *)8), XOK_E_FAULT);
    EQ(XOK_FILTERS[ib & 0xffff].handler, 0);

    // a reply, without b
    EQ(BIND(2, ib, echo), 0);
    CHECK(XOK_FILTERS[ib & 0xffff].handler != 0);
    EQ(xok_page_free(2, ppn, 1), XOK_E_BUSY);
    unmap((u64)state, 1);
    EQ(xok_page_free(2, ppn, 1), XOK_E_BUSY);
    map((u64)state, ppn, 1, XOK_PTE_W | XOK_PTE_NX);
    struct datagram d = {.from = 0x0a000001, .to = 0x0a000002, .from_port = 80, .to_port = 90, .len = 100};
    memcpy(d.dst, mac, 6);
    memcpy(d.src, mac, 6);
    EQ(kit_send(&a, 1, &d), 0);
    EQ(b.head->arrived, 0);
    EQ(a.head->arrived, 1);
    EQ(a.rx[0].len, 142);
    u8 *p = (u8 *)a.bufs;
    EQ(get(p + 26, 8), 0x0a0000020a000001);
    EQ(get(p + 34, 4), 90 << 16 | 80);
    EQ(p[141], 'x');
    EQ(state[0], 1);
    EQ(XOK_FILTERS[ib & 0xffff].handled, 1);
    // too long for it: declined
    d.len = 1000;
    EQ(kit_send(&a, 1, &d), 0);
    EQ(b.head->arrived, 1);
    EQ(state[0], 2);
    EQ(XOK_FILTERS[ib & 0xffff].handled, 1);
    // both ends reply: the second one's frame goes to the ring
    d.len = 100;
    u64 appn = xok_page_alloc(1, XOK_PAGE_ANY, 1);
    setup.state_ppn = appn;
    EQ(BIND(1, ia, echo), 0);
    EQ(kit_send(&a, 1, &d), 0);
    EQ(a.head->arrived, 2);
    EQ(XOK_FILTERS[ia & 0xffff].handled, 0);
    setup.code = 0;
    EQ(xok_filter_code(1, ia, &setup), 0);
    EQ(xok_page_free(1, appn, 1), 0);
    setup.state_ppn = ppn;

    // somebody else's name
    EQ(BIND(2, ib, forge), 0);
    u64 refused = XOK_NET->nic[0].tx_refused;
    EQ(kit_send(&a, 1, &d), 0);
    EQ(XOK_NET->nic[0].tx_refused, refused + 1);
    EQ(XOK_FILTERS[ib & 0xffff].failed, 1);
    EQ(a.head->arrived, 2);
    EQ(b.head->arrived, 2); // declined
    // out of bounds
    EQ(BIND(2, ib, wild), 0);
    EQ(kit_send(&a, 1, &d), 0);
    EQ(XOK_FILTERS[ib & 0xffff].failed, 2);
    EQ(b.head->arrived, 3);
    // out of fuel
    setup.fuel = 1;
    EQ(BIND(2, ib, echo), 0);
    EQ(kit_send(&a, 1, &d), 0);
    EQ(XOK_FILTERS[ib & 0xffff].failed, 3);
    EQ(b.head->arrived, 4);
    setup.fuel = 4096;

    // messages put where they belong, one after the other, until there is no room
    memset(state, 0, PAGE);
    EQ(BIND(2, ib, vector), 0);
    d.len = 1000;
    d.head = 96; // a handler sees what is contiguous
    EQ(kit_send(&a, 1, &d), 0);
    EQ(state[1], 54);
    d.head = 0, d.len = 200;
    for (u32 i = 0; i < 25; i++)
        if (kit_send(&a, 1, &d))
            CHECK(0);
    EQ(state[1], 54 + 20 * 200);
    EQ(((u8 *)state)[16 + 53], 'x');
    EQ(((u8 *)state)[16 + 54 + 3999], 'x');
    EQ(b.head->arrived, 4 + 25 - 20);
    // it goes with its filter
    EQ(xok_filter_del(2, ib), 0);
    unmap((u64)state, 1);
    EQ(xok_page_free(2, ppn, 1), 0);
    EQ(xok_filter_del(1, ia), 0);
    kit_free_ring(&a);
    kit_free_ring(&b);
}
