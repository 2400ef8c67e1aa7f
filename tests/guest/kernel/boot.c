// The first environment starts with what info.h promises.
#include "test.h"

static int written = 5;

static void test(void)
{
    EQ(XOK_INFO->magic, XOK_INFO_MAGIC);
    EQ(XOK_INFO->version, 1);
    CHECK(XOK_INFO->cpu_count >= 1);
    EQ(module_ppn, XOK_INFO->module_ppn);
    EQ(module_pages, XOK_INFO->module_pages);
    EQ(XOK_PAGES[module_ppn].type, XOK_PAGE_USER);
    EQ(written++, 5);
    EQ(written, 6);
    u32 me = XOK_INFO->cpu[0].env;
    EQ(XOK_ENVS[XOK_ENV_INDEX(me)].id, me);
    EQ(XOK_ENVS[XOK_ENV_INDEX(me)].state, XOK_ENV_READY);
    EQ(XOK_ENVS[XOK_ENV_INDEX(me)].name, XOK_NAME_ROOT);
    EQ(((const volatile u32 *)XOK_SLOTS_VA)[0], me);
    CHECK(XOK_INFO->pages_free > 1000);
    EQ(XOK_INFO->page_count > XOK_INFO->pages_free, 1);
    u64 space = XOK_ENVS[XOK_ENV_INDEX(me)].space;
    EQ(XOK_PTE_PPN(*XOK_PML4E(XOK_SELFMAP)), space);
    EQ(XOK_PAGES[space].type, XOK_PAGE_PT4);
    CHECK(XOK_INFO->tsc_mult != 0);
}
