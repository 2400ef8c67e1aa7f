// XN on the host: see host.h. Pages with their rights, disks with volatile caches, a log, and the
// calls.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "disk/xn.h"
#include "host.h"

#define CHECKED(x)                                                                                 \
    ((x) ? (void)0 : (fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #x), abort()))

// ---- random numbers
static u64 state = 1;
static u64 next_random(u64 *s)
{
    u64 x = *s += 0x9e3779b97f4a7c15ul;
    x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9ul;
    x = (x ^ x >> 27) * 0x94d049bb133111ebul;
    return x ^ x >> 31;
}
u64 xn_random(void)
{
    return next_random(&state);
}
u64 xn_time(void)
{
    return 0;
}

// ---- pages
struct right {
    struct who who;
    u32 rights;
};
struct host_log {
    struct event {
        enum { STARTED, FINISHED, FLUSHED } kind;
        u64 other; // FINISHED, FLUSHED: the entry at which it began
        u64 block;
        u32 blocks;
        u8 *data;
    } * entry;
    u64 length, room;
    struct host_disk_options o;
};
static struct page {
    enum { PAGE_FREE, PAGE_USER, PAGE_CACHE, PAGE_FRAME } type;
    u32 pins;
    struct right acl[4]; // [0]: the payer
} * pages;
static u8 *memory;
static u64 page_count, pages_used;
static u32 page_next;
static struct who caps[XOK_CAP_SLOTS];
static struct host {
    struct host_disk_options o;
    u32 fail_reads, fail_writes;
    u8 *data;
    struct req *pending[REQUESTS];
    u64 started[REQUESTS]; // log index
    u32 count;
    struct host_log log;
} hosts[XOK_DISK_MAX];
static u32 host_count;
static s64 (*natives[256])(struct xok_udf *);
static u32 native_count;

void *xn_page(u32 ppn)
{
    CHECKED(ppn && ppn < page_count && pages[ppn].type != PAGE_FREE);
    return memory + ppn * XOK_BLOCK_SIZE;
}
void *host_page(u32 ppn)
{
    return memory + ppn * XOK_BLOCK_SIZE;
}
u64 host_pages_used(void)
{
    return pages_used;
}

static u32 page_take(int type)
{
    for (u64 i = 0; i < page_count; i++) {
        page_next = page_next + 1 < page_count ? page_next + 1 : 1;
        if (pages[page_next].type == PAGE_FREE) {
            pages[page_next] = (struct page){.type = type};
            pages_used++;
            return page_next;
        }
    }
    return 0;
}

static void page_drop(u32 ppn)
{
    CHECKED(pages[ppn].type != PAGE_FREE && !pages[ppn].pins);
    memset(memory + ppn * XOK_BLOCK_SIZE, 0xdb, XOK_BLOCK_SIZE);
    pages[ppn].type = PAGE_FREE;
    pages_used--;
}

static bool same_name(const struct who *a, const struct who *b)
{
    return a->depth == b->depth &&
           !memcmp(a->component, b->component, a->depth * sizeof a->component[0]);
}

static bool dominates(const struct who *a, const struct who *b)
{
    return a->depth <= b->depth &&
           !memcmp(a->component, b->component, a->depth * sizeof a->component[0]);
}

u32 xn_page_new(const struct who *w, bool zero)
{
    u32 p = page_take(PAGE_CACHE);
    if (!p)
        return 0;
    pages[p].acl[0].who = *w;
    memset(xn_page(p), zero ? 0 : 0xdb, XOK_BLOCK_SIZE);
    return p;
}

s64 xn_page_lend(const struct who *w, u32 ppn, bool cache)
{
    if (!ppn || ppn >= page_count || pages[ppn].type != PAGE_USER ||
        !dominates(w, &pages[ppn].acl[0].who))
        return XOK_E_CAP;
    if (pages[ppn].pins)
        return XOK_E_BUSY;
    if (cache) {
        pages[ppn].type = PAGE_CACHE;
        pages[ppn].acl[0].rights = 0;
    } else {
        pages[ppn].pins++;
    }
    return 0;
}

void xn_page_back(u32 ppn, bool lent)
{
    if (lent)
        pages[ppn].pins--;
    else if (!pages[ppn].acl[0].rights)
        memset(xn_page(ppn), 0, XOK_BLOCK_SIZE);
    pages[ppn].type = PAGE_USER;
    pages[ppn].acl[0].rights = XOK_ALL;
}

s64 xn_page_allow(const struct who *w, u32 ppn, u32 rights)
{
    struct page *p = &pages[ppn];
    struct right *free = NULL;
    for (u32 i = 0; i < 4; i++) {
        if ((i == 0 || p->acl[i].rights) && same_name(&p->acl[i].who, w)) {
            p->acl[i].rights |= rights;
            return 0;
        }
        if (i && !p->acl[i].rights && !free)
            free = &p->acl[i];
    }
    if (!free)
        return XOK_E_FULL;
    *free = (struct right){*w, rights};
    return 0;
}

bool xn_page_over(const struct who *w, u32 ppn, u32 rights)
{
    return (w->rights & rights) == rights && dominates(w, &pages[ppn].acl[0].who);
}

bool xn_page_may(const struct who *w, u32 ppn, u32 rights)
{
    for (u32 i = 0; i < 4; i++)
        if ((pages[ppn].acl[i].rights & rights) == rights && (w->rights & rights) == rights &&
            dominates(w, &pages[ppn].acl[i].who))
            return true;
    return false;
}

bool xn_page_shared(u32 ppn)
{
    return pages[ppn].acl[1].rights || pages[ppn].acl[2].rights || pages[ppn].acl[3].rights;
}

u32 xn_frame_new(void)
{
    return page_take(PAGE_FRAME);
}
void xn_frame_free(u32 ppn)
{
    page_drop(ppn);
}
u8 *xn_map_memory(struct disk *d, u64 bytes)
{
    (void)d;
    return calloc(1, bytes);
}
void xn_word_pin(u64 word)
{
    (void)word;
}
void xn_word_done(u64 word, u32 ops, u32 failed)
{
    *(u64 *)word += ops | (u64)failed << 32;
}
void xn_changed(struct disk *d)
{
    (void)d;
}
bool xn_trusted(const struct who *w)
{
    return !w->depth && w->rights & XOK_W;
}

// ---- functions
u64 host_native(s64 (*fn)(struct xok_udf *))
{
    for (u32 i = 0; i < native_count; i++)
        if (natives[i] == fn)
            return 0x4e41544956450000ul | i;
    natives[native_count] = fn;
    return 0x4e41544956450000ul | native_count++;
}

void *xn_code_load(u32 kind, const u8 *code, u32 len, u32 head, u32 part)
{
    u64 id;
    if (len != sizeof id)
        return function_load(kind, code, len, head, part);
    memcpy(&id, code, sizeof id);
    return (id ^ 0x4e41544956450000ul) < native_count ? (void *)natives[id ^ 0x4e41544956450000ul]
                                                      : NULL;
}
static bool is_native(void *fn)
{
    for (u32 i = 0; i < native_count; i++)
        if ((void *)natives[i] == fn)
            return true;
    return false;
}

void xn_code_drop(void *fn)
{
    if (!is_native(fn))
        function_drop(fn);
}
bool xn_code_call(void *fn, u32 kind, struct xok_udf *u, s64 *result)
{
    if (!is_native(fn))
        return function_call(fn, kind, u, result);
    *result = ((s64(*)(struct xok_udf *))fn)(u);
    return true;
}

// ---- disks
static u64 log_put(struct host *h, struct event e)
{
    if (!h->o.log)
        return 0;
    struct host_log *l = &h->log;
    if (l->length == l->room) {
        l->room = l->room ? l->room * 2 : 1024;
        l->entry = realloc(l->entry, l->room * sizeof *l->entry);
    }
    l->entry[l->length] = e;
    return l->length++;
}

static bool submit(struct disk *d, struct req *r)
{
    struct host *h = &hosts[d->index];
    if (h->count == 128)
        return false;
    u64 began = 0;
    CHECKED(r->op == REQ_FLUSH || (r->count && r->block + r->count <= h->o.blocks));
    if (r->op == REQ_WRITE) {
        u8 *data = h->o.log ? malloc(r->count * XOK_BLOCK_SIZE) : NULL;
        for (u32 i = 0; data && i < r->count; i++)
            memcpy(data + i * XOK_BLOCK_SIZE, xn_page(r->page[i]), XOK_BLOCK_SIZE);
        began = log_put(h, (struct event){STARTED, 0, r->block, r->count, data});
    } else if (r->op == REQ_FLUSH) {
        began = h->log.length;
    }
    h->started[h->count] = began;
    h->pending[h->count++] = r;
    return true;
}

static bool transfer(struct host *h, struct req *r, u64 began)
{
    if (r->op == REQ_READ && h->fail_reads && !(xn_random() % h->fail_reads))
        return false;
    if (r->op == REQ_WRITE && h->fail_writes && !(xn_random() % h->fail_writes))
        return false;
    for (u32 i = 0; i < r->count && r->op <= REQ_WRITE; i++) {
        u8 *at = h->data + (r->block + i) * XOK_BLOCK_SIZE, *page = xn_page(r->page[i]);
        if (r->op == REQ_READ)
            memcpy(page, at, XOK_BLOCK_SIZE);
        else // as it was when it was submitted
            memcpy(at, h->o.log ? h->log.entry[began].data + i * XOK_BLOCK_SIZE : page,
                   XOK_BLOCK_SIZE);
    }
    if (r->op == REQ_WRITE)
        log_put(h, (struct event){FINISHED, began, r->block, r->count, NULL});
    if (r->op == REQ_FLUSH)
        log_put(h, (struct event){FLUSHED, began, 0, 0, NULL});
    if (r->op == REQ_DISCARD)
        memset(h->data + r->block * XOK_BLOCK_SIZE, 0xdd, r->count * XOK_BLOCK_SIZE);
    return true;
}

// Two requests under way for one block must not pass each other: the simulated device keeps their
// order.
static bool passes(struct host *h, u32 n)
{
    for (u32 i = 0; i < n; i++)
        if (h->pending[i]->op != REQ_FLUSH && h->pending[n]->op != REQ_FLUSH &&
            h->pending[i]->block < h->pending[n]->block + h->pending[n]->count &&
            h->pending[n]->block < h->pending[i]->block + h->pending[i]->count)
            return true;
    return false;
}

bool host_step(void)
{
    u32 first = xn_random() % XOK_DISK_MAX;
    for (u32 k = 0; k < XOK_DISK_MAX; k++) {
        struct host *h = &hosts[(first + k) % XOK_DISK_MAX];
        if (!h->count)
            continue;
        u32 n = h->o.in_order ? 0 : xn_random() % h->count;
        while (passes(h, n))
            n--;
        struct req *r = h->pending[n];
        u64 began = h->started[n];
        for (u32 i = n + 1; i < h->count; i++)
            h->pending[i - 1] = h->pending[i], h->started[i - 1] = h->started[i];
        h->count--;
        xn_complete(r, transfer(h, r, began));
        return true;
    }
    return false;
}

void host_drain(void)
{
    while (host_step())
        ;
}

u32 host_pending(void)
{
    u32 n = 0;
    for (u32 i = 0; i < XOK_DISK_MAX; i++)
        n += hosts[i].count;
    return n;
}

u8 *host_disk_data(u32 disk)
{
    return hosts[disk].data;
}
void host_fail(u32 disk, u32 reads, u32 writes)
{
    hosts[disk].fail_reads = reads, hosts[disk].fail_writes = writes;
}
u64 host_log_length(u32 disk)
{
    return hosts[disk].log.length;
}

// Entry `write` (STARTED) is durable at log position `at`: it finished before a flush began that
// was over by then.
void host_log_image(const struct host_log *h, u64 at, enum host_loss loss, u64 seed, u8 *data)
{
    u32 sectors = XOK_BLOCK_SIZE / h->o.sector;
    u64 covered = 0; // writes that finished before this entry are durable
    for (u64 i = 0; i < at; i++)
        if (h->entry[i].kind == FLUSHED && h->entry[i].other > covered)
            covered = h->entry[i].other;
    u8 *durable = calloc(at + 1, 1);
    for (u64 i = 0; i < at; i++)
        if (h->entry[i].kind == FINISHED && (i < covered || h->o.write_through))
            durable[h->entry[i].other] = 1;
    if (h->o.image)
        memcpy(data, h->o.image, h->o.blocks * XOK_BLOCK_SIZE);
    else
        memset(data, 0, h->o.blocks * XOK_BLOCK_SIZE);
    for (u64 i = 0; i < at; i++) {
        const struct event *e = &h->entry[i];
        bool all =
            durable[i] || loss == LOSE_NOTHING || (loss == LOSE_SOME && next_random(&seed) & 1);
        if (e->kind != STARTED || (!all && loss != LOSE_TORN))
            continue;
        for (u32 s = 0; s < e->blocks * sectors; s++)
            if (all || next_random(&seed) & 1)
                memcpy(data + e->block * XOK_BLOCK_SIZE + s * h->o.sector,
                       e->data + s * h->o.sector, h->o.sector);
    }
    free(durable);
}

void host_crash_image(u32 disk, u64 at, enum host_loss loss, u64 seed, u8 *data)
{
    hosts[disk].log.o = hosts[disk].o;
    host_log_image(&hosts[disk].log, at, loss, seed, data);
}

struct host_log *host_log_take(u32 disk)
{
    struct host_log *l = malloc(sizeof *l);
    *l = hosts[disk].log;
    l->o = hosts[disk].o;
    hosts[disk].log = (struct host_log){0};
    return l;
}

static void log_free(struct host_log *l)
{
    for (u64 k = 0; k < l->length; k++)
        free(l->entry[k].data);
    free(l->entry);
}

void host_log_drop(struct host_log *l)
{
    log_free(l);
    free(l);
}

// ---- exposed state
const volatile struct xok_disk_info *xok_host_disk(u32 disk)
{
    return disks[disk].info;
}
const volatile struct xok_registry_info *xok_host_hash(void)
{
    return hash;
}
const volatile struct xok_block *xok_host_registry(void)
{
    return registry;
}
const volatile u8 *xok_host_map(u32 disk)
{
    return disks[disk].map;
}

void host_start(u64 count, u64 seed)
{
    enum { BITS = 12, DEPS = 16384 };
    static struct dep *pool;
    state = seed;
    for (u32 i = 0; i < host_count; i++) {
        for (u32 k = 0; k < hosts[i].count; k++)
            req_free(hosts[i].pending[k]);
        if (disks[i].info)
            xn_forget(&disks[i]);
        log_free(&hosts[i].log);
        free(disks[i].map), free(disks[i].info);
    }
    memset(hosts, 0, sizeof hosts);
    memset(disks, 0, sizeof disks);
    memset(caps, 0, sizeof caps);
    host_count = 0;
    free(pages), free(registry), free(hash), free(pool);
    if (count > page_count) {
        free(memory);
        memory = aligned_alloc(4096, count * XOK_BLOCK_SIZE);
    }
    page_count = count, pages_used = 0, page_next = 0;
    pages = calloc(count, sizeof *pages);
    for (u64 i = 0; i < count; i++)
        memset(memory + i * XOK_BLOCK_SIZE, 0xdb, 64);
    pool = calloc(DEPS, sizeof *pool);
    registry_init(calloc(count, sizeof *registry), count, calloc(1, 4096 + (4ul << BITS)), BITS,
                  pool, DEPS);
    host_cap(0, XOK_ALL, 0, NULL);
}

void host_cap(u32 slot, u32 rights, u32 depth, const u32 *component)
{
    caps[slot] = (struct who){.name = slot + 1, .rights = rights, .depth = depth};
    if (depth)
        memcpy(caps[slot].component, component, depth * sizeof *component);
}

u32 host_disk_add(const struct host_disk_options *o)
{
    u32 i = host_count++;
    struct host *h = &hosts[i];
    struct disk *d = &disks[i];
    h->o = *o;
    h->o.sector = o->sector ? o->sector : 512;
    static struct {
        u8 *data;
        u64 blocks;
    } room[XOK_DISK_MAX]; // kept from machine to machine
    if (room[i].blocks < o->blocks) {
        free(room[i].data);
        room[i].data = malloc(o->blocks * XOK_BLOCK_SIZE);
        room[i].blocks = o->blocks;
    }
    h->data = room[i].data;
    if (o->image)
        memcpy(h->data, o->image, o->blocks * XOK_BLOCK_SIZE);
    else
        memset(h->data, 0, o->blocks * XOK_BLOCK_SIZE);
    d->index = i;
    d->info = calloc(1, sizeof *d->info);
    d->submit = submit;
    xn_disk_add(d, o->blocks, h->o.sector,
                (o->write_through ? 0 : XOK_DISK_FLUSH) | XOK_DISK_DISCARD);
    return i;
}

// ---- calls
static const struct who *who_of(u64 slot)
{
    return slot < XOK_CAP_SLOTS && caps[slot].name ? &caps[slot] : NULL;
}
static struct disk *disk_of(u64 disk)
{
    return disk < XOK_DISK_MAX && disks[disk].info ? &disks[disk] : NULL;
}
#define NEED(slot, disk)                                                                           \
    const struct who *w = who_of(slot);                                                            \
    struct disk *d = disk_of(disk);                                                                \
    if (!w || !d)                                                                                  \
    return w ? XOK_E_ARG : XOK_E_CAP

s64 xok_disk_format(u64 slot, u64 disk)
{
    NEED(slot, disk);
    return xn_format(w, d);
}
s64 xok_disk_mount(u64 slot, u64 disk)
{
    NEED(slot, disk);
    return xn_mount(w, d);
}
s64 xok_disk_unmount(u64 slot, u64 disk)
{
    NEED(slot, disk);
    return xn_unmount(w, d);
}

s64 xok_disk_template(u64 slot, u64 disk, const volatile void *p)
{
    NEED(slot, disk);
    struct xok_template t = *(const struct xok_template *)p;
    static u8 code[XOK_CODE_MAX] __attribute__((aligned(8)));
    u64 at = 0;
    for (u32 i = 0; i < XOK_UDF_COUNT; i++) {
        if (t.code[i].len > XOK_CODE_MAX - at)
            return XOK_E_ARG;
        if (t.code[i].len)
            memcpy(code + at, (void *)t.code[i].addr, t.code[i].len);
        at += (t.code[i].len + 7) & ~7ul;
    }
    return xn_template(w, d, &t, code);
}

s64 xok_disk_root(u64 slot, u64 disk, const volatile void *root)
{
    NEED(slot, disk);
    struct xok_root r = *(const struct xok_root *)root;
    return xn_root(w, d, &r);
}

s64 xok_disk_change(u64 slot, const volatile void *change)
{
    struct xok_change c = *(const struct xok_change *)change;
    static u8 bytes[XOK_CHANGE_BYTES];
    u32 at = 0;
    const struct who *w = who_of(slot);
    if (!w)
        return XOK_E_CAP;
    if (c.mods > XOK_CHANGE_MODS || c.claims > XOK_CHANGE_CLAIMS)
        return XOK_E_ARG;
    const struct xok_mod *m = (void *)c.mod;
    for (u32 i = 0; i < c.mods; at += m[i++].len) {
        if (m[i].len > XOK_CHANGE_BYTES - at)
            return XOK_E_ARG;
        memcpy(bytes + at, (void *)m[i].data, m[i].len);
    }
    return xn_change(w, &c, m, (void *)c.claim, bytes);
}

s64 xok_disk_io(u64 slot, u64 disk, const volatile void *ops, u64 count, const volatile void *done)
{
    NEED(slot, disk);
    return count > XOK_IO_MAX ? XOK_E_ARG : xn_io(w, d, (const void *)ops, count, (u64)done);
}

s64 xok_page_alloc(u64 slot, u64 ppn, u64 count)
{
    const struct who *w = who_of(slot);
    if (!w)
        return XOK_E_CAP;
    if (ppn != XOK_PAGE_ANY || count != 1)
        return XOK_E_ARG;
    u32 p = page_take(PAGE_USER);
    if (!p)
        return XOK_E_NOMEM;
    pages[p].acl[0] = (struct right){*w, XOK_ALL};
    memset(xn_page(p), 0, XOK_BLOCK_SIZE);
    return p;
}

s64 xok_page_free(u64 slot, u64 ppn, u64 count)
{
    const struct who *w = who_of(slot);
    if (!w || count != 1 || !ppn || ppn >= page_count || pages[ppn].type != PAGE_USER ||
        !dominates(w, &pages[ppn].acl[0].who))
        return w ? XOK_E_ARG : XOK_E_CAP;
    if (pages[ppn].pins)
        return XOK_E_BUSY;
    page_drop(ppn);
    return 0;
}

// ---- conveniences
s64 host_try_mount(u32 cap, u32 disk)
{
    s64 r;
    while ((r = xok_disk_mount(cap, disk)) == XOK_E_AGAIN)
        host_drain();
    return r;
}

void host_mount(u32 cap, u32 disk, bool format)
{
    s64 r;
    while (format && (r = xok_disk_format(cap, disk)) == XOK_E_AGAIN)
        host_drain();
    CHECKED(!format || !r);
    CHECKED(host_try_mount(cap, disk) == 0);
}

s64 host_io(u32 cap, u32 disk, const struct xok_io *ops, u32 n)
{
    u64 done = 0;
    u32 at = 0;
    while (at < n) {
        s64 r = xok_disk_io(cap, disk, ops + at, XN_MIN(n - at, XOK_IO_MAX), &done);
        if (r == XOK_E_AGAIN && host_pending()) {
            host_step();
            continue;
        }
        if (r < 0) {
            host_drain();
            return r;
        }
        at += r;
    }
    while ((u32)done < n && host_step())
        ;
    CHECKED((u32)done == n);
    return done >> 32 ? XOK_E_IO : 0;
}

s64 host_sync(u32 cap, u32 disk)
{
    struct xok_io flush = {.op = XOK_IO_FLUSH};
    u32 idle = 0;
    for (;;) {
        u32 dirty = 0, wrote = 0;
        for (u64 p = 1; p < page_count; p++) {
            struct xok_block b = registry[p];
            if (b.block == XOK_BLOCK_NONE || XOK_BLOCK_DISK(b.block) != disk ||
                !(b.flags & XOK_B_DIRTY))
                continue;
            struct xok_io o = {.block = XOK_BLOCK_NUMBER(b.block), .op = XOK_IO_WRITE};
            s64 r = host_io(cap, disk, &o, 1);
            dirty += r != 0;
            wrote += r == 0;
        }
        s64 r = host_io(cap, disk, &flush, 1);
        if (r)
            return r;
        if (!dirty)
            return 0;
        idle = wrote ? 0 : idle + 1;
        if (idle == 2)
            return XOK_E_TAINT;
    }
}
