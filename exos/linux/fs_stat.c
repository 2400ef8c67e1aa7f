// stat(2), statx(2), access(2), readlink(2), statfs(2).
#include "linux/fs.h"

s64 path_arg(u64 dirfd, u64 name, u32 walk, struct path *out)
{
    struct name_buf b;
    s64 r = name_in(&b, name);
    if (r)
        return r;
    r = path_lookup((s32)dirfd, b.s, walk, out);
    name_done(&b);
    return r;
}

static s64 stat_fd(u64 fd, struct stat_native *st)
{
    bool owned;
    struct file *f = fd_borrow(fd, &owned);
    if (!f)
        return -EBADF;
    if (f->inode)
        inode_stat(f->inode, st);
    else
        *st = (struct stat_native){.dev = MKDEV(0, 1), .ino = 1, .nlink = 1, .mode = 0600, .blksize = PAGE};
    fd_return(f, owned);
    return 0;
}

static inline s64 stat_path(s64 dirfd, const char *name, u32 walk, struct stat_native *st)
{
    struct path p;
    s64 r = path_peek(dirfd, name, walk, &p);
    if (r < 0)
        return r;
    if (r && !p.d->inode->ops->getattr) {
        inode_stat(p.d->inode, st);
        lock_drop(&ns_lock);
        return 0;
    }
    if (r)
        lock_drop(&ns_lock);
    r = path_lookup(dirfd, name, walk, &p);
    if (r)
        return r;
    inode_stat(p.d->inode, st);
    path_put(&p);
    return 0;
}

static s64 stat_at(s64 dirfd, u64 name, u32 flags, struct stat_native *st)
{
    struct name_buf b;
    if ((flags & AT_EMPTY_PATH) && !name)
        return stat_fd(dirfd, st);
    s64 r = name_in(&b, name);
    if (r)
        return r;
    if (!*b.s && (flags & AT_EMPTY_PATH) && dirfd != AT_FDCWD)
        r = stat_fd(dirfd, st);
    else
        r = stat_path(dirfd, b.s,
                      (flags & AT_SYMLINK_NOFOLLOW ? 0 : WALK_FOLLOW) | (flags & AT_EMPTY_PATH ? WALK_EMPTY : 0), st);
    name_done(&b);
    return r;
}

s64 sys_stat(u64 name, u64 out, u64 c, u64 d, u64 e, u64 f)
{
    struct stat_native st;
    (void)c, (void)d, (void)e, (void)f;
    s64 r = stat_at(AT_FDCWD, name, 0, &st);
    return r ? r : copy_out(out, &st, sizeof st);
}

s64 sys_lstat(u64 name, u64 out, u64 c, u64 d, u64 e, u64 f)
{
    struct stat_native st;
    (void)c, (void)d, (void)e, (void)f;
    s64 r = stat_at(AT_FDCWD, name, AT_SYMLINK_NOFOLLOW, &st);
    return r ? r : copy_out(out, &st, sizeof st);
}

s64 sys_fstat(u64 fd, u64 out, u64 c, u64 d, u64 e, u64 f)
{
    struct stat_native st;
    (void)c, (void)d, (void)e, (void)f;
    s64 r = stat_fd(fd, &st);
    return r ? r : copy_out(out, &st, sizeof st);
}

s64 sys_newfstatat(u64 dirfd, u64 name, u64 out, u64 flags, u64 e, u64 f)
{
    struct stat_native st;
    (void)e, (void)f;
    if (flags & ~(u64)(AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT | AT_EMPTY_PATH))
        return -EINVAL;
    s64 r = stat_at((s32)dirfd, name, flags, &st);
    return r ? r : copy_out(out, &st, sizeof st);
}

struct statx_native {
    u32 mask, blksize;
    u64 attributes;
    u32 nlink, uid, gid;
    u16 mode, pad;
    u64 ino, size, blocks, attributes_mask;
    struct { s64 sec; u32 nsec; s32 pad; } atime, btime, ctime, mtime;
    u32 rdev_major, rdev_minor, dev_major, dev_minor;
    u64 mnt_id, spare[13];
};
_Static_assert(sizeof(struct statx_native) == 256, "statx");
enum { STATX_BASIC_STATS = 0x7ff, STATX_RESERVED = 0x80000000u };

s64 sys_statx(u64 dirfd, u64 name, u64 flags, u64 mask, u64 out, u64 f)
{
    struct stat_native st;
    (void)f;
    if ((mask & STATX_RESERVED) ||
        (flags & ~(u64)(AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT | AT_EMPTY_PATH | AT_STATX_SYNC_TYPE)) ||
        (flags & AT_STATX_SYNC_TYPE) == AT_STATX_SYNC_TYPE)
        return -EINVAL;
    s64 r = stat_at((s32)dirfd, name, flags, &st);
    if (r)
        return r;
    struct statx_native x = {
        .mask = STATX_BASIC_STATS, .blksize = st.blksize, .nlink = st.nlink, .uid = st.uid, .gid = st.gid,
        .mode = st.mode, .ino = st.ino, .size = st.size, .blocks = st.blocks,
        .atime = {st.atime, st.atime_ns, 0}, .ctime = {st.ctime, st.ctime_ns, 0}, .mtime = {st.mtime, st.mtime_ns, 0},
        .rdev_major = MAJOR(st.rdev), .rdev_minor = MINOR(st.rdev),
        .dev_major = MAJOR(st.dev), .dev_minor = MINOR(st.dev),
    };
    return copy_out(out, &x, sizeof x);
}

static s64 access_at(s64 dirfd, u64 name, u32 mode, u32 flags)
{
    struct proc *pr = proc_self();
    struct path p;
    if ((mode & ~7u) || (flags & ~(AT_EACCESS | AT_SYMLINK_NOFOLLOW | AT_EMPTY_PATH)))
        return -EINVAL;
    u32 uid = pr->fsuid, gid = pr->fsgid;
    if (!(flags & AT_EACCESS))
        pr->fsuid = pr->ruid, pr->fsgid = pr->rgid;
    s64 r = path_arg(dirfd, name, (flags & AT_SYMLINK_NOFOLLOW ? 0 : WALK_FOLLOW) |
                                  (flags & AT_EMPTY_PATH ? WALK_EMPTY : 0), &p);
    if (!r) {
        struct inode *i = p.d->inode;
        r = inode_permission(i, mode);
        if (!r && (mode & MAY_WRITE) && (p.mnt->flags & MS_RDONLY) && (S_ISREG(i->mode) || S_ISDIR(i->mode)))
            r = -EROFS;
        if (!r && (mode & MAY_EXEC) && (p.mnt->flags & MS_NOEXEC) && S_ISREG(i->mode))
            r = -EACCES;
        path_put(&p);
    }
    pr->fsuid = uid, pr->fsgid = gid;
    return r;
}

s64 sys_access(u64 name, u64 mode, u64 c, u64 d, u64 e, u64 f)
{
    (void)c, (void)d, (void)e, (void)f;
    return access_at(AT_FDCWD, name, mode, 0);
}

s64 sys_faccessat(u64 dirfd, u64 name, u64 mode, u64 d, u64 e, u64 f)
{
    (void)d, (void)e, (void)f;
    return access_at((s32)dirfd, name, mode, 0);
}

s64 sys_faccessat2(u64 dirfd, u64 name, u64 mode, u64 flags, u64 e, u64 f)
{
    (void)e, (void)f;
    return access_at((s32)dirfd, name, mode, flags);
}

s64 sys_readlinkat(u64 dirfd, u64 name, u64 buf, u64 size, u64 e, u64 f)
{
    struct path p;
    (void)e, (void)f;
    if ((s32)size <= 0)
        return -EINVAL;
    s64 r = path_arg(dirfd, name, WALK_EMPTY, &p);
    if (r)
        return r;
    struct inode *i = p.d->inode;
    char *text = heap_alloc(PATH_MAX);
    r = !text ? -ENOMEM : !S_ISLNK(i->mode) || !i->ops->readlink ? -EINVAL : i->ops->readlink(i, text, PATH_MAX - 1);
    path_put(&p);
    if (r > 0) {
        u64 n = MIN((u64)r, size);
        r = copy_out(buf, text, n);
        r = r ? r : (s64)n;
    }
    heap_free(text);
    return r;
}

s64 sys_readlink(u64 name, u64 buf, u64 size, u64 d, u64 e, u64 f)
{
    struct path p;
    (void)d, (void)e, (void)f;
    s64 r = path_arg(AT_FDCWD, name, 0, &p); // unlike readlinkat, "" is no name
    if (r)
        return r;
    path_put(&p);
    return sys_readlinkat(AT_FDCWD, name, buf, size, 0, 0);
}

struct statfs_native {
    s64 type, bsize;
    u64 blocks, bfree, bavail, files, ffree;
    s32 fsid[2];
    s64 namelen, frsize, flags, spare[4];
};

// Every file system lives in the family's pages: what is free to one is free to all.
static s64 statfs_out(struct mount *m, u64 out)
{
    struct super *sb = m->sb;
    struct statfs_native s = {.type = sb->magic, .bsize = PAGE, .frsize = PAGE, .namelen = NAME_MAX,
                              .fsid = {sb->dev, 0}, .flags = 0x20 | (m->flags & 15)};
    if (!(sb->flags & SUPER_SYNTHETIC)) {
        s.bfree = s.bavail = pages_free();
        s.blocks = pages_free() + sb->pages + (m == root_mount ? XOK_INFO->module_pages : 0);
        s.ffree = pages_free();
        s.files = s.ffree + sb->inodes;
    }
    return copy_out(out, &s, sizeof s);
}

s64 sys_statfs(u64 name, u64 out, u64 c, u64 d, u64 e, u64 f)
{
    struct path p;
    (void)c, (void)d, (void)e, (void)f;
    s64 r = path_arg(AT_FDCWD, name, WALK_FOLLOW, &p);
    if (r)
        return r;
    r = statfs_out(p.mnt, out);
    path_put(&p);
    return r;
}

s64 sys_fstatfs(u64 fd, u64 out, u64 c, u64 d, u64 e, u64 ff)
{
    bool owned;
    (void)c, (void)d, (void)e, (void)ff;
    struct file *f = fd_borrow(fd, &owned);
    if (!f)
        return -EBADF;
    s64 r = statfs_out(f->mnt ? f->mnt : pipe_mount, out);
    fd_return(f, owned);
    return r;
}
