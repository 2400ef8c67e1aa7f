// Acknowledgements: SACK (RFC 2018, 2883), round-trip times (RFC 6298), loss by time (RACK, RFC 8985).
#include "net/tcp.h"

static u32 seg_bytes(const struct tseg *s) { return s->len + s->fin; }
static u32 seg_end(const struct tseg *s) { return s->seq + s->len + s->fin; }

struct ack { // what one acknowledgement told
    u32 delivered, acked;
    s64 rtt_us; // -1: nothing
    bool dsack, sacked;
};

static void rtt_sample(struct tcp *t, u32 us)
{
    us = MAX(us, 1u);
    u64 now = t->net->now;
    if (us <= t->min_rtt || now - t->min_rtt_at > 300000000000ul)
        t->min_rtt = us, t->min_rtt_at = now;
    if (!t->srtt) {
        t->srtt = us, t->rttvar = us / 2;
    } else {
        u32 d = us > t->srtt ? us - t->srtt : t->srtt - us;
        t->rttvar = t->rttvar - t->rttvar / 4 + d / 4;
        t->srtt = t->srtt - t->srtt / 8 + us / 8;
    }
    u64 rto = (t->srtt + MAX(4ul * t->rttvar, 1000ul * TCP_RTO_MIN)) / 1000;
    t->rto = MIN(MAX(rto, (u64)TCP_RTO_MIN), (u64)TCP_RTO_MAX);
}

// A segment is known to have arrived.
static void rack_seen(struct tcp *t, const struct tseg *s, struct ack *a)
{
    u64 rtt = (t->net->now - s->sent) / 1000;
    if (!s->retx)
        a->rtt_us = rtt;
    if (s->retx && rtt < t->min_rtt) // likely the first transmission that was late
        return;
    if (!s->retx && SEQ_LT(seg_end(s), t->fack))
        t->reordered = true;
    if (SEQ_GT(seg_end(s), t->fack))
        t->fack = seg_end(s);
    if (s->sent > t->rack_sent || (s->sent == t->rack_sent && SEQ_GT(seg_end(s), t->rack_end))) {
        t->rack_sent = s->sent, t->rack_end = seg_end(s);
        t->rack_rtt = MIN(rtt, 0xfffffffful);
    }
}

static void unlink_state(struct tcp *t, struct tseg *s)
{
    if (s->state == SEG_FLIGHT) {
        tsegs_del(&t->flightq, s);
        t->flight -= seg_bytes(s);
    } else if (s->state == SEG_LOST) {
        tsegs_del(&t->lostq, s);
    } else if (s->state == SEG_SACKED) {
        t->sacked -= seg_bytes(s);
        t->nsacked--;
    }
}

static void mark_sacked(struct tcp *t, struct tseg *s, struct ack *a)
{
    unlink_state(t, s);
    s->state = SEG_SACKED;
    t->sacked += seg_bytes(s);
    t->nsacked++;
    a->delivered += seg_bytes(s);
    a->sacked = true;
    t->sack_hint = s;
    rack_seen(t, s, a);
}

static void sack_block(struct tcp *t, u32 start, u32 end, struct ack *a)
{
    struct tseg *s = t->sack_hint && SEQ_GEQ(start, t->sack_hint->seq) ? t->sack_hint : t->head;
    for (; s && s->state != SEG_UNSENT && SEQ_LT(s->seq, end); s = s->next) {
        if (s->state == SEG_SACKED || SEQ_LEQ(seg_end(s), start))
            continue;
        if (SEQ_LT(s->seq, start)) { // an offloaded one, in part: pieces were cut at multiples of the MSS
            u32 off = start - s->seq;
            off += (t->mss - off % t->mss) % t->mss;
            if (off < s->len && !tseg_cut(t, s, off))
                return;
            continue;
        }
        if (SEQ_GT(seg_end(s), end)) {
            u32 off = end - s->seq;
            off -= off % t->mss;
            if (!off || off >= s->len || !tseg_cut(t, s, off))
                return;
        }
        mark_sacked(t, s, a);
    }
}

static void sack_in(struct tcp *t, const struct tcp_seg *g, struct ack *a)
{
    for (u32 n = 0; n < g->o.nsack; n++) {
        struct range r = g->o.sack[n];
        if (!n && (SEQ_LEQ(r.end, g->ack) || (g->o.nsack > 1 && SEQ_GEQ(r.start, g->o.sack[1].start) && SEQ_LEQ(r.end, g->o.sack[1].end)))) {
            a->dsack = true; // it had those bytes already
            t->reordered = true;
            continue;
        }
        if (SEQ_GEQ(r.start, r.end) || SEQ_LT(r.start, t->una) || SEQ_GT(r.end, t->nxt))
            continue;
        sack_block(t, r.start, r.end, a);
    }
}

// Everything before `ack` is there.
static void cumulative(struct tcp *t, u32 ack, struct ack *a)
{
    struct net *net = t->net;
    a->acked = ack - t->una;
    while (t->head && t->head->state != SEG_UNSENT && SEQ_LEQ(seg_end(t->head), ack)) {
        struct tseg *s = t->head;
        if (s->state != SEG_SACKED) {
            a->delivered += seg_bytes(s);
            rack_seen(t, s, a);
        }
        unlink_state(t, s);
        if (t->sack_hint == s)
            t->sack_hint = NULL;
        t->queued -= s->len;
        t->head = s->next;
        *(s->next ? &s->next->prev : &t->tail) = NULL;
        refq_free(net, &s->data);
        net_free(s);
    }
    struct tseg *s = t->head;
    if (s && s->state != SEG_UNSENT && SEQ_LT(s->seq, ack)) {
        u32 n = ack - s->seq;
        refq_drop(net, &s->data, n);
        s->seq += n, s->len -= n;
        t->queued -= n;
        if (s->state == SEG_FLIGHT)
            t->flight -= n;
        else if (s->state == SEG_SACKED)
            t->sacked -= n;
        a->delivered += s->state == SEG_SACKED ? 0 : n;
    }
    t->una = ack;
    if (SEQ_LT(t->sml, ack))
        t->sml = ack;
    if (SEQ_LT(t->fack, ack))
        t->fack = ack;
}

// ---- loss
static void mark_lost(struct tcp *t, struct tseg *s)
{
    tsegs_del(&t->flightq, s);
    t->flight -= seg_bytes(s);
    s->state = SEG_LOST;
    tsegs_add(&t->lostq, s);
    if (t->ca != CA_OPEN)
        return;
    t->ca = CA_RECOVERY;
    t->recover = t->nxt;
    t->net->count.tcp_recovery++;
    cc_enter(t);
}

// RACK: what was sent a round trip and a bit before something that has arrived, is lost.
void tcp_detect(struct tcp *t)
{
    u64 now = t->net->now, reorder = 0;
    if (t->reordered || (t->ca == CA_OPEN && t->nsacked < 3))
        reorder = MIN(t->min_rtt / 4, t->srtt);
    for (struct tseg *s = t->flightq.first, *next; s; s = next) {
        next = s->tnext;
        if (s->sent > t->rack_sent || (s->sent == t->rack_sent && SEQ_GEQ(seg_end(s), t->rack_end)))
            break;
        u64 due = s->sent + (t->rack_rtt + reorder) * 1000;
        if (due > now) {
            t->timer_kind = TCP_T_REO;
            t->timer_due = (due + 999999) / 1000000;
            return;
        }
        mark_lost(t, s);
    }
}

// A timeout: all that was not selectively acknowledged goes again, in order.
void tcp_loss_all(struct tcp *t)
{
    struct tseg *s;
    if (t->head && t->head->state == SEG_SACKED) { // the receiver took its word back (RFC 2018, 8)
        for (s = t->head; s && s->state != SEG_UNSENT; s = s->next) {
            if (s->state != SEG_SACKED)
                continue;
            unlink_state(t, s);
            s->state = SEG_FLIGHT;
            tsegs_add(&t->flightq, s);
            t->flight += seg_bytes(s);
        }
        t->sack_hint = NULL;
    }
    t->lostq = (struct tsegs){0};
    for (s = t->head; s && s->state != SEG_UNSENT; s = s->next) {
        if (s->state == SEG_SACKED)
            continue;
        if (s->state == SEG_FLIGHT) {
            tsegs_del(&t->flightq, s);
            t->flight -= seg_bytes(s);
        }
        s->state = SEG_LOST;
        tsegs_add(&t->lostq, s);
    }
    cc_loss(t);
    t->ca = CA_LOSS;
    t->recover = t->nxt;
    t->tlp_out = false;
    t->dupacks = 0;
}

// Without SACK: three duplicates, and partial acknowledgements (NewReno, RFC 6582).
static void newreno(struct tcp *t, struct ack *a, bool duplicate)
{
    if (duplicate && t->dupacks < 255)
        t->dupacks++;
    if (duplicate)
        a->delivered = t->mss;
    bool partial = a->acked && t->ca == CA_RECOVERY;
    if (((t->dupacks == 3 && t->ca == CA_OPEN) || partial) && t->head && t->head->state == SEG_FLIGHT)
        mark_lost(t, t->head);
    if (a->acked)
        t->dupacks = 0;
}

static void tlp_in(struct tcp *t, u32 ack, const struct ack *a)
{
    if (!t->tlp_out || SEQ_LT(ack, t->tlp_end))
        return;
    t->tlp_out = false;
    if (t->tlp_retx && !a->dsack && t->ca == CA_OPEN) { // the probe repaired a loss
        cc_enter(t);
        t->cwnd = t->ssthresh;
    }
}

void tcp_ack_in(struct tcp *t, struct tcp_seg *g)
{
    struct ack a = {.rtt_us = -1};
    struct net *net = t->net;
    u32 old_wnd = t->wnd;
    bool outstanding = t->una != t->nxt;
    if (SEQ_LT(t->wl1, g->seq) || (t->wl1 == g->seq && SEQ_LEQ(t->wl2, g->ack))) {
        t->wnd = g->wnd, t->wl1 = g->seq, t->wl2 = g->ack;
        t->max_wnd = MAX(t->max_wnd, t->wnd);
    }
    t->probes = 0;
    if (t->sack_ok && g->o.nsack)
        sack_in(t, g, &a);
    if (SEQ_GT(g->ack, t->una)) {
        cumulative(t, g->ack, &a);
        t->backoff = 0;
        if (a.rtt_us < 0 && t->ts_ok && g->o.has_ts && g->o.tsecr)
            a.rtt_us = (u64)(u32)(tcp_ts_now(net, t->ts_off) - g->o.tsecr) * 1000;
    } else if (t->timer_kind == TCP_T_PERSIST && t->wnd) {
        t->backoff = 0;
    }
    if (a.rtt_us >= 0 && a.rtt_us < 1000000000)
        rtt_sample(t, a.rtt_us);
    tlp_in(t, g->ack, &a);
    if (t->ca != CA_OPEN && SEQ_GEQ(t->una, t->recover)) {
        if (t->ca == CA_RECOVERY)
            cc_leave(t);
        t->ca = CA_OPEN;
        t->dupacks = 0;
    }
    bool reo = t->timer_kind == TCP_T_REO;
    if (reo)
        t->timer_kind = TCP_T_NONE;
    if (t->sack_ok)
        tcp_detect(t);
    else
        newreno(t, &a, outstanding && !a.acked && g->ack == t->una && !g->len && t->wnd == old_wnd && !(g->flags & TH_FIN));
    if (t->ca == CA_RECOVERY)
        cc_recovering(t, a.delivered);
    else
        cc_acked(t, a.acked);
    t->limited = false;
    if (!t->fixed_snd && t->cwnd * 2ul > t->sndbuf && t->sndbuf < TCP_BUF_MAX)
        t->sndbuf = MIN(t->cwnd * 2, (u32)TCP_BUF_MAX);
    if (a.acked || reo || t->una == t->nxt || t->timer_kind == TCP_T_REO)
        tcp_arm(t);
    if (a.acked)
        tcp_event(t, TCP_EV_WRITE);
}
