#include "net_sim.h"
#include <stdlib.h>
#include <stdio.h>

u64 sim_now = 1000000000;
long sim_allocs, sim_pages, sim_alloc_bytes, sim_fail_after = -1;
static u64 rng = 88172645463325252ul;
static struct link_frame *frames; // by time

void sim_seed(u64 seed) { rng = seed * 0x9e3779b97f4a7c15ul + 88172645463325252ul; }

u32 sim_random(void)
{
    rng ^= rng << 13, rng ^= rng >> 7, rng ^= rng << 17;
    return rng >> 16;
}

// ---- what the stack needs
u64 net_clock(void) { return sim_now; }

static bool fails(void)
{
    if (sim_fail_after < 0)
        return false;
    if (sim_fail_after == 0)
        return true;
    sim_fail_after--;
    return false;
}

void *net_alloc(size_t size)
{
    if (fails())
        return NULL;
    u64 *p = calloc(1, size + 16);
    p[0] = size;
    sim_allocs++;
    sim_alloc_bytes += size;
    return p + 2;
}

void net_free(void *p)
{
    if (!p)
        return;
    sim_allocs--;
    sim_alloc_bytes -= ((u64 *)p)[-2];
    free((u64 *)p - 2);
}

// A page, and before it one that holds its references.
void *net_page_get(void)
{
    if (fails())
        return NULL;
    u8 *p = aligned_alloc(8192, 8192);
    *(u64 *)p = 1;
    sim_pages++;
    return p + 4096;
}

static u64 *refs_of(void *in) { return (u64 *)(((u64)in & ~4095ul) - 4096); }
void net_page_ref(void *in) { ++*refs_of(in); }
void net_page_put(void *in)
{
    if (--*refs_of(in))
        return;
    free(refs_of(in));
    sim_pages--;
}

void net_random(void *to, size_t n)
{
    for (u8 *p = to; n--;)
        *p++ = sim_random();
}

// ---- links
static void frame_queue(struct host *from, const u8 *bytes, u32 len)
{
    u64 at = MAX(sim_now, from->busy_until);
    from->frames++;
    if (from->queue && from->rate && (at - sim_now) * from->rate / 1000000000 > from->queue) {
        from->dropped++;
        return;
    }
    if (from->rate)
        at += (u64)len * 1000000000 / from->rate;
    from->busy_until = at;
    at += from->delay;
    if (sim_random() % 10000 < from->reorder)
        at += sim_random() % (from->delay + 1000000);
    if (sim_random() % 10000 < from->loss) {
        from->dropped++;
        return;
    }
    struct link_frame *f = malloc(sizeof *f + len), **pp = &frames;
    *f = (struct link_frame){.at = at, .to = from->peer, .len = len};
    memcpy(f->bytes, bytes, len);
    if (sim_random() % 10000 < from->corrupt)
        f->bytes[sim_random() % len] ^= 1 << sim_random() % 8;
    while (*pp && (*pp)->at <= at)
        pp = &(*pp)->next;
    f->next = *pp;
    *pp = f;
}

static void frame_out(struct host *from, u8 *bytes, u32 len)
{
    if (from->filter && !from->filter(from, bytes, len))
        return;
    frame_queue(from, bytes, len);
    if (sim_random() % 10000 < from->dup)
        frame_queue(from, bytes, len);
}

static void sum_fill(u8 *f, u32 len, u32 start, u32 off) { put16(f + start + off, sum_end(sum_add(0, f + start, len - start))); }

// As a card does it: segments of an offloaded frame.
static void segments_out(struct host *h, u8 *f, u32 len, const struct netpkt *p)
{
    u32 ip = 14, tcp = p->csum_start, head = tcp + (f[tcp + 12] >> 4) * 4, body = len - head, seq = get32(f + tcp + 4);
    bool v4 = f[14] >> 4 == 4;
    u8 flags = f[tcp + 13];
    static u8 out[2048];
    for (u32 off = 0; off < body; off += p->gso_size) {
        u32 n = MIN(p->gso_size, body - off);
        bool last = off + n == body;
        memcpy(out, f, head);
        memcpy(out + head, f + head + off, n);
        u32 segment = head - tcp + n;
        struct ip src, dst;
        if (v4) {
            put16(out + ip + 2, tcp - ip + segment);
            put16(out + ip + 10, 0);
            put16(out + ip + 10, sum_end(sum_add(0, out + ip, 20)));
            src = ip4_of(out + ip + 12), dst = ip4_of(out + ip + 16);
        } else {
            put16(out + ip + 4, segment);
            src = ip6_of(out + ip + 8), dst = ip6_of(out + ip + 24);
        }
        put32(out + tcp + 4, seq + off);
        out[tcp + 13] = last ? flags : flags & ~(TH_FIN | TH_PSH);
        put16(out + tcp + 16, 0);
        put16(out + tcp + 16, sum_end(sum_add(sum_pseudo(&src, &dst, 6, segment), out + tcp, segment)));
        frame_out(h, out, head + n);
    }
}

// A router on the way with a smaller MTU.
static bool too_big(struct host *h, u8 *f, u32 len)
{
    if (!h->mtu_silent || len - 14 <= h->mtu_silent || f[12] != 8)
        return false;
    u8 out[14 + 20 + 8 + 28] = {0};
    memcpy(out, h->nif.mac, 6);
    memcpy(out + 6, h->peer->nif.mac, 6);
    out[12] = 8;
    u8 *ip = out + 14, *ic = ip + 20;
    ip[0] = 0x45, ip[8] = 64, ip[9] = 1;
    put16(ip + 2, 56);
    ip[12] = 10, ip[15] = 99;
    memcpy(ip + 16, f + 14 + 12, 4);
    put16(ip + 10, sum_end(sum_add(0, ip, 20)));
    ic[0] = 3, ic[1] = 4;
    put16(ic + 6, h->mtu_silent);
    memcpy(ic + 8, f + 14, 28);
    put16(ic + 2, sum_end(sum_add(0, ic, 36)));
    struct host *back = h->peer;
    void *keep = back->filter;
    back->filter = NULL;
    frame_queue(back, out, sizeof out);
    back->filter = keep;
    return true;
}

static bool transmit(struct netif *nif, const struct netpkt *p)
{
    struct host *h = nif->driver;
    u8 *f = malloc(p->len);
    u32 n = 0;
    for (const struct netref *r = p->refs; r; r = r->next)
        n++;
    if (n > nif->max_refs)
        abort();
    memcpy(f, p->head, p->head_len);
    refs_read(p->refs, 0, f + p->head_len, p->len - p->head_len);
    if (p->flags & (NETPKT_TSO4 | NETPKT_TSO6)) {
        segments_out(h, f, p->len, p);
    } else {
        if (p->len > nif->mtu + 14u)
            abort();
        if (p->flags & NETPKT_CSUM)
            sum_fill(f, p->len, p->csum_start, p->csum_offset);
        if (!too_big(h, f, p->len))
            frame_out(h, f, p->len);
    }
    free(f);
    return true;
}

struct ip sim_ip4(u8 number) { return ip4_make(0x0a000000 + number); }
struct ip sim_ip6(u8 number) { return (struct ip){.b = {0xfd, [15] = number}}; }

static void on_tcp(void *owner, u32 events)
{
    struct app *a = owner;
    a->events |= events;
}
static void on_accept(void *owner) { ((struct app *)owner)->accepts++; }
static void on_udp(void *owner, const struct ip *from, u16 port, const struct ip *to, const u8 *p, u32 len)
{
    void (*fn)(const struct ip *, u16, const u8 *, u32) = owner;
    (void)to;
    if (fn)
        fn(from, port, p, len);
}
static void on_udp_error(void *owner, s32 err) { (void)owner, (void)err; }

void sim_host(struct host *h, u8 number, u32 features)
{
    memset(h, 0, sizeof *h);
    h->net.tcp_event = on_tcp, h->net.accept_event = on_accept;
    h->net.udp_receive = on_udp, h->net.udp_failed = on_udp_error;
    if (!net_init(&h->net))
        abort();
    struct netif *f = &h->nif;
    memcpy(f->mac, (u8[6]){2, 0, 0, 0, 0, number}, 6);
    f->mtu = 1500, f->max_refs = 16, f->tso_max = 65535;
    f->features = features | NETIF_UP;
    f->driver = h;
    f->transmit = transmit;
    h->delay = 1000000;
    net_attach(f, &h->net);
    struct ip a = sim_ip4(number), b = sim_ip6(number);
    net_enter(&h->net);
    addr_add(f, &a, 24, 0);
    addr_add(f, &b, 64, 0);
    net_leave(&h->net);
}

void sim_join(struct host *a, struct host *b) { a->peer = b, b->peer = a; }

void sim_frames_drop(void)
{
    while (frames) {
        struct link_frame *f = frames;
        frames = f->next;
        free(f);
    }
}

void sim_end(struct host *h)
{
    net_fini(&h->net);
    sim_frames_drop();
}

bool sim_run(struct host **hosts, u32 n, u64 ns, bool (*done)(void *), void *arg)
{
    u64 end = sim_now + ns;
    for (;;) {
        if (done && done(arg))
            return true;
        u64 next = frames ? frames->at : ~0ul;
        for (u32 i = 0; i < n; i++)
            next = MIN(next, net_next_ns(&hosts[i]->net));
        if (next > end) {
            sim_now = end;
            return done && done(arg);
        }
        sim_now = MAX(sim_now, next);
        while (frames && frames->at <= sim_now) {
            struct link_frame *f = frames;
            frames = f->next;
            if (f->to) {
                net_enter(&f->to->net);
                net_input(&f->to->nif, f->bytes, f->len, 0);
                net_leave(&f->to->net);
            }
            free(f);
        }
        for (u32 i = 0; i < n; i++) {
            net_enter(&hosts[i]->net);
            net_timers(&hosts[i]->net);
            net_leave(&hosts[i]->net);
        }
    }
}

// ---- endpoints
u64 hash_bytes(u64 h, const u8 *p, u64 n)
{
    while (n--)
        h = (h ^ *p++) * 0x100000001b3ul;
    return h;
}

static u8 byte_at(const struct app *a, u64 off) { return (off * 2654435761u + a->seed * 40503u + (off >> 13)) >> 7; }

void app_connect(struct app *a, struct host *h, struct ip to, u16 port)
{
    s32 err;
    a->h = h;
    net_enter(&h->net);
    a->t = tcp_connect(&h->net, NULL, 0, &to, port, a, &err);
    net_leave(&h->net);
    a->error = err;
    a->reading = true;
}

void app_listen(struct app *a, struct host *h, u16 port, u32 backlog)
{
    struct ip any = {0};
    a->h = h;
    a->l = tcp_listen(&h->net, &any, port, backlog, a);
}

bool app_accept(struct app *from, struct app *to)
{
    struct tcp *t = tcp_accept(from->l, to);
    if (!t)
        return false;
    to->h = from->h, to->t = t, to->reading = true, to->connected = true;
    return true;
}

static void app_send(struct app *a)
{
    u32 chunk = a->chunk ? a->chunk : 8192;
    u8 buf[65536];
    while (a->sent < a->to_send) {
        u32 room = tcp_room(a->t), n = MIN(MIN((u64)chunk, a->to_send - a->sent), sizeof buf);
        if (room < n && room < a->t->sndbuf / 3)
            return;
        struct refq q = {0};
        for (u32 k = 0; k < n; k++)
            buf[k] = byte_at(a, a->sent + k);
        if (!refq_copy(&a->h->net, &q, buf, n)) {
            refq_free(&a->h->net, &q);
            return;
        }
        s64 r = tcp_send(a->t, &q, false);
        if (r <= 0)
            return;
        a->tx_hash = hash_bytes(a->tx_hash, buf, r);
        a->sent += r;
    }
    if (a->shut_after) {
        a->shut_after = false;
        tcp_shutdown(a->t);
    }
}

void app_work(struct app *a)
{
    if (!a->t)
        return;
    net_enter(&a->h->net);
    if (a->events & TCP_EV_CONNECTED)
        a->connected = true;
    a->events = 0;
    struct tcp *t = a->t;
    if (a->reading) {
        u32 got = 0;
        for (struct netref *r = t->rcvq.first; r; r = r->next) {
            a->rx_hash = hash_bytes(a->rx_hash, r->data, r->len);
            got += r->len;
        }
        if (got)
            tcp_consume(t, got);
        a->received += got;
        if (tcp_at_eof(t))
            a->eof = true;
    }
    if (t->state == TCP_ESTABLISHED || t->state == TCP_CLOSE_WAIT)
        app_send(a);
    if (t->error && !a->failed) {
        a->failed = true;
        a->error = t->error;
    }
    if (a->close_after && a->sent == a->to_send && a->eof) {
        tcp_close(t);
        a->t = NULL;
    }
    net_leave(&a->h->net);
}

void app_close(struct app *a)
{
    if (!a->t)
        return;
    net_enter(&a->h->net);
    tcp_close(a->t);
    a->t = NULL;
    net_leave(&a->h->net);
}
