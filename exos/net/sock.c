// Sockets of every family: queues, pairs, listening, and sending between two ends in this family.
#include "net/sock.h"
#include "net/stack.h"

struct lock net_lock, sock_all_lock;
struct list sock_all = {&sock_all, &sock_all};
enum { LIMIT = 212992, SEG_MIN = 768, SEG_MAX = 65536 };

struct creds creds_now(void)
{
    struct proc *p = proc_self();
    return (struct creds){p->pid, p->euid, p->egid};
}

struct sock *sock_new(u32 domain, u32 type, u32 protocol)
{
    struct sock *s = heap_alloc(sizeof *s);
    if (!s)
        return NULL;
    s->refs = 1;
    s->domain = domain, s->type = type, s->protocol = protocol;
    s->family = domain == AF_UNIX ? &unix_family : &inet_family;
    s->limit = s->sndbuf = LIMIT;
    s->name.len = 2;
    s->name.family = domain;
    waitq_init(&s->wait);
    waitq_init(&s->space);
    list_init(&s->queue);
    list_init(&s->backlog);
    list_init(&s->backlog_link);
    list_init(&s->arrived);
    lock_take(&sock_all_lock);
    list_add_tail(&sock_all, &s->all);
    lock_drop(&sock_all_lock);
    return s;
}

static void seg_free(struct seg *g)
{
    for (u32 n = 0; n < g->nfiles; n++)
        file_put(g->files[n]);
    heap_free(g->files);
    heap_free(g);
}

static void queue_drop(struct sock *s)
{
    list_for_safe(it, next, &s->queue) seg_free(container_of(it, struct seg, link));
    list_init(&s->queue);
    s->queued = 0;
    if (s->spare)
        seg_free(s->spare);
    s->spare = NULL;
}

void sock_put(struct sock *s)
{
    if (__atomic_sub_fetch(&s->refs, 1, __ATOMIC_ACQ_REL))
        return;
    lock_take(&sock_all_lock);
    list_del(&s->all);
    lock_drop(&sock_all_lock);
    queue_drop(s);
    heap_free(s);
}

void sock_pair(struct sock *a, struct sock *b)
{
    a->peer = sock_get(b), b->peer = sock_get(a);
    a->state = b->state = SOCK_CONNECTED;
}

static void wake(struct sock *s) { waitq_wake(&s->wait, 1 << 30, POLLIN | POLLOUT); }

// The other end's reference is taken out; what it waits for has come to an end.
static void peer_leave(struct sock *s)
{
    lock_take(&net_lock);
    struct sock *p = s->peer;
    s->peer = NULL;
    lock_drop(&net_lock);
    if (!p)
        return;
    if (s->type != SOCK_DGRAM) {
        lock_take(&s->lock);
        bool unread = s->queued;
        lock_drop(&s->lock);
        lock_take(&p->lock);
        p->eof = p->peer_gone = true;
        if (unread)
            p->error = ECONNRESET, p->reset = true;
        lock_drop(&p->lock);
        wake(p);
    }
    sock_put(p);
}

static void listener_close(struct sock *s)
{
    for (;;) {
        lock_take(&net_lock);
        struct sock *c = list_empty(&s->backlog) ? NULL : container_of(s->backlog.next, struct sock, backlog_link);
        if (c)
            list_del(&c->backlog_link);
        lock_drop(&net_lock);
        if (!c)
            return;
        c->queued++; // whoever connected is told that nobody took it
        peer_leave(c);
        c->queued--;
        sock_put(c);
    }
}

static void sock_release(struct file *f)
{
    struct sock *s = f->priv;
    lock_take(&net_lock);
    u8 was = s->state;
    s->state = SOCK_CLOSED;
    s->family->unbind(s);
    lock_drop(&net_lock);
    remote_release(s);
    datagram_release(s);
    if (was == SOCK_LISTENING) {
        remote_unlisten(s);
        listener_close(s);
        wake(s);
    }
    peer_leave(s);
    lock_take(&s->lock);
    s->eof = true;
    lock_drop(&s->lock);
    waitq_wake(&s->space, 1 << 30, 0);
    sock_put(s);
}

// ---- descriptors
static s64 sock_open(struct inode *i, struct file *f)
{
    (void)i, (void)f;
    return -ENXIO; // a socket cannot be opened again
}
static const struct inode_ops sock_inode_ops = {.open = sock_open};

struct file *sock_file(struct sock *s, u32 flags)
{
    struct path p;
    struct inode *i = inode_new(pipe_mount->sb, S_IFSOCK | 0777);
    if (!i)
        return NULL;
    i->ops = &sock_inode_ops;
    if (anon_path(pipe_mount, i, &p)) {
        inode_put(i);
        return NULL;
    }
    struct file *f = file_new_path(&sock_ops, O_RDWR | (flags & O_NONBLOCK), &p);
    if (f) {
        f->priv = s;
        s->ino = i->ino;
    }
    return f;
}

struct sock *sock_of(struct file *f) { return f->ops == &sock_ops ? f->priv : NULL; }

static u64 deadline_of(u64 timeout) { return timeout ? clock_mono_ns() + timeout : 0; }
static s64 slept(s64 r) { return r == -ETIMEDOUT ? -EAGAIN : r ? -ERESTARTSYS : 0; }

// ---- connections
s64 sock_accept(struct sock *s, bool block, struct sock **out)
{
    struct sock *remote = NULL;
    s64 r = 0;
    lock_take(&net_lock);
    while (!r) {
        if (s->state != SOCK_LISTENING)
            r = -EINVAL;
        else if (!list_empty(&s->backlog) || (remote_ready(s) && (remote = remote_accept(s))))
            break;
        else
            r = !block ? -EAGAIN
                       : slept(waitq_until(&s->wait, &net_lock,
                                           !list_empty(&s->backlog) || remote_ready(s) || s->state != SOCK_LISTENING,
                                           deadline_of(s->rcvtimeo), true));
    }
    if (!r && remote) {
        *out = remote;
    } else if (!r) {
        struct sock *c = container_of(s->backlog.next, struct sock, backlog_link);
        list_del(&c->backlog_link);
        s->nbacklog--;
        *out = c;
    }
    lock_drop(&net_lock);
    if (!r && !remote)
        waitq_wake(&s->space, 1, 0);
    return r;
}

s64 sock_connect_local(struct sock *s, struct sock *l, bool block)
{
    s64 r = 0;
    if (l->nbacklog > l->backlog_max) {
        sock_get(l);
        r = !block ? -EAGAIN
                   : slept(waitq_until(&l->space, &net_lock, l->nbacklog <= l->backlog_max || l->state != SOCK_LISTENING,
                                       deadline_of(s->sndtimeo), true));
        bool gone = l->state != SOCK_LISTENING;
        sock_put(l);
        if (r || gone)
            return r ? r : -ECONNREFUSED;
    }
    if (s->state != SOCK_IDLE)
        return -EISCONN;
    struct sock *c = sock_new(s->domain, s->type, s->protocol);
    if (!c)
        return -ENOMEM;
    c->domain = l->domain;
    c->name = s->domain == AF_UNIX ? l->name : s->peer_name;
    c->peer_name = s->name;
    if (s->domain != l->domain) { // IPv4 at one end, its mapped form at the other
        struct ip from = ip_of(&s->name), to = ip_of(&s->peer_name);
        address_of(&c->peer_name, l->domain, &from, port_of(&s->name));
        address_of(&c->name, l->domain, &to, port_of(&s->peer_name));
    }
    c->creds = l->creds;
    c->limit = l->limit, c->sndbuf = l->sndbuf, c->nodelay = l->nodelay, c->options = l->options;
    s->creds = creds_now();
    s->peer_creds = l->creds, c->peer_creds = s->creds;
    sock_pair(s, c);
    list_add_tail(&l->backlog, &c->backlog_link);
    l->nbacklog++;
    wake(l);
    return 0;
}

// ---- moving bytes
struct cursor {
    const struct iovec_native *v;
    u64 n, off;
};

static s64 cursor_in(struct cursor *c, void *to, u64 len)
{
    for (u64 done = 0; done < len;) {
        u64 n = MIN(c->v->len - c->off, len - done);
        if (copy_in((char *)to + done, c->v->base + c->off, n))
            return -EFAULT;
        done += n, c->off += n;
        if (c->off == c->v->len)
            c->v++, c->off = 0;
    }
    return 0;
}

static s64 cursor_out(struct cursor *c, const void *from, u64 len)
{
    for (u64 done = 0; done < len;) {
        u64 n = MIN(c->v->len - c->off, len - done);
        if (copy_out(c->v->base + c->off, (const char *)from + done, n))
            return -EFAULT;
        done += n, c->off += n;
        if (c->off == c->v->len)
            c->v++, c->off = 0;
    }
    return 0;
}

static struct seg *seg_new(u32 len, u32 room)
{
    struct seg *g = heap_alloc(sizeof *g + room);
    if (g)
        g->len = len, g->room = room;
    return g;
}

// The next piece of to's stream. A receiver that keeps up gets the piece that it emptied last, again and
// again. to->lock held.
static struct seg *seg_next(struct sock *to, u32 len)
{
    struct seg *g = to->spare;
    if (!g || len > g->room)
        return seg_new(len, MAX(len, (u32)SEG_MIN));
    to->spare = NULL;
    g->len = len, g->off = 0;
    return g;
}

static void seg_done(struct sock *s, struct seg *g)
{
    if (s->spare || g->nfiles || g->files || g->room != SEG_MIN)
        seg_free(g);
    else
        s->spare = g;
}

s64 sock_broken(void)
{
    signal_thread(thread_self(), SIGPIPE_, NULL);
    return -EPIPE;
}

// A pipe's SIGPIPE, unless the sender asked not to be told that way.
static s64 broken(const struct message *m) { return m->flags & MSG_NOSIGNAL ? -EPIPE : sock_broken(); }

static s64 files_give(struct seg *g, struct message *m)
{
    g->creds = m->has_creds ? m->creds : creds_now();
    if (!m->nfiles)
        return 0;
    g->files = heap_alloc(m->nfiles * sizeof *g->files);
    if (!g->files)
        return -ENOMEM;
    for (u32 n = 0; n < m->nfiles; n++)
        g->files[n] = file_get(m->files[n]);
    g->nfiles = m->nfiles;
    return 0;
}

// Sleeps on q until to has room for n more bytes or no reason to wait is left; to->lock held.
static s64 room_wait(struct sock *s, struct sock *to, struct waitq *q, u64 n)
{
    return slept(waitq_until(q, &to->lock, to->queued + n <= MAX(to->limit, n) || to->eof || s->peer_gone || s->tx_shut,
                             deadline_of(s->sndtimeo), true));
}

// One piece of a stream into the peer's queue; how much went. to->lock held.
static s64 stream_put(struct sock *to, struct cursor *c, u64 len, struct message *m, bool first)
{
    u64 n = MIN(len, MIN(to->limit - to->queued, (u64)SEG_MAX));
    struct seg *last = list_empty(&to->queue) ? NULL : container_of(to->queue.prev, struct seg, link);
    if (last && !(first && m->nfiles) && !last->nfiles && last->room - last->len >= n) {
        s64 r = cursor_in(c, last->data + last->len, n);
        if (r)
            return r;
        last->len += n;
    } else {
        struct seg *g = seg_next(to, n);
        if (!g)
            return -ENOBUFS;
        s64 r = cursor_in(c, g->data, n);
        if (!r)
            r = first ? files_give(g, m) : 0;
        if (!first)
            g->creds = creds_now();
        if (r) {
            seg_free(g);
            return r;
        }
        list_add_tail(&to->queue, &g->link);
    }
    to->queued += n;
    return n;
}

static struct sock *peer_of(struct sock *s)
{
    lock_take(&net_lock);
    struct sock *p = s->peer ? sock_get(s->peer) : NULL;
    lock_drop(&net_lock);
    return p;
}

static s64 stream_send(struct sock *s, struct message *m, bool block)
{
    struct cursor c = {m->v, m->nv, 0};
    u64 done = 0;
    s64 r = 0;
    if (s->tcp) {
        r = remote_send(s, m, block);
        return r == -EPIPE ? broken(m) : r;
    }
    if (s->state != SOCK_CONNECTED)
        return s->state == SOCK_IDLE && s->domain == AF_UNIX ? -ENOTCONN : broken(m);
    struct sock *to = peer_of(s);
    if (!to)
        return broken(m);
    lock_take(&to->lock);
    while (done < m->len) {
        if (s->tx_shut || s->peer_gone || to->eof) {
            bool tell = s->error && s->domain != AF_UNIX; // unix(7): only who reads learns of unread data
            r = tell ? -s->error : -EPIPE;
            s->error = tell ? 0 : s->error;
            break;
        }
        if (to->queued >= to->limit) {
            r = block ? room_wait(s, to, &s->wait, 1) : -EAGAIN;
            if (r)
                break;
            continue;
        }
        r = stream_put(to, &c, m->len - done, m, !done);
        if (r < 0)
            break;
        done += r;
        wake(to);
    }
    lock_drop(&to->lock);
    sock_put(to);
    return done ? (s64)done : r == -EPIPE ? broken(m) : r;
}

static s64 message_send(struct sock *s, struct message *m, bool block)
{
    struct sock *to = NULL;
    struct cursor c = {m->v, m->nv, 0};
    s64 r = 0;
    if (m->len > s->sndbuf || (s->domain != AF_UNIX && m->len > 65507))
        return -EMSGSIZE;
    if (s->tx_shut)
        return broken(m);
    if (s->error) {
        r = -s->error;
        s->error = 0;
        return r;
    }
    const struct address *dest = m->name && m->name->len ? m->name : s->peer_name.len > 2 ? &s->peer_name : NULL;
    if (is_ping(s))
        return !dest ? -EDESTADDRREQ : dest->len < 16 || dest->family != s->domain ? -EINVAL : ping_send(s, m, dest);
    if (s->domain != AF_UNIX && dest && dest->len >= 16 && dest->family == s->domain && inet_elsewhere(dest)) {
        r = inet_name_any(s);
        return r ? r : datagram_send(s, m, dest);
    }
    if (m->name && m->name->len)
        r = s->type == SOCK_SEQPACKET ? -EISCONN : s->family->target(s, m->name, &to);
    else if (!(to = peer_of(s)))
        r = s->state == SOCK_CONNECTED ? (s->type == SOCK_DGRAM ? -ECONNREFUSED : broken(m))
            : s->domain == AF_UNIX ? -ENOTCONN : s->peer_name.len > 2 ? s->family->target(s, &s->peer_name, &to) : -EDESTADDRREQ;
    if (r == -EAGAIN) // nobody there: a datagram may get lost
        return m->len;
    if (r)
        return r;
    struct seg *g = seg_new(m->len, m->len);
    r = g ? cursor_in(&c, g->data, m->len) : -ENOBUFS;
    if (!r)
        r = files_give(g, m);
    if (g)
        g->from = s->name;
    lock_take(&to->lock);
    if (!r && to->queued + m->len > to->limit && to->queued) {
        if (s->domain != AF_UNIX) { // as a network does
            lock_drop(&to->lock);
            sock_put(to);
            seg_free(g);
            return m->len;
        }
        r = block ? room_wait(s, to, s->type == SOCK_DGRAM ? &to->space : &s->wait, m->len) : -EAGAIN;
    }
    if (!r && to->eof)
        r = s->type == SOCK_DGRAM ? -ECONNREFUSED : -EPIPE;
    if (!r) {
        list_add_tail(&to->queue, &g->link);
        to->queued += m->len;
    }
    lock_drop(&to->lock);
    if (!r)
        wake(to);
    else if (g)
        seg_free(g);
    sock_put(to);
    return r == -EPIPE ? broken(m) : r ? r : (s64)m->len;
}

s64 sock_send(struct sock *s, struct message *m, bool block)
{
    if (m->flags & MSG_OOB)
        return -EOPNOTSUPP;
    return s->type == SOCK_STREAM ? stream_send(s, m, block) : message_send(s, m, block);
}

// The sender may go on.
static void drained(struct sock *s)
{
    struct sock *p = s->type == SOCK_DGRAM ? NULL : peer_of(s);
    if (p) {
        wake(p);
        sock_put(p);
    }
    waitq_wake(&s->space, 1 << 30, 0);
}

static s64 readable_wait(struct sock *s, bool block, u64 deadline)
{
    datagram_collect(s);
    if (!list_empty(&s->queue) || s->eof || s->error)
        return 0;
    if (!block)
        return -EAGAIN;
    s64 r = slept(waitq_until(&s->wait, &s->lock, !list_empty(&s->queue) || !list_empty(&s->arrived) || s->eof || s->error,
                              deadline, true));
    datagram_collect(s);
    return r;
}

static void take_extras(struct seg *g, struct message *m, bool peek)
{
    m->creds = g->creds;
    m->has_creds = true;
    if (!g->nfiles)
        return;
    if (peek) {
        m->files = heap_alloc(g->nfiles * sizeof *m->files);
        for (u32 n = 0; m->files && n < g->nfiles; n++)
            m->files[n] = file_get(g->files[n]);
        m->nfiles = m->files ? g->nfiles : 0;
        return;
    }
    m->files = g->files, m->nfiles = g->nfiles;
    g->files = NULL, g->nfiles = 0;
}

// What is in the queue, up to a piece with descriptors of its own. s->lock held.
static s64 stream_take(struct sock *s, struct cursor *c, u64 len, struct message *m, bool *barrier)
{
    bool peek = m->flags & MSG_PEEK, some = false;
    u64 done = 0;
    list_for_safe(it, next, &s->queue) {
        struct seg *g = container_of(it, struct seg, link);
        if (done == len)
            break;
        if ((g->nfiles && some) || m->nfiles) {
            *barrier = true;
            break;
        }
        u64 n = MIN(g->len - g->off, len - done);
        s64 r = m->flags & MSG_TRUNC && s->domain != AF_UNIX ? 0 : cursor_out(c, g->data + g->off, n);
        if (r)
            return done ? (s64)done : r;
        if (!some || g->nfiles)
            take_extras(g, m, peek);
        some = true;
        done += n;
        if (peek)
            continue;
        g->off += n;
        s->queued -= n;
        if (g->off == g->len) {
            list_del(&g->link);
            seg_done(s, g);
        }
    }
    return done;
}

static s64 stream_receive(struct sock *s, struct message *m, bool block)
{
    struct cursor c = {m->v, m->nv, 0};
    u64 done = 0, deadline = deadline_of(s->rcvtimeo);
    bool barrier = false;
    s64 r = 0;
    if (s->tcp)
        return remote_receive(s, m, block);
    if (s->state != SOCK_CONNECTED && !s->eof)
        return s->state == SOCK_LISTENING && s->domain == AF_UNIX ? -EINVAL : -ENOTCONN;
    if (!m->len && list_empty(&s->queue))
        return 0;
    lock_take(&s->lock);
    for (;;) {
        r = readable_wait(s, block, deadline);
        if (r)
            break;
        if (list_empty(&s->queue)) {
            if (s->error && !done) {
                r = -s->error;
                s->error = 0;
            }
            break;
        }
        r = stream_take(s, &c, m->len - done, m, &barrier);
        if (r < 0)
            break;
        done += r;
        if (done == m->len || !(m->flags & MSG_WAITALL) || (m->flags & MSG_PEEK) || barrier)
            break;
    }
    lock_drop(&s->lock);
    if (done && !(m->flags & MSG_PEEK))
        drained(s);
    if (m->name && done)
        *m->name = s->domain == AF_UNIX ? s->peer_name : (struct address){.len = 0};
    return done ? (s64)done : r;
}

static s64 message_receive(struct sock *s, struct message *m, bool block)
{
    struct cursor c = {m->v, m->nv, 0};
    bool peek = m->flags & MSG_PEEK;
    if (s->type == SOCK_SEQPACKET && s->state != SOCK_CONNECTED && !s->eof)
        return -ENOTCONN;
    lock_take(&s->lock);
    s64 r = readable_wait(s, block, deadline_of(s->rcvtimeo));
    if (!r && list_empty(&s->queue)) {
        r = s->error ? -s->error : 0;
        s->error = 0;
        lock_drop(&s->lock);
        return r;
    }
    if (r) {
        lock_drop(&s->lock);
        return r;
    }
    struct seg *g = container_of(s->queue.next, struct seg, link);
    u64 n = MIN(g->len, m->len);
    r = cursor_out(&c, g->data, n);
    if (!r) {
        take_extras(g, m, peek);
        if (m->name)
            *m->name = g->from;
        if (m->name && s->domain == AF_UNIX && m->name->len <= 2) // from nobody with a name
            m->name->len = 0;
        if (n < g->len)
            m->out_flags |= MSG_TRUNC;
        r = m->flags & MSG_TRUNC ? (s64)g->len : (s64)n;
        if (s->type == SOCK_SEQPACKET)
            m->out_flags |= MSG_EOR;
    }
    if (!peek || r < 0) {
        list_del(&g->link);
        s->queued -= g->len;
        seg_free(g);
    }
    lock_drop(&s->lock);
    if (!peek)
        drained(s);
    return r;
}

s64 sock_receive(struct sock *s, struct message *m, bool block)
{
    if (m->flags & MSG_OOB)
        return s->domain == AF_UNIX ? -EOPNOTSUPP : -EINVAL;
    if (m->flags & MSG_ERRQUEUE)
        return -EAGAIN;
    return s->type == SOCK_STREAM ? stream_receive(s, m, block) : message_receive(s, m, block);
}

s64 sock_shutdown(struct sock *s, int how)
{
    if (how < SHUT_RD || how > SHUT_RDWR)
        return -EINVAL;
    if (s->state == SOCK_LISTENING) {
        lock_take(&net_lock);
        s->family->unbind(s);
        s->state = SOCK_IDLE;
        lock_drop(&net_lock);
        remote_unlisten(s);
        listener_close(s);
        wake(s);
        return 0;
    }
    if (s->tcp)
        return remote_shutdown(s, how);
    struct sock *p = peer_of(s);
    if (!p && s->state != SOCK_CONNECTED && !(s->type == SOCK_DGRAM && s->peer_name.len > 2))
        return -ENOTCONN;
    if (how != SHUT_RD)
        s->tx_shut = true;
    if (how != SHUT_WR) {
        lock_take(&s->lock);
        s->eof = true;
        lock_drop(&s->lock);
    }
    if (p && s->type != SOCK_DGRAM && how != SHUT_RD) {
        lock_take(&p->lock);
        p->eof = true;
        lock_drop(&p->lock);
    }
    wake(s);
    if (p) {
        wake(p);
        sock_put(p);
    }
    return 0;
}

// ---- as a file
static s64 sock_vector(struct file *f, const struct iovec_native *v, u64 count, bool write)
{
    struct message m = {.v = v, .nv = count};
    struct sock *s = f->priv;
    for (u64 n = 0; n < count; n++)
        m.len += v[n].len;
    bool block = !(f->flags & O_NONBLOCK);
    if (write)
        return sock_send(s, &m, block);
    s64 r = sock_receive(s, &m, block);
    for (u32 n = 0; n < m.nfiles; n++) // nobody asked for them
        file_put(m.files[n]);
    heap_free(m.files);
    return r;
}

// ---- read and write of a local stream, where nothing is in the way. A stream's peer stays its peer, and
// referenced, as long as the socket is open: no lock is needed to look at it.
static bool is_local_stream(const struct sock *s)
{
    return s->type == SOCK_STREAM && s->state == SOCK_CONNECTED && !s->tcp && s->peer;
}

// All of it, or false: the long way.
static bool quick_send(struct sock *s, u64 buf, u64 len)
{
    struct sock *to = s->peer;
    lock_take(&to->lock);
    struct seg *g = list_empty(&to->queue) ? NULL : container_of(to->queue.prev, struct seg, link);
    bool fresh = !g || g->nfiles || g->room - g->len < len;
    if (fresh)
        g = to->spare;
    if (!g || to->eof || s->tx_shut || s->peer_gone || to->queued + len > to->limit || (fresh && g->room < len) ||
        copy_in(g->data + (fresh ? 0 : g->len), buf, len)) {
        lock_drop(&to->lock);
        return false;
    }
    if (fresh) {
        to->spare = NULL;
        g->len = g->off = 0;
        if (s->domain == AF_UNIX)
            g->creds = creds_now();
        list_add_tail(&to->queue, &g->link);
    }
    g->len += len;
    to->queued += len;
    lock_drop(&to->lock);
    wake(to);
    return true;
}

// How many bytes; 0: the long way.
static u64 quick_receive(struct sock *s, u64 buf, u64 len, bool block)
{
    lock_take(&s->lock);
    if (list_empty(&s->queue) && (!block || s->eof || s->error || s->rcvtimeo || readable_wait(s, block, 0))) {
        lock_drop(&s->lock); // an interrupted wait is found out again there
        return 0;
    }
    struct seg *g = list_empty(&s->queue) ? NULL : container_of(s->queue.next, struct seg, link);
    u64 n = g ? MIN(g->len - g->off, len) : 0;
    if (!g || g->nfiles || (n < len && g->link.next != &s->queue) || copy_out(buf, g->data + g->off, n)) {
        lock_drop(&s->lock);
        return 0;
    }
    g->off += n;
    s->queued -= n;
    if (g->off == g->len) {
        list_del(&g->link);
        seg_done(s, g);
    }
    lock_drop(&s->lock);
    wake(s->peer);
    return n;
}

static s64 sock_read(struct file *f, u64 buf, u64 len, u64 *pos)
{
    (void)pos;
    struct sock *s = f->priv;
    u64 n = len && is_local_stream(s) ? quick_receive(s, buf, len, !(f->flags & O_NONBLOCK)) : 0;
    if (n)
        return n;
    return sock_vector(f, &(struct iovec_native){buf, len}, 1, false);
}

static s64 sock_write(struct file *f, u64 buf, u64 len, u64 *pos)
{
    (void)pos;
    struct sock *s = f->priv;
    if (len && len <= SEG_MIN && is_local_stream(s) && quick_send(s, buf, len))
        return len;
    return sock_vector(f, &(struct iovec_native){buf, len}, 1, true);
}

static u32 sock_poll(struct file *f, struct waiter *w)
{
    struct sock *s = f->priv;
    if (w)
        waitq_add(&s->wait, w);
    if (s->state == SOCK_LISTENING)
        return list_empty(&s->backlog) && !remote_ready(s) ? 0 : POLLIN;
    if (s->tcp)
        return remote_poll(s);
    u32 events = !s->error ? 0 : s->type == SOCK_DGRAM ? POLLERR : POLLERR | POLLIN | POLLOUT;
    if (!list_empty(&s->queue) || !list_empty(&s->arrived) || s->eof)
        events |= POLLIN;
    if (s->eof)
        events |= POLLRDHUP;
    if (s->type == SOCK_STREAM && s->state == SOCK_IDLE)
        return events | POLLOUT | POLLHUP;
    if (s->eof && (s->tx_shut || s->reset || (s->peer_gone && s->domain == AF_UNIX)))
        events |= POLLHUP;
    struct sock *p = peer_of(s);
    if (!p || p->queued < p->limit || s->peer_gone || s->tx_shut || p->eof)
        events |= POLLOUT;
    if (p)
        sock_put(p);
    return events;
}

enum { FIONREAD = 0x541b, TIOCOUTQ = 0x5411, SIOCATMARK = 0x8905 };
static s64 sock_ioctl(struct file *f, u64 cmd, u64 arg)
{
    struct sock *s = f->priv;
    s32 n = 0;
    if (s->tcp && (cmd == FIONREAD || cmd == TIOCOUTQ)) {
        n = remote_queued(s, cmd == TIOCOUTQ);
        return copy_out(arg, &n, sizeof n);
    }
    if (cmd == FIONREAD) {
        lock_take(&s->lock);
        datagram_collect(s);
        n = s->queued;
        if (s->type != SOCK_STREAM && !list_empty(&s->queue))
            n = container_of(s->queue.next, struct seg, link)->len;
        lock_drop(&s->lock);
        return s->state == SOCK_LISTENING ? -EINVAL : copy_out(arg, &n, sizeof n);
    }
    if (cmd == TIOCOUTQ || cmd == SIOCATMARK)
        return copy_out(arg, &n, sizeof n);
    return -ENOTTY;
}

const struct file_ops sock_ops = {
    .read = sock_read, .write = sock_write, .poll = sock_poll, .ioctl = sock_ioctl, .release = sock_release,
    .vector = sock_vector, .name = "socket",
};
