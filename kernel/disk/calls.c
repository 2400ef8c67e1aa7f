// XN's calls, and what the kernel gives it: pages with rights, exposed memory, completion words,
// functions.
#include "kernel.h"
#include "disk/xn.h"
#include "dev/virtio_blk.h"

enum { PINS_MAX = 0xc000, POOL = 16384, HASH_BITS_MAX = 20, SPARE_PAGES = 4096 };
static struct dep pool[POOL];
static u64 info_pa[XOK_DISK_MAX]; // of each exposed struct's first page

// ---- pages
void *xn_page(u32 ppn)
{
    return phys_to_virt((u64)ppn * XOK_PAGE_SIZE);
}

static struct cap cap_of(const struct who *w)
{
    return (struct cap){w->name, w->rights};
}

u32 xn_page_new(const struct who *w, bool zero)
{
    u64 ppn = page_cache_new(w->name);
    if (ppn && zero && !(pages[ppn].flags & XOK_PAGE_ZEROED))
        memset(xn_page(ppn), 0, XOK_PAGE_SIZE);
    return ppn;
}

s64 xn_page_lend(const struct who *w, u32 ppn, bool cache)
{
    struct cap c = cap_of(w);
    if (!ppn || ppn >= page_count || pages[ppn].type != XOK_PAGE_USER ||
        !cap_dominates(&c, pages[ppn].acl[0], XOK_W))
        return XOK_E_CAP;
    struct xok_page_info *p = &pages[ppn];
    if (p->pins || (cache && (p->refs || p->acl[1] || p->acl[2] || p->acl[3])))
        return XOK_E_BUSY;
    if (cache) {
        p->type = XOK_PAGE_CACHE;
        p->acl[0] = XOK_ACL(XOK_ACL_NAME(p->acl[0]), 0);
    } else {
        p->pins++;
    }
    return 0;
}

void xn_page_back(u32 ppn, bool lent)
{
    struct xok_page_info *p = &pages[ppn];
    if (lent)
        p->pins--;
    else if (!XOK_ACL_RIGHTS(p->acl[0]))
        memset(xn_page(ppn), 0, XOK_PAGE_SIZE);
    for (u32 i = 1; i < XOK_PAGE_ACL && !p->refs; i++) {
        if (p->acl[i])
            name_drop(XOK_ACL_NAME(p->acl[i]));
        p->acl[i] = 0;
    }
    p->type = XOK_PAGE_USER;
    p->acl[0] |= XOK_ALL;
}

s64 xn_page_allow(const struct who *w, u32 ppn, u32 rights)
{
    u32 *free = NULL;
    for (u32 i = 0; i < XOK_PAGE_ACL; i++) {
        u32 *e = &pages[ppn].acl[i];
        if (*e && XOK_ACL_NAME(*e) == w->name) {
            *e |= rights;
            return 0;
        }
        if (!*e && !free)
            free = e;
    }
    if (!free)
        return XOK_E_FULL;
    *free = XOK_ACL(w->name, rights);
    name_ref(w->name);
    return 0;
}

bool xn_page_over(const struct who *w, u32 ppn, u32 rights)
{
    struct cap c = cap_of(w);
    return pages[ppn].acl[0] && cap_over(&c, XOK_ACL_NAME(pages[ppn].acl[0]), rights);
}

bool xn_page_may(const struct who *w, u32 ppn, u32 rights)
{
    struct cap c = cap_of(w);
    return page_may(&c, ppn, rights);
}

bool xn_page_shared(u32 ppn)
{
    struct xok_page_info *p = &pages[ppn];
    return p->refs && (p->acl[1] || p->acl[2] || p->acl[3]);
}

u32 xn_frame_new(void)
{
    return page_take(XOK_PAGE_KERNEL, 0);
}
void xn_frame_free(u32 ppn)
{
    page_release(ppn);
}

static void *expose_new(u64 va, u64 bytes, u64 *first)
{
    for (u64 at = 0; at < bytes; at += XOK_PAGE_SIZE) {
        u64 pa = kpage_alloc();
        if (!pa)
            panic("no memory for the disks");
        expose(va + at, pa);
        if (!at && first)
            *first = pa;
    }
    return (void *)(va + EXPOSED_ALIAS);
}

u8 *xn_map_memory(struct disk *d, u64 bytes)
{
    if (bytes > XOK_DISKMAP_STRIDE || bytes / XOK_PAGE_SIZE + SPARE_PAGES > info.pages_free)
        return NULL;
    return expose_new(XOK_DISKMAP_VA + d->index * XOK_DISKMAP_STRIDE, bytes, NULL);
}

// ---- words
void xn_word_pin(u64 word)
{
    pages[virt_to_phys((void *)word) / XOK_PAGE_SIZE].pins++;
}

void xn_word_done(u64 word, u32 ops, u32 failed)
{
    u64 pa = virt_to_phys((void *)word);
    pages[pa / XOK_PAGE_SIZE].pins--;
    if (!ops)
        return;
    __atomic_fetch_add((u64 *)word, ops | (u64)failed << 32, __ATOMIC_RELEASE);
    pred_touch_phys(pa);
}

void xn_changed(struct disk *d)
{
    pred_touch_phys(info_pa[d->index] + offsetof(struct xok_disk_info, seq));
}

u64 xn_random(void)
{
    u64 r;
    entropy_get(&r, sizeof r);
    return r;
}

u64 xn_time(void)
{
    return info.boot_epoch_ns + clock_ns();
}
bool xn_trusted(const struct who *w)
{
    return w->name == XOK_NAME_ROOT && w->rights & XOK_W;
}

// ---- disks
static void registry_expose(void)
{
    u32 bits = 8;
    while (bits < HASH_BITS_MAX && (1ul << bits) < page_count / 2)
        bits++;
    struct xok_registry_info *h = expose_new(XOK_REGHASH_VA, sizeof *h + (4ul << bits), NULL);
    struct xok_block *r = expose_new(XOK_REGISTRY_VA, page_count * sizeof *r, NULL);
    registry_init(r, page_count, h, bits, pool, POOL);
}

struct disk *disk_new(void)
{
    static u32 count;
    if (count == XOK_DISK_MAX)
        return NULL;
    if (!count)
        registry_expose();
    struct disk *d = &disks[count];
    d->index = count++;
    d->info =
        expose_new(XOK_DISKS_VA + d->index * XOK_DISK_STRIDE, sizeof *d->info, &info_pa[d->index]);
    return d;
}

void disk_init(void)
{
    virtio_blk_init();
    nvme_init();
}

// ---- calls
static bool who_presents(u64 slot, struct who *w)
{
    struct cap c;
    if (!cap_slot(this_cpu()->env, slot, &c))
        return false;
    *w = (struct who){.name = c.name, .rights = c.rights, .depth = KNAMES[c.name].depth};
    for (u32 id = c.name, i = w->depth; i--; id = KNAMES[id].parent)
        w->component[i] = KNAMES[id].component;
    return true;
}

static struct disk *disk_of(u64 n)
{
    return n < XOK_DISK_MAX && disks[n].info ? &disks[n] : NULL;
}

#define NEED(slot, n)                                                                              \
    struct who w;                                                                                  \
    struct disk *d = disk_of(n);                                                                   \
    if (!who_presents(slot, &w) || !d)                                                             \
    return d ? XOK_E_CAP : XOK_E_ARG

s64 sys_disk_format(u64 slot, u64 n)
{
    NEED(slot, n);
    return xn_format(&w, d);
}

s64 sys_disk_mount(u64 slot, u64 n)
{
    NEED(slot, n);
    return xn_mount(&w, d);
}

s64 sys_disk_unmount(u64 slot, u64 n)
{
    NEED(slot, n);
    return xn_unmount(&w, d);
}

s64 sys_disk_template(u64 slot, u64 n, u64 template)
{
    static u8 code[XOK_CODE_MAX] __attribute__((aligned(8)));
    struct xok_template t;
    u64 at = 0;
    NEED(slot, n);
    if (copy_in(&t, template, sizeof t))
        return XOK_E_FAULT;
    for (u32 i = 0; i < XOK_UDF_COUNT; at += (t.code[i++].len + 7ul) & ~7ul) {
        if (at > sizeof code || t.code[i].len > sizeof code - at)
            return XOK_E_ARG;
        if (copy_in(code + at, t.code[i].addr, t.code[i].len))
            return XOK_E_FAULT;
    }
    return xn_template(&w, d, &t, code);
}

s64 sys_disk_root(u64 slot, u64 n, u64 root)
{
    struct xok_root r;
    NEED(slot, n);
    return copy_in(&r, root, sizeof r) ? XOK_E_FAULT : xn_root(&w, d, &r);
}

s64 sys_disk_change(u64 slot, u64 change)
{
    static u8 bytes[XOK_CHANGE_BYTES];
    static struct xok_mod mods[XOK_CHANGE_MODS];
    static struct xok_claim claims[XOK_CHANGE_CLAIMS];
    struct xok_change c;
    struct who w;
    u32 at = 0;
    if (!who_presents(slot, &w))
        return XOK_E_CAP;
    if (copy_in(&c, change, sizeof c))
        return XOK_E_FAULT;
    if (c.mods > XOK_CHANGE_MODS || c.claims > XOK_CHANGE_CLAIMS)
        return XOK_E_ARG;
    if (copy_in(mods, c.mod, c.mods * sizeof mods[0]) ||
        copy_in(claims, c.claim, c.claims * sizeof claims[0]))
        return XOK_E_FAULT;
    for (u32 i = 0; i < c.mods; at += mods[i++].len) {
        if (mods[i].len > XOK_CHANGE_BYTES - at)
            return XOK_E_ARG;
        if (copy_in(bytes + at, mods[i].data, mods[i].len))
            return XOK_E_FAULT;
    }
    return xn_change(&w, &c, mods, claims, bytes);
}

s64 sys_disk_io(u64 slot, u64 n, u64 list, u64 count, u64 done)
{
    static struct xok_io ops[XOK_IO_MAX];
    u64 ppn;
    NEED(slot, n);
    if (count > XOK_IO_MAX || done & 7)
        return XOK_E_ARG;
    if (!user_range(done, 8) || !user_page(this_cpu()->env->space, done, true, &ppn) ||
        ppn >= page_count || pages[ppn].type != XOK_PAGE_USER ||
        copy_in(ops, list, count * sizeof ops[0]))
        return XOK_E_FAULT;
    if (pages[ppn].pins > PINS_MAX)
        return XOK_E_BUSY;
    return xn_io(&w, d, ops, count, (u64)phys_to_virt(ppn * XOK_PAGE_SIZE + done % XOK_PAGE_SIZE));
}

// ---- functions
void *xn_code_load(u32 kind, const u8 *code, u32 len, u32 head, u32 part)
{
    return function_load(kind, code, len, head, part);
}
void xn_code_drop(void *fn)
{
    function_drop(fn);
}
bool xn_code_call(void *fn, u32 kind, struct xok_udf *u, s64 *result)
{
    return function_call(fn, kind, u, result);
}
