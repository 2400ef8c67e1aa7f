// Open file descriptions, and what open(2) does once the name is found.
#include "fs/vfs.h"

struct file *file_new(const struct file_ops *ops, u32 flags)
{
    static const u8 may[4] = {MAY_READ, MAY_WRITE, MAY_READ | MAY_WRITE, 0};
    struct file *f = heap_alloc_raw(sizeof *f);
    if (f)
        *f = (struct file){.ops = ops, .refs = 1, .flags = flags & ~(O_CLOEXEC | O_CREAT | O_EXCL | O_TRUNC),
                           .mode = flags & O_PATH ? 0 : may[flags & O_ACCMODE]};
    return f;
}

s64 file_seek_none(struct file *f, s64 off, int whence)
{
    (void)f, (void)off, (void)whence;
    return 0;
}

struct file *file_new_path(const struct file_ops *ops, u32 flags, struct path *p)
{
    struct file *f = file_new(ops, flags);
    if (!f) {
        path_put(p);
        return NULL;
    }
    f->dentry = p->d;
    f->mnt = p->mnt;
    f->inode = p->d->inode;
    return f;
}

struct file *file_get(struct file *f)
{
    __atomic_add_fetch(&f->refs, 1, __ATOMIC_RELAXED);
    return f;
}

static void file_free(struct file *f)
{
    struct inode *i = f->inode;
    if (f->epolls)
        epoll_forget(f);
    if (i && i->extra)
        locks_close(i, NULL, f);
    if (notify_on && i && !(f->flags & O_PATH))
        notify_file(f, f->mode & MAY_WRITE ? IN_CLOSE_WRITE : IN_CLOSE_NOWRITE);
    if (f->mode & FILE_WRITER)
        __atomic_sub_fetch(&i->writers, 1, __ATOMIC_RELAXED);
    if (f->mode & FILE_EXEC)
        __atomic_add_fetch(&i->writers, 1, __ATOMIC_RELAXED);
    if (f->ops->release)
        f->ops->release(f);
    if (f->dentry)
        path_put(&(struct path){f->mnt, f->dentry});
    else if (i)
        inode_put(i);
    heap_free(f);
}

void file_put(struct file *f)
{
    if (!__atomic_sub_fetch(&f->refs, 1, __ATOMIC_ACQ_REL))
        file_free(f);
}

int file_path(struct file *f, char *buf, size_t size)
{
    if (f->dentry && f->mnt == shm_mount)
        return snprintf(buf, size, "/%s (deleted)", f->dentry->name);
    if (f->dentry && f->mnt == pipe_mount && S_ISSOCK(f->inode->mode))
        return snprintf(buf, size, "socket:[%lu]", f->inode->ino);
    if (f->dentry && f->mnt == pipe_mount && !S_ISFIFO(f->inode->mode))
        return snprintf(buf, size, "anon_inode:[%s]", f->ops->name ? f->ops->name : "file");
    if (f->dentry && f->mnt == pipe_mount)
        return snprintf(buf, size, "pipe:[%lu]", f->inode->ino);
    if (f->dentry)
        return path_text(&(struct path){f->mnt, f->dentry}, buf, size, NULL);
    if (f->inode && S_ISSOCK(f->inode->mode))
        return snprintf(buf, size, "socket:[%lu]", f->inode->ino);
    return snprintf(buf, size, "anon_inode:[%s]", f->ops->name ? f->ops->name : "file");
}

// Counts a writer (by 1) or an execution (by -1); the two exclude each other.
static bool writers_add(struct inode *i, s32 by)
{
    s32 n = __atomic_load_n(&i->writers, __ATOMIC_RELAXED);
    do
        if (by > 0 ? n < 0 : n > 0)
            return false;
    while (!__atomic_compare_exchange_n(&i->writers, &n, n + by, true, __ATOMIC_ACQ_REL, __ATOMIC_RELAXED));
    return true;
}

static const struct file_ops path_ops = {.name = "path"};

static s64 open_allowed(struct path *p, u32 flags)
{
    static const u8 may[4] = {MAY_READ, MAY_WRITE, MAY_READ | MAY_WRITE, MAY_READ | MAY_WRITE};
    struct inode *i = p->d->inode;
    u32 want = may[flags & O_ACCMODE] | (flags & O_TRUNC ? MAY_WRITE : 0);
    if (S_ISLNK(i->mode))
        return -ELOOP;
    if (S_ISDIR(i->mode) && (want & MAY_WRITE))
        return -EISDIR;
    s64 r = inode_permission(i, want);
    if (r)
        return r;
    if ((p->mnt->flags & MS_RDONLY) && (want & MAY_WRITE) && (S_ISREG(i->mode) || S_ISDIR(i->mode)))
        return -EROFS;
    if ((p->mnt->flags & MS_NODEV) && (S_ISCHR(i->mode) || (i->mode & S_IFMT) == S_IFBLK))
        return -EACCES;
    return (flags & O_NOATIME) && !inode_owner(i) ? -EPERM : 0;
}

s64 open_inode(struct path *p, u32 flags, bool made, struct file **out)
{
    struct inode *i = p->d->inode;
    s64 r = flags & O_PATH || made ? 0 : open_allowed(p, flags);
    if (r) {
        path_put(p);
        return r;
    }
    struct file *f = file_new_path(&path_ops, flags, p);
    if (!f)
        return -ENOMEM;
    if (!(flags & O_PATH)) {
        if (S_ISREG(i->mode) && (f->mode & MAY_WRITE)) {
            if (!writers_add(i, 1))
                r = -ETXTBSY;
            else
                f->mode |= FILE_WRITER;
        }
        if (!r)
            r = i->ops->open(i, f);
        if (!r && (flags & O_TRUNC) && S_ISREG(i->mode) && i->size)
            r = inode_truncate(i, 0);
        if (!r && f->ops->seek)
            f->mode |= FILE_SEEKS;
    }
    if (r) {
        f->ops = &path_ops; // an open() that fails has nothing to release
        file_put(f);
        return r;
    }
    f->flags &= ~O_NOCTTY;
    if (notify_on)
        notify_file(f, IN_OPEN);
    *out = f;
    return 0;
}

// Checks that a name may be made in w's directory and makes it with an inode of `mode`. Under ns_lock.
s64 name_make(struct walk *w, u32 mode, u64 rdev, struct inode *given, struct dentry **out)
{
    struct inode *dir = w->path.d->inode;
    if (w->path.mnt->flags & MS_RDONLY)
        return -EROFS;
    s64 r = inode_permission(dir, MAY_WRITE | MAY_EXEC);
    if (r)
        return r;
    if (dir->sb->flags & SUPER_SYNTHETIC)
        return dir->sb->magic == PROC_MAGIC ? -ENOENT : S_ISDIR(mode) ? -EPERM : -EACCES; // as Linux's two
    if (!dir->nlink)
        return -ENOENT;
    struct inode *i = given ? inode_get(given) : inode_new(dir->sb, mode);
    if (!i)
        return -ENOSPC;
    if (!given) {
        i->rdev = rdev;
        if (S_ISDIR(mode))
            i->nlink = 2;
        if (dir->mode & S_ISGID) {
            i->gid = dir->gid;
            if (S_ISDIR(mode))
                i->mode |= S_ISGID;
        }
    }
    r = tmpfs_create(w->path.d, w->last, w->last_len, w->last_hash, i, out);
    if (r)
        inode_put(i);
    else if (dir->flags & INODE_WATCHED)
        notify_name(w->path.d, IN_CREATE | (S_ISDIR(i->mode) ? IN_ISDIR : 0), 0, (*out)->name, NULL);
    return r;
}

// One try at the last component: 0 and p filled, 1 to go on through a link, or an error.
static s64 create_step(struct walk *w, u32 flags, u32 mode, struct path *p, bool *made)
{
    struct dentry *d = NULL;
    if (w->last_kind != LAST_NORM) {
        if (flags & O_EXCL)
            return -EEXIST;
        *p = w->path;
        path_get(p);
        return 0;
    }
    s64 r = walk_last(w, &d);
    if (r && r != -ENOENT)
        return r;
    if (r) {
        if (w->slash)
            return -EISDIR;
        u32 perm = mode & 07777 & ~proc_self()->fs->umask;
        r = name_make(w, S_IFREG | perm, 0, NULL, &d);
        if (r)
            return r;
        *made = true;
        *p = (struct path){w->path.mnt, d};
        path_get(p);
        return 0;
    }
    if (flags & O_EXCL) {
        r = -EEXIST;
    } else if (S_ISLNK(d->inode->mode)) {
        r = flags & O_NOFOLLOW ? -ELOOP : walk_link(w, d);
        r = r ? r : 1;
    } else {
        *p = (struct path){w->path.mnt, d};
        walk_cross(p);
        r = w->slash && !S_ISDIR(p->d->inode->mode) ? -ENOTDIR : 0;
        if (!r)
            path_get(p);
    }
    dentry_put(d);
    return r;
}

static s64 open_create(int dirfd, const char *name, u32 flags, u32 mode, u32 walk, struct file **out)
{
    struct walk w;
    struct path p;
    bool made = false;
    s64 r = walk_parent(dirfd, name, walk, &w);
    if (r)
        return r;
    do
        r = create_step(&w, flags, mode, &p, &made);
    while (r == 1);
    walk_end(&w);
    if (r)
        return r;
    if (S_ISDIR(p.d->inode->mode)) {
        path_put(&p);
        return -EISDIR;
    }
    return open_inode(&p, made ? flags & ~O_TRUNC : flags, made, out);
}

static s64 open_tmpfile(int dirfd, const char *name, u32 flags, u32 mode, u32 walk, struct file **out)
{
    struct path dir;
    s64 r = path_lookup(dirfd, name, walk | WALK_FOLLOW | WALK_DIR, &dir);
    if (r)
        return r;
    struct inode *parent = dir.d->inode, *i = NULL;
    struct dentry *d = NULL;
    r = inode_permission(parent, MAY_WRITE | MAY_EXEC);
    if (!r && (parent->sb->flags & SUPER_SYNTHETIC))
        r = -EOPNOTSUPP;
    if (!r && dir.mnt->flags & MS_RDONLY)
        r = -EROFS;
    if (!r) {
        i = inode_new(parent->sb, S_IFREG | (mode & 07777 & ~proc_self()->fs->umask));
        char text[24];
        int len = i ? snprintf(text, sizeof text, "#%lu", i->ino) : 0;
        d = i ? dentry_new(dir.d, text, len, 0) : NULL;
        if (!d)
            r = -ENOMEM;
    }
    if (!r) {
        i->nlink = 0;
        if (!(flags & O_EXCL))
            i->flags |= INODE_LINKABLE;
        d->inode = i;
        struct path p = {dir.mnt, d};
        __atomic_add_fetch(&p.mnt->refs, 1, __ATOMIC_RELAXED);
        r = open_inode(&p, flags & ~O_DIRECTORY, true, out);
    } else if (i) {
        inode_put(i);
    }
    path_put(&dir);
    return r;
}

s64 open_path(int dirfd, const char *name, u32 flags, u32 mode, u32 resolve, struct file **out)
{
    u32 walk = resolve << WALK_RESOLVE_SHIFT | (flags & O_DIRECTORY ? WALK_DIR : 0);
    if (flags & O_PATH)
        flags &= O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC;
    if (flags & O_TMPFILE_BIT) {
        if ((flags & O_TMPFILE) != O_TMPFILE || !(flags & (O_WRONLY | O_RDWR)))
            return -EINVAL;
        return open_tmpfile(dirfd, name, flags, mode, walk & ~WALK_DIR, out);
    }
    if (flags & O_CREAT) {
        if (flags & O_DIRECTORY)
            return -EINVAL;
        return open_create(dirfd, name, flags, mode, walk, out);
    }
    struct path p;
    s64 r = path_lookup(dirfd, name, walk | (flags & O_NOFOLLOW ? 0 : WALK_FOLLOW), &p);
    return r ? r : open_inode(&p, flags, false, out);
}

s64 file_open_exec(const char *path, struct file **out, struct stat_native *st)
{
    struct path p;
    s64 r = path_lookup(AT_FDCWD, path, WALK_FOLLOW, &p);
    if (r)
        return r;
    struct inode *i = p.d->inode;
    r = inode_permission(i, MAY_EXEC);
    if (!S_ISREG(i->mode) || (p.mnt->flags & MS_NOEXEC) || (p.mnt->sb->flags & SUPER_SYNTHETIC))
        r = -EACCES;
    if (!r && !writers_add(i, -1))
        r = -ETXTBSY;
    if (r) {
        path_put(&p);
        return r;
    }
    inode_stat(i, st);
    struct file *f = file_new_path(&regular_ops, O_RDONLY, &p);
    if (!f) {
        __atomic_add_fetch(&i->writers, 1, __ATOMIC_RELAXED);
        return -ENOMEM;
    }
    f->mode |= FILE_EXEC | FILE_SEEKS;
    *out = f;
    return 0;
}

s64 file_pread_kernel(struct file *f, void *to, u64 len, u64 off)
{
    return f->ops == &regular_ops ? inode_read_kernel(f->inode, to, len, off) : -EACCES;
}
