// The calls of socket(2) and its relatives.
#include "linux/fs.h"
#include "net/sock.h"

#define CALL(name) s64 sys_##name(u64 a, u64 b, u64 c, u64 d, u64 e, u64 f)
#define UNUSED (void)a, (void)b, (void)c, (void)d, (void)e, (void)f
CALL(accept4);
CALL(socketpair);

struct handle {
    struct file *f;
    struct sock *s;
    bool owned;
};

static s64 open(struct handle *h, u64 fd)
{
    h->f = fd_borrow(fd, &h->owned);
    if (!h->f)
        return -EBADF;
    h->s = sock_of(h->f);
    if (h->s)
        return 0;
    fd_return(h->f, h->owned);
    return h->f->flags & O_PATH ? -EBADF : -ENOTSOCK;
}

static s64 done(struct handle *h, s64 r)
{
    fd_return(h->f, h->owned);
    return r;
}

static bool blocking(struct handle *h, u64 flags) { return !(h->f->flags & O_NONBLOCK) && !(flags & MSG_DONTWAIT); }

static s64 kind_check(u64 domain, u64 type, u64 *protocol)
{
    u32 t = type & SOCK_TYPE;
    if (type & ~(u64)(SOCK_TYPE | O_NONBLOCK | O_CLOEXEC))
        return -EINVAL;
    if (domain == AF_UNIX) {
        if (t == SOCK_RAW)
            t = SOCK_DGRAM;
        return *protocol > 1 ? -EPROTONOSUPPORT : t != SOCK_STREAM && t != SOCK_DGRAM && t != SOCK_SEQPACKET ? -ESOCKTNOSUPPORT : 0;
    }
    if (domain != AF_INET && domain != AF_INET6)
        return -EAFNOSUPPORT;
    if (t == SOCK_DGRAM && *protocol == (domain == AF_INET ? IPPROTO_ICMP : IPPROTO_ICMPV6))
        return 0;
    u32 want = t == SOCK_STREAM ? IPPROTO_TCP : t == SOCK_DGRAM ? IPPROTO_UDP : 0;
    if (!want)
        return t == SOCK_RAW ? -EPERM : -ESOCKTNOSUPPORT;
    if (*protocol && *protocol != want)
        return -EPROTONOSUPPORT;
    *protocol = want;
    return 0;
}

static s64 sock_install(struct sock *s, u64 flags)
{
    struct file *f = sock_file(s, flags);
    if (!f) {
        sock_put(s);
        return -ENOMEM;
    }
    return fd_install(f, flags & O_CLOEXEC, 0);
}

CALL(socket)
{
    UNUSED;
    s64 r = kind_check(a, b, &c);
    if (r)
        return r;
    u32 type = b & SOCK_TYPE;
    struct sock *s = sock_new(a, type == SOCK_RAW ? SOCK_DGRAM : type, a == AF_UNIX ? 0 : c);
    return s ? sock_install(s, b) : -ENOMEM;
}

CALL(socketpair)
{
    UNUSED;
    s32 fd[2];
    s64 r = kind_check(a, b, &c);
    if (r)
        return r;
    if (a != AF_UNIX)
        return -EOPNOTSUPP;
    u32 type = (b & SOCK_TYPE) == SOCK_RAW ? SOCK_DGRAM : b & SOCK_TYPE;
    struct sock *x = sock_new(a, type, 0), *y = sock_new(a, type, 0);
    if (!x || !y) {
        if (x)
            sock_put(x);
        return -ENOMEM;
    }
    x->creds = y->creds = x->peer_creds = y->peer_creds = creds_now();
    lock_take(&net_lock);
    sock_pair(x, y);
    lock_drop(&net_lock);
    r = fd[0] = sock_install(x, b);
    if (r < 0) {
        sock_put(y);
        return r;
    }
    r = fd[1] = sock_install(y, b);
    if (r >= 0)
        r = copy_out(d, fd, sizeof fd);
    if (!r)
        return 0;
    fd_close(proc_self()->files, fd[0]);
    if (fd[1] >= 0)
        fd_close(proc_self()->files, fd[1]);
    return r;
}

static s64 address_in(struct address *to, u64 from, u64 len)
{
    if (len > ADDR_MAX)
        return -EINVAL;
    memset(to, 0, sizeof *to);
    to->len = len;
    return copy_in(&to->family, from, len);
}

// As much as fits; the true length is told.
static s64 address_out(const struct address *x, u64 to, u64 lenp)
{
    s32 room, len = x->len;
    if (!to)
        return 0;
    if (copy_in(&room, lenp, sizeof room))
        return -EFAULT;
    if (room < 0)
        return -EINVAL;
    if (copy_out(to, &x->family, MIN(room, len)) || copy_out(lenp, &len, sizeof len))
        return -EFAULT;
    return 0;
}

CALL(bind)
{
    struct handle h;
    struct address x;
    UNUSED;
    s64 r = open(&h, a);
    if (r)
        return r;
    r = address_in(&x, b, c);
    return done(&h, r ? r : h.s->family->bind(h.s, &x));
}

CALL(connect)
{
    struct handle h;
    struct address x;
    UNUSED;
    s64 r = open(&h, a);
    if (r)
        return r;
    r = address_in(&x, b, c);
    return done(&h, r ? r : h.s->family->connect(h.s, &x, blocking(&h, 0)));
}

CALL(listen)
{
    struct handle h;
    UNUSED;
    s64 r = open(&h, a);
    if (r)
        return r;
    struct sock *s = h.s;
    if (s->type == SOCK_DGRAM)
        return done(&h, -EOPNOTSUPP);
    if (!s->hashed && !s->inode) {
        struct address any = {.len = s->domain == AF_INET ? 16 : s->domain == AF_INET6 ? 28 : 2, .family = s->domain};
        r = s->domain == AF_UNIX ? -EINVAL : s->family->bind(s, &any);
        if (r)
            return done(&h, r);
    }
    lock_take(&net_lock);
    if (s->state == SOCK_IDLE || s->state == SOCK_LISTENING) {
        s->backlog_max = MIN((u32)b, 4096u); // net.core.somaxconn
        s->creds = creds_now();
        s->state = SOCK_LISTENING;
    } else {
        r = -EINVAL;
    }
    lock_drop(&net_lock);
    if (!r && s->domain != AF_UNIX)
        r = remote_listen(s);
    return done(&h, r);
}

CALL(accept4)
{
    struct handle h;
    struct sock *s;
    UNUSED;
    if (d & ~(u64)(O_NONBLOCK | O_CLOEXEC))
        return -EINVAL;
    s64 r = open(&h, a);
    if (r)
        return r;
    r = h.s->type == SOCK_DGRAM ? -EOPNOTSUPP : sock_accept(h.s, blocking(&h, 0), &s);
    if (r)
        return done(&h, r);
    struct address from = s->peer_name;
    r = sock_install(s, d);
    if (r >= 0 && address_out(&from, b, c)) {
        fd_close(proc_self()->files, r);
        r = -EFAULT;
    }
    return done(&h, r);
}

CALL(accept)
{
    UNUSED;
    return sys_accept4(a, b, c, 0, 0, 0);
}

CALL(shutdown)
{
    struct handle h;
    UNUSED;
    s64 r = open(&h, a);
    return r ? r : done(&h, sock_shutdown(h.s, b));
}

CALL(getsockname)
{
    struct handle h;
    UNUSED;
    s64 r = open(&h, a);
    return r ? r : done(&h, address_out(&h.s->name, b, c));
}

CALL(getpeername)
{
    struct handle h;
    UNUSED;
    s64 r = open(&h, a);
    if (r)
        return r;
    bool known = (h.s->state == SOCK_CONNECTED && !(h.s->tcp && remote_unconnected(h.s))) || (h.s->type == SOCK_DGRAM && h.s->peer_name.len > 2);
    struct address x = h.s->peer_name;
    if (known && !x.len)
        x.len = 2, x.family = h.s->domain;
    return done(&h, known ? address_out(&x, b, c) : -ENOTCONN);
}

CALL(setsockopt)
{
    struct handle h;
    UNUSED;
    s64 r = open(&h, a);
    return r ? r : done(&h, (s32)e < 0 ? -EINVAL : sock_option_set(h.s, b, c, d, e));
}

CALL(getsockopt)
{
    struct handle h;
    UNUSED;
    s64 r = open(&h, a);
    return r ? r : done(&h, sock_option_get(h.s, b, c, d, e));
}

CALL(sendto)
{
    struct handle h;
    struct address to;
    struct iovec_native v = {b, MIN(c, RW_MAX)};
    struct message m = {.v = &v, .nv = 1, .len = v.len, .flags = d};
    UNUSED;
    s64 r = open(&h, a);
    if (r)
        return r;
    if (e) {
        r = address_in(&to, e, f);
        m.name = &to;
    }
    return done(&h, r ? r : sock_send(h.s, &m, blocking(&h, d)));
}

CALL(recvfrom)
{
    struct handle h;
    struct address from = {.len = 0};
    struct iovec_native v = {b, MIN(c, RW_MAX)};
    struct message m = {.v = &v, .nv = 1, .len = v.len, .flags = d, .name = &from};
    UNUSED;
    s64 r = open(&h, a);
    if (r)
        return r;
    r = sock_receive(h.s, &m, blocking(&h, d));
    for (u32 n = 0; n < m.nfiles; n++)
        file_put(m.files[n]);
    heap_free(m.files);
    if (r >= 0 && e && address_out(&from, e, f))
        r = -EFAULT;
    return done(&h, r);
}

struct msghdr_native {
    u64 name;
    u32 namelen, pad;
    u64 iov, iovlen, control, controllen;
    s32 flags, pad2;
};
struct cmsg_native {
    u64 len;
    s32 level, type;
};
enum { SOL_SOCKET = 1, SCM_RIGHTS = 1, SCM_CREDENTIALS = 2, SO_PASSCRED = 16, CONTROL_MAX = 8192 };
#define CMSG_ALIGN(n) (((n) + 7) & ~7ul)

static void files_drop(struct message *m)
{
    for (u32 n = 0; n < m->nfiles; n++)
        file_put(m->files[n]);
    heap_free(m->files);
    m->files = NULL, m->nfiles = 0;
}

static s64 rights_in(struct message *m, const s32 *fd, u64 n)
{
    if (m->nfiles || n > FDS_MAX)
        return -EINVAL;
    m->files = heap_alloc((n + 1) * sizeof *m->files);
    if (!m->files)
        return -ENOMEM;
    for (; m->nfiles < n; m->nfiles++) {
        struct file *f = fd_file(fd[m->nfiles]);
        if (!f)
            return -EBADF;
        m->files[m->nfiles] = f;
    }
    return 0;
}

static s64 control_in(struct message *m, u64 from, u64 len, bool unix_domain)
{
    if (len > CONTROL_MAX)
        return -ENOBUFS;
    if (len < sizeof(struct cmsg_native))
        return 0;
    char *buf = heap_alloc(len);
    s64 r = !buf ? -ENOMEM : copy_in(buf, from, len);
    for (u64 at = 0; !r && at + sizeof(struct cmsg_native) <= len;) {
        struct cmsg_native *c = (void *)(buf + at);
        if (c->len < sizeof *c || c->len > len - at) {
            r = -EINVAL;
        } else if (c->level == SOL_SOCKET && unix_domain && c->type == SCM_RIGHTS) {
            r = rights_in(m, (s32 *)(c + 1), (c->len - sizeof *c) / 4);
        } else if (c->level == SOL_SOCKET && unix_domain && c->type == SCM_CREDENTIALS && c->len >= sizeof *c + 12) {
            struct proc *p = proc_self();
            memcpy(&m->creds, c + 1, 12);
            m->has_creds = true;
            if (!capable() && ((u32)m->creds.pid != p->pid || (m->creds.uid != p->ruid && m->creds.uid != p->euid) ||
                               (m->creds.gid != p->rgid && m->creds.gid != p->egid)))
                r = -EPERM;
        } else if (c->level == SOL_SOCKET) {
            r = -EINVAL;
        }
        at += CMSG_ALIGN(c->len);
    }
    heap_free(buf);
    return r;
}

struct vector {
    struct iovec_native small[IOV_SMALL], *v;
};

static s64 send_one(struct handle *h, u64 hdr, u64 flags)
{
    struct msghdr_native n;
    struct vector x;
    struct address to;
    struct message m = {.flags = flags};
    if (copy_in(&n, hdr, sizeof n))
        return -EFAULT;
    s64 r = n.iovlen > IOV_MAX ? -EMSGSIZE : iov_in(&x.v, x.small, n.iov, n.iovlen);
    if (r < 0)
        return r;
    m.v = x.v, m.nv = n.iovlen, m.len = r;
    r = 0;
    if (n.name && n.namelen) {
        r = address_in(&to, n.name, n.namelen);
        m.name = &to;
    }
    if (!r && n.control)
        r = control_in(&m, n.control, n.controllen, h->s->domain == AF_UNIX);
    if (!r)
        r = sock_send(h->s, &m, blocking(h, flags));
    files_drop(&m);
    iov_done(x.v, x.small);
    return r;
}

// One control message at `*at` of the receiver's buffer; false: no room.
static bool control_put(struct msghdr_native *n, u64 *at, s32 type, const void *data, u64 len)
{
    struct cmsg_native c = {sizeof c + len, SOL_SOCKET, type};
    if (*at + c.len > n->controllen)
        return false;
    if (copy_out(n->control + *at, &c, sizeof c) || copy_out(n->control + *at + sizeof c, data, len))
        return false;
    *at = MIN(*at + CMSG_ALIGN(c.len), n->controllen);
    return true;
}

static void rights_out(struct msghdr_native *n, u64 *at, struct message *m)
{
    u64 room = *at + sizeof(struct cmsg_native) < n->controllen ? (n->controllen - *at - sizeof(struct cmsg_native)) / 4 : 0;
    s32 fd[FDS_MAX];
    u32 count = 0;
    for (u32 k = 0; k < m->nfiles && count < room; k++) {
        s64 r = fd_install(file_get(m->files[k]), m->flags & MSG_CMSG_CLOEXEC, 0);
        if (r < 0)
            break;
        fd[count++] = r;
    }
    if (count < m->nfiles)
        m->out_flags |= MSG_CTRUNC;
    if (count && !control_put(n, at, SCM_RIGHTS, fd, count * 4))
        m->out_flags |= MSG_CTRUNC;
}

static s64 receive_one(struct handle *h, u64 hdr, u64 flags)
{
    struct msghdr_native n;
    struct vector x;
    struct address from = {.len = 0};
    struct message m = {.flags = flags, .name = &from};
    if (copy_in(&n, hdr, sizeof n))
        return -EFAULT;
    s64 r = n.iovlen > IOV_MAX ? -EMSGSIZE : iov_in(&x.v, x.small, n.iov, n.iovlen);
    if (r < 0)
        return r;
    m.v = x.v, m.nv = n.iovlen, m.len = r;
    r = sock_receive(h->s, &m, blocking(h, flags));
    iov_done(x.v, x.small);
    if (r >= 0) {
        u64 at = 0;
        if (h->s->options >> SO_PASSCRED & 1 && m.has_creds && !control_put(&n, &at, SCM_CREDENTIALS, &m.creds, 12))
            m.out_flags |= MSG_CTRUNC;
        if (m.nfiles)
            rights_out(&n, &at, &m);
        if (n.name && copy_out(n.name, &from.family, MIN(from.len, n.namelen)))
            r = -EFAULT;
        n.namelen = from.len;
        n.controllen = n.control ? at : 0;
        n.flags = m.out_flags | (flags & MSG_CMSG_CLOEXEC);
        if (copy_out(hdr + 8, &n.namelen, 4) || copy_out(hdr + 40, &n.controllen, 8) || copy_out(hdr + 48, &n.flags, 4))
            r = -EFAULT;
    }
    files_drop(&m);
    return r;
}

CALL(sendmsg)
{
    struct handle h;
    UNUSED;
    s64 r = open(&h, a);
    return r ? r : done(&h, send_one(&h, b, c));
}

CALL(recvmsg)
{
    struct handle h;
    UNUSED;
    s64 r = open(&h, a);
    return r ? r : done(&h, receive_one(&h, b, c));
}

enum { MMSG_SIZE = 64, MMSG_LEN = 56, MMSG_MAX = 1024 };

CALL(sendmmsg)
{
    struct handle h;
    UNUSED;
    s64 r = open(&h, a);
    if (r)
        return r;
    u32 n = 0, count = MIN((u32)c, (u32)MMSG_MAX);
    for (; n < count; n++) {
        r = send_one(&h, b + n * MMSG_SIZE, d);
        u32 len = r;
        if (r < 0 || (r = copy_out(b + n * MMSG_SIZE + MMSG_LEN, &len, 4)))
            break;
    }
    return done(&h, n ? n : r);
}

CALL(recvmmsg)
{
    struct handle h;
    struct timespec_native ts;
    UNUSED;
    if (e && copy_in(&ts, e, sizeof ts))
        return -EFAULT;
    s64 r = open(&h, a);
    if (r)
        return r;
    u64 end = e ? clock_mono_ns() + ts.sec * 1000000000ul + ts.nsec : 0;
    u32 n = 0, count = MIN((u32)c, (u32)MMSG_MAX);
    for (; n < count; n++) {
        r = receive_one(&h, b + n * MMSG_SIZE, n && d & MSG_WAITFORONE ? d | MSG_DONTWAIT : d);
        u32 len = r;
        if (r < 0 || (r = copy_out(b + n * MMSG_SIZE + MMSG_LEN, &len, 4)))
            break;
        if (end && clock_mono_ns() >= end) {
            n++;
            break;
        }
    }
    return done(&h, n ? n : r);
}
