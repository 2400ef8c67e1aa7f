// Page tables as trees of typed, counted pages: what mem/ shares. All under the BKL.
#ifndef XOK_TABLE_H
#define XOK_TABLE_H
#include "kernel.h"

// Where a walk went: the entry of each level it passed, [level], and whether a table on the way (the one
// that holds the last entry included) is used by several spaces.
struct walk {
    u64 *entry[5];
    bool shared;
};

static inline u32 index_of(u64 va, int level) { return va >> (12 + 9 * (level - 1)) & 511; }
static inline u64 span_of(int level) { return 1ul << (12 + 9 * (level - 1)); }
static inline u64 leaf_pages(int level) { return 1ul << 9 * (level - 1); }
static inline u64 table_ppn(const void *entry) { return ((u64)entry - DIRECT) / XOK_PAGE_SIZE; }
static inline u64 *table_at(u64 entry) { return phys_to_virt(entry & XOK_PTE_ADDR); }
static inline bool is_leaf(u64 entry, int level) { return level == 1 || entry & XOK_PTE_PS; }

static inline void leaf_refs(u64 pte, int level, s32 delta)
{
    struct xok_page_info *p = &pages[XOK_PTE_PPN(pte)];
    for (u64 i = leaf_pages(level); i; i--, p++)
        p->refs += delta;
}

// A table's used entries: `next` counts those not zero; `prev` bounds them (lowest | highest << 16) and
// only widens while the table is in use. Entries e[0..n-1] may have become used; `delta` of them did.
static inline void table_used(u64 *e, u32 n, s32 delta)
{
    struct xok_page_info *t = &pages[table_ppn(e)];
    u32 first = (u64)e / 8 & 511, last = first + n - 1;
    u32 lo = t->prev & 0xffff, hi = t->prev >> 16;
    t->prev = t->next ? MIN(lo, first) | MAX(hi, last) << 16 : first | last << 16;
    t->next += delta;
}

// The last entry for va, if every table on the way is there.
static inline u64 *leaf_find(u64 space, u64 va)
{
    u64 *e = (u64 *)phys_to_virt(space) + (va >> 39 & 511);
    if ((*e & (XOK_PTE_P | XOK_PTE_PS)) != XOK_PTE_P)
        return NULL;
    e = table_at(*e) + (va >> 30 & 511);
    if ((*e & (XOK_PTE_P | XOK_PTE_PS)) != XOK_PTE_P)
        return NULL;
    e = table_at(*e) + (va >> 21 & 511);
    if ((*e & (XOK_PTE_P | XOK_PTE_PS)) != XOK_PTE_P)
        return NULL;
    return table_at(*e) + (va >> 12 & 511);
}

// The entry of `level` for va where every table on the way is there, else NULL; *shared as in walk.
static inline u64 *table_find(u64 space, u64 va, int level, bool *shared)
{
    u64 *e = (u64 *)phys_to_virt(space) + index_of(va, 4);
    u32 links = 0;
    for (int l = 4; l > level; l--) {
        if ((*e & (XOK_PTE_P | XOK_PTE_PS)) != XOK_PTE_P)
            return NULL;
        links |= pages[XOK_PTE_PPN(*e)].refs - 1;
        e = table_at(*e) + index_of(va, l - 1);
    }
    *shared = links;
    return e;
}

bool table_may(const struct cap *c, const u64 *entry); // c may change the table that holds entry
// The entry of `level` for va. With `create`, missing tables are made, charged to its name. NULL: *err.
u64 *table_walk(u64 space, u64 va, int level, const struct cap *create, struct walk *w, s64 *err);
u64 table_new(int level, u32 name, s64 *err);
void table_drop(u64 ppn, int level); // one link less; the last frees what is below. O(tables)
// Frees the tables on the way to va that are empty and not shared. True if there was one; *shared as in walk.
bool table_prune(const struct cap *c, u64 space, u64 va, bool *shared);
#endif
