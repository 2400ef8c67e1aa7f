// Stream sockets whose other end is not in this family: their bytes go through the TCP/IP stack.
//
// s->tcp is set and taken away under s->lock and the stack's lock, and stands while the socket has users.
#include "net/family.h"

enum {
    PIECE = 65536,     // of a send: what is copied in at once
    BACKLOG_MIN = 128, // a shorter queue costs peers whose SYN is lost seconds, and saves nothing
};

struct ip ip_of(const struct address *a)
{
    if (a->family == AF_INET)
        return ip4_of((const u8 *)&a->in.ip4);
    return ip6_of(a->in6.ip);
}

void address_of(struct address *a, u32 domain, const struct ip *ip, u16 port)
{
    *a = (struct address){.len = domain == AF_INET ? 16 : 28, .family = domain};
    a->in.port4 = port << 8 | port >> 8;
    if (domain == AF_INET)
        a->in.ip4 = ip->w[3];
    else
        memcpy(a->in6.ip, ip->b, 16);
}

u16 port_of(const struct address *a) { return (u16)(a->in.port4 << 8 | a->in.port4 >> 8); }

static u64 deadline_of(u64 timeout) { return timeout ? clock_mono_ns() + timeout : 0; }
static s64 slept(s64 r) { return r == -ETIMEDOUT ? -EAGAIN : r ? -ERESTARTSYS : 0; }

static bool connecting(const struct tcp *t) { return t->state == TCP_SYN_SENT || t->state == TCP_SYN_RECV; }

// ---- options the stack acts on
static void options_apply(struct sock *s)
{
    struct tcp *t = s->tcp;
    t->nodelay = s->nodelay, t->cork = s->cork;
    t->keepalive = s->options >> 9 & 1; // SO_KEEPALIVE
    t->keep_idle = s->keep[0], t->keep_interval = s->keep[1], t->keep_count = s->keep[2], t->user_timeout = s->keep[3];
    if (s->buf_set & 1)
        t->rcvbuf = s->limit, t->fixed_rcv = true;
    if (s->buf_set & 2)
        t->sndbuf = s->sndbuf, t->fixed_snd = true;
    tcp_options_changed(t);
}

void remote_options(struct sock *s)
{
    stack_take();
    if (s->tcp)
        options_apply(s);
    if (s->hear) {
        s->hear->nodelay = s->nodelay;
        s->hear->rcvbuf = s->buf_set & 1 ? s->limit : 0;
        s->hear->sndbuf = s->buf_set & 2 ? s->sndbuf : 0;
    }
    stack_drop();
}

s32 remote_error(struct sock *s)
{
    stack_take();
    s32 e = s->tcp ? s->tcp->error : 0;
    if (e)
        s->tcp->error = 0;
    stack_drop();
    return e;
}

// ---- connecting
static void forget(struct sock *s)
{
    stack_take();
    tcp_close(s->tcp);
    s->tcp = NULL;
    stack_drop();
    s->state = SOCK_IDLE;
    s->connecting = false;
    s->peer_name.len = 0;
}

static s64 outcome(struct sock *s)
{
    if (s->tcp->state == TCP_CLOSE) {
        s32 e = remote_error(s);
        forget(s);
        return e ? -e : -ECONNABORTED;
    }
    s->connecting = false;
    return 0;
}

static s64 begin(struct sock *s, const struct address *a)
{
    struct ip to = ip_of(a), from = s->hashed ? ip_of(&s->name) : (struct ip){0};
    s32 err;
    stack_take();
    if (ip_any(&from))
        from = (struct ip){0};
    struct tcp *t = tcp_connect(&stack, &from, s->hashed ? port_of(&s->name) : 0, &to, port_of(a), s, &err);
    if (t) {
        s->tcp = t;
        options_apply(s);
        if (!s->hashed)
            address_of(&s->name, s->domain, &t->c.la, t->c.lp);
        else if (ip_any(&from))
            address_of(&s->name, s->domain, &t->c.la, t->c.lp);
        address_of(&s->peer_name, s->domain, &to, t->c.rp);
        s->state = SOCK_CONNECTED;
        s->connecting = true;
    }
    stack_drop();
    return t ? 0 : err;
}

s64 remote_connect(struct sock *s, const struct address *a, bool block)
{
    s64 r = 0;
    lock_take(&s->lock);
    if (s->tcp && !s->connecting)
        r = -EISCONN;
    else if (s->tcp && connecting(s->tcp) && !block)
        r = -EALREADY;
    else if (!s->tcp)
        r = begin(s, a);
    if (!r && connecting(s->tcp))
        r = !block ? -EINPROGRESS : slept(waitq_until(&s->wait, &s->lock, !connecting(s->tcp), deadline_of(s->sndtimeo), true));
    if (r == -EAGAIN)
        r = -EINPROGRESS;
    if (!r)
        r = outcome(s);
    lock_drop(&s->lock);
    return r;
}

// ---- listening
s64 remote_listen(struct sock *s)
{
    s64 r = 0;
    stack_take();
    if (s->hear) {
        s->hear->backlog = MAX(s->backlog_max, (u32)BACKLOG_MIN);
    } else {
        struct ip local = ip_of(&s->name);
        s->hear = tcp_listen(&stack, &local, port_of(&s->name), MAX(s->backlog_max, (u32)BACKLOG_MIN), s);
        if (s->hear) {
            s->hear->v4only = s->domain == AF_INET;
            s->hear->v6only = s->v6only;
        } else {
            r = -ENOMEM;
        }
    }
    stack_drop();
    if (!r)
        remote_options(s);
    return r;
}

void remote_unlisten(struct sock *s)
{
    stack_take();
    if (s->hear)
        tcp_unlisten(s->hear);
    s->hear = NULL;
    stack_drop();
}

struct sock *remote_accept(struct sock *s)
{
    struct sock *c = sock_new(s->domain, s->type, s->protocol);
    if (!c)
        return NULL;
    c->limit = s->limit, c->sndbuf = s->sndbuf, c->nodelay = s->nodelay, c->options = s->options;
    c->buf_set = s->buf_set;
    memcpy(c->keep, s->keep, sizeof c->keep);
    stack_take();
    struct tcp *t = s->hear ? tcp_accept(s->hear, c) : NULL;
    if (t) {
        c->tcp = t;
        c->state = SOCK_CONNECTED;
        address_of(&c->name, c->domain, &t->c.la, t->c.lp);
        address_of(&c->peer_name, c->domain, &t->c.ra, t->c.rp);
        options_apply(c);
    }
    stack_drop();
    if (t)
        return c;
    sock_put(c);
    return NULL;
}

bool remote_ready(const struct sock *s) { return s->hear && s->hear->nready; }

// ---- bytes out
struct cursor {
    const struct iovec_native *v;
    u64 off;
};

// Room in pages is taken under the stack's lock, filled without it.
static s64 gather(struct refq *q, struct cursor *c, u64 n)
{
    u64 left = n;
    stack_take();
    while (left) {
        u32 k = left;
        u8 *p = frag_take(&stack, &k);
        if (!p || !refq_put(&stack, q, p, k))
            break;
        left -= k;
    }
    stack_drop();
    if (left)
        return -ENOBUFS;
    for (struct netref *r = q->first; r; r = r->next) {
        for (u32 done = 0; done < r->len;) {
            u64 k = MIN(c->v->len - c->off, (u64)(r->len - done));
            if (copy_in(r->data + done, c->v->base + c->off, k))
                return -EFAULT;
            done += k, c->off += k;
            if (c->off == c->v->len)
                c->v++, c->off = 0;
        }
    }
    return 0;
}

static bool may_send(const struct sock *s) { return !s->tx_shut && s->tcp->state != TCP_CLOSE; }

static bool room_or_end(const struct sock *s)
{
    return !may_send(s) || (!connecting(s->tcp) && tcp_room(s->tcp) >= MIN(s->tcp->sndbuf / 3, 32768u));
}

s64 remote_send(struct sock *s, struct message *m, bool block)
{
    struct cursor c = {m->v, 0};
    u64 done = 0, deadline = deadline_of(s->sndtimeo);
    s64 r = 0;
    lock_take(&s->lock);
    while (done < m->len) {
        if (!may_send(s)) {
            s32 e = done ? 0 : remote_error(s);
            r = e ? -e : -EPIPE;
            break;
        }
        u32 room = connecting(s->tcp) ? 0 : tcp_room(s->tcp);
        if (!room) {
            r = block ? slept(waitq_until(&s->wait, &s->lock, room_or_end(s), deadline, true)) : -EAGAIN;
            if (r)
                break;
            continue;
        }
        struct refq q = {0};
        u64 n = MIN(MIN(m->len - done, (u64)PIECE), (u64)room);
        r = gather(&q, &c, n);
        stack_take();
        if (r)
            refq_free(&stack, &q);
        else
            r = tcp_send(s->tcp, &q, m->flags & MSG_MORE || (done + n < m->len && n < room));
        stack_drop();
        if (r < 0)
            break;
        done += r;
        if ((u64)r < n)
            break;
    }
    lock_drop(&s->lock);
    return done ? (s64)done : r;
}

// Pages of the file cache are sent from where they are. A hole ends the run: the caller copies that.
static s64 file_refs(struct refq *q, struct inode *i, u64 off, u64 len)
{
    bool ok = true;
    lock_take(&i->lock);
    stack_take();
    while (ok && len) {
        u64 n = len;
        u8 *p = inode_bytes(i, off, &n);
        if (!p)
            break;
        ok = refq_put(&stack, q, p, n);
        off += n, len -= n;
    }
    if (!ok)
        refq_free(&stack, q);
    stack_drop();
    lock_drop(&i->lock);
    return ok ? 0 : -ENOBUFS;
}

s64 remote_sendfile(struct sock *s, struct file *in, u64 *pos, u64 len, bool block)
{
    u64 done = 0, deadline = deadline_of(s->sndtimeo);
    s64 r = 0;
    lock_take(&s->lock);
    while (done < len) {
        if (!may_send(s)) {
            s32 e = done ? 0 : remote_error(s);
            r = e ? -e : -EPIPE;
            break;
        }
        u32 room = connecting(s->tcp) ? 0 : tcp_room(s->tcp);
        if (!room) {
            r = block ? slept(waitq_until(&s->wait, &s->lock, room_or_end(s), deadline, true)) : -EAGAIN;
            if (r)
                break;
            continue;
        }
        struct refq q = {0};
        u64 want = MIN(MIN(len - done, (u64)PIECE), (u64)room);
        r = file_refs(&q, in->inode, *pos, want);
        u64 n = q.bytes;
        if (r || !n)
            break;
        stack_take();
        r = tcp_send(s->tcp, &q, done + n < len && n < room && n == want);
        stack_drop();
        if (r < 0)
            break;
        done += r, *pos += r;
        if ((u64)r < n || n < want)
            break;
    }
    lock_drop(&s->lock);
    return done ? (s64)done : r;
}

// ---- bytes in
static bool readable(const struct sock *s)
{
    return s->tcp->rcvq.bytes || s->tcp->fin_seen || s->eof || s->tcp->state == TCP_CLOSE;
}

// Copies from the queue's front without the stack's lock: only readers take from there, and they hold
// s->lock; what the stack appends lies behind the bytes that were counted.
static s64 take(struct sock *s, struct cursor *c, u64 len, bool discard)
{
    stack_take();
    struct netref *r = s->tcp->rcvq.first;
    u64 have = MIN((u64)s->tcp->rcvq.bytes, len), done = 0;
    stack_drop();
    for (; !discard && done < have; r = r->next) {
        for (u64 n = MIN((u64)r->len, have - done), at = 0; at < n;) {
            u64 k = MIN(c->v->len - c->off, n - at);
            if (copy_out(c->v->base + c->off, r->data + at, k))
                return done + at ? (s64)(done + at) : -EFAULT;
            at += k, c->off += k;
            if (c->off == c->v->len)
                c->v++, c->off = 0;
            if (at == n)
                done += n;
        }
    }
    return discard ? have : done;
}

s64 remote_receive(struct sock *s, struct message *m, bool block)
{
    struct cursor c = {m->v, 0};
    u64 done = 0, deadline = deadline_of(s->rcvtimeo);
    bool peek = m->flags & MSG_PEEK;
    s64 r = 0;
    if (!m->len)
        return 0;
    lock_take(&s->lock);
    for (;;) {
        if (!readable(s)) {
            r = block ? slept(waitq_until(&s->wait, &s->lock, readable(s), deadline, true)) : -EAGAIN;
            if (r)
                break;
        }
        if (!s->tcp->rcvq.bytes) {
            s32 e = done ? 0 : remote_error(s);
            r = -e;
            break;
        }
        r = take(s, &c, m->len - done, m->flags & MSG_TRUNC);
        if (r < 0)
            break;
        if (!peek) {
            stack_take();
            tcp_consume(s->tcp, r);
            stack_drop();
        }
        done += r;
        if (done == m->len || !(m->flags & MSG_WAITALL) || peek)
            break;
    }
    lock_drop(&s->lock);
    if (m->name)
        m->name->len = 0;
    return done ? (s64)done : r;
}

// ---- the rest
u32 remote_poll(struct sock *s)
{
    const struct tcp *t = s->tcp;
    if (connecting(t))
        return 0;
    u32 events = t->error ? POLLERR | POLLIN | POLLOUT : 0;
    if (t->rcvq.bytes || t->fin_seen || s->eof)
        events |= POLLIN;
    if (t->fin_seen || s->eof)
        events |= POLLRDHUP;
    if (t->state == TCP_CLOSE || ((t->fin_seen || s->eof) && s->tx_shut))
        events |= POLLHUP;
    if (!may_send(s) || tcp_room(t) >= t->sndbuf / 3)
        events |= POLLOUT;
    return events;
}

bool remote_unconnected(const struct sock *s) { return connecting(s->tcp) || (s->connecting && s->tcp->state == TCP_CLOSE); }

s64 remote_shutdown(struct sock *s, int how)
{
    if (remote_unconnected(s) || s->tcp->state == TCP_CLOSE)
        return -ENOTCONN;
    stack_take();
    if (how != SHUT_RD) {
        s->tx_shut = true;
        tcp_shutdown(s->tcp);
    }
    if (how != SHUT_WR)
        s->eof = s->tcp->rx_shut = true;
    stack_drop();
    waitq_wake(&s->wait, 1 << 30, POLLIN | POLLOUT);
    return 0;
}

void remote_release(struct sock *s)
{
    stack_take();
    struct tcp *t = s->tcp;
    s->tcp = NULL;
    if (t && s->linger[0] && !s->linger[1])
        tcp_abort(t);
    else if (t)
        tcp_close(t);
    stack_drop();
}

u32 remote_queued(struct sock *s, bool out) { return out ? s->tcp->queued : s->tcp->rcvq.bytes; }

// struct tcp_info of Linux, its first 104 bytes.
void remote_info(struct sock *s, u8 *info)
{
    struct fields {
        u8 state, ca, retransmits, probes, backoff, options, scales, pad;
        u32 rto, ato, snd_mss, rcv_mss, unacked, sacked, lost, retrans, fackets, last_data_sent, last_ack_sent,
            last_data_recv, last_ack_recv, pmtu, rcv_ssthresh, rtt, rttvar, snd_ssthresh, snd_cwnd, advmss, reordering,
            rcv_rtt, rcv_space, total_retrans;
    } f = {0};
    stack_take();
    const struct tcp *t = s->tcp;
    u32 now = net_ms(&stack);
    f = (struct fields){
        .state = t->state, .probes = t->probes, .backoff = t->backoff, .options = t->ts_ok | t->sack_ok << 1 | (t->rcv_ws ? 4 : 0),
        .scales = t->snd_ws | t->rcv_ws << 4, .rto = t->rto * 1000, .ato = TCP_DELACK * 1000, .snd_mss = t->mss, .rcv_mss = t->mss,
        .unacked = t->mss ? (t->nxt - t->una + t->mss - 1) / t->mss : 0, .sacked = t->nsacked,
        .last_data_sent = now - t->last_tx_ms, .last_data_recv = now - t->last_rx_ms, .last_ack_recv = now - t->last_rx_ms,
        .pmtu = t->route.mtu, .rcv_ssthresh = t->rcvbuf, .rtt = t->srtt, .rttvar = t->rttvar,
        .snd_ssthresh = t->mss && t->ssthresh != ~0u ? t->ssthresh / t->mss : 0x7fffffff, .snd_cwnd = t->mss ? t->cwnd / t->mss : 10,
        .advmss = t->mss, .reordering = 3, .rcv_space = t->rcvbuf};
    stack_drop();
    memcpy(info, &f, sizeof f);
}
