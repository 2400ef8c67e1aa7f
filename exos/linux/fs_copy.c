// Between two descriptors: sendfile(2), copy_file_range(2), splice(2), tee(2), vmsplice(2). Bytes go
// through a few pages of the library; nothing crosses into program memory.
#include "linux/fs.h"
#include "net/sock.h"

enum { CHUNK_PAGES = 16 };

struct ends {
    struct file *in, *out;
    bool in_owned, out_owned;
};

static s64 ends_open(struct ends *e, u64 in, u64 out)
{
    e->in = fd_borrow(in, &e->in_owned);
    e->out = fd_borrow(out, &e->out_owned);
    if (e->in && e->out && (e->in->mode & MAY_READ) && (e->out->mode & MAY_WRITE) && e->in->ops->read && e->out->ops->write)
        return 0;
    s64 r = !e->in || !e->out || !(e->in->mode & MAY_READ) || !(e->out->mode & MAY_WRITE) ? -EBADF : -EINVAL;
    if (e->in)
        fd_return(e->in, e->in_owned);
    if (e->out)
        fd_return(e->out, e->out_owned);
    return r;
}

static void ends_close(struct ends *e)
{
    fd_return(e->in, e->in_owned);
    fd_return(e->out, e->out_owned);
}

// What cannot go out is given back to a source that has a position; others are read only as much as is
// taken at once.
static s64 pump(struct file *in, u64 *in_pos, struct file *out, u64 *out_pos, u64 len)
{
    struct thread *t = thread_self();
    struct sock *s = in->ops == &regular_ops ? sock_of(out) : NULL;
    u64 done = 0;
    s64 r = 0;
    if (s && s->tcp) { // straight from the file cache; a hole, or the end, below
        r = remote_sendfile(s, in, in_pos, len, !(out->flags & O_NONBLOCK));
        if (r)
            return r == -EPIPE ? sock_broken() : r;
    }
    char *buf = heap_alloc_raw(MIN(CHUNK_PAGES * PAGE, len));
    if (!buf)
        return -ENOMEM;
    t->arena_io = true;
    while (done < len) {
        u64 before = *in_pos;
        r = in->ops->read(in, (u64)buf, MIN(len - done, CHUNK_PAGES * PAGE), in_pos);
        if (r <= 0)
            break;
        u64 got = r, put = 0;
        while (put < got) {
            r = out->ops->write(out, (u64)buf + put, got - put, out_pos);
            if (r <= 0)
                break;
            put += r;
        }
        done += put;
        if (put < got) {
            *in_pos = before + put;
            break;
        }
        if (!(in->mode & FILE_SEEKS)) // a pipe or socket: what there is now
            break;
    }
    t->arena_io = false;
    heap_free(buf);
    return done ? (s64)done : r;
}

static s64 offset_in(u64 from, u64 *pos)
{
    s64 off;
    if (copy_in(&off, from, 8))
        return -EFAULT;
    if (off < 0)
        return -EINVAL;
    *pos = off;
    return 0;
}

s64 sys_sendfile(u64 out, u64 in, u64 offset, u64 len, u64 e, u64 f)
{
    struct ends x;
    u64 pos = 0;
    (void)e, (void)f;
    s64 r = offset ? offset_in(offset, &pos) : 0;
    if (!r)
        r = ends_open(&x, in, out);
    if (r)
        return r;
    if (!(x.in->mode & FILE_SEEKS) || (x.out->flags & O_APPEND))
        r = !(x.in->mode & FILE_SEEKS) && offset ? -ESPIPE : -EINVAL;
    else
        r = pump(x.in, offset ? &pos : &x.in->pos, x.out, &x.out->pos, MIN(len, RW_MAX));
    ends_close(&x);
    if (offset && r >= 0 && copy_out(offset, &pos, 8))
        return -EFAULT;
    return r;
}

s64 sys_copy_file_range(u64 in, u64 in_off, u64 out, u64 out_off, u64 len, u64 flags)
{
    struct ends x;
    u64 from = 0, to = 0;
    if (flags)
        return -EINVAL;
    s64 r = in_off ? offset_in(in_off, &from) : 0;
    if (!r && out_off)
        r = offset_in(out_off, &to);
    if (!r)
        r = ends_open(&x, in, out);
    if (r)
        return r;
    u64 *src = in_off ? &from : &x.in->pos, *dst = out_off ? &to : &x.out->pos;
    struct inode *a = x.in->inode, *b = x.out->inode;
    len = MIN(len, RW_MAX);
    if (S_ISDIR(a->mode) || S_ISDIR(b->mode))
        r = -EISDIR;
    else if (x.in->ops != &regular_ops || x.out->ops != &regular_ops)
        r = -EINVAL;
    else if (x.out->flags & O_APPEND)
        r = -EBADF;
    else if (a == b && *src < *dst + len && *dst < *src + len)
        r = -EINVAL;
    else
        r = pump(x.in, src, x.out, dst, len);
    ends_close(&x);
    if (r > 0 && ((in_off && copy_out(in_off, &from, 8)) || (out_off && copy_out(out_off, &to, 8))))
        return -EFAULT;
    return r;
}

enum { SPLICE_F_NONBLOCK = 2, SPLICE_FLAGS = 15 };

s64 sys_splice(u64 in, u64 in_off, u64 out, u64 out_off, u64 len, u64 flags)
{
    struct ends x;
    u64 from = 0, to = 0;
    if (!len)
        return 0;
    if (flags & ~(u64)SPLICE_FLAGS)
        return -EINVAL;
    s64 r = in_off ? offset_in(in_off, &from) : 0;
    if (!r && out_off)
        r = offset_in(out_off, &to);
    if (!r)
        r = ends_open(&x, in, out);
    if (r)
        return r;
    struct pipe *pin = pipe_of(x.in), *pout = pipe_of(x.out);
    if ((!pin && !pout) || (pin && pin == pout) || (!pin && !x.in->ops->read))
        r = -EINVAL;
    else if ((pin && in_off) || (pout && out_off))
        r = -ESPIPE;
    else if (pin && (flags & SPLICE_F_NONBLOCK) && pin->wpos == pin->rpos && pin->writers)
        r = -EAGAIN;
    else if (pout && (flags & SPLICE_F_NONBLOCK) && pout->wpos - pout->rpos >= pout->pages * PAGE)
        r = -EAGAIN;
    else if (len)
        r = pump(x.in, in_off ? &from : &x.in->pos, x.out, out_off ? &to : &x.out->pos,
                 MIN(len, pout ? pout->pages * PAGE : RW_MAX));
    ends_close(&x);
    if (r > 0 && ((in_off && copy_out(in_off, &from, 8)) || (out_off && copy_out(out_off, &to, 8))))
        return -EFAULT;
    return r;
}

s64 sys_tee(u64 in, u64 out, u64 len, u64 flags, u64 e, u64 f)
{
    struct ends x;
    (void)e, (void)f;
    if (!len && !(flags & ~(u64)SPLICE_FLAGS))
        return 0;
    s64 r = flags & ~(u64)SPLICE_FLAGS ? -EINVAL : ends_open(&x, in, out);
    if (r)
        return r;
    struct pipe *a = pipe_of(x.in), *b = pipe_of(x.out);
    char *buf = a && b && a != b ? heap_alloc(CHUNK_PAGES * PAGE) : NULL;
    r = !a || !b || a == b ? -EINVAL : !buf ? -ENOMEM : 0;
    if (!r) {
        lock_take(&a->lock);
        if (a->wpos == a->rpos && a->writers && !((flags & SPLICE_F_NONBLOCK) || (x.in->flags & O_NONBLOCK)))
            r = waitq_until(&a->rd, &a->lock, a->wpos != a->rpos || !a->writers, 0, true) ? -ERESTARTSYS : 0;
        if (!r)
            r = pipe_take(a, (u64)buf, MIN(len, CHUNK_PAGES * PAGE), true, true);
        if (!r && a->writers)
            r = -EAGAIN;
        lock_drop(&a->lock);
    }
    if (r > 0)
        r = pipe_write(b, (u64)buf, r, !((flags & SPLICE_F_NONBLOCK) || (x.out->flags & O_NONBLOCK)), true);
    heap_free(buf);
    ends_close(&x);
    return r;
}

s64 sys_vmsplice(u64 fd, u64 iov, u64 count, u64 flags, u64 e, u64 ff)
{
    bool owned;
    (void)e, (void)ff;
    if (flags & ~(u64)SPLICE_FLAGS)
        return -EINVAL;
    struct file *f = fd_borrow(fd, &owned);
    if (!f)
        return -EBADF;
    bool pipe = pipe_of(f), write = f->mode & MAY_WRITE;
    fd_return(f, owned);
    return !pipe ? -EBADF : write ? sys_writev(fd, iov, count, 0, 0, 0) : sys_readv(fd, iov, count, 0, 0, 0);
}
