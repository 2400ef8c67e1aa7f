// Page tables: address spaces as trees of typed, counted table pages, changed only by checked batches.
//
// A table page's page_info: refs = entries (or environments, for a root) that point at it; next = entries
// in use; prev = lowest used index | highest << 16 (bounds that only widen while it is in use).
#include "kernel.h"

u64 kernel_space;
enum { FLUSH_MAX = 16 };
#define LEAF_BITS                                                                                        \
    (XOK_PTE_P | XOK_PTE_W | XOK_PTE_U | XOK_PTE_PWT | XOK_PTE_PCD | XOK_PTE_A | XOK_PTE_D | XOK_PTE_SOFT | \
     XOK_PTE_SOFT_HI | XOK_PTE_NX)
#define TABLE_BITS (XOK_PTE_P | XOK_PTE_W | XOK_PTE_U)

// Translations that may be stale when a batch is done.
struct flush {
    u64 va[FLUSH_MAX];
    u32 count; // > FLUSH_MAX: everything
    bool shared; // a table that several spaces use was changed
};

// Where a walk ended: the entry of each level it passed, [level].
struct walk {
    u64 *entry[5];
};

static u64 index_of(u64 va, int level) { return va >> (12 + 9 * (level - 1)) & 511; }
static u64 span_of(int level) { return 1ul << (12 + 9 * (level - 1)); }
static u64 table_ppn(const void *entry) { return virt_to_phys(entry) / XOK_PAGE_SIZE; }
static u64 *table_at(u64 entry) { return phys_to_virt(entry & XOK_PTE_ADDR); }

static void table_count(u64 *entry, u64 old, u64 new)
{
    struct xok_page_info *p = &pages[table_ppn(entry)];
    u32 i = (u64)entry / 8 & 511;
    if (!old && new) {
        u32 lo = p->prev & 0xffff, hi = p->prev >> 16;
        p->prev = p->next ? MIN(lo, i) | MAX(hi, i) << 16 : i | i << 16;
        p->next++;
    } else if (old && !new) {
        p->next--;
    }
}

static u64 table_new(int level, u32 name, s64 *err)
{
    *err = quota_charge(name, XOK_RES_PTPAGES, 1);
    if (*err)
        return 0;
    u64 ppn = page_take(XOK_PAGE_PT1 + level - 1, name);
    if (!ppn) {
        quota_refund(name, XOK_RES_PTPAGES, 1);
        *err = XOK_E_NOMEM;
        return 0;
    }
    memset(phys_to_virt(ppn * XOK_PAGE_SIZE), 0, XOK_PAGE_SIZE);
    return ppn;
}

static void table_release(u64 ppn)
{
    quota_refund(XOK_ACL_NAME(pages[ppn].acl[0]), XOK_RES_PTPAGES, 1);
    page_release(ppn);
}

static void leaf_count(u64 pte, int level, int delta)
{
    u64 ppn = XOK_PTE_PPN(pte), n = level == 2 ? XOK_HUGE_PAGES : 1;
    for (u64 i = 0; i < n; i++)
        pages[ppn + i].refs += delta;
}

static bool is_leaf(u64 e, int level)
{
    return level == 1 || e & XOK_PTE_PS;
}

// Drops one reference to a table; the last frees what is below it. Cost: the tables' used ranges.
static void table_drop(u64 ppn, int level)
{
    struct xok_page_info *p = &pages[ppn];
    if (--p->refs)
        return;
    u64 *t = phys_to_virt(ppn * XOK_PAGE_SIZE);
    if (p->next) {
        for (u32 i = p->prev & 0xffff, hi = p->prev >> 16; i <= hi; i++) {
            if (!t[i])
                continue;
            if (t[i] & XOK_PTE_P) {
                if (is_leaf(t[i], level))
                    leaf_count(t[i], level, -1);
                else
                    table_drop(XOK_PTE_PPN(t[i]), level - 1);
            }
            t[i] = 0;
        }
    }
    table_release(ppn);
}

static u64 *walk_to(u64 space, u64 va, int level, u32 create, struct walk *w, s64 *err)
{
    u64 *table = phys_to_virt(space);
    *err = XOK_E_NOTABLE;
    for (int l = 4;; l--) {
        u64 *e = &table[index_of(va, l)];
        w->entry[l] = e;
        if (l == level)
            return e;
        if (!(*e & XOK_PTE_P)) {
            if (!create || *e)
                return NULL;
            u64 ppn = table_new(l - 1, create, err);
            if (!ppn)
                return NULL;
            pages[ppn].refs = 1;
            table_count(e, 0, 1);
            *e = ppn * XOK_PAGE_SIZE | TABLE_BITS;
        } else if (*e & XOK_PTE_PS) {
            *err = XOK_E_BUSY;
            return NULL;
        }
        table = table_at(*e);
    }
}

u64 *space_entry(u64 space, u64 va, int level)
{
    struct walk w;
    s64 err;
    return walk_to(space, va, level, 0, &w, &err);
}

bool user_page(u64 space, u64 va, bool write, u64 *ppn)
{
    u64 need = XOK_PTE_P | XOK_PTE_U | (write ? XOK_PTE_W : 0), *table = phys_to_virt(space);
    for (int l = 4; l >= 1; l--) {
        u64 e = table[index_of(va, l)];
        if ((e & need) != need)
            return false;
        if (is_leaf(e, l)) {
            *ppn = XOK_PTE_PPN(e) + ((va & (span_of(l) - 1)) >> 12);
            return true;
        }
        table = table_at(e);
    }
    return false;
}

// ---- spaces ----------------------------------------------------------------------------------------------
u64 space_new(const struct cap *c)
{
    s64 err;
    u64 ppn = table_new(4, c->name, &err);
    if (!ppn)
        return 0;
    u64 *t = phys_to_virt(ppn * XOK_PAGE_SIZE), *k = phys_to_virt(kernel_space);
    static const u16 shared[] = {256, 384, 448, 511}; // direct map, exposed state, its alias, the kernel
    for (u32 i = 0; i < countof(shared); i++)
        t[shared[i]] = k[shared[i]];
    t[XOK_SELFMAP_SLOT] = ppn * XOK_PAGE_SIZE | XOK_PTE_P | XOK_PTE_U | XOK_PTE_NX;
    pages[ppn].refs = 1;
    return ppn * XOK_PAGE_SIZE;
}

void space_ref(u64 space) { pages[space / XOK_PAGE_SIZE].refs++; }

void space_drop(u64 space)
{
    u64 ppn = space / XOK_PAGE_SIZE, *t = phys_to_virt(space);
    if (pages[ppn].refs == 1) {
        if (this_cpu()->space == space) {
            write_cr3(kernel_space);
            this_cpu()->space = kernel_space;
        }
        t[XOK_SELFMAP_SLOT] = 0;
    }
    table_drop(ppn, 4); // its counts cover the user half only
}

// ---- one entry -------------------------------------------------------------------------------------------------
static void flush_note(struct flush *f, u64 *entry, u64 va)
{
    if (f->count < FLUSH_MAX)
        f->va[f->count] = va;
    f->count++;
    if (pages[table_ppn(entry)].refs > 1)
        f->shared = true;
}

// Writes one leaf entry; the checks are done.
static void leaf_set(u64 *e, u64 new, int level, u64 va, struct flush *f)
{
    if (new & XOK_PTE_P)
        leaf_count(new, level, 1);
    u64 old = __atomic_exchange_n(e, new, __ATOMIC_SEQ_CST);
    table_count(e, old, new);
    if (old & XOK_PTE_P) {
        leaf_count(old, level, -1);
        flush_note(f, e, va);
    }
}

static bool leaf_ok(const struct cap *c, u64 pte, int level)
{
    if (!(pte & XOK_PTE_P))
        return true;
    u64 ppn = XOK_PTE_PPN(pte), n = level == 2 ? XOK_HUGE_PAGES : 1;
    u32 rights = pte & XOK_PTE_W ? XOK_R | XOK_W : XOK_R;
    if (ppn >= page_count || n > page_count - ppn || ppn & (n - 1))
        return false;
    for (u64 i = 0; i < n; i++)
        if (pages[ppn + i].type != XOK_PAGE_USER || !page_may(c, ppn + i, rights))
            return false;
    return true;
}

static u64 leaf_value(u64 pte, int level)
{
    if (!(pte & XOK_PTE_P))
        return pte;
    return (pte & (XOK_PTE_ADDR | LEAF_BITS)) | XOK_PTE_U | (level == 2 ? XOK_PTE_PS : 0);
}

static bool table_may(const struct cap *c, const u64 *entry)
{
    return cap_dominates(c, pages[table_ppn(entry)].acl[0], XOK_W);
}

// A table left empty is unlinked and freed, and so upward. Shared tables stay.
static void prune(struct walk *w, int level, u64 va, struct flush *f)
{
    for (int l = level; l < 4; l++) {
        u64 ppn = table_ppn(w->entry[l]);
        if (pages[ppn].next || pages[ppn].refs > 1)
            return;
        u64 *up = w->entry[l + 1], old = *up;
        *up = 0;
        table_count(up, old, 0);
        table_drop(ppn, l);
        flush_note(f, up, va);
    }
}

// ---- operations: each is checked whole, then done ----------------------------------------------------------------
static s64 op_set(const struct cap *c, u64 space, const struct xok_pt_op *o, struct flush *f)
{
    u64 step = o->pte & XOK_PTE_P ? span_of(o->level) : 0;
    struct walk w;
    s64 err;
    for (u64 i = 0; i < o->count; i++)
        if (!leaf_ok(c, o->pte + i * step, o->level))
            return XOK_E_CAP;
    for (u64 i = 0; i < o->count; i++) { // tables first: creating one can fail
        u64 va = o->va + i * span_of(o->level);
        if (i && index_of(va, o->level))
            continue;
        u64 *e = walk_to(space, va, o->level, o->flags & XOK_PT_CREATE ? c->name : 0, &w, &err);
        if (!e)
            return err;
        if (!table_may(c, e))
            return XOK_E_CAP;
    }
    if (o->level > 1) // a table hangs where a huge leaf should go
        for (u64 i = 0; i < o->count; i++) {
            u64 e = *walk_to(space, o->va + i * span_of(o->level), o->level, 0, &w, &err);
            if (e & XOK_PTE_P && !(e & XOK_PTE_PS))
                return XOK_E_BUSY;
        }
    u64 *e = NULL;
    for (u64 i = 0; i < o->count; i++, e++) {
        u64 va = o->va + i * span_of(o->level);
        if (!e || !index_of(va, o->level))
            e = walk_to(space, va, o->level, 0, &w, &err);
        leaf_set(e, leaf_value(o->pte + i * step, o->level), o->level, va, f);
    }
    return 0;
}

// Calls fn for each non-zero leaf-level entry of the range, skipping absent tables whole.
typedef s64 entry_fn(const struct cap *c, u64 *e, u64 va, const struct xok_pt_op *o, struct flush *f, void *arg);

static s64 for_entries(const struct cap *c, u64 space, const struct xok_pt_op *o, struct flush *f, entry_fn *fn,
                       void *arg, bool prune_after)
{
    struct walk w;
    s64 err;
    u64 end = o->va + o->count * span_of(o->level);
    for (u64 va = o->va; va < end;) {
        u64 next = MIN(end, (va | (span_of(o->level + 1) - 1)) + 1);
        u64 *e = walk_to(space, va, o->level, 0, &w, &err);
        if (e && !table_may(c, e))
            return XOK_E_CAP;
        u64 first = va;
        for (; e && va < next; va += span_of(o->level), e++) {
            if (!*e || (o->level > 1 && *e & XOK_PTE_P && !(*e & XOK_PTE_PS)))
                continue;
            s64 r = fn(c, e, va, o, f, arg);
            if (r)
                return r;
        }
        if (e && prune_after)
            prune(&w, o->level, first, f);
        va = next;
    }
    return 0;
}

static s64 clear_entry(const struct cap *c, u64 *e, u64 va, const struct xok_pt_op *o, struct flush *f, void *arg)
{
    (void)c, (void)arg;
    leaf_set(e, 0, o->level, va, f);
    return 0;
}

#define MOD_BITS                                                                                              \
    (XOK_PTE_W | XOK_PTE_NX | XOK_PTE_A | XOK_PTE_D | XOK_PTE_PWT | XOK_PTE_PCD | XOK_PTE_SOFT | XOK_PTE_SOFT_HI)

static s64 mod_check(const struct cap *c, u64 *e, u64 va, const struct xok_pt_op *o, struct flush *f, void *arg)
{
    (void)va, (void)f, (void)arg;
    return *e & XOK_PTE_P && o->pte & XOK_PTE_W && !leaf_ok(c, *e | XOK_PTE_W, o->level) ? XOK_E_CAP : 0;
}

static s64 mod_entry(const struct cap *c, u64 *e, u64 va, const struct xok_pt_op *o, struct flush *f, void *arg)
{
    (void)c, (void)arg;
    u64 old = *e, new;
    if (!(old & XOK_PTE_P))
        return 0;
    do
        new = (old & ~(o->clear & MOD_BITS)) | (o->pte & MOD_BITS);
    while (!__atomic_compare_exchange_n(e, &old, new, false, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST));
    if ((old & ~new) & (XOK_PTE_W | XOK_PTE_D | XOK_PTE_A) || new & ~old & XOK_PTE_NX)
        flush_note(f, e, va);
    return 0;
}

static s64 copy_check(const struct cap *c, u64 *e, u64 va, const struct xok_pt_op *o, struct flush *f, void *arg)
{
    (void)va, (void)f, (void)arg;
    u64 new = (*e & ~(o->clear & MOD_BITS)) | (o->pte & MOD_BITS);
    return *e & XOK_PTE_P && !leaf_ok(c, new, o->level) ? XOK_E_CAP : 0;
}

struct copy_to {
    u64 space;
    u64 *entry;
};

static s64 copy_entry(const struct cap *c, u64 *e, u64 va, const struct xok_pt_op *o, struct flush *f, void *arg)
{
    struct copy_to *to = arg;
    struct walk w;
    s64 err;
    // Entries of one table are neighbours on both sides.
    u64 *there = walk_to(to->space, va, o->level, c->name, &w, &err);
    if (!there)
        return err;
    mod_entry(c, e, va, o, f, NULL);
    leaf_set(there, *e, o->level, va, f);
    return 0;
}

static s64 op_copy(const struct cap *c, u64 space, const struct xok_pt_op *o, struct flush *f)
{
    u64 from = this_cpu()->env->space;
    struct copy_to to = {space, NULL};
    if (from == space)
        return XOK_E_ARG;
    s64 r = for_entries(c, from, o, f, copy_check, NULL, false);
    return r ? r : for_entries(c, from, o, f, copy_entry, &to, false);
}

static s64 op_link(const struct cap *c, u64 space, const struct xok_pt_op *o)
{
    struct walk w;
    s64 err;
    if (o->level < 2 || o->count != 1)
        return XOK_E_ARG;
    u64 *src = space_entry(this_cpu()->env->space, o->va, o->level);
    if (!src || !(*src & XOK_PTE_P) || *src & XOK_PTE_PS)
        return XOK_E_NOTABLE;
    u64 ppn = XOK_PTE_PPN(*src), write = o->pte & XOK_PTE_W;
    if (pages[ppn].type != XOK_PAGE_PT1 + o->level - 2)
        return XOK_E_ARG;
    if (!cap_dominates(c, pages[ppn].acl[0], write ? XOK_R | XOK_W : XOK_R))
        return XOK_E_CAP;
    u64 *dst = walk_to(space, o->va, o->level, o->flags & XOK_PT_CREATE || o->level == 4 ? c->name : 0, &w, &err);
    if (!dst)
        return err;
    if (*dst)
        return XOK_E_BUSY;
    if (!table_may(c, dst))
        return XOK_E_CAP;
    table_count(dst, 0, 1);
    *dst = ppn * XOK_PAGE_SIZE | XOK_PTE_P | XOK_PTE_U | write;
    pages[ppn].refs++;
    return 0;
}

static s64 op_unlink(const struct cap *c, u64 space, const struct xok_pt_op *o, struct flush *f)
{
    u64 *e = o->level >= 2 && o->count == 1 ? space_entry(space, o->va, o->level) : NULL;
    if (!e || !(*e & XOK_PTE_P) || *e & XOK_PTE_PS)
        return XOK_E_NOTABLE;
    if (!table_may(c, e))
        return XOK_E_CAP;
    u64 old = *e;
    *e = 0;
    table_count(e, old, 0);
    f->count = FLUSH_MAX + 1;
    table_drop(XOK_PTE_PPN(old), o->level - 1);
    return 0;
}

static s64 op_run(const struct cap *c, u64 space, const struct xok_pt_op *o, struct flush *f)
{
    u64 span = o->level >= 1 && o->level <= 4 ? span_of(o->level) : 0;
    bool link = o->kind == XOK_PT_LINK || o->kind == XOK_PT_UNLINK;
    if (!span || o->va & (span - 1) || !o->count || o->count > XOK_PT_OP_MAX || (!link && o->level > 2) ||
        !user_range(o->va, link ? 1 : o->count * span) ||
        index_of(o->va, 4) == XOK_SELFMAP_SLOT || index_of(o->va + o->count * span - 1, 4) == XOK_SELFMAP_SLOT)
        return XOK_E_ARG;
    s64 r;
    switch (o->kind) {
    case XOK_PT_SET: return op_set(c, space, o, f);
    case XOK_PT_CLEAR: return for_entries(c, space, o, f, clear_entry, NULL, true);
    case XOK_PT_MOD:
        r = for_entries(c, space, o, f, mod_check, NULL, false);
        return r ? r : for_entries(c, space, o, f, mod_entry, NULL, false);
    case XOK_PT_COPY: return op_copy(c, space, o, f);
    case XOK_PT_LINK: return op_link(c, space, o);
    case XOK_PT_UNLINK: return op_unlink(c, space, o, f);
    default: return XOK_E_ARG;
    }
}

static void flush_do(const struct flush *f, u64 space)
{
    u64 here = this_cpu()->space;
    if (!f->count)
        return;
    if (f->count > FLUSH_MAX)
        tlb_flush_all();
    else
        for (u32 i = 0; i < f->count; i++)
            tlb_flush_page(f->va[i]);
    tlb_shootdown(here, f->shared || space != here);
}

s64 sys_pt_batch(u64 slot, u64 target, u64 ops, u64 count)
{
    struct env *me = this_cpu()->env, *e = env_find(target);
    struct xok_pt_op batch[XOK_PT_BATCH_MAX];
    struct cap c;
    if (!e)
        return XOK_E_ENV;
    if (!cap_slot(me, slot, &c) || !cap_over(&c, e->name, XOK_W))
        return XOK_E_CAP;
    if (!count || count > XOK_PT_BATCH_MAX)
        return XOK_E_ARG;
    if (copy_in(batch, ops, count * sizeof batch[0]))
        return XOK_E_FAULT;
    u64 total = 0;
    struct flush f;
    f.count = 0, f.shared = false;
    s64 r = 0, done = 0;
    for (; done < (s64)count; done++) {
        total += batch[done].count;
        r = total > XOK_PT_OP_MAX ? XOK_E_ARG : op_run(&c, e->space, &batch[done], &f);
        if (r)
            break;
    }
    flush_do(&f, e->space);
    return done ? done : r;
}

s64 sys_space_clear(u64 slot, u64 target, u64 va, u64 len)
{
    struct env *me = this_cpu()->env, *e = env_find(target);
    struct cap c;
    if (!e)
        return XOK_E_ENV;
    if (!cap_slot(me, slot, &c) || !cap_over(&c, e->name, XOK_W))
        return XOK_E_CAP;
    if ((va | len) & (span_of(4) - 1) || !len || va + len < va || va + len > 1ul << 47)
        return XOK_E_ARG;
    u64 *root = phys_to_virt(e->space);
    for (u64 i = index_of(va, 4); i < (va + len) >> 39; i++) {
        u64 old = root[i];
        if (!old || i == XOK_SELFMAP_SLOT)
            continue;
        root[i] = 0;
        table_count(&root[i], old, 0);
        if (old & XOK_PTE_P)
            table_drop(XOK_PTE_PPN(old), 3);
    }
    tlb_flush_all();
    tlb_shootdown(e->space, true);
    return 0;
}

s64 pt_boot_set(const struct cap *c, u64 space, const struct xok_pt_op *op)
{
    struct flush f;
    f.count = 0, f.shared = false;
    return op_run(c, space, op, &f);
}
