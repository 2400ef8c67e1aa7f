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

static void place(struct dentry *d, struct dentry *dir)
{
    struct dentry *old = d->parent;
    d->parent = dentry_get(dir);
    dentry_hash(d);
    dentry_put(d);
    dentry_put(old);
}

// A dentry holds its name inline, so a rename makes a new one unless the name fits; open files follow
// d->moved. Names are short: allocate for the longest of both.
static void entry_leave(struct dentry *d)
{
    dentry_get(d);
    dentry_unhash(d);
    d->flags &= ~DENTRY_LOWER;
}

static void name_set(struct dentry *d, const char *name, u32 len, u32 hash)
{
    memcpy(d->name, name, len);
    d->name[len] = 0;
    d->name_len = len;
    d->hash = hash;
}
