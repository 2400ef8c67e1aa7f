// Where a process stands, what is mounted there, and calls about the whole of a file or file system:
// chdir(2), getcwd(2), chroot(2), umask(2), mount(2), fsync(2).
#include "linux/fs.h"

static s64 dir_move(struct path *which, struct path *p)
{
    s64 r = S_ISDIR(p->d->inode->mode) ? inode_permission(p->d->inode, MAY_EXEC) : -ENOTDIR;
    if (r)
        path_put(p);
    else
        fsctx_move(which, p);
    return r;
}

s64 sys_chdir(u64 name, u64 b, u64 c, u64 d, u64 e, u64 f)
{
    struct path p;
    (void)b, (void)c, (void)d, (void)e, (void)f;
    s64 r = path_arg(AT_FDCWD, name, WALK_FOLLOW | WALK_DIR, &p);
    return r ? r : dir_move(&proc_self()->fs->cwd, &p);
}

s64 sys_fchdir(u64 fd, u64 b, u64 c, u64 d, u64 e, u64 ff)
{
    bool owned;
    (void)b, (void)c, (void)d, (void)e, (void)ff;
    struct file *f = fd_borrow(fd, &owned);
    if (!f)
        return -EBADF;
    s64 r = -ENOTDIR;
    if (f->dentry && S_ISDIR(f->inode->mode)) {
        struct path p = {f->mnt, f->dentry};
        path_get(&p);
        r = dir_move(&proc_self()->fs->cwd, &p);
    }
    fd_return(f, owned);
    return r;
}

s64 sys_chroot(u64 name, u64 b, u64 c, u64 d, u64 e, u64 f)
{
    struct path p;
    (void)b, (void)c, (void)d, (void)e, (void)f;
    s64 r = path_arg(AT_FDCWD, name, WALK_FOLLOW | WALK_DIR, &p);
    if (!r && !capable()) {
        path_put(&p);
        r = -EPERM;
    }
    return r ? r : dir_move(&proc_self()->fs->root, &p);
}

s64 sys_getcwd(u64 buf, u64 size, u64 c, u64 d, u64 e, u64 f)
{
    static const char away[] = "(unreachable)";
    char *text = heap_alloc(PATH_MAX + sizeof away);
    bool reachable;
    (void)c, (void)d, (void)e, (void)f;
    if (!text)
        return -ENOMEM;
    struct path p = proc_self()->fs->cwd;
    char *at = text + sizeof away - 1;
    s64 n = path_text(&p, at, PATH_MAX, &reachable);
    if (n >= 0 && !reachable) {
        if (p.d->parent && !(p.d->flags & DENTRY_HASHED)) {
            n = -ENOENT;
        } else {
            memcpy(text, away, sizeof away - 1);
            at = text, n += sizeof away - 1;
        }
    }
    s64 r = n < 0 ? n : (u64)n + 1 > size ? -ERANGE : copy_out(buf, at, n + 1);
    heap_free(text);
    return r ? r : n + 1;
}

s64 sys_umask(u64 mask, u64 b, u64 c, u64 d, u64 e, u64 f)
{
    struct fsctx *fs = proc_self()->fs;
    u32 old = fs->umask;
    (void)b, (void)c, (void)d, (void)e, (void)f;
    fs->umask = mask & 0777;
    return old;
}

// ---- mounts
static struct super *super_of_type(const char *type, struct mount **only)
{
    static const struct { const char *name; u32 magic; } memory[] = {
        {"tmpfs", 0x01021994}, {"ramfs", 0x858458f6}, {"devtmpfs", 0x01021994}, {"mqueue", 0x19800202},
    };
    for (u32 n = 0; n < countof(memory); n++)
        if (!strcmp(type, memory[n].name))
            return super_new(memory[n].name, memory[n].magic, 0);
    list_for(it, &mounts) { // those there is one of
        struct mount *m = container_of(it, struct mount, link);
        if (!strcmp(m->sb->type, type) && (m->sb->flags & SUPER_SYNTHETIC)) {
            *only = m;
            return m->sb;
        }
    }
    return NULL;
}

static s64 mount_new(struct path *at, const char *source, const char *type, u32 flags, const char *data)
{
    struct mount *only = NULL;
    u32 mode = 01777;
    const char *m = strlen(data) ? strchr(data, 'm') : NULL;
    for (; m && strncmp(m, "mode=", 5); m = strchr(m + 1, 'm'))
        ;
    if (m)
        for (mode = 0, m += 5; *m >= '0' && *m < '8'; m++)
            mode = mode * 8 + (*m - '0');
    struct super *sb = super_of_type(type, &only);
    if (!sb)
        return -ENODEV;
    struct dentry *root = only ? dentry_get(only->root) : tmpfs_mount_root(sb, mode & 07777);
    if (!root)
        return -ENOMEM;
    if (!only && *source) {
        char *name = heap_alloc(strlen(source) + 1);
        if (name) {
            memcpy(name, source, strlen(source));
            sb->source = name;
        }
    }
    if (!only && !strcmp(type, "devtmpfs"))
        dev_populate(root);
    lock_take(&ns_lock);
    bool ok = mount_add(at->mnt, at->d, root, sb, flags);
    lock_drop(&ns_lock);
    return ok ? 0 : -ENOMEM;
}

static s64 mount_bind(struct path *at, const char *source)
{
    struct path from;
    s64 r = path_lookup(AT_FDCWD, source, WALK_FOLLOW, &from);
    if (r)
        return r;
    if (S_ISDIR(from.d->inode->mode) != S_ISDIR(at->d->inode->mode)) {
        r = -ENOTDIR;
    } else {
        lock_take(&ns_lock);
        r = mount_add(at->mnt, at->d, dentry_get(from.d), from.mnt->sb, from.mnt->flags) ? 0 : -ENOMEM;
        lock_drop(&ns_lock);
    }
    path_put(&from);
    return r;
}

enum { MS_KEPT = MS_RDONLY | MS_NOSUID | MS_NODEV | MS_NOEXEC | MS_NOATIME,
       MS_PROPAGATION = MS_PRIVATE | MS_SLAVE | MS_SHARED | 1 << 17 };

static s64 mount_at_path(const char *source, const char *target, const char *type, u64 flags, const char *data)
{
    struct path at;
    s64 r = path_lookup(AT_FDCWD, target, WALK_FOLLOW, &at);
    if (r)
        return r;
    if (flags & MS_REMOUNT) {
        r = at.d == at.mnt->root ? 0 : -EINVAL;
        if (!r)
            at.mnt->flags = flags & MS_KEPT;
    } else if (flags & MS_PROPAGATION) {
        r = at.d == at.mnt->root ? 0 : -EINVAL; // one namespace: nothing spreads anyway
    } else if (flags & MS_BIND) {
        r = mount_bind(&at, source);
    } else if (flags & MS_MOVE) {
        r = -EOPNOTSUPP;
    } else {
        r = S_ISDIR(at.d->inode->mode) ? mount_new(&at, source, type, flags & MS_KEPT, data) : -ENOTDIR;
    }
    path_put(&at);
    return r;
}

s64 sys_mount(u64 source, u64 target, u64 type, u64 flags, u64 data, u64 f)
{
    struct name_buf b[4];
    u64 from[4] = {source, target, type, data};
    s64 r = 0;
    u32 n = 0;
    (void)f;
    if (!capable())
        return -EPERM;
    if ((flags & 0xffff0000) == 0xc0ed0000) // the magic of old
        flags &= 0xffff;
    for (; !r && n < 4; n++) {
        b[n].s = b[n].small;
        b[n].small[0] = 0;
        if (from[n])
            r = name_in(&b[n], from[n]);
    }
    if (!r)
        r = mount_at_path(b[0].s, b[1].s, b[2].s, flags, b[3].s);
    while (n)
        name_done(&b[--n]);
    return r;
}

enum { MNT_FORCE = 1, MNT_DETACH = 2, MNT_EXPIRE = 4, UMOUNT_NOFOLLOW = 8 };

s64 sys_umount2(u64 name, u64 flags, u64 c, u64 d, u64 e, u64 f)
{
    struct path p;
    (void)c, (void)d, (void)e, (void)f;
    if (flags & ~(u64)(MNT_FORCE | MNT_DETACH | MNT_EXPIRE | UMOUNT_NOFOLLOW))
        return -EINVAL;
    if (!capable())
        return -EPERM;
    s64 r = path_arg(AT_FDCWD, name, flags & UMOUNT_NOFOLLOW ? 0 : WALK_FOLLOW, &p);
    if (r)
        return r;
    struct mount *m = p.mnt;
    bool root = p.d == m->root;
    path_put(&p);
    lock_take(&ns_lock);
    r = root ? mount_remove(m, flags & MNT_DETACH) : -EINVAL;
    lock_drop(&ns_lock);
    return r;
}

s64 sys_pivot_root(u64 a, u64 b, u64 c, u64 d, u64 e, u64 f)
{
    (void)a, (void)b, (void)c, (void)d, (void)e, (void)f;
    return -EPERM; // there is one namespace, and its root is the machine's
}

// ---- durability: memory is as durable as this machine gets; what a disk holds, its file system syncs
static s64 fd_check(u64 fd, bool data)
{
    bool owned;
    struct file *f = fd_borrow(fd, &owned);
    if (!f)
        return -EBADF;
    s64 r = f->flags & O_PATH ? -EBADF : data && (!f->inode || !(S_ISREG(f->inode->mode) || S_ISDIR(f->inode->mode))) ? -EINVAL : 0;
    fd_return(f, owned);
    return r;
}

s64 sys_fsync(u64 fd, u64 b, u64 c, u64 d, u64 e, u64 f) { (void)b, (void)c, (void)d, (void)e, (void)f; return fd_check(fd, true); }
s64 sys_fdatasync(u64 fd, u64 b, u64 c, u64 d, u64 e, u64 f) { (void)b, (void)c, (void)d, (void)e, (void)f; return fd_check(fd, true); }
s64 sys_syncfs(u64 fd, u64 b, u64 c, u64 d, u64 e, u64 f) { (void)b, (void)c, (void)d, (void)e, (void)f; return fd_check(fd, false); }
s64 sys_sync(u64 a, u64 b, u64 c, u64 d, u64 e, u64 f) { (void)a, (void)b, (void)c, (void)d, (void)e, (void)f; return 0; }

s64 sys_sync_file_range(u64 fd, u64 off, u64 len, u64 flags, u64 e, u64 f)
{
    (void)e, (void)f;
    return (s64)off < 0 || (s64)len < 0 || flags & ~7ul ? -EINVAL : fd_check(fd, true);
}

s64 sys_readahead(u64 fd, u64 off, u64 len, u64 d, u64 e, u64 f)
{
    (void)off, (void)len, (void)d, (void)e, (void)f;
    return fd_check(fd, true);
}

s64 sys_fadvise64(u64 fd, u64 off, u64 len, u64 advice, u64 e, u64 ff)
{
    bool owned;
    (void)off, (void)e, (void)ff;
    struct file *f = fd_borrow(fd, &owned);
    if (!f)
        return -EBADF;
    s64 r = pipe_of(f) ? -ESPIPE : (s64)len < 0 || advice > 5 ? -EINVAL : 0;
    fd_return(f, owned);
    return r;
}
