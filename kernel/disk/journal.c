// Writing several blocks together, or one block untorn. Copies go to one of two journal slots with
// a descriptor; once that is durable the blocks go to their places. While a slot is intact a mount
// would write its blocks again, so those blocks go through the journal as long as it holds them
// (XOK_B_JOURNALED). The flush of each group also covers the blocks of the group before in their
// places, whose slot the next one takes.
#include "disk/xn.h"
#include "disk/format.h"

enum { RETRIES = 8 };

u64 checksum(u64 sum, const void *data, u64 len)
{
    const u64 *w = data;
    for (u64 i = 0; i < len / 8; i++) {
        sum = (sum ^ w[i]) * 0x9fb21c651e98df25ul;
        sum ^= sum >> 29;
    }
    return sum;
}

static u64 bloom_bit(u64 block)
{
    return 1ul << (block * 0x9e3779b97f4a7c15ul >> 58);
}

bool group_past(struct disk *d, u64 block)
{
    struct group *g = &d->group;
    if (!(g->bloom & bloom_bit(block)))
        return false;
    for (u32 s = 0; s < 2; s++)
        for (u32 i = 0; i < g->pasts[s]; i++)
            if (g->past[s][i] == block)
                return true;
    return false;
}

// The new group's blocks replace those that its slot held.
static void past_replace(struct disk *d)
{
    struct group *g = &d->group;
    u32 s = g->seq & 1, old = g->pasts[s];
    u64 was[XOK_GROUP_MAX];
    memcpy(was, g->past[s], old * sizeof was[0]);
    g->pasts[s] = g->count;
    for (u32 i = 0; i < g->count; i++)
        g->past[s][i] = XOK_BLOCK_NUMBER(registry[g->entry[i]].block);
    g->bloom = 0;
    for (u32 t = 0; t < 2; t++)
        for (u32 i = 0; i < g->pasts[t]; i++)
            g->bloom |= bloom_bit(g->past[t][i]);
    for (u32 i = 0; i < old; i++) {
        u32 p = cached(d, was[i]);
        if (p && !group_past(d, was[i]))
            registry[p].flags &= ~XOK_B_JOURNALED;
    }
    for (u32 i = 0; i < g->count; i++)
        registry[g->entry[i]].flags |= XOK_B_JOURNALED;
}

static s64 member_check(struct disk *d, const struct who *w, u32 p, u32 ring)
{
    struct xok_block *b = &registry[p];
    if (b->writes || !(b->flags & XOK_B_VALID))
        return XOK_E_BUSY;
    if (b->flags & XOK_B_HELD && !xn_page_over(w, p, XOK_W))
        return XOK_E_CAP;
    return b->flags & XOK_B_FLOATING ? 0 : order_check(d, p, ring);
}

static void frames_drop(struct group *g, u32 from)
{
    for (u32 i = from; i <= g->count; i++)
        xn_frame_free(g->page[i]);
    g->count = from - 1;
}

static bool copy_in_group(struct group *g, u32 p)
{
    u32 frame = xn_frame_new();
    if (!frame)
        return false;
    memcpy(xn_page(frame), xn_page(p), XOK_BLOCK_SIZE);
    g->page[g->count + 1] = frame;
    g->entry[g->count++] = p;
    return true;
}

s64 group_add(struct disk *d, const struct who *w, u32 ppn, u64 word)
{
    struct group *g = &d->group;
    u32 first = g->count, p = ppn;
    if (g->state == GROUP_BUSY ||
        (g->state == GROUP_FILLING && g->count + ring_size(ppn) > XOK_GROUP_MAX))
        return XOK_E_AGAIN;
    do {
        s64 r = member_check(d, w, p, ppn);
        if (r)
            return r;
        p = registry[p].tied;
    } while (p != ppn);
    if (g->state == GROUP_IDLE) {
        g->page[0] = xn_frame_new();
        if (!g->page[0])
            return XOK_E_NOMEM;
        first = g->count = 0, g->ops = 0, g->word = word;
        g->state = GROUP_FILLING;
    }
    bool ok = true;
    do {
        ok = copy_in_group(g, p);
        p = registry[p].tied;
    } while (ok && p != ppn);
    if (!ok) {
        frames_drop(g, first + 1);
        if (!g->count) {
            xn_frame_free(g->page[0]);
            g->state = GROUP_IDLE;
        }
        return XOK_E_NOMEM;
    }
    for (u32 i = first; i < g->count; i++) {
        u32 m = g->entry[i];
        entry_clean(d, m);
        registry[m].writes++;
        registry[m].flags &= ~XOK_B_ATOMIC;
        registry[m].tied = m;
        dep_sent(m, true);
    }
    g->ops++;
    return 1;
}

static void finished(struct disk *d)
{
    frames_drop(&d->group, 0);
    d->group.count = 0;
    d->group.state = GROUP_IDLE;
}

static void placed(struct req *r, bool ok);

// The journal must hold what is not in its place: a write that fails is tried again, and if that does not help
// nothing more is written, so that the next mount finds the slot intact.
static bool again(struct req *r)
{
    struct disk *d = r->disk;
    struct req *n = d->group.retries < RETRIES ? req_new(d, REQ_WRITE) : NULL;
    if (!n) {
        d->info->features |= XOK_DISK_READONLY;
        d->info->error = XOK_E_IO;
        return false;
    }
    d->group.retries++;
    n->block = r->block, n->count = r->count, n->done = placed;
    memcpy(n->page, r->page, r->count * sizeof r->page[0]);
    memcpy(n->entry, r->entry, r->count * sizeof r->entry[0]);
    req_submit(n);
    return true;
}

static void placed(struct req *r, bool ok)
{
    struct disk *d = r->disk;
    if (!ok && again(r))
        return;
    for (u32 i = 0; i < r->count; i++)
        written(d, r->entry[i], ok);
    d->group.inflight--;
    if (!d->group.inflight)
        finished(d);
}

static void tell(struct disk *d, bool ok)
{
    struct group *g = &d->group;
    xn_word_done(g->word, g->ops, ok ? 0 : g->ops);
}

// What the journal says is lost or unknown: nothing more is written to this disk.
static void failed(struct disk *d)
{
    struct group *g = &d->group;
    d->info->features |= XOK_DISK_READONLY;
    d->info->error = XOK_E_IO;
    for (u32 i = 0; i < g->count; i++)
        written(d, g->entry[i], false);
    tell(d, false);
    finished(d);
}

// The journal is durable: so are the blocks, whatever happens. They go to their places, neighbours
// together.
void group_flushed(struct disk *d, bool ok)
{
    struct group *g = &d->group;
    if (!ok) {
        failed(d);
        return;
    }
    past_replace(d);
    for (u32 i = 0; i < g->count; i++)
        settle_entry(d, g->entry[i]);
    tell(d, true);
    struct req *r = NULL;
    g->retries = 0;
    g->inflight = 1; // until all are submitted
    for (u32 i = 0; i < g->count; i++) {
        u64 block = XOK_BLOCK_NUMBER(registry[g->entry[i]].block);
        if (r && r->block + r->count != block) {
            req_submit(r);
            r = NULL;
        }
        if (!r) {
            r = req_new(d, REQ_WRITE); // RESERVE holds enough
            r->block = block, r->done = placed;
            g->inflight++;
        }
        r->page[r->count] = g->page[i + 1];
        r->entry[r->count++] = g->entry[i];
    }
    if (r)
        req_submit(r);
    if (!--g->inflight)
        finished(d);
}

static void journaled(struct req *r, bool ok)
{
    if (ok)
        flush_for_group(r->disk);
    else
        failed(r->disk);
}

void group_commit(struct disk *d, u64 word)
{
    struct group *g = &d->group;
    if (g->state != GROUP_FILLING)
        return;
    g->state = GROUP_BUSY;
    xn_word_pin(word);
    struct journal_block *j = xn_page(g->page[0]);
    memset(j, 0, XOK_BLOCK_SIZE);
    j->magic = JOURNAL_MAGIC, j->seq = ++g->seq, j->count = g->count;
    for (u32 i = 0; i < g->count; i++)
        j->block[i] = XOK_BLOCK_NUMBER(registry[g->entry[i]].block);
    u64 sum = checksum(0, j, XOK_BLOCK_SIZE);
    for (u32 i = 0; i < g->count; i++)
        sum = checksum(sum, xn_page(g->page[i + 1]), XOK_BLOCK_SIZE);
    j->sum = sum;
    struct req *r = req_new(d, REQ_WRITE);
    r->block = JOURNAL + (j->seq & 1) * SLOT_BLOCKS;
    r->count = g->count + 1;
    memcpy(r->page, g->page, r->count * sizeof r->page[0]);
    r->done = journaled;
    req_submit(r);
}
