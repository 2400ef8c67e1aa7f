// Page tables that fork has left shared. Their entry in the page directory has no W, in every space that
// links them, so nobody writes through them; the pages behind them are counted once for all. Whoever wants
// to change something gets a table of his own first, or finds that he is alone and takes this one.
#include "vm/vm.h"
#include "core/calls.h"
#include "vm/tables.h"

// Decides, for all processes, who is the last user of a table.
static struct lock lock;

static bool is_table(u64 va)
{
    return *XOK_PML4E(va) & XOK_PTE_P && *XOK_PDPTE(va) & XOK_PTE_P && *XOK_PDE(va) & XOK_PTE_P;
}

bool table_linked(u64 va)
{
    return is_table(va) && !(*XOK_PDE(va) & XOK_PTE_W);
}

static volatile const struct xok_page_info *table_info(u64 va)
{
    return &XOK_PAGES[XOK_PTE_PPN(*XOK_PDE(va))];
}

u32 table_entries(u64 va)
{
    return table_info(va)->next;
}

volatile u64 *table_first(u64 va)
{
    return XOK_PTE(va & -TABLE_SPAN) + (table_info(va)->prev & 0xffff);
}

static s64 run(u32 env, const struct xok_pt_op *op)
{
    return xok_pt_batch(FAMILY, env, op, 1) == 1 ? 0 : -ENOMEM;
}

static void pages_count(u64 va, bool up)
{
    u32 left = table_entries(va);
    for (volatile u64 *pte = table_first(va); left; pte++) {
        left -= *pte != 0;
        if (pte_holds(*pte))
            (up ? page_ref : page_put)(XOK_PTE_PPN(*pte));
    }
}

s64 table_own(u64 va)
{
    if (!table_linked(va))
        return 0;
    struct xok_pt_op op = {.va = va & -TABLE_SPAN, .count = 1, .kind = XOK_PT_OWN, .level = 2,
                           .pte = PTE_COW, .clear = XOK_PTE_W};
    lock_take(&lock);
    bool shared = table_info(va)->refs > 1;
    if (shared)
        pages_count(va, true);
    s64 r = run(0, &op);
    if (r && shared)
        pages_count(va, false);
    lock_drop(&lock);
    return r;
}

s64 table_link(u64 va, u32 env)
{
    struct xok_pt_op op = {.va = va & -TABLE_SPAN, .count = 1, .kind = XOK_PT_LINK, .level = 2,
                           .flags = XOK_PT_CREATE | XOK_PT_DEMOTE};
    lock_take(&lock);
    s64 r = run(env, &op);
    lock_drop(&lock);
    return r;
}

u32 table_unlink(u64 va)
{
    if (!table_linked(va))
        return 0;
    struct xok_pt_op op = {.va = va & -TABLE_SPAN, .count = 1, .kind = XOK_PT_UNLINK, .level = 2};
    lock_take(&lock);
    u32 n = table_info(va)->refs > 1 ? table_entries(va) : 0;
    if (n && run(0, &op))
        n = 0;
    lock_drop(&lock);
    return n;
}
