// Physical pages: by number, by any; counted, listed, cleared between owners.
#include "test.h"

#define VA 0x10000000ul

// The free list is whole: every page on it is free, links agree, and it is as long as it says.
static u64 list_length(void)
{
    u64 n = 0;
    u32 before = 0;
    for (u32 p = XOK_INFO->free_head; p; before = p, p = XOK_PAGES[p].next, n++)
        if (XOK_PAGES[p].type != XOK_PAGE_FREE || XOK_PAGES[p].prev != before)
            return ~0ul;
    return n;
}

static u64 run_find(u64 count) // lowest run of free pages
{
    for (u64 p = 1, n = 0; p < XOK_INFO->page_count; p++) {
        n = XOK_PAGES[p].type == XOK_PAGE_FREE ? n + 1 : 0;
        if (n == count)
            return p - count + 1;
    }
    return 0;
}

static void test(void)
{
    page_gone(VA, page_new(VA)); // the kernel keeps the table for its next use
    EQ(list_length(), XOK_INFO->pages_free);
    u64 free = XOK_INFO->pages_free, used = XOK_NAMES[XOK_NAME_ROOT].used[XOK_RES_PAGES];
    u64 p = xok_page_alloc(ROOT, XOK_PAGE_ANY, 1);
    CHECK((s64)p > 0);
    EQ(XOK_PAGES[p].type, XOK_PAGE_USER);
    EQ(XOK_PAGES[p].acl[0], XOK_ACL(XOK_NAME_ROOT, XOK_ALL));
    EQ(XOK_INFO->pages_free, free - 1);
    EQ(XOK_NAMES[XOK_NAME_ROOT].used[XOK_RES_PAGES], used + 1);
    EQ(xok_page_alloc(ROOT, p, 1), XOK_E_NOMEM);
    EQ(xok_page_alloc(ROOT, XOK_PAGE_ANY, 2), XOK_E_ARG);
    EQ(xok_page_alloc(ROOT, 1, 0), XOK_E_ARG);
    EQ(xok_page_alloc(ROOT, 1, 513), XOK_E_ARG);
    EQ(xok_page_alloc(ROOT, XOK_INFO->page_count, 1), XOK_E_ARG);
    EQ(xok_page_alloc(ROOT, XOK_INFO->page_count - 1, 2), XOK_E_ARG);
    EQ(xok_page_alloc(ROOT, 0, 1), XOK_E_NOMEM);
    EQ(xok_page_alloc(3, XOK_PAGE_ANY, 1), XOK_E_CAP);
    EQ(list_length(), XOK_INFO->pages_free);

    // runs: all or nothing
    u64 run = run_find(512);
    EQ(xok_page_alloc(ROOT, run, 512), run);
    EQ(xok_page_alloc(ROOT, run + 511, 2), XOK_E_NOMEM);
    EQ(XOK_PAGES[run + 512].type, XOK_PAGE_FREE);
    EQ(list_length(), XOK_INFO->pages_free);
    EQ(map(VA, run + 5, 1, XOK_PTE_W), 1);
    EQ(XOK_PAGES[run + 5].refs, 1);
    EQ(xok_page_free(ROOT, run, 512), XOK_E_BUSY);
    EQ(XOK_PAGES[run].type, XOK_PAGE_USER); // nothing freed
    EQ(unmap(VA, 1), 1);
    EQ(xok_page_free(ROOT, run, 512), 0);
    EQ(xok_page_free(ROOT, run, 1), XOK_E_CAP);
    EQ(xok_page_free(ROOT, p, 1), 0);
    EQ(list_length(), XOK_INFO->pages_free);
    EQ(XOK_INFO->pages_free, free);

    // what may not be freed: free, kernel and table pages
    EQ(xok_page_free(ROOT, 0, 1), XOK_E_CAP);
    EQ(xok_page_free(ROOT, XOK_ENVS[1].space, 1), XOK_E_CAP);
    EQ(map(VA, XOK_ENVS[1].space, 1, 0), XOK_E_CAP);
    EQ(map(VA, 0, 1, 0), XOK_E_CAP);
    EQ(map(VA, XOK_INFO->page_count, 1, 0), XOK_E_CAP);

    // content passes from an owner to itself, to nobody else
    EQ(xok_cap_forge(ROOT, 7, XOK_ALL, 1), 0);
    p = page_new(VA);
    *(volatile u64 *)VA = 0x5ec12e7;
    page_gone(VA, p);
    EQ(xok_page_alloc(ROOT, p, 1), p);
    EQ(XOK_PAGES[p].flags & XOK_PAGE_ZEROED, 0);
    map(VA, p, 1, 0);
    EQ(*(volatile u64 *)VA, 0x5ec12e7);
    page_gone(VA, p);
    EQ(xok_page_alloc(1, p, 1), p);
    EQ(XOK_PAGES[p].flags & XOK_PAGE_ZEROED, XOK_PAGE_ZEROED);
    map(VA, p, 1, 0);
    EQ(*(volatile u64 *)VA, 0);
    unmap(VA, 1);

    // access lists
    EQ(xok_cap_forge(ROOT, 8, XOK_ALL, 2), 0);
    u64 q = xok_page_alloc(2, XOK_PAGE_ANY, 1);
    u32 name8 = XOK_ACL_NAME(XOK_PAGES[q].acl[0]);
    EQ(xok_page_acl(1, p, 0, XOK_ACL(name8, XOK_R)), XOK_E_ARG);
    EQ(xok_page_acl(1, p, XOK_PAGE_ACL, XOK_ACL(name8, XOK_R)), XOK_E_ARG);
    EQ(xok_page_acl(1, p, 1, XOK_ACL(60000, XOK_R)), XOK_E_ARG);
    EQ(xok_page_acl(2, p, 1, XOK_ACL(name8, XOK_R)), XOK_E_CAP);
    EQ(xok_page_acl(1, p, 1, XOK_ACL(name8, XOK_R)), 0);
    u64 refs = XOK_NAMES[name8].refs;
    EQ(xok_page_acl(1, p, 2, XOK_ACL(name8, XOK_W | XOK_R)), 0);
    EQ(XOK_NAMES[name8].refs, refs + 1);
    EQ(xok_page_acl(1, p, 2, 0), 0);
    EQ(XOK_NAMES[name8].refs, refs);
    EQ(xok_page_free(2, p, 1), XOK_E_CAP); // listed, not owner
    EQ(xok_page_free(1, p, 1), 0);
    EQ(XOK_NAMES[name8].refs, refs - 1);
    EQ(xok_page_free(2, q, 1), 0);

    // everything can be had, and given back
    u64 got = 0;
    free = XOK_INFO->pages_free;
    for (s64 r; (r = xok_page_alloc(ROOT, XOK_PAGE_ANY, 1)) > 0; got++)
        ;
    EQ(got, free);
    EQ(XOK_INFO->pages_free, 0);
    EQ(XOK_INFO->free_head, 0);
    EQ(xok_env_alloc(ROOT, 0), XOK_E_NOMEM);
    EQ(map(0x40000000000, module_ppn, 1, 0), XOK_E_NOMEM);
    u64 back = 0;
    for (u64 i = 1; i < XOK_INFO->page_count; i++)
        if (XOK_PAGES[i].type == XOK_PAGE_USER && !XOK_PAGES[i].refs && !XOK_PAGES[i].pins &&
            i - module_ppn >= module_pages)
            back += xok_page_free(ROOT, i, 1) == 0;
    EQ(back, got);
    EQ(list_length(), free);
}
