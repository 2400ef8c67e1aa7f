// Calls that make, remove and move names: mkdir(2), mknod(2), unlink(2), rmdir(2), link(2), symlink(2),
// rename(2).
#include "linux/fs.h"

static s64 name_new(s64 dirfd, const char *name, u32 mode, u64 rdev, struct inode *given, struct mount *only)
{
    struct walk w;
    struct dentry *d = NULL;
    s64 r = walk_parent(dirfd, name, 0, &w);
    if (r)
        return r;
    if (w.last_kind != LAST_NORM) {
        r = -EEXIST;
    } else {
        r = walk_last(&w, &d);
        if (!r)
            dentry_put(d);
        r = !r ? -EEXIST : r == -ENOENT ? 0 : r;
    }
    if (!r && w.slash && !S_ISDIR(mode))
        r = -ENOENT;
    if (!r && only && w.path.mnt != only)
        r = -EXDEV;
    if (!r)
        r = name_make(&w, mode, rdev, given, &d);
    if (!r && given && !S_ISLNK(given->mode)) {
        given->nlink++;
        given->flags &= ~INODE_LINKABLE;
        given->ctime = clock_real_ns();
    }
    walk_end(&w);
    return r;
}

s64 sys_mkdirat(u64 dirfd, u64 name, u64 mode, u64 d, u64 e, u64 f)
{
    struct name_buf b;
    (void)d, (void)e, (void)f;
    s64 r = name_in(&b, name);
    if (r)
        return r;
    r = name_new((s32)dirfd, b.s, S_IFDIR | (mode & 01777 & ~proc_self()->fs->umask), 0, NULL, NULL);
    name_done(&b);
    return r;
}

s64 sys_mkdir(u64 name, u64 mode, u64 c, u64 d, u64 e, u64 f)
{
    (void)c, (void)d, (void)e, (void)f;
    return sys_mkdirat(AT_FDCWD, name, mode, 0, 0, 0);
}

s64 sys_mknodat(u64 dirfd, u64 name, u64 mode, u64 rdev, u64 e, u64 f)
{
    struct name_buf b;
    u32 type = mode & S_IFMT ? mode & S_IFMT : S_IFREG;
    (void)e, (void)f;
    if (type == S_IFDIR)
        return -EPERM;
    if (type != S_IFREG && type != S_IFIFO && type != S_IFSOCK && type != S_IFCHR && type != S_IFBLK)
        return -EINVAL;
    if ((type == S_IFCHR || type == S_IFBLK) && !capable())
        return -EPERM;
    s64 r = name_in(&b, name);
    if (r)
        return r;
    r = name_new((s32)dirfd, b.s, type | (mode & 07777 & ~proc_self()->fs->umask),
                 type == S_IFCHR || type == S_IFBLK ? rdev : 0, NULL, NULL);
    name_done(&b);
    return r;
}

s64 sys_mknod(u64 name, u64 mode, u64 rdev, u64 d, u64 e, u64 f)
{
    (void)d, (void)e, (void)f;
    return sys_mknodat(AT_FDCWD, name, mode, rdev, 0, 0);
}

s64 sys_symlinkat(u64 target, u64 dirfd, u64 name, u64 d, u64 e, u64 f)
{
    struct name_buf t, b;
    (void)d, (void)e, (void)f;
    s64 r = name_in(&t, target);
    if (r)
        return r;
    r = *t.s ? name_in(&b, name) : -ENOENT;
    if (r) {
        name_done(&t);
        return r;
    }
    u64 len = strlen(t.s);
    struct inode *i = inode_new(root_mount->sb, S_IFLNK | 0777);
    if (i && (i->target = heap_alloc(len + 1))) {
        memcpy(i->target, t.s, len);
        i->size = len;
        r = name_new((s32)dirfd, b.s, S_IFLNK, 0, i, NULL);
    } else {
        r = -ENOMEM;
    }
    if (i)
        inode_put(i);
    name_done(&t);
    name_done(&b);
    return r;
}

s64 sys_symlink(u64 target, u64 name, u64 c, u64 d, u64 e, u64 f)
{
    (void)c, (void)d, (void)e, (void)f;
    return sys_symlinkat(target, AT_FDCWD, name, 0, 0, 0);
}

// What fs.protected_hardlinks asks for: others' files may be linked only by who may read and write them.
static s64 link_allowed(struct inode *i)
{
    if (S_ISDIR(i->mode))
        return -EPERM;
    if (i->sb->flags & SUPER_SYNTHETIC)
        return -EXDEV;
    if (!i->nlink && !(i->flags & INODE_LINKABLE))
        return -ENOENT;
    if (inode_owner(i))
        return 0;
    bool plain = S_ISREG(i->mode) && !(i->mode & S_ISUID) && (i->mode & (S_ISGID | 010)) != (S_ISGID | 010);
    return plain && !inode_permission(i, MAY_READ | MAY_WRITE) ? 0 : -EPERM;
}

s64 sys_linkat(u64 olddir, u64 old, u64 newdir, u64 name, u64 flags, u64 f)
{
    struct path p;
    struct name_buf b;
    (void)f;
    if (flags & ~(u64)(AT_SYMLINK_FOLLOW | AT_EMPTY_PATH))
        return -EINVAL;
    if ((flags & AT_EMPTY_PATH) && !capable())
        return -ENOENT;
    s64 r = path_arg(olddir, old, (flags & AT_SYMLINK_FOLLOW ? WALK_FOLLOW : 0) | (flags & AT_EMPTY_PATH ? WALK_EMPTY : 0), &p);
    if (r)
        return r;
    r = name_in(&b, name);
    if (!r) {
        r = link_allowed(p.d->inode);
        if (!r)
            r = name_new((s32)newdir, b.s, p.d->inode->mode & S_IFMT, 0, p.d->inode, p.mnt);
        name_done(&b);
    }
    path_put(&p);
    return r;
}

s64 sys_link(u64 old, u64 name, u64 c, u64 d, u64 e, u64 f)
{
    (void)c, (void)d, (void)e, (void)f;
    return sys_linkat(AT_FDCWD, old, AT_FDCWD, name, 0, 0);
}

// May this user take d out of its directory?
static s64 removal_allowed(struct mount *mnt, struct dentry *d)
{
    struct inode *dir = d->parent->inode;
    u32 me = proc_self()->fsuid;
    if (mnt->flags & MS_RDONLY)
        return -EROFS;
    s64 r = inode_permission(dir, MAY_WRITE | MAY_EXEC);
    if (r)
        return r;
    if (dir->sb->flags & SUPER_SYNTHETIC)
        return -EPERM;
    return (dir->mode & S_ISVTX) && me && me != d->inode->uid && me != dir->uid ? -EPERM : 0;
}

static s64 removable_dir(struct dentry *d)
{
    if (!S_ISDIR(d->inode->mode))
        return -ENOTDIR;
    return d->flags & DENTRY_MOUNT ? -EBUSY : !tmpfs_dir_empty(d->inode) ? -ENOTEMPTY : 0;
}

static void notify_gone(struct dentry *dir, struct inode *i, const char *name)
{
    if (!notify_on)
        return;
    if (!S_ISDIR(i->mode))
        notify_event(i, IN_ATTRIB, 0, NULL);
    if (!i->nlink)
        notify_event(i, IN_DELETE_SELF, 0, NULL);
    notify_name(dir, IN_DELETE | (S_ISDIR(i->mode) ? IN_ISDIR : 0), 0, name, NULL);
}

static s64 name_remove(struct walk *w, bool dir)
{
    struct dentry *d;
    s64 r = walk_last(w, &d);
    if (r)
        return r;
    r = removal_allowed(w->path.mnt, d);
    if (!r && dir)
        r = removable_dir(d);
    else if (!r)
        r = S_ISDIR(d->inode->mode) ? -EISDIR : w->slash ? -ENOTDIR : 0;
    if (!r)
        r = tmpfs_remove(d);
    if (!r)
        notify_gone(w->path.d, d->inode, d->name);
    dentry_put(d);
    return r;
}

s64 sys_unlinkat(u64 dirfd, u64 name, u64 flags, u64 d, u64 e, u64 f)
{
    static const s16 odd_rmdir[] = {[LAST_DOT] = -EINVAL, [LAST_DOTDOT] = -ENOTEMPTY, [LAST_ROOT] = -EBUSY};
    bool dir = flags & AT_REMOVEDIR;
    struct name_buf b;
    struct walk w;
    (void)d, (void)e, (void)f;
    if (flags & ~(u64)AT_REMOVEDIR)
        return -EINVAL;
    s64 r = name_in(&b, name);
    if (r)
        return r;
    r = walk_parent((s32)dirfd, b.s, 0, &w);
    if (!r) {
        r = w.last_kind == LAST_NORM ? name_remove(&w, dir) : dir ? odd_rmdir[w.last_kind] : -EISDIR;
        walk_end(&w);
    }
    name_done(&b);
    return r;
}

s64 sys_unlink(u64 name, u64 b, u64 c, u64 d, u64 e, u64 f)
{
    (void)b, (void)c, (void)d, (void)e, (void)f;
    return sys_unlinkat(AT_FDCWD, name, 0, 0, 0, 0);
}

s64 sys_rmdir(u64 name, u64 b, u64 c, u64 d, u64 e, u64 f)
{
    (void)b, (void)c, (void)d, (void)e, (void)f;
    return sys_unlinkat(AT_FDCWD, name, AT_REMOVEDIR, 0, 0, 0);
}

static bool is_below(const struct dentry *d, const struct dentry *top)
{
    for (; d; d = d->parent)
        if (d == top)
            return true;
    return false;
}

// rename(2)'s conditions on what is moved and what it lands on (NULL: nothing).
static s64 rename_allowed(struct walk *from, struct walk *to, struct dentry *d, struct dentry *over, u32 flags)
{
    bool dir = S_ISDIR(d->inode->mode), exchange = flags & RENAME_EXCHANGE;
    if (!dir && (from->slash || (to->slash && !exchange)))
        return -ENOTDIR;
    if (dir && is_below(to->path.d, d))
        return -EINVAL;
    if (over && is_below(from->path.d, over))
        return exchange ? -EINVAL : -ENOTEMPTY;
    s64 r = removal_allowed(from->path.mnt, d);
    if (!r && over)
        r = removal_allowed(to->path.mnt, over);
    if (!r && !over)
        r = inode_permission(to->path.d->inode, MAY_WRITE | MAY_EXEC);
    if (!r && dir && from->path.d != to->path.d)
        r = inode_permission(d->inode, MAY_WRITE);
    if (r)
        return r;
    if ((d->flags | (over ? over->flags : 0)) & DENTRY_MOUNT)
        return -EBUSY;
    if (!to->path.d->inode->nlink)
        return -ENOENT;
    if (!over || exchange)
        return 0;
    if (dir)
        return removable_dir(over);
    return S_ISDIR(over->inode->mode) ? -EISDIR : 0;
}

static void notify_moved(struct dentry *from, struct dentry *to, const char *name, const char *new, struct inode *i)
{
    static u32 cookie;
    u32 dir = S_ISDIR(i->mode) ? IN_ISDIR : 0, c = ++cookie;
    notify_name(from, IN_MOVED_FROM | dir, c, name, NULL);
    notify_name(to, IN_MOVED_TO | dir, c, new, NULL);
    notify_event(i, IN_MOVE_SELF | dir, 0, NULL);
}

static s64 rename_locked(struct walk *from, struct walk *to, u32 flags)
{
    struct dentry *d, *over = NULL;
    if (from->path.mnt != to->path.mnt)
        return -EXDEV;
    if (from->last_kind != LAST_NORM)
        return -EBUSY;
    if (to->last_kind != LAST_NORM)
        return flags & RENAME_NOREPLACE ? -EEXIST : -EBUSY;
    s64 r = walk_last(from, &d);
    if (r)
        return r;
    r = walk_last(to, &over);
    r = r == -ENOENT ? 0 : r;
    if (!r && over && (flags & RENAME_NOREPLACE))
        r = -EEXIST;
    if (!r && !over && (flags & RENAME_EXCHANGE))
        r = -ENOENT;
    if (!r)
        r = rename_allowed(from, to, d, over, flags);
    if (!r && !(over && over->inode == d->inode)) {
        char old[NAME_MAX + 1];
        struct inode *gone = over && !(flags & RENAME_EXCHANGE) ? over->inode : NULL;
        memcpy(old, d->name, d->name_len + 1);
        r = tmpfs_rename(d, to->path.d, to->last, to->last_len, to->last_hash, over, flags & RENAME_EXCHANGE);
        if (!r && notify_on) {
            notify_moved(from->path.d, to->path.d, old, d->name, d->inode);
            if (gone && !gone->nlink)
                notify_event(gone, IN_DELETE_SELF, 0, NULL);
        }
        if (!r)
            ns_generation++;
    }
    if (over)
        dentry_put(over);
    dentry_put(d);
    return r;
}

static s64 rename_at(s64 olddir, const char *old, s64 newdir, const char *new, u32 flags)
{
    struct walk from, to;
    s64 r = walk_parent(olddir, old, 0, &from);
    if (r)
        return r;
    lock_drop(&ns_lock); // the walk's references keep the directory; the name is looked up below
    r = walk_parent(newdir, new, 0, &to);
    if (!r) {
        r = rename_locked(&from, &to, flags);
        walk_end(&to);
    }
    dentry_put(from.path.d);
    dentry_put(from.root.d);
    heap_free(from.text);
    return r;
}

s64 sys_renameat2(u64 olddir, u64 old, u64 newdir, u64 new, u64 flags, u64 f)
{
    struct name_buf a, b;
    (void)f;
    if ((flags & ~(u64)(RENAME_NOREPLACE | RENAME_EXCHANGE)) || flags == (RENAME_NOREPLACE | RENAME_EXCHANGE))
        return -EINVAL;
    s64 r = name_in(&a, old);
    if (r)
        return r;
    r = name_in(&b, new);
    if (!r) {
        r = rename_at((s32)olddir, a.s, (s32)newdir, b.s, flags);
        name_done(&b);
    }
    name_done(&a);
    return r;
}

s64 sys_renameat(u64 olddir, u64 old, u64 newdir, u64 new, u64 e, u64 f)
{
    (void)e, (void)f;
    return sys_renameat2(olddir, old, newdir, new, 0, 0);
}

s64 sys_rename(u64 old, u64 new, u64 c, u64 d, u64 e, u64 f)
{
    (void)c, (void)d, (void)e, (void)f;
    return sys_renameat2(AT_FDCWD, old, AT_FDCWD, new, 0, 0);
}
