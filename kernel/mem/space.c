// Address spaces: a root table each, counted by the environments that run in it.
#include "mem/table.h"

u64 kernel_space;
static const u16 kernel_slots[] = {256, 384, 448, 511}; // direct map, exposed state, its alias, the kernel

u64 space_new(const struct cap *c)
{
    s64 err;
    u64 ppn = table_new(4, c->name, &err);
    if (!ppn)
        return 0;
    u64 *t = phys_to_virt(ppn * XOK_PAGE_SIZE), *k = phys_to_virt(kernel_space);
    for (u32 i = 0; i < countof(kernel_slots); i++)
        t[kernel_slots[i]] = k[kernel_slots[i]];
    t[XOK_SELFMAP_SLOT] = ppn * XOK_PAGE_SIZE | XOK_PTE_P | XOK_PTE_U | XOK_PTE_NX;
    return ppn * XOK_PAGE_SIZE;
}

void space_ref(u64 space) { pages[space / XOK_PAGE_SIZE].refs++; }

// The last environment of a space leaves with it. No processor runs on it then but perhaps this one.
void space_drop(u64 space)
{
    u64 ppn = space / XOK_PAGE_SIZE, *t = phys_to_virt(space);
    if (pages[ppn].refs == 1) {
        if (this_cpu()->space == space) {
            write_cr3(kernel_space);
            this_cpu()->space = kernel_space;
        }
        t[XOK_SELFMAP_SLOT] = 0; // the counts of a root cover the library's part of it only
        for (u32 i = 0; i < countof(kernel_slots); i++)
            t[kernel_slots[i]] = 0;
    }
    table_drop(ppn, 4);
}

u64 *space_entry(u64 space, u64 va, int level)
{
    struct walk w;
    s64 err;
    return table_walk(space, va, level, NULL, &w, &err);
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
    bool any = false;
    struct xok_page_info *used = &pages[e->space / XOK_PAGE_SIZE];
    u32 from = MAX(index_of(va, 4), used->prev & 0xffff), to = MIN((va + len) >> 39, (used->prev >> 16) + 1ul);
    for (u32 i = from; i < to && used->next; i++) {
        u64 old = root[i];
        if (!old || i == XOK_SELFMAP_SLOT)
            continue;
        root[i] = 0;
        used->next--;
        if (old & XOK_PTE_P)
            table_drop(XOK_PTE_PPN(old), 3);
        any = true;
    }
    if (any) {
        if (this_cpu()->space == e->space)
            tlb_flush_all();
        tlb_shootdown(e->space, e->space, false);
    }
    return 0;
}
