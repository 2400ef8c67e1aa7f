// read(2), write(2) and their relatives.
#include "linux/fs.h"

// A program's descriptor that may be read (or written): NULL and the error otherwise.
static struct file *rw_file(u64 fd, u32 may, bool *owned, s64 *err)
{
    struct file *f = fd_borrow(fd, owned);
    if (!f || !(f->mode & may)) {
        if (f)
            fd_return(f, *owned);
        *err = -EBADF;
        return NULL;
    }
    return f;
}

// The position is shared by everybody who has the description; nobody else has when it is not owned here.
static inline bool pos_take(struct file *f, bool owned)
{
    if (!(f->mode & FILE_SEEKS) || (!owned && f->refs == 1))
        return false;
    lock_take(&f->lock);
    return true;
}

s64 sys_read(u64 fd, u64 buf, u64 len, u64 d, u64 e, u64 ff)
{
    bool owned;
    s64 r;
    (void)d, (void)e, (void)ff;
    struct file *f = rw_file(fd, MAY_READ, &owned, &r);
    if (!f)
        return r;
    bool locked = pos_take(f, owned);
    r = f->ops->read ? f->ops->read(f, buf, MIN(len, RW_MAX), &f->pos) : -EINVAL;
    if (locked)
        lock_drop(&f->lock);
    fd_return(f, owned);
    return r;
}

s64 sys_write(u64 fd, u64 buf, u64 len, u64 d, u64 e, u64 ff)
{
    bool owned;
    s64 r;
    (void)d, (void)e, (void)ff;
    struct file *f = rw_file(fd, MAY_WRITE, &owned, &r);
    if (!f)
        return r;
    bool locked = pos_take(f, owned);
    r = f->ops->write ? f->ops->write(f, buf, MIN(len, RW_MAX), &f->pos) : -EINVAL;
    if (locked)
        lock_drop(&f->lock);
    fd_return(f, owned);
    return r;
}

static s64 positioned(u64 fd, u64 buf, u64 len, s64 off, u32 may)
{
    bool owned;
    s64 r;
    if (off < 0)
        return -EINVAL;
    struct file *f = rw_file(fd, may, &owned, &r);
    if (!f)
        return r;
    u64 pos = off;
    if (!(f->mode & FILE_SEEKS))
        r = -ESPIPE;
    else if (may == MAY_READ)
        r = f->ops->read ? f->ops->read(f, buf, MIN(len, RW_MAX), &pos) : -EINVAL;
    else
        r = f->ops->write ? f->ops->write(f, buf, MIN(len, RW_MAX), &pos) : -EINVAL;
    fd_return(f, owned);
    return r;
}

s64 sys_pread64(u64 fd, u64 buf, u64 len, u64 off, u64 e, u64 ff)
{
    (void)e, (void)ff;
    return positioned(fd, buf, len, off, MAY_READ);
}

s64 sys_pwrite64(u64 fd, u64 buf, u64 len, u64 off, u64 e, u64 ff)
{
    (void)e, (void)ff;
    return positioned(fd, buf, len, off, MAY_WRITE);
}

s64 iov_in(struct iovec_native **v, struct iovec_native *small, u64 from, u64 count)
{
    *v = small;
    if (count > IOV_MAX)
        return -EINVAL;
    if (count > IOV_SMALL && !(*v = heap_alloc(count * sizeof **v)))
        return -ENOMEM;
    s64 r = count ? copy_in(*v, from, count * sizeof **v) : 0;
    u64 total = 0;
    for (u64 n = 0; !r && n < count; n++) {
        if ((s64)(*v)[n].len < 0)
            r = -EINVAL;
        (*v)[n].len = MIN((*v)[n].len, RW_MAX - total);
        total += (*v)[n].len;
    }
    if (r)
        iov_done(*v, small);
    return r ? r : (s64)total;
}

// Pieces one after another until one comes out short. Streams keep their messages whole (`one`): a
// datagram is one transfer, which sockets do themselves through ops->rw_vector.
static s64 vector(struct file *f, const struct iovec_native *v, u64 count, u64 *pos, u32 may)
{
    s64 done = 0;
    for (u64 n = 0; n < count; n++) {
        if (!v[n].len)
            continue;
        s64 r = may == MAY_READ ? f->ops->read(f, v[n].base, v[n].len, pos) : f->ops->write(f, v[n].base, v[n].len, pos);
        if (r < 0)
            return done ? done : r;
        done += r;
        if ((u64)r < v[n].len)
            break;
    }
    return done;
}

// Small pieces to a pipe must not be mixed with others': gathered first.
static s64 gather_write(struct file *f, const struct iovec_native *v, u64 count, u64 total)
{
    char bytes[512], *all = total <= sizeof bytes ? bytes : heap_alloc(total);
    u64 at = 0;
    s64 r = all ? 0 : -ENOMEM;
    for (u64 n = 0; !r && n < count; at += v[n++].len)
        r = copy_in(all + at, v[n].base, v[n].len);
    if (!r)
        r = pipe_write(f->priv, (u64)all, total, !(f->flags & O_NONBLOCK), true);
    if (all != bytes)
        heap_free(all);
    return r;
}

enum { GATHER_MAX = 4096 }; // PIPE_BUF: longer writes may be divided

static s64 vectored(u64 fd, u64 iov, u64 count, u64 *at, u32 may, u64 flags)
{
    struct iovec_native small[IOV_SMALL], *v;
    bool owned;
    s64 r;
    struct file *f = rw_file(fd, may, &owned, &r);
    if (!f)
        return r;
    s64 total = iov_in(&v, small, iov, count);
    if (total < 0) {
        fd_return(f, owned);
        return total;
    }
    bool locked = !at && pos_take(f, owned);
    if (at && !(f->mode & FILE_SEEKS))
        r = -ESPIPE;
    else if (flags & ~0x1ful) // RWF_*: hints, all of which hold anyway in memory
        r = -EOPNOTSUPP;
    else if (f->ops->vector && count != 1)
        r = f->ops->vector(f, v, count, may == MAY_WRITE);
    else if (may == MAY_READ ? !f->ops->read : !f->ops->write)
        r = -EINVAL;
    else if (may == MAY_WRITE && count > 1 && total <= GATHER_MAX && pipe_of(f))
        r = total ? gather_write(f, v, count, total) : 0;
    else
        r = vector(f, v, count, at ? at : &f->pos, may);
    if (locked)
        lock_drop(&f->lock);
    iov_done(v, small);
    fd_return(f, owned);
    return r;
}

s64 sys_readv(u64 fd, u64 iov, u64 count, u64 d, u64 e, u64 f)
{
    (void)d, (void)e, (void)f;
    return vectored(fd, iov, count, NULL, MAY_READ, 0);
}

s64 sys_writev(u64 fd, u64 iov, u64 count, u64 d, u64 e, u64 f)
{
    (void)d, (void)e, (void)f;
    return vectored(fd, iov, count, NULL, MAY_WRITE, 0);
}

s64 sys_preadv(u64 fd, u64 iov, u64 count, u64 off, u64 e, u64 f)
{
    (void)e, (void)f;
    return (s64)off < 0 ? -EINVAL : vectored(fd, iov, count, &off, MAY_READ, 0);
}

s64 sys_pwritev(u64 fd, u64 iov, u64 count, u64 off, u64 e, u64 f)
{
    (void)e, (void)f;
    return (s64)off < 0 ? -EINVAL : vectored(fd, iov, count, &off, MAY_WRITE, 0);
}

// The offset is the whole of the fourth argument on 64-bit machines; -1 means the file's position.
s64 sys_preadv2(u64 fd, u64 iov, u64 count, u64 off, u64 e, u64 flags)
{
    (void)e;
    if ((s64)off < -1)
        return -EINVAL;
    return vectored(fd, iov, count, off == -1ul ? NULL : &off, MAY_READ, flags);
}

s64 sys_pwritev2(u64 fd, u64 iov, u64 count, u64 off, u64 e, u64 flags)
{
    (void)e;
    if ((s64)off < -1)
        return -EINVAL;
    return vectored(fd, iov, count, off == -1ul ? NULL : &off, MAY_WRITE, flags);
}

s64 sys_lseek(u64 fd, u64 off, u64 whence, u64 d, u64 e, u64 ff)
{
    bool owned;
    (void)d, (void)e, (void)ff;
    struct file *f = fd_borrow(fd, &owned);
    if (!f)
        return -EBADF;
    s64 r = f->flags & O_PATH ? -EBADF : -ESPIPE;
    if (f->ops->seek) {
        lock_take(&f->lock);
        r = f->ops->seek(f, off, (int)whence);
        lock_drop(&f->lock);
    }
    fd_return(f, owned);
    return r;
}
