// The three timers of a connection: what was sent, what was received, whether the peer lives.
#include "net/tcp.h"

enum { KEEP_IDLE = 7200, KEEP_INTERVAL = 75, KEEP_COUNT = 9, CORK_MS = 200 };

// The wheel's timer is moved only to an earlier time; when it fires too early it is set again.
static void due_in(struct tcp *t, u8 kind, u64 ms)
{
    t->timer_kind = kind;
    t->timer_due = net_ms(t->net) + ms;
}

static void schedule(struct tcp *t)
{
    struct net *net = t->net;
    u64 now = net_ms(net);
    if (t->timer_kind == TCP_T_NONE)
        return;
    if (!wheel_armed(&t->timer) || t->timer.due > t->timer_due)
        wheel_set(net, &t->timer, t->timer_due > now ? t->timer_due - now : 1);
}

static u64 backed_off(const struct tcp *t, u64 ms) { return MIN(ms << MIN(t->backoff, (u8)16), (u64)TCP_RTO_MAX); }

// Tail loss probe (RFC 8985, 7): two round trips after the last segment, and time for a delayed ACK.
static bool probe_wanted(const struct tcp *t, u64 *ms)
{
    if (!t->sack_ok || t->ca != CA_OPEN || t->tlp_out || !t->srtt || t->nsacked || t->backoff)
        return false;
    *ms = 2 * t->srtt / 1000 + 2 + (t->flight <= t->mss ? TCP_RTO_MIN : 0);
    return *ms < t->rto;
}

void tcp_arm(struct tcp *t)
{
    u64 ms;
    if (t->state == TCP_SYN_SENT || t->state == TCP_SYN_RECV)
        due_in(t, TCP_T_SYN, backed_off(t, TCP_RTO_START));
    else if (t->una != t->nxt && t->timer_kind != TCP_T_REO) {
        if (probe_wanted(t, &ms))
            due_in(t, TCP_T_TLP, ms);
        else
            due_in(t, TCP_T_RTO, backed_off(t, t->rto));
    } else if (t->una == t->nxt && t->unsent) {
        due_in(t, TCP_T_PERSIST, t->cork && t->wnd ? CORK_MS : backed_off(t, t->rto));
    } else if (t->una == t->nxt) {
        t->timer_kind = TCP_T_NONE;
    }
    schedule(t);
}

void tcp_arm_ack(struct tcp *t)
{
    t->ack_late = true;
    if (!wheel_armed(&t->ack_timer))
        wheel_set(t->net, &t->ack_timer, TCP_DELACK);
}

void tcp_arm_life(struct tcp *t)
{
    if (t->closed && t->state == TCP_FIN_WAIT2)
        wheel_set(t->net, &t->life, TCP_WAIT_MS);
    else if (t->keepalive && (t->state == TCP_ESTABLISHED || t->state == TCP_CLOSE_WAIT))
        wheel_set(t->net, &t->life, (t->keep_idle ? t->keep_idle : KEEP_IDLE) * 1000ul);
    else
        wheel_clear(t->net, &t->life);
}

static bool gave_up(struct tcp *t)
{
    u32 waited = (u32)net_ms(t->net) - t->last_rx_ms;
    if (t->user_timeout && waited >= t->user_timeout)
        return true;
    return t->backoff >= (t->closed ? TCP_ORPHAN_RETRIES : TCP_RETRIES);
}

static void timeout(struct tcp *t)
{
    t->net->count.tcp_rto++;
    if (gave_up(t)) {
        tcp_fail(t, ETIMEDOUT);
        return;
    }
    t->timer_kind = TCP_T_NONE;
    tcp_loss_all(t);
    t->backoff++;
    if (t->backoff > 3)
        t->route_gen = t->net->route_gen - 1; // perhaps there is another way
    tcp_output(t);
    tcp_arm(t);
}

static void tail_probe(struct tcp *t)
{
    struct tseg *s = t->unsent;
    t->net->count.tcp_tlp++;
    t->timer_kind = TCP_T_NONE;
    bool fresh = s && s->len <= t->mss && SEQ_LEQ(s->seq + s->len, t->una + t->wnd) && !t->cork;
    if (!fresh)
        s = t->unsent ? t->unsent->prev : t->tail;
    if (s && s->state != SEG_SACKED && s->len > t->mss && !fresh) { // of an offloaded one the last piece
        u32 keep = (s->len - 1) / t->mss * t->mss;
        if (tseg_cut(t, s, keep))
            s = s->next;
    }
    if (s && s->state != SEG_SACKED) {
        tcp_seg_sent(t, s);
        t->tlp_out = true, t->tlp_retx = !fresh;
        t->tlp_end = t->nxt;
    }
    tcp_arm(t);
}

static void persist(struct tcp *t)
{
    if (t->probes >= TCP_RETRIES || (t->closed && t->probes >= TCP_ORPHAN_RETRIES)) {
        tcp_fail(t, ETIMEDOUT);
        return;
    }
    t->probes++;
    if (t->backoff < 16)
        t->backoff++;
    tcp_probe(t);
    t->timer_kind = TCP_T_NONE;
    tcp_arm(t);
}

static void syn_again(struct tcp *t)
{
    if (t->backoff >= TCP_SYN_RETRIES) {
        tcp_fail(t, ETIMEDOUT);
        return;
    }
    t->backoff++;
    tcp_send_syn(t);
    tcp_arm(t);
}

static void sent_timer(struct net *net, struct net_timer *w)
{
    struct tcp *t = container_of(w, struct tcp, timer);
    if (t->timer_kind == TCP_T_NONE)
        return;
    if (net_ms(net) < t->timer_due) {
        schedule(t);
        return;
    }
    switch (t->timer_kind) {
    case TCP_T_RTO: timeout(t); break;
    case TCP_T_TLP: tail_probe(t); break;
    case TCP_T_REO:
        t->timer_kind = TCP_T_NONE;
        tcp_detect(t);
        tcp_output(t);
        tcp_arm(t);
        break;
    case TCP_T_PERSIST: persist(t); break;
    case TCP_T_SYN: syn_again(t); break;
    }
}

static void ack_timer(struct net *net, struct net_timer *w)
{
    struct tcp *t = container_of(w, struct tcp, ack_timer);
    (void)net;
    if (t->ack_late)
        tcp_ack(t);
}

static void life_timer(struct net *net, struct net_timer *w)
{
    struct tcp *t = container_of(w, struct tcp, life);
    if (t->closed) {
        tcp_free(t); // FIN-WAIT-2 and nobody to wait
        return;
    }
    u64 idle = (t->keep_idle ? t->keep_idle : KEEP_IDLE) * 1000ul, quiet = (u32)net_ms(net) - t->last_rx_ms;
    u64 interval = (t->keep_interval ? t->keep_interval : KEEP_INTERVAL) * 1000ul;
    if (quiet < idle || t->una != t->nxt || t->unsent) {
        wheel_set(net, w, quiet < idle ? idle - quiet : idle);
        return;
    }
    if (t->probes >= (t->keep_count ? t->keep_count : KEEP_COUNT)) {
        tcp_send_rst(t);
        tcp_fail(t, ETIMEDOUT);
        return;
    }
    t->probes++;
    tcp_probe(t);
    wheel_set(net, w, interval);
}

void tcp_timers_init(struct tcp *t)
{
    t->timer.fn = sent_timer;
    t->ack_timer.fn = ack_timer;
    t->life.fn = life_timer;
}
