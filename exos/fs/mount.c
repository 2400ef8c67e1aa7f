// Mounts: which tree covers which directory. Few, so a list; records are never freed (a mount that was
// taken away may still be walked by somebody inside it).
#include "fs/vfs.h"

struct list mounts = {&mounts, &mounts};
struct mount *root_mount;
static u32 next_id = 20;

struct mount *mount_at(struct mount *parent, struct dentry *point)
{
    struct mount *found = NULL;
    list_for(it, &mounts) {
        struct mount *m = container_of(it, struct mount, link);
        if (m->parent == parent && m->point == point)
            found = m;
    }
    return found;
}

// Under ns_lock, or before anybody else runs. Takes over the reference to root.
struct mount *mount_add(struct mount *parent, struct dentry *point, struct dentry *root, struct super *sb, u32 flags)
{
    struct mount *m = heap_alloc(sizeof *m);
    if (!m)
        return NULL;
    m->parent = parent;
    m->point = point ? dentry_get(point) : NULL;
    m->root = root;
    m->sb = sb;
    m->id = next_id++;
    m->flags = flags;
    if (point)
        point->flags |= DENTRY_MOUNT;
    list_add_tail(&mounts, &m->link);
    ns_generation++;
    return m;
}

// Only what nobody stands in or has mounted upon, unless detached: then it lives on for those inside.
s64 mount_remove(struct mount *m, bool detach)
{
    if (m == root_mount || !m->parent)
        return -EINVAL;
    list_for(it, &mounts) {
        struct mount *over = container_of(it, struct mount, link);
        if (over->parent == m)
            return -EBUSY;
    }
    if (m->refs && !detach)
        return -EBUSY;
    struct dentry *point = m->point;
    list_del(&m->link);
    bool others = false;
    list_for(it, &mounts)
        others |= container_of(it, struct mount, link)->point == point;
    if (!others)
        point->flags &= ~DENTRY_MOUNT;
    ns_generation++;
    return 0;
}

s64 anon_path(struct mount *m, struct inode *i, struct path *out)
{
    struct dentry *d = dentry_new(NULL, "", 0, 0);
    if (!d)
        return -ENOMEM;
    d->inode = i;
    __atomic_add_fetch(&m->refs, 1, __ATOMIC_RELAXED);
    *out = (struct path){m, d};
    return 0;
}
