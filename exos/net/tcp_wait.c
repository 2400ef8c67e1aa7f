// TIME-WAIT: a small record that answers for a connection for a minute. Resets do not end it (RFC 1337); a
// new SYN that is clearly newer does (RFC 9293, 3.6.1, and RFC 6191).
#include "net/tcp.h"

void wait_free(struct net *net, struct tcp_wait *w)
{
    wheel_clear(net, &w->timer);
    conn_remove(net, &w->c);
    net->ntimewait--;
    net_free(w);
}

static void wait_timer(struct net *net, struct net_timer *t) { wait_free(net, container_of(t, struct tcp_wait, timer)); }

void wait_start(struct tcp *t)
{
    struct net *net = t->net;
    struct tcp_wait *w = net->ntimewait < TCP_WAIT_MAX ? net_alloc(sizeof *w) : NULL;
    if (w) {
        w->c = t->c;
        w->c.kind = CONN_WAIT;
        w->snxt = t->nxt, w->rnxt = t->rnxt;
        w->wnd = MIN((SEQ_GT(t->radv, t->rnxt) ? t->radv - t->rnxt : 0) >> t->rcv_ws, 65535u);
        w->ts_ok = t->ts_ok, w->ts_recent = t->ts_recent, w->ts_off = t->ts_off;
        w->timer.fn = wait_timer;
    } else {
        net->count.tcp_wait_full++;
    }
    tcp_fail(t, 0); // out of the table
    if (!w)
        return;
    if (!conn_add(net, &w->c)) {
        net_free(w);
        return;
    }
    net->ntimewait++;
    wheel_set(net, &w->timer, TCP_WAIT_MS);
}

static void wait_ack(struct net *net, struct tcp_wait *w)
{
    struct tcp_bare b = {.la = w->c.la, .ra = w->c.ra, .lp = w->c.lp, .rp = w->c.rp, .seq = w->snxt, .ack = w->rnxt,
                         .wnd = w->wnd, .flags = TH_ACK, .ts = w->ts_ok, .tsval = tcp_ts_now(net, w->ts_off),
                         .tsecr = w->ts_recent};
    tcp_send_bare(net, &b);
}

bool wait_input(struct net *net, struct tcp_wait *w, struct tcp_seg *s)
{
    bool newer = w->ts_ok && s->o.has_ts ? (s32)(s->o.tsval - w->ts_recent) > 0 || SEQ_GT(s->seq, w->rnxt) : SEQ_GT(s->seq, w->rnxt);
    if (s->flags & TH_RST)
        return false;
    if (s->flags & TH_SYN && !(s->flags & TH_ACK) && newer) {
        u32 isn = w->snxt + 65536 + 2;
        s->ack = isn ? isn : 1;
        wait_free(net, w);
        return true;
    }
    u32 end = s->seq + s->len + !!(s->flags & TH_FIN);
    if (s->flags & TH_FIN && end == w->rnxt) { // our last ACK was lost
        wheel_set(net, &w->timer, TCP_WAIT_MS);
        wait_ack(net, w);
    } else if ((s->len || s->flags & (TH_SYN | TH_FIN) || s->seq != w->rnxt) && rate_ok(net, &net->challenge_tokens, 1000)) {
        wait_ack(net, w);
    }
    return false;
}
