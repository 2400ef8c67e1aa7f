// Connections and listeners: the tables, and what sockets call.
#include "net/tcp.h"

enum { PORT_FIRST_ = 32768, PORT_LAST_ = 60999 };
_Static_assert(sizeof(struct tcp) <= 672, "a size that the heap has: there are many");

// ---- the table of connections
static u32 hash_of(const struct net *net, const struct ip *la, u16 lp, const struct ip *ra, u16 rp)
{
    u64 h = net->key[0] ^ ((u64)lp << 16 | rp);
    u64 m = net->key[1] | 1;
    h = (h ^ la->q[1]) * m, h ^= h >> 32;
    h = (h ^ ra->q[1]) * m, h ^= h >> 29;
    h = (h ^ ra->q[0] ^ la->q[0] * 3) * m, h ^= h >> 32;
    return h;
}

struct conn *conn_find(struct net *net, const struct ip *la, u16 lp, const struct ip *ra, u16 rp)
{
    u32 h = hash_of(net, la, lp, ra, rp);
    for (struct conn *c = net->conns[h & net->conn_mask]; c; c = c->next)
        if (c->hash == h && c->lp == lp && c->rp == rp && ip_eq(&c->ra, ra) && ip_eq(&c->la, la))
            return c;
    return NULL;
}

// Twice as wide. When there is no memory the chains get longer instead.
static void grow(struct net *net)
{
    u32 mask = net->conn_mask * 2 + 1;
    struct conn **wide = net_alloc((mask + 1ul) * sizeof *wide);
    if (!wide)
        return;
    for (u32 n = 0; n <= net->conn_mask; n++) {
        for (struct conn *c = net->conns[n], *next; c; c = next) {
            next = c->next;
            c->next = wide[c->hash & mask];
            wide[c->hash & mask] = c;
        }
    }
    net_free(net->conns);
    net->conns = wide, net->conn_mask = mask;
}

bool conn_add(struct net *net, struct conn *c)
{
    if (conn_find(net, &c->la, c->lp, &c->ra, c->rp))
        return false;
    if (net->nconns > net->conn_mask && net->conn_mask < (1u << 20))
        grow(net);
    c->hash = hash_of(net, &c->la, c->lp, &c->ra, c->rp);
    struct conn **b = &net->conns[c->hash & net->conn_mask];
    c->next = *b;
    *b = c;
    net->nconns++;
    return true;
}

void conn_remove(struct net *net, struct conn *c)
{
    struct conn **b = &net->conns[c->hash & net->conn_mask];
    while (*b != c)
        b = &(*b)->next;
    *b = c->next;
    net->nconns--;
}

void tcp_clear(struct net *net)
{
    for (u32 n = 0; n <= net->conn_mask; n++) {
        while (net->conns[n]) {
            struct conn *c = net->conns[n];
            if (c->kind == CONN_TCP)
                tcp_free(container_of(c, struct tcp, c));
            else if (c->kind == CONN_REQ)
                req_free(net, container_of(c, struct tcp_req, c));
            else
                wait_free(net, container_of(c, struct tcp_wait, c));
        }
    }
}

// ---- identifiers that strangers must not guess
struct tuple {
    struct ip la, ra;
    u16 lp, rp;
    u32 what;
};
u32 tcp_isn(struct net *net, const struct ip *la, u16 lp, const struct ip *ra, u16 rp) // RFC 6528
{
    struct tuple t = {*la, *ra, lp, rp, 1};
    return (u32)siphash(net->key, &t, sizeof t) + (u32)(net->now >> 8);
}

u32 tcp_ts_offset(struct net *net, const struct ip *la, const struct ip *ra)
{
    struct tuple t = {*la, *ra, 0, 0, 2};
    return siphash(net->key, &t, sizeof t);
}

// Of an unbound port: by a hash of who is asked, so that neighbours in time are not neighbours in number
// (RFC 6056, algorithm 3).
static bool port_choose(struct net *net, const struct ip *la, const struct ip *ra, u16 rp, u16 *out)
{
    struct tuple t = {*la, *ra, 0, rp, 3};
    u32 range = PORT_LAST_ - PORT_FIRST_ + 1, from = siphash(net->key, &t, sizeof t);
    for (u32 n = 0; n < range; n++) {
        u16 p = PORT_FIRST_ + (from + net->tcp_port_seed++) % range;
        if (conn_find(net, la, p, ra, rp))
            continue;
        bool heard = false;
        for (struct tcp_listener *l = net->listeners[p % LISTEN_BUCKETS]; l; l = l->next)
            heard |= l->port == p;
        if (heard)
            continue;
        *out = p;
        return true;
    }
    return false;
}

// ---- connections
struct tcp *tcp_new(struct net *net, const struct ip *la, u16 lp, const struct ip *ra, u16 rp)
{
    struct tcp *t = net_alloc(sizeof *t);
    if (!t) {
        net->count.tcp_nomem++;
        return NULL;
    }
    t->net = net;
    t->c = (struct conn){.la = *la, .ra = *ra, .lp = lp, .rp = rp, .kind = CONN_TCP};
    t->state = TCP_CLOSE;
    t->sndbuf = t->rcvbuf = TCP_BUF_START;
    t->rto = TCP_RTO_START;
    t->min_rtt = ~0u;
    t->ssthresh = ~0u;
    t->rcv_ws = TCP_WS;
    t->ts_off = tcp_ts_offset(net, la, ra);
    t->last_rx_ms = t->last_tx_ms = net_ms(net);
    tcp_timers_init(t);
    if (!conn_add(net, &t->c)) {
        net_free(t);
        return NULL;
    }
    t->hashed = true;
    return t;
}

static void queue_free(struct tcp *t)
{
    while (t->head) {
        struct tseg *s = t->head;
        t->head = s->next;
        refq_free(t->net, &s->data);
        net_free(s);
    }
    t->tail = t->unsent = t->sack_hint = NULL;
    t->flightq = t->lostq = (struct tsegs){0};
    t->flight = t->sacked = t->nsacked = t->queued = 0;
    refs_free(t->net, t->ooo);
    t->ooo = t->ooo_last = NULL;
    t->nooo = t->nsack = 0;
}

// Out of the table and off the clock; what was received stays.
static void tcp_detach(struct tcp *t)
{
    struct net *net = t->net;
    wheel_clear(net, &t->timer);
    wheel_clear(net, &t->ack_timer);
    wheel_clear(net, &t->life);
    if (t->hashed)
        conn_remove(net, &t->c);
    t->hashed = false;
    t->state = TCP_CLOSE;
    queue_free(t);
}

static void ready_remove(struct tcp *t)
{
    struct tcp_listener *l = t->listener;
    if (!l)
        return;
    struct tcp **at = &l->ready, *last = NULL;
    while (*at != t)
        last = *at, at = &(*at)->ready_next;
    *at = t->ready_next;
    if (l->ready_last == t)
        l->ready_last = last;
    l->nready--;
    t->listener = NULL;
}

void tcp_free(struct tcp *t)
{
    tcp_detach(t);
    ready_remove(t);
    refq_free(t->net, &t->rcvq);
    net_free(t);
}

void tcp_event(struct tcp *t, u32 events)
{
    if (t->owner)
        t->net->tcp_event(t->owner, events);
}

void tcp_fail(struct tcp *t, s32 err)
{
    bool orphan = t->closed;
    if (orphan) {
        tcp_free(t);
        return;
    }
    tcp_detach(t);
    t->error = err;
    t->fin_seen = true;
    // One that nobody has accepted yet waits for that, and tells then.
    tcp_event(t, TCP_EV_ERROR | TCP_EV_READ | TCP_EV_WRITE | TCP_EV_FIN);
}

bool tcp_route(struct tcp *t)
{
    struct net *net = t->net;
    if (t->route_gen == net->route_gen && t->route.nif)
        return true;
    if (route_find(net, &t->c.ra, &t->c.la, &t->route))
        return false;
    t->route_gen = net->route_gen;
    tcp_mss_sync(t);
    return true;
}

u32 tcp_mss_of(const struct route *r, bool v4) { return MIN(r->mtu, 65535u) - (v4 ? 40 : 60); }

// What one segment may hold, without options: of the path, of the peer, less our timestamps.
void tcp_mss_sync(struct tcp *t)
{
    u32 m = MIN(tcp_mss_of(&t->route, ip_is4(&t->c.ra)), (u32)t->peer_mss) - (t->ts_ok ? 12 : 0);
    t->mss = MAX(m, 48u);
}

struct tcp *tcp_connect(struct net *net, const struct ip *local, u16 lport, const struct ip *to, u16 port, void *owner, s32 *err)
{
    struct route r;
    *err = ip_multicast(to) ? -ENETUNREACH : route_find(net, to, local, &r);
    if (*err)
        return NULL;
    if (!lport && !port_choose(net, &r.src, to, port, &lport)) {
        *err = -EADDRNOTAVAIL;
        return NULL;
    }
    struct conn *old = conn_find(net, &r.src, lport, to, port);
    if (old) {
        *err = -EADDRNOTAVAIL;
        return NULL;
    }
    struct tcp *t = tcp_new(net, &r.src, lport, to, port);
    if (!t) {
        *err = -ENOMEM;
        return NULL;
    }
    t->owner = owner;
    t->route = r, t->route_gen = net->route_gen;
    t->peer_mss = 536;
    t->iss = t->una = tcp_isn(net, &r.src, lport, to, port);
    t->nxt = t->iss + 1;
    t->sml = t->una;
    t->state = TCP_SYN_SENT;
    t->timer_kind = TCP_T_SYN;
    net->count.tcp_active++;
    tcp_send_syn(t);
    tcp_arm(t);
    return t;
}

void tcp_established(struct tcp *t)
{
    t->state = TCP_ESTABLISHED;
    t->backoff = 0;
    t->timer_kind = TCP_T_NONE;
    t->last_rx_ms = net_ms(t->net);
    tcp_route(t);
    tcp_mss_sync(t);
    cc_init(t);
    t->rcv_tuned = t->net->now;
    tcp_arm_life(t);
}

// ---- listeners
struct tcp_listener *tcp_listen(struct net *net, const struct ip *local, u16 port, u32 backlog, void *owner)
{
    struct tcp_listener *l = net_alloc(sizeof *l);
    if (!l)
        return NULL;
    l->net = net, l->owner = owner, l->local = *local, l->port = port;
    l->backlog = MAX(backlog, 1u);
    struct tcp_listener **b = &net->listeners[port % LISTEN_BUCKETS];
    l->next = *b;
    *b = l;
    return l;
}

// Of several for the same (SO_REUSEPORT) the one that this peer's hash falls to.
struct tcp_listener *listener_find(struct net *net, const struct ip *la, u16 port, const struct ip *ra, u16 rp)
{
    struct tcp_listener *best = NULL;
    u32 best_score = 0, same = 0, h = 0;
    for (struct tcp_listener *l = net->listeners[port % LISTEN_BUCKETS]; l; l = l->next) {
        if (l->port != port || (ip_is4(la) ? l->v6only : l->v4only) || (!ip_any(&l->local) && !ip_eq(&l->local, la)))
            continue;
        u32 score = ip_any(&l->local) ? 1 : 2;
        if (score > best_score) {
            best = l, best_score = score, same = 1;
        } else if (score == best_score) {
            h = (same == 1 ? hash_of(net, la, port, ra, rp) : h) * 0x9e3779b1u + 0x7f4a7c15u;
            if (!((u64)h * ++same >> 32))
                best = l;
        }
    }
    return best;
}

void tcp_unlisten(struct tcp_listener *l)
{
    struct net *net = l->net;
    struct tcp_listener **b = &net->listeners[l->port % LISTEN_BUCKETS];
    while (*b != l)
        b = &(*b)->next;
    *b = l->next;
    while (l->reqs)
        req_free(net, l->reqs);
    while (l->ready) {
        struct tcp *t = l->ready;
        ready_remove(t);
        tcp_abort(t);
    }
    net_free(l);
}

struct tcp *tcp_accept(struct tcp_listener *l, void *owner)
{
    struct tcp *t = l->ready;
    if (!t)
        return NULL;
    l->ready = t->ready_next;
    if (!l->ready)
        l->ready_last = NULL;
    l->nready--;
    t->listener = NULL, t->ready_next = NULL;
    t->owner = owner;
    return t;
}

// ---- sending and receiving
u32 tcp_room(const struct tcp *t) { return t->queued < t->sndbuf ? t->sndbuf - t->queued : 0; }

static bool can_send(const struct tcp *t)
{
    return (t->state == TCP_ESTABLISHED || t->state == TCP_CLOSE_WAIT || t->state == TCP_SYN_SENT || t->state == TCP_SYN_RECV) &&
           !t->fin_queued;
}

static struct tseg *tseg_new(struct tcp *t)
{
    struct tseg *s = net_alloc(sizeof *s);
    if (!s)
        return NULL;
    s->seq = t->tail ? t->tail->seq + t->tail->len + t->tail->fin : t->state == TCP_SYN_SENT || t->state == TCP_SYN_RECV ? t->iss + 1 : t->nxt;
    s->prev = t->tail;
    *(t->tail ? &t->tail->next : &t->head) = s;
    t->tail = s;
    if (!t->unsent)
        t->unsent = s;
    return s;
}

s64 tcp_send(struct tcp *t, struct refq *q, bool more)
{
    struct net *net = t->net;
    if (!can_send(t)) {
        refq_free(net, q);
        return t->error ? -t->error : -EPIPE;
    }
    u32 goal = tcp_goal(t), taken = 0;
    while (q->bytes) {
        struct tseg *s = t->tail;
        if (!s || s->state != SEG_UNSENT || s->len >= goal)
            s = tseg_new(t);
        struct refq rest = {0};
        u32 n = s ? MIN(q->bytes, goal - s->len) : 0;
        if (!s || (n < q->bytes && !refq_cut(net, q, n, &rest))) {
            refq_free(net, q);
            net->count.tcp_nomem++;
            break;
        }
        for (struct netref *r = q->first, *next; r; r = next) {
            next = r->next;
            struct netref *last = s->data.last;
            if (last && last->data + last->len == r->data && !(((u64)last->data ^ (u64)r->data) >> 12)) {
                last->len += r->len;
                ref_free(net, r);
            } else {
                r->next = NULL;
                *(last ? &last->next : &s->data.first) = r;
                s->data.last = r;
            }
        }
        s->data.bytes += n;
        s->len += n;
        t->queued += n;
        taken += n;
        *q = rest;
    }
    if (!taken)
        return -ENOBUFS;
    t->push = !more;
    bool corked = t->cork;
    t->cork |= more;
    if (t->state == TCP_ESTABLISHED || t->state == TCP_CLOSE_WAIT)
        tcp_output(t);
    t->cork = corked;
    return taken;
}

// The receive buffer grows when the application reads half of it in a round trip.
static void window_tune(struct tcp *t)
{
    u64 rtt = MAX(t->srtt, 1000u) * 1000ul;
    if (t->net->now - t->rcv_tuned < rtt)
        return;
    if (!t->fixed_rcv && t->rcv_copied * 2 > t->rcvbuf && t->rcvbuf < TCP_BUF_MAX)
        t->rcvbuf = MIN(t->rcvbuf * 2, (u32)TCP_BUF_MAX);
    t->rcv_copied = 0;
    t->rcv_tuned = t->net->now;
}

void tcp_consume(struct tcp *t, u32 n)
{
    refq_drop(t->net, &t->rcvq, n);
    t->rcv_copied += n;
    window_tune(t);
    if (t->state != TCP_ESTABLISHED && t->state != TCP_FIN_WAIT1 && t->state != TCP_FIN_WAIT2)
        return;
    // The peer is told of room worth telling.
    u32 unit = 1u << t->rcv_ws, most = MIN(t->rcvbuf, 65535 * unit); // that can be told
    u32 space = t->rcvbuf > t->rcvq.bytes ? t->rcvbuf - t->rcvq.bytes : 0, told = t->radv - t->rnxt;
    space = MIN(space, most) & ~(unit - 1);
    if (space > told && (space - told >= MIN(most / 2, 2u * MAX(t->mss, (u16)536)) && (told < most / 2 || !told)))
        tcp_ack(t);
}

void tcp_shutdown(struct tcp *t)
{
    if (!can_send(t))
        return;
    t->fin_queued = true;
    if (t->state == TCP_SYN_SENT)
        return;
    struct tseg *s = t->tail && t->tail->state == SEG_UNSENT ? t->tail : tseg_new(t);
    if (!s) { // no memory for a FIN: the connection cannot end well
        tcp_send_rst(t);
        tcp_fail(t, ENOBUFS);
        return;
    }
    s->fin = true;
    t->state = t->state == TCP_CLOSE_WAIT ? TCP_LAST_ACK : TCP_FIN_WAIT1;
    t->push = true;
    tcp_output(t);
}

void tcp_abort(struct tcp *t)
{
    if (t->state != TCP_CLOSE && t->state != TCP_SYN_SENT)
        tcp_send_rst(t);
    t->owner = NULL;
    tcp_free(t);
}

void tcp_close(struct tcp *t)
{
    bool unread = t->rcvq.bytes;
    t->owner = NULL;
    if (t->state == TCP_CLOSE || t->state == TCP_SYN_SENT) {
        tcp_free(t);
        return;
    }
    if (unread) { // RFC 2525, 2.17
        tcp_abort(t);
        return;
    }
    t->closed = t->rx_shut = true;
    if (t->state == TCP_FIN_WAIT2) {
        tcp_arm_life(t);
        return;
    }
    if (can_send(t))
        tcp_shutdown(t); // may free t when there is no memory
}

void tcp_options_changed(struct tcp *t)
{
    if (t->state == TCP_ESTABLISHED || t->state == TCP_CLOSE_WAIT) {
        tcp_arm_life(t);
        tcp_output(t);
    }
}
