// Anything at all arrives at a stack that has connections, listeners and datagram endpoints. As a libFuzzer
// target (make fuzz), and alone with random inputs: net_fuzz_test [COUNT [SEED]].
//
// An input is a list of steps; a step's first byte says what kind. Most steps are packets whose checksums
// and ports are put right, so that what is damaged gets as far as it can.
#include "net_sim.h"
#include <stdio.h>
#include <stdlib.h>

static struct host H, P; // the one that is attacked, and its peer, which does not exist but in frames
static struct app client, listener, taken[8];
static struct udp udp;
static u32 ntaken;

struct input {
    const u8 *p;
    size_t n;
};
static u8 u8_of(struct input *in) { return in->n ? (in->n--, *in->p++) : 0; }
static u32 u16_of(struct input *in) { return u8_of(in) << 8 | u8_of(in); }
static u32 u32_of(struct input *in) { return u16_of(in) << 16 | u16_of(in); }

static void deliver(const u8 *f, u32 len, u32 flags)
{
    u8 *exact = malloc(len ? len : 1); // so that a read behind its end is seen
    memcpy(exact, f, len);
    net_enter(&H.net);
    net_input(&H.nif, exact, len, flags);
    net_leave(&H.net);
    free(exact);
}

static u32 ether(u8 *f, u16 type)
{
    memcpy(f, H.nif.mac, 6);
    memcpy(f + 6, P.nif.mac, 6);
    put16(f + 12, type);
    return 14;
}

// An IP packet around `len` bytes of payload that lie at f + 14 + head.
static u32 ip_put(u8 *f, bool v4, u8 proto, u32 len, struct input *in)
{
    u8 *h = f + ether(f, v4 ? 0x0800 : 0x86dd), odd = u8_of(in);
    struct ip a = v4 ? sim_ip4(2) : sim_ip6(2), b = v4 ? sim_ip4(1) : sim_ip6(1);
    if (v4) {
        memset(h, 0, 20);
        h[0] = 0x45, h[8] = 255, h[9] = proto;
        put16(h + 2, 20 + len);
        if (odd & 1)
            put16(h + 4, u8_of(in) & 3), put16(h + 6, u16_of(in) & 0x203f);
        if (odd & 2)
            h[u8_of(in) % 20] = u8_of(in);
        memcpy(h + 12, &a.b[12], 4);
        memcpy(h + 16, &b.b[12], 4);
        put16(h + 10, 0);
        put16(h + 10, sum_end(sum_add(0, h, 20)));
        return 14 + 20 + len;
    }
    memset(h, 0, 40);
    put32(h, 6u << 28);
    put16(h + 4, len);
    h[6] = odd & 4 ? u8_of(in) : proto, h[7] = 255;
    memcpy(h + 8, a.b, 16);
    memcpy(h + 24, b.b, 16);
    if (odd & 8)
        h[u8_of(in) % 40] = u8_of(in);
    return 14 + 40 + len;
}

static void sum_put(u8 *p, u32 len, bool v4, u8 proto, u32 off)
{
    struct ip a = v4 ? sim_ip4(2) : sim_ip6(2), b = v4 ? sim_ip4(1) : sim_ip6(1);
    if (off + 2 > len)
        return;
    put16(p + off, 0);
    put16(p + off, sum_end(sum_add(v4 && proto == 1 ? 0 : sum_pseudo(&a, &b, proto, len), p, len)));
}

static u32 rest(struct input *in, u8 *to, u32 most)
{
    u32 n = u8_of(in);
    n = n < 128 ? n / 4 : n < 200 ? n : n * 8; // short ones mostly
    n = MIN(MIN(n, most), in->n);
    memcpy(to, in->p, n);
    in->p += n, in->n -= n;
    return n;
}

static void step_tcp(struct input *in)
{
    u8 f[2200], how = u8_of(in), *h;
    bool v4 = how & 1;
    struct tcp *t = how & 2 ? client.t : ntaken ? taken[(how >> 2) % ntaken].t : NULL;
    h = f + 14 + (v4 ? 20 : 40);
    memset(h, 0, 60);
    put16(h, t ? t->c.rp : 1000 + (how >> 4)), put16(h + 2, t ? t->c.lp : 80);
    u32 seq = t ? t->rnxt : u32_of(in), ack = t ? t->nxt : u32_of(in);
    put32(h + 4, how & 8 ? seq + (s8)u8_of(in) * (how & 16 ? 500 : 1) : seq);
    put32(h + 8, how & 32 ? ack - u16_of(in) : ack);
    h[13] = u8_of(in) & 0x3f;
    put16(h + 14, u16_of(in));
    u32 optlen = (u8_of(in) & 11) * 4;
    for (u32 k = 0; k < optlen; k++)
        h[20 + k] = u8_of(in);
    if (how & 64 && optlen >= 12) {
        put32(h + 20, 0x0101080a);
        if (t)
            put32(h + 24, t->ts_recent + (s8)u8_of(in)), put32(h + 28, tcp_ts_now(&H.net, t->ts_off));
    }
    if (how & 128 && optlen >= 12 && t) { // plausible SACK blocks
        put32(h + 20, 0x0101050a);
        u32 a = t->una + u16_of(in) % 20000;
        put32(h + 24, a), put32(h + 28, a + u16_of(in) % 8000);
    }
    h[12] = (20 + optlen) / 4 << 4;
    u32 len = 20 + optlen + rest(in, h + 20 + optlen, 1400);
    sum_put(h, len, v4, 6, 16);
    deliver(f, ip_put(f, v4, 6, len, in), 0);
}

static void step_other(struct input *in, u8 proto)
{
    u8 f[2200], how = u8_of(in), *h;
    bool v4 = how & 1;
    h = f + 14 + (v4 ? 20 : 40);
    if (proto == 1 && !v4)
        proto = 58;
    u32 len = rest(in, h, 1400);
    if (proto == 17 && len >= 8) {
        if (how & 2)
            put16(h + 2, how & 4 ? 53 : 68), put16(h + 4, len);
        sum_put(h, len, v4, 17, 6);
    } else if (proto != 17) {
        sum_put(h, len, v4, proto, 2);
    }
    deliver(f, ip_put(f, v4, proto, len, in), 0);
}

// An error that quotes a packet of ours.
static void step_error(struct input *in)
{
    u8 f[200], how = u8_of(in), *h = f + 34;
    struct tcp *t = client.t;
    memset(h, 0, 60);
    h[0] = how & 1 ? 3 : 11, h[1] = u8_of(in) & 15;
    put16(h + 6, u16_of(in));
    u8 *q = h + 8;
    q[0] = 0x45, q[9] = how & 2 ? 17 : 6;
    put16(q + 2, 1500);
    struct ip a = sim_ip4(1), b = sim_ip4(2);
    memcpy(q + 12, &a.b[12], 4);
    memcpy(q + 16, &b.b[12], 4);
    if (t)
        put16(q + 20, t->c.lp), put16(q + 22, t->c.rp), put32(q + 24, t->una + u8_of(in));
    sum_put(h, 36, true, 1, 2);
    deliver(f, ip_put(f, true, 1, 36, in), 0);
}

static void step_app(struct input *in)
{
    u8 how = u8_of(in);
    struct app *a = how & 1 || !ntaken ? &client : &taken[(how >> 1) % ntaken];
    if (ntaken < countof(taken) && listener.l && app_accept(&listener, &taken[ntaken]))
        ntaken++;
    if (!a->t) {
        if (a == &client && how & 64)
            memset(&client, 0, sizeof client), app_connect(&client, &H, how & 32 ? sim_ip4(2) : sim_ip6(2), 80);
        return;
    }
    a->to_send += u16_of(in) % 5000;
    a->reading = how & 16;
    app_work(a);
    if (how & 128) {
        net_enter(&H.net);
        tcp_shutdown(a->t);
        net_leave(&H.net);
    }
    if ((how & 0x6e) == 0x6e)
        app_close(a);
}

static bool swallow(struct host *from, u8 *f, u32 len)
{
    (void)from, (void)f, (void)len;
    return false;
}

static void on_datagram(const struct ip *from, u16 port, const u8 *p, u32 len) { (void)from, (void)port, (void)p, (void)len; }

static void on_udp(void *owner, const struct ip *from, u16 port, const struct ip *to, const u8 *p, u32 len)
{
    (void)to;
    if (owner != (void *)on_datagram)
        dhcp_input(owner, p, len);
    else
        on_datagram(from, port, p, len);
}

int LLVMFuzzerTestOneInput(const u8 *data, size_t size);
int LLVMFuzzerTestOneInput(const u8 *data, size_t size)
{
    static struct dhcp dhcp;
    struct input in = {data, size};
    sim_seed(1);
    sim_now = 1000000000;
    memset(&client, 0, sizeof client), memset(&listener, 0, sizeof listener), memset(taken, 0, sizeof taken);
    memset(&udp, 0, sizeof udp);
    ntaken = 0;
    sim_host(&H, 1, 0);
    memset(&P, 0, sizeof P);
    memcpy(P.nif.mac, (u8[6]){2, 0, 0, 0, 0, 2}, 6);
    H.filter = swallow;
    H.peer = NULL;
    net_enter(&H.net);
    struct ip a = sim_ip4(2), b = sim_ip6(2);
    neigh_learn(&H.net, &H.nif, &a, P.nif.mac, true, true, true);
    neigh_learn(&H.net, &H.nif, &b, P.nif.mac, true, true, true);
    app_listen(&listener, &H, 80, 4);
    app_connect(&client, &H, a, 80);
    udp.owner = on_datagram, udp.lport = 53;
    udp_bind(&H.net, &udp);
    u8 mode = u8_of(&in);
    H.net.udp_receive = on_udp;
    if (mode & 1)
        dhcp_start(&H.nif, &dhcp);
    if (mode & 2)
        nd_start(&H.nif);
    if (mode & 4 && client.t) { // the handshake is over
        client.t->una = client.t->nxt, client.t->sml = client.t->fack = client.t->una;
        client.t->rnxt = 1001, client.t->irs = 1000, client.t->radv = 66536, client.t->peer_mss = 1460;
        client.t->sack_ok = client.t->ts_ok = mode & 8, client.t->rcv_ws = mode & 16 ? TCP_WS : 0;
        client.t->wnd = client.t->max_wnd = 65535, client.t->wl1 = 1000;
        tcp_established(client.t);
    }
    net_leave(&H.net);
    while (in.n) {
        u8 f[2200];
        switch (u8_of(&in) % 10) {
        case 0: deliver(f, rest(&in, f, sizeof f), 0); break;
        case 1: case 2: case 3: step_tcp(&in); break;
        case 4: step_other(&in, 17); break;
        case 5: step_other(&in, 1); break;
        case 6: step_other(&in, u8_of(&in)); break;
        case 7: step_error(&in); break;
        case 8: step_app(&in); break;
        case 9:
            sim_now += (u64)u16_of(&in) * (u8_of(&in) & 1 ? 100000000 : 100000);
            net_enter(&H.net);
            net_timers(&H.net);
            net_leave(&H.net);
            break;
        }
    }
    for (u32 n = 0; n < ntaken; n++)
        app_close(&taken[n]);
    app_close(&client);
    net_enter(&H.net);
    udp_unbind(&udp);
    if (mode & 1) {
        udp_unbind(&dhcp.udp);
        wheel_clear(&H.net, &dhcp.timer);
    }
    if (listener.l)
        tcp_unlisten(listener.l);
    net_leave(&H.net);
    sim_end(&H);
    if (sim_allocs || sim_pages) {
        fprintf(stderr, "%ld objects and %ld pages were not given back\n", sim_allocs, sim_pages);
        abort();
    }
    return 0;
}

#ifndef LIBFUZZER
int main(int argc, char **argv)
{
    u64 count = argc > 1 ? strtoul(argv[1], NULL, 0) : 20000, seed = argc > 2 ? strtoul(argv[2], NULL, 0) : 1;
    u64 x = seed * 0x9e3779b97f4a7c15ul + 1;
    for (u64 n = 0; n < count; n++) {
        static u8 buf[4096];
        x ^= x << 13, x ^= x >> 7, x ^= x << 17;
        u32 len = x % sizeof buf;
        for (u32 k = 0; k < len; k += 8) {
            x ^= x << 13, x ^= x >> 7, x ^= x << 17;
            u64 v = k < 8 ? x | 4 : x;
            memcpy(buf + k, &v, MIN(8u, (u32)sizeof buf - k));
        }
        LLVMFuzzerTestOneInput(buf, len);
    }
    printf("%lu random inputs\n1 passed, 0 failed\n", count);
    return 0;
}
#endif
