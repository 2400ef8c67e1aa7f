// The catalogue: templates and roots, in blocks of XN's own that stay in the registry and are
// written back as any others.
#include "disk/format.h"

static struct type_record *type_at(struct disk *d, u32 type)
{
    return (struct type_record *)xn_page(cached(d, TYPES + type / RECORDS)) + type % RECORDS;
}

static struct root_record *root_at(struct disk *d, u32 i)
{
    return (struct root_record *)xn_page(cached(d, ROOTS + i / RECORDS)) + i % RECORDS;
}

static bool name_ok(const char *name)
{
    u32 n = 0;
    while (n < 32 && name[n])
        n++;
    for (u32 i = n; i < 32; i++)
        if (name[i])
            return false;
    return n && n < 32;
}

// ---- templates
static void type_unload(struct type *t)
{
    for (u32 i = 0; i < XOK_UDF_COUNT; i++)
        if (t->fn[i])
            xn_code_drop(t->fn[i]);
    *t = (struct type){0};
}

void types_unload(struct disk *d)
{
    for (u32 i = 0; i < XOK_T_COUNT; i++)
        type_unload(&d->type[i]);
}

static bool shape_ok(u32 head, u32 part)
{
    return head < XOK_BLOCK_SIZE && part >= 16 && !((XOK_BLOCK_SIZE - head) % part) &&
           (XOK_BLOCK_SIZE - head) / part * (head + part) <= XOK_UDF_WORK;
}

// Zero bytes must own nothing: a new block starts as zeros.
static bool zeros_own_nothing(struct disk *d, u32 type)
{
    u32 frame = xn_frame_new();
    if (!frame)
        return false;
    memset(xn_page(frame), 0, XOK_BLOCK_SIZE);
    registry[frame].type = type;
    bool ok = owns_nothing(d, frame) && refcnt_of(d, frame) == 1;
    xn_frame_free(frame);
    return ok;
}

static u64 code_size(const u32 len[XOK_UDF_COUNT])
{
    u64 n = 0;
    for (u32 i = 0; i < XOK_UDF_COUNT; i++)
        n += len[i] > XOK_CODE_MAX ? XOK_CODE_MAX + 1 : (len[i] + 7ul) & ~7ul;
    return n;
}

// code: the functions one after the other, each padded to 8 bytes.
static bool load(struct disk *d, u32 type, u32 head, u32 part, const u8 *code,
                 const u32 len[XOK_UDF_COUNT])
{
    struct type *t = &d->type[type];
    if (!shape_ok(head, part) || code_size(len) > XOK_CODE_MAX)
        return false;
    *t = (struct type){.head = head, .part = part, .used = true};
    bool ok = true;
    for (u32 i = 0; ok && i < XOK_UDF_COUNT; code += (len[i++] + 7) & ~7u)
        if (len[i])
            ok = (t->fn[i] = xn_code_load(i, code, len[i], head, part));
    if (ok && zeros_own_nothing(d, type))
        return true;
    type_unload(t);
    return false;
}

static void type_expose(struct disk *d, u32 type, const char *name)
{
    struct xok_template_info *x = &d->info->type[type];
    struct type *t = &d->type[type];
    x->head = t->head, x->part = t->part;
    for (u32 i = 0; i < XOK_UDF_COUNT; i++)
        x->has |= t->fn[i] ? 1u << i : 0;
    memcpy(x->name, name, sizeof x->name);
}

static u64 record_sum(const struct type_record *r)
{
    struct type_record c = *r;
    c.sum = 0;
    return checksum(1, &c, sizeof c);
}

// A mount has read the code that record `type` tells of.
bool type_load(struct disk *d, u32 type, const u8 *code)
{
    struct type_record *r = type_at(d, type);
    if (!name_ok(r->name) || r->blocks > XOK_CODE_MAX / XOK_BLOCK_SIZE ||
        checksum(record_sum(r), code, r->blocks * XOK_BLOCK_SIZE) != r->sum ||
        code_size(r->len) > r->blocks * XOK_BLOCK_SIZE ||
        !load(d, type, r->head, r->part, code, r->len))
        return false;
    type_expose(d, type, r->name);
    return true;
}

bool type_code(struct disk *d, u32 type, u64 *block, u32 *blocks)
{
    struct type_record *r = type_at(d, type);
    *block = r->block, *blocks = r->blocks;
    return r->name[0];
}

s64 xn_template(const struct who *w, struct disk *d, const struct xok_template *t, const u8 *code)
{
    u32 len[XOK_UDF_COUNT], free = 0, pages[XOK_CODE_MAX / XOK_BLOCK_SIZE];
    for (u32 i = 0; i < XOK_UDF_COUNT; i++)
        len[i] = t->code[i].len;
    u64 size = code_size(len), n = (size + XOK_BLOCK_SIZE - 1) / XOK_BLOCK_SIZE;
    if (d->info->state != XOK_DISK_READY || d->info->features & XOK_DISK_READONLY)
        return XOK_E_AGAIN;
    if (!(w->rights & XOK_A))
        return XOK_E_CAP;
    if (!name_ok(t->name) || size > XOK_CODE_MAX || t->block >= d->info->blocks ||
        n > d->info->blocks - t->block)
        return XOK_E_ARG;
    for (u32 i = XOK_T_XN - 1; i >= XOK_T_FIRST; i--) {
        if (!memcmp(type_at(d, i)->name, t->name, sizeof t->name))
            return XOK_E_BUSY;
        free = type_at(d, i)->name[0] ? free : i;
    }
    for (u64 i = 0; i < n; i++)
        if (d->map[t->block + i])
            return XOK_E_BUSY;
    u32 entry = cached(d, TYPES + free / RECORDS), got = 0;
    if (!free || !dep_room(entry, 1) || !deps_free)
        return XOK_E_FULL;
    while (got < n && (pages[got] = xn_page_new(w, true)))
        got++;
    if (got < n || !load(d, free, t->head, t->part, code, len)) {
        for (u32 i = 0; i < got; i++)
            xn_page_back(pages[i], false);
        return got < n ? XOK_E_NOMEM : XOK_E_OWNS;
    }
    for (u64 i = 0; i < n; i++) {
        memset(xn_page(pages[i]), 0, XOK_BLOCK_SIZE);
        memcpy(xn_page(pages[i]), code + i * XOK_BLOCK_SIZE,
               XN_MIN(size - i * XOK_BLOCK_SIZE, XOK_BLOCK_SIZE));
        d->map[t->block + i] = XOK_T_XN | XOK_MAP_UNINIT;
        d->info->free--;
        entry_insert(d, t->block + i, pages[i], XOK_T_XN, XOK_B_VALID | XOK_B_DIRTY);
    }
    struct type_record *r = type_at(d, free);
    *r = (struct type_record){.block = t->block, .blocks = n, .head = t->head, .part = t->part};
    memcpy(r->name, t->name, sizeof r->name);
    memcpy(r->len, len, sizeof len);
    r->sum = record_sum(r);
    for (u64 i = 0; i < n; i++)
        r->sum = checksum(r->sum, xn_page(pages[i]), XOK_BLOCK_SIZE);
    if (n)
        dep_add(entry, DEP_ADD, t->block, n, 0);
    entry_dirty(d, entry);
    type_expose(d, free, t->name);
    return free;
}

// ---- roots
u32 root_of(struct disk *d, u64 block)
{
    u32 i = 0;
    while (i < XOK_ROOTS && (d->info->root[i].block != block || !block))
        i++;
    return i;
}

bool root_owner(struct disk *d, u32 i, const struct who *w)
{
    const struct xok_root_info *r = &d->info->root[i];
    return w->depth <= r->depth && !memcmp(w->component, r->owner, w->depth * sizeof r->owner[0]) &&
           w->rights & XOK_W;
}

u32 root_owns(struct disk *d, u64 catalogue, struct xok_owns *out)
{
    u32 n = 0;
    for (u32 i = 0; i < XOK_ROOTS; i++)
        if (d->info->root[i].block && d->info->root[i].parent == catalogue &&
            !(d->info->root[i].flags & XOK_ROOT_DAMAGED))
            out[n++] = (struct xok_owns){d->info->root[i].block, 1, d->info->root[i].type};
    return n;
}

// Access to a root block, which no metadata vouches for: its owner makes it, its own acl lets
// others see it.
s64 root_vouch(struct disk *d, const struct who *w, u64 block, u8 op)
{
    u32 p = cached(d, block), i = root_of(d, block);
    struct xok_udf u = {.block = block, .type = d->map[block] & XOK_MAP_TYPE};
    if (op == XOK_IO_NEW)
        return i < XOK_ROOTS && root_owner(d, i, w) ? 0 : XOK_E_CAP;
    if (!p || !(registry[p].flags & XOK_B_VALID))
        return XOK_E_CACHE; // PREFETCH first
    return acl_ok(d, p, XOK_ACL_READ, w, &u) ? 0 : XOK_E_CAP;
}

static void root_expose(struct disk *d, u32 i, const struct root_record *r, u64 parent)
{
    struct xok_root_info x = {
        .block = r->block, .parent = parent, .type = r->type, .depth = r->depth};
    memcpy(x.name, r->name, sizeof x.name);
    memcpy(x.owner, r->owner, sizeof x.owner);
    d->info->root[i] = x;
}

bool root_load(struct disk *d, u32 i)
{
    struct root_record *r = root_at(d, i);
    if (!r->block)
        return true;
    bool ok = name_ok(r->name) && r->depth <= 8 && r->block >= FIRST &&
              r->block < d->info->blocks && r->type >= XOK_T_FIRST && r->type < XOK_T_XN &&
              d->type[r->type].used;
    struct root_record safe = *r;
    safe.depth = XN_MIN(safe.depth, 8u);
    root_expose(d, i, &safe, ROOTS + i / RECORDS);
    if (!ok)
        d->info->root[i].flags = XOK_ROOT_DAMAGED;
    return ok;
}

static s64 root_create(const struct who *w, struct disk *d, const struct xok_root *x)
{
    u32 i = 0;
    struct root_record r = {.block = x->block, .type = x->type, .depth = w->depth};
    if (!(w->rights & XOK_A))
        return XOK_E_CAP;
    if (!name_ok(x->name) || x->block >= d->info->blocks || x->type < XOK_T_FIRST ||
        x->type >= XOK_T_XN || !d->type[x->type].used)
        return XOK_E_ARG;
    if (d->map[x->block])
        return XOK_E_BUSY;
    for (u32 k = 0; k < XOK_ROOTS; k++)
        if (d->info->root[k].block && !memcmp(d->info->root[k].name, x->name, sizeof x->name))
            return XOK_E_BUSY;
    bool temp = x->op == XOK_ROOT_TEMP;
    while (i < XOK_ROOTS && (d->info->root[i].block || (root_at(d, i)->block)))
        i++;
    if (i == XOK_ROOTS)
        return XOK_E_FULL;
    u32 entry = cached(d, ROOTS + i / RECORDS);
    if (!temp && (!dep_room(entry, 2) || deps_free < 2))
        return XOK_E_FULL;
    memcpy(r.name, x->name, sizeof r.name);
    memcpy(r.owner, w->component, sizeof r.owner);
    d->map[x->block] = x->type | XOK_MAP_UNINIT;
    d->info->free--;
    root_expose(d, i, &r, temp ? XOK_BLOCK_NONE : ROOTS + i / RECORDS);
    if (temp)
        return i;
    *root_at(d, i) = r;
    dep_add(entry, DEP_ADD, x->block, 1, 0);
    entry_dirty(d, entry);
    return i;
}

static s64 root_remove(const struct who *w, struct disk *d, const struct xok_root *x)
{
    u32 i = root_of(d, x->block), p = x->block < d->info->blocks ? cached(d, x->block) : 0;
    if (i == XOK_ROOTS || memcmp(d->info->root[i].name, x->name, sizeof x->name))
        return XOK_E_ARG;
    if (!root_owner(d, i, w))
        return XOK_E_CAP;
    if (!p || !(registry[p].flags & XOK_B_VALID))
        return XOK_E_CACHE;
    bool temp = d->info->root[i].parent == XOK_BLOCK_NONE;
    u32 entry = temp ? p : cached(d, ROOTS + i / RECORDS),
        need = registry[p].deps ? deps[registry[p].deps].length : 0;
    if (registry[p].writes || registry[p].flags & XOK_B_READING)
        return XOK_E_BUSY;
    if (registry[p].tied != p)
        return XOK_E_TAINT;
    if (!owns_nothing(d, p) || refcnt_of(d, p) != 1)
        return XOK_E_OWNS;
    if (!temp && (!dep_room(entry, need + 1) || !deps_free))
        return XOK_E_FULL;
    bool now = temp || (!registry[entry].writes && dep_fresh(entry, x->block, 1));
    dep_inherit(d, entry, p, now);
    entry_remove(d, p);
    if (now)
        block_free(d, x->block);
    else
        d->map[x->block] |= XOK_MAP_WILLFREE;
    d->info->root[i] = (struct xok_root_info){0};
    if (temp)
        return 0;
    if (now)
        dep_subtract(entry, x->block, 1);
    else
        dep_add(entry, DEP_REMOVE, x->block, 1, 0);
    *root_at(d, i) = (struct root_record){0};
    entry_dirty(d, entry);
    return 0;
}

bool root_detach(struct disk *d, const struct who *w, u64 block, bool really)
{
    u32 i = root_of(d, block);
    if (i == XOK_ROOTS || d->info->root[i].parent != XOK_BLOCK_NONE || !root_owner(d, i, w))
        return false;
    if (really)
        d->info->root[i] = (struct xok_root_info){0};
    return true;
}

s64 xn_root(const struct who *w, struct disk *d, const struct xok_root *x)
{
    if (d->info->state != XOK_DISK_READY || d->info->features & XOK_DISK_READONLY)
        return XOK_E_AGAIN;
    switch (x->op) {
    case XOK_ROOT_CREATE:
    case XOK_ROOT_TEMP: return root_create(w, d, x);
    case XOK_ROOT_REMOVE: return root_remove(w, d, x);
    default: return XOK_E_ARG;
    }
}
