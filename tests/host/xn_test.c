// XN: what it grants and what it refuses, one property a test.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include "xn/toy.h"

static const struct host_disk_options plain = {.blocks = 1024, .log = true};
#define EQ(a, b) assert_int_equal((s64)(a), (s64)(b))

static void templates_are_for_ever(void **s)
{
    (void)s;
    u32 d = toy_start(plain, 1);
    EQ(toy_template(d, "toy.dir", 160, true), 0);
    EQ(toy_template(d, "toy.other", 150, false), 0); // its code's blocks are taken
    EQ(XOK_DISKMAP(d)[150] & XOK_MAP_TYPE, XOK_T_XN);
    struct xok_template t = {.name = "odd", .block = 160, .head = 60, .part = 64};
    EQ(xok_disk_template(0, d, &t), XOK_E_OWNS); // parts do not fill the block
    u32 tenant = 7;
    host_cap(1, XOK_R | XOK_W, 1, &tenant);
    EQ(xok_disk_template(1, d, &t), XOK_E_CAP);
    // a restart finds them
    EQ(host_sync(0, d), 0);
    EQ(xok_disk_unmount(0, d), 0);
    EQ(host_try_mount(0, d), 0);
    assert_string_equal((const char *)XOK_DISK(d)->type[toy_node].name, "toy.node");
    EQ(XOK_DISK(d)->type[toy_node].has, 7);
    EQ(toy_template(d, "toy.dir", 160, true), 0);
}

static void ownership_is_exact(void **s)
{
    (void)s;
    u32 d = toy_start(plain, 2);
    u64 free = XOK_DISK(d)->free;
    EQ(toy_alloc(0, d, TOY_ROOT, 0, 300, 4, XOK_T_DATA, 1), 0);
    EQ(XOK_DISK(d)->free, free - 4);
    EQ(XOK_DISKMAP(d)[303], XOK_T_DATA | XOK_MAP_UNINIT);
    struct toy_slot other = {302, 1, XOK_T_DATA, 0, {0}}, far = {400, 2, XOK_T_DATA, 0, {0}};
    struct xok_claim none = {0};
    EQ(toy_set(0, d, TOY_ROOT, 1, other, none), XOK_E_OWNS);             // a pointer out of the air
    EQ(toy_alloc(0, d, TOY_ROOT, 1, 303, 2, XOK_T_DATA, 0), XOK_E_BUSY); // somebody's block
    EQ(toy_alloc(0, d, TOY_ROOT, 1, 1023, 2, XOK_T_DATA, 0), XOK_E_ARG);
    EQ(toy_alloc(0, d, TOY_ROOT, 1, 2, 1, XOK_T_DATA, 0), XOK_E_BUSY);
    EQ(toy_alloc(0, d, TOY_ROOT, 1, 400, 1, 40, 0), XOK_E_ARG); // no such type
    // claims that differ from what the bytes do: block, length, type, kind
    struct xok_claim k[] = {{.block = 401, .count = 2, .kind = XOK_ALLOC, .type = XOK_T_DATA},
                            {.block = 400, .count = 1, .kind = XOK_ALLOC, .type = XOK_T_DATA},
                            {.block = 400, .count = 3, .kind = XOK_ALLOC, .type = XOK_T_DATA},
                            {.block = 400, .count = 2, .kind = XOK_ALLOC, .type = XOK_T_RESERVED},
                            {.block = 300, .count = 4, .kind = XOK_FREE, .type = XOK_T_DATA}};
    for (u32 i = 0; i < 5; i++)
        EQ(toy_set(0, d, TOY_ROOT, 1, far, k[i]), XOK_E_OWNS);
    EQ(toy_slot(d, TOY_ROOT, 1)->count, 0); // nothing stayed
    EQ(XOK_DISK(d)->free, free - 4);
    // growing and shrinking at either end is a difference of blocks, not of tuples
    struct toy_slot grown = {299, 6, XOK_T_DATA, 1, {0}};
    struct xok_claim two[] = {{.block = 299, .count = 1, .kind = XOK_ALLOC, .type = XOK_T_DATA},
                              {.block = 304, .count = 1, .kind = XOK_ALLOC, .type = XOK_T_DATA}};
    struct xok_mod m = {.data = (u64)&grown, .off = SLOT_AT(0), .len = 64};
    struct xok_change c = {.block = {TOY_ROOT},
                           .disk = d,
                           .blocks = 1,
                           .mods = 1,
                           .claims = 2,
                           .mod = (u64)&m,
                           .claim = (u64)two};
    EQ(xok_disk_change(0, &c), 0);
    two[0].block = two[1].block = 600; // the same block twice
    EQ(xok_disk_change(0, &c), XOK_E_ARG);
    EQ(toy_free(0, d, TOY_ROOT, 0), 0);
    EQ(XOK_DISK(d)->free, free);
}

static void nothing_points_to_what_was_not_written(void **s)
{
    (void)s;
    u32 d = toy_start(plain, 3);
    EQ(toy_alloc(0, d, TOY_ROOT, 0, 300, 1, toy_dir, 0), 0);
    EQ(NEW(d, 300, TOY_ROOT, 0), 0);
    EQ(toy_alloc(0, d, 300, 5, 310, 1, XOK_T_DATA, 9), 0);
    EQ(WRITE(d, TOY_ROOT), XOK_E_TAINT);
    EQ(WRITE(d, 300), XOK_E_TAINT);
    EQ(NEW(d, 310, 300, 5), 0);
    EQ(WRITE(d, 310), 0);
    EQ(WRITE(d, 300), XOK_E_TAINT); // in the device's cache is not on the disk
    EQ(FLUSH(d), 0);
    EQ(WRITE(d, 300), 0);
    EQ(WRITE(d, TOY_ROOT), XOK_E_TAINT);
    EQ(FLUSH(d), 0);
    EQ(WRITE(d, TOY_ROOT), 0);
    // reserved space needs no content, and shows none
    EQ(toy_alloc(0, d, TOY_ROOT, 1, 320, 2, XOK_T_RESERVED, 0), 0);
    EQ(WRITE(d, TOY_ROOT), 0);
    EQ(FLUSH(d), 0);
    EQ(READ(d, 320, TOY_ROOT, 1), XOK_E_OWNS);
    struct xok_claim k = {.block = 320, .count = 2, .kind = XOK_RETYPE, .type = XOK_T_DATA};
    EQ(toy_set(0, d, TOY_ROOT, 1, (struct toy_slot){320, 2, XOK_T_DATA, 0, {0}}, k), 0);
    EQ(WRITE(d, TOY_ROOT), XOK_E_TAINT);
    EQ(READ(d, 320, TOY_ROOT, 1), XOK_E_CACHE);
    EQ(NEW(d, 320, TOY_ROOT, 1), 0);
    EQ(NEW(d, 321, TOY_ROOT, 1), 0);
    EQ(WRITE(d, 320), 0);
    EQ(WRITE(d, 321), 0);
    EQ(FLUSH(d), 0);
    EQ(WRITE(d, TOY_ROOT), 0);
}

static void freed_blocks_wait_for_the_pointer_to_go(void **s)
{
    (void)s;
    u32 d = toy_start(plain, 4);
    u64 free = XOK_DISK(d)->free;
    EQ(toy_alloc(0, d, TOY_ROOT, 0, 300, 1, XOK_T_DATA, 1), 0);
    EQ(NEW(d, 300, TOY_ROOT, 0), 0);
    EQ(host_sync(0, d), 0);
    EQ(toy_free(0, d, TOY_ROOT, 0), 0);
    EQ(XOK_DISKMAP(d)[300], XOK_T_DATA | XOK_MAP_WILLFREE);
    EQ(toy_alloc(0, d, TOY_ROOT, 1, 300, 1, XOK_T_DATA, 2), XOK_E_BUSY);
    EQ(WRITE(d, TOY_ROOT), 0);
    EQ(toy_alloc(0, d, TOY_ROOT, 1, 300, 1, XOK_T_DATA, 2), XOK_E_BUSY);
    EQ(FLUSH(d), 0);
    EQ(XOK_DISK(d)->free, free);
    EQ(toy_alloc(0, d, TOY_ROOT, 1, 300, 1, XOK_T_DATA, 2), 0);
    EQ(toy_free(0, d, TOY_ROOT, 1), 0); // never on the disk: at once
    EQ(XOK_DISKMAP(d)[300], 0);
    // metadata takes with it what it freed itself
    EQ(toy_alloc(0, d, TOY_ROOT, 2, 301, 1, toy_dir, 0), 0);
    EQ(NEW(d, 301, TOY_ROOT, 2), 0);
    EQ(toy_alloc(0, d, 301, 0, 302, 1, XOK_T_DATA, 0), 0);
    EQ(NEW(d, 302, 301, 0), 0);
    EQ(host_sync(0, d), 0);
    EQ(toy_free(0, d, TOY_ROOT, 2), XOK_E_OWNS); // not empty
    EQ(toy_free(0, d, 301, 0), 0);
    EQ(toy_free(0, d, TOY_ROOT, 2), 0);
    EQ(XOK_DISKMAP(d)[302] & XOK_MAP_WILLFREE, XOK_MAP_WILLFREE);
    EQ(host_sync(0, d), 0);
    EQ(XOK_DISK(d)->free, free);
}

static void moves_go_together(void **s)
{
    (void)s;
    u32 d = toy_start(plain, 5);
    for (u32 i = 0; i < 2; i++) {
        EQ(toy_alloc(0, d, TOY_ROOT, i, 300 + i, 1, toy_dir, 0), 0);
        EQ(NEW(d, 300 + i, TOY_ROOT, i), 0);
    }
    EQ(toy_alloc(0, d, 300, 0, 310, 1, XOK_T_DATA, 5), 0);
    EQ(NEW(d, 310, 300, 0), 0);
    EQ(toy_move(0, d, 300, 0, 301, 7), 0); // never written: no tie
    EQ(XOK_REGISTRY[xok_block_find(d, 300)].tied, xok_block_find(d, 300));
    EQ(host_sync(0, d), 0);
    EQ(toy_move(0, d, 301, 7, 300, 1), 0);
    EQ(XOK_REGISTRY[xok_block_find(d, 300)].tied, xok_block_find(d, 301));
    u64 from = host_log_length(d);
    EQ(WRITE(d, 301), 0);
    EQ(FLUSH(d), 0);
    EQ(XOK_REGISTRY[xok_block_find(d, 300)].flags & XOK_B_DIRTY, 0);
    // at any moment, whatever is lost: one name
    static u8 image[1024 * 4096];
    for (u64 at = from; at <= host_log_length(d); at++)
        for (u32 loss = LOSE_NOTHING; loss <= LOSE_TORN; loss++) {
            host_crash_image(d, at, loss, at, image);
            const struct toy_slot *a = (void *)(image + 300 * 4096 + SLOT_AT(1)),
                                  *b = (void *)(image + 301 * 4096 + SLOT_AT(7));
            const u64 *j0 = (void *)(image + 11 * 4096), *j1 = (void *)(image + 75 * 4096);
            assert_true((a->count != 0) != (b->count != 0) || j0[0] || j1[0]);
        }
    EQ(toy_move(0, d, 300, 1, 300, 2),
       0); // within a block, across sectors or not: nothing to claim
}

static void edges_are_counted(void **s)
{
    (void)s;
    u32 d = toy_start(plain, 6);
    u64 free = XOK_DISK(d)->free;
    EQ(toy_alloc(0, d, TOY_ROOT, 0, 300, 1, toy_node, 0), 0);
    EQ(NEW(d, 300, TOY_ROOT, 0), 0);
    EQ(toy_link(0, d, TOY_ROOT, 1, 300, true), 0);
    EQ(toy_free(0, d, TOY_ROOT, 0), XOK_E_OWNS); // two lead there
    struct toy_slot third = {300, 1, toy_node, 0, {0}};
    struct xok_claim k = {.block = 300, .count = 1, .kind = XOK_LINK, .type = toy_node};
    EQ(toy_set(0, d, TOY_ROOT, 2, third, k), XOK_E_OWNS); // without counting
    EQ(host_sync(0, d), 0);
    EQ(toy_link(0, d, TOY_ROOT, 0, 300, false), 0);
    EQ(host_sync(0, d), 0);
    EQ(xok_disk_unmount(0, d), 0);
    EQ(host_try_mount(0, d), 0);
    EQ(XOK_DISK(d)->root[0].flags, 0);
    EQ(toy_io(0, d, XOK_IO_PREFETCH, TOY_ROOT, 0, 0, 0, 0), 0);
    EQ(toy_io(0, d, XOK_IO_BIND, TOY_ROOT, XOK_DISK(d)->root[0].parent, 0, 0, 0), 0);
    EQ(READ(d, 300, TOY_ROOT, 1), 0);
    EQ(toy_free(0, d, TOY_ROOT, 1), 0);
    EQ(host_sync(0, d), 0);
    EQ(XOK_DISK(d)->free, free);
}

static void access_is_the_file_systems(void **s)
{
    (void)s;
    u32 d = toy_start(plain, 7), one = 1, two = 2;
    host_cap(1, XOK_ALL, 1, &one);
    host_cap(2, XOK_ALL, 1, &two);
    EQ(toy_root(1, d, "of one", 210, toy_dir, XOK_ROOT_CREATE), 1);
    u64 parent = XOK_DISK(d)->root[1].parent;
    EQ(toy_io(2, d, XOK_IO_NEW, 210, parent, 0, 0, 0), XOK_E_CAP);
    EQ(toy_io(1, d, XOK_IO_NEW, 210, parent, 0, 0, 0), 0);
    u32 owner = 1;
    struct xok_mod m = {.data = (u64)&owner, .off = 0, .len = 4};
    struct xok_change c = {.block = {210}, .disk = d, .blocks = 1, .mods = 1, .mod = (u64)&m};
    EQ(xok_disk_change(1, &c), 0);
    owner = 2;
    EQ(xok_disk_change(2, &c), XOK_E_CAP); // not by writing oneself in
    EQ(toy_alloc(2, d, 210, 0, 300, 1, XOK_T_DATA, 0), XOK_E_CAP);
    EQ(XOK_DISKMAP(d)[300], 0);
    EQ(toy_alloc(1, d, 210, 0, 300, 1, XOK_T_DATA, 0), 0);
    u32 ppn = xok_page_alloc(1, XOK_PAGE_ANY, 1);
    EQ(toy_io(2, d, XOK_IO_NEW, 300, 210, SLOT_AT(0), 0, 0), XOK_E_CAP);
    EQ(toy_io(1, d, XOK_IO_NEW, 300, 210, SLOT_AT(0), ppn, 0), 0);
    EQ(xok_page_free(1, ppn, 1), XOK_E_BUSY); // it is the block's page now
    EQ(toy_io(2, d, XOK_IO_DIRTY, 300, 0, 0, 0, 0), XOK_E_CAP);
    EQ(toy_io(2, d, XOK_IO_BIND, 300, 210, SLOT_AT(0), 0, 0), XOK_E_CAP);
    EQ(toy_io(2, d, XOK_IO_BIND, 300, 210, SLOT_AT(1), 0, 0), XOK_E_OWNS); // no pointer there
    EQ(toy_io(2, d, XOK_IO_BIND, 300, TOY_ROOT, SLOT_AT(0), 0, 0), XOK_E_OWNS);
    EQ(toy_io(1, d, XOK_IO_HOLD, 300, 0, 0, 0, 0), 0);
    EQ(toy_io(2, d, XOK_IO_WRITE, 300, 0, 0, 0, 0), XOK_E_CAP);
    EQ(toy_io(1, d, XOK_IO_RELEASE, 300, 0, 0, 0, 0), 0);
    EQ(toy_io(2, d, XOK_IO_WRITE, 300, 0, 0, 0, 0), 0); // anybody may write back
    EQ(host_sync(2, d), 0);
    EQ(toy_io(2, d, XOK_IO_DROP, 300, 0, 0, 0, 0), XOK_E_CAP);
    EQ(toy_io(1, d, XOK_IO_DROP, 300, 0, 0, 0, 0), 0);
    EQ(xok_page_free(1, ppn, 1), 0);
    // read before it is known, seen when the parent vouches
    EQ(toy_io(2, d, XOK_IO_PREFETCH, 300, 0, 0, 0, 0), 0);
    EQ(XOK_REGISTRY[xok_block_find(d, 300)].flags & XOK_B_UNSEEN, XOK_B_UNSEEN);
    EQ(toy_io(2, d, XOK_IO_BIND, 300, 210, SLOT_AT(0), 0, 0), XOK_E_CAP);
    EQ(toy_io(2, d, XOK_IO_DIRTY, 300, 0, 0, 0, 0), XOK_E_CAP);
    EQ(toy_io(1, d, XOK_IO_BIND, 300, 210, SLOT_AT(0), 0, XOK_IO_WRITABLE), 0);
    EQ(toy_io(1, d, XOK_IO_DIRTY, 300, 0, 0, 0, 0), 0);
    EQ(toy_root(2, d, "of one", 210, toy_dir, XOK_ROOT_REMOVE), XOK_E_CAP);
}

static void metadata_begins_as_zeros_once(void **s)
{
    (void)s;
    u32 d = toy_start(plain, 8);
    EQ(toy_alloc(0, d, TOY_ROOT, 0, 300, 1, toy_dir, 0), 0);
    EQ(READ(d, 300, TOY_ROOT, 0), XOK_E_CACHE);
    u32 ppn = xok_page_alloc(0, XOK_PAGE_ANY, 1);
    *(struct toy_slot *)((u8 *)host_page(ppn) + 64) = (struct toy_slot){201, 1, XOK_T_DATA, 0, {0}};
    EQ(toy_io(0, d, XOK_IO_NEW, 300, TOY_ROOT, SLOT_AT(0), ppn, 0), 0); // not as the page was
    EQ(toy_slot(d, 300, 0)->count, 0);
    EQ(toy_alloc(0, d, 300, 0, 310, 1, XOK_T_RESERVED, 0), 0);
    EQ(toy_io(0, d, XOK_IO_DROP, 300, 0, 0, 0, 0), XOK_E_TAINT);
    EQ(host_sync(0, d), 0);
    EQ(toy_io(0, d, XOK_IO_DROP, 300, 0, 0, 0, 0), 0);
    EQ(NEW(d, 300, TOY_ROOT, 0), XOK_E_BUSY); // its content is on the disk
    EQ(READ(d, 300, TOY_ROOT, 0), 0);
    EQ(toy_slot(d, 300, 0)->count, 1);
}

static void temporary_trees_are_free_of_ordering(void **s)
{
    (void)s;
    u32 d = toy_start(plain, 9);
    u64 free = XOK_DISK(d)->free;
    EQ(toy_root(0, d, "tmp", 400, toy_dir, XOK_ROOT_TEMP), 1);
    EQ(toy_io(0, d, XOK_IO_NEW, 400, XOK_BLOCK_NONE, 0, 0, 0), 0);
    EQ(toy_alloc(0, d, 400, 0, 401, 1, toy_dir, 0), 0);
    EQ(NEW(d, 401, 400, 0), 0);
    EQ(toy_alloc(0, d, 401, 0, 402, 1, XOK_T_DATA, 0), 0);
    EQ(WRITE(d, 400), 0); // before what it points to
    EQ(FLUSH(d), 0);
    // attached to a lasting root it must be whole
    struct xok_claim k = {.block = 400, .count = 1, .kind = XOK_ATTACH, .type = toy_dir};
    EQ(toy_set(0, d, TOY_ROOT, 0, (struct toy_slot){400, 1, toy_dir, 0, {0}}, k), 0);
    EQ(XOK_DISK(d)->root[1].block, 0);
    EQ(WRITE(d, TOY_ROOT), XOK_E_TAINT);
    EQ(toy_io(0, d, XOK_IO_SETTLE, 400, 0, 0, 0, 0), XOK_E_TAINT);
    EQ(NEW(d, 402, 401, 0), 0);
    EQ(WRITE(d, 402), 0);
    EQ(WRITE(d, 401), 0);
    EQ(FLUSH(d), 0);
    EQ(toy_io(0, d, XOK_IO_SETTLE, 400, 0, 0, 0, 0), XOK_E_TAINT); // from below
    EQ(toy_io(0, d, XOK_IO_SETTLE, 401, 0, 0, 0, 0), 0);
    EQ(toy_io(0, d, XOK_IO_SETTLE, 400, 0, 0, 0, 0), 0);
    EQ(WRITE(d, TOY_ROOT), 0);
    EQ(FLUSH(d), 0);
    // what hangs below a temporary root is gone after a restart
    EQ(toy_root(0, d, "tmp", 410, toy_dir, XOK_ROOT_TEMP), 1);
    EQ(host_sync(0, d), 0);
    static u8 image[1024 * 4096];
    host_crash_image(d, host_log_length(d), LOSE_NOTHING, 1, image);
    host_start(2048, 1);
    struct host_disk_options again = {.blocks = 1024, .image = image};
    host_mount(0, host_disk_add(&again), false);
    EQ(XOK_DISK(0)->free, free - 3);
}

static void errors_reach_the_owner(void **s)
{
    (void)s;
    struct host_disk_options o = plain;
    u32 d = toy_start(o, 10);
    EQ(toy_alloc(0, d, TOY_ROOT, 0, 300, 64, XOK_T_DATA, 1), 0);
    for (u32 i = 0; i < 64; i++)
        EQ(NEW(d, 300 + i, TOY_ROOT, 0), 0);
    static u8 image[1024 * 4096];
    EQ(host_sync(0, d), 0);
    memcpy(image, host_disk_data(d), sizeof image);
    host_start(2048, 1);
    o.image = image;
    d = host_disk_add(&o);
    host_mount(0, d, false);
    host_fail(d, 0, 2);
    EQ(toy_io(0, d, XOK_IO_PREFETCH, TOY_ROOT, 0, 0, 0, 0), 0);
    EQ(toy_io(0, d, XOK_IO_BIND, TOY_ROOT, XOK_DISK(d)->root[0].parent, 0, 0, 0), 0);
    u32 failed = 0, rewritten = 0;
    for (u32 i = 0; i < 64; i++) {
        EQ(toy_io(0, d, XOK_IO_NEW, 300 + i, TOY_ROOT, SLOT_AT(0), 0, 0), 0);
        if (WRITE(d, 300 + i) == XOK_E_IO) {
            failed++;
            EQ(XOK_REGISTRY[xok_block_find(d, 300 + i)].flags & (XOK_B_ERROR | XOK_B_DIRTY),
               XOK_B_ERROR | XOK_B_DIRTY);
            while (WRITE(d, 300 + i))
                ;
            rewritten++;
        }
    }
    assert_true(failed > 10 && rewritten == failed);
    EQ(XOK_DISK(d)->dirty, 0);
}

// One call, hundreds of blocks; neighbours become one request; completions counted in a word.
static void lists_become_few_requests(void **s)
{
    (void)s;
    u32 d = toy_start(plain, 11);
    EQ(toy_alloc(0, d, TOY_ROOT, 0, 400, 512, XOK_T_DATA, 1), 0);
    static struct xok_io o[512];
    for (u32 i = 0; i < 512; i++)
        o[i] = (struct xok_io){
            .block = 400 + i, .parent = TOY_ROOT, .at = SLOT_AT(0), .op = XOK_IO_NEW};
    EQ(host_io(0, d, o, 512), 0);
    for (u32 i = 0; i < 512; i++)
        o[i].op = XOK_IO_WRITE;
    u64 before = XOK_DISK(d)->requests[1], done = 0;
    EQ(xok_disk_io(0, d, o, 512, &done), 512);
    EQ(done, 0);
    host_drain();
    EQ(done, 512);
    EQ(XOK_DISK(d)->requests[1] - before, 8);
    EQ(xok_disk_io(0, d, o, 513, &done), XOK_E_ARG);
    EQ(XOK_DISK(d)->dirty, 1);
}

// A block that is emptied and freed in one change is a target no more after it.
static void a_freed_target_is_gone(void **s)
{
    (void)s;
    u32 d = toy_start(plain, 12);
    EQ(toy_alloc(0, d, TOY_ROOT, 0, 300, 1, toy_dir, 0), 0);
    EQ(NEW(d, 300, TOY_ROOT, 0), 0);
    EQ(toy_alloc(0, d, 300, 0, 301, 1, XOK_T_RESERVED, 0), 0);
    struct toy_slot none = {0}, kept = {301, 1, XOK_T_RESERVED, 0, {0}};
    struct xok_mod m[] = {{.data = (u64)&none, .off = SLOT_AT(0), .len = 64, .target = 0},
                          {.data = (u64)&none, .off = SLOT_AT(0), .len = 64, .target = 1},
                          {.data = (u64)&kept, .off = SLOT_AT(1), .len = 64, .target = 0}};
    struct xok_claim move = {
        .block = 301, .count = 1, .kind = XOK_MOVE, .type = XOK_T_RESERVED, .from = 1, .to = 0};
    struct xok_claim gone = {
        .block = 300, .count = 1, .kind = XOK_FREE, .type = toy_dir, .from = 0};
    struct xok_claim k[] = {gone, move};
    struct xok_change c = {.block = {TOY_ROOT, 300},
                           .disk = d,
                           .blocks = 2,
                           .mods = 3,
                           .claims = 2,
                           .mod = (u64)m,
                           .claim = (u64)k};
    EQ(xok_disk_change(0, &c), XOK_E_ARG);
    EQ(toy_slot(d, 300, 0)->count, 1);
    k[0] = move, k[1] = gone;
    EQ(xok_disk_change(0, &c), 0);
    EQ(xok_block_find(d, 300), 0);
    EQ(XOK_DISKMAP(d)[300], 0);
    EQ(toy_slot(d, TOY_ROOT, 1)->block, 301);
    EQ(host_sync(0, d), 0);
}

// A flush covers what was written before it, however the device orders requests; a durable write
// likewise.
static void flush_means_it(void **s)
{
    (void)s;
    static u8 image[1024 * 4096];
    for (u32 seed = 1; seed < 40; seed++) {
        u32 d = toy_start(plain, seed);
        EQ(toy_alloc(0, d, TOY_ROOT, 0, 400, 32, XOK_T_DATA, 1), 0);
        struct xok_io o[33] = {{.op = 0}};
        u64 done = 0;
        for (u32 i = 0; i < 32; i++) {
            EQ(NEW(d, 400 + i, TOY_ROOT, 0), 0);
            memset(host_page(xok_block_find(d, 400 + i)), 0x5a, 4096);
            o[i] = (struct xok_io){.block = 400 + (i * 7) % 32,
                                   .op = XOK_IO_WRITE,
                                   .flags = seed & 1 ? XOK_IO_DURABLE : 0};
        }
        o[32] = (struct xok_io){.op = XOK_IO_FLUSH};
        u32 n = seed & 1 ? 32 : 33;
        EQ(xok_disk_io(0, d, o, n, &done), n);
        while (done < n)
            assert_true(host_step());
        host_crash_image(d, host_log_length(d), LOSE_ALL, 1, image);
        for (u32 i = 0; i < 32; i++)
            EQ(image[(400 + i) * 4096 + i], 0x5a);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(templates_are_for_ever),
        cmocka_unit_test(ownership_is_exact),
        cmocka_unit_test(nothing_points_to_what_was_not_written),
        cmocka_unit_test(freed_blocks_wait_for_the_pointer_to_go),
        cmocka_unit_test(moves_go_together),
        cmocka_unit_test(edges_are_counted),
        cmocka_unit_test(access_is_the_file_systems),
        cmocka_unit_test(metadata_begins_as_zeros_once),
        cmocka_unit_test(temporary_trees_are_free_of_ordering),
        cmocka_unit_test(errors_reach_the_owner),
        cmocka_unit_test(lists_become_few_requests),
        cmocka_unit_test(flush_means_it),
        cmocka_unit_test(a_freed_target_is_gone),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
