// Names, capabilities and quotas.
#include "test.h"

static u32 name_of_page(u64 ppn) { return XOK_ACL_NAME(XOK_PAGES[ppn].acl[0]); }

static void test(void)
{
    // forging
    EQ(xok_cap_forge(ROOT, 7, XOK_ALL, 1), 0);
    EQ(xok_cap_forge(ROOT, 7, XOK_ALL, 1), XOK_E_BUSY);
    EQ(xok_cap_forge(9, 7, XOK_ALL, 2), XOK_E_CAP);
    EQ(xok_cap_forge(1000, 7, XOK_ALL, 2), XOK_E_CAP);
    EQ(xok_cap_forge(ROOT, 7, 16, 2), XOK_E_ARG);
    EQ(xok_cap_forge(ROOT, 7, 0, 2), XOK_E_ARG);
    EQ(xok_cap_forge(ROOT, 7, XOK_R, XOK_CAP_SLOTS), XOK_E_ARG);
    EQ(xok_cap_forge(ROOT, 1ul << 32, XOK_R, 2), XOK_E_ARG);
    EQ(xok_cap_forge(ROOT, 7, XOK_R, 2), 0); // the same name again, fewer rights
    EQ(xok_cap_forge(2, 1, XOK_R, 3), XOK_E_CAP); // no A
    EQ(xok_cap_forge(1, 8, XOK_R | XOK_A, 3), 0);
    EQ(xok_cap_forge(3, 9, XOK_W, 4), XOK_E_ARG); // more rights than the parent capability

    // names are a tree that everybody sees
    u64 p7 = xok_page_alloc(1, XOK_PAGE_ANY, 1), p78 = xok_page_alloc(3, XOK_PAGE_ANY, 1);
    u32 n7 = name_of_page(p7), n78 = name_of_page(p78);
    EQ(XOK_NAMES[n7].parent, XOK_NAME_ROOT);
    EQ(XOK_NAMES[n7].component, 7);
    EQ(XOK_NAMES[n78].parent, n7);
    EQ(XOK_NAMES[n78].depth, 2);
    EQ(XOK_NAMES[n7].used[XOK_RES_PAGES], 2);

    // dominance: down the tree, never up or beside
    EQ(xok_page_free(3, p7, 1), XOK_E_CAP);
    EQ(xok_page_free(3, p78, 1), XOK_E_CAP); // R and A, not W
    EQ(xok_cap_forge(ROOT, 70, XOK_ALL, 5), 0);
    EQ(xok_page_free(5, p7, 1), XOK_E_CAP);
    EQ(xok_page_free(1, p78, 1), 0);
    EQ(xok_page_free(ROOT, p7, 1), 0);
    EQ(XOK_NAMES[n7].used[XOK_RES_PAGES], 0);

    // quotas: charged to all ancestors
    EQ(xok_cap_quota(ROOT, 7, XOK_RES_PAGES, 2), 0);
    EQ(xok_cap_quota(ROOT, 12345, XOK_RES_PAGES, 2), XOK_E_ARG);
    EQ(xok_cap_quota(ROOT, 7, XOK_RES_COUNT, 2), XOK_E_ARG);
    EQ(xok_cap_quota(2, 8, XOK_RES_PAGES, 2), XOK_E_CAP);
    p7 = xok_page_alloc(1, XOK_PAGE_ANY, 1);
    p78 = xok_page_alloc(3, XOK_PAGE_ANY, 1);
    CHECK((s64)p7 > 0 && (s64)p78 > 0);
    EQ(xok_page_alloc(3, XOK_PAGE_ANY, 1), XOK_E_QUOTA);
    EQ(xok_page_alloc(1, XOK_PAGE_ANY, 1), XOK_E_QUOTA);
    EQ(xok_page_free(ROOT, p78, 1), 0);
    p78 = xok_page_alloc(1, XOK_PAGE_ANY, 1);
    CHECK((s64)p78 > 0);
    xok_page_free(ROOT, p7, 1);
    xok_page_free(ROOT, p78, 1);
    EQ(xok_cap_quota(ROOT, 7, XOK_RES_NAMES, 1), 0); // 7.8 stands
    EQ(xok_cap_forge(1, 10, XOK_R, 6), XOK_E_QUOTA);
    EQ(xok_cap_quota(ROOT, 7, XOK_RES_NAMES, 100), 0);

    // depth is bounded
    u32 slot = 10;
    EQ(xok_cap_forge(ROOT, 1, XOK_ALL, slot), 0);
    for (int depth = 2; depth < XOK_NAME_DEPTH; depth++, slot++)
        EQ(xok_cap_forge(slot, 1, XOK_ALL, slot + 1), 0);
    EQ(xok_cap_forge(slot, 1, XOK_ALL, slot + 1), XOK_E_ARG);

    // dropping the last capability frees the name, and its child's
    EQ(xok_cap_drop(1), 0);
    EQ(xok_cap_drop(1), XOK_E_CAP);
    EQ(xok_cap_drop(2), 0);
    EQ(XOK_NAMES[n7].component, 7); // 7.8 keeps it
    EQ(xok_cap_drop(3), 0);
    EQ(XOK_NAMES[n7].parent, 0);
    EQ(XOK_NAMES[n78].parent, 0);

    // a name that comes back under an old id is another owner: no content passes
    EQ(xok_cap_forge(ROOT, 900, XOK_ALL, 1), 0);
    u64 p = xok_page_alloc(1, XOK_PAGE_ANY, 1);
    u32 id = name_of_page(p);
    EQ(map(0x10000000, p, 1, XOK_PTE_W), 1);
    *(volatile u64 *)0x10000000 = 42;
    unmap(0x10000000, 1);
    xok_page_free(1, p, 1);
    xok_cap_drop(1);
    EQ(xok_cap_forge(ROOT, 901, XOK_ALL, 1), 0);
    EQ(xok_page_alloc(1, p, 1), p);
    EQ(name_of_page(p), id);
    map(0x10000000, p, 1, XOK_PTE_W);
    EQ(*(volatile u64 *)0x10000000, 0);
    unmap(0x10000000, 1);
    xok_page_free(1, p, 1);

    // many names, given back
    u32 high = 0;
    for (u32 i = 0; i < 3000; i++) {
        xok_cap_forge(ROOT, 100000 + i, XOK_ALL, 2);
        xok_cap_drop(2);
        if (i == 10)
            high = XOK_INFO->name_high;
    }
    EQ(XOK_INFO->name_high, high);

    // copying to oneself
    EQ(xok_cap_copy(ROOT, ROOT, 0, XOK_R, 2), 0);
    EQ(xok_cap_copy(ROOT, ROOT, 0, XOK_R, 2), XOK_E_BUSY);
    EQ(xok_cap_copy(ROOT, ROOT, 0, 0, 3), XOK_E_ARG);
    EQ(xok_cap_copy(2, ROOT, 0, XOK_R | XOK_W, 3), XOK_E_ARG);
    EQ(xok_cap_copy(30, ROOT, 0, XOK_R, 3), XOK_E_CAP);
    EQ(xok_cap_copy(ROOT, 2, 0, XOK_R, 3), XOK_E_CAP); // no W over the target
    EQ(xok_cap_copy(ROOT, ROOT, 0xdead0001, XOK_R, 3), XOK_E_ENV);
}
