// A toy file system over XN for its tests. Metadata blocks are 64 bytes of head and 63 slots of 64
// bytes, each of which may own one extent. Two templates: "toy.dir", and "toy.node", whose head
// counts the edges to it.
#ifndef TOY_H
#define TOY_H
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "host.h"

struct toy_head {
    u32 owner;  // component that may change it; 0: anybody
    u32 edges;  // toy.node
    u32 sealed; // 1: nobody may read children
    u32 pad[13];
};
struct toy_slot {
    u64 block;
    u32 count, type;
    u64 id; // of the content
    u8 rest[40];
};
#define TOY_SLOTS 63
#define SLOT_AT(i) (64 + 64 * (i))
static u32 toy_dir, toy_node;

static s64 toy_owns(struct xok_udf *u)
{
    const struct toy_slot *s = (const void *)u->part;
    if (!s || !u->out)
        return -1; // called as another kind: the catalogue is damaged
    if (!s->count)
        return 0;
    u->out[0] = (struct xok_owns){s->block, s->count, s->type};
    return 1;
}

static s64 toy_edges(struct xok_udf *u)
{
    return ((const struct toy_head *)u->head)->edges;
}

static s64 toy_acl(struct xok_udf *u)
{
    struct toy_head h = *(const struct toy_head *)u->head;
    if (u->op == XOK_ACL_CHANGE && u->from == 0 && u->to >= 4) // who owned it before decides
        h.owner = *(const u32 *)u->part;
    if (u->op == XOK_ACL_READ && h.sealed)
        return 0;
    return !h.owner || !u->depth || u->name[0] == h.owner;
}

static u32 toy_template(u32 disk, const char *name, u64 block, bool counted)
{
    static u64 code[3];
    code[0] = host_native(toy_owns), code[1] = host_native(toy_edges),
    code[2] = host_native(toy_acl);
    struct xok_template t = {.block = block, .head = 64, .part = 64};
    memcpy(t.name, name, strlen(name));
    t.code[XOK_UDF_OWNS].addr = (u64)&code[0], t.code[XOK_UDF_OWNS].len = 8;
    t.code[XOK_UDF_REFCNT].addr = (u64)&code[1], t.code[XOK_UDF_REFCNT].len = counted ? 8 : 0;
    t.code[XOK_UDF_ACL].addr = (u64)&code[2], t.code[XOK_UDF_ACL].len = 8;
    s64 r = xok_disk_template(0, disk, &t);
    return r < 0 ? 0 : r;
}

static s64 toy_root(u32 cap, u32 disk, const char *name, u64 block, u32 type, u32 op)
{
    struct xok_root r = {.block = block, .type = type, .op = op};
    memcpy(r.name, name, strlen(name));
    return xok_disk_root(cap, disk, &r);
}

static s64 toy_io(u32 cap, u32 disk, u8 op, u64 block, u64 parent, u32 at, u32 ppn, u8 flags)
{
    struct xok_io o = {
        .block = block, .parent = parent, .ppn = ppn, .at = at, .op = op, .flags = flags};
    return host_io(cap, disk, &o, 1);
}
#define NEW(d, b, parent, slot) toy_io(0, d, XOK_IO_NEW, b, parent, SLOT_AT(slot), 0, 0)
#define READ(d, b, parent, slot) toy_io(0, d, XOK_IO_READ, b, parent, SLOT_AT(slot), 0, 0)
#define WRITE(d, b) toy_io(0, d, XOK_IO_WRITE, b, 0, 0, 0, 0)
#define FLUSH(d) toy_io(0, d, XOK_IO_FLUSH, 0, 0, 0, 0, 0)

static const void *toy_see(u32 disk, u64 block)
{
    u32 p = xok_block_find(disk, block);
    return p ? host_page(p) : NULL;
}
static inline const struct toy_slot *toy_slot(u32 disk, u64 block, u32 i)
{
    return (const void *)((const u8 *)toy_see(disk, block) + SLOT_AT(i));
}

// One slot of one block becomes *to, with one claim (count 0: none).
static inline s64 toy_set(u32 cap, u32 disk, u64 block, u32 i, struct toy_slot to,
                          struct xok_claim claim)
{
    struct xok_mod m = {.data = (u64)&to, .off = SLOT_AT(i), .len = sizeof to};
    struct xok_change c = {.block = {block},
                           .disk = disk,
                           .blocks = 1,
                           .mods = 1,
                           .claims = claim.count != 0,
                           .mod = (u64)&m,
                           .claim = (u64)&claim};
    return xok_disk_change(cap, &c);
}
static inline s64 toy_alloc(u32 cap, u32 disk, u64 dir, u32 i, u64 block, u32 count, u32 type,
                            u64 id)
{
    return toy_set(
        cap, disk, dir, i, (struct toy_slot){block, count, type, id, {0}},
        (struct xok_claim){.block = block, .count = count, .kind = XOK_ALLOC, .type = type});
}
static inline s64 toy_free(u32 cap, u32 disk, u64 dir, u32 i)
{
    struct toy_slot s = *toy_slot(disk, dir, i);
    return toy_set(
        cap, disk, dir, i, (struct toy_slot){0},
        (struct xok_claim){.block = s.block, .count = s.count, .kind = XOK_FREE, .type = s.type});
}
static inline s64 toy_move(u32 cap, u32 disk, u64 from, u32 i, u64 to, u32 j)
{
    struct toy_slot s = *toy_slot(disk, from, i), none = {0};
    struct xok_mod m[] = {{.data = (u64)&none, .off = SLOT_AT(i), .len = 64, .target = 0},
                          {.data = (u64)&s, .off = SLOT_AT(j), .len = 64, .target = from != to}};
    struct xok_claim k = {
        .block = s.block, .count = s.count, .kind = XOK_MOVE, .type = s.type, .from = 0, .to = 1};
    struct xok_change c = {.block = {from, to},
                           .disk = disk,
                           .blocks = 1 + (from != to),
                           .mods = 2,
                           .claims = from != to,
                           .mod = (u64)m,
                           .claim = (u64)&k};
    return xok_disk_change(cap, &c);
}
// An edge more (or less) from slot i of dir to node, whose count changes with it.
static inline s64 toy_link(u32 cap, u32 disk, u64 dir, u32 i, u64 node, bool more)
{
    const struct toy_head *h = toy_see(disk, node);
    u32 edges = (h->edges ? h->edges : 1) + (more ? 1 : -1);
    struct toy_slot s = {node, 1, toy_node, 0, {0}}, none = {0};
    struct xok_mod m[] = {
        {.data = (u64)(more ? &s : &none), .off = SLOT_AT(i), .len = 64, .target = 0},
        {.data = (u64)&edges, .off = 4, .len = 4, .target = 1}};
    struct xok_claim k = {.block = node,
                          .count = 1,
                          .kind = more ? XOK_LINK : XOK_UNLINK,
                          .type = toy_node,
                          .from = 1,
                          .to = 0};
    struct xok_change c = {.block = {dir, node},
                           .disk = disk,
                           .blocks = 2,
                           .mods = 2,
                           .claims = 1,
                           .mod = (u64)m,
                           .claim = (u64)&k};
    return xok_disk_change(cap, &c);
}

// A machine with one formatted disk, templates, and root block 200 cached and empty.
#define TOY_ROOT 200
static inline u32 toy_start(struct host_disk_options o, u64 seed)
{
    host_start(2048, seed);
    u32 d = host_disk_add(&o);
    host_mount(0, d, true);
    toy_dir = toy_template(d, "toy.dir", 150, false);
    toy_node = toy_template(d, "toy.node", 151, true);
    if (!toy_dir || !toy_node || toy_root(0, d, "toy", TOY_ROOT, toy_dir, XOK_ROOT_CREATE) != 0 ||
        toy_io(0, d, XOK_IO_NEW, TOY_ROOT, XOK_DISK(d)->root[0].parent, 0, 0, 0) || host_sync(0, d))
        abort();
    return d;
}
#endif
