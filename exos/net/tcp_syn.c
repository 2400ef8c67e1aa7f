// Half-open connections: a small record for each, and when there are too many, none at all: what must be
// remembered travels in the SYN-ACK's sequence number and timestamp (SYN cookies, RFC 4987).
#include "net/tcp.h"

enum { COOKIE_PERIOD_MS = 64000, COOKIE_AGE = 2, QUEUE_MIN = 128, COOKIES_FOR_MS = 300000 };
static const u16 cookie_mss[8] = {216, 536, 1200, 1360, 1440, 1460, 4312, 8960};

struct mac_input {
    struct ip la, ra;
    u16 lp, rp;
    u32 irs, count, index;
};

static u32 cookie_mac(struct net *net, const struct tcp_seg *s, u32 irs, u32 count, u32 index)
{
    struct mac_input m = {s->x->dst, s->x->src, s->dport, s->sport, irs, count, index};
    return siphash(net->key, &m, sizeof m) & 0xffffff;
}

// Five bits of time, three of MSS, 24 that only we can make.
static u32 cookie_make(struct net *net, const struct tcp_seg *s, u32 mss)
{
    u32 count = net_ms(net) / COOKIE_PERIOD_MS, index = countof(cookie_mss) - 1;
    while (index && cookie_mss[index] > mss)
        index--;
    return (count & 31) << 27 | index << 24 | cookie_mac(net, s, s->seq, count, index);
}

static bool cookie_check(struct net *net, const struct tcp_seg *s, u16 *mss)
{
    u32 v = s->ack - 1, now = net_ms(net) / COOKIE_PERIOD_MS, age = (now - (v >> 27)) & 31, index = v >> 24 & 7;
    if (age >= COOKIE_AGE || cookie_mac(net, s, s->seq - 1, now - age, index) != (v & 0xffffff))
        return false;
    *mss = cookie_mss[index];
    return true;
}

// Options in the lowest six bits of our timestamp: window scale, whether there is one, SACK.
static u32 cookie_ts(u32 now, const struct tcp_opts *o)
{
    u32 v = (now & ~63u) | (o->has_ws ? o->ws : 0) | o->has_ws << 4 | o->sack_ok << 5;
    return (s32)(v - now) > 0 ? v - 64 : v;
}

// ---- records
void req_free(struct net *net, struct tcp_req *r)
{
    wheel_clear(net, &r->timer);
    conn_remove(net, &r->c);
    *r->prev = r->next;
    if (r->next)
        r->next->prev = r->prev;
    r->listener->nreqs--;
    net->nreqs--;
    net_free(r);
}

static void syn_ack(struct net *net, struct tcp_req *r)
{
    struct route way;
    if (route_find(net, &r->c.ra, &r->c.la, &way))
        return;
    struct tcp_bare b = {.la = r->c.la, .ra = r->c.ra, .lp = r->c.lp, .rp = r->c.rp, .seq = r->iss, .ack = r->irs + 1,
                         .mss = tcp_mss_of(&way, ip_is4(&r->c.ra)), .wnd = TCP_WINDOW, .flags = TH_SYN | TH_ACK,
                         .ws = TCP_WS, .ts = r->ts_ok, .sack_ok = r->sack_ok, .has_ws = r->ws_ok,
                         .tsval = tcp_ts_now(net, r->ts_off), .tsecr = r->ts_recent};
    tcp_send_bare(net, &b);
}

static void req_timer(struct net *net, struct net_timer *t)
{
    struct tcp_req *r = container_of(t, struct tcp_req, timer);
    if (r->tries >= TCP_SYNACK_RETRIES) {
        req_free(net, r);
        return;
    }
    r->tries++;
    syn_ack(net, r);
    wheel_set(net, t, (u64)TCP_RTO_START << r->tries);
}

static bool full(const struct tcp_listener *l) { return l->nready > l->backlog; }

static void cookie_send(struct net *net, struct tcp_listener *l, struct tcp_seg *s)
{
    struct route way;
    if (route_find(net, &s->x->src, &s->x->dst, &way))
        return;
    u32 mss = s->o.mss ? s->o.mss : ip_is4(&s->x->src) ? 536 : 1220, ours = tcp_mss_of(&way, ip_is4(&s->x->src));
    u32 off = tcp_ts_offset(net, &s->x->dst, &s->x->src);
    bool ts = s->o.has_ts;
    struct tcp_bare b = {.la = s->x->dst, .ra = s->x->src, .lp = s->dport, .rp = s->sport, .ack = s->seq + 1,
                         .seq = cookie_make(net, s, mss), .mss = ours, .wnd = TCP_WINDOW, .flags = TH_SYN | TH_ACK,
                         .ws = TCP_WS, .ts = ts, .sack_ok = ts && s->o.sack_ok, .has_ws = ts && s->o.has_ws,
                         .tsval = cookie_ts(tcp_ts_now(net, off), &s->o), .tsecr = s->o.tsval};
    l->cookies_until_ms = net_ms(net) + COOKIES_FOR_MS;
    net->count.tcp_cookie_sent++;
    tcp_send_bare(net, &b);
}

void syn_input(struct net *net, struct tcp_listener *l, struct tcp_seg *s, u32 iss)
{
    if (full(l)) {
        net->count.tcp_syn_drop++;
        return;
    }
    if (l->nreqs >= MAX(l->backlog, (u32)QUEUE_MIN) || net->nreqs >= TCP_REQS_MAX) {
        cookie_send(net, l, s);
        return;
    }
    struct tcp_req *r = net_alloc(sizeof *r);
    if (!r) {
        cookie_send(net, l, s);
        return;
    }
    r->c = (struct conn){.la = s->x->dst, .ra = s->x->src, .lp = s->dport, .rp = s->sport, .kind = CONN_REQ};
    if (!conn_add(net, &r->c)) {
        net_free(r);
        return;
    }
    r->listener = l;
    r->next = l->reqs, r->prev = &l->reqs;
    if (r->next)
        r->next->prev = &r->next;
    l->reqs = r;
    l->nreqs++, net->nreqs++;
    r->iss = iss ? iss : tcp_isn(net, &r->c.la, r->c.lp, &r->c.ra, r->c.rp);
    r->irs = s->seq;
    r->mss = s->o.mss ? MAX(s->o.mss, (u16)64) : ip_is4(&r->c.ra) ? 536 : 1220;
    r->ws = s->o.ws, r->ws_ok = s->o.has_ws, r->sack_ok = s->o.sack_ok, r->ts_ok = s->o.has_ts;
    r->ts_recent = s->o.tsval;
    r->ts_off = tcp_ts_offset(net, &r->c.la, &r->c.ra);
    r->sent = net->now;
    r->timer.fn = req_timer;
    wheel_set(net, &r->timer, TCP_RTO_START);
    syn_ack(net, r);
}

// The three-way handshake is done: a connection, in the listener's queue.
static struct tcp *open(struct net *net, struct tcp_listener *l, const struct tcp_req *q, const struct tcp_seg *s)
{
    struct tcp *t = tcp_new(net, &q->c.la, q->c.lp, &q->c.ra, q->c.rp);
    if (!t)
        return NULL;
    t->iss = q->iss, t->irs = q->irs;
    t->una = t->nxt = t->sml = t->fack = q->iss + 1;
    t->rnxt = t->acked = q->irs + 1;
    t->radv = t->rnxt + TCP_WINDOW;
    t->peer_mss = q->mss;
    t->snd_ws = q->ws_ok ? q->ws : 0, t->rcv_ws = q->ws_ok ? TCP_WS : 0;
    t->sack_ok = q->sack_ok, t->ts_ok = q->ts_ok;
    t->ts_recent = q->ts_recent, t->ts_recent_s = net_ms(net) / 1000;
    t->ts_off = q->ts_off;
    t->wnd = t->max_wnd = s->wnd << t->snd_ws;
    t->wl1 = s->seq, t->wl2 = s->ack;
    t->nodelay = l->nodelay;
    if (l->rcvbuf)
        t->rcvbuf = l->rcvbuf, t->fixed_rcv = true;
    if (l->sndbuf)
        t->sndbuf = l->sndbuf, t->fixed_snd = true;
    tcp_established(t);
    if (q->sent && !q->tries) {
        t->srtt = MAX((u32)((net->now - q->sent) / 1000), 1u);
        t->rttvar = t->srtt / 2;
        t->min_rtt = t->srtt, t->min_rtt_at = net->now;
        t->rto = MAX(t->srtt * 3 / 1000, (u32)TCP_RTO_MIN);
    }
    t->listener = l;
    *(l->ready_last ? &l->ready_last->ready_next : &l->ready) = t;
    l->ready_last = t;
    l->nready++;
    net->count.tcp_passive++;
    return t;
}

static void req_ack(struct net *net, struct tcp_req *r, const struct tcp_seg *s)
{
    struct tcp_bare b = {.la = r->c.la, .ra = r->c.ra, .lp = r->c.lp, .rp = r->c.rp, .seq = r->iss + 1, .ack = r->irs + 1,
                         .wnd = TCP_WINDOW >> (r->ws_ok ? TCP_WS : 0), .flags = TH_ACK, .ts = r->ts_ok,
                         .tsval = tcp_ts_now(net, r->ts_off), .tsecr = r->ts_recent};
    (void)s;
    if (rate_ok(net, &net->challenge_tokens, 1000))
        tcp_send_bare(net, &b);
}

void req_input(struct net *net, struct tcp_req *r, struct tcp_seg *s)
{
    u32 rnxt = r->irs + 1;
    if (r->ts_ok && s->o.has_ts && (s32)(s->o.tsval - r->ts_recent) < 0 && !(s->flags & TH_RST)) {
        req_ack(net, r, s);
        return;
    }
    if (s->flags & TH_SYN && s->seq == r->irs && !(s->flags & (TH_ACK | TH_RST))) {
        syn_ack(net, r); // ours was lost
        return;
    }
    if (s->flags & TH_RST) {
        if (s->seq == rnxt)
            req_free(net, r);
        else if (SEQ_GT(s->seq, rnxt) && SEQ_LT(s->seq, rnxt + TCP_WINDOW))
            req_ack(net, r, s);
        return;
    }
    if (s->flags & TH_SYN || SEQ_LT(s->seq, rnxt) || SEQ_GEQ(s->seq, rnxt + TCP_WINDOW)) {
        req_ack(net, r, s);
        return;
    }
    if (!(s->flags & TH_ACK))
        return;
    if (s->ack != r->iss + 1) {
        tcp_reset_reply(net, s);
        return;
    }
    struct tcp_listener *l = r->listener;
    if (full(l)) { // the peer sends again; perhaps there is room then
        net->count.tcp_accept_full++;
        return;
    }
    struct tcp_req was = *r;
    req_free(net, r);
    struct tcp *t = open(net, l, &was, s);
    if (!t)
        return;
    tcp_receive(t, s);
    net->accept_event(l->owner);
}

bool cookie_input(struct net *net, struct tcp_listener *l, struct tcp_seg *s)
{
    struct tcp_req q = {.c = {.la = s->x->dst, .ra = s->x->src, .lp = s->dport, .rp = s->sport}, .iss = s->ack - 1,
                        .irs = s->seq - 1};
    if (l->cookies_until_ms < net_ms(net))
        return false;
    if (!cookie_check(net, s, &q.mss)) {
        net->count.tcp_cookie_bad++;
        return false;
    }
    net->count.tcp_cookie_ok++;
    if (full(l)) {
        net->count.tcp_accept_full++;
        return true;
    }
    q.ts_off = tcp_ts_offset(net, &q.c.la, &q.c.ra);
    if (s->o.has_ts) {
        u32 bits = s->o.tsecr & 63;
        q.ts_ok = true;
        q.ts_recent = s->o.tsval;
        q.ws = MIN(bits & 15, 14u), q.ws_ok = bits >> 4 & 1, q.sack_ok = bits >> 5;
    }
    struct tcp *t = open(net, l, &q, s);
    if (!t)
        return true;
    tcp_receive(t, s);
    net->accept_event(l->owner);
    return true;
}
