// Table pages: made, walked, counted, dropped.
#include "mem/table.h"

#define TABLE_BITS (XOK_PTE_P | XOK_PTE_W | XOK_PTE_U)

// Tables are empty when they are given back, so they serve as tables again without zeroing. The bound
// keeps at most 256 KiB from others; beyond it pages return to the free list.
enum { SPARE_MAX = 64 };
static u64 spare[SPARE_MAX];
static u32 spares;

u64 table_new(int level, u32 name, s64 *err)
{
    *err = quota_charge(name, XOK_RES_PTPAGES, 1);
    if (*err)
        return 0;
    u64 ppn = spares ? spare[--spares] : kpage_alloc() / XOK_PAGE_SIZE;
    if (!ppn) {
        quota_refund(name, XOK_RES_PTPAGES, 1);
        *err = XOK_E_NOMEM;
        return 0;
    }
    pages[ppn] = (struct xok_page_info){.type = XOK_PAGE_PT1 + level - 1, .acl = {XOK_ACL(name, XOK_ALL)},
                                        .refs = 1};
    name_ref(name);
    return ppn;
}

static void table_release(u64 ppn)
{
    u32 name = XOK_ACL_NAME(pages[ppn].acl[0]);
    quota_refund(name, XOK_RES_PTPAGES, 1);
    name_drop(name);
    pages[ppn] = (struct xok_page_info){.type = XOK_PAGE_KERNEL};
    if (spares < SPARE_MAX)
        spare[spares++] = ppn;
    else
        kpage_free(ppn * XOK_PAGE_SIZE);
}

void table_drop(u64 ppn, int level)
{
    struct xok_page_info *p = &pages[ppn];
    if (--p->refs)
        return;
    u64 *t = phys_to_virt(ppn * XOK_PAGE_SIZE);
    if (level == 1) { // the commonest by far
        for (u64 *e = t + (p->prev & 0xffff), *end = t + (p->prev >> 16) + 1; e < end; e++) {
            u64 old = *e;
            if (!old)
                continue;
            *e = 0;
            if (old & XOK_PTE_P)
                pages[XOK_PTE_PPN(old)].refs--;
        }
        p->next = 0;
    }
    for (u32 i = p->prev & 0xffff; p->next; i++) {
        for (; !(i & 3) && !(t[i] | t[i + 1] | t[i + 2] | t[i + 3]); i += 4) // tables are mostly empty
            ;
        if (!t[i])
            continue;
        if (t[i] & XOK_PTE_P) {
            if (is_leaf(t[i], level))
                leaf_refs(t[i], level, -1);
            else
                table_drop(XOK_PTE_PPN(t[i]), level - 1);
        }
        t[i] = 0;
        p->next--;
    }
    table_release(ppn);
}

bool table_may(const struct cap *c, const u64 *entry)
{
    return cap_dominates(c, pages[table_ppn(entry)].acl[0], XOK_W);
}

u64 *table_walk(u64 space, u64 va, int level, const struct cap *create, struct walk *w, s64 *err)
{
    u64 *table = phys_to_virt(space);
    w->shared = false;
    for (int l = 4;; l--) {
        u64 *e = &table[index_of(va, l)];
        w->entry[l] = e;
        if (l == level)
            return e;
        if (!(*e & XOK_PTE_P)) {
            *err = XOK_E_NOTABLE;
            if (!create || *e)
                return NULL;
            *err = XOK_E_CAP;
            u64 ppn = table_may(create, e) ? table_new(l - 1, create->name, err) : 0;
            if (!ppn)
                return NULL;
            table_used(e, 1, 1);
            *e = ppn * XOK_PAGE_SIZE | TABLE_BITS;
        } else if (*e & XOK_PTE_PS) {
            *err = XOK_E_BUSY;
            return NULL;
        }
        w->shared |= pages[XOK_PTE_PPN(*e)].refs > 1;
        table = table_at(*e);
    }
}

bool table_prune(const struct cap *c, u64 space, u64 va, bool *shared)
{
    u64 *path[5], *table = phys_to_virt(space);
    int low = 4;
    *shared = false;
    for (int l = 4; l > 1; l--) {
        u64 *e = path[l] = &table[index_of(va, l)];
        if (!(*e & XOK_PTE_P) || *e & XOK_PTE_PS)
            break;
        *shared |= pages[XOK_PTE_PPN(*e)].refs > 1;
        table = table_at(*e);
        low = l - 1;
    }
    int l = low;
    for (; l < 4; l++) {
        u64 *up = path[l + 1], ppn = XOK_PTE_PPN(*up);
        if (pages[ppn].next || pages[ppn].refs > 1 || !table_may(c, up))
            break;
        *up = 0;
        pages[table_ppn(up)].next--;
        table_drop(ppn, l);
    }
    return l > low;
}
