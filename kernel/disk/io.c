// Lists of input and output, requests to the device, and flushes.
#include "disk/xn.h"

enum { RESERVE = 80, SETTLE_STEP = 64 }; // requests kept for the journal and flushes
static struct req pool[REQUESTS], *pool_free;
static bool pool_ready;
static u32 pool_left;

// ---- requests
static void pool_init(void)
{
    for (u32 i = 0; !pool_ready && i < REQUESTS; i++) {
        pool[i].next = pool_free;
        pool_free = &pool[i];
        pool_left++;
    }
    pool_ready = true;
}

struct req *req_new(struct disk *d, u8 op)
{
    pool_init();
    struct req *r = pool_free;
    if (!r)
        return NULL;
    pool_free = r->next;
    pool_left--;
    r->disk = d, r->next = NULL, r->done = NULL, r->block = 0, r->count = 0, r->op = op;
    r->durable = false, r->word = 0, r->ops = 0;
    return r;
}

void req_free(struct req *r)
{
    r->next = pool_free;
    pool_free = r;
    pool_left++;
}

static void queue_drain(struct disk *d)
{
    while (d->queue && d->submit(d, d->queue)) {
        d->queue = d->queue->next;
        if (!d->queue)
            d->queue_end = &d->queue;
    }
}

void req_submit(struct req *r)
{
    struct disk *d = r->disk;
    d->info->requests[r->op]++;
    if (r->op == REQ_READ || r->op == REQ_WRITE)
        d->info->moved[r->op] += r->count;
    if (r->op == REQ_WRITE) {
        r->parity = d->parity;
        d->writes[d->parity]++;
    }
    if (r->word)
        xn_word_pin(r->word);
    r->next = NULL;
    if (!d->queue)
        d->queue_end = &d->queue;
    *d->queue_end = r;
    d->queue_end = &r->next;
    queue_drain(d);
}

static void flush_issue(struct disk *d);

void xn_complete(struct req *r, bool ok)
{
    struct disk *d = r->disk;
    d->info->errors += !ok;
    d->info->seq++;
    bool write = r->op == REQ_WRITE;
    u8 parity = r->parity;
    r->done(r, ok);
    if (r->word)
        xn_word_done(r->word, r->ops, ok ? 0 : r->ops);
    req_free(r);
    if (write) {
        d->writes[parity]--;
        flush_issue(d);
    }
    queue_drain(d);
    xn_changed(d);
}

// ---- flushes
// A flush makes durable what was complete when it was submitted. Whoever asks waits for a round:
// the writes under way are let finish (they carry the other parity), then the device is flushed.
// Who asks meanwhile waits for the next round.
static void round_start(struct disk *d);

static void round_done(struct disk *d, bool ok)
{
    bool group = d->group_now;
    d->group_now = false;
    settle(d, ~0u); // what the last flush left over
    if (ok) {
        d->info->flushed++;
        d->settle_list = d->covered_list, d->settle_colour = d->covered_colour;
        d->covered_list = 0;
    }
    while (d->covered_list) {
        u32 ppn = d->covered_list;
        queue_take(d, ppn);
        queue_put(d, &d->done_list, ppn);
    }
    d->round = ROUND_NONE;
    for (u32 i = 0; i < d->nows; i++)
        xn_word_done(d->now[i].word, d->now[i].ops, ok ? 0 : d->now[i].ops);
    d->nows = 0;
    if (group)
        group_flushed(d, ok);
    settle(d, SETTLE_STEP);
    round_start(d);
}

static void flush_done(struct req *r, bool ok)
{
    round_done(r->disk, ok);
}

static void flush_issue(struct disk *d)
{
    if (d->round != ROUND_DRAINING || d->writes[!d->parity])
        return;
    d->round = ROUND_FLUSHING;
    d->covered_list = d->done_list, d->covered_colour = d->done_colour;
    d->done_list = 0;
    while (d->done_colour == d->covered_colour || d->done_colour == d->settle_colour)
        d->done_colour = (d->done_colour + 1) % 3;
    struct req *r = d->info->features & XOK_DISK_FLUSH ? req_new(d, REQ_FLUSH) : NULL;
    if (!r) {
        round_done(d, !(d->info->features & XOK_DISK_FLUSH));
        return;
    }
    r->done = flush_done;
    req_submit(r);
}

static void round_start(struct disk *d)
{
    if (d->round != ROUND_NONE || (!d->laters && !d->group_later))
        return;
    memcpy(d->now, d->later, d->laters * sizeof d->now[0]);
    d->nows = d->laters, d->laters = 0;
    d->group_now = d->group_later, d->group_later = false;
    d->parity ^= 1;
    d->round = ROUND_DRAINING;
    flush_issue(d);
}

bool flush_for(struct disk *d, u64 word, u32 ops)
{
    if (d->laters == WAITERS)
        return false;
    xn_word_pin(word);
    d->later[d->laters++] = (struct waiter){word, ops};
    round_start(d);
    return true;
}

void flush_for_group(struct disk *d)
{
    d->group_later = true;
    round_start(d);
}

// ---- what became of a block
void written(struct disk *d, u32 ppn, bool ok)
{
    struct xok_block *b = &registry[ppn];
    b->writes--;
    if (!ok) {
        b->flags |= XOK_B_ERROR;
        entry_dirty(d, ppn);
        dep_sent(ppn, false);
        return;
    }
    b->flags &= ~XOK_B_ERROR;
    if (!b->deps && !(d->map[XOK_BLOCK_NUMBER(b->block)] & XOK_MAP_UNINIT))
        return;
    queue_take(d, ppn);
    queue_put(d, d->info->features & XOK_DISK_FLUSH ? &d->done_list : &d->settle_list, ppn);
}

static void write_done(struct req *r, bool ok)
{
    for (u32 i = 0; i < r->count; i++) {
        written(r->disk, r->entry[i], ok);
        if (r->page[i] != r->entry[i])
            xn_frame_free(r->page[i]);
    }
    settle(r->disk, SETTLE_STEP);
    if (ok && r->durable && flush_for(r->disk, r->word, r->ops))
        r->ops = 0;
}

static void read_done(struct req *r, bool ok)
{
    for (u32 i = 0; i < r->count; i++) {
        u16 *flags = &registry[r->page[i]].flags;
        *flags = (*flags & ~XOK_B_READING) | (ok ? XOK_B_VALID : XOK_B_ERROR);
    }
}

static void discard_done(struct req *r, bool ok)
{
    (void)ok; // a hint
    for (u32 i = 0; i < r->count; i++)
        block_free(r->disk, r->block + i);
}

// ---- lists
struct list { // one call
    const struct who *who;
    struct disk *d;
    u64 word;
    struct req *open; // request that neighbours may still join
    u32 now;          // ops that are done already
    // The last tuple that a parent was asked for, and the right that was found.
    u64 parent;
    u32 at, rights;
    struct xok_owns tuple;
};
enum { QUEUED = 1 };

static bool is_meta(u32 type)
{
    return type >= XOK_T_FIRST;
}

static void close_request(struct list *l)
{
    if (l->open)
        req_submit(l->open);
    l->open = NULL;
}

static s64 enqueue(struct list *l, u8 op, u64 block, u32 page, u32 entry, bool durable)
{
    static void (*const done[])(struct req *, bool) = {read_done, write_done, NULL, discard_done};
    struct req *r = l->open;
    if (r && (r->op != op || r->block + r->count != block || r->count == SEGMENTS ||
              r->durable != durable)) {
        close_request(l);
        r = NULL;
    }
    if (!r) {
        r = l->open = req_new(l->d, op); // can_request was asked
        r->block = block, r->durable = durable, r->word = l->word, r->done = done[op];
    }
    r->page[r->count] = page, r->entry[r->count] = entry;
    r->count++, r->ops++;
    return QUEUED;
}

static bool can_request(void)
{
    pool_init();
    return pool_left > RESERVE;
}

// The cached block `o->parent` owns o->block, and lets the caller have `rights` to it.
static s64 vouch(struct list *l, const struct xok_io *o, u32 rights, u32 *type, bool *floating)
{
    struct disk *d = l->d;
    if (o->parent == XOK_BLOCK_NONE) { // a temporary root
        u32 i = root_of(d, o->block);
        *type = d->map[o->block] & XOK_MAP_TYPE;
        *floating = true;
        return i < XOK_ROOTS && d->info->root[i].parent == XOK_BLOCK_NONE &&
                       root_owner(d, i, l->who)
                   ? 0
                   : XOK_E_CAP;
    }
    u32 p = o->parent < d->info->blocks ? cached(d, o->parent) : 0;
    if (!p || !(registry[p].flags & XOK_B_VALID))
        return XOK_E_CACHE;
    if (!is_meta(registry[p].type) || o->at >= XOK_BLOCK_SIZE)
        return XOK_E_ARG;
    *floating = registry[p].flags & XOK_B_FLOATING;
    bool known =
        o->parent == l->parent && o->at == l->at && o->block - l->tuple.block < l->tuple.count;
    if (!known && !owns_child(d, p, o->at, o->block, &l->tuple))
        return XOK_E_OWNS;
    if (!known)
        l->rights = 0;
    l->parent = o->parent, l->at = o->at;
    *type = l->tuple.type;
    if (l->tuple.type == XOK_T_RESERVED || (d->map[o->block] & ~XOK_MAP_UNINIT) != l->tuple.type)
        return XOK_E_OWNS;
    if (registry[p].type == XOK_T_XN)
        return root_vouch(d, l->who, o->block, o->op);
    for (u32 right = XOK_R; right <= XOK_W; right <<= 1) {
        struct xok_udf u = {.block = o->block, .type = l->tuple.type};
        if (!(rights & right & ~l->rights))
            continue;
        if (!acl_ok(d, p, right == XOK_R ? XOK_ACL_READ : XOK_ACL_WRITE, l->who, &u))
            return XOK_E_CAP;
        l->rights |= right;
    }
    return 0;
}

// A page for a block that comes into the registry. Data in a page of the caller's own: it may write
// it anyway.
static s64 page_for(struct list *l, const struct xok_io *o, bool lent, bool zero, u32 *ppn)
{
    *ppn = o->ppn;
    if (o->ppn)
        return xn_page_lend(l->who, o->ppn, !lent);
    *ppn = xn_page_new(l->who, zero);
    return *ppn ? 0 : XOK_E_NOMEM;
}

static s64 io_bind(struct list *l, const struct xok_io *o)
{
    u32 p = cached(l->d, o->block), type;
    bool floating;
    if (!p)
        return XOK_E_CACHE;
    bool write = o->flags & XOK_IO_WRITABLE;
    if (write && is_meta(registry[p].type))
        return XOK_E_ARG;
    u32 rights = write ? XOK_R | XOK_W : XOK_R;
    s64 r = vouch(l, o, rights, &type, &floating);
    if (!r)
        r = xn_page_allow(l->who, p, rights);
    if (r)
        return r;
    registry[p].flags &= ~XOK_B_UNSEEN;
    registry[p].flags |= floating && is_meta(type) ? XOK_B_FLOATING : 0;
    return 0;
}

static s64 io_read(struct list *l, const struct xok_io *o)
{
    u32 type, ppn;
    bool floating;
    if (cached(l->d, o->block))
        return io_bind(l, o);
    u32 rights = o->ppn || o->flags & XOK_IO_WRITABLE ? XOK_R | XOK_W : XOK_R;
    if (is_meta(l->d->map[o->block] & XOK_MAP_TYPE))
        rights = XOK_R;
    s64 r = vouch(l, o, rights, &type, &floating);
    if (r)
        return r;
    if (l->d->map[o->block] & XOK_MAP_UNINIT)
        return XOK_E_CACHE; // there is nothing to read yet: NEW
    if (!can_request())
        return XOK_E_AGAIN;
    bool lent = o->ppn && !is_meta(type);
    r = page_for(l, o, lent, false, &ppn);
    if (!r && !lent && xn_page_allow(l->who, ppn, rights)) // its first entry: cannot fail
        r = XOK_E_FULL;
    if (r)
        return r;
    entry_insert(l->d, o->block, ppn, type,
                 XOK_B_READING | (lent ? XOK_B_LENT : 0) |
                     (floating && is_meta(type) ? XOK_B_FLOATING : 0));
    return enqueue(l, REQ_READ, o->block, ppn, ppn, false);
}

static s64 io_new(struct list *l, const struct xok_io *o)
{
    u32 type, ppn;
    bool floating;
    if (cached(l->d, o->block))
        return XOK_E_BUSY;
    u8 m = l->d->map[o->block];
    bool meta = is_meta(m & XOK_MAP_TYPE);
    if (meta && !(m & XOK_MAP_UNINIT))
        return XOK_E_BUSY; // its content is on the disk
    s64 r = vouch(l, o, meta ? XOK_R : XOK_R | XOK_W, &type, &floating);
    if (r)
        return r;
    bool lent = o->ppn && !meta;
    r = page_for(l, o, lent, true, &ppn);
    if (r)
        return r;
    if (meta)
        memset(xn_page(ppn), 0, XOK_BLOCK_SIZE);
    if (!lent)
        xn_page_allow(l->who, ppn, meta ? XOK_R : XOK_R | XOK_W);
    entry_insert(l->d, o->block, ppn, type,
                 XOK_B_VALID | XOK_B_DIRTY | (lent ? XOK_B_LENT : 0) |
                     (floating && meta ? XOK_B_FLOATING : 0) | (meta ? XOK_B_LOOSE : 0));
    registry[ppn].parent = meta && o->parent != XOK_BLOCK_NONE ? cached(l->d, o->parent) : 0;
    return 0;
}

static s64 io_prefetch(struct list *l, const struct xok_io *o)
{
    u8 m = l->d->map[o->block], type = m & XOK_MAP_TYPE;
    u32 ppn;
    if (cached(l->d, o->block))
        return 0;
    if (m & ~XOK_MAP_TYPE || m == XOK_T_FREE || type == XOK_T_RESERVED || type >= XOK_T_XN)
        return XOK_E_ARG;
    if (!can_request())
        return XOK_E_AGAIN;
    s64 r = page_for(l, o, false, false, &ppn);
    if (r)
        return r;
    entry_insert(l->d, o->block, ppn, type, XOK_B_READING | XOK_B_UNSEEN);
    return enqueue(l, REQ_READ, o->block, ppn, ppn, false);
}

static s64 io_dirty(struct list *l, u32 p)
{
    if (!p)
        return XOK_E_CACHE;
    if (is_meta(registry[p].type))
        return XOK_E_ARG;
    if (!xn_page_may(l->who, p, XOK_W))
        return XOK_E_CAP;
    if (!(registry[p].flags & XOK_B_VALID))
        return XOK_E_AGAIN;
    entry_dirty(l->d, p);
    return 0;
}

static s64 io_write(struct list *l, const struct xok_io *o)
{
    struct disk *d = l->d;
    u32 p = cached(d, o->block), page = p;
    s64 r = o->flags & XOK_IO_WRITABLE ? io_dirty(l, p) : 0;
    if (r)
        return r;
    if (!p)
        return XOK_E_CACHE;
    struct xok_block *b = &registry[p];
    if (!(b->flags & XOK_B_DIRTY))
        return 0;
    if (b->flags & XOK_B_HELD && !xn_page_over(l->who, p, XOK_W))
        return XOK_E_CAP;
    if (b->writes)
        return XOK_E_BUSY;
    if (b->tied != p || b->flags & (XOK_B_ATOMIC | XOK_B_JOURNALED)) {
        close_request(l);
        return group_add(d, l->who, p, l->word);
    }
    r = b->flags & XOK_B_FLOATING ? 0 : order_check(d, p, p);
    if (r)
        return r;
    if (!can_request())
        return XOK_E_AGAIN;
    if (is_meta(b->type)) { // it may change meanwhile: what is written is as it was
        page = xn_frame_new();
        if (!page)
            return XOK_E_NOMEM;
        memcpy(xn_page(page), xn_page(p), XOK_BLOCK_SIZE);
    }
    entry_clean(d, p);
    b->writes++;
    dep_sent(p, true);
    return enqueue(l, REQ_WRITE, o->block, page, p, o->flags & XOK_IO_DURABLE);
}

static s64 io_drop(struct list *l, u32 p)
{
    if (!p)
        return XOK_E_CACHE;
    struct xok_block *b = &registry[p];
    if (!xn_page_over(l->who, p, XOK_W))
        return XOK_E_CAP;
    settle_now(l->d, p);
    if (b->flags & (XOK_B_DIRTY | XOK_B_SETTLING | XOK_B_FLOATING | XOK_B_LOOSE))
        return XOK_E_TAINT;
    if (b->writes || b->deps || b->tied != p || b->flags & (XOK_B_READING | XOK_B_PINNED) ||
        xn_page_shared(p))
        return XOK_E_BUSY;
    entry_remove(l->d, p);
    return 0;
}

static s64 io_discard(struct list *l, const struct xok_io *o)
{
    struct disk *d = l->d;
    if (d->map[o->block] != XOK_T_FREE)
        return XOK_E_BUSY;
    if (!(d->info->features & XOK_DISK_DISCARD))
        return 0;
    if (group_past(d, o->block) || !can_request())
        return XOK_E_AGAIN;
    d->map[o->block] = XOK_T_BUSY;
    d->info->free--;
    return enqueue(l, REQ_DISCARD, o->block, 0, 0, false);
}

static s64 io_hold(struct list *l, u32 p, bool hold)
{
    if (!p)
        return XOK_E_CACHE;
    if (!xn_page_over(l->who, p, XOK_W))
        return XOK_E_CAP;
    registry[p].flags = hold ? registry[p].flags | XOK_B_HELD : registry[p].flags & ~XOK_B_HELD;
    return 0;
}

static s64 io_settle(struct list *l, u32 p)
{
    if (!p)
        return XOK_E_CACHE;
    struct xok_block *b = &registry[p];
    if (!(b->flags & XOK_B_FLOATING))
        return 0;
    settle_now(l->d, p);
    if (b->flags & (XOK_B_DIRTY | XOK_B_SETTLING) || b->writes ||
        l->d->map[XOK_BLOCK_NUMBER(b->block)] & XOK_MAP_UNINIT)
        return XOK_E_TAINT;
    s64 r = order_check(l->d, p, p);
    if (r)
        return r;
    b->flags &= ~XOK_B_FLOATING;
    settle_entry(l->d, p);
    return 0;
}

static s64 io_flush(struct list *l)
{
    close_request(l);
    group_commit(l->d, l->word);
    return flush_for(l->d, l->word, 1) ? QUEUED : XOK_E_AGAIN;
}

static s64 io_one(struct list *l, const struct xok_io *o)
{
    if (o->op == XOK_IO_FLUSH)
        return io_flush(l);
    if (o->block >= l->d->info->blocks)
        return XOK_E_ARG;
    bool changes = (1u << o->op) & (1u << XOK_IO_NEW | 1u << XOK_IO_WRITE | 1u << XOK_IO_DIRTY |
                                    1u << XOK_IO_DISCARD);
    if (changes && l->d->info->features & XOK_DISK_READONLY)
        return XOK_E_IO;
    u32 p = cached(l->d, o->block);
    switch (o->op) {
    case XOK_IO_READ: return io_read(l, o);
    case XOK_IO_NEW: return io_new(l, o);
    case XOK_IO_BIND: return io_bind(l, o);
    case XOK_IO_PREFETCH: return io_prefetch(l, o);
    case XOK_IO_WRITE: return io_write(l, o);
    case XOK_IO_DIRTY: return io_dirty(l, p);
    case XOK_IO_DROP: return io_drop(l, p);
    case XOK_IO_DISCARD: return io_discard(l, o);
    case XOK_IO_HOLD:
    case XOK_IO_RELEASE: return io_hold(l, p, o->op == XOK_IO_HOLD);
    case XOK_IO_SETTLE: return io_settle(l, p);
    default: return XOK_E_ARG;
    }
}

s64 xn_io(const struct who *w, struct disk *d, const struct xok_io *ops, u32 n, u64 word)
{
    struct list l = {.who = w, .d = d, .word = word, .parent = XOK_BLOCK_NONE};
    s64 r = 0;
    u32 i;
    if (!d->info || d->info->state != XOK_DISK_READY)
        return XOK_E_AGAIN;
    settle(d, SETTLE_STEP);
    for (i = 0; i < n; i++) {
        r = io_one(&l, &ops[i]);
        if (r < 0)
            break;
        l.now += r != QUEUED;
    }
    close_request(&l);
    group_commit(d, word);
    if (l.now) {
        xn_word_pin(word);
        xn_word_done(word, l.now, 0);
    }
    return i || r >= 0 ? (s64)i : r;
}
