// TCP between two stacks over links that lose, repeat, reorder and damage frames.
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
static struct app client, server, listener;

static void reset(u32 fa, u32 fb)
{
    sim_frames_drop();
    sim_allocs = sim_pages = 0; // a test that failed has left some
    sim_host(&A, 1, fa);
    sim_host(&B, 2, fb);
    sim_join(&A, &B);
    memset(&client, 0, sizeof client);
    memset(&server, 0, sizeof server);
    memset(&listener, 0, sizeof listener);
    client.seed = 1, server.seed = 2;
}

static void unlisten(void)
{
    if (listener.l) {
        net_enter(&B.net);
        tcp_unlisten(listener.l);
        net_leave(&B.net);
        listener.l = NULL;
    }
}

// Everything is closed; after TIME-WAIT no memory is in use.
static void finish(void)
{
    app_close(&client);
    app_close(&server);
    unlisten();
    A.loss = A.dup = A.reorder = A.corrupt = B.loss = B.dup = B.reorder = B.corrupt = 0;
    A.filter = B.filter = NULL;
    sim_run(both, 2, 2000 * SECOND, NULL, NULL);
    assert_int_equal(A.net.nconns, 0);
    assert_int_equal(B.net.nconns, 0);
    sim_end(&A);
    sim_end(&B);
    assert_int_equal(sim_allocs, 0);
    assert_int_equal(sim_pages, 0);
}

static bool work(void *arg)
{
    (void)arg;
    if (!server.t && listener.l && !server.connected)
        app_accept(&listener, &server);
    app_work(&client);
    app_work(&server);
    return false;
}

static bool connected(void *arg)
{
    work(arg);
    return client.connected && server.connected;
}

static bool both_done(void *arg)
{
    work(arg);
    return server.eof && client.eof && server.received == client.to_send && client.received == server.to_send;
}

static bool both_failed(void *arg)
{
    work(arg);
    return client.failed || server.failed;
}

static void open_pair(bool v6)
{
    app_listen(&listener, &B, 80, 8);
    app_connect(&client, &A, v6 ? sim_ip6(2) : sim_ip4(2), 80);
    assert_non_null(client.t);
    assert_true(sim_run(both, 2, 60 * SECOND, connected, NULL));
}

static void tell(struct tcp *t)
{
    fprintf(stderr, "%p state %d una %u nxt %u wnd %u cwnd %u flight %u lost %p unsent %p timer %d due %lu armed %d now %lu rto %u backoff %d ca %d "
            "rnxt %u radv %u ooo %p rcvq %u queued %u\n", (void *)t, t->state, t->una - t->iss, t->nxt - t->iss, t->wnd, t->cwnd, t->flight, (void *)t->lostq.first,
            (void *)t->unsent, t->timer_kind, t->timer_due, wheel_armed(&t->timer), sim_now / 1000000, t->rto, t->backoff, t->ca, t->rnxt - t->irs,
            t->radv - t->irs, (void *)t->ooo, t->rcvq.bytes, t->queued);
}

static void transfer_case(u64 up, u64 down, u32 fa, bool v6, u32 loss, u32 dup, u32 reorder, u32 corrupt, u64 limit)
{
    reset(fa, fa);
    A.loss = B.loss = loss, A.dup = B.dup = dup, A.reorder = B.reorder = reorder, A.corrupt = B.corrupt = corrupt;
    client.to_send = up, server.to_send = down;
    client.shut_after = server.shut_after = true;
    open_pair(v6);
    u64 start = sim_now;
    bool ok = sim_run(both, 2, limit * SECOND, both_done, NULL);
    if (!ok && client.t && server.t)
        tell(client.t), tell(server.t);
    if (!ok) {
        for (int i = 0; i < 2; i++) { struct net *n = &both[i]->net; struct net_count *c = &n->count;
        fprintf(stderr, "paws %lu chal %lu csum %lu ipin %lu bad %lu tcpin %lu out %lu nomem %lu drops %lu neigh %d frames %lu\n", c->tcp_paws, c->tcp_challenge, c->csum_bad, c->ip_in, c->ip_bad, c->tcp_in, c->tcp_out, c->tcp_nomem, both[i]->nif.tx_drops, n->neigh_new ? n->neigh_new->state : -1, both[i]->frames); }
    }
    if (!ok)
        fprintf(stderr, "up %lu/%lu down %lu/%lu eof %d %d err %d %d\n", server.received, up, client.received, down,
                server.eof, client.eof, client.error, server.error);
    assert_true(ok);
    assert_true(server.rx_hash == client.tx_hash);
    assert_true(client.rx_hash == server.tx_hash);
    if (getenv("NET_VERBOSE"))
        fprintf(stderr, "  %lu B up, %lu down: %lu ms, retrans %lu %lu, rto %lu %lu, tlp %lu, recoveries %lu\n", up, down,
                (sim_now - start) / 1000000, A.net.count.tcp_retrans, B.net.count.tcp_retrans, A.net.count.tcp_rto,
                B.net.count.tcp_rto, A.net.count.tcp_tlp + B.net.count.tcp_tlp, A.net.count.tcp_recovery);
    finish();
}

static void test_clean(void **s)
{
    (void)s;
    transfer_case(1 << 20, 1 << 20, 0, false, 0, 0, 0, 0, 10);
    transfer_case(1 << 20, 1 << 20, 0, true, 0, 0, 0, 0, 10);
    transfer_case(4 << 20, 0, NETIF_CSUM | NETIF_TSO4 | NETIF_TSO6, false, 0, 0, 0, 0, 10);
    transfer_case(0, 4 << 20, NETIF_CSUM | NETIF_TSO4 | NETIF_TSO6, true, 0, 0, 0, 0, 10);
    transfer_case(0, 0, 0, false, 0, 0, 0, 0, 10);
    transfer_case(1, 1, 0, false, 0, 0, 0, 0, 10);
}

static void test_loss(void **s)
{
    (void)s;
    for (u32 n = 0; n < 6; n++) {
        sim_seed(n + 1);
        u32 f = n & 1 ? NETIF_CSUM | NETIF_TSO4 | NETIF_TSO6 : 0;
        transfer_case(1 << 20, 300000, f, n & 2, 100, 0, 0, 0, 120);
        transfer_case(300000, 300000, f, n & 2, 500, 100, 500, 100, 600);
    }
    transfer_case(100000, 100000, 0, false, 2000, 500, 2000, 500, 3000);
}

static void test_reorder(void **s)
{
    (void)s;
    sim_seed(7);
    transfer_case(2 << 20, 100000, 0, false, 0, 0, 2000, 0, 100);
    transfer_case(1 << 20, 100000, 0, false, 0, 2000, 0, 0, 100);
    transfer_case(1 << 20, 100000, 0, false, 0, 0, 0, 300, 100);
}

// The handshake's options.
static void test_options(void **s)
{
    (void)s;
    reset(0, 0);
    open_pair(false);
    assert_true(client.t->sack_ok && client.t->ts_ok && server.t->sack_ok && server.t->ts_ok);
    assert_int_equal(client.t->snd_ws, TCP_WS);
    assert_int_equal(client.t->mss, 1448);
    assert_int_equal(server.t->mss, 1448);
    finish();
}

// Without SACK and timestamps: options are taken out of SYNs on the way.
static bool strip(struct host *from, u8 *f, u32 len)
{
    (void)from;
    if (f[12] != 8 || f[14 + 9] != 6 || !(f[14 + 20 + 13] & TH_SYN))
        return true;
    u8 *h = f + 34, *end = h + (h[12] >> 4) * 4;
    for (u8 *o = h + 20; o < end;) {
        if (*o <= 1) {
            o++;
            continue;
        }
        u8 n = o[1];
        if (*o != 2)
            memset(o, 1, n);
        o += n;
    }
    struct ip a = ip4_of(f + 26), b = ip4_of(f + 30);
    put16(h + 16, 0);
    put16(h + 16, sum_end(sum_add(sum_pseudo(&a, &b, 6, len - 34), h, len - 34)));
    return true;
}

static void test_plain(void **s)
{
    (void)s;
    for (u32 n = 0; n < 3; n++) {
        sim_seed(n + 50);
        reset(0, 0);
        A.filter = B.filter = strip;
        A.loss = B.loss = 200 * n;
        client.to_send = server.to_send = 400000;
        client.shut_after = server.shut_after = true;
        open_pair(false);
        assert_false(client.t->sack_ok || client.t->ts_ok || server.t->snd_ws);
        assert_true(sim_run(both, 2, 600 * SECOND, both_done, NULL));
        assert_true(server.rx_hash == client.tx_hash && client.rx_hash == server.tx_hash);
        finish();
    }
}

static bool arp_only(struct host *from, u8 *f, u32 len)
{
    (void)from, (void)len;
    return f[12] == 8 && f[13] == 6;
}

static void test_refused(void **s)
{
    (void)s;
    reset(0, 0);
    app_connect(&client, &A, sim_ip4(2), 81);
    assert_true(sim_run(both, 2, 10 * SECOND, both_failed, NULL));
    assert_int_equal(client.error, ECONNREFUSED);
    finish();
    reset(0, 0);
    app_connect(&client, &A, sim_ip4(77), 81); // nobody there
    assert_true(sim_run(both, 2, 10 * SECOND, both_failed, NULL));
    assert_int_equal(client.error, EHOSTUNREACH);
    finish();
    reset(0, 0);
    B.filter = arp_only; // no answer
    app_connect(&client, &A, sim_ip4(2), 81);
    assert_true(sim_run(both, 2, 300 * SECOND, both_failed, NULL));
    assert_int_equal(client.error, ETIMEDOUT);
    finish();
}

static void test_simultaneous_open(void **s)
{
    (void)s;
    for (u32 n = 0; n < 2; n++) {
        reset(0, 0);
        s32 err;
        struct ip a = sim_ip4(1), b = sim_ip4(2);
        client.h = &A, server.h = &B;
        client.reading = server.reading = true;
        net_enter(&A.net), net_enter(&B.net);
        neigh_learn(&A.net, &A.nif, &b, B.nif.mac, true, true, true);
        neigh_learn(&B.net, &B.nif, &a, A.nif.mac, true, true, true);
        client.t = tcp_connect(&A.net, NULL, 5000, &b, 6000, &client, &err);
        server.t = tcp_connect(&B.net, NULL, 6000, &a, 5000, &server, &err);
        A.loss = B.loss = n * 2000;
        client.to_send = server.to_send = 50000;
        client.shut_after = server.shut_after = true;
        assert_true(sim_run(both, 2, 100 * SECOND, both_done, NULL));
        assert_true(server.rx_hash == client.tx_hash && client.rx_hash == server.tx_hash);
        finish();
    }
}

static void test_simultaneous_close(void **s)
{
    (void)s;
    reset(0, 0);
    open_pair(false);
    net_enter(&A.net), net_enter(&B.net);
    tcp_shutdown(client.t);
    tcp_shutdown(server.t);
    assert_int_equal(client.t->state, TCP_FIN_WAIT1);
    assert_true(sim_run(both, 2, 10 * SECOND, both_done, NULL));
    sim_run(both, 2, SECOND, work, NULL);
    assert_int_equal(A.net.ntimewait, 1);
    assert_int_equal(B.net.ntimewait, 1);
    finish();
}

static void test_half_close(void **s)
{
    (void)s;
    reset(0, 0);
    open_pair(false);
    net_enter(&A.net);
    tcp_shutdown(client.t);
    sim_run(both, 2, SECOND, work, NULL);
    assert_true(server.eof);
    assert_int_equal(client.t->state, TCP_FIN_WAIT2);
    assert_int_equal(server.t->state, TCP_CLOSE_WAIT);
    sim_run(both, 2, 100 * SECOND, work, NULL); // an owner waits as long as it likes
    server.to_send = 200000;
    server.shut_after = true;
    assert_true(sim_run(both, 2, 10 * SECOND, both_done, NULL));
    assert_true(client.rx_hash == server.tx_hash);
    assert_int_equal(A.net.ntimewait, 1);
    assert_int_equal(B.net.ntimewait, 0);
    finish();
}

static void test_reset(void **s)
{
    (void)s;
    reset(0, 0);
    open_pair(false);
    net_enter(&A.net);
    tcp_abort(client.t);
    client.t = NULL;
    assert_true(sim_run(both, 2, SECOND, both_failed, NULL));
    assert_int_equal(server.error, ECONNRESET);
    finish();
    // closed with bytes unread
    reset(0, 0);
    open_pair(false);
    client.reading = false;
    server.to_send = 1000;
    sim_run(both, 2, SECOND, work, NULL);
    app_close(&client);
    assert_true(sim_run(both, 2, SECOND, both_failed, NULL));
    assert_int_equal(server.error, ECONNRESET);
    finish();
    // sent to one that is closed
    reset(0, 0);
    open_pair(false);
    app_close(&client);
    sim_run(both, 2, SECOND, work, NULL);
    assert_true(server.eof);
    server.to_send = 100;
    assert_true(sim_run(both, 2, SECOND, both_failed, NULL));
    assert_int_equal(server.error, EPIPE);
    finish();
}

// Resets and SYNs of a stranger who sees nothing but guesses the ports (RFC 5961).
static void forge(u32 seq, u32 ack, u8 flags, u32 len)
{
    u8 f[54 + 64] = {0};
    memcpy(f, B.nif.mac, 6);
    f[12] = 8;
    u8 *ip = f + 14, *h = ip + 20;
    ip[0] = 0x45, ip[8] = 64, ip[9] = 6;
    put16(ip + 2, 40 + len);
    memcpy(ip + 12, &client.t->c.la.b[12], 4);
    memcpy(ip + 16, &client.t->c.ra.b[12], 4);
    put16(ip + 10, sum_end(sum_add(0, ip, 20)));
    put16(h, client.t->c.lp), put16(h + 2, client.t->c.rp);
    put32(h + 4, seq), put32(h + 8, ack);
    h[12] = 0x50, h[13] = flags;
    put16(h + 14, 100);
    put16(h + 16, sum_end(sum_add(sum_pseudo(&client.t->c.la, &client.t->c.ra, 6, 20 + len), h, 20 + len)));
    net_enter(&B.net);
    net_input(&B.nif, f, 54 + len, 0);
    net_leave(&B.net);
}

static void test_blind(void **s)
{
    (void)s;
    reset(0, 0);
    open_pair(false);
    u64 before = B.net.count.tcp_challenge;
    forge(server.t->rnxt + 100, 0, TH_RST, 0);
    assert_int_equal(B.net.count.tcp_challenge, before + 1);
    forge(server.t->rnxt + 10000000, 0, TH_RST, 0); // outside: no answer
    assert_int_equal(B.net.count.tcp_challenge, before + 1);
    forge(server.t->rnxt, 0, TH_SYN, 0);
    assert_int_equal(B.net.count.tcp_challenge, before + 2);
    forge(server.t->rnxt, server.t->nxt + 1, TH_ACK, 10); // acknowledges what was never sent
    forge(server.t->rnxt, server.t->nxt - 0x40000000, TH_ACK, 10);
    assert_int_equal(server.t->state, TCP_ESTABLISHED);
    assert_int_equal(server.t->rcvq.bytes, 0);
    client.to_send = server.to_send = 10000;
    client.shut_after = server.shut_after = true;
    assert_true(sim_run(both, 2, 10 * SECOND, both_done, NULL));
    assert_true(server.rx_hash == client.tx_hash);
    finish();
    reset(0, 0);
    open_pair(false);
    forge(server.t->rnxt, 0, TH_RST, 0); // exact: it is believed
    assert_int_equal(server.t->error, ECONNRESET);
    finish();
}

static bool stuck(void *arg)
{
    work(arg);
    return client.t && !client.t->wnd && client.t->unsent;
}

static void test_zero_window(void **s)
{
    (void)s;
    for (u32 n = 0; n < 2; n++) {
        reset(0, 0);
        open_pair(false);
        server.reading = false;
        client.to_send = 600000;
        client.shut_after = true;
        assert_true(sim_run(both, 2, 100 * SECOND, stuck, NULL));
        A.loss = B.loss = n * 3000; // the window update may get lost
        sim_run(both, 2, 600 * SECOND, work, NULL); // probes hold it
        assert_int_equal(client.t->state, TCP_ESTABLISHED);
        server.reading = server.shut_after = true;
        A.loss = 0, B.loss = n * 10000;
        work(NULL);
        B.loss = 0;
        assert_true(sim_run(both, 2, 300 * SECOND, both_done, NULL));
        assert_true(server.rx_hash == client.tx_hash);
        finish();
    }
}

static void test_small_writes(void **s)
{
    (void)s;
    reset(0, 0);
    open_pair(false);
    client.chunk = 7;
    client.to_send = 70000;
    client.shut_after = server.shut_after = true;
    u64 before = A.frames;
    assert_true(sim_run(both, 2, 10 * SECOND, both_done, NULL));
    assert_true(server.rx_hash == client.tx_hash);
    assert_true(A.frames - before < 400); // Nagle
    finish();
}

static void test_dead_peer(void **s)
{
    (void)s;
    reset(0, 0);
    open_pair(false);
    client.t->keepalive = true;
    client.t->keep_idle = 10, client.t->keep_interval = 5, client.t->keep_count = 3;
    net_enter(&A.net);
    tcp_options_changed(client.t);
    sim_run(both, 2, 200 * SECOND, work, NULL); // it answers
    assert_int_equal(client.t->state, TCP_ESTABLISHED);
    A.loss = B.loss = 10000;
    u64 t0 = sim_now;
    assert_true(sim_run(both, 2, 60 * SECOND, both_failed, NULL));
    assert_int_equal(client.error, ETIMEDOUT);
    assert_true(sim_now - t0 <= 31 * SECOND);
    finish();
    reset(0, 0); // with bytes outstanding
    open_pair(false);
    A.loss = B.loss = 10000;
    client.to_send = 10000;
    t0 = sim_now;
    assert_true(sim_run(both, 2, 3000 * SECOND, both_failed, NULL));
    assert_int_equal(client.error, ETIMEDOUT);
    assert_true(sim_now - t0 > 500 * SECOND);
    finish();
}

static void test_pmtu(void **s)
{
    (void)s;
    for (u32 n = 0; n < 2; n++) {
        reset(n ? 0 : 0, 0);
        open_pair(false);
        A.mtu_silent = 1000;
        client.to_send = 200000;
        client.shut_after = server.shut_after = true;
        assert_true(sim_run(both, 2, 20 * SECOND, both_done, NULL));
        assert_true(server.rx_hash == client.tx_hash);
        assert_int_equal(A.net.count.tcp_rto, 0);
        assert_int_equal(client.t->mss, 948);
        finish();
    }
}

// A bottleneck with a short queue: the whole of it is used, most of the time.
static void test_bottleneck(void **s)
{
    (void)s;
    reset(0, 0);
    A.rate = B.rate = 1250000; // 10 Mbit/s
    A.delay = B.delay = 10000000;
    A.queue = 40000;
    client.to_send = 10 << 20;
    client.shut_after = server.shut_after = true;
    open_pair(false);
    u64 t0 = sim_now;
    assert_true(sim_run(both, 2, 60 * SECOND, both_done, NULL));
    assert_true(server.rx_hash == client.tx_hash);
    u64 ms = (sim_now - t0) / 1000000;
    if (getenv("NET_VERBOSE"))
        fprintf(stderr, "  bottleneck: %lu ms (8800 at best), %lu of %lu dropped, retrans %lu, rto %lu\n", ms, A.dropped,
                A.frames, A.net.count.tcp_retrans, A.net.count.tcp_rto);
    assert_true(ms < 11000);
    assert_true(A.net.count.tcp_rto == 0);
    finish();
}

// ---- SYNs from everywhere: connections still can be made
static void syn_flood(u32 n)
{
    for (u32 k = 0; k < n; k++) {
        u8 f[54] = {0};
        memcpy(f, B.nif.mac, 6);
        f[12] = 8;
        u8 *ip = f + 14, *h = ip + 20;
        ip[0] = 0x45, ip[8] = 64, ip[9] = 6;
        put16(ip + 2, 40);
        put32(ip + 12, 0x0a000000 | (3 + sim_random() % 250));
        put32(ip + 16, 0x0a000002);
        put16(ip + 10, sum_end(sum_add(0, ip, 20)));
        put16(h, sim_random()), put16(h + 2, 80);
        put32(h + 4, sim_random());
        h[12] = 0x50, h[13] = TH_SYN;
        put16(h + 14, 1000);
        struct ip a = ip4_of(ip + 12), b = ip4_of(ip + 16);
        put16(h + 16, sum_end(sum_add(sum_pseudo(&a, &b, 6, 20), h, 20)));
        net_enter(&B.net);
        net_input(&B.nif, f, 54, 0);
        net_leave(&B.net);
    }
}

static void test_syn_flood(void **s)
{
    (void)s;
    for (u32 n = 0; n < 2; n++) {
        reset(0, 0);
        app_listen(&listener, &B, 80, 8);
        if (n)
            A.filter = strip; // no timestamps: a cookie then carries the MSS alone
        syn_flood(2000);
        assert_true(B.net.count.tcp_cookie_sent > 1000);
        assert_true(B.net.nconns <= 130);
        client.to_send = server.to_send = 100000;
        client.shut_after = server.shut_after = true;
        app_connect(&client, &A, sim_ip4(2), 80);
        assert_true(sim_run(both, 2, 20 * SECOND, both_done, NULL));
        assert_int_equal(B.net.count.tcp_cookie_ok, 1);
        assert_true(server.t->sack_ok == !n && server.t->ts_ok == !n && !!server.t->snd_ws == !n);
        assert_true(server.rx_hash == client.tx_hash && client.rx_hash == server.tx_hash);
        finish();
    }
}

// ---- many connections
enum { MANY = 10000 };
static struct app *many;
static u32 many_open;

static bool many_accept(void *arg)
{
    (void)arg;
    struct tcp *t;
    while ((t = tcp_accept(listener.l, &many[MANY + many_open])))
        many[MANY + many_open].t = t, many[MANY + many_open].h = &B, many_open++;
    return many_open == MANY;
}

static void test_many(void **s)
{
    (void)s;
    reset(0, 0);
    many = calloc(2 * MANY, sizeof *many);
    app_listen(&listener, &B, 80, 4096);
    long before = sim_alloc_bytes, pages = sim_pages;
    for (u32 k = 0; k < MANY; k += 500) {
        for (u32 n = 0; n < 500; n++)
            app_connect(&many[k + n], &A, sim_ip4(2), 80);
        sim_run(both, 2, SECOND / 10, many_accept, NULL);
    }
    assert_true(sim_run(both, 2, 30 * SECOND, many_accept, NULL));
    long each = (sim_alloc_bytes - before + (sim_pages - pages) * 4096) / (2 * MANY);
    if (getenv("NET_VERBOSE"))
        fprintf(stderr, "  an idle connection: %ld bytes (struct tcp %zu)\n", each, sizeof(struct tcp));
    assert_true(each <= 700);
    for (u32 k = 0; k < 2 * MANY; k++)
        app_close(&many[k]);
    sim_run(both, 2, 200 * SECOND, NULL, NULL);
    free(many);
    finish();
}

// No allocation may be relied on.
static void test_no_memory(void **s)
{
    (void)s;
    for (u32 k = 0; k < 150; k++) {
        sim_seed(k);
        reset(0, 0);
        app_listen(&listener, &B, 80, 8);
        client.to_send = server.to_send = 30000;
        client.shut_after = server.shut_after = true;
        sim_fail_after = k;
        app_connect(&client, &A, sim_ip4(2), 80);
        sim_run(both, 2, SECOND, client.t ? both_done : NULL, NULL);
        sim_fail_after = -1;
        if (client.t && client.sent == 0)
            assert_true(sim_run(both, 2, 200 * SECOND, both_done, NULL) || client.failed || server.failed);
        finish();
    }
}

static void test_loopback(void **s)
{
    (void)s;
    for (u32 n = 0; n < 3; n++) {
        reset(0, 0);
        struct ip to = n == 0 ? ip4_make(0x7f000001) : n == 1 ? (struct ip){.b = {[15] = 1}} : sim_ip4(2);
        app_listen(&listener, &B, 80, 8);
        client.to_send = server.to_send = 1 << 20;
        client.shut_after = server.shut_after = true;
        app_connect(&client, &B, to, 80);
        assert_true(sim_run(both, 2, 10 * SECOND, both_done, NULL));
        assert_true(server.rx_hash == client.tx_hash && client.rx_hash == server.tx_hash);
        finish();
    }
}

// A second connection of the same four numbers while the first is in TIME-WAIT.
static void test_time_wait(void **s)
{
    (void)s;
    for (u32 n = 0; n < 2; n++) {
        reset(0, 0);
        if (n)
            A.filter = B.filter = strip;
        app_listen(&listener, &B, 80, 8);
        s32 err;
        struct ip b = sim_ip4(2);
        for (u32 k = 0; k < 3; k++) {
            memset(&client, 0, sizeof client);
            memset(&server, 0, sizeof server);
            client.h = &A, client.reading = true;
            server.close_after = true;
            net_enter(&A.net);
            client.t = tcp_connect(&A.net, NULL, 4000, &b, 80, &client, &err);
            assert_non_null(client.t);
            assert_true(sim_run(both, 2, 5 * SECOND, connected, NULL));
            app_close(&server); // the server ends first, and waits
            client.close_after = true;
            sim_run(both, 2, SECOND / 2, work, NULL);
            assert_null(client.t);
            assert_int_equal(B.net.ntimewait, 1);
        }
        finish();
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_clean), cmocka_unit_test(test_options), cmocka_unit_test(test_loss),
        cmocka_unit_test(test_reorder), cmocka_unit_test(test_plain), cmocka_unit_test(test_refused),
        cmocka_unit_test(test_simultaneous_open), cmocka_unit_test(test_simultaneous_close),
        cmocka_unit_test(test_half_close), cmocka_unit_test(test_reset), cmocka_unit_test(test_blind),
        cmocka_unit_test(test_zero_window), cmocka_unit_test(test_small_writes), cmocka_unit_test(test_dead_peer),
        cmocka_unit_test(test_pmtu), cmocka_unit_test(test_bottleneck), cmocka_unit_test(test_syn_flood),
        cmocka_unit_test(test_many), cmocka_unit_test(test_no_memory), cmocka_unit_test(test_loopback),
        cmocka_unit_test(test_time_wait),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
