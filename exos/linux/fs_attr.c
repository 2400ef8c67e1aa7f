// Calls that change what an inode says of itself: chmod(2), chown(2), utimensat(2), truncate(2).
#include "linux/fs.h"

static s64 attr_allowed(struct mount *m, struct inode *i)
{
    return m && (m->flags & MS_RDONLY) ? -EROFS : inode_owner(i) ? 0 : -EPERM;
}

static void changed(struct inode *i)
{
    i->ctime = clock_real_ns();
    if (i->flags & INODE_WATCHED)
        notify_event(i, IN_ATTRIB | (S_ISDIR(i->mode) ? IN_ISDIR : 0), 0, NULL);
}

static s64 mode_set(struct mount *m, struct inode *i, u32 mode)
{
    s64 r = attr_allowed(m, i);
    if (r)
        return r;
    if (S_ISLNK(i->mode))
        return -EOPNOTSUPP;
    if (i->sb->flags & SUPER_SYNTHETIC)
        return -EPERM;
    if (proc_self()->fsuid && !in_group(i->gid))
        mode &= ~S_ISGID;
    i->mode = (i->mode & S_IFMT) | (mode & 07777);
    ns_generation++; // what a cached walk passed may have become closed
    changed(i);
    return 0;
}

static s64 owner_set(struct mount *m, struct inode *i, u32 uid, u32 gid)
{
    bool same_uid = uid == ~0u || uid == i->uid, same_gid = gid == ~0u || gid == i->gid;
    if (m && (m->flags & MS_RDONLY))
        return -EROFS;
    if (i->sb->flags & SUPER_SYNTHETIC)
        return -EPERM;
    if (proc_self()->fsuid && !(inode_owner(i) && same_uid && (same_gid || in_group(gid))))
        return -EPERM;
    if (uid != ~0u)
        i->uid = uid;
    if (gid != ~0u)
        i->gid = gid;
    if (!S_ISDIR(i->mode))
        i->mode &= i->mode & 010 ? ~(S_ISUID | S_ISGID) : ~S_ISUID;
    ns_generation++;
    changed(i);
    return 0;
}

// A path or, for an empty one with AT_EMPTY_PATH, a descriptor.
static s64 at_arg(u64 dirfd, u64 name, u32 flags, struct path *p)
{
    return path_arg(dirfd, name, (flags & AT_SYMLINK_NOFOLLOW ? 0 : WALK_FOLLOW) | (flags & AT_EMPTY_PATH ? WALK_EMPTY : 0), p);
}

static s64 chmod_at(u64 dirfd, u64 name, u64 mode, u64 flags)
{
    struct path p;
    if (flags & ~(u64)(AT_SYMLINK_NOFOLLOW | AT_EMPTY_PATH))
        return -EINVAL;
    s64 r = at_arg(dirfd, name, flags, &p);
    if (r)
        return r;
    r = mode_set(p.mnt, p.d->inode, mode);
    path_put(&p);
    return r;
}

s64 sys_chmod(u64 name, u64 mode, u64 c, u64 d, u64 e, u64 f)
{
    (void)c, (void)d, (void)e, (void)f;
    return chmod_at(AT_FDCWD, name, mode, 0);
}

s64 sys_fchmodat(u64 dirfd, u64 name, u64 mode, u64 d, u64 e, u64 f)
{
    (void)d, (void)e, (void)f;
    return chmod_at(dirfd, name, mode, 0);
}

s64 sys_fchmodat2(u64 dirfd, u64 name, u64 mode, u64 flags, u64 e, u64 f)
{
    (void)e, (void)f;
    return chmod_at(dirfd, name, mode, flags);
}

s64 sys_fchmod(u64 fd, u64 mode, u64 c, u64 d, u64 e, u64 ff)
{
    bool owned;
    (void)c, (void)d, (void)e, (void)ff;
    struct file *f = fd_borrow(fd, &owned);
    if (!f)
        return -EBADF;
    s64 r = f->flags & O_PATH ? -EBADF : f->inode ? mode_set(f->mnt, f->inode, mode) : -EINVAL;
    fd_return(f, owned);
    return r;
}

static s64 chown_at(u64 dirfd, u64 name, u64 uid, u64 gid, u64 flags)
{
    struct path p;
    if (flags & ~(u64)(AT_SYMLINK_NOFOLLOW | AT_EMPTY_PATH))
        return -EINVAL;
    s64 r = at_arg(dirfd, name, flags, &p);
    if (r)
        return r;
    r = owner_set(p.mnt, p.d->inode, uid, gid);
    path_put(&p);
    return r;
}

s64 sys_chown(u64 name, u64 uid, u64 gid, u64 d, u64 e, u64 f)
{
    (void)d, (void)e, (void)f;
    return chown_at(AT_FDCWD, name, uid, gid, 0);
}

s64 sys_lchown(u64 name, u64 uid, u64 gid, u64 d, u64 e, u64 f)
{
    (void)d, (void)e, (void)f;
    return chown_at(AT_FDCWD, name, uid, gid, AT_SYMLINK_NOFOLLOW);
}

s64 sys_fchownat(u64 dirfd, u64 name, u64 uid, u64 gid, u64 flags, u64 f)
{
    (void)f;
    return chown_at(dirfd, name, uid, gid, flags);
}

s64 sys_fchown(u64 fd, u64 uid, u64 gid, u64 d, u64 e, u64 ff)
{
    bool owned;
    (void)d, (void)e, (void)ff;
    struct file *f = fd_borrow(fd, &owned);
    if (!f)
        return -EBADF;
    s64 r = f->flags & O_PATH ? -EBADF : f->inode ? owner_set(f->mnt, f->inode, uid, gid) : -EINVAL;
    fd_return(f, owned);
    return r;
}

enum { UTIME_NOW = (1 << 30) - 1, UTIME_OMIT = (1 << 30) - 2 };
#define NS 1000000000l

// ts NULL: both now. Whoever may write may say "now"; only the owner may say when.
static s64 times_set(struct mount *m, struct inode *i, const struct timespec_native *ts)
{
    bool now = !ts || (ts[0].nsec == UTIME_NOW && ts[1].nsec == UTIME_NOW);
    if (ts && ts[0].nsec == UTIME_OMIT && ts[1].nsec == UTIME_OMIT)
        return 0;
    if (m && (m->flags & MS_RDONLY))
        return -EROFS;
    if (!inode_owner(i)) {
        s64 r = now ? inode_permission(i, MAY_WRITE) : -EPERM;
        if (r)
            return r;
    }
    u64 t = clock_real_ns(), *field[2] = {&i->atime, &i->mtime};
    for (int n = 0; n < 2; n++)
        if (now || ts[n].nsec == UTIME_NOW)
            *field[n] = t;
        else if (ts[n].nsec != UTIME_OMIT)
            *field[n] = ts[n].sec < 0 ? 0 : (u64)ts[n].sec * NS + ts[n].nsec; // times start in 1970 here
    changed(i);
    return 0;
}

static s64 times_at(s64 dirfd, u64 name, const struct timespec_native *ts, u32 flags)
{
    struct path p;
    bool owned;
    if (!name && dirfd != AT_FDCWD) {
        struct file *f = fd_borrow(dirfd, &owned);
        if (!f)
            return -EBADF;
        s64 r = f->flags & O_PATH ? -EBADF : f->inode ? times_set(f->mnt, f->inode, ts) : -EINVAL;
        fd_return(f, owned);
        return r;
    }
    s64 r = at_arg(dirfd, name, flags, &p);
    if (r)
        return r;
    r = times_set(p.mnt, p.d->inode, ts);
    path_put(&p);
    return r;
}

s64 sys_utimensat(u64 dirfd, u64 name, u64 times, u64 flags, u64 e, u64 f)
{
    struct timespec_native ts[2];
    (void)e, (void)f;
    if (flags & ~(u64)(AT_SYMLINK_NOFOLLOW | AT_EMPTY_PATH))
        return -EINVAL;
    if (times && copy_in(ts, times, sizeof ts))
        return -EFAULT;
    for (int n = 0; times && n < 2; n++)
        if ((u64)ts[n].nsec >= (u64)NS && ts[n].nsec != UTIME_NOW && ts[n].nsec != UTIME_OMIT)
            return -EINVAL;
    return times_at((s32)dirfd, name, times ? ts : NULL, flags);
}

static s64 times_us(s64 dirfd, u64 name, u64 times)
{
    struct timespec_native ts[2];
    if (times && copy_in(ts, times, sizeof ts))
        return -EFAULT;
    for (int n = 0; times && n < 2; n++) {
        if ((u64)ts[n].nsec >= 1000000)
            return -EINVAL;
        ts[n].nsec *= 1000;
    }
    return times_at(dirfd, name, times ? ts : NULL, 0);
}

s64 sys_utimes(u64 name, u64 times, u64 c, u64 d, u64 e, u64 f)
{
    (void)c, (void)d, (void)e, (void)f;
    return times_us(AT_FDCWD, name, times);
}

s64 sys_futimesat(u64 dirfd, u64 name, u64 times, u64 d, u64 e, u64 f)
{
    (void)d, (void)e, (void)f;
    return times_us((s32)dirfd, name, times);
}

s64 sys_utime(u64 name, u64 times, u64 c, u64 d, u64 e, u64 f)
{
    s64 t[2] = {0, 0};
    (void)c, (void)d, (void)e, (void)f;
    if (times && copy_in(t, times, sizeof t))
        return -EFAULT;
    struct timespec_native ts[2] = {{t[0], 0}, {t[1], 0}};
    return times_at(AT_FDCWD, name, times ? ts : NULL, 0);
}

enum { SIGXFSZ = 25 };

static s64 size_set(struct inode *i, s64 size)
{
    if (size < 0)
        return -EINVAL;
    if ((u64)size > proc_self()->rlim[RLIMIT_FSIZE_].cur) {
        signal_thread(thread_self(), SIGXFSZ, NULL);
        return -EFBIG;
    }
    return inode_truncate(i, size);
}

s64 sys_truncate(u64 name, u64 size, u64 c, u64 d, u64 e, u64 f)
{
    struct path p;
    (void)c, (void)d, (void)e, (void)f;
    if ((s64)size < 0)
        return -EINVAL;
    s64 r = path_arg(AT_FDCWD, name, WALK_FOLLOW, &p);
    if (r)
        return r;
    struct inode *i = p.d->inode;
    r = S_ISDIR(i->mode) ? -EISDIR : !S_ISREG(i->mode) ? -EINVAL : p.mnt->flags & MS_RDONLY ? -EROFS : inode_permission(i, MAY_WRITE);
    if (!r && i->writers < 0)
        r = -ETXTBSY;
    if (!r)
        r = size_set(i, size);
    path_put(&p);
    return r;
}

s64 sys_ftruncate(u64 fd, u64 size, u64 c, u64 d, u64 e, u64 ff)
{
    bool owned;
    (void)c, (void)d, (void)e, (void)ff;
    struct file *f = fd_borrow(fd, &owned);
    if (!f)
        return -EBADF;
    s64 r = f->flags & O_PATH ? -EBADF : f->ops != &regular_ops || !file_writable(f) ? -EINVAL : size_set(f->inode, size);
    fd_return(f, owned);
    return r;
}

s64 sys_fallocate(u64 fd, u64 mode, u64 off, u64 len, u64 e, u64 ff)
{
    bool owned;
    (void)e, (void)ff;
    if ((s64)off < 0 || (s64)len <= 0)
        return -EINVAL;
    struct file *f = fd_borrow(fd, &owned);
    if (!f)
        return -EBADF;
    s64 r = !file_writable(f) ? -EBADF : f->inode && S_ISFIFO(f->inode->mode) ? -ESPIPE
            : f->ops != &regular_ops ? -ENODEV : regular_fallocate(f, mode, off, len);
    fd_return(f, owned);
    return r;
}
