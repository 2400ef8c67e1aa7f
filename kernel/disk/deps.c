// Ordering: what a cached block came to own, or stopped owning, since it was last durable. A block
// may be written once all that was added is initialised; what was removed is free once the write is
// durable.
#include "disk/xn.h"

struct dep *deps;
u32 deps_free;
enum { CHECK_BUDGET = 16384 };

static u32 node_new(void)
{
    u32 n = deps[0].next;
    deps[0].next = deps[n].next;
    deps_free--;
    return n;
}

static void node_free(u32 n)
{
    deps[n].next = deps[0].next;
    deps[0].next = n;
    deps_free++;
}

static void push(u32 ppn, struct dep v)
{
    u32 n = node_new(), head = registry[ppn].deps;
    v.next = head;
    v.length = head ? deps[head].length + 1 : 1;
    deps[n] = v;
    registry[ppn].deps = n;
}

// Unlinks the node at *at of ppn's list.
static void cut(u32 ppn, u32 *at)
{
    u32 n = *at, length = deps[registry[ppn].deps].length - 1;
    *at = deps[n].next;
    if (registry[ppn].deps)
        deps[registry[ppn].deps].length = length;
    node_free(n);
}

bool dep_room(u32 ppn, u32 n)
{
    u32 head = registry[ppn].deps;
    return (head ? deps[head].length : 0) + n <= DEPS_PER_BLOCK;
}

void dep_add(u32 ppn, u8 kind, u64 block, u32 count, u8 flags)
{
    struct dep *h = &deps[registry[ppn].deps];
    if (registry[ppn].deps && h->kind == kind && h->flags == flags &&
        h->block + h->count == block && h->count + count > count) {
        h->count += count;
        return;
    }
    push(ppn, (struct dep){.block = block, .count = count, .kind = kind, .flags = flags});
}

static u32 overlap(const struct dep *e, u64 block, u32 count)
{
    u64 from = XN_MAX(e->block, block), to = XN_MIN(e->block + e->count, block + count);
    return from < to ? to - from : 0;
}

bool dep_fresh(u32 ppn, u64 block, u32 count)
{
    u32 covered = 0;
    for (u32 n = registry[ppn].deps; n; n = deps[n].next)
        if (deps[n].kind == DEP_ADD && !deps[n].flags)
            covered += overlap(&deps[n], block, count);
    return covered == count;
}

void dep_subtract(u32 ppn, u64 block, u32 count)
{
    for (u32 *at = &registry[ppn].deps; *at;) {
        struct dep *e = &deps[*at];
        if (e->kind != DEP_ADD || !overlap(e, block, count)) {
            at = &e->next;
            continue;
        }
        u64 end = e->block + e->count, after = block + count;
        bool head = e->block<block, tail = end> after;
        if (head && tail) {
            push(ppn,
                 (struct dep){
                     .block = after, .count = end - after, .kind = DEP_ADD, .flags = e->flags});
            if (at == &registry[ppn].deps)
                at = &deps[*at].next;
        }
        if (head) {
            e->count = block - e->block;
            e->checked = XN_MIN(e->checked, e->count);
        } else if (tail) {
            e->count = end - after, e->block = after;
            e->checked = 0;
        } else {
            cut(ppn, at);
            continue;
        }
        at = &e->next;
    }
}

void dep_recheck(u32 ppn, u64 block, u32 count)
{
    for (u32 n = registry[ppn].deps; n; n = deps[n].next)
        if (deps[n].kind == DEP_ADD && overlap(&deps[n], block, count))
            deps[n].checked = 0;
}

void dep_drop_all(u32 ppn)
{
    while (registry[ppn].deps)
        cut(ppn, &registry[ppn].deps);
}

void block_free(struct disk *d, u64 block)
{
    d->map[block] = XOK_T_FREE;
    d->info->free++;
}

static void extent_free(struct disk *d, u64 block, u32 count)
{
    for (u32 i = 0; i < count; i++)
        block_free(d, block + i);
}

// The child is freed: what it stopped owning is free as soon as nothing on the disk leads there:
// when the parent is durable, or now if the child was never reachable.
void dep_inherit(struct disk *d, u32 parent, u32 child, bool fresh)
{
    while (registry[child].deps) {
        struct dep e = deps[registry[child].deps];
        cut(child, &registry[child].deps);
        if (e.kind == DEP_ADD)
            continue;
        if (fresh)
            extent_free(d, e.block, e.count);
        else
            dep_add(parent, DEP_REMOVE, e.block, e.count, 0);
    }
}

void dep_sent(u32 ppn, bool ok)
{
    for (u32 n = registry[ppn].deps; n; n = deps[n].next)
        deps[n].flags = ok ? DEP_SENT | DEP_MAYBE : deps[n].flags & ~DEP_SENT;
}

static bool initialised(struct disk *d, u64 block, u32 ring)
{
    u8 m = d->map[block], type = m & XOK_MAP_TYPE;
    u32 child = type >= XOK_T_FIRST || m & XOK_MAP_UNINIT ? cached(d, block) : 0;
    if (child && m & XOK_MAP_UNINIT)
        settle_now(d, child);
    m = d->map[block];
    if (m & XOK_MAP_WILLFREE || type == XOK_T_RESERVED || (child && ring_has(ring, child)))
        return true;
    return !(m & XOK_MAP_UNINIT) && !(child && registry[child].flags & XOK_B_FLOATING);
}

s64 order_check(struct disk *d, u32 ppn, u32 ring)
{
    u32 budget = CHECK_BUDGET;
    for (u32 n = registry[ppn].deps; n; n = deps[n].next) {
        struct dep *e = &deps[n];
        for (; e->kind == DEP_ADD && e->checked < e->count; e->checked++) {
            if (!initialised(d, e->block + e->checked, ring))
                return XOK_E_TAINT;
            if (!budget--)
                return XOK_E_AGAIN;
        }
    }
    return 0;
}

// The pointers of this ADD are durable. What they lead to can be reached, if the block that holds them can.
static bool reached(struct disk *d, const struct dep *e, bool loose)
{
    for (u32 i = 0; i < e->count; i++) {
        bool meta = (d->map[e->block + i] & XOK_MAP_TYPE) >= XOK_T_FIRST;
        u32 child = meta ? cached(d, e->block + i) : 0;
        struct xok_block *b = &registry[child];
        if (!child || !(b->flags & XOK_B_LOOSE))
            continue;
        if (loose)
            return false;
        b->flags &= ~XOK_B_LOOSE, b->parent = 0;
        if (b->deps && !b->writes && !(b->flags & XOK_B_SETTLING))
            queue_put(d, &d->settle_list, child); // its own children are next
    }
    return true;
}

// The last write of this block is durable, or was made needless.
void settle_entry(struct disk *d, u32 ppn)
{
    u64 block = XOK_BLOCK_NUMBER(registry[ppn].block);
    d->map[block] &= ~XOK_MAP_UNINIT;
    for (u32 *at = &registry[ppn].deps; *at;) {
        struct dep *e = &deps[*at];
        bool floating = registry[ppn].flags & XOK_B_FLOATING, loose = registry[ppn].flags & XOK_B_LOOSE;
        bool keep = !(e->flags & DEP_SENT) ||
                    (e->kind == DEP_ADD && ((floating && e->checked < e->count) || !reached(d, e, loose || floating)));
        if (keep) {
            at = &e->next;
            continue;
        }
        if (e->kind == DEP_REMOVE)
            extent_free(d, e->block, e->count);
        cut(ppn, at);
    }
}

void settle_now(struct disk *d, u32 ppn)
{
    u16 flags = registry[ppn].flags;
    if (!(flags & XOK_B_SETTLING) || (flags >> XOK_B_COLOUR & 3) != d->settle_colour)
        return;
    queue_take(d, ppn);
    if (!registry[ppn].writes)
        settle_entry(d, ppn);
}

void settle(struct disk *d, u32 budget)
{
    while (d->settle_list && budget--) {
        u32 ppn = d->settle_list;
        queue_take(d, ppn);
        if (!registry[ppn].writes)
            settle_entry(d, ppn);
    }
}
