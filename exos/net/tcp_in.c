// Segments that arrive (RFC 9293, 3.10.7), with the checks of RFC 5961 against blind attacks.
#include "net/tcp.h"

enum { TCP_HEAD = 20 };

// ---- parsing
static void options_read(struct tcp_opts *o, const u8 *p, u32 len, bool syn)
{
    for (u32 n = 0; n < len && p[n];) {
        if (p[n] == 1) {
            n++;
            continue;
        }
        u32 size = n + 1 < len ? p[n + 1] : 0;
        if (size < 2 || size > len - n)
            return; // what is malformed is as good as absent
        const u8 *v = p + n + 2;
        switch (p[n]) {
        case 2:
            if (size == 4 && syn)
                o->mss = get16(v);
            break;
        case 3:
            if (size == 3 && syn)
                o->has_ws = true, o->ws = MIN(*v, 14);
            break;
        case 4: o->sack_ok = size == 2 && syn; break;
        case 5:
            for (o->nsack = 0; size >= 10 && o->nsack < (size - 2) / 8 && o->nsack < 4; o->nsack++)
                o->sack[o->nsack] = (struct range){get32(v + o->nsack * 8), get32(v + o->nsack * 8 + 4)};
            break;
        case 8:
            if (size == 10)
                o->has_ts = true, o->tsval = get32(v), o->tsecr = get32(v + 4);
            break;
        }
        n += size;
    }
}

static bool parse(struct net *net, struct rx *x, struct tcp_seg *s)
{
    const u8 *h = x->p;
    u32 head = x->len >= TCP_HEAD ? (h[12] >> 4) * 4u : 0;
    if (head < TCP_HEAD || head > x->len || x->broadcast || ip_any(&x->src))
        return false;
    if (!x->csum_ok && sum_end(sum_add(sum_pseudo(&x->src, &x->dst, IPPROTO_TCP_, x->len), h, x->len))) {
        net->count.csum_bad++;
        return false;
    }
    s->x = x;
    s->sport = get16(h), s->dport = get16(h + 2);
    s->seq = get32(h + 4), s->ack = get32(h + 8);
    s->flags = h[13], s->wnd = get16(h + 14);
    s->data = h + head, s->len = x->len - head;
    s->o = (struct tcp_opts){0};
    options_read(&s->o, h + TCP_HEAD, head - TCP_HEAD, s->flags & TH_SYN);
    return true;
}

void tcp_input(struct net *net, struct rx *x)
{
    struct tcp_seg s;
    net->count.tcp_in++;
    if (!parse(net, x, &s))
        return;
    u32 isn = 0;
    struct conn *c = conn_find(net, &x->dst, s.dport, &x->src, s.sport);
    if (c && c->kind == CONN_TCP) {
        tcp_receive(container_of(c, struct tcp, c), &s);
        return;
    }
    if (c && c->kind == CONN_REQ) {
        req_input(net, container_of(c, struct tcp_req, c), &s);
        return;
    }
    if (c) {
        if (!wait_input(net, container_of(c, struct tcp_wait, c), &s))
            return;
        isn = s.ack;
    }
    struct tcp_listener *l = listener_find(net, &x->dst, s.dport, &x->src, s.sport);
    if (!l)
        tcp_reset_reply(net, &s);
    else if (s.flags & TH_RST)
        ;
    else if (s.flags & TH_ACK) {
        if (s.flags & TH_SYN || !cookie_input(net, l, &s))
            tcp_reset_reply(net, &s);
    } else if (s.flags & TH_SYN && !(s.flags & TH_FIN)) {
        syn_input(net, l, &s, isn);
    }
}

// ---- what came out of order
static void sack_note(struct tcp *t, u32 start, u32 end)
{
    struct range r = {start, end};
    u32 kept = 0;
    struct range old[4];
    for (u32 n = 0; n < t->nsack; n++) { // blocks that touch it become one with it
        struct range o = t->sack[n];
        if (SEQ_LEQ(o.start, r.end) && SEQ_GEQ(o.end, r.start)) {
            r.start = SEQ_LT(o.start, r.start) ? o.start : r.start;
            r.end = SEQ_GT(o.end, r.end) ? o.end : r.end;
        } else {
            old[kept++] = o;
        }
    }
    t->sack[0] = r; // the latest first
    t->nsack = 1;
    for (u32 n = 0; n < kept && t->nsack < 4; n++)
        t->sack[t->nsack++] = old[n];
}

static void sack_prune(struct tcp *t)
{
    u32 kept = 0;
    for (u32 n = 0; n < t->nsack; n++)
        if (SEQ_GT(t->sack[n].end, t->rnxt))
            t->sack[kept++] = t->sack[n];
    t->nsack = kept;
}

// New nodes behind *at; returns the last one's link, NULL when out of memory.
static struct netref **ooo_put(struct tcp *t, struct netref **at, u32 seq, const u8 *p, u32 len)
{
    while (len) {
        u32 n = len;
        u8 *to = t->nooo < TCP_OOO_MAX ? frag_take(t->net, &n) : NULL;
        struct netref *r = to ? ref_new(t->net) : NULL;
        if (!r) {
            if (to)
                net_page_put(to);
            return NULL;
        }
        memcpy(to, p, n);
        r->data = to, r->len = n, r->seq = seq;
        r->next = *at;
        *at = r;
        if (!r->next)
            t->ooo_last = r;
        t->nooo++;
        at = &r->next;
        seq += n, p += n, len -= n;
    }
    return at;
}

static void ooo_insert(struct tcp *t, u32 seq, const u8 *p, u32 len)
{
    struct netref **at = &t->ooo;
    if (t->ooo_last && SEQ_GEQ(seq, t->ooo_last->seq))
        at = &t->ooo_last->next;
    if (t->ooo_last && at == &t->ooo_last->next) {
        u32 end = t->ooo_last->seq + t->ooo_last->len;
        u32 skip = SEQ_GT(end, seq) ? end - seq : 0;
        if (skip >= len)
            return;
        ooo_put(t, at, seq + skip, p + skip, len - skip);
        return;
    }
    u32 end = seq + len;
    while (at && *at && SEQ_LT(seq, end) && SEQ_LT((*at)->seq, end)) {
        struct netref *r = *at;
        u32 r_end = r->seq + r->len;
        if (SEQ_LT(seq, r->seq)) {
            u32 n = r->seq - seq;
            at = ooo_put(t, at, seq, p, n);
            seq += n, p += n;
            continue;
        }
        if (SEQ_GT(r_end, seq)) {
            u32 n = MIN(r_end - seq, end - seq);
            seq += n, p += n;
        }
        at = &r->next;
    }
    if (at && SEQ_LT(seq, end))
        ooo_put(t, at, seq, p, end - seq);
}

static void ooo_pull(struct tcp *t)
{
    while (t->ooo && SEQ_LEQ(t->ooo->seq, t->rnxt)) {
        struct netref *r = t->ooo;
        t->ooo = r->next;
        if (!t->ooo)
            t->ooo_last = NULL;
        t->nooo--;
        u32 skip = t->rnxt - r->seq;
        if (skip >= r->len) {
            ref_free(t->net, r);
            continue;
        }
        r->data += skip, r->len -= skip, r->next = NULL;
        *(t->rcvq.last ? &t->rcvq.last->next : &t->rcvq.first) = r;
        t->rcvq.last = r;
        t->rcvq.bytes += r->len;
        t->rnxt += r->len;
    }
}

// ---- the end of the peer's stream
static void fin_in(struct tcp *t)
{
    t->rnxt++;
    t->fin_seen = t->ack_now = true;
    t->fin_ooo = false;
    switch (t->state) {
    case TCP_SYN_RECV: case TCP_ESTABLISHED: t->state = TCP_CLOSE_WAIT; break;
    case TCP_FIN_WAIT1: t->state = TCP_CLOSING; break;
    }
    tcp_event(t, TCP_EV_READ | TCP_EV_FIN);
}

// Data that lies in the window. False: t is gone.
static bool data_in(struct tcp *t, struct tcp_seg *s)
{
    bool fin = s->flags & TH_FIN, gap = t->ooo;
    if (!s->len && !fin)
        return true;
    if (t->state != TCP_ESTABLISHED && t->state != TCP_FIN_WAIT1 && t->state != TCP_FIN_WAIT2) {
        t->ack_now = true;
        return true;
    }
    if (t->closed && s->len) { // nobody will read it
        tcp_send_rst(t);
        tcp_free(t);
        return false;
    }
    if (s->seq != t->rnxt) {
        if (s->len) {
            ooo_insert(t, s->seq, s->data, s->len);
            sack_note(t, s->seq, s->seq + s->len);
        }
        if (fin)
            t->fin_ooo = true, t->fin_seq = s->seq + s->len;
        t->ack_now = true;
        return true;
    }
    if (s->len) {
        u32 before = t->rcvq.bytes;
        bool whole = refq_copy(t->net, &t->rcvq, s->data, s->len);
        u32 got = t->rcvq.bytes - before;
        t->rnxt += got;
        if (!whole) {
            t->net->count.tcp_nomem++;
            t->ack_now = true;
            fin = false;
        }
        if (t->ooo)
            ooo_pull(t);
        if (t->nsack)
            sack_prune(t);
        if (t->rx_shut) // shutdown(SHUT_RD): taken and thrown away
            refq_drop(t->net, &t->rcvq, t->rcvq.bytes);
    }
    if (fin || (t->fin_ooo && t->rnxt == t->fin_seq))
        fin_in(t);
    else if (s->len)
        tcp_event(t, TCP_EV_READ);
    if (gap || t->rnxt - t->acked >= 2u * MIN(t->mss, t->peer_mss))
        t->ack_now = true;
    return true;
}

// ---- connecting
static void peer_options(struct tcp *t, const struct tcp_seg *s)
{
    t->peer_mss = s->o.mss ? MAX(s->o.mss, (u16)64) : ip_is4(&t->c.ra) ? 536 : 1220;
    t->snd_ws = s->o.has_ws ? s->o.ws : 0;
    t->rcv_ws = s->o.has_ws ? TCP_WS : 0;
    t->sack_ok = s->o.sack_ok;
    t->ts_ok = s->o.has_ts;
    t->ts_recent = s->o.tsval;
    t->ts_recent_s = net_ms(t->net) / 1000;
    t->irs = s->seq;
    t->rnxt = s->seq + 1;
    t->wnd = t->max_wnd = s->wnd;
    t->wl1 = s->seq, t->wl2 = s->ack;
    tcp_mss_sync(t);
}

static void syn_sent(struct tcp *t, struct tcp_seg *s)
{
    struct net *net = t->net;
    bool acks = s->flags & TH_ACK;
    if (acks && s->ack != t->nxt) {
        tcp_reset_reply(net, s);
        return;
    }
    if (s->flags & TH_RST) {
        if (acks)
            tcp_fail(t, ECONNREFUSED);
        return;
    }
    if (!(s->flags & TH_SYN))
        return;
    peer_options(t, s);
    if (!acks) { // both began at once
        t->state = TCP_SYN_RECV;
        tcp_send_syn(t);
        tcp_arm(t);
        return;
    }
    t->una = t->nxt;
    t->sml = t->fack = t->una;
    u32 took = (u32)net_ms(net) - t->last_rx_ms;
    tcp_established(t);
    if (!t->backoff)
        t->srtt = MAX(took, 1u) * 1000, t->rttvar = t->srtt / 2, t->rto = MAX(t->srtt * 3 / 1000, (u32)TCP_RTO_MIN);
    t->radv = t->rnxt + MIN(t->rcvbuf, (u32)TCP_WINDOW);
    s->seq++;
    bool fin = t->fin_queued;
    tcp_event(t, TCP_EV_CONNECTED | TCP_EV_WRITE);
    if (!data_in(t, s))
        return;
    if (fin) { // shutdown came before
        t->fin_queued = false;
        tcp_shutdown(t);
    } else {
        tcp_output(t);
    }
    if (t->acked != t->rnxt || t->ack_now)
        tcp_ack(t);
}

// ---- everything else
static bool paws_ok(struct tcp *t, const struct tcp_seg *s)
{
    if (!t->ts_ok || !s->o.has_ts || (s32)(s->o.tsval - t->ts_recent) >= 0)
        return true;
    if ((u32)(net_ms(t->net) / 1000) - t->ts_recent_s > 24u * 86400) { // too old to say anything
        t->ts_recent = s->o.tsval;
        return true;
    }
    return false;
}

// Cuts the segment to the window; false: nothing acceptable is left.
static bool trim(struct tcp *t, struct tcp_seg *s)
{
    u32 wnd = SEQ_GT(t->radv, t->rnxt) ? t->radv - t->rnxt : 0, n = s->len + !!(s->flags & TH_FIN);
    if (!n) // acknowledgements that passed each other count
        return SEQ_GEQ(s->seq, t->acked) && SEQ_LEQ(s->seq, t->rnxt + wnd);
    if (SEQ_LEQ(s->seq + n, t->rnxt) || SEQ_GEQ(s->seq, t->rnxt + wnd))
        return false;
    if (SEQ_LT(s->seq, t->rnxt)) {
        n = MIN(t->rnxt - s->seq, s->len);
        if (n) {
            t->dsack = (struct range){s->seq, s->seq + n};
            t->ack_now = true;
        }
        s->seq += n, s->data += n, s->len -= n;
    }
    if (SEQ_GT(s->seq + s->len, t->rnxt + wnd)) {
        s->len = t->rnxt + wnd - s->seq;
        s->flags &= ~TH_FIN;
        t->ack_now = true;
    }
    return true;
}

// The peer has our FIN. False: t is gone.
static bool fin_acked(struct tcp *t)
{
    switch (t->state) {
    case TCP_FIN_WAIT1:
        t->state = TCP_FIN_WAIT2;
        tcp_arm_life(t);
        return true;
    case TCP_CLOSING: wait_start(t); return false;
    case TCP_LAST_ACK:
        if (t->closed)
            tcp_free(t);
        else
            tcp_fail(t, 0);
        return false;
    }
    return true;
}

static bool reset_in(struct tcp *t, struct tcp_seg *s)
{
    if (!(s->flags & TH_RST))
        return false;
    u32 wnd = SEQ_GT(t->radv, t->rnxt) ? t->radv - t->rnxt : 0;
    if (s->seq == t->rnxt)
        tcp_fail(t, t->state == TCP_SYN_RECV ? ECONNREFUSED : t->state == TCP_CLOSE_WAIT ? EPIPE : ECONNRESET);
    else if (SEQ_GT(s->seq, t->rnxt) && SEQ_LT(s->seq, t->rnxt + wnd))
        tcp_challenge(t);
    return true;
}

// Both ends sent a SYN: theirs has come again, acknowledging ours.
static bool syn_received(struct tcp *t, struct tcp_seg *s)
{
    if (s->flags & TH_SYN && s->seq == t->irs) {
        s->seq++;
        s->flags &= ~TH_SYN;
    }
    if (!(s->flags & TH_ACK) || s->flags & TH_RST)
        return true;
    if (s->ack != t->nxt) {
        tcp_reset_reply(t->net, s);
        return false;
    }
    t->una = t->nxt;
    t->sml = t->fack = t->una;
    tcp_established(t);
    t->wnd = t->max_wnd = s->wnd;
    t->wl1 = s->seq, t->wl2 = s->ack;
    tcp_event(t, TCP_EV_CONNECTED | TCP_EV_WRITE);
    if (t->fin_queued) {
        t->fin_queued = false;
        tcp_shutdown(t);
    }
    return t->state != TCP_CLOSE;
}

void tcp_receive(struct tcp *t, struct tcp_seg *s)
{
    struct net *net = t->net;
    if (t->state == TCP_SYN_SENT) {
        syn_sent(t, s);
        return;
    }
    if (!(s->flags & TH_SYN))
        s->wnd <<= t->snd_ws;
    if (!paws_ok(t, s) && !(s->flags & TH_RST)) {
        net->count.tcp_paws++;
        tcp_challenge(t);
        return;
    }
    if (t->state == TCP_SYN_RECV && !syn_received(t, s))
        return;
    if (reset_in(t, s))
        return;
    if (s->flags & TH_SYN) {
        tcp_challenge(t);
        return;
    }
    u32 seq = s->seq;
    bool ok = trim(t, s);
    if (!ok && (s->len || s->flags & TH_FIN) && SEQ_LT(s->seq, t->rnxt)) { // it has come twice
        t->dsack = (struct range){s->seq, s->seq + s->len};
        tcp_ack(t);
        return;
    }
    if (!ok) {
        // A probe of a closed window still brings its acknowledgement (RFC 9293, 3.10.7.4).
        if (s->flags & TH_ACK && SEQ_GEQ(s->ack, t->una) && SEQ_LEQ(s->ack, t->nxt) && s->seq == t->rnxt) {
            s->len = 0, s->flags &= ~TH_FIN;
            tcp_ack(t);
        } else {
            tcp_challenge(t);
            return;
        }
    }
    if (!(s->flags & TH_ACK))
        return;
    if (SEQ_GT(s->ack, t->nxt) || SEQ_LT(s->ack, t->una - MAX(t->max_wnd, 65535u))) {
        tcp_challenge(t);
        return;
    }
    if (t->ts_ok && s->o.has_ts && SEQ_LEQ(seq, t->acked) && (s32)(s->o.tsval - t->ts_recent) >= 0) {
        t->ts_recent = s->o.tsval;
        t->ts_recent_s = net_ms(net) / 1000;
    }
    t->last_rx_ms = net_ms(net);
    if (SEQ_GEQ(s->ack, t->una)) {
        tcp_ack_in(t, s);
        if (t->fin_queued && !t->head && t->una == t->nxt && !fin_acked(t))
            return;
    }
    if (!data_in(t, s))
        return;
    if (t->state == TCP_FIN_WAIT2 && t->fin_seen) {
        tcp_ack(t);
        wait_start(t);
        return;
    }
    tcp_output(t);
    if (t->ack_now)
        tcp_ack(t);
    else if (t->acked != t->rnxt)
        tcp_arm_ack(t);
}

// ---- what routers and the neighbour table say
void tcp_icmp(struct net *net, const struct ip *la, u16 lp, const struct ip *ra, u16 rp, u32 seq, s32 err, bool hard, u32 mtu)
{
    struct conn *c = conn_find(net, la, lp, ra, rp);
    if (!c || c->kind != CONN_TCP)
        return;
    struct tcp *t = container_of(c, struct tcp, c);
    (void)hard;
    if (SEQ_LT(seq, t->una) || SEQ_GEQ(seq, t->nxt)) // nothing of ours is on its way there: forged, or late
        return;
    if (mtu) {
        if (!pmtu_note(net, ra, mtu) || !tcp_route(t))
            return;
        tcp_mss_sync(t);
        if (t->una == t->nxt || t->state == TCP_SYN_SENT || t->state == TCP_SYN_RECV)
            return;
        u8 ca = t->ca;
        u32 cwnd = t->cwnd, ssthresh = t->ssthresh, recover = t->recover;
        tcp_loss_all(t); // sent again at once, in pieces that fit: no sign of congestion
        t->ca = ca, t->cwnd = cwnd, t->ssthresh = ssthresh, t->recover = recover;
        t->timer_kind = TCP_T_NONE;
        tcp_output(t);
        return;
    }
    if (t->state == TCP_SYN_SENT || t->state == TCP_SYN_RECV)
        tcp_fail(t, err);
}

void tcp_unreachable(struct net *net, const struct ip *la, u16 lp, const struct ip *ra, u16 rp, u32 seq)
{
    tcp_icmp(net, la, lp, ra, rp, seq, EHOSTUNREACH, false, 0);
}
