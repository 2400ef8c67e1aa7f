// Random calls, most of them wrong, by three callers. After every few the invariant that all of XN
// rests on: each allocated block is owned exactly as often as its type says, by what metadata says
// now, and nothing else is. XN_CALLS: how many (600000).
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include "xn/toy.h"

enum { BLOCKS = 260, LOW = 196, PAGES = 700 };
static u64 seed, calls[16], taken[16];
static u32 disk;
static u64 rnd(u64 n)
{
    seed ^= seed << 13, seed ^= seed >> 7, seed ^= seed << 17;
    return seed % n;
}

static u64 some_block(void)
{
    switch (rnd(24)) {
    case 0: return rnd(LOW);
    case 1: return BLOCKS + rnd(3);
    case 2: return rnd(2) ? ~0ul : ~0ul >> 8;
    default: return LOW + rnd(BLOCKS - LOW);
    }
}

// Some block of these types, as the map has it; else any.
static u64 block_like(bool (*like)(u8))
{
    for (u32 i = 0; i < 30; i++) {
        u64 b = LOW + rnd(BLOCKS - LOW);
        if (like(XOK_DISKMAP(disk)[b]))
            return b;
    }
    return some_block();
}
static bool is_free(u8 m)
{
    return !m;
}
static bool is_dir(u8 m)
{
    return (m & XOK_MAP_TYPE) == toy_dir || (m & XOK_MAP_TYPE) == toy_node;
}
static bool is_node(u8 m)
{
    return (m & XOK_MAP_TYPE) == toy_node;
}
static bool is_used(u8 m)
{
    return m;
}

static u32 some_type(void)
{
    u32 t[] = {XOK_T_DATA, XOK_T_DATA, XOK_T_DATA, XOK_T_RESERVED,
               toy_dir,    toy_dir,    toy_node,   rnd(70)};
    return t[rnd(8)];
}

// A slot whose pointer is as `wanted` says, if the block is cached and one is found soon.
static u32 some_slot(u64 block, bool used)
{
    const u8 *page = block < BLOCKS ? toy_see(disk, block) : NULL;
    for (u32 i = 0; page && i < 40; i++) {
        u32 n = rnd(12);
        if ((((const struct toy_slot *)(page + SLOT_AT(n)))->count != 0) == used)
            return n;
    }
    return rnd(TOY_SLOTS);
}

static struct toy_slot slot_now(u64 block, u32 i)
{
    return block < BLOCKS && toy_see(disk, block) ? *toy_slot(disk, block, i)
                                                  : (struct toy_slot){0};
}

// A change that makes sense, and then, half of the time, one thing in it that does not.
static void change(u32 cap)
{
    struct toy_slot s[3] = {{0}};
    struct xok_mod m[3];
    struct xok_claim k[3] = {{0}};
    u32 edges = 1;
    struct xok_change c = {
        .disk = disk, .blocks = 1, .mods = 1, .claims = 1, .mod = (u64)m, .claim = (u64)k};
    u64 p = c.block[0] = block_like(is_dir), q = block_like(is_dir);
    u32 kind = rnd(8),
        i = some_slot(p, kind != XOK_ALLOC && kind != XOK_ATTACH && kind != XOK_LINK);
    struct toy_slot old = slot_now(p, i);
    for (u32 n = 0; n < 3; n++)
        m[n] = (struct xok_mod){.data = (u64)&s[n], .off = SLOT_AT(i), .len = 64};
    k[0] =
        (struct xok_claim){.block = old.block, .count = old.count, .kind = kind, .type = old.type};
    switch (kind) {
    case XOK_ALLOC:
        k[0].type = some_type(), k[0].block = block_like(is_free),
        k[0].count = k[0].type > XOK_T_RESERVED ? 1 : 1 + rnd(3);
        s[0] = (struct toy_slot){k[0].block, k[0].count, k[0].type, 0, {0}};
        break;
    case XOK_MOVE:
        c.block[1] = q, c.blocks = c.mods = 2;
        k[0].to = 1;
        m[1].target = 1, m[1].off = SLOT_AT(some_slot(q, false));
        s[1] = old;
        break;
    case XOK_LINK:
    case XOK_UNLINK:
        q = kind == XOK_LINK ? block_like(is_node) : old.block;
        k[0] = (struct xok_claim){
            .block = q, .count = 1, .kind = kind, .type = toy_node, .from = 1, .to = 0};
        if (kind == XOK_LINK)
            s[0] = (struct toy_slot){q, 1, toy_node, 0, {0}};
        if (q < BLOCKS && toy_see(disk, q))
            edges = XOK_DISKMAP(disk)[q] ? ((const struct toy_head *)toy_see(disk, q))->edges : 1;
        edges = (edges ? edges : 1) + (kind == XOK_LINK ? 1 : -1);
        c.block[1] = q, c.blocks = c.mods = 2;
        m[1] = (struct xok_mod){.data = (u64)&edges, .off = 4, .len = 4, .target = 1};
        break;
    case XOK_RETYPE:
        k[0].type = old.type == XOK_T_DATA ? XOK_T_RESERVED : XOK_T_DATA;
        s[0] = old, s[0].type = k[0].type;
        break;
    case XOK_ATTACH:
        k[0].block = XOK_DISK(disk)->root[rnd(4)].block, k[0].count = 1, k[0].type = toy_dir;
        s[0] = (struct toy_slot){k[0].block, 1, toy_dir, 0, {0}};
        break;
    case XOK_TIE: c.block[1] = q, c.blocks = 1 + (q != p), k[0].to = q != p, c.mods = 0; break;
    }
    if (rnd(2))
        switch (rnd(12)) {
        case 0: k[0].block = some_block(); break;
        case 1: k[0].count = rnd(5); break;
        case 2: k[0].kind = rnd(9); break;
        case 3: k[0].type = some_type(); break;
        case 4: k[0].from = rnd(5), k[0].to = rnd(5); break;
        case 5: s[0].block = some_block(); break;
        case 6: s[rnd(2)].count = rnd(6); break;
        case 7: s[0].type = some_type(); break;
        case 8: m[rnd(2)].off = rnd(4200); break;
        case 9: m[0].len = 1 + rnd(80); break;
        case 10: c.claims = rnd(4), k[1] = k[rnd(2)]; break;
        case 11:
            c.blocks = rnd(5), c.block[2] = block_like(is_dir), c.block[3] = some_block();
            break;
        }
    s64 r = xok_disk_change(cap, &c);
    calls[kind]++, taken[kind] += r == 0;
}

static void list(u32 cap)
{
    static u64 done;
    struct xok_io o[6];
    u32 n = 1 + rnd(6), slot = rnd(12);
    u64 parent = block_like(is_dir);
    for (u32 i = 0; i < n; i++) {
        o[i] = (struct xok_io){.block = rnd(3) ? block_like(is_used) : some_block(),
                               .op = rnd(13),
                               .flags = rnd(20) ? rnd(2) : rnd(256)};
        o[i].parent = rnd(9) ? parent : rnd(2) ? XOK_BLOCK_NONE : rnd(16);
        if (rnd(3)) { // what the parent does own
            struct toy_slot s = slot_now(parent, slot = some_slot(parent, true));
            o[i].block = s.block + (s.count ? rnd(s.count) : 0);
        }
        o[i].at = rnd(30) ? SLOT_AT(slot) : rnd(5000);
        if (!rnd(4)) {
            s64 p = xok_page_alloc(cap, XOK_PAGE_ANY, 1);
            o[i].ppn = p > 0 ? (u64)p : rnd(PAGES + 5);
        }
    }
    s64 r = xok_disk_io(cap, disk, o, n, &done);
    calls[8]++, taken[8] += r > 0;
    for (u32 i = 0; i < n; i++)
        if (o[i].ppn)
            xok_page_free(cap, o[i].ppn, 1); // if it was not taken
}

// ---- the invariant
static u32 edges[BLOCKS];

static const u8 *content(u64 b)
{
    static const u8 zeros[4096];
    u32 p = xok_block_find(disk, b);
    if (p && XOK_REGISTRY[p].flags & XOK_B_VALID)
        return host_page(p);
    return XOK_DISKMAP(disk)[b] & XOK_MAP_UNINIT ? zeros : host_disk_data(disk) + b * 4096;
}

static void invariant(void)
{
    u64 free = 0;
    memset(edges, 0, sizeof edges);
    for (u32 i = 0; i < XOK_ROOTS; i++)
        if (XOK_DISK(disk)->root[i].block)
            edges[XOK_DISK(disk)->root[i].block]++;
    for (u64 b = 139; b < BLOCKS; b++) {
        u8 m = XOK_DISKMAP(disk)[b];
        if (m & XOK_MAP_WILLFREE || !is_dir(m))
            continue;
        for (u32 i = 0; i < TOY_SLOTS; i++) {
            const struct toy_slot *s = (const void *)(content(b) + SLOT_AT(i));
            for (u32 n = 0; n < s->count; n++) {
                assert_true(s->block + n < BLOCKS);
                assert_int_equal(XOK_DISKMAP(disk)[s->block + n] & ~XOK_MAP_UNINIT, s->type);
                edges[s->block + n]++;
            }
        }
    }
    for (u64 b = 139; b < BLOCKS; b++) {
        u8 m = XOK_DISKMAP(disk)[b], t = m & XOK_MAP_TYPE;
        free += !m;
        if (t == XOK_T_XN)
            continue;
        u32 want = m & XOK_MAP_WILLFREE || !m || t == XOK_T_BUSY ? 0 : 1;
        if (t == toy_node && want)
            want = ((const struct toy_head *)content(b))->edges > 1
                       ? ((const struct toy_head *)content(b))->edges
                       : 1;
        assert_int_equal(edges[b], want);
    }
    assert_int_equal(XOK_DISK(disk)->free, free);
}

static void ownership_holds_whatever_is_called(void **state)
{
    (void)state;
    u64 n = getenv("XN_CALLS") ? atol(getenv("XN_CALLS")) : 600000;
    u32 one = 1, two = 2;
    for (u64 done = 0; done < n; done += 7500) {
        seed = (done + 1) * 0x9e3779b97f4a7c15ul | 1;
        host_start(PAGES, done);
        disk = host_disk_add(&(struct host_disk_options){.blocks = BLOCKS});
        host_mount(0, disk, true);
        toy_dir = toy_template(disk, "toy.dir", 150, false);
        toy_node = toy_template(disk, "toy.node", 151, true);
        host_cap(1, XOK_ALL, 1, &one), host_cap(2, XOK_ALL, 1, &two);
        toy_root(0, disk, "toy", TOY_ROOT, toy_dir, XOK_ROOT_CREATE);
        toy_io(0, disk, XOK_IO_NEW, TOY_ROOT, XOK_DISK(disk)->root[0].parent, 0, 0, 0);
        host_fail(disk, done % 3 ? 0 : 60, done % 3 == 1 ? 40 : 0);
        for (u32 i = 0; i < 7500; i++) {
            u32 cap = rnd(3);
            if (!rnd(60))
                toy_root(cap, disk, rnd(2) ? "a" : "b", some_block(), rnd(8) ? toy_dir : rnd(64),
                         rnd(3));
            else if (rnd(2))
                change(cap);
            else
                list(cap);
            for (u32 k = rnd(3); k--;)
                host_step();
            if (i % 16 == 0)
                invariant();
        }
        host_fail(disk, 0, 0);
        host_drain();
        invariant();
    }
    for (u32 i = 0; i < 9; i++) {
        printf("%s%lu of %lu", i ? ", " : "taken by kind: ", taken[i], calls[i]);
        assert_true(taken[i] > n / 10000);
    }
    printf("\n");
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(ownership_holds_whatever_is_called)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
