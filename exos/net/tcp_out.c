// Segments that leave.
#include "net/tcp.h"

enum { TCP_HEAD = 20, OPT_TS = 12 };

static u32 seg_bytes(const struct tseg *s) { return s->len + s->fin; }

// ---- queues of segments
void tsegs_add(struct tsegs *l, struct tseg *s)
{
    s->tnext = NULL, s->tprev = l->last;
    *(l->last ? &l->last->tnext : &l->first) = s;
    l->last = s;
}

void tsegs_del(struct tsegs *l, struct tseg *s)
{
    *(s->tprev ? &s->tprev->tnext : &l->first) = s->tnext;
    *(s->tnext ? &s->tnext->tprev : &l->last) = s->tprev;
    s->tnext = s->tprev = NULL;
}

// Makes two of s: the first keeps len bytes.
bool tseg_cut(struct tcp *t, struct tseg *s, u32 len)
{
    struct tseg *r = net_alloc(sizeof *r);
    if (!r || !refq_cut(t->net, &s->data, len, &r->data)) {
        net_free(r);
        t->net->count.tcp_nomem++;
        return false;
    }
    r->seq = s->seq + len, r->len = s->len - len;
    r->fin = s->fin, s->fin = false;
    s->len = len;
    r->state = s->state, r->sent = s->sent, r->retx = s->retx;
    r->prev = s, r->next = s->next;
    *(s->next ? &s->next->prev : &t->tail) = r;
    s->next = r;
    if (s->state == SEG_FLIGHT || s->state == SEG_LOST) {
        struct tsegs *l = s->state == SEG_FLIGHT ? &t->flightq : &t->lostq;
        r->tprev = s, r->tnext = s->tnext;
        *(s->tnext ? &s->tnext->tprev : &l->last) = r;
        s->tnext = r;
    } else if (s->state == SEG_SACKED) {
        t->nsacked++;
    }
    return true;
}

static bool has_tso(const struct tcp *t)
{
    return t->route.nif && t->route.nif->features & (ip_is4(&t->c.ra) ? NETIF_TSO4 : NETIF_TSO6);
}

// How many bytes one queued segment should gather.
u32 tcp_goal(const struct tcp *t)
{
    u32 mss = t->mss ? t->mss : 536;
    if (!has_tso(t))
        return mss;
    const struct netif *nif = t->route.nif;
    u32 most = MIN(MIN(nif->tso_max, 65535u) - 128, (nif->max_refs - 1ul) * 4096); // even if it must be copied together
    return MAX(most / mss, 1u) * mss;
}

// ---- headers
// The window to announce. Its right edge never moves back, nor forward in silly steps (RFC 9293, 3.8.6.2.2).
static u16 window(struct tcp *t)
{
    u32 space = t->rcvbuf > t->rcvq.bytes ? t->rcvbuf - t->rcvq.bytes : 0, unit = 1u << t->rcv_ws;
    u32 told = SEQ_GT(t->radv, t->rnxt) ? t->radv - t->rnxt : 0, w;
    if (space < told || space - told < MIN(t->rcvbuf / 2, (u32)t->mss))
        w = (told + unit - 1) >> t->rcv_ws;
    else
        w = space >> t->rcv_ws;
    w = MIN(w, 65535u);
    t->radv = t->rnxt + (w << t->rcv_ws);
    return w;
}

static u32 sack_blocks(const struct tcp *t)
{
    if (!t->sack_ok)
        return 0;
    u32 n = t->nsack + (t->dsack.start != t->dsack.end);
    return MIN(n, t->ts_ok ? 3u : 4u);
}

// As many of n blocks as fit beside `body` bytes of data.
static u32 sack_room(const struct tcp *t, u32 body, u32 n)
{
    u32 used = body + (ip_is4(&t->c.ra) ? 40 : 60) + (t->ts_ok ? OPT_TS : 0) + 4;
    return used + 8 > t->route.mtu ? 0 : MIN(n, (t->route.mtu - used) / 8);
}

static u8 *put_range(u8 *o, const struct range *r)
{
    put32(o, r->start), put32(o + 4, r->end);
    return o + 8;
}

static void put_options(struct tcp *t, u8 *o, u32 blocks)
{
    if (t->ts_ok) {
        put32(o, 0x0101080a);
        put32(o + 4, tcp_ts_now(t->net, t->ts_off));
        put32(o + 8, t->ts_recent);
        o += OPT_TS;
    }
    if (!blocks)
        return;
    put16(o, 0x0101);
    o[2] = 5, o[3] = 2 + blocks * 8;
    o += 4;
    if (t->dsack.start != t->dsack.end) {
        o = put_range(o, &t->dsack);
        blocks--;
    }
    for (u32 n = 0; n < blocks; n++)
        o = put_range(o, &t->sack[n]);
    t->dsack.start = t->dsack.end = 0;
}

static void header(u8 *h, u16 lp, u16 rp, u32 seq, u32 ack, u32 len, u8 flags, u16 wnd)
{
    put16(h, lp), put16(h + 2, rp);
    put32(h + 4, seq), put32(h + 8, flags & TH_ACK ? ack : 0);
    h[12] = len / 4 << 4, h[13] = flags;
    put16(h + 14, wnd);
    put32(h + 16, 0);
}

static void emit(struct tcp *t, u32 seq, u8 flags, const struct refq *data)
{
    struct net *net = t->net;
    struct tx x;
    if (!tcp_route(t))
        return;
    u32 wanted = sack_blocks(t), blocks = data && data->bytes ? sack_room(t, data->bytes, wanted) : wanted, len = TCP_HEAD + (t->ts_ok ? OPT_TS : 0) + (blocks ? 4 + 8 * blocks : 0);
    tx_start(&x, &t->c.la, &t->c.ra, IPPROTO_TCP_);
    x.df = true;
    if (data) {
        x.refs = data->first, x.body = data->bytes;
        if (x.body > t->mss)
            x.gso = t->mss;
    }
    u8 *h = tx_push(&x, len);
    header(h, t->c.lp, t->c.rp, seq, t->rnxt, len, flags, window(t));
    put_options(t, h + TCP_HEAD, blocks);
    tx_sum(&x, t->route.nif, 16);
    t->acked = t->rnxt;
    t->ack_now &= blocks < wanted; // what did not fit is told alone
    t->ack_late = false;
    t->last_tx_ms = net_ms(net);
    net->count.tcp_out++;
    if (ip_send(net, &x, &t->route) == -EMSGSIZE) // the path has become narrower
        t->route_gen = net->route_gen - 1;
}

void tcp_ack(struct tcp *t) { emit(t, t->nxt, TH_ACK, NULL); }

void tcp_challenge(struct tcp *t)
{
    if (!rate_ok(t->net, &t->net->challenge_tokens, 1000))
        return;
    t->net->count.tcp_challenge++;
    tcp_ack(t);
}

void tcp_send_rst(struct tcp *t)
{
    t->net->count.tcp_rst_out++;
    emit(t, t->nxt, TH_RST | TH_ACK, NULL);
}

void tcp_send_bare(struct net *net, const struct tcp_bare *b)
{
    struct route r;
    struct tx x;
    if (route_find(net, &b->ra, &b->la, &r))
        return;
    bool syn = b->flags & TH_SYN;
    u32 len = TCP_HEAD + (b->ts ? OPT_TS : syn && b->sack_ok ? 4 : 0) + (syn ? 4 + (b->has_ws ? 4 : 0) : 0);
    tx_start(&x, &r.src, &b->ra, IPPROTO_TCP_);
    x.df = true;
    u8 *h = tx_push(&x, len), *o = h + TCP_HEAD;
    header(h, b->lp, b->rp, b->seq, b->ack, len, b->flags, b->wnd);
    if (syn) {
        o[0] = 2, o[1] = 4;
        put16(o + 2, b->mss);
        o += 4;
    }
    if (b->ts) {
        put32(o, syn && b->sack_ok ? 0x0402080a : 0x0101080a);
        put32(o + 4, b->tsval), put32(o + 8, b->tsecr);
        o += OPT_TS;
    } else if (syn && b->sack_ok) {
        put32(o, 0x01010402);
        o += 4;
    }
    if (syn && b->has_ws)
        put32(o, 0x01030300 | b->ws);
    tx_sum(&x, r.nif, 16);
    net->count.tcp_out++;
    ip_send(net, &x, &r);
}

void tcp_send_syn(struct tcp *t)
{
    struct net *net = t->net;
    bool answer = t->state == TCP_SYN_RECV;
    if (!tcp_route(t))
        return;
    struct tcp_bare b = {.la = t->c.la, .ra = t->c.ra, .lp = t->c.lp, .rp = t->c.rp, .seq = t->iss, .ack = t->rnxt,
                         .mss = tcp_mss_of(&t->route, ip_is4(&t->c.ra)), .wnd = MIN(t->rcvbuf, (u32)TCP_WINDOW),
                         .flags = TH_SYN | (answer ? TH_ACK : 0), .ws = TCP_WS, .ts = !answer || t->ts_ok,
                         .sack_ok = !answer || t->sack_ok, .has_ws = !answer || t->snd_ws || t->rcv_ws,
                         .tsval = tcp_ts_now(net, t->ts_off), .tsecr = answer ? t->ts_recent : 0};
    t->radv = t->rnxt + b.wnd;
    t->acked = t->rnxt;
    tcp_send_bare(net, &b);
}

void tcp_reset_reply(struct net *net, const struct tcp_seg *s)
{
    if (s->flags & TH_RST || s->x->broadcast || !rate_ok(net, &net->rst_tokens, 10000))
        return;
    struct tcp_bare b = {.la = s->x->dst, .ra = s->x->src, .lp = s->dport, .rp = s->sport};
    if (s->flags & TH_ACK) {
        b.seq = s->ack, b.flags = TH_RST;
    } else {
        b.flags = TH_RST | TH_ACK;
        b.ack = s->seq + s->len + !!(s->flags & TH_SYN) + !!(s->flags & TH_FIN);
    }
    net->count.tcp_rst_out++;
    tcp_send_bare(net, &b);
}

// ---- data
static void transmit(struct tcp *t, struct tseg *s)
{
    bool again = s->state != SEG_UNSENT;
    if (s->state == SEG_LOST) {
        tsegs_del(&t->lostq, s);
    } else if (s->state == SEG_FLIGHT) {
        tsegs_del(&t->flightq, s);
        t->flight -= seg_bytes(s);
    }
    if (again) {
        s->retx = true;
        t->net->count.tcp_retrans++;
    } else {
        t->unsent = s->next;
        t->nxt = s->seq + seg_bytes(s);
        if (s->len < t->mss)
            t->sml = t->nxt;
    }
    s->state = SEG_FLIGHT;
    s->sent = t->net->now;
    tsegs_add(&t->flightq, s);
    t->flight += seg_bytes(s);
    if (t->ca == CA_RECOVERY)
        t->prr_out += s->len;
    bool last = !t->unsent && (t->push || s->fin);
    emit(t, s->seq, TH_ACK | (s->fin ? TH_FIN : 0) | (s->len && last ? TH_PSH : 0), &s->data);
}

void tcp_seg_sent(struct tcp *t, struct tseg *s) { transmit(t, s); }

// A segment that the path no longer takes whole is cut; false: no memory.
static bool fit(struct tcp *t, struct tseg *s)
{
    u32 goal = tcp_goal(t);
    return s->len <= goal || tseg_cut(t, s, goal);
}

static bool held_back(const struct tcp *t, const struct tseg *s)
{
    if (s->len >= t->mss || s->fin || s->next)
        return false;
    if (t->cork)
        return true;
    return !t->nodelay && SEQ_GT(t->sml, t->una) && SEQ_LEQ(t->sml, t->nxt); // Nagle, as Minshall put it
}

// How many bytes of s may go now: 0 none (a bare FIN: always).
static u32 allowed(struct tcp *t, const struct tseg *s)
{
    s32 win = (s32)(t->una + t->wnd - t->nxt);
    u32 w = MAX(win, 0), c = t->cwnd > t->flight ? t->cwnd - t->flight : 0, room = MIN(w, c);
    if (s->len <= room)
        return s->len;
    if (c <= w)
        t->limited = true;
    if (room >= t->mss)
        return room - room % t->mss;
    return w <= c && w && w >= t->max_wnd / 2 ? w : 0; // the peer's buffer is that small
}

void tcp_output(struct tcp *t)
{
    bool sent = false;
    if (t->state != TCP_ESTABLISHED && t->state != TCP_CLOSE_WAIT && t->state != TCP_FIN_WAIT1 && t->state != TCP_CLOSING &&
        t->state != TCP_LAST_ACK)
        return;
    if (!tcp_route(t)) {
        tcp_arm(t);
        return;
    }
    if (t->unsent && t->una == t->nxt && (u32)net_ms(t->net) - t->last_tx_ms > t->rto && t->cwnd > TCP_IW * t->mss) {
        t->cwnd = TCP_IW * t->mss; // idle for long: what the path takes is not known any more (RFC 5681, 4.1)
        t->cubic_epoch = 0;
    }
    while (t->lostq.first) {
        struct tseg *s = t->lostq.first;
        if ((t->flight && t->flight + s->len > t->cwnd) || !fit(t, s))
            break;
        transmit(t, s);
        sent = true;
    }
    while (!t->lostq.first && t->unsent) {
        struct tseg *s = t->unsent;
        if (!fit(t, s))
            break;
        u32 n = allowed(t, s);
        if (s->len && (!n || held_back(t, s)))
            break;
        if (n < s->len && !tseg_cut(t, s, n))
            break;
        transmit(t, s);
        sent = true;
    }
    if (t->timer_kind == TCP_T_NONE || (sent && t->timer_kind != TCP_T_RTO))
        tcp_arm(t);
}

// Of a peer without a window, or one that has been silent: what it cannot accept, so it answers. Where
// there is a little room, that much is sent (RFC 9293, 3.8.6.2.1: the override timeout).
void tcp_probe(struct tcp *t)
{
    s32 win = (s32)(t->una + t->wnd - t->nxt);
    if (t->unsent && win > 0 && t->una == t->nxt) {
        struct tseg *s = t->unsent;
        u32 n = MIN(s->len, MIN((u32)win, (u32)t->mss));
        if (n == s->len || tseg_cut(t, s, n)) {
            transmit(t, s);
            return;
        }
    }
    emit(t, t->una - 1, TH_ACK, NULL);
}
