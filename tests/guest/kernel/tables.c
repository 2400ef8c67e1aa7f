// Page tables: every kind of operation, what it refuses, and that a refusal changes nothing.
#include "test.h"

#define VA 0x10000000ul
#define FAR 0x20000000000ul // needs tables of its own at every level

static s64 op(u32 env, u8 kind, u64 va, u64 pte, u64 clear, u32 count, u8 level, u8 flags)
{
    struct xok_pt_op o = {va, pte, clear, count, kind, level, flags, 0};
    return xok_pt_batch(ROOT, env, &o, 1);
}

static u64 tables(void) { return XOK_NAMES[XOK_NAME_ROOT].used[XOK_RES_PTPAGES]; }

static void sets(void)
{
    u64 before = tables(), run = 0;
    for (u64 p = 512, n = 0; !run; p++) {
        n = XOK_PAGES[p].type == XOK_PAGE_FREE ? n + 1 : 0;
        if (n >= 512 && !((p + 1) % 512))
            run = p - 511;
    }
    EQ(xok_page_alloc(ROOT, run, 512), run);
    // no table, no wish to make one
    EQ(op(0, XOK_PT_SET, FAR, run << 12 | 1, 0, 1, 1, 0), XOK_E_NOTABLE);
    EQ(tables(), before);
    EQ(op(0, XOK_PT_SET, FAR, run << 12 | 3, 0, 4, 1, XOK_PT_CREATE), 1);
    EQ(tables(), before + 3);
    EQ(*XOK_PTE(FAR) & (XOK_PTE_ADDR | 7), run << 12 | 7);
    EQ(*XOK_PTE(FAR + 3 * PAGE) & XOK_PTE_ADDR, (run + 3) << 12);
    *(volatile u64 *)FAR = 99;
    EQ(XOK_PAGES[run].refs, 1);
    EQ(XOK_PAGES[XOK_PTE_PPN(*XOK_PDE(FAR))].type, XOK_PAGE_PT1);
    EQ(XOK_PAGES[XOK_PTE_PPN(*XOK_PDE(FAR))].next, 4);
    // across a table's end
    EQ(op(0, XOK_PT_SET, FAR + 510 * PAGE, run << 12 | 1, 0, 4, 1, XOK_PT_CREATE), 1);
    EQ(*XOK_PTE(FAR + 513 * PAGE) & XOK_PTE_ADDR, (run + 3) << 12);
    EQ(tables(), before + 4);
    EQ(XOK_PAGES[run].refs, 2);
    // absent values are the library's
    EQ(op(0, XOK_PT_SET, FAR + 8 * PAGE, 0xabcdef0123456788, 0, 2, 1, 0), 1);
    EQ(*XOK_PTE(FAR + 9 * PAGE), 0xabcdef0123456788);
    // a refused step changes nothing: the last page is not ours to map
    EQ(op(0, XOK_PT_SET, FAR, (run + 511) << 12 | 1, 0, 1024, 1, XOK_PT_CREATE), XOK_E_CAP);
    EQ(*XOK_PTE(FAR) & XOK_PTE_ADDR, run << 12);
    EQ(XOK_PAGES[run + 511].refs, 0);
    EQ(tables(), before + 4);
    // huge: refused over a table, good elsewhere
    EQ(op(0, XOK_PT_SET, FAR, run << 12 | 3, 0, 1, 2, XOK_PT_CREATE), XOK_E_BUSY);
    EQ(op(0, XOK_PT_SET, FAR + (4ul << 21), (run + 1) << 12 | 3, 0, 1, 2, XOK_PT_CREATE), XOK_E_CAP); // not aligned
    EQ(op(0, XOK_PT_SET, FAR + (4ul << 21), run << 12 | 3, 0, 1, 2, XOK_PT_CREATE), 1);
    EQ(*(volatile u64 *)(FAR + (4ul << 21)), 99);
    EQ(XOK_PAGES[run + 511].refs, 1);
    EQ(XOK_PAGES[run].refs, 3);
    EQ(op(0, XOK_PT_SET, FAR + (4ul << 21), run << 12 | 3, 0, 1, 1, XOK_PT_CREATE), XOK_E_BUSY);
    EQ(op(0, XOK_PT_MOD, FAR + (4ul << 21), 0, XOK_PTE_W, 1, 2, 0), 1);
    EQ(*XOK_PDE(FAR + (4ul << 21)) & (XOK_PTE_W | XOK_PTE_PS), XOK_PTE_PS);
    EQ(op(0, XOK_PT_CLEAR, FAR + (4ul << 21), 0, 0, 1, 2, 0), 1);
    EQ(XOK_PAGES[run + 511].refs, 0);
    // clearing at the wrong level leaves tables alone
    EQ(op(0, XOK_PT_CLEAR, FAR, 0, 0, 1, 2, 0), 1);
    EQ(*XOK_PTE(FAR) & XOK_PTE_ADDR, run << 12);
    // everything goes, the tables too
    EQ(op(0, XOK_PT_CLEAR, FAR, 0, 0, 2048, 1, 0), 1);
    EQ(tables(), before);
    EQ(*XOK_PML4E(FAR), 0);
    EQ(XOK_PAGES[run].refs, 0);
    EQ(op(0, XOK_PT_CLEAR, FAR, 0, 0, 4096, 1, 0), 1); // nothing there: skipped
    EQ(xok_page_free(ROOT, run, 512), 0);
}

static void refusals(void)
{
    u64 p = page_new(VA);
    EQ(op(0, 99, VA, 0, 0, 1, 1, 0), XOK_E_ARG);
    EQ(op(0, XOK_PT_SET, VA + 1, p << 12 | 1, 0, 1, 1, 0), XOK_E_ARG);
    EQ(op(0, XOK_PT_SET, VA, p << 12 | 1, 0, 0, 1, 0), XOK_E_ARG);
    EQ(op(0, XOK_PT_SET, VA, p << 12 | 1, 0, XOK_PT_OP_MAX + 1, 1, 0), XOK_E_ARG);
    EQ(op(0, XOK_PT_SET, VA, p << 12 | 1, 0, 1, 0, 0), XOK_E_ARG);
    EQ(op(0, XOK_PT_SET, VA, p << 12 | 1, 0, 1, 5, 0), XOK_E_ARG);
    EQ(op(0, XOK_PT_SET, XOK_USER_END, p << 12 | 1, 0, 1, 1, 1), XOK_E_ARG);
    EQ(op(0, XOK_PT_SET, XOK_USER_END - PAGE, p << 12 | 1, 0, 2, 1, 1), XOK_E_ARG);
    EQ(op(0, XOK_PT_SET, 0xffff800000000000, p << 12 | 1, 0, 1, 1, 1), XOK_E_ARG);
    EQ(op(0, XOK_PT_SET, XOK_INFO_VA, p << 12 | 1, 0, 1, 1, 1), XOK_E_ARG);
    EQ(op(0, XOK_PT_SET, XOK_SELFMAP, p << 12 | 1, 0, 1, 1, 1), XOK_E_ARG);
    EQ(op(0, XOK_PT_CLEAR, XOK_SELFMAP - PAGE, 0, 0, 2, 1, 0), XOK_E_ARG);
    EQ(op(0, XOK_PT_UNLINK, XOK_SELFMAP, 0, 0, 1, 4, 0), XOK_E_ARG);
    EQ(op(0, XOK_PT_UNLINK, VA & ~0xfffffffful, 0, 0, 1, 5, 0), XOK_E_ARG);
    EQ(op(0xdead0001, XOK_PT_CLEAR, VA, 0, 0, 1, 1, 0), XOK_E_ENV);
    EQ(xok_pt_batch(9, 0, (void *)VA, 1), XOK_E_CAP);
    EQ(xok_pt_batch(ROOT, 0, (void *)VA, 0), XOK_E_ARG);
    EQ(xok_pt_batch(ROOT, 0, (void *)VA, XOK_PT_BATCH_MAX + 1), XOK_E_ARG);
    EQ(xok_pt_batch(ROOT, 0, (void *)(VA + PAGE - 8), 1), XOK_E_FAULT);
    EQ(xok_pt_batch(ROOT, 0, (void *)0xffffffff80200000, 1), XOK_E_FAULT);
    EQ(xok_pt_batch(ROOT, 0, (void *)-8, 1), XOK_E_FAULT);
    EQ(op(0, XOK_PT_COPY, VA, 0, 0, 1, 1, 0), XOK_E_ARG); // to itself
    // bits the kernel does not give: supervisor, global
    EQ(op(0, XOK_PT_SET, VA, p << 12 | 1 | 0x100 | 0x180, 0, 1, 1, 0), 1);
    EQ(*XOK_PTE(VA) & 0x187, 5);
    // a batch stops at its first refusal
    struct xok_pt_op list[3] = {{VA, p << 12 | 3, 0, 1, XOK_PT_SET, 1, 0, 0},
                                {VA + 1, 0, 0, 1, XOK_PT_CLEAR, 1, 0, 0},
                                {VA, 0, 0, 1, XOK_PT_CLEAR, 1, 0, 0}};
    EQ(xok_pt_batch(ROOT, 0, list, 3), 1);
    EQ(*XOK_PTE(VA) & XOK_PTE_W, XOK_PTE_W);
    // soft bits and NX survive
    EQ(op(0, XOK_PT_MOD, VA, XOK_PTE_SOFT | XOK_PTE_SOFT_HI | XOK_PTE_NX, 0, 1, 1, 0), 1);
    EQ(*XOK_PTE(VA) & (XOK_PTE_SOFT | XOK_PTE_SOFT_HI | XOK_PTE_NX), XOK_PTE_SOFT | XOK_PTE_SOFT_HI | XOK_PTE_NX);
    EQ(op(0, XOK_PT_MOD, VA, XOK_PTE_ADDR | XOK_PTE_U | XOK_PTE_PS, XOK_PTE_P | XOK_PTE_U, 1, 1, 0), 1);
    EQ(*XOK_PTE(VA) & (XOK_PTE_ADDR | XOK_PTE_U | XOK_PTE_P), p << 12 | XOK_PTE_U | XOK_PTE_P);
    page_gone(VA, p);
}

// Another's page may be mapped as its access list says, through any operation.
static void rights(void)
{
    EQ(xok_cap_forge(ROOT, 7, XOK_ALL, 1), 0);
    EQ(xok_cap_forge(ROOT, 8, XOK_ALL, 2), 0);
    u64 p = xok_page_alloc(1, XOK_PAGE_ANY, 1), q = xok_page_alloc(2, XOK_PAGE_ANY, 1);
    u32 name8 = XOK_ACL_NAME(XOK_PAGES[q].acl[0]);
    s64 child = xok_env_alloc(2, 0);
    CHECK(child > 0);
    struct xok_pt_op w = {VA, p << 12 | 3, 0, 1, XOK_PT_SET, 1, XOK_PT_CREATE, 0}, r = w;
    r.pte &= ~XOK_PTE_W;
    EQ(xok_pt_batch(2, child, &r, 1), XOK_E_CAP);
    EQ(xok_page_acl(1, p, 1, XOK_ACL(name8, XOK_R)), 0);
    EQ(xok_pt_batch(2, child, &w, 1), XOK_E_CAP);
    EQ(XOK_NAMES[name8].used[XOK_RES_PTPAGES], 1); // the root alone: no table was left by the refusal
    EQ(xok_pt_batch(2, child, &r, 1), 1);
    EQ(XOK_NAMES[name8].used[XOK_RES_PTPAGES], 4);
    struct xok_pt_op mod = {VA, XOK_PTE_W, 0, 1, XOK_PT_MOD, 1, 0, 0};
    EQ(xok_pt_batch(2, child, &mod, 1), XOK_E_CAP);
    EQ(xok_page_acl(1, p, 1, XOK_ACL(name8, XOK_R | XOK_W)), 0);
    EQ(xok_pt_batch(2, child, &mod, 1), 1);
    EQ(xok_pt_batch(1, child, &mod, 1), XOK_E_CAP); // 7 has no say over 8's environment
    EQ(xok_env_free(1, child), XOK_E_CAP);
    EQ(XOK_PAGES[p].refs, 1);
    EQ(xok_env_free(2, child), 0);
    EQ(XOK_PAGES[p].refs, 0);
    EQ(XOK_NAMES[name8].used[XOK_RES_PTPAGES], 0);
    EQ(xok_page_free(1, p, 1), 0);
    EQ(xok_page_free(2, q, 1), 0);
    // a quota on table pages
    EQ(xok_cap_quota(ROOT, 8, XOK_RES_PTPAGES, 3), 0);
    child = xok_env_alloc(2, 0);
    u64 mine = xok_page_alloc(2, XOK_PAGE_ANY, 1);
    w.pte = mine << 12 | 3;
    EQ(xok_pt_batch(2, child, &w, 1), XOK_E_QUOTA);
    EQ(XOK_NAMES[name8].used[XOK_RES_PTPAGES], 1);
    EQ(xok_cap_quota(ROOT, 8, XOK_RES_PTPAGES, 4), 0);
    EQ(xok_pt_batch(2, child, &w, 1), 1);
    EQ(xok_env_free(2, child), 0);
    xok_page_free(2, mine, 1);
    xok_cap_drop(1);
    xok_cap_drop(2);
}

static void copies_and_links(void)
{
    u64 before = tables(), p = page_new(VA), q = page_new(VA + PAGE);
    u64 free = XOK_INFO->pages_free;
    s64 child = xok_env_alloc(ROOT, 0), other = xok_env_alloc(ROOT, 0);
    CHECK(child > 0 && other > 0);
    *(volatile u64 *)VA = 1;
    // fork's copy: both lose W and gain a soft bit
    EQ(op(0, XOK_PT_SET, VA + 2 * PAGE, 0x1230, 0, 1, 1, 0), 1);
    EQ(op(child, XOK_PT_COPY, VA, 0x200, XOK_PTE_W, 512, 1, 0), 1);
    EQ(*XOK_PTE(VA) & (XOK_PTE_W | 0x200), 0x200);
    EQ(XOK_PAGES[p].refs, 2);
    EQ(XOK_PAGES[q].refs, 2);
    EQ(op(0, XOK_PT_MOD, VA, XOK_PTE_W, 0x200, 2, 1, 0), 1);
    *(volatile u64 *)VA = 2;
    EQ(op(child, XOK_PT_COPY, VA, 0, 0, 2, 1, 0), 1); // again, over what is there
    EQ(XOK_PAGES[p].refs, 2);
    // the table of VA, shared
    EQ(op(other, XOK_PT_LINK, VA & ~0x1ffffful, XOK_PTE_W, 0, 1, 2, 0), XOK_E_NOTABLE);
    EQ(op(other, XOK_PT_LINK, VA & ~0x1ffffful, XOK_PTE_W, 0, 1, 2, XOK_PT_CREATE), 1);
    u64 table = XOK_PTE_PPN(*XOK_PDE(VA));
    EQ(XOK_PAGES[table].refs, 2);
    EQ(XOK_PAGES[p].refs, 2); // entries are not counted again
    EQ(op(other, XOK_PT_LINK, VA & ~0x1ffffful, XOK_PTE_W, 0, 1, 2, 0), XOK_E_BUSY);
    EQ(op(other, XOK_PT_LINK, VA & ~0x3ffffffful, XOK_PTE_W, 0, 1, 3, 0), XOK_E_BUSY);
    EQ(op(other, XOK_PT_LINK, FAR, XOK_PTE_W, 0, 1, 4, 0), XOK_E_NOTABLE);
    EQ(op(0, XOK_PT_LINK, VA & ~0x1ffffful, XOK_PTE_W, 0, 1, 2, 0), XOK_E_BUSY);
    EQ(op(other, XOK_PT_COPY, VA, 0, 0, 1, 1, 0), XOK_E_ARG); // onto itself
    // changed through one, seen through the other; emptied, it stays while shared
    EQ(op(other, XOK_PT_CLEAR, VA, 0, 0, 1, 1, 0), 1);
    EQ(*XOK_PTE(VA), 0);
    EQ(op(other, XOK_PT_SET, VA, p << 12 | 3, 0, 1, 1, 0), 1);
    EQ(*(volatile u64 *)VA, 2);
    EQ(op(other, XOK_PT_UNLINK, VA & ~0x1ffffful, 0, 0, 1, 2, 0), 1);
    EQ(op(other, XOK_PT_UNLINK, VA & ~0x1ffffful, 0, 0, 1, 2, 0), XOK_E_NOTABLE);
    EQ(XOK_PAGES[table].refs, 1);
    EQ(op(other, XOK_PT_LINK, 0, XOK_PTE_W, 0, 1, 4, 0), 1); // the whole lowest 512 GiB
    EQ(op(other, XOK_PT_CLEAR, VA + PAGE, 0, 0, 1, 1, 0), 1);
    EQ(*XOK_PTE(VA + PAGE), 0);
    EQ(xok_env_free(ROOT, other), 0);
    EQ(xok_space_clear(ROOT, child, 0, 1ul << 39), 0);
    EQ(XOK_PAGES[q].refs, 0);
    EQ(XOK_PAGES[p].refs, 1);
    EQ(xok_space_clear(ROOT, child, 1, 1ul << 39), XOK_E_ARG);
    EQ(xok_space_clear(ROOT, child, 0, 1ul << 48), XOK_E_ARG);
    EQ(xok_space_clear(ROOT, child, 0, 1ul << 47), 0);
    EQ(xok_env_free(ROOT, child), 0);
    EQ(xok_env_free(ROOT, child), XOK_E_ENV);
    EQ(op(0, XOK_PT_CLEAR, VA, 0, 0, 3, 1, 0), 1);
    xok_page_free(ROOT, p, 1);
    xok_page_free(ROOT, q, 1);
    EQ(tables(), before);
    CHECK(XOK_INFO->pages_free + 70 >= free);
}

// Names that may not change a shared table may not grow it either.
static void read_only_links(void)
{
    EQ(xok_cap_forge(ROOT, 7, XOK_ALL, 1), 0);
    u64 p = page_new(VA), mine = xok_page_alloc(1, XOK_PAGE_ANY, 1);
    s64 child = xok_env_alloc(1, 0);
    EQ(op(child, XOK_PT_LINK, 0, 0, 0, 1, 4, 0), 1);
    struct xok_pt_op set = {VA + (1ul << 30), mine << 12 | 3, 0, 1, XOK_PT_SET, 1, XOK_PT_CREATE, 0};
    EQ(xok_pt_batch(1, child, &set, 1), XOK_E_CAP);
    set.va = VA + PAGE;
    EQ(xok_pt_batch(1, child, &set, 1), XOK_E_CAP);
    struct xok_pt_op clear = {VA, 0, 0, 1, XOK_PT_CLEAR, 1, 0, 0};
    EQ(xok_pt_batch(1, child, &clear, 1), XOK_E_CAP);
    struct xok_pt_op unlink = {VA & ~0x1ffffful, 0, 0, 1, XOK_PT_UNLINK, 2, 0, 0};
    EQ(xok_pt_batch(1, child, &unlink, 1), XOK_E_CAP);
    unlink.va = 0, unlink.level = 4;
    EQ(xok_pt_batch(1, child, &unlink, 1), 1);
    EQ(xok_env_free(1, child), 0);
    page_gone(VA, p);
    xok_page_free(1, mine, 1);
    xok_cap_drop(1);
}

// fork without copying tables: both sides lose W in the directory, and whoever wants to write takes a copy.
static void demoted_links(void)
{
    u64 base = VA & ~0x1ffffful, before = tables();
    u64 p = page_new(VA), q = page_new(VA + PAGE);
    s64 child = xok_env_alloc(ROOT, 0);
    EQ(op(0, XOK_PT_SET, VA + 2 * PAGE, 0x1230, 0, 1, 1, 0), 1);
    EQ(op(0, XOK_PT_OWN, base, 0x200, XOK_PTE_W, 1, 2, 0), 1); // it is its own already: nothing changes
    CHECK(*XOK_PDE(VA) & XOK_PTE_W && *XOK_PTE(VA) & XOK_PTE_W);
    EQ(op(child, XOK_PT_LINK, base, 0, 0, 1, 2, XOK_PT_CREATE | XOK_PT_DEMOTE), 1);
    u64 table = XOK_PTE_PPN(*XOK_PDE(VA));
    EQ(*XOK_PDE(VA) & XOK_PTE_W, 0);
    EQ(XOK_PAGES[table].refs, 2);
    EQ(XOK_PAGES[p].refs, 1); // once for both
    EQ(op(0, XOK_PT_OWN, base, 0, 0, 1, 3, 0), XOK_E_ARG);
    EQ(op(0, XOK_PT_OWN, base, 0, 0, 2, 2, 0), XOK_E_ARG);
    EQ(op(0, XOK_PT_OWN, FAR, 0, 0, 1, 2, 0), XOK_E_NOTABLE);
    EQ(op(0, XOK_PT_OWN, base, 0x200, XOK_PTE_W, 1, 2, 0), 1); // a copy, for the child uses the first
    CHECK(XOK_PTE_PPN(*XOK_PDE(VA)) != table && *XOK_PDE(VA) & XOK_PTE_W);
    EQ(XOK_PAGES[table].refs, 1);
    EQ(XOK_PAGES[p].refs, 2);
    EQ(XOK_PAGES[q].refs, 2);
    EQ(*XOK_PTE(VA) & (XOK_PTE_W | 0x200), 0x200);
    EQ(*XOK_PTE(VA + 2 * PAGE), 0x1230);
    EQ(op(0, XOK_PT_MOD, VA, XOK_PTE_W, 0x200, 1, 1, 0), 1);
    *(volatile u64 *)VA = 3;
    // Without the right to write neither a page nor its table, OWN may not give W.
    EQ(xok_cap_forge(ROOT, 7, XOK_ALL, 1), 0);
    struct xok_pt_op own = {base, 0, 0, 1, XOK_PT_OWN, 2, 0, 0};
    EQ(xok_pt_batch(1, 0, &own, 1), XOK_E_CAP);
    EQ(xok_cap_drop(1), 0);
    // Alone again, the last user gets W back and keeps the table.
    EQ(op(child, XOK_PT_OWN, base, 0, 0, 1, 2, 0), 1);
    EQ(XOK_PAGES[table].refs, 1);
    EQ(xok_env_free(ROOT, child), 0);
    EQ(XOK_PAGES[p].refs, 1);
    EQ(op(0, XOK_PT_CLEAR, VA, 0, 0, 3, 1, 0), 1);
    xok_page_free(ROOT, p, 1);
    xok_page_free(ROOT, q, 1);
    EQ(tables(), before);
}

static void test(void)
{
    sets();
    refusals();
    rights();
    copies_and_links();
    read_only_links();
    demoted_links();
}
