// The family's physical memory: 2 MiB runs chosen from the kernel's exposed page table, mapped once in
// the window, and handed out as pages, or as power-of-two blocks to the heap.
//
// The first page of a run holds the counts of its pages, so a count is found by address arithmetic.
#include "core/exos.h"
#include "core/calls.h"
#include "core/pages.h"

enum { RUN = XOK_HUGE_PAGES, STASH_REFILL_ORDER = 5, STASH_MAX = 4096 };

struct count {
    u32 refs;
    u32 order; // of a free block's first page: order + 1; otherwise 0
};
struct free_block {
    struct list link;
};

static struct lock lock;
static struct list blocks[BLOCK_ORDER_MAX + 1]; // free blocks by order
static u64 stash;                               // free single pages, linked through their first word
static u32 stash_pages;
static u64 pages_owned, pages_idle;
static u64 scan; // where the search for a free run goes on

static struct count *count_of(u64 ppn)
{
    return (struct count *)page_va(ppn & ~(u64)(RUN - 1)) + (ppn & (RUN - 1));
}

static bool is_module(u64 ppn)
{
    return ppn - XOK_INFO->module_ppn < XOK_INFO->module_pages;
}

static void block_add(u64 ppn, int order)
{
    count_of(ppn)->order = order + 1;
    list_add_tail(&blocks[order], &((struct free_block *)page_va(ppn))->link);
}

static bool run_free(u64 ppn)
{
    for (u64 i = 0; i < RUN; i++)
        if (XOK_PAGES[ppn + i].type != XOK_PAGE_FREE)
            return false;
    return true;
}

// Takes one run from the kernel. The library chooses which: the first free one, low addresses first.
static bool run_take(void)
{
    u64 count = XOK_INFO->page_count & ~(u64)(RUN - 1);
    for (u64 tried = 0; tried < count; tried += RUN) {
        u64 ppn = (scan + tried) % count;
        if (!run_free(ppn) || xok_page_alloc(FAMILY, ppn, RUN) < 0)
            continue;
        struct xok_pt_op op = {.va = WINDOW_VA + ppn * PAGE, .count = 1, .kind = XOK_PT_SET, .level = 2,
                               .flags = XOK_PT_CREATE,
                               .pte = ppn * PAGE | XOK_PTE_P | XOK_PTE_W | XOK_PTE_U | XOK_PTE_PS | XOK_PTE_NX};
        if (xok_pt_batch(FAMILY, 0, &op, 1) != 1) {
            xok_page_free(FAMILY, ppn, RUN);
            return false;
        }
        scan = ppn + RUN;
        memset(page_va(ppn), 0, PAGE);
        for (int order = 0; order <= BLOCK_ORDER_MAX; order++) // page 0 is the counts; 1, 2-3, 4-7, ...
            block_add(ppn + (1ul << order), order);
        pages_owned += RUN;
        pages_idle += RUN - 1;
        return true;
    }
    return false;
}

static u64 block_take(int order)
{
    int have = order;
    while (have <= BLOCK_ORDER_MAX && list_empty(&blocks[have]))
        have++;
    if (have > BLOCK_ORDER_MAX) {
        if (!run_take())
            return 0;
        return block_take(order);
    }
    struct list *first = blocks[have].next;
    list_del(first);
    u64 ppn = page_of(first);
    count_of(ppn)->order = 0;
    while (have > order) {
        have--;
        block_add(ppn + (1ul << have), have);
    }
    pages_idle -= 1ul << order;
    return ppn;
}

static void block_give(u64 ppn, int order)
{
    pages_idle += 1ul << order;
    while (order < BLOCK_ORDER_MAX) {
        u64 buddy = ppn ^ (1ul << order);
        if (!(buddy & (RUN - 1)) || count_of(buddy)->order != (u32)order + 1)
            break;
        list_del(&((struct free_block *)page_va(buddy))->link);
        count_of(buddy)->order = 0;
        ppn &= ~(1ul << order);
        order++;
    }
    block_add(ppn, order);
}

u64 block_get(int order)
{
    lock_take(&lock);
    u64 ppn = block_take(order);
    lock_drop(&lock);
    return ppn;
}

void block_put(u64 ppn, int order)
{
    lock_take(&lock);
    block_give(ppn, order);
    lock_drop(&lock);
}

static bool stash_refill(void)
{
    for (int order = STASH_REFILL_ORDER; order >= 0; order--) {
        u64 ppn = block_take(order);
        if (!ppn)
            continue;
        for (u64 i = 0; i < 1ul << order; i++) {
            *(u64 *)page_va(ppn + i) = stash;
            stash = ppn + i;
        }
        stash_pages += 1u << order;
        pages_idle += 1ul << order;
        return true;
    }
    return false;
}

u64 page_get(void)
{
    lock_take(&lock);
    if (!stash && !stash_refill()) {
        lock_drop(&lock);
        return 0;
    }
    u64 ppn = stash;
    stash = *(u64 *)page_va(ppn);
    stash_pages--;
    pages_idle--;
    lock_drop(&lock);
    count_of(ppn)->refs = 1;
    return ppn;
}

u64 page_get_zero(void)
{
    u64 ppn = page_get();
    if (ppn)
        page_zero(page_va(ppn));
    return ppn;
}

void page_ref(u64 ppn)
{
    if (!is_module(ppn))
        __atomic_add_fetch(&count_of(ppn)->refs, 1, __ATOMIC_RELAXED);
}

void page_put(u64 ppn)
{
    if (is_module(ppn) || __atomic_sub_fetch(&count_of(ppn)->refs, 1, __ATOMIC_ACQ_REL))
        return;
    lock_take(&lock);
    if (stash_pages < STASH_MAX) {
        *(u64 *)page_va(ppn) = stash;
        stash = ppn;
        stash_pages++;
        pages_idle++;
    } else {
        block_give(ppn, 0);
    }
    lock_drop(&lock);
}

u32 page_refs(u64 ppn)
{
    return is_module(ppn) ? 2 : __atomic_load_n(&count_of(ppn)->refs, __ATOMIC_ACQUIRE);
}

u64 pages_free(void)
{
    return pages_idle + XOK_INFO->pages_free;
}

u64 pages_total(void)
{
    return pages_owned + XOK_INFO->pages_free + XOK_INFO->module_pages;
}

void pages_start(void)
{
    for (int i = 0; i <= BLOCK_ORDER_MAX; i++)
        list_init(&blocks[i]);
    if (!run_take())
        panic("no memory for the library");
}
