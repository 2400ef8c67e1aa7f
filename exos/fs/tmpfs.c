// The memory file system: its directories are the tree of dentries; below the first one lies the root
// image. All of it under ns_lock.
#include "fs/vfs.h"

static u32 next_minor = 1;

struct super *super_new(const char *type, u32 magic, u32 flags)
{
    struct super *sb = heap_alloc(sizeof *sb);
    if (!sb)
        return NULL;
    sb->type = sb->source = type;
    sb->dev = MKDEV(0, __atomic_fetch_add(&next_minor, 1, __ATOMIC_RELAXED));
    sb->magic = magic;
    sb->flags = flags;
    sb->next_ino = 1;
    return sb;
}

struct dentry *tmpfs_mount_root(struct super *sb, u32 mode)
{
    struct inode *i = inode_new(sb, S_IFDIR | mode);
    struct dentry *d = i ? dentry_new(NULL, "/", 1, 0) : NULL;
    if (!d) {
        if (i)
            inode_put(i);
        return NULL;
    }
    i->nlink = 2;
    d->inode = i;
    return d;
}

static struct dentry *lower_instantiate(struct dentry *dir, const char *name, u32 len, u32 hash,
                                        const struct rootimg_inode *r)
{
    struct dentry *d = dentry_new(dir, name, len, hash);
    if (!d)
        return NULL;
    d->inode = lower_inode(dir->inode->sb, r);
    if (!d->inode) {
        dentry_put(d);
        return NULL;
    }
    d->flags = DENTRY_LOWER;
    dentry_hash(d);
    dentry_put(d); // the table's reference keeps it
    return d;
}

s64 tmpfs_lookup(struct dentry *dir, const char *name, u32 len, u32 hash, struct dentry **out)
{
    struct dentry *d = dentry_find(dir, name, len, hash);
    if (!d && dir->inode->lower) {
        const struct rootimg_inode *r = lower_find(dir->inode->lower, name, len);
        if (r && !(d = lower_instantiate(dir, name, len, hash, r)))
            return -ENOMEM;
    }
    *out = d && d->inode ? d : NULL;
    return *out ? 0 : -ENOENT;
}

static void touch(struct inode *dir)
{
    dir->mtime = dir->ctime = clock_real_ns();
}

// Gives inode i (whose reference it takes over on success) a name.
s64 tmpfs_create(struct dentry *dir, const char *name, u32 len, u32 hash, struct inode *i, struct dentry **out)
{
    struct dentry *d = dentry_find(dir, name, len, hash);
    if (d && d->inode)
        return -EEXIST;
    if (d) { // the whiteout becomes the name, listed anew
        dentry_get(d);
        dentry_unhash(d);
    } else {
        d = dentry_new(dir, name, len, hash);
        if (!d)
            return -ENOMEM;
    }
    d->inode = i;
    dentry_hash(d);
    dir->inode->size++;
    if (S_ISDIR(i->mode))
        dir->inode->nlink++;
    touch(dir->inode);
    if (out)
        *out = d;
    dentry_put(d);
    return 0;
}

bool tmpfs_dir_empty(struct inode *i)
{
    return !i->size;
}

static void whiteouts_drop(struct dentry *dir)
{
    list_for_safe(it, next, &dir->children) {
        struct dentry *d = container_of(it, struct dentry, sibling);
        if (!(d->flags & DENTRY_CURSOR))
            dentry_unhash(d);
    }
}

// Hides the root image's name that d stood for. 0 or -ENOMEM, then nothing has changed.
static s64 whiteout(struct dentry *dir, const char *name, u32 len, u32 hash)
{
    if (!dir->inode->lower || !lower_find(dir->inode->lower, name, len))
        return 0;
    struct dentry *w = dentry_new(dir, name, len, hash);
    if (!w)
        return -ENOMEM;
    dentry_hash(w);
    dentry_put(w);
    return 0;
}

static void unlinked(struct inode *i)
{
    if (S_ISDIR(i->mode))
        i->nlink = 0;
    else
        i->nlink--;
    i->ctime = clock_real_ns();
    if (!i->nlink && (i->flags & INODE_TABLE))
        lower_forget(i);
}

s64 tmpfs_remove(struct dentry *d)
{
    struct dentry *dir = d->parent;
    s64 r = whiteout(dir, d->name, d->name_len, d->hash);
    if (r)
        return r;
    struct inode *i = d->inode;
    if (S_ISDIR(i->mode)) {
        whiteouts_drop(d);
        dir->inode->nlink--;
    }
    dir->inode->size--;
    touch(dir->inode);
    d->flags &= ~DENTRY_LOWER;
    unlinked(i);
    dentry_unhash(d);
    return 0;
}

static void move_to(struct dentry *d, struct dentry *dir)
{
    struct dentry *old = d->parent;
    d->parent = dentry_get(dir);
    dentry_hash(d);
    dentry_put(d);
    dentry_put(old);
}

static void leave(struct dentry *d)
{
    dentry_get(d);
    dentry_unhash(d);
    d->flags &= ~DENTRY_LOWER;
}

// Open files hold the dentry, so it stays and its name changes. Makes room for the longest name first.
static bool name_room(struct dentry *d, u32 len)
{
    if (d->name != d->small || len < d->room)
        return true;
    char *long_name = heap_alloc(NAME_MAX + 1);
    if (!long_name)
        return false;
    memcpy(long_name, d->name, d->name_len + 1);
    d->name = long_name;
    return true;
}

static void name_set(struct dentry *d, const char *name, u32 len, u32 hash)
{
    memmove(d->name, name, len);
    d->name[len] = 0;
    d->name_len = len;
    d->hash = hash;
}

static s64 exchange_names(struct dentry *a, struct dentry *b)
{
    char name[NAME_MAX + 1];
    u32 len = a->name_len, hash = a->hash;
    struct dentry *dir = a->parent, *to = b->parent;
    if (!name_room(a, b->name_len) || !name_room(b, len))
        return -ENOMEM;
    memcpy(name, a->name, len + 1);
    dir->inode->nlink += S_ISDIR(b->inode->mode) - S_ISDIR(a->inode->mode);
    to->inode->nlink += S_ISDIR(a->inode->mode) - S_ISDIR(b->inode->mode);
    leave(a);
    leave(b);
    name_set(a, b->name, b->name_len, b->hash);
    name_set(b, name, len, hash);
    dentry_get(dir);
    move_to(a, to);
    move_to(b, dir);
    touch(dir->inode);
    touch(to->inode);
    dentry_put(dir);
    return 0;
}

s64 tmpfs_rename(struct dentry *from, struct dentry *dir, const char *name, u32 len, u32 hash, struct dentry *over,
                 bool exchange)
{
    if (exchange)
        return exchange_names(from, over);
    struct dentry *old = from->parent, *hidden = dentry_find(dir, name, len, hash);
    char old_name[NAME_MAX + 1];
    u32 old_len = from->name_len, old_hash = from->hash;
    memcpy(old_name, from->name, old_len + 1);
    if (!name_room(from, len))
        return -ENOMEM;
    dentry_get(old);
    leave(from);
    s64 r = whiteout(old, old_name, old_len, old_hash);
    if (r) { // back to where it was, though listed as made here
        move_to(from, old);
        dentry_put(old);
        return r;
    }
    if (over) {
        if (S_ISDIR(over->inode->mode)) {
            whiteouts_drop(over);
            dir->inode->nlink--;
        }
        dir->inode->size--;
        unlinked(over->inode);
    }
    if (hidden && hidden != from) {
        hidden->flags &= ~DENTRY_LOWER;
        dentry_unhash(hidden);
    }
    name_set(from, name, len, hash);
    old->inode->size--;
    dir->inode->size++;
    if (S_ISDIR(from->inode->mode))
        old->inode->nlink--, dir->inode->nlink++;
    touch(old->inode);
    touch(dir->inode);
    from->inode->ctime = clock_real_ns();
    move_to(from, dir);
    dentry_put(old);
    return 0;
}

const char *tmpfs_target(struct inode *i, u32 *len)
{
    if (i->lower)
        return lower_target(i->lower, len);
    *len = i->size;
    return i->target;
}

static s64 tmpfs_readlink(struct inode *i, char *buf, size_t size)
{
    u32 len;
    const char *target = tmpfs_target(i, &len);
    len = MIN(len, size);
    memcpy(buf, target, len);
    return len;
}

static s64 tmpfs_open(struct inode *i, struct file *f)
{
    switch (i->mode & S_IFMT) {
    case S_IFDIR: f->ops = &directory_ops; return 0;
    case S_IFREG: f->ops = &regular_ops; return 0;
    case S_IFIFO: return fifo_open(i, f);
    case S_IFCHR: case S_IFBLK: return device_open(i, f);
    default: return -ENXIO; // a socket
    }
}

static void tmpfs_evict(struct inode *i)
{
    if (S_ISLNK(i->mode) && !i->lower)
        heap_free(i->target);
    if (S_ISFIFO(i->mode))
        fifo_evict(i);
}

const struct inode_ops tmpfs_ops = {.readlink = tmpfs_readlink, .open = tmpfs_open, .evict = tmpfs_evict};
