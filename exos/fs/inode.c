// Inodes, and who may do what to them (path_resolution(7), inode(7)).
#include "fs/vfs.h"

struct inode *inode_new(struct super *sb, u32 mode)
{
    struct inode *i = heap_alloc(sizeof *i);
    if (!i)
        return NULL;
    struct proc *p = proc_self();
    i->refs = 1;
    i->nlink = 1;
    i->mode = mode;
    i->uid = p ? p->fsuid : 0;
    i->gid = p ? p->fsgid : 0;
    i->sb = sb;
    i->ops = &tmpfs_ops;
    i->ino = __atomic_fetch_add(&sb->next_ino, 1, __ATOMIC_RELAXED);
    i->atime = i->mtime = i->ctime = clock_real_ns();
    __atomic_add_fetch(&sb->inodes, 1, __ATOMIC_RELAXED);
    return i;
}

void inode_free(struct inode *i)
{
    if (i->extra) {
        list_for_safe(it, next, &i->extra->xattrs) heap_free(it);
        tree_cut(&i->extra->patched, 0);
        heap_free(i->extra);
    }
    if (i->ops->evict)
        i->ops->evict(i);
    u64 pages = tree_cut(&i->tree, 0);
    __atomic_sub_fetch(&i->sb->pages, pages, __ATOMIC_RELAXED);
    __atomic_sub_fetch(&i->sb->inodes, 1, __ATOMIC_RELAXED);
    heap_free(i);
}

struct extra *inode_extra(struct inode *i)
{
    struct extra *x = __atomic_load_n(&i->extra, __ATOMIC_ACQUIRE);
    if (x)
        return x;
    x = heap_alloc(sizeof *x);
    if (!x)
        return NULL;
    list_init(&x->xattrs);
    list_init(&x->locks);
    list_init(&x->watches);
    waitq_init(&x->lock_wait);
    struct extra *none = NULL;
    if (__atomic_compare_exchange_n(&i->extra, &none, x, false, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE))
        return x;
    heap_free(x);
    return none;
}

#define NS 1000000000ul
void inode_stat(struct inode *i, struct stat_native *st)
{
    bool dir = S_ISDIR(i->mode);
    st->dev = i->sb->dev, st->ino = i->ino, st->nlink = i->nlink;
    st->mode = i->mode, st->uid = i->uid, st->gid = i->gid, st->pad0 = 0;
    st->rdev = i->rdev, st->size = dir ? (i->size + 2) * 20 : i->size, st->blksize = PAGE;
    st->blocks = (i->pages + i->lower_pages) * (PAGE / 512);
    st->atime = i->atime / NS, st->atime_ns = i->atime % NS;
    st->mtime = i->mtime / NS, st->mtime_ns = i->mtime % NS;
    st->ctime = i->ctime / NS, st->ctime_ns = i->ctime % NS;
    st->unused[0] = st->unused[1] = st->unused[2] = 0;
    if (i->ops->getattr)
        i->ops->getattr(i, st);
}

bool in_group(u32 gid)
{
    struct proc *p = proc_self();
    if (p->fsgid == gid)
        return true;
    for (u32 n = 0; n < p->ngroups; n++)
        if (p->groups[n] == gid)
            return true;
    return false;
}

static bool in_group_of(u32 gid, u32 own)
{
    struct proc *p = proc_self();
    if (own == gid)
        return true;
    for (u32 n = 0; n < p->ngroups; n++)
        if (p->groups[n] == gid)
            return true;
    return false;
}

s64 creds_permission(struct inode *i, u32 may, u32 uid, u32 gid)
{
    if (!uid) // the superuser may all, but execute only what somebody may
        return (may & MAY_EXEC) && !S_ISDIR(i->mode) && !(i->mode & 0111) ? -EACCES : 0;
    u32 granted = uid == i->uid ? i->mode >> 6 : in_group_of(i->gid, gid) ? i->mode >> 3 : i->mode;
    return (granted & may) == may ? 0 : -EACCES;
}

s64 inode_permission(struct inode *i, u32 may)
{
    struct proc *p = proc_self();
    return creds_permission(i, may, p->fsuid, p->fsgid);
}

u8 mode_to_dt(u32 mode)
{
    return (mode & S_IFMT) >> 12;
}
