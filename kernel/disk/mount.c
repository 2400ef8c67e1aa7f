// Making a disk usable, in bounded steps that the caller repeats: format; mount, which finishes
// what the journal holds, loads the templates and finds by their functions alone what every root
// owns; unmount.
#include "disk/format.h"

enum { STACK = 8192, BATCH = 32, FRAMES = SLOT_BLOCKS, DROP_STEP = 16384 };
enum phase {
    P_SUPER,
    P_HEADS,
    P_SLOT,
    P_REPLAY,
    P_CLEAR,
    P_CLEARED,
    P_CLEAR_NEXT,
    P_CATALOGUE,
    P_CODE,
    P_ROOT,
    P_SCAN,
    P_FORMAT,
    P_FORMATTED,
    P_DROP
};

struct mount {
    struct disk *d; // NULL: idle
    enum phase phase;
    u32 inflight;
    bool failed, started;
    u32 frame[FRAMES];
    bool bad[FRAMES]; // could not be read
    u32 slot, slots, order[2];
    u32 type, root;
    // Metadata blocks found, not yet looked at. What does not fit stays marked UNINIT in the map.
    u64 stack[STACK], batch[BATCH];
    u32 depth, batched;
    bool overflow;
    u64 cursor;
    u64 secret, edges; // of this root: sum over references minus sum over counts, each times a
                       // random of the block
    bool damaged;
};
static struct mount m;
static struct xok_owns found[XOK_OWNS_MAX];

// ---- reading and writing with m's frames
static void arrived(struct req *r, bool ok)
{
    m.inflight--;
    m.failed |= !ok;
    for (u32 i = 0; i < r->count && r->op == REQ_READ; i++)
        m.bad[r->entry[i]] = !ok;
}

static void transfer(u8 op, u64 block, u32 count, u32 frame)
{
    struct req *r = req_new(m.d, op);
    if (!r) {
        m.failed = true;
        return;
    }
    m.inflight++;
    r->block = block, r->count = count, r->done = arrived;
    for (u32 i = 0; i < count; i++)
        r->page[i] = m.frame[frame + i], r->entry[i] = frame + i;
    req_submit(r);
}

static void flush(void)
{
    if (m.d->info->features & XOK_DISK_FLUSH)
        transfer(REQ_FLUSH, 0, 0, 0);
}

static void *frame(u32 i)
{
    return xn_page(m.frame[i]);
}

static bool begin(struct disk *d, enum phase phase)
{
    m.d = d, m.phase = phase;
    m.inflight = 0, m.failed = m.started = false;
    for (u32 i = 0; i < FRAMES; i++)
        if (!m.frame[i] && !(m.frame[i] = xn_frame_new()))
            return false;
    return true;
}

static s64 end(u32 state, s64 r)
{
    m.d->info->state = state;
    m.d->info->error = r;
    m.d->info->seq++;
    for (u32 i = 0; i < FRAMES; i++) {
        if (m.frame[i])
            xn_frame_free(m.frame[i]);
        m.frame[i] = 0;
    }
    xn_changed(m.d);
    m.d = NULL;
    return r;
}

static void forget(struct disk *d)
{
    types_unload(d);
    memset(d->info->type, 0, sizeof d->info->type);
    memset(d->info->root, 0, sizeof d->info->root);
    memset(&d->group, 0, sizeof d->group);
}

// ---- the map
static u64 fingerprint(u64 block)
{
    u64 x = (block + m.secret) * 0x9e3779b97f4a7c15ul;
    x = (x ^ x >> 31) * 0xbf58476d1ce4e5b9ul;
    return x ^ x >> 29;
}

static void push(u64 block)
{
    if (m.depth < STACK)
        m.stack[m.depth++] = block;
    else
        m.overflow = true;
}

static void mark(struct disk *d, u64 block, u8 type)
{
    u8 seen = d->map[block];
    bool counted = type >= XOK_T_FIRST && d->type[type].fn[XOK_UDF_REFCNT];
    if (counted)
        m.edges += fingerprint(block);
    if (seen) {
        m.damaged |= !counted || (seen & XOK_MAP_TYPE) != type;
        return;
    }
    d->map[block] = type == XOK_T_DATA ? type : type | XOK_MAP_UNINIT;
    d->info->used++;
    if (type >= XOK_T_FIRST)
        push(block);
}

static void look(struct disk *d, u32 i)
{
    u64 block = m.batch[i];
    u8 type = d->map[block] & XOK_MAP_TYPE;
    u32 n = 0;
    d->map[block] = type;
    d->info->progress++;
    registry[m.frame[i]].type = type;
    if (m.bad[i] || !owns_range(d, m.frame[i], 0, XOK_BLOCK_SIZE, found, &n)) {
        m.damaged = true;
        return;
    }
    if (d->type[type].fn[XOK_UDF_REFCNT]) {
        s64 edges = refcnt_of(d, m.frame[i]);
        m.damaged |= edges < 0;
        m.edges -= (u64)edges * fingerprint(block);
    }
    for (u32 t = 0; t < n; t++)
        for (u32 k = 0; k < found[t].count; k++)
            mark(d, found[t].block + k, found[t].type);
}

// Refills the stack from the map after it overflowed. Bounded by the size of the map.
static void refill(struct disk *d)
{
    bool none = true;
    for (; m.depth < STACK && m.cursor < d->info->blocks; m.cursor++)
        if (d->map[m.cursor] & XOK_MAP_UNINIT && (d->map[m.cursor] & XOK_MAP_TYPE) >= XOK_T_FIRST)
            m.stack[m.depth++] = m.cursor, none = false;
    if (m.cursor == d->info->blocks) {
        m.overflow = m.depth == STACK && !none;
        m.cursor = 0;
    }
}

static void batch_read(void)
{
    m.batched = 0;
    while (m.depth && m.batched < BATCH) {
        u64 block = m.stack[--m.depth];
        u32 at = m.batched++;
        for (; at && m.batch[at - 1] > block; at--)
            m.batch[at] = m.batch[at - 1];
        m.batch[at] = block;
    }
    for (u32 i = 0, n; i < m.batched; i += n) {
        for (n = 1; i + n < m.batched && m.batch[i + n] == m.batch[i] + n; n++)
            ;
        transfer(REQ_READ, m.batch[i], n, i);
    }
}

static s64 scan_step(struct disk *d)
{
    for (u32 i = 0; i < m.batched; i++)
        look(d, i);
    m.batched = 0;
    if (!m.depth && m.overflow)
        refill(d);
    if (m.depth) {
        batch_read();
        return XOK_E_AGAIN;
    }
    if (m.damaged || m.edges)
        d->info->root[m.root].flags |= XOK_ROOT_DAMAGED;
    m.root++;
    m.phase = P_ROOT;
    return 0;
}

static s64 root_step(struct disk *d)
{
    for (; m.root < XOK_ROOTS; m.root++) {
        if (!root_load(d, m.root) || !d->info->root[m.root].block)
            continue;
        m.damaged = m.overflow = false;
        m.edges = m.cursor = m.batched = m.depth = 0;
        mark(d, d->info->root[m.root].block, d->info->root[m.root].type);
        m.phase = P_SCAN;
        return 0;
    }
    d->info->free = d->info->blocks - d->info->used;
    return end(XOK_DISK_READY, 0);
}

// ---- super block, journal, catalogue
static u64 super_sum(struct super_block *s)
{
    u64 was = s->sum;
    s->sum = 0;
    u64 sum = checksum(0, s, XOK_BLOCK_SIZE);
    s->sum = was;
    return sum;
}

static bool super_ok(struct disk *d)
{
    struct super_block *s = frame(0);
    return s->magic == SUPER_MAGIC && s->sum == super_sum(s) && s->blocks > FIRST &&
           s->blocks <= d->info->blocks && s->first == FIRST;
}

// The slot in the frames is whole, and what it holds are blocks of the catalogue or of file systems.
static bool slot_ok(struct disk *d)
{
    struct journal_block *j = frame(0);
    u64 was = j->sum;
    if (j->magic != JOURNAL_MAGIC || !j->count || j->count > XOK_GROUP_MAX)
        return false;
    for (u64 i = 0; i < j->count; i++)
        if (j->block[i] < TYPES || (j->block[i] >= JOURNAL && j->block[i] < FIRST) ||
            j->block[i] >= d->info->blocks)
            return false;
    j->sum = 0;
    u64 sum = checksum(0, j, XOK_BLOCK_SIZE);
    j->sum = was;
    for (u64 i = 0; i < j->count; i++)
        sum = checksum(sum, frame(i + 1), XOK_BLOCK_SIZE);
    return sum == was;
}

static void heads_order(struct disk *d)
{
    u64 seq[2];
    m.slots = 0;
    for (u32 s = 0; s < 2; s++) {
        struct journal_block *j = frame(s);
        seq[s] = j->magic == JOURNAL_MAGIC ? j->seq : 0;
        if (j->magic == JOURNAL_MAGIC)
            m.order[m.slots++] = s;
    }
    if (m.slots == 2 && seq[0] > seq[1])
        m.order[0] = 1, m.order[1] = 0;
    d->group.seq = 0; // both are cleared before anything new is written
    m.slot = 0;
}

static s64 catalogue_start(struct disk *d)
{
    for (u32 i = TYPES; i < JOURNAL; i++) {
        u32 p = cached(d, i);
        if (!p) {
            p = xn_frame_new();
            if (!p)
                return XOK_E_NOMEM;
            entry_insert(d, i, p, XOK_T_XN, XOK_B_PINNED);
        }
        memcpy(xn_page(p), frame(i - TYPES), XOK_BLOCK_SIZE);
        registry[p].flags |= XOK_B_VALID;
    }
    memset(d->map, 0, d->info->blocks);
    memset(d->map, XOK_T_XN, FIRST);
    d->info->used = FIRST, d->info->first = FIRST, d->info->progress = 0;
    m.type = XOK_T_FIRST;
    m.started = false;
    return 0;
}

// Loads the templates one after the other. One that does not load leaves the roots that use it
// damaged.
static s64 code_step(struct disk *d)
{
    for (; m.type < XOK_T_XN; m.type++) {
        u64 block;
        u32 blocks;
        bool there = type_code(d, m.type, &block, &blocks);
        bool sane = there && blocks <= XOK_CODE_MAX / XOK_BLOCK_SIZE && block >= FIRST &&
                    block < d->info->blocks && blocks <= d->info->blocks - block;
        for (u32 i = 0; sane && i < blocks; i++)
            sane = !d->map[block + i] || m.started;
        if (!sane)
            continue;
        if (!m.started) {
            for (u32 i = 0; i < blocks; i++)
                d->map[block + i] = XOK_T_XN, d->info->used++;
            m.started = true;
            transfer(REQ_READ, block, blocks, 0);
            return XOK_E_AGAIN;
        }
        m.started = false;
        static u8 code[XOK_CODE_MAX] __attribute__((aligned(8)));
        for (u32 i = 0; i < blocks; i++)
            memcpy(code + i * XOK_BLOCK_SIZE, frame(i), XOK_BLOCK_SIZE);
        if (!m.failed)
            type_load(d, m.type, code);
        m.failed = false;
    }
    m.root = 0;
    m.secret = xn_random();
    m.phase = P_ROOT;
    return 0;
}

// Unmounting: a stretch of the registry.
static s64 drop_step(struct disk *d)
{
    u64 to = XN_MIN(m.cursor + DROP_STEP, registry_pages);
    for (; m.cursor < to; m.cursor++) {
        struct xok_block *b = &registry[m.cursor];
        if (b->block == XOK_BLOCK_NONE || XOK_BLOCK_DISK(b->block) != d->index)
            continue;
        if (b->flags & XOK_B_READING)
            return XOK_E_AGAIN;
        entry_remove(d, m.cursor);
    }
    if (m.cursor < registry_pages)
        return XOK_E_AGAIN;
    forget(d);
    return end(XOK_DISK_RAW, 0);
}

// One phase; XOK_E_AGAIN when it waits for the device, 0 to go on at once.
static s64 step(struct disk *d)
{
    switch (m.phase) {
    case P_SUPER:
        if (m.failed || !super_ok(d))
            return end(XOK_DISK_BAD, XOK_E_IO);
        d->info->blocks = ((struct super_block *)frame(0))->blocks;
        transfer(REQ_READ, JOURNAL, 1, 0);
        transfer(REQ_READ, JOURNAL + SLOT_BLOCKS, 1, 1);
        m.phase = P_HEADS;
        return XOK_E_AGAIN;
    case P_HEADS:
        if (m.failed)
            return end(XOK_DISK_BAD, XOK_E_IO);
        heads_order(d);
        m.phase = m.slots ? P_SLOT : P_CATALOGUE;
        if (m.slots && d->info->features & XOK_DISK_READONLY)
            return end(XOK_DISK_BAD, XOK_E_IO); // it must be finished first
        transfer(REQ_READ, m.slots ? JOURNAL + m.order[0] * SLOT_BLOCKS : TYPES,
                 m.slots ? SLOT_BLOCKS : JOURNAL - TYPES, 0);
        return XOK_E_AGAIN;
    case P_SLOT:
        m.phase = P_REPLAY;
        if (m.failed ||
            !slot_ok(d)) { // a slot that cannot be read was not whole: nothing depends on it
            m.failed = false;
            return 0;
        }
        for (u64 i = 0; i < ((struct journal_block *)frame(0))->count; i++)
            transfer(REQ_WRITE, ((struct journal_block *)frame(0))->block[i], 1, i + 1);
        return XOK_E_AGAIN;
    case P_REPLAY:
        if (m.failed)
            return end(XOK_DISK_BAD, XOK_E_IO);
        if (++m.slot < m.slots) {
            transfer(REQ_READ, JOURNAL + m.order[m.slot] * SLOT_BLOCKS, SLOT_BLOCKS, 0);
            m.phase = P_SLOT;
        } else {
            flush();
            m.phase = P_CLEAR;
        }
        return XOK_E_AGAIN;
    case P_CLEAR: // the older slot first: were it alone intact after a crash, it would undo the
                  // newer
        if (m.failed)
            return end(XOK_DISK_BAD, XOK_E_IO);
        memset(frame(0), 0, XOK_BLOCK_SIZE);
        m.slot = 0;
        transfer(REQ_WRITE, JOURNAL + m.order[0] * SLOT_BLOCKS, 1, 0);
        m.phase = P_CLEARED;
        return XOK_E_AGAIN;
    case P_CLEARED:
        flush();
        m.phase = P_CLEAR_NEXT;
        return m.inflight ? XOK_E_AGAIN : 0;
    case P_CLEAR_NEXT:
        if (m.failed)
            return end(XOK_DISK_BAD, XOK_E_IO);
        if (++m.slot < m.slots) {
            transfer(REQ_WRITE, JOURNAL + m.order[m.slot] * SLOT_BLOCKS, 1, 0);
            m.phase = P_CLEARED;
        } else {
            transfer(REQ_READ, TYPES, JOURNAL - TYPES, 0);
            m.phase = P_CATALOGUE;
        }
        return XOK_E_AGAIN;
    case P_CATALOGUE:
        if (m.failed || catalogue_start(d))
            return end(XOK_DISK_BAD, XOK_E_IO);
        m.phase = P_CODE;
        return 0;
    case P_CODE: return code_step(d);
    case P_ROOT: return root_step(d);
    case P_SCAN: return scan_step(d);
    case P_FORMAT:
        flush();
        m.phase = P_FORMATTED;
        return m.inflight ? XOK_E_AGAIN : 0;
    case P_FORMATTED: return m.failed ? end(XOK_DISK_BAD, XOK_E_IO) : end(XOK_DISK_RAW, 0);
    case P_DROP: return drop_step(d);
    default: return XOK_E_ARG;
    }
}

void xn_disk_add(struct disk *d, u64 blocks, u32 sector, u32 features)
{
    d->capacity = d->info->blocks = blocks;
    d->info->sector = sector, d->info->features = features;
    d->info->state = XOK_DISK_RAW;
    d->info->seq++;
    d->done_colour = 1;
}

void xn_forget(struct disk *d)
{
    if (m.d == d)
        m.d = NULL;
    memset(m.frame, 0, sizeof m.frame);
    while (d->queue) {
        struct req *r = d->queue;
        d->queue = r->next;
        req_free(r);
    }
    types_unload(d);
}

// Goes on with what was begun, as far as it goes without waiting.
static s64 run(struct disk *d)
{
    s64 r = XOK_E_AGAIN;
    while (m.d == d && !m.inflight && !(r = step(d)))
        ;
    return r;
}

s64 xn_format(const struct who *w, struct disk *d)
{
    if (!xn_trusted(w))
        return XOK_E_CAP;
    if (m.d)
        return m.d == d && m.phase >= P_FORMAT && m.phase <= P_FORMATTED ? run(d) : XOK_E_AGAIN;
    if (!d->info || (d->info->state != XOK_DISK_RAW && d->info->state != XOK_DISK_BAD))
        return XOK_E_BUSY;
    if (d->capacity <= FIRST || d->info->features & XOK_DISK_READONLY)
        return XOK_E_ARG;
    if (!begin(d, P_FORMAT))
        return end(d->info->state, XOK_E_NOMEM);
    d->info->state = XOK_DISK_MOUNTING;
    for (u32 i = 0; i <= JOURNAL; i++)
        memset(frame(i), 0, XOK_BLOCK_SIZE);
    struct super_block *s = frame(0);
    *s = (struct super_block){.magic = SUPER_MAGIC,
                              .blocks = d->capacity,
                              .first = FIRST,
                              .id = {xn_random(), xn_random()}};
    s->sum = super_sum(s);
    transfer(REQ_WRITE, SUPER, JOURNAL + 1, 0);
    transfer(REQ_WRITE, JOURNAL + SLOT_BLOCKS, 1, 1);
    return run(d);
}

s64 xn_mount(const struct who *w, struct disk *d)
{
    if (!xn_trusted(w))
        return XOK_E_CAP;
    if (d->info && d->info->state == XOK_DISK_READY)
        return 0;
    if (m.d)
        return m.d == d && m.phase < P_FORMAT ? run(d) : XOK_E_AGAIN;
    if (!d->info || (d->info->state != XOK_DISK_RAW && d->info->state != XOK_DISK_BAD))
        return XOK_E_ARG;
    if (d->capacity <= FIRST)
        return XOK_E_IO;
    if (!d->map)
        d->map = xn_map_memory(d, d->capacity);
    if (!d->map || !begin(d, P_SUPER))
        return m.d ? end(d->info->state, XOK_E_NOMEM) : XOK_E_NOMEM;
    forget(d);
    d->info->state = XOK_DISK_MOUNTING;
    d->info->blocks = d->capacity;
    transfer(REQ_READ, SUPER, 1, 0);
    return run(d);
}

s64 xn_unmount(const struct who *w, struct disk *d)
{
    if (!xn_trusted(w))
        return XOK_E_CAP;
    if (m.d)
        return m.d == d && m.phase == P_DROP ? run(d) : XOK_E_AGAIN;
    if (!d->info || d->info->state != XOK_DISK_READY)
        return XOK_E_ARG;
    settle(d, ~0u);
    if (d->info->dirty || d->done_list || d->covered_list)
        return XOK_E_TAINT;
    if (d->group.state != GROUP_IDLE || d->round != ROUND_NONE || d->writes[0] || d->writes[1])
        return XOK_E_BUSY;
    if (!begin(d, P_DROP))
        return end(XOK_DISK_READY, XOK_E_NOMEM);
    m.cursor = 0;
    d->info->state = XOK_DISK_CLOSING;
    return run(d);
}
