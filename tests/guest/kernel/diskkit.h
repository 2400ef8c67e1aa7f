// The toy file system (tests/host/xn/toy_functions.c) from an environment: what the disk tests
// share.
#ifndef DISKKIT_H
#define DISKKIT_H
#include <stdbool.h>
#include "child.h"
#include "xok/disk.h"
#include "build/ktest/toy.h"

#define CODE_AT(name) (u64) name, sizeof name, 0
#define BUF 0x40000000ul
#define SEE 0x50000000ul
enum { ROOT_BLOCK = 200, SLOTS = 63, BIG = 512 };
struct toy_slot {
    u64 block;
    u32 count, type;
    u64 rest[6];
};
#define SLOT_AT(i) (64 + 64 * (i))
static u32 toy_dir;
static struct xok_ctl *ctl;
static volatile u64 done;

static s64 until(s64 (*call)(u64, u64), u64 disk)
{
    s64 r;
    for (u64 seq = XOK_DISK(disk)->seq; (r = call(ROOT, disk)) == XOK_E_AGAIN;
         seq = XOK_DISK(disk)->seq)
        for (u32 i = 0; i < 1000000 && XOK_DISK(disk)->seq == seq; i++)
            __builtin_ia32_pause();
    return r;
}

// One list, and its end: by a predicate on the completion word.
static u64 io_list(u32 cap, u32 disk, struct xok_io *ops, u32 n)
{
    struct xok_pred_term t = {.addr = (u64)&done, .value = 0, .op = XOK_PRED_NE, .last = 1};
    done = 0;
    s64 r = xok_disk_io(cap, disk, ops, n, &done);
    if (r < 0)
        return r;
    xok_pred_set(&t, 1);
    while ((u32)done < r) {
        t.value = done;
        xok_pred_set(&t, 1);
        if ((u32)done < r)
            xok_sleep(0, 0);
        ctl->event = 0;
    }
    xok_pred_set(0, 0);
    return r == n ? done >> 32 : ~0ul;
}

static s64 io(u32 cap, u32 disk, u8 op, u64 block, u64 parent, u32 slot, u32 ppn, u8 flags)
{
    struct xok_io o = {.block = block,
                       .parent = parent,
                       .ppn = ppn,
                       .at = SLOT_AT(slot),
                       .op = op,
                       .flags = flags};
    return io_list(cap, disk, &o, 1);
}
#define IO(op, block, parent, slot, ppn) io(ROOT, 0, XOK_IO_##op, block, parent, slot, ppn, 0)

static s64 set(u32 cap, u64 block, u32 i, struct toy_slot to, struct xok_claim k)
{
    struct xok_mod m = {.data = (u64)&to, .off = SLOT_AT(i), .len = sizeof to};
    struct xok_change c = {.block = {block},
                           .blocks = 1,
                           .mods = 1,
                           .claims = k.count != 0,
                           .mod = (u64)&m,
                           .claim = (u64)&k};
    return xok_disk_change(cap, &c);
}

static s64 alloc(u32 cap, u64 dir, u32 i, u64 block, u32 count, u32 type)
{
    return set(cap, dir, i, (struct toy_slot){.block = block, .count = count, .type = type},
               (struct xok_claim){.block = block, .count = count, .kind = XOK_ALLOC, .type = type});
}

static s64 template(u32 cap, const char *name, u64 block, bool counted)
{
    struct xok_template t = {
        .block = block,
        .head = 64,
        .part = 64,
        .code = {{CODE_AT(image_toy_owns)}, {CODE_AT(image_toy_edges)}, {CODE_AT(image_toy_acl)}}};
    for (u32 i = 0; name[i]; i++)
        t.name[i] = name[i];
    t.code[XOK_UDF_REFCNT].len = counted ? sizeof image_toy_edges : 0;
    return xok_disk_template(cap, 0, &t);
}

static s64 root(u32 cap, u32 disk, const char *name, u64 block, u32 op)
{
    struct xok_root r = {.block = block, .type = toy_dir, .op = op};
    for (u32 i = 0; name[i]; i++)
        r.name[i] = name[i];
    return xok_disk_root(cap, disk, &r);
}
#endif
