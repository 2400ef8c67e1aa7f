// Disks and XN from an environment: formats disk 0 and works on it with the toy file system's
// functions (tests/host/xn/toy_functions.c). Disk 1 fails where run.sh says: sectors 1600 (reads)
// and 1608 (writes).
#include "diskkit.h"

static u32 toy_node;

static void templates_and_root(void)
{
    toy_dir = template(ROOT, "toy.dir", 150, false);
    toy_node = template(ROOT, "toy.node", 152, true);
    EQ(toy_dir, XOK_T_FIRST);
    EQ(toy_node, XOK_T_FIRST + 1);
    EQ(template(ROOT, "toy.dir", 160, false), XOK_E_BUSY);
    struct xok_template t = {
        .name = "wild", .block = 160, .head = 64, .part = 64, .code = {{CODE_AT(image_toy_owns)}}};
    t.code[0].len = 40; // cut short
    EQ(xok_disk_template(ROOT, 0, &t), XOK_E_OWNS);
    t.code[0].addr = 0x1000;
    EQ(xok_disk_template(ROOT, 0, &t), XOK_E_FAULT);
    EQ(root(ROOT, 0, "toy", ROOT_BLOCK, XOK_ROOT_CREATE), 0);
    EQ(IO(NEW, ROOT_BLOCK, XOK_DISK(0)->root[0].parent, 0, 0), 0);
}

// A metadata page is read-only to everybody; data pages are their owner's.
static void pages_of_blocks(void)
{
    u32 p = xok_block_find(0, ROOT_BLOCK);
    CHECK(p);
    EQ(XOK_PAGES[p].type, XOK_PAGE_CACHE);
    EQ(map(SEE, p, 1, XOK_PTE_NX), 1);
    EQ(map(SEE + PAGE, p, 1, XOK_PTE_NX | XOK_PTE_W), XOK_E_CAP);
    struct xok_pt_op mod = {
        .va = SEE, .pte = XOK_PTE_W, .count = 1, .kind = XOK_PT_MOD, .level = 1};
    EQ(xok_pt_batch(ROOT, 0, &mod, 1), XOK_E_CAP);
    EQ(xok_page_free(ROOT, p, 1), XOK_E_CAP);
    EQ(xok_page_acl(ROOT, p, 1, XOK_ACL(XOK_NAME_ROOT, XOK_ALL)), XOK_E_CAP);
    EQ(alloc(ROOT, ROOT_BLOCK, 0, 300, 4, XOK_T_DATA), 0);
    EQ(((struct toy_slot *)(SEE + SLOT_AT(0)))->block, 300); // seen where it is mapped
    EQ(alloc(ROOT, ROOT_BLOCK, 1, 303, 1, XOK_T_DATA), XOK_E_BUSY);
    EQ(set(ROOT, ROOT_BLOCK, 1, (struct toy_slot){.block = 301, .count = 1, .type = XOK_T_DATA},
           (struct xok_claim){0}),
       XOK_E_OWNS);
    u64 d = page_new(BUF);
    EQ(IO(NEW, 300, ROOT_BLOCK, 0, d), 0);
    EQ(XOK_PAGES[d].pins, 1);
    *(volatile u64 *)BUF = 0x1234;
    EQ(IO(WRITE, ROOT_BLOCK, 0, 0, 0), XOK_E_TAINT);
    for (u32 i = 1; i < 4; i++)
        EQ(IO(NEW, 300 + i, ROOT_BLOCK, 0, 0), 0);
    for (u32 i = 0; i < 4; i++)
        EQ(IO(WRITE, 300 + i, 0, 0, 0), 0);
    EQ(IO(FLUSH, 0, 0, 0, 0), 0);
    EQ(IO(WRITE, ROOT_BLOCK, 0, 0, 0), 0);
    // out of the registry and back into another page
    EQ(IO(DROP, 300, 0, 0, 0), 0);
    EQ(XOK_PAGES[d].pins, 0);
    *(volatile u64 *)BUF = 0;
    EQ(IO(READ, 300, ROOT_BLOCK, 0, d), 0);
    EQ(*(volatile u64 *)BUF, 0x1234);
    EQ(IO(DROP, 300, 0, 0, 0), 0);
    // prefetched: nobody sees it before the parent vouches
    EQ(IO(PREFETCH, 300, 0, 0, 0), 0);
    p = xok_block_find(0, 300);
    EQ(map(SEE + PAGE, p, 1, XOK_PTE_NX), XOK_E_CAP);
    EQ(IO(BIND, 300, ROOT_BLOCK, 1, 0), XOK_E_OWNS);
    EQ(IO(BIND, 300, ROOT_BLOCK, 0, 0), 0);
    EQ(map(SEE + PAGE, p, 1, XOK_PTE_NX | XOK_PTE_W), XOK_E_CAP);
    EQ(map(SEE + PAGE, p, 1, XOK_PTE_NX), 1);
    EQ(*(volatile u64 *)(SEE + PAGE), 0x1234);
    EQ(io(ROOT, 0, XOK_IO_BIND, 300, ROOT_BLOCK, 0, 0, XOK_IO_WRITABLE), 0);
    EQ(map(SEE + PAGE, p, 1, XOK_PTE_NX | XOK_PTE_W), 1);
    unmap(SEE + PAGE, 1);
    page_gone(BUF, d);
}

// Two names: what one may not, the functions say; the pages follow.
static void names(void)
{
    EQ(xok_cap_forge(ROOT, 1, XOK_ALL, 1), 0);
    EQ(xok_cap_forge(ROOT, 2, XOK_ALL, 2), 0);
    EQ(root(1, 0, "of one", 210, XOK_ROOT_CREATE), 1);
    u64 parent = XOK_DISK(0)->root[1].parent;
    EQ(io(2, 0, XOK_IO_NEW, 210, parent, 0, 0, 0), XOK_E_CAP);
    EQ(io(1, 0, XOK_IO_NEW, 210, parent, 0, 0, 0), 0);
    u32 owner = 1;
    struct xok_mod m = {.data = (u64)&owner, .off = 0, .len = 4};
    struct xok_change c = {.block = {210}, .blocks = 1, .mods = 1, .mod = (u64)&m};
    EQ(xok_disk_change(1, &c), 0);
    owner = 2;
    EQ(xok_disk_change(2, &c), XOK_E_CAP);
    EQ(alloc(2, 210, 0, 310, 1, XOK_T_DATA), XOK_E_CAP);
    EQ(alloc(1, 210, 0, 310, 1, XOK_T_DATA), 0);
    EQ(io(1, 0, XOK_IO_NEW, 310, 210, 0, 0, 0), 0);
    EQ(io(2, 0, XOK_IO_BIND, 310, 210, 0, 0, 0), XOK_E_CAP);
    EQ(io(2, 0, XOK_IO_WRITE, 310, 0, 0, 0, 0), 0); // anybody writes back
    EQ(io(2, 0, XOK_IO_DROP, 310, 0, 0, 0, 0), XOK_E_CAP);
    EQ(xok_disk_unmount(1, 0), XOK_E_CAP);
    EQ(xok_disk_format(1, 0), XOK_E_CAP);
}

// Hundreds of blocks in one call, from and to pages in any order.
static void lists(void)
{
    static struct xok_io o[BIG];
    EQ(alloc(ROOT, ROOT_BLOCK, 2, 1024, BIG, XOK_T_DATA), 0);
    for (u32 i = 0; i < BIG; i++) {
        u64 ppn = page_new(BUF + i * PAGE);
        *(volatile u64 *)(BUF + i * PAGE) = i * 0x10001;
        o[i] = (struct xok_io){.block = 1024 + (i * 5) % BIG,
                               .parent = ROOT_BLOCK,
                               .ppn = ppn,
                               .at = SLOT_AT(2),
                               .op = XOK_IO_NEW};
    }
    EQ(io_list(ROOT, 0, o, BIG), 0);
    for (u32 i = 0; i < BIG; i++)
        o[i].op = XOK_IO_WRITE, o[i].block = 1024 + i;
    u64 before = XOK_DISK(0)->requests[1];
    EQ(io_list(ROOT, 0, o, BIG), 0);
    EQ(XOK_DISK(0)->requests[1] - before, BIG / 64);
    EQ(IO(FLUSH, 0, 0, 0, 0), 0);
    for (u32 i = 0; i < BIG; i++)
        o[i].op = XOK_IO_DROP;
    EQ(io_list(ROOT, 0, o, BIG), 0);
    for (u32 i = 0; i < BIG; i++) {
        *(volatile u64 *)(BUF + i * PAGE) = 0;
        o[i] = (struct xok_io){.block = 1024 + i,
                               .parent = ROOT_BLOCK,
                               .ppn = XOK_PTE_PPN(*XOK_PTE(BUF + i * PAGE)),
                               .at = SLOT_AT(2),
                               .op = XOK_IO_READ};
    }
    EQ(io_list(ROOT, 0, o, BIG), 0);
    u32 wrong = 0;
    for (u32 i = 0; i < BIG; i++)
        wrong += *(volatile u64 *)(BUF + (i * 1) * PAGE) !=
                 ((u64)i * 205 % BIG) * 0x10001; // 205 * 5 == 1 mod 512
    EQ(wrong, 0);
    EQ(xok_disk_io(ROOT, 0, o, BIG + 1, &done), XOK_E_ARG);
    EQ(xok_disk_io(ROOT, 0, o, BIG, (void *)0x1000), XOK_E_FAULT);
    EQ(xok_disk_io(ROOT, 0, o, BIG, (void *)SEE), XOK_E_FAULT); // a page that is not writable
    EQ(xok_disk_io(ROOT, 0, (void *)0x1000, 1, &done), XOK_E_FAULT);
    EQ(xok_disk_io(ROOT, 9, o, 1, &done), XOK_E_ARG);
    EQ(xok_disk_io(30, 0, o, 1, &done), XOK_E_CAP);
}

static void sync_all(u32 disk)
{
    static struct xok_io o[BIG];
    for (u32 round = 0; round < 12; round++) {
        u32 n = 0;
        for (u64 p = 1; p < XOK_INFO->page_count && n < BIG; p++)
            if (XOK_REGISTRY[p].block != XOK_BLOCK_NONE &&
                XOK_BLOCK_DISK(XOK_REGISTRY[p].block) == disk &&
                XOK_REGISTRY[p].flags & XOK_B_DIRTY)
                o[n++] = (struct xok_io){.block = XOK_BLOCK_NUMBER(XOK_REGISTRY[p].block),
                                         .op = XOK_IO_WRITE};
        for (u32 i = 0; i < n; i++)
            io_list(ROOT, disk, &o[i], 1);
        EQ(io(ROOT, disk, XOK_IO_FLUSH, 0, 0, 0, 0, 0), 0);
        if (!n)
            return;
    }
}

static void again(void)
{
    sync_all(0);
    EQ(XOK_DISK(0)->dirty, 0);
    u64 free = XOK_DISK(0)->free;
    EQ(until(xok_disk_unmount, 0), 0);
    EQ(XOK_DISK(0)->state, XOK_DISK_RAW);
    EQ(xok_block_find(0, ROOT_BLOCK), 0);
    EQ(until(xok_disk_mount, 0), 0);
    EQ(XOK_DISK(0)->free, free);
    EQ(XOK_DISK(0)->root[0].flags | XOK_DISK(0)->root[1].flags, 0);
    EQ(XOK_DISK(0)->type[toy_node].has, 7);
    EQ(XOK_DISKMAP(0)[1024 + BIG - 1], XOK_T_DATA);
    EQ(template(ROOT, "toy.dir", 160, false), XOK_E_BUSY);
    EQ(IO(PREFETCH, ROOT_BLOCK, 0, 0, 0), 0);
    EQ(IO(BIND, ROOT_BLOCK, XOK_DISK(0)->root[0].parent, 0, 0), 0);
    EQ(IO(READ, 300, ROOT_BLOCK, 0, 0), 0);
    if (XOK_DISK(0)->features & XOK_DISK_DISCARD) {
        EQ(IO(DISCARD, 300, 0, 0, 0), XOK_E_BUSY);
        EQ(IO(DISCARD, 900, 0, 0, 0), 0);
        EQ(XOK_DISKMAP(0)[900], 0);
        EQ(XOK_DISK(0)->requests[3], 1);
    } else {
        CHECK(!"discard");
    }
}

static void errors(void)
{
    EQ(XOK_DISK(1)->state, XOK_DISK_RAW);
    EQ(until(xok_disk_mount, 1), XOK_E_IO); // nothing there
    EQ(XOK_DISK(1)->state, XOK_DISK_BAD);
    EQ(until(xok_disk_format, 1), 0);
    EQ(until(xok_disk_mount, 1), 0);
    struct xok_template t = {
        .name = "toy.dir",
        .block = 150,
        .head = 64,
        .part = 64,
        .code = {{CODE_AT(image_toy_owns)}, {0, 0, 0}, {CODE_AT(image_toy_acl)}}};
    EQ(xok_disk_template(ROOT, 1, &t), toy_dir);
    EQ(root(ROOT, 1, "toy", 199, XOK_ROOT_CREATE), 0);
    EQ(io(ROOT, 1, XOK_IO_NEW, 199, XOK_DISK(1)->root[0].parent, 0, 0, 0), 0);
    struct toy_slot s = {.block = 200, .count = 2, .type = XOK_T_DATA};
    struct xok_claim k = {.block = 200, .count = 2, .kind = XOK_ALLOC, .type = XOK_T_DATA};
    struct xok_mod m = {.data = (u64)&s, .off = SLOT_AT(0), .len = 64};
    struct xok_change c = {.block = {199},
                           .disk = 1,
                           .blocks = 1,
                           .mods = 1,
                           .claims = 1,
                           .mod = (u64)&m,
                           .claim = (u64)&k};
    EQ(xok_disk_change(ROOT, &c), 0);
    EQ(io(ROOT, 1, XOK_IO_NEW, 200, 199, 0, 0, 0), 0);
    EQ(io(ROOT, 1, XOK_IO_NEW, 201, 199, 0, 0, 0), 0);
    EQ(io(ROOT, 1, XOK_IO_WRITE, 200, 0, 0, 0, 0), 0);
    EQ(io(ROOT, 1, XOK_IO_WRITE, 201, 0, 0, 0, 0), 1); // one failed
    u32 p = xok_block_find(1, 201);
    EQ(XOK_REGISTRY[p].flags & (XOK_B_ERROR | XOK_B_DIRTY), XOK_B_ERROR | XOK_B_DIRTY);
    EQ(io(ROOT, 1, XOK_IO_WRITE, 199, 0, 0, 0, 0), XOK_E_TAINT); // 201 is not on the disk
    EQ(io(ROOT, 1, XOK_IO_FLUSH, 0, 0, 0, 0, 0), 0);
    EQ(io(ROOT, 1, XOK_IO_DROP, 200, 0, 0, 0, 0), 0);
    EQ(io(ROOT, 1, XOK_IO_READ, 200, 199, 0, 0, 0), 1);
    p = xok_block_find(1, 200);
    EQ(XOK_REGISTRY[p].flags & (XOK_B_ERROR | XOK_B_VALID), XOK_B_ERROR);
}

static void test(void)
{
    ctl = adult();
    EQ(XOK_DISK(0)->state, XOK_DISK_RAW);
    EQ(XOK_DISK(0)->blocks, 16384);
    CHECK(XOK_DISK(0)->features & XOK_DISK_FLUSH);
    EQ(xok_disk_io(ROOT, 0, 0, 0, &done), XOK_E_AGAIN);
    EQ(until(xok_disk_format, 0), 0);
    EQ(until(xok_disk_mount, 0), 0);
    EQ(XOK_DISK(0)->state, XOK_DISK_READY);
    templates_and_root();
    pages_of_blocks();
    names();
    lists();
    again();
    errors();
}
