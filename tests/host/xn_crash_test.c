// Power loss: a random workload on the toy file system, then the disk as it could be at any moment
// of it, writes dropped, reordered and torn; each is mounted and must be whole, with all that was
// synced, nothing twice, and nobody's old content. Also I/O errors, and images with random damage.
// XN_STATES: crash states (2400).
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include "xn/toy.h"

enum { BLOCKS = 400, DIRS = 8, OPS = 260, FILES = 4096 };
static u64 seed;
static u64 rnd(u64 n)
{
    seed ^= seed << 13, seed ^= seed >> 7, seed ^= seed << 17;
    return seed % n;
}

// ---- the model
static struct file {  // by id
    u32 dir, slot;    // dir 0: gone
    u64 synced, gone; // log positions: durable from, removal began
} files[FILES];
static u64 next_id, dirs[DIRS]; // dirs[0]: the root; others 0 or a block
static u32 dir_slot[DIRS], disk;
static u64 nodes[4]; // linked from slots 40 + 4 * i + k of the directories of edges
static u32 node_edges[4], edge_dir[4][4];

static u64 block_free(u32 count)
{
    for (u32 tries = 0; tries < 200; tries++) {
        u64 b = 210 + rnd(BLOCKS - 214), n = 0;
        while (n < count && !XOK_DISKMAP(disk)[b + n])
            n++;
        if (n == count)
            return b;
    }
    return 0;
}

static u32 slot_free(u64 dir)
{
    for (u32 i = rnd(20); i < 40; i++)
        if (!toy_slot(disk, dir, i)->count)
            return i;
    return 0;
}

static void fill(u64 block, u64 id)
{
    u64 *w = host_page(xok_block_find(disk, block));
    for (u32 i = 0; i < 512; i += 2)
        w[i] = block, w[i + 1] = id;
}

static void file_new(u32 d)
{
    u32 count = 1 + rnd(3), slot = slot_free(dirs[d]);
    u64 b = block_free(count), id = next_id + 1;
    if (!b || !slot || id >= FILES || toy_alloc(0, disk, dirs[d], slot, b, count, XOK_T_DATA, id))
        return;
    for (u32 i = 0; i < count; i++) {
        assert_int_equal(NEW(disk, b + i, dirs[d], slot), 0);
        fill(b + i, id);
    }
    files[++next_id] = (struct file){d + 1, slot, ~0ul, ~0ul};
}

static u64 file_pick(void)
{
    for (u32 i = 0; next_id && i < 20; i++) {
        u64 id = 1 + rnd(next_id);
        if (files[id].dir)
            return id;
    }
    return 0;
}

static void file_remove(void)
{
    u64 id = file_pick(), at = host_log_length(disk);
    struct file *f = &files[id];
    if (id && !toy_free(0, disk, dirs[f->dir - 1], f->slot))
        f->dir = 0, f->gone = at;
}

static void file_move(void)
{
    u64 id = file_pick();
    u32 d = rnd(DIRS), slot = dirs[d] ? slot_free(dirs[d]) : 0;
    struct file *f = &files[id];
    if (id && slot && !toy_move(0, disk, dirs[f->dir - 1], f->slot, dirs[d], slot))
        f->dir = d + 1, f->slot = slot;
}

static void dir_new(void)
{
    u32 d = 1 + rnd(DIRS - 1), slot = slot_free(dirs[0]);
    u64 b = block_free(1);
    if (dirs[d] || !slot || !b || toy_alloc(0, disk, dirs[0], slot, b, 1, toy_dir, 0))
        return;
    assert_int_equal(NEW(disk, b, dirs[0], slot), 0);
    dirs[d] = b, dir_slot[d] = slot;
}

static void dir_remove(void)
{
    u32 d = 1 + rnd(DIRS - 1);
    u64 at = host_log_length(disk);
    if (!dirs[d])
        return;
    for (u64 id = 1; id <= next_id; id++)
        if (files[id].dir == d + 1 && !toy_free(0, disk, dirs[d], files[id].slot))
            files[id].dir = 0, files[id].gone = at;
    if (!toy_free(0, disk, dirs[0], dir_slot[d]))
        dirs[d] = 0;
}

static void node_do(void)
{
    u32 n = rnd(4);
    u64 b = block_free(1);
    if (!nodes[n]) {
        if (!b || toy_alloc(0, disk, dirs[0], 40 + 4 * n, b, 1, toy_node, 0))
            return;
        assert_int_equal(NEW(disk, b, dirs[0], 40 + 4 * n), 0);
        nodes[n] = b, node_edges[n] = 1, edge_dir[n][0] = 0;
    } else if (node_edges[n] < 4 && rnd(2)) {
        u32 d = rnd(DIRS), k = node_edges[n];
        edge_dir[n][k] = d;
        node_edges[n] += dirs[d] && !toy_link(0, disk, dirs[d], 40 + 4 * n + k, nodes[n], true);
    } else if (node_edges[n] > 1) {
        u32 k = node_edges[n] - 1;
        node_edges[n] -= !toy_link(0, disk, dirs[edge_dir[n][k]], 40 + 4 * n + k, nodes[n], false);
    } else if (!toy_free(0, disk, dirs[0], 40 + 4 * n)) {
        nodes[n] = 0;
    }
}

// A tree made in any order below a temporary root, then attached.
static void attach_do(void)
{
    u32 slot = slot_free(dirs[0]), d = 1 + rnd(DIRS - 1);
    u64 b = block_free(1), id = next_id + 1;
    if (dirs[d] || !slot || !b || id >= FILES ||
        toy_root(0, disk, "tmp", b, toy_dir, XOK_ROOT_TEMP) < 0)
        return;
    assert_int_equal(toy_io(0, disk, XOK_IO_NEW, b, XOK_BLOCK_NONE, 0, 0, 0), 0);
    u64 data = block_free(1);
    if (data && !toy_alloc(0, disk, b, 3, data, 1, XOK_T_DATA, id)) {
        WRITE(disk, b);
        assert_int_equal(NEW(disk, data, b, 3), 0);
        fill(data, id);
        files[++next_id] = (struct file){d + 1, 3, ~0ul, ~0ul};
    }
    host_sync(0, disk);
    struct xok_claim k = {.block = b, .count = 1, .kind = XOK_ATTACH, .type = toy_dir};
    if (toy_io(0, disk, XOK_IO_SETTLE, b, 0, 0, 0, 0) ||
        toy_set(0, disk, dirs[0], slot, (struct toy_slot){b, 1, toy_dir, 0, {0}},
                k)) { // a write failed
        files[next_id].dir = files[next_id].dir == d + 1 ? 0 : files[next_id].dir;
        return;
    }
    dirs[d] = b, dir_slot[d] = slot;
}

static void write_some(void)
{
    u32 first = rnd(2048);
    static u64 done;
    for (u32 i = 0, n = 0; i < 2048 && n < 4; i++) {
        struct xok_block b = XOK_REGISTRY[(first + i) % 2048];
        if (b.block == XOK_BLOCK_NONE || !(b.flags & XOK_B_DIRTY))
            continue;
        struct xok_io o = {.block = b.block, .op = XOK_IO_WRITE};
        xok_disk_io(0, disk, &o, 1, &done);
        n++;
    }
}

static void synced(void)
{
    if (host_sync(0, disk))
        return;
    for (u64 id = 1; id <= next_id; id++)
        if (files[id].dir && files[id].synced == ~0ul)
            files[id].synced = host_log_length(disk);
}

static void work(u32 ops)
{
    struct xok_io flush = {.op = XOK_IO_FLUSH};
    static u64 done;
    while (ops--) {
        u32 d = rnd(DIRS);
        switch (rnd(20)) {
        case 0:
        case 1:
        case 2:
        case 3:
        case 4:
            if (dirs[d])
                file_new(d);
            break;
        case 5:
        case 6:
        case 7: file_remove(); break;
        case 8:
        case 9:
        case 10: file_move(); break;
        case 11: dir_new(); break;
        case 12: dir_remove(); break;
        case 13:
        case 14: node_do(); break;
        case 15:
            if (!rnd(3))
                synced();
            break;
        case 16:
            if (!rnd(3))
                attach_do();
            break;
        case 17:
        case 18: write_some(); break;
        case 19: xok_disk_io(0, disk, &flush, 1, &done); break;
        }
        for (u32 i = rnd(4); i--;)
            host_step();
    }
}

static void workload(u64 s, struct host_disk_options o)
{
    seed = s * 0x9e3779b97f4a7c15ul | 1;
    next_id = 0;
    memset(files, 0, sizeof files), memset(dirs, 0, sizeof dirs), memset(nodes, 0, sizeof nodes);
    disk = toy_start(o, s);
    dirs[0] = TOY_ROOT;
    work(OPS);
}

// ---- what a mounted disk must be
static u8 seen[BLOCKS];
static bool id_seen[FILES];

static void walk(u32 d, u64 block, u32 type)
{
    const u8 *page = host_disk_data(d) + block * 4096;
    u8 before = seen[block]++;
    assert_int_equal(XOK_DISKMAP(d)[block], type);
    if (before) {
        assert_int_equal(type, toy_node);
        return;
    }
    for (u32 i = 0; i < TOY_SLOTS; i++) {
        const struct toy_slot *s = (const void *)(page + SLOT_AT(i));
        if (s->count && s->type >= XOK_T_FIRST) {
            walk(d, s->block, s->type);
            continue;
        }
        for (u32 k = 0; k < s->count; k++) {
            const u64 *w = (const void *)(host_disk_data(d) + (s->block + k) * 4096);
            assert_int_equal(XOK_DISKMAP(d)[s->block + k], s->type);
            assert_int_equal(seen[s->block + k]++, 0);
            for (u32 j = 0; j < 512; j += 2)
                assert_true(w[j] == s->block + k && w[j + 1] == s->id);
        }
        if (s->count) {
            assert_true(s->id < FILES && !id_seen[s->id]); // one live name
            id_seen[s->id] = true;
        }
    }
    if (type == toy_node)
        assert_true(((const struct toy_head *)page)->edges < 5);
}

static void whole(u32 d, u64 at)
{
    memset(seen, 0, sizeof seen), memset(id_seen, 0, sizeof id_seen);
    assert_int_equal(XOK_DISK(d)->root[0].flags, 0);
    walk(d, TOY_ROOT, toy_dir);
    u64 free = 0;
    for (u64 b = 139; b < BLOCKS; b++) {
        u8 m = XOK_DISKMAP(d)[b];
        free += !m;
        assert_true(m == XOK_T_XN || (m != 0) == (seen[b] != 0));
        if (m == toy_node) {
            u32 edges = ((const struct toy_head *)(host_disk_data(d) + b * 4096))->edges;
            assert_int_equal(seen[b], edges ? edges : 1);
        }
    }
    assert_int_equal(XOK_DISK(d)->free, free);
    for (u64 id = 1; id <= next_id; id++)
        if (files[id].synced <= at && at <= files[id].gone)
            assert_true(id_seen[id]);
}

// ---- tests
static u8 image[BLOCKS * 4096];

static void any_moment_is_whole(void **s)
{
    (void)s;
    u32 states = getenv("XN_STATES") ? atoi(getenv("XN_STATES")) : 2400,
        runs = (states + 239) / 240;
    for (u32 run = 0; run < runs; run++) {
        struct host_disk_options o = {
            .blocks = BLOCKS, .log = true, .write_through = run % 8 == 7, .in_order = run % 4 == 3};
        workload(run + 1 + (getenv("XN_SEED") ? atoi(getenv("XN_SEED")) : 0), o);
        u64 length = host_log_length(disk), from = 20;
        struct host_log *log = host_log_take(disk);
        for (u32 i = 0; i < 240; i++) {
            u64 at = from + rnd(length - from);
            host_log_image(log, at, i % 4, rnd(~0ul), image);
            if (getenv("XN_VERBOSE"))
                printf("run %u state %u at %lu of %lu\n", run, i, at, length), fflush(stdout);
            host_start(512, 1);
            struct host_disk_options c = {.blocks = BLOCKS, .image = image};
            u32 d = host_disk_add(&c);
            host_mount(0, d, false);
            if (XOK_DISK(d)->root[0].block) // the root itself was durable
                whole(d, at);
        }
        host_log_drop(log);
    }
}

// With writes that fail now and then, what is on the disk is whole, at any moment too.
static void failing_writes_break_nothing(void **s)
{
    (void)s;
    for (u32 run = 0; run < 6; run++) {
        struct host_disk_options o = {.blocks = BLOCKS, .log = true};
        workload(100 + run, o);
        host_sync(0, disk);
        static u8 base[sizeof image];
        memcpy(base, host_disk_data(disk), sizeof base);
        host_start(2048, run);
        struct host_disk_options c = {.blocks = BLOCKS, .image = base, .log = true};
        disk = host_disk_add(&c);
        host_mount(0, disk, false);
        assert_int_equal(toy_io(0, disk, XOK_IO_PREFETCH, TOY_ROOT, 0, 0, 0, 0), 0);
        assert_int_equal(
            toy_io(0, disk, XOK_IO_BIND, TOY_ROOT, XOK_DISK(disk)->root[0].parent, 0, 0, 0), 0);
        for (u32 i = 1; i < DIRS; i++)
            if (dirs[i])
                assert_int_equal(READ(disk, dirs[i], TOY_ROOT, dir_slot[i]), 0);
        for (u32 i = 0; i < 4; i++)
            if (nodes[i])
                assert_int_equal(READ(disk, nodes[i], TOY_ROOT, 40 + 4 * i), 0);
        for (u64 id = 1; id <= next_id; id++)
            files[id].synced = files[id].gone = files[id].dir ? 0 : ~0ul;
        host_fail(disk, 0, 12);
        work(200);
        u64 length = host_log_length(disk);
        for (u64 id = 1; id <= next_id; id++)
            files[id].synced = ~0ul; // only what is whole is asked
        u64 at = length - rnd(length / 2);
        host_crash_image(disk, at, LOSE_TORN, run, image);
        host_start(512, 1);
        struct host_disk_options e = {.blocks = BLOCKS, .image = image};
        u32 d = host_disk_add(&e);
        host_mount(0, d, false);
        whole(d, at);
    }
}

// Random damage: the mount ends, and what it accepts is safe to work with.
static void damage_is_refused_or_harmless(void **s)
{
    (void)s;
    u32 mounted = 0, damaged = 0;
    workload(7, (struct host_disk_options){.blocks = BLOCKS, .log = true});
    host_sync(0, disk);
    u64 length = host_log_length(disk);
    u8 *good = malloc(sizeof image);
    host_crash_image(disk, length - rnd(60), LOSE_NOTHING, 1, good);
    for (u32 run = 0; run < 1500; run++) {
        memcpy(image, good, sizeof image);
        if (rnd(2)) // else the journal mends much of it
            memset(image + 11 * 4096, 0, 4096), memset(image + 75 * 4096, 0, 4096);
        for (u32 n = 1 + rnd(6); n--;) {
            u64 block = rnd(3) ? (rnd(2) ? 1 + rnd(10) : dirs[rnd(DIRS)] + !rnd(4)) : rnd(BLOCKS);
            u8 *at = image + block % BLOCKS * 4096 + rnd(512) * 8;
            u64 values[] = {0,         ~0ul,           rnd(BLOCKS),
                            rnd(~0ul), 1ul << rnd(64), rnd(70) | rnd(70) << 32};
            u64 v = values[rnd(6)];
            memcpy(at, &v, rnd(2) ? 8 : 4);
        }
        host_start(512, run);
        struct host_disk_options o = {.blocks = BLOCKS, .image = image};
        disk = host_disk_add(&o);
        if (host_try_mount(0, disk))
            continue;
        mounted++;
        damaged += XOK_DISK(disk)->root[0].flags != 0;
        if (XOK_DISK(disk)->root[0].flags || XOK_DISK(disk)->root[0].block != TOY_ROOT)
            continue;
        toy_io(0, disk, XOK_IO_PREFETCH, TOY_ROOT, 0, 0, 0, 0);
        if (toy_io(0, disk, XOK_IO_BIND, TOY_ROOT, XOK_DISK(disk)->root[0].parent, 0, 0, 0))
            continue;
        for (u32 i = 0; i < TOY_SLOTS; i++) {
            const struct toy_slot *t = toy_slot(disk, TOY_ROOT, i);
            if (t->count)
                READ(disk, t->block, TOY_ROOT, i);
            if (t->count && rnd(2))
                toy_free(0, disk, TOY_ROOT, i);
        }
        host_sync(0, disk);
        host_drain();
    }
    printf("%u mounted, %u of them with a damaged root\n", mounted, damaged);
    assert_true(mounted > 300 && damaged > 20);
    free(good);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(any_moment_is_whole),
        cmocka_unit_test(failing_writes_break_nothing),
        cmocka_unit_test(damage_is_refused_or_harmless),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
