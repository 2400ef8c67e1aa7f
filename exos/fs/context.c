// Where a process stands: working directory, root, umask. Changed under ns_lock.
#include "fs/vfs.h"

struct fsctx *fsctx_new(void)
{
    struct fsctx *c = heap_alloc(sizeof *c);
    if (!c)
        return NULL;
    c->refs = 1;
    c->umask = 022;
    c->cwd = c->root = (struct path){root_mount, root_mount->root};
    path_get(&c->cwd);
    path_get(&c->root);
    return c;
}

struct fsctx *fsctx_fork(struct fsctx *from)
{
    struct fsctx *c = heap_alloc(sizeof *c);
    if (!c)
        return NULL;
    lock_take(&ns_lock);
    *c = *from;
    c->refs = 1;
    path_get(&c->cwd);
    path_get(&c->root);
    lock_drop(&ns_lock);
    return c;
}

struct fsctx *fsctx_share(struct fsctx *c)
{
    __atomic_add_fetch(&c->refs, 1, __ATOMIC_RELAXED);
    return c;
}

void fsctx_put(struct fsctx *c)
{
    if (__atomic_sub_fetch(&c->refs, 1, __ATOMIC_ACQ_REL))
        return;
    path_put(&c->cwd);
    path_put(&c->root);
    heap_free(c);
}

// Takes over to's reference.
void fsctx_move(struct path *which, struct path *to)
{
    lock_take(&ns_lock);
    struct path old = *which;
    *which = *to;
    lock_drop(&ns_lock);
    path_put(&old);
}
