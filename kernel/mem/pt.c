// Batches of page-table changes. Each operation is checked whole, then done; it works table by table.
#include "mem/table.h"

enum { FLUSH_MAX = 16 };                     // more stale translations than this: drop all
enum { CHUNKS = XOK_PT_OP_MAX / 512 + 1 };   // tables that one operation can touch
#define LEAF_BITS                                                                                        \
    (XOK_PTE_P | XOK_PTE_W | XOK_PTE_U | XOK_PTE_PWT | XOK_PTE_PCD | XOK_PTE_A | XOK_PTE_D | XOK_PTE_SOFT | \
     XOK_PTE_SOFT_HI | XOK_PTE_NX)
#define MOD_BITS                                                                                              \
    (XOK_PTE_W | XOK_PTE_NX | XOK_PTE_A | XOK_PTE_D | XOK_PTE_PWT | XOK_PTE_PCD | XOK_PTE_SOFT | XOK_PTE_SOFT_HI)
// Far from wrapping, whatever a batch adds to one page.
#define REFS_MAX 0xffff0000u
// Operations are compiled once for 4 KiB leaves, where the level is a constant, and once for all.
#define INLINE inline __attribute__((always_inline))

struct batch {
    const struct cap *cap;
    u64 space;         // the target's
    u64 mine;          // the caller's
    u32 stale;         // translations that must go; > FLUSH_MAX: all
    bool shared;       // in some table that several spaces use
    bool stale_mine;   // COPY: in the caller's space too
    bool alone;        // no other processor runs user code, which would mark entries accessed or dirty
    u64 va[FLUSH_MAX];
};

// The entries of an operation, table by table.
struct chunk {
    u64 *entry; // NULL: no table there
    u64 va;
    u32 count;
    bool shared;
};

static inline void stale(struct batch *b, u64 va)
{
    if (b->stale < FLUSH_MAX)
        b->va[b->stale] = va;
    b->stale++;
}

static void stale_all(struct batch *b, bool shared)
{
    b->stale = FLUSH_MAX + 1;
    b->shared |= shared;
}

static INLINE bool pages_ok(const struct cap *c, u64 ppn, u64 n, u32 rights)
{
    if (ppn >= page_count || n > page_count - ppn)
        return false;
    bool fast = (c->rights & rights) == rights; // an owner's own entry carries all rights
    for (const struct xok_page_info *p = &pages[ppn], *end = p + n; p < end; p++)
        if (p->type != XOK_PAGE_USER || p->refs >= REFS_MAX ||
            !((fast && XOK_ACL_NAME(p->acl[0]) == c->name) || page_may(c, p - pages, rights)))
            if (p->type != XOK_PAGE_CACHE || p->refs >= REFS_MAX || !page_may(c, p - pages, rights))
                return false;
    return true;
}

static bool leaf_ok_slowly(const struct cap *c, u64 pte, int level)
{
    return pages_ok(c, XOK_PTE_PPN(pte), leaf_pages(level), pte & XOK_PTE_W ? XOK_R | XOK_W : XOK_R);
}

static INLINE bool leaf_ok(const struct cap *c, u64 pte, int level)
{
    u64 ppn = XOK_PTE_PPN(pte);
    const struct xok_page_info *p = &pages[ppn];
    if (level == 1 && ppn < page_count && p->type == XOK_PAGE_USER && p->refs < REFS_MAX &&
        XOK_ACL_NAME(p->acl[0]) == c->name && (c->rights & (XOK_R | XOK_W)) == (XOK_R | XOK_W))
        return true; // an owner's own entry carries all rights
    return leaf_ok_slowly(c, pte, level);
}

// ---- which tables -------------------------------------------------------------------------------------
static void prune(struct batch *b, u64 va)
{
    bool shared;
    if (table_prune(b->cap, b->space, va, &shared))
        stale_all(b, shared);
}

static INLINE u32 chunk_next(int level, u64 va, u32 left, struct chunk *k)
{
    k->va = va;
    k->count = MIN(left, 512 - index_of(va, level));
    return k->count;
}

// Finds the tables of the range; makes them where `create` says so. All may be changed, or it fails.
static INLINE s64 chunks_find(struct batch *b, u64 space, const struct xok_pt_op *o, int level,
                              const struct cap *create, struct chunk *k, u32 *n)
{
    const struct xok_page_info *last = NULL;
    struct walk w;
    s64 err;
    *n = 0;
    for (u32 done = 0; done < o->count; ++*n, k++) {
        done += chunk_next(level, o->va + done * span_of(level), o->count - done, k);
        k->entry = table_find(space, k->va, level, &k->shared);
        if (!k->entry) {
            k->entry = table_walk(space, k->va, level, create, &w, &err);
            if (!k->entry && (create || err != XOK_E_NOTABLE))
                return err;
            k->shared = w.shared;
        }
        if (!k->entry)
            continue;
        const struct xok_page_info *t = &pages[table_ppn(k->entry)];
        if ((!last || last->acl[0] != t->acl[0]) && !table_may(b->cap, k->entry))
            return XOK_E_CAP;
        last = t;
    }
    return 0;
}

// A failed operation leaves no empty table behind.
static void chunks_undo(struct batch *b, const struct xok_pt_op *o)
{
    for (u32 done = 0; done < o->count;) {
        struct chunk k;
        done += chunk_next(o->level, o->va + done * span_of(o->level), o->count - done, &k);
        prune(b, k.va);
    }
}

// ---- operations ------------------------------------------------------------------------------------------
static INLINE void set_chunk(struct batch *b, const struct chunk *k, u64 pte, u64 step, int level)
{
    u64 *e = k->entry;
    u32 before = b->stale;
    s32 used = 0;
    for (u32 i = 0; i < k->count; i++, e++, pte += step) {
        u64 old = *e;
        used += !old;
        if (pte & XOK_PTE_P)
            leaf_refs(pte, level, 1);
        if (old & XOK_PTE_P) {
            old = __atomic_exchange_n(e, pte, __ATOMIC_RELAXED);
            leaf_refs(old, level, -1);
            stale(b, k->va + i * span_of(level));
        } else {
            *e = pte;
        }
    }
    b->shared |= k->shared && b->stale != before;
    table_used(k->entry, k->count, used);
}

static INLINE s64 op_clear(struct batch *b, const struct xok_pt_op *o, int level);

static INLINE s64 op_set(struct batch *b, const struct xok_pt_op *o, int level)
{
    struct chunk k[CHUNKS];
    u32 n;
    bool present = o->pte & XOK_PTE_P;
    u64 huge = level > 1 ? XOK_PTE_PS : 0, ppn = XOK_PTE_PPN(o->pte), pages_each = leaf_pages(level);
    if (!o->pte)
        return op_clear(b, o, level);
    if (present && (ppn & (pages_each - 1) ||
                    !pages_ok(b->cap, ppn, o->count * pages_each, o->pte & XOK_PTE_W ? XOK_R | XOK_W : XOK_R)))
        return XOK_E_CAP;
    const struct cap *create = o->flags & XOK_PT_CREATE ? b->cap : NULL;
    s64 r = chunks_find(b, b->space, o, level, create, k, &n);
    for (u32 i = 0; !r && i < n; i++) {
        if (!k[i].entry)
            r = XOK_E_NOTABLE;
        for (u32 j = 0; !r && huge && j < k[i].count; j++)
            if (k[i].entry[j] & XOK_PTE_P && !(k[i].entry[j] & XOK_PTE_PS))
                r = XOK_E_BUSY; // a table hangs where a huge leaf should go
    }
    if (r) {
        if (create)
            chunks_undo(b, o);
        return r;
    }
    u64 pte = present ? (o->pte & (XOK_PTE_ADDR | LEAF_BITS)) | XOK_PTE_U | huge : o->pte;
    u64 step = present ? span_of(level) : 0;
    for (u32 i = 0; i < n; i++) {
        set_chunk(b, &k[i], pte, step, level);
        pte += step * k[i].count;
    }
    return 0;
}

static INLINE s64 op_clear(struct batch *b, const struct xok_pt_op *o, int level)
{
    struct chunk k[CHUNKS];
    u32 n;
    s64 r = chunks_find(b, b->space, o, level, NULL, k, &n);
    if (r)
        return r;
    for (u32 i = 0; i < n; i++) {
        u64 *e = k[i].entry;
        u32 before = b->stale;
        s32 gone = 0;
        for (u32 j = 0; e && j < k[i].count; j++, e++) {
            u64 old = *e;
            if (!old || (old & XOK_PTE_P && !is_leaf(old, level)))
                continue;
            gone++;
            if (old & XOK_PTE_P) {
                old = __atomic_exchange_n(e, 0, __ATOMIC_RELAXED);
                leaf_refs(old, level, -1);
                stale(b, k[i].va + j * span_of(level));
            } else {
                *e = 0;
            }
        }
        b->shared |= k[i].shared && b->stale != before;
        if (!gone)
            continue;
        struct xok_page_info *t = &pages[table_ppn(k[i].entry)];
        t->next -= gone;
        if (!t->next)
            prune(b, k[i].va);
    }
    return 0;
}

// Changes bits of a present entry, which the processor may be marking accessed or dirty meanwhile. True if
// a stale translation would allow, or would fail to record, what the new entry does not. alone: it cannot.
static INLINE bool entry_modify(u64 *e, u64 set, u64 clear, bool alone)
{
    u64 old = *e, new = (old & ~clear) | set;
    if (new == old)
        return false;
    if (alone)
        *e = new;
    else
        while (!__atomic_compare_exchange_n(e, &old, new, true, __ATOMIC_RELAXED, __ATOMIC_RELAXED))
            if ((new = (old & ~clear) | set) == old)
                return false;
    return (old & ~new) & (XOK_PTE_W | XOK_PTE_D | XOK_PTE_A) || new & ~old & (XOK_PTE_NX | XOK_PTE_PCD | XOK_PTE_PWT);
}

static INLINE s64 op_mod(struct batch *b, const struct xok_pt_op *o, int level)
{
    struct chunk k[CHUNKS];
    u32 n;
    u64 set = o->pte & MOD_BITS, clear = o->clear & MOD_BITS;
    s64 r = chunks_find(b, b->space, o, level, NULL, k, &n);
    if (r)
        return r;
    for (u32 i = 0; set & XOK_PTE_W && i < n; i++)
        for (u32 j = 0; k[i].entry && j < k[i].count; j++) {
            u64 old = k[i].entry[j];
            if (old & XOK_PTE_P && is_leaf(old, level) && !leaf_ok(b->cap, old | XOK_PTE_W, level))
                return XOK_E_CAP;
        }
    for (u32 i = 0; i < n; i++) {
        u32 before = b->stale;
        u64 *e = k[i].entry;
        for (u32 j = 0; e && j < k[i].count; j++, e++)
            if (*e & XOK_PTE_P && is_leaf(*e, level) && entry_modify(e, set, clear, b->alone))
                stale(b, k[i].va + j * span_of(level));
        b->shared |= k[i].shared && b->stale != before;
    }
    return 0;
}

// Checks what of the caller's entries may be copied; drops chunks that hold nothing.
static INLINE s64 copy_check(struct batch *b, const struct xok_pt_op *o, int level, struct chunk *k, u32 n)
{
    u64 set = o->pte & MOD_BITS, clear = o->clear & MOD_BITS;
    for (u32 i = 0; i < n; i++) {
        bool any = false;
        for (u32 j = 0; k[i].entry && j < k[i].count; j++) {
            u64 old = k[i].entry[j];
            if (!old || (old & XOK_PTE_P && !is_leaf(old, level)))
                continue;
            if (old & XOK_PTE_P && !leaf_ok(b->cap, (old & ~clear) | set, level))
                return XOK_E_CAP;
            any = true;
        }
        if (!any)
            k[i].entry = NULL;
    }
    return 0;
}

static INLINE s64 copy_tables(struct batch *b, int level, const struct chunk *from, u32 n, struct chunk *to)
{
    struct walk w;
    s64 err;
    for (u32 i = 0; i < n; i++) {
        if (!from[i].entry)
            continue;
        to[i] = from[i];
        to[i].entry = table_walk(b->space, from[i].va, level, b->cap, &w, &err);
        if (!to[i].entry)
            return err;
        to[i].shared = w.shared;
        if (!table_may(b->cap, to[i].entry))
            return XOK_E_CAP;
        if (to[i].entry == from[i].entry)
            return XOK_E_ARG; // a table that both spaces share
        for (u32 j = 0; level > 1 && j < to[i].count; j++)
            if (to[i].entry[j] & XOK_PTE_P && !(to[i].entry[j] & XOK_PTE_PS))
                return XOK_E_BUSY;
    }
    return 0;
}

static INLINE void copy_chunk(struct batch *b, const struct xok_pt_op *o, int level, const struct chunk *from,
                              const struct chunk *to)
{
    u64 set = o->pte & MOD_BITS, clear = o->clear & MOD_BITS, *s = from->entry, *d = to->entry, *end = s + from->count;
    bool alone = b->alone, mine = false;
    u32 before = b->stale, used = 0;
    for (u64 va = from->va; s < end; s++, d++, va += span_of(level)) {
        u64 e = *s, old = *d;
        if (!e || (e & XOK_PTE_P && !is_leaf(e, level)))
            continue;
        if (e & XOK_PTE_P) {
            if (entry_modify(s, set, clear, alone)) {
                stale(b, va);
                mine = true;
            }
            e = alone ? (e & ~clear) | set : *s;
            leaf_refs(e, level, 1);
        }
        if (!old) {
            used++;
            *d = e;
            continue;
        }
        old = __atomic_exchange_n(d, e, __ATOMIC_RELAXED);
        if (old & XOK_PTE_P) {
            leaf_refs(old, level, -1);
            stale(b, va);
        }
    }
    b->stale_mine |= mine;
    b->shared |= (from->shared || to->shared) && b->stale != before;
    table_used(to->entry, to->count, used);
}

static INLINE s64 op_copy(struct batch *b, const struct xok_pt_op *o, int level)
{
    struct chunk from[CHUNKS], to[CHUNKS];
    u32 n;
    if (b->mine == b->space)
        return XOK_E_ARG;
    s64 r = chunks_find(b, b->mine, o, level, NULL, from, &n);
    if (!r)
        r = copy_check(b, o, level, from, n);
    if (r)
        return r;
    r = copy_tables(b, level, from, n, to);
    if (r) {
        chunks_undo(b, o);
        return r;
    }
    for (u32 i = 0; i < n; i++)
        if (from[i].entry)
            copy_chunk(b, o, level, &from[i], &to[i]);
    return 0;
}

static s64 op_link(struct batch *b, const struct xok_pt_op *o)
{
    struct walk w;
    s64 err;
    u64 *src = space_entry(b->mine, o->va, o->level);
    if (!src || !(*src & XOK_PTE_P) || *src & XOK_PTE_PS)
        return XOK_E_NOTABLE;
    u64 ppn = XOK_PTE_PPN(*src), write = o->pte & XOK_PTE_W;
    if (pages[ppn].type != XOK_PAGE_PT1 + o->level - 2 || pages[ppn].refs >= REFS_MAX)
        return XOK_E_ARG;
    if (!cap_dominates(b->cap, pages[ppn].acl[0], write ? XOK_R | XOK_W : XOK_R))
        return XOK_E_CAP;
    bool demote = o->flags & XOK_PT_DEMOTE && *src & XOK_PTE_W;
    if (demote && !table_may(b->cap, src))
        return XOK_E_CAP;
    u64 *dst = table_walk(b->space, o->va, o->level, o->flags & XOK_PT_CREATE ? b->cap : NULL, &w, &err);
    s64 r = !dst ? err : *dst ? XOK_E_BUSY : !table_may(b->cap, dst) ? XOK_E_CAP : 0;
    if (r) {
        prune(b, o->va);
        return r;
    }
    table_used(dst, 1, 1);
    *dst = ppn * XOK_PAGE_SIZE | XOK_PTE_P | XOK_PTE_U | write;
    pages[ppn].refs++;
    if (demote) {
        __atomic_and_fetch(src, ~XOK_PTE_W, __ATOMIC_RELAXED);
        stale_all(b, false);
        b->stale_mine = true;
    }
    return 0;
}

// Copies the entries of a page table into an empty one, giving both `set` and `clear`. True if an entry of
// the first had a right that some processor may still be using.
static bool table_copy(u64 *from, u64 *to, u64 set, u64 clear, bool alone)
{
    struct xok_page_info *f = &pages[table_ppn(from)];
    u32 first = f->prev & 0xffff, left = f->next;
    bool stale = false;
    for (u32 i = first; left; i++) {
        u64 e = from[i];
        if (!e)
            continue;
        left--;
        if (e & XOK_PTE_P) {
            stale |= entry_modify(&from[i], set, clear, alone);
            e = from[i];
            leaf_refs(e, 1, 1);
        }
        to[i] = e;
    }
    pages[table_ppn(to)].next = f->next, pages[table_ppn(to)].prev = f->prev;
    return stale;
}

static s64 op_own(struct batch *b, const struct xok_pt_op *o)
{
    struct walk w;
    s64 err;
    u64 *e = table_walk(b->space, o->va, 2, NULL, &w, &err);
    if (!e || !(*e & XOK_PTE_P) || *e & XOK_PTE_PS)
        return XOK_E_NOTABLE;
    u64 old = XOK_PTE_PPN(*e), set = o->pte & MOD_BITS, clear = o->clear & MOD_BITS, *from = table_at(*e);
    if (!table_may(b->cap, e) || !table_may(b->cap, from))
        return XOK_E_CAP;
    if (pages[old].refs == 1) {
        __atomic_or_fetch(e, XOK_PTE_W, __ATOMIC_RELAXED);
        return 0;
    }
    for (u32 i = pages[old].prev & 0xffff, left = pages[old].next; left; i++) {
        left -= from[i] != 0;
        if (from[i] & XOK_PTE_P && !leaf_ok(b->cap, (from[i] & ~clear) | set, 1))
            return XOK_E_CAP;
    }
    u64 new = table_new(1, b->cap->name, &err);
    if (!new)
        return err;
    bool used = table_copy(from, phys_to_virt(new * XOK_PAGE_SIZE), set, clear, b->alone);
    __atomic_store_n(e, new * XOK_PAGE_SIZE | XOK_PTE_P | XOK_PTE_W | XOK_PTE_U, __ATOMIC_RELAXED);
    pages[old].refs--;
    stale_all(b, w.shared || used);
    return 0;
}

static s64 op_unlink(struct batch *b, const struct xok_pt_op *o)
{
    struct walk w;
    s64 err;
    u64 *e = table_walk(b->space, o->va, o->level, NULL, &w, &err);
    if (!e || !(*e & XOK_PTE_P) || *e & XOK_PTE_PS)
        return XOK_E_NOTABLE;
    if (!table_may(b->cap, e))
        return XOK_E_CAP;
    u64 old = *e;
    *e = 0;
    pages[table_ppn(e)].next--;
    stale_all(b, w.shared);
    table_drop(XOK_PTE_PPN(old), o->level - 1);
    prune(b, o->va);
    return 0;
}

static bool is_link(const struct xok_pt_op *o)
{
    return o->kind == XOK_PT_LINK || o->kind == XOK_PT_UNLINK || o->kind == XOK_PT_OWN;
}

static bool op_valid(const struct xok_pt_op *o)
{
    if (is_link(o) ? o->level < 2 || o->level > (o->kind == XOK_PT_OWN ? 2 : 4) || o->count != 1 : o->level < 1 || o->level > 3)
        return false;
    if (o->level == 3 && !is_link(o) && !(info.cpu_features & XOK_CPU_GB_PAGES))
        return false;
    u64 span = span_of(o->level), len = is_link(o) ? 1 : o->count * span;
    return !(o->va & (span - 1)) && o->count && o->count <= XOK_PT_OP_MAX && user_range(o->va, len) &&
           index_of(o->va, 4) != XOK_SELFMAP_SLOT && index_of(o->va + len - 1, 4) != XOK_SELFMAP_SLOT &&
           !(o->va >> 39 < XOK_SELFMAP_SLOT && (o->va + len - 1) >> 39 > XOK_SELFMAP_SLOT);
}

// What an operation costs of a batch's XOK_PT_OP_MAX: a huge leaf is checked and counted page by page,
// at a few instructions each, against some twenty for an entry with its flush.
static u64 op_weight(const struct xok_pt_op *o)
{
    return o->kind == XOK_PT_OWN ? 512 : is_link(o) ? 1 : o->level == 1 ? o->count : o->level == 2 ? o->count * 8ul : o->count * 4096ul;
}

static s64 op_run(struct batch *b, const struct xok_pt_op *o)
{
    if (!op_valid(o))
        return XOK_E_ARG;
#define LEVELS(op) (o->level == 1 ? op(b, o, 1) : op(b, o, o->level))
    switch (o->kind) {
    case XOK_PT_SET: return LEVELS(op_set);
    case XOK_PT_CLEAR: return LEVELS(op_clear);
    case XOK_PT_MOD: return LEVELS(op_mod);
    case XOK_PT_COPY: return LEVELS(op_copy);
    case XOK_PT_LINK: return op_link(b, o);
    case XOK_PT_UNLINK: return op_unlink(b, o);
    case XOK_PT_OWN: return op_own(b, o);
    default: return XOK_E_ARG;
    }
}

static bool processors_alone(void)
{
    for (u32 i = 0; i < info.cpu_count; i++)
        if (i != this_cpu()->index && cpus[i].space != kernel_space)
            return false;
    return true;
}

static void batch_flush(const struct batch *b)
{
    u64 here = this_cpu()->space;
    if (!b->stale)
        return;
    if (b->shared || b->stale_mine || b->space == here) {
        if (b->stale > FLUSH_MAX)
            tlb_flush_all();
        else
            for (u32 i = 0; i < b->stale; i++)
                tlb_flush_page(b->va[i]);
    }
    tlb_shootdown(b->space, b->stale_mine ? here : b->space, b->shared);
}

// The commonest operation, one 4 KiB entry in a table that is there, without the machinery of ranges:
// faults and protection changes are made of these. False: nothing done, the general way decides.
static INLINE bool one_entry(const struct cap *c, u64 space, const struct xok_pt_op *o, bool alone)
{
    bool here = this_cpu()->space == space, set = o->kind == XOK_PT_SET && o->pte & XOK_PTE_P, shared = false;
    if (o->count != 1 || o->level != 1 || (o->kind != XOK_PT_MOD && !set) || o->va & (XOK_PAGE_SIZE - 1) ||
        o->va >= XOK_USER_END || o->va >> 39 == XOK_SELFMAP_SLOT)
        return false;
    // Whether others use the table matters only where somebody else may have its translations.
    u64 *e = here && info.cpu_count == 1 ? leaf_find(space, o->va) : table_find(space, o->va, 1, &shared);
    if (!e || XOK_ACL_NAME(pages[table_ppn(e)].acl[0]) != c->name || !(c->rights & XOK_W))
        return false;
    u64 old = *e, new = set ? (o->pte & (XOK_PTE_ADDR | LEAF_BITS)) | XOK_PTE_U
                            : (old & ~(o->clear & MOD_BITS)) | (o->pte & MOD_BITS);
    if (set || new & ~old & XOK_PTE_W)
        if (!leaf_ok(c, new, 1))
            return false;
    if (set) {
        leaf_refs(new, 1, 1);
        old = __atomic_exchange_n(e, new, __ATOMIC_RELAXED);
        table_used(e, 1, !old);
        if (!(old & XOK_PTE_P))
            return true;
        leaf_refs(old, 1, -1);
    } else if (!(old & XOK_PTE_P) || !entry_modify(e, o->pte & MOD_BITS, o->clear & MOD_BITS, alone)) {
        return true;
    }
    if (shared || here)
        tlb_flush_page(o->va);
    if (info.cpu_count > 1)
        tlb_shootdown(space, space, shared);
    return true;
}

s64 sys_pt_batch(u64 slot, u64 target, u64 ops, u64 count)
{
    struct env *me = this_cpu()->env, *e = env_find(target);
    struct xok_pt_op list[XOK_PT_BATCH_MAX];
    struct cap c;
    if (!e)
        return XOK_E_ENV;
    if (!cap_slot(me, slot, &c) || !cap_over(&c, e->name, XOK_W))
        return XOK_E_CAP;
    if (!count || count > XOK_PT_BATCH_MAX)
        return XOK_E_ARG;
    if (copy_in(list, ops, count * sizeof list[0]))
        return XOK_E_FAULT;
    if (count == 1 && one_entry(&c, e->space, list, info.cpu_count == 1))
        return 1;
    struct batch b;
    b.cap = &c, b.space = e->space, b.mine = me->space;
    b.stale = 0, b.shared = b.stale_mine = false;
    b.alone = processors_alone();
    u64 total = 0, done = 0;
    s64 r = 0;
    for (; done < count && !r; done += !r) {
        if (count <= FLUSH_MAX && one_entry(&c, e->space, &list[done], b.alone)) {
            total++;
            continue;
        }
        total += op_weight(&list[done]);
        r = total > XOK_PT_OP_MAX ? XOK_E_ARG : op_run(&b, &list[done]);
    }
    batch_flush(&b);
    return done ? (s64)done : r;
}

s64 pt_boot_set(const struct cap *c, u64 space, const struct xok_pt_op *op)
{
    struct batch b = {.cap = c, .space = space, .mine = space};
    return op_set(&b, op, 1);
}
