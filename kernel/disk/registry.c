// The registry of cached blocks: an entry a page, found by block through a hash; rings of blocks
// that are written together; queues of blocks that wait to be durable.
#include "disk/xn.h"

struct disk disks[XOK_DISK_MAX];
struct xok_block *registry;
u64 registry_pages;
struct xok_registry_info *hash;

void registry_init(struct xok_block *entries, u64 pages, struct xok_registry_info *h, u32 bits,
                   struct dep *pool, u32 nodes)
{
    registry = entries, registry_pages = pages, hash = h, deps = pool;
    hash->bits = bits;
    for (u64 i = 0; i < pages; i++)
        registry[i].block = XOK_BLOCK_NONE;
    for (u32 i = nodes - 1; i; i--) { // node 0 is no node
        deps[i].next = deps[0].next;
        deps[0].next = i;
    }
    deps_free = nodes - 1;
}

static u32 *bucket_of(u64 block)
{
    return &hash->bucket[xok_block_hash(block, hash->bits)];
}

u32 cached(struct disk *d, u64 block)
{
    u64 b = XOK_BLOCK(d->index, block);
    u32 p = *bucket_of(b);
    while (p && registry[p].block != b)
        p = registry[p].next;
    return p;
}

void entry_insert(struct disk *d, u64 block, u32 ppn, u8 type, u16 flags)
{
    u32 *bucket = bucket_of(XOK_BLOCK(d->index, block));
    if (group_past(d, block))
        flags |= XOK_B_JOURNALED;
    registry[ppn] = (struct xok_block){
        .next = *bucket, .tied = ppn, .type = type, .flags = flags & ~XOK_B_DIRTY};
    __atomic_store_n(&registry[ppn].block, XOK_BLOCK(d->index, block), __ATOMIC_RELEASE);
    __atomic_store_n(bucket, ppn, __ATOMIC_RELEASE);
    hash->cached++;
    if (flags & XOK_B_DIRTY)
        entry_dirty(d, ppn);
}

void entry_remove(struct disk *d, u32 ppn)
{
    struct xok_block *b = &registry[ppn];
    u32 *at = bucket_of(b->block);
    while (*at != ppn)
        at = &registry[*at].next;
    *at = b->next;
    hash->cached--;
    entry_clean(d, ppn);
    ring_leave(ppn);
    queue_take(d, ppn);
    dep_drop_all(ppn);
    u32 flags = b->flags;
    *b = (struct xok_block){.block = XOK_BLOCK_NONE};
    if (flags & XOK_B_PINNED)
        xn_frame_free(ppn);
    else
        xn_page_back(ppn, flags & XOK_B_LENT);
}

void entry_dirty(struct disk *d, u32 ppn)
{
    d->info->dirty += !(registry[ppn].flags & XOK_B_DIRTY);
    registry[ppn].flags |= XOK_B_DIRTY;
}

void entry_clean(struct disk *d, u32 ppn)
{
    d->info->dirty -= !!(registry[ppn].flags & XOK_B_DIRTY);
    registry[ppn].flags &= ~XOK_B_DIRTY;
}

// ---- queues: XOK_B_SETTLING says that the entry is in one of the disk's three
void queue_put(struct disk *d, u32 *list, u32 ppn)
{
    struct xok_block *b = &registry[ppn];
    u32 colour = list == &d->settle_list ? d->settle_colour : d->done_colour;
    b->flags = (b->flags & ~(3u << XOK_B_COLOUR)) | XOK_B_SETTLING | colour << XOK_B_COLOUR;
    b->after = *list, b->before = 0;
    if (*list)
        registry[*list].before = ppn;
    *list = ppn;
}

void queue_take(struct disk *d, u32 ppn)
{
    struct xok_block *b = &registry[ppn];
    if (!(b->flags & XOK_B_SETTLING))
        return;
    if (b->after)
        registry[b->after].before = b->before;
    if (b->before)
        registry[b->before].after = b->after;
    else
        *(d->done_list == ppn      ? &d->done_list
          : d->covered_list == ppn ? &d->covered_list
                                   : &d->settle_list) = b->after;
    b->after = b->before = 0;
    b->flags &= ~XOK_B_SETTLING;
}

// ---- rings: circular lists of at most XOK_TIED_MAX
u32 ring_size(u32 ppn)
{
    u32 n = 1;
    for (u32 p = registry[ppn].tied; p != ppn; p = registry[p].tied)
        n++;
    return n;
}

bool ring_has(u32 ring, u32 ppn)
{
    for (u32 p = registry[ring].tied;; p = registry[p].tied) {
        if (p == ppn)
            return true;
        if (p == ring)
            return false;
    }
}

bool ring_fits(u32 a, u32 b)
{
    return ring_has(a, b) || ring_size(a) + ring_size(b) <= XOK_TIED_MAX;
}

void ring_join(u32 a, u32 b)
{
    if (ring_has(a, b))
        return;
    u32 next = registry[a].tied;
    registry[a].tied = registry[b].tied;
    registry[b].tied = next;
}

// A block that cannot be reached yet must not be where something else was moved to, or count an edge, before
// it can: it is written together with its parent, and that with its own.
u32 loose_parent(u32 ppn)
{
    return (registry[ppn].flags & (XOK_B_LOOSE | XOK_B_FLOATING)) == XOK_B_LOOSE ? registry[ppn].parent : 0;
}

static void tie_up(u32 ppn)
{
    u32 up;
    for (u32 n = 0; n < XOK_TIED_MAX && (up = loose_parent(ppn)); ppn = up, n++)
        ring_join(ppn, up);
}

void tie(u32 a, u32 b)
{
    ring_join(a, b);
    tie_up(a);
    tie_up(b);
}

void ring_leave(u32 ppn)
{
    u32 p = ppn;
    while (registry[p].tied != ppn)
        p = registry[p].tied;
    registry[p].tied = registry[ppn].tied;
    registry[ppn].tied = ppn;
}
