// dup(2), fcntl(2), ioctl(2).
#include "linux/fs.h"
#include "fs/locks.h"

s64 sys_dup(u64 fd, u64 b, u64 c, u64 d, u64 e, u64 ff)
{
    (void)b, (void)c, (void)d, (void)e, (void)ff;
    struct file *f = fd_file(fd);
    return f ? fd_install(f, 0, 0) : -EBADF;
}

s64 sys_dup2(u64 from, u64 to, u64 c, u64 d, u64 e, u64 ff)
{
    (void)c, (void)d, (void)e, (void)ff;
    struct file *f = fd_file(from);
    if (!f)
        return -EBADF;
    if ((u32)from == (u32)to) {
        file_put(f);
        return to;
    }
    return fd_replace(to, f, false);
}

s64 sys_dup3(u64 from, u64 to, u64 flags, u64 d, u64 e, u64 ff)
{
    (void)d, (void)e, (void)ff;
    if ((u32)from == (u32)to || (flags & ~(u64)O_CLOEXEC))
        return -EINVAL;
    struct file *f = fd_file(from);
    return f ? fd_replace(to, f, flags & O_CLOEXEC) : -EBADF;
}

static s64 dup_from(struct file *f, u64 from, bool cloexec)
{
    if (from >= MIN(proc_self()->rlim[RLIMIT_NOFILE_].cur, FILES_MAX))
        return -EINVAL;
    return fd_install(file_get(f), cloexec, from);
}

enum { SETTABLE = O_APPEND | O_NONBLOCK | O_ASYNC | O_DIRECT | O_NOATIME };

static s64 flags_set(struct file *f, u32 flags)
{
    if (f->inode && (f->inode->seals & F_SEAL_WRITE) && !(flags & O_APPEND) && (f->flags & O_APPEND))
        return -EPERM;
    if ((flags & O_NOATIME) && !(f->flags & O_NOATIME) && f->inode && !inode_owner(f->inode))
        return -EPERM;
    lock_take(&f->lock);
    f->flags = (f->flags & ~SETTABLE) | (flags & SETTABLE);
    lock_drop(&f->lock);
    return 0;
}

static s64 owner_ex(struct file *f, u64 cmd, u64 arg)
{
    struct { s32 type, pid; } o = {f->owner_type, f->owner};
    if (cmd == F_GETOWN_EX)
        return copy_out(arg, &o, sizeof o);
    s64 r = copy_in(&o, arg, sizeof o);
    if (!r && (u32)o.type > 2)
        r = -EINVAL;
    if (!r)
        f->owner_type = o.type, f->owner = o.pid;
    return r;
}

static s64 owner_set(struct file *f, s32 who)
{
    if (who == (s32)0x80000000)
        return -EINVAL;
    f->owner_type = who < 0 ? 2 : 1; // a group, a process
    f->owner = who < 0 ? -who : who;
    return 0;
}

static s64 seals_change(struct file *f, u64 cmd, u32 seals)
{
    struct inode *i = f->inode;
    if (!i || !(i->flags & INODE_SEALABLE))
        return -EINVAL;
    if (cmd == F_GET_SEALS)
        return i->seals;
    if (!file_writable(f) || (i->seals & F_SEAL_SEAL))
        return -EPERM;
    if (seals & ~31u)
        return -EINVAL;
    if ((seals & F_SEAL_WRITE) && (i->flags & INODE_COPYUP) && !(i->seals & F_SEAL_WRITE))
        return -EBUSY; // a shared mapping may be writing
    lock_take(&i->lock);
    i->seals |= seals;
    lock_drop(&i->lock);
    return 0;
}

static s64 pipe_size(struct file *f, u64 cmd, u64 arg)
{
    struct pipe *p = pipe_of(f);
    if (!p)
        return -EBADF;
    return cmd == F_GETPIPE_SZ ? (s64)(p->pages * PAGE) : arg > 1ul << 31 ? -EINVAL : pipe_resize(p, arg);
}

static s64 file_control(struct file *f, u64 fd, u32 cmd, u64 arg)
{
    switch (cmd) {
    case F_DUPFD: return dup_from(f, arg, false);
    case F_DUPFD_CLOEXEC: return dup_from(f, arg, true);
    case F_GETFD: return fd_cloexec(fd, -1);
    case F_SETFD: return fd_cloexec(fd, arg & 1);
    case F_GETFL: return f->flags;
    }
    if (f->flags & O_PATH)
        return -EBADF;
    switch (cmd) {
    case F_SETFL: return flags_set(f, arg);
    case F_GETLK: case F_OFD_GETLK: return lock_query(f, cmd, arg);
    case F_SETLK: case F_SETLKW: case F_OFD_SETLK: case F_OFD_SETLKW: return lock_range(f, cmd, arg);
    case F_SETOWN: return owner_set(f, arg);
    case F_GETOWN: return f->owner_type == 2 ? -f->owner : f->owner;
    case F_SETOWN_EX: case F_GETOWN_EX: return owner_ex(f, cmd, arg);
    case F_SETSIG:
        if (arg > 64)
            return -EINVAL;
        f->signal = arg;
        return 0;
    case F_GETSIG: return f->signal;
    case F_GETLEASE: return F_UNLCK;
    case F_SETPIPE_SZ: case F_GETPIPE_SZ: return pipe_size(f, cmd, arg);
    case F_ADD_SEALS: case F_GET_SEALS: return seals_change(f, cmd, arg);
    default: return -EINVAL;
    }
}

s64 sys_fcntl(u64 fd, u64 cmd, u64 arg, u64 d, u64 e, u64 ff)
{
    bool owned;
    (void)d, (void)e, (void)ff;
    struct file *f = fd_borrow(fd, &owned);
    if (!f)
        return -EBADF;
    s64 r = file_control(f, fd, cmd, arg);
    fd_return(f, owned);
    return r;
}

s64 sys_flock(u64 fd, u64 op, u64 c, u64 d, u64 e, u64 ff)
{
    bool owned;
    (void)c, (void)d, (void)e, (void)ff;
    struct file *f = fd_borrow(fd, &owned);
    if (!f)
        return -EBADF;
    s64 r = f->flags & O_PATH || !f->inode ? -EBADF : lock_whole(f, op);
    fd_return(f, owned);
    return r;
}

enum { FIONCLEX = 0x5450, FIOCLEX = 0x5451, FIONBIO = 0x5421, FIOASYNC = 0x5452, FIOQSIZE = 0x5460,
       FIONREAD = 0x541b, FICLONE = 0x40049409 };

static s64 ioctl_any(struct file *f, u64 fd, u32 cmd, u64 arg)
{
    s32 v;
    s64 r;
    switch (cmd) {
    case FIOCLEX: return fd_cloexec(fd, 1);
    case FIONCLEX: return fd_cloexec(fd, 0);
    case FIONBIO: case FIOASYNC:
        r = copy_in(&v, arg, sizeof v);
        if (!r) {
            u32 bit = cmd == FIONBIO ? O_NONBLOCK : O_ASYNC;
            lock_take(&f->lock);
            f->flags = v ? f->flags | bit : f->flags & ~bit;
            lock_drop(&f->lock);
        }
        return r;
    case FIONREAD:
        if (!f->inode || !S_ISREG(f->inode->mode))
            break;
        v = f->inode->size - f->pos;
        return copy_out(arg, &v, sizeof v);
    case FICLONE: return -EOPNOTSUPP;
    }
    return f->ops->ioctl ? f->ops->ioctl(f, cmd, arg) : -ENOTTY;
}

s64 sys_ioctl(u64 fd, u64 cmd, u64 arg, u64 d, u64 e, u64 ff)
{
    bool owned;
    (void)d, (void)e, (void)ff;
    struct file *f = fd_borrow(fd, &owned);
    if (!f)
        return -EBADF;
    s64 r = f->flags & O_PATH ? -EBADF : ioctl_any(f, fd, cmd, arg);
    fd_return(f, owned);
    return r;
}
