// The parts of the network stack below TCP: timers, checksums, fragments, UDP, ICMP, neighbours, DHCP.
#include "net_sim.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <stdio.h>
#include <cmocka.h>

#define SECOND 1000000000ul
static struct host A, B;
static struct host *both[] = {&A, &B};

static void reset(void)
{
    sim_frames_drop();
    sim_allocs = sim_pages = 0;
    sim_host(&A, 1, 0);
    sim_host(&B, 2, 0);
    sim_join(&A, &B);
}

static void finish(void)
{
    sim_run(both, 2, 60 * SECOND, NULL, NULL);
    sim_end(&A);
    sim_end(&B);
    assert_int_equal(sim_allocs, 0);
    assert_int_equal(sim_pages, 0);
}

// ---- timers
enum { TIMERS = 400 };
static struct model {
    struct net_timer t;
    u64 due, fired;
} timers[TIMERS];
static void fire(struct net *net, struct net_timer *t)
{
    struct model *m = container_of(t, struct model, t);
    assert_int_equal(m->fired, 0);
    m->fired = net_ms(net);
}

static void test_wheel(void **s)
{
    (void)s;
    reset();
    sim_seed(3);
    struct net *net = &A.net;
    for (u32 round = 0; round < 50; round++) {
        memset(timers, 0, sizeof timers);
        net_enter(net);
        for (u32 n = 0; n < TIMERS; n++) {
            u64 ms = 1 + (u64)sim_random() % (1ul << (sim_random() % 30));
            timers[n].t.fn = fire;
            wheel_set(net, &timers[n].t, ms);
            if (n % 5 == 0)
                wheel_set(net, &timers[n].t, ms = 1 + sim_random() % 100000); // moved
            timers[n].due = net_ms(net) + ms;
            if (n % 7 == 0)
                wheel_clear(net, &timers[n].t), timers[n].due = 0;
        }
        for (u32 step = 0; step < 100; step++) {
            u64 next = net_next_ns(net);
            sim_now = step % 3 && next != ~0ul ? next : sim_now + (sim_random() % 5000) * 1000000ul;
            net_enter(net);
            net_timers(net);
            for (u32 n = 0; n < TIMERS; n++) {
                bool due = timers[n].due && timers[n].due <= net_ms(net);
                assert_int_equal(!!timers[n].fired, due);
                if (!due && timers[n].due)
                    assert_true(wheel_next(&net->wheel) <= timers[n].due);
            }
        }
        for (u32 n = 0; n < TIMERS; n++)
            wheel_clear(net, &timers[n].t);
        assert_true(wheel_next(&net->wheel) == ~0ul || round == 0);
    }
    finish();
}

// ---- checksums
static u16 slow_sum(const u8 *p, u32 n)
{
    u32 s = 0;
    for (u32 k = 0; k < n; k++)
        s += k & 1 ? p[k] : (u32)p[k] << 8;
    while (s >> 16)
        s = (s & 0xffff) + (s >> 16);
    return ~s;
}

static void test_sum(void **s)
{
    (void)s;
    static u8 buf[3000];
    for (u32 round = 0; round < 2000; round++) {
        u32 n = sim_random() % sizeof buf, off = sim_random() % 8;
        for (u32 k = 0; k < n; k++)
            buf[k] = round & 1 ? 0xff : sim_random();
        off = MIN(off, n);
        assert_int_equal(sum_end(sum_add(0, buf + off, n - off)), slow_sum(buf + off, n - off));
        struct netref r[5] = {{0}};
        for (u32 k = 0, at = 0; k < 5; k++) {
            u32 len = k == 4 ? n - at : sim_random() % (n - at + 1);
            r[k] = (struct netref){k < 4 ? &r[k + 1] : NULL, buf + at, len, 0};
            at += len;
        }
        assert_int_equal(sum_end(sum_refs(0, r, 0, n)), slow_sum(buf, n));
        u32 from = n ? sim_random() % n : 0;
        assert_int_equal(sum_end(sum_refs(0, r, from, n - from)), slow_sum(buf + from, n - from));
    }
    u64 key[2] = {0x0706050403020100ul, 0x0f0e0d0c0b0a0908ul};
    u8 in[15];
    for (u32 n = 0; n < 15; n++)
        in[n] = n;
    assert_true(siphash(key, in, 15) == 0xa129ca6149be45e5ul); // of the paper, appendix A
}

// ---- UDP, whole and in fragments
static u32 got_count, got_len;
static u64 got_hash;
static void on_datagram(const struct ip *from, u16 port, const u8 *p, u32 len)
{
    (void)from, (void)port;
    got_count++, got_len = len;
    got_hash = hash_bytes(0, p, len);
}

static void send_datagram(struct udp *u, struct ip to, u32 len, u64 *hash)
{
    struct refq q = {0};
    u8 *b = malloc(len + 1);
    for (u32 n = 0; n < len; n++)
        b[n] = sim_random();
    *hash = hash_bytes(0, b, len);
    net_enter(&A.net);
    assert_true(refq_copy(&A.net, &q, b, len));
    assert_int_equal(udp_send(u, &to, 53, q.first, len), 0);
    refq_free(&A.net, &q);
    net_leave(&A.net);
    free(b);
}

static bool one_came(void *arg) { return (void)arg, got_count == 1; }

static void test_udp(void **s)
{
    (void)s;
    static const u32 sizes[] = {0, 1, 100, 1472, 1473, 3000, 20000, 65507 - 28};
    for (u32 v6 = 0; v6 < 2; v6++) {
        reset();
        A.reorder = 3000, A.dup = 0;
        struct udp from = {.v4only = false}, to = {.lport = 53, .owner = on_datagram};
        assert_int_equal(udp_bind(&A.net, &from), 0);
        assert_int_equal(udp_bind(&B.net, &to), 0);
        struct udp again = {.lport = 53};
        assert_int_equal(udp_bind(&B.net, &again), -EADDRINUSE);
        for (u32 n = 0; n < countof(sizes); n++) {
            u64 hash;
            got_count = 0;
            send_datagram(&from, v6 ? sim_ip6(2) : sim_ip4(2), sizes[n], &hash);
            assert_true(sim_run(both, 2, 5 * SECOND, one_came, NULL));
            assert_int_equal(got_len, sizes[n]);
            assert_true(got_hash == hash);
        }
        A.dup = 10000; // each fragment twice: a datagram with overlaps is not believed, and nothing leaks
        u64 hash;
        got_count = 0;
        send_datagram(&from, v6 ? sim_ip6(2) : sim_ip4(2), 5000, &hash);
        sim_run(both, 2, 2 * SECOND, NULL, NULL);
        assert_true(got_count == 0 || got_hash == hash);
        udp_unbind(&from), udp_unbind(&to);
        finish();
    }
}

static s32 told;
static void on_error(void *owner, s32 err) { (void)owner, told = err; }

static void test_udp_refused(void **s)
{
    (void)s;
    for (u32 v6 = 0; v6 < 2; v6++) {
        reset();
        A.net.udp_failed = on_error;
        struct udp u = {.remote = v6 ? sim_ip6(2) : sim_ip4(2), .rport = 53};
        u64 hash;
        udp_bind(&A.net, &u);
        told = 0;
        send_datagram(&u, u.remote, 10, &hash);
        sim_run(both, 2, SECOND, NULL, NULL);
        assert_int_equal(told, ECONNREFUSED);
        udp_unbind(&u);
        finish();
    }
}

// ---- fragments
static void test_fragments(void **s)
{
    (void)s;
    static u8 data[60000];
    reset();
    struct net *net = &A.net;
    struct ip a = sim_ip4(9), b = sim_ip4(1);
    for (u32 round = 0; round < 300; round++) {
        u32 total = 16 + sim_random() % (sizeof data - 16), cuts[64], n = 0;
        for (u32 k = 0; k < total; k++)
            data[k] = sim_random();
        for (u32 at = 0; at < total && n < 63; at += 8 * (1 + sim_random() % 300))
            cuts[n++] = at;
        if (total - cuts[n - 1] > 20000 || n < 2)
            continue;
        u32 order[64], len;
        for (u32 k = 0; k < n; k++)
            order[k] = k;
        for (u32 k = n; k > 1; k--) {
            u32 o = sim_random() % k, t = order[o];
            order[o] = order[k - 1], order[k - 1] = t;
        }
        u8 *whole = NULL;
        net_enter(net);
        for (u32 k = 0; k < n; k++) {
            u32 i = order[k], end = i + 1 < n ? cuts[i + 1] : total;
            assert_null(whole);
            whole = frag_add(net, &a, &b, round, 17, cuts[i], i + 1 < n, data + cuts[i], end - cuts[i], &len);
        }
        assert_non_null(whole);
        assert_int_equal(len, total);
        assert_memory_equal(whole, data, total);
        net_free(whole);
    }
    // overlaps, ends that contradict, floods: nothing comes of them, and time takes the rest away
    u32 len;
    assert_null(frag_add(net, &a, &b, 1, 17, 0, true, data, 800, &len));
    assert_null(frag_add(net, &a, &b, 1, 17, 400, true, data, 800, &len));
    assert_null(frag_add(net, &a, &b, 1, 17, 1200, false, data, 8, &len));
    assert_null(frag_add(net, &a, &b, 2, 17, 800, false, data, 8, &len));
    assert_null(frag_add(net, &a, &b, 2, 17, 0, true, data, 808, &len));
    for (u32 k = 0; k < 3000; k++)
        frag_add(net, &a, &b, 100 + k, 17, 60000, true, data, 800, &len);
    assert_true(net->nfrags <= 256 && net->frag_bytes <= 4 << 20);
    sim_run(both, 2, 40 * SECOND, NULL, NULL);
    assert_int_equal(net->nfrags, 0);
    finish();
}

// ---- echo
static u32 echoes;
static void on_echo(struct net *net, const struct rx *x) { (void)net, (void)x, echoes++; }

static void test_echo(void **s)
{
    (void)s;
    for (u32 v6 = 0; v6 < 2; v6++) {
        reset();
        A.net.icmp_echo_reply = on_echo;
        echoes = 0;
        for (u32 len = 0; len < 4000; len += 1300) {
            struct tx t;
            struct route r;
            struct refq q = {0};
            static u8 zero[4000];
            struct ip to = v6 ? sim_ip6(2) : sim_ip4(2);
            net_enter(&A.net);
            assert_int_equal(route_find(&A.net, &to, NULL, &r), 0);
            tx_start(&t, &r.src, &to, v6 ? 58 : 1);
            refq_copy(&A.net, &q, zero, len);
            t.refs = q.first, t.body = len;
            u8 *h = tx_push(&t, 8);
            memset(h, 0, 8);
            h[0] = v6 ? 128 : 8;
            if (v6)
                tx_sum(&t, r.nif, 2);
            else
                put16(h + 2, sum_end(sum_refs(sum_add(0, h, 8), q.first, 0, len)));
            assert_int_equal(ip_send(&A.net, &t, &r), 0);
            refq_free(&A.net, &q);
            net_leave(&A.net);
            sim_run(both, 2, SECOND, NULL, NULL);
        }
        assert_int_equal(echoes, 4);
        finish();
    }
}

// ---- SLAAC: a router says which prefix is here
static void test_slaac(void **s)
{
    (void)s;
    reset();
    struct ip router = {.b = {0xfe, 0x80, [15] = 0x99}}, all = {.b = {0xff, 2, [15] = 1}};
    net_enter(&A.net);
    nd_start(&A.nif);
    net_leave(&A.net);
    sim_run(both, 2, 2 * SECOND, NULL, NULL);
    u8 f[14 + 40 + 16 + 32 + 8] = {0x33, 0x33, 0, 0, 0, 1, 2, 0, 0, 0, 0, 0x99, 0x86, 0xdd}, *ip = f + 14, *m = ip + 40;
    put32(ip, 6u << 28);
    put16(ip + 4, 56);
    ip[6] = 58, ip[7] = 255;
    memcpy(ip + 8, router.b, 16);
    memcpy(ip + 24, all.b, 16);
    m[0] = 134;
    put16(m + 6, 1800);
    u8 *o = m + 16;
    o[0] = 3, o[1] = 4, o[2] = 64, o[3] = 0xc0;
    put32(o + 4, 3600), put32(o + 8, 1800);
    o[16] = 0x20, o[17] = 1, o[18] = 0xd, o[19] = 0xb8;
    u8 *l = o + 32;
    l[0] = 1, l[1] = 1;
    memcpy(l + 2, f + 6, 6);
    put16(m + 2, sum_end(sum_add(sum_pseudo(&router, &all, 58, 56), m, 56)));
    net_enter(&A.net);
    net_input(&A.nif, f, sizeof f, 0);
    net_leave(&A.net);
    sim_run(both, 2, 2 * SECOND, NULL, NULL);
    struct ip mine = {.b = {0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xfe, 0, 0, 1}}, far = {.b = {0x20, 2, [15] = 1}};
    assert_true(addr_is_own(&A.net, &mine));
    struct route r;
    assert_int_equal(route_find(&A.net, &far, NULL, &r), 0);
    assert_true(ip_eq(&r.hop, &router) && ip_eq(&r.src, &mine));
    ip[7] = 64; // not from this link: not believed
    put16(m + 6, 0);
    net_enter(&A.net);
    net_input(&A.nif, f, sizeof f, 0);
    assert_int_equal(route_find(&A.net, &far, NULL, &r), 0);
    finish();
}

// Two hosts with the same address: the second does not take it.
static void test_duplicate(void **s)
{
    (void)s;
    reset();
    struct ip x = {.b = {0xfd, [15] = 77}};
    net_enter(&A.net);
    addr_add(&A.nif, &x, 64, 0);
    net_leave(&A.net);
    net_enter(&B.net);
    addr_add(&B.nif, &x, 64, ADDR_TENTATIVE);
    net_leave(&B.net);
    assert_false(addr_is_own(&B.net, &x));
    sim_run(both, 2, 5 * SECOND, NULL, NULL);
    assert_true(addr_is_own(&A.net, &x));
    assert_false(addr_is_own(&B.net, &x));
    finish();
}

// ---- DHCP against a small server
static struct dhcp dhcp;
static struct udp server;
static u32 leases;
static bool deaf, refuse;
static void server_input(const struct ip *from, u16 port, const u8 *p, u32 len)
{
    (void)from, (void)port, (void)len;
    u8 b[300] = {2, 1, 6};
    u8 asked = p[242];
    if (deaf)
        return;
    memcpy(b + 4, p + 4, 4);
    memcpy(b + 28, p + 28, 6);
    b[16] = 10, b[19] = 50;
    put32(b + 236, 0x63825363);
    u8 o[] = {53, 1, asked == 1 ? 2 : refuse ? 6 : 5, 54, 4, 10, 0, 0, 2, 1, 4, 255, 255, 255, 0, 3, 4, 10, 0, 0, 2,
              6, 8, 10, 0, 0, 3, 10, 0, 0, 4, 51, 4, 0, 0, 2, 88, 255};
    memcpy(b + 240, o, sizeof o);
    if (asked == 3 && !refuse)
        leases++;
    refuse = false;
    struct ip to = ip4_make(~0u);
    struct refq q = {0};
    refq_copy(&B.net, &q, b, sizeof b);
    server.broadcast = true;
    udp_send(&server, &to, 68, q.first, q.bytes);
    refq_free(&B.net, &q);
}
static void to_client(void *owner, const struct ip *from, u16 port, const struct ip *to, const u8 *p, u32 len)
{
    (void)from, (void)port, (void)to;
    dhcp_input(owner, p, len);
}
static bool bound(void *arg) { return (void)arg, dhcp.state == DHCP_BOUND; }

static void test_dhcp(void **s)
{
    (void)s;
    reset();
    struct ip old = sim_ip4(1), far = ip4_make(0x08080808), mine = sim_ip4(50);
    net_enter(&A.net);
    addr_remove(&A.net, addr_find(&A.net, &old));
    A.net.udp_receive = to_client;
    server = (struct udp){.lport = 67, .owner = server_input};
    udp_bind(&B.net, &server);
    leases = 0, deaf = true, refuse = true;
    dhcp_start(&A.nif, &dhcp);
    net_leave(&A.net);
    sim_run(both, 2, 20 * SECOND, NULL, NULL);
    assert_int_equal(dhcp.state, DHCP_SELECTING);
    deaf = false; // it answers at last, says no once, then yes
    assert_true(sim_run(both, 2, 100 * SECOND, bound, NULL));
    assert_true(addr_is_own(&A.net, &mine));
    assert_int_equal(dhcp.plen, 24);
    assert_int_equal(dhcp.ndns, 2);
    struct route r;
    assert_int_equal(route_find(&A.net, &far, NULL, &r), 0);
    struct ip router = sim_ip4(2);
    assert_true(ip_eq(&r.hop, &router));
    sim_run(both, 2, 1500 * SECOND, NULL, NULL); // leases of ten minutes are renewed
    assert_true(leases >= 5);
    assert_true(addr_is_own(&A.net, &mine));
    deaf = true;
    sim_run(both, 2, 700 * SECOND, NULL, NULL); // and end
    assert_false(addr_is_own(&A.net, &mine));
    udp_unbind(&dhcp.udp);
    wheel_clear(&A.net, &dhcp.timer);
    udp_unbind(&server);
    finish();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_wheel), cmocka_unit_test(test_sum), cmocka_unit_test(test_udp),
        cmocka_unit_test(test_udp_refused), cmocka_unit_test(test_fragments), cmocka_unit_test(test_echo),
        cmocka_unit_test(test_slaac), cmocka_unit_test(test_duplicate), cmocka_unit_test(test_dhcp),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
