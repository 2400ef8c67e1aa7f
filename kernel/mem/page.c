// Physical pages: who has each, which are free, and the kernel's own mappings of them.
#include "kernel.h"
#include "boot/start_info.h"

struct xok_page_info *pages;
u64 page_count;
extern u64 boot_pml4[512], boot_pdpt_low[512];
extern char kernel_start[];

u64 text_pool;
static u64 bump; // early allocations: physical, upward from the kernel's end, until the free list stands
#define SECRET XOK_ACL(0xffffffu, 0) // acl[0] of a free page whose content was the kernel's: always zeroed

static u64 bump_take(u64 size, u64 align)
{
    bump = (bump + align - 1) & ~(align - 1);
    u64 pa = bump;
    bump += size;
    return pa;
}

// ---- the kernel's own mappings -------------------------------------------------------------------------
u64 *kernel_entry(u64 va, int level)
{
    u64 *table = boot_pml4;
    for (int l = 4; l > level; l--) {
        u64 *e = &table[va >> (12 + 9 * (l - 1)) & 511];
        if (!(*e & XOK_PTE_P)) {
            u64 pa = kpage_alloc();
            if (!pa)
                return NULL;
            *e = pa | XOK_PTE_P | XOK_PTE_W | XOK_PTE_U; // rights are the leaf's
        }
        table = phys_to_virt(*e & XOK_PTE_ADDR);
    }
    return &table[va >> (12 + 9 * (level - 1)) & 511];
}

void *expose(u64 va, u64 pa)
{
    u64 *user = kernel_entry(va, 1), *alias = kernel_entry(va + EXPOSED_ALIAS, 1);
    if (!user || !alias)
        panic("no memory to expose %lx", va);
    *user = pa | XOK_PTE_P | XOK_PTE_U | XOK_PTE_NX;
    *alias = pa | XOK_PTE_P | XOK_PTE_W | XOK_PTE_NX;
    return (void *)(va + EXPOSED_ALIAS);
}

static void direct_map(u64 from, u64 to, u64 bits)
{
    for (u64 pa = from & ~0x1ffffful; pa < to; pa += 0x200000) {
        u64 *e3 = kernel_entry(DIRECT + pa, 3);
        if (e3 && !*e3 && !(pa & 0x3fffffff) && to - pa >= 0x40000000 && cpuid(0x80000001, 0).d & 1 << 26) {
            *e3 = pa | XOK_PTE_P | XOK_PTE_W | XOK_PTE_PS | XOK_PTE_NX | bits;
            pa += 0x40000000 - 0x200000;
            continue;
        }
        if (e3 && *e3 & XOK_PTE_PS)
            continue;
        u64 *e = kernel_entry(DIRECT + pa, 2);
        if (e && !(*e & XOK_PTE_P))
            *e = pa | XOK_PTE_P | XOK_PTE_W | XOK_PTE_PS | XOK_PTE_NX | bits;
    }
}

void *mmio_map(u64 pa, u64 len)
{
    direct_map(pa, pa + len, XOK_PTE_PCD | XOK_PTE_PWT);
    return phys_to_virt(pa);
}

// ---- boot ---------------------------------------------------------------------------------------------------
static void free_push(u64 ppn)
{
    pages[ppn].next = info.free_head;
    pages[ppn].prev = 0;
    if (info.free_head)
        pages[info.free_head].prev = ppn;
    info.free_head = ppn;
    info.pages_free++;
}

static void free_unlink(u64 ppn)
{
    struct xok_page_info *p = &pages[ppn];
    if (p->prev)
        pages[p->prev].next = p->next;
    else
        info.free_head = p->next;
    if (p->next)
        pages[p->next].prev = p->prev;
    info.pages_free--;
    u64 used = page_count - info.pages_free;
    if (used > info.pages_peak)
        info.pages_peak = used;
}

// Page infos of pages from..to-1. The free ones make one run of the free list, highest page first, so that
// pages which nobody asks for by number come from the top and large runs stay whole below.
static void range_init(u64 from, u64 to, u8 type)
{
    struct xok_page_info fill = {.type = type};
    if (type == XOK_PAGE_USER)
        fill.acl[0] = XOK_ACL(XOK_NAME_ROOT, XOK_ALL);
    if (type != XOK_PAGE_FREE) {
        for (u64 i = from; i < to; i++)
            pages[i] = fill;
        return;
    }
    for (u64 i = from; i < to; i++) {
        fill.next = i - 1, fill.prev = i + 1;
        pages[i] = fill;
    }
    pages[from].next = info.free_head;
    if (info.free_head)
        pages[info.free_head].prev = from;
    info.free_head = to - 1;
    pages[to - 1].prev = 0;
    info.pages_free += to - from;
}

// Memory from `at` on that is all of one kind: where it ends (at most `end`), and the kind.
static u64 kind_of(u64 at, u64 end, u64 kernel_to, const struct start_module *m, u8 *type)
{
    u64 module_from = m ? m->addr & ~4095ul : 0, module_to = m ? (m->addr + m->size + 4095) & ~4095ul : 0;
    const u64 edges[] = {0x100000, 0x200000, kernel_to, module_from, module_to};
    *type = at < 0x100000 || (at >= 0x200000 && at < kernel_to) ? XOK_PAGE_KERNEL
            : at >= module_from && at < module_to               ? XOK_PAGE_USER
                                                                : XOK_PAGE_FREE;
    for (u32 i = 0; i < countof(edges); i++)
        if (edges[i] > at)
            end = MIN(end, edges[i]);
    return end;
}

// The loader's list need not be in order: finds the RAM at `at`, or the next above it.
static bool ram_at(const struct start_info *s, u64 at, u64 *from, u64 *to)
{
    const struct start_memory *map = phys_to_virt(s->memmap);
    *from = ~0ul;
    for (u32 i = 0; i < s->memmap_entries; i++) {
        u64 lo = (map[i].addr + 4095) & ~4095ul, hi = (map[i].addr + map[i].size) & ~4095ul;
        if (map[i].type == 1 && hi > at && lo < hi && MAX(lo, at) < *from)
            *from = MAX(lo, at), *to = hi;
    }
    return *from != ~0ul;
}

void page_init(u64 start_info)
{
    const struct start_info *s = phys_to_virt(start_info);
    const struct start_module *module = s->modules ? phys_to_virt(s->module_list) : NULL;
    u64 from, to, kernel_to, size;
    bump = (u64)kernel_end - KERNEL_BASE;
    for (u64 at = 0; ram_at(s, at, &from, &to); at = to) {
        direct_map(from, to, 0);
        page_count = to / XOK_PAGE_SIZE;
    }
    text_pool = bump_take(TEXT_POOL, 0x200000);
    size = (page_count * sizeof *pages + 0x1fffff) & ~0x1ffffful;
    pages = phys_to_virt(bump_take(size, 0x200000));
    for (u64 at = 0; at < size; at += 0x200000)
        *kernel_entry(XOK_PAGES_VA + at, 2) =
            (virt_to_phys(pages) + at) | XOK_PTE_P | XOK_PTE_U | XOK_PTE_PS | XOK_PTE_NX;
    // Address spaces copy root entries, so what is exposed later must have its tables' roots now.
    kernel_entry(XOK_INFO_VA, 1);
    kernel_entry(XOK_INFO_VA + EXPOSED_ALIAS, 1);
    kernel_to = bump;
    bump = 0;
    u64 at = 0;
    while (ram_at(s, at, &from, &to)) {
        range_init(at / XOK_PAGE_SIZE, from / XOK_PAGE_SIZE, XOK_PAGE_NONE);
        for (at = from; at < to;) {
            u8 type;
            u64 next = kind_of(at, to, kernel_to, module, &type);
            range_init(at / XOK_PAGE_SIZE, next / XOK_PAGE_SIZE, type);
            at = next;
        }
    }
    info.page_count = page_count;
    info.pages_peak = page_count - info.pages_free;
}

// ---- allocation ------------------------------------------------------------------------------------------------
u64 page_take(u8 type, u32 name)
{
    u64 ppn = info.free_head;
    if (!ppn)
        return 0;
    free_unlink(ppn);
    pages[ppn] = (struct xok_page_info){.type = type, .acl = {name ? XOK_ACL(name, XOK_ALL) : 0}};
    if (name)
        name_ref(name);
    return ppn;
}

void page_release(u64 ppn)
{
    struct xok_page_info *p = &pages[ppn];
    bool user = p->type == XOK_PAGE_USER;
    u32 owner = XOK_ACL_NAME(p->acl[0]);
    for (int i = 1; i < XOK_PAGE_ACL; i++) {
        if (user && p->acl[i])
            name_drop(XOK_ACL_NAME(p->acl[i]));
        p->acl[i] = 0;
    }
    p->acl[1] = owner && user ? name_stamp(owner) : 0;
    if (!user) {
        p->acl[0] = SECRET;
#ifdef XOK_CHECKED // whoever still looks sees it
        memset(phys_to_virt(ppn * XOK_PAGE_SIZE), 0xa5, XOK_PAGE_SIZE);
#endif
    }
    p->type = XOK_PAGE_FREE;
    p->refs = 0, p->pins = 0, p->flags = 0;
    free_push(ppn);
    if (owner)
        name_drop(owner);
}

u64 kpage_alloc(void)
{
    u64 pa;
    if (bump) {
        pa = bump_take(XOK_PAGE_SIZE, XOK_PAGE_SIZE);
    } else {
        u64 ppn = page_take(XOK_PAGE_KERNEL, 0);
        if (!ppn)
            return 0;
        pa = ppn * XOK_PAGE_SIZE;
    }
    memset(phys_to_virt(pa), 0, XOK_PAGE_SIZE);
    return pa;
}

void kpage_free(u64 pa)
{
    page_release(pa / XOK_PAGE_SIZE);
}

bool page_may(const struct cap *c, u64 ppn, u32 rights)
{
    const struct xok_page_info *p = &pages[ppn];
    if (p->type == XOK_PAGE_USER && XOK_ACL_NAME(p->acl[0]) == c->name && (c->rights & rights) == rights)
        return true;
    for (int i = 0; i < XOK_PAGE_ACL; i++)
        if (p->acl[i] && cap_dominates(c, p->acl[i], rights))
            return true;
    return false;
}

// ---- calls -----------------------------------------------------------------------------------------------------------
static bool range_ok(u64 ppn, u64 count)
{
    return count >= 1 && count <= XOK_HUGE_PAGES && ppn < page_count && count <= page_count - ppn;
}

static void page_give(u64 ppn, u32 name)
{
    struct xok_page_info *p = &pages[ppn];
    bool used = p->acl[0], same = XOK_ACL_NAME(p->acl[0]) == name && p->acl[1] == name_stamp(name);
    free_unlink(ppn);
    *p = (struct xok_page_info){.type = XOK_PAGE_USER, .acl = {XOK_ACL(name, XOK_ALL)}};
    if (used && !same) {
        memset(phys_to_virt(ppn * XOK_PAGE_SIZE), 0, XOK_PAGE_SIZE);
        p->flags = XOK_PAGE_ZEROED;
    }
    name_ref(name);
}

u64 page_cache_new(u32 name)
{
    u64 ppn = info.free_head;
    if (!ppn || quota_charge(name, XOK_RES_PAGES, 1))
        return 0;
    page_give(ppn, name);
    pages[ppn].type = XOK_PAGE_CACHE;
    pages[ppn].acl[0] = XOK_ACL(name, 0);
    return ppn;
}

s64 sys_page_alloc(u64 slot, u64 ppn, u64 count)
{
    struct cap c;
    if (!cap_slot(this_cpu()->env, slot, &c) || !(c.rights & XOK_A))
        return XOK_E_CAP;
    if (ppn == XOK_PAGE_ANY) {
        if (count != 1)
            return XOK_E_ARG;
        if (!info.free_head)
            return XOK_E_NOMEM;
        ppn = info.free_head;
    }
    if (!range_ok(ppn, count))
        return XOK_E_ARG;
    for (u64 i = 0; i < count; i++)
        if (pages[ppn + i].type != XOK_PAGE_FREE)
            return XOK_E_NOMEM;
    s64 r = quota_charge(c.name, XOK_RES_PAGES, count);
    if (r)
        return r;
    for (u64 i = 0; i < count; i++)
        page_give(ppn + i, c.name);
    return ppn;
}

s64 sys_page_free(u64 slot, u64 ppn, u64 count)
{
    struct cap c;
    if (!cap_slot(this_cpu()->env, slot, &c))
        return XOK_E_CAP;
    if (!range_ok(ppn, count))
        return XOK_E_ARG;
    for (u64 i = 0; i < count; i++) {
        struct xok_page_info *p = &pages[ppn + i];
        if ((p->type != XOK_PAGE_USER && p->type != XOK_PAGE_SEIZED) || !cap_dominates(&c, p->acl[0], XOK_W))
            return XOK_E_CAP;
        if (p->refs || p->pins)
            return XOK_E_BUSY;
    }
    for (u64 i = 0; i < count; i++) {
        u32 name = XOK_ACL_NAME(pages[ppn + i].acl[0]);
        pages[ppn + i].type = XOK_PAGE_USER;
        quota_refund(name, XOK_RES_PAGES, 1);
        if (pages[ppn + i].flags & XOK_PAGE_KEPT)
            quota_refund(name, XOK_RES_KEPT, 1);
        page_release(ppn + i);
    }
    return 0;
}

s64 sys_page_acl(u64 slot, u64 ppn, u64 index, u64 entry)
{
    struct cap c;
    if (!cap_slot(this_cpu()->env, slot, &c))
        return XOK_E_CAP;
    u64 name = XOK_ACL_NAME(entry);
    if (ppn >= page_count || index < 1 || index >= XOK_PAGE_ACL || entry > ~0u ||
        (entry && (name >= info.name_high || !KNAMES[name].refs || XOK_ACL_RIGHTS(entry) & ~XOK_ALL)))
        return XOK_E_ARG;
    struct xok_page_info *p = &pages[ppn];
    if (p->type != XOK_PAGE_USER || !cap_dominates(&c, p->acl[0], XOK_W))
        return XOK_E_CAP;
    if (entry)
        name_ref(name);
    if (p->acl[index])
        name_drop(XOK_ACL_NAME(p->acl[index]));
    p->acl[index] = entry;
    return 0;
}
