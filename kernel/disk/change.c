// disk_change: bytes of up to four metadata blocks, and what the caller says this does to
// ownership. Every claim is checked against the map and the registry, the bytes are tried, the
// functions asked; only what they confirm stays.
#include "disk/xn.h"

static u8 saved[XOK_CHANGE_BLOCKS][XOK_BLOCK_SIZE];
static struct xok_owns before[XOK_OWNS_MAX], after[XOK_OWNS_MAX];

struct change {
    const struct who *who;
    struct disk *d;
    u32 targets, mods, claims;
    const struct xok_mod *mod;
    const struct xok_claim *claim;
    const u8 *bytes;
    u32 ppn[XOK_CHANGE_BLOCKS];
    u32 from[XOK_CHANGE_BLOCKS], to[XOK_CHANGE_BLOCKS]; // what the mods span
    u32 tried;                                          // targets whose bytes are in place
};

static bool is_meta(u32 type)
{
    return type >= XOK_T_FIRST;
}
static bool type_ok(struct disk *d, u32 t)
{
    return t == XOK_T_DATA || t == XOK_T_RESERVED || (is_meta(t) && d->type[t].used);
}

// ---- decode
static s64 targets_find(struct change *c, const struct xok_change *x)
{
    for (u32 i = 0; i < c->targets; i++) {
        u32 p = x->block[i] < c->d->info->blocks ? cached(c->d, x->block[i]) : 0;
        if (!p || !(registry[p].flags & XOK_B_VALID))
            return XOK_E_CACHE;
        if (!is_meta(registry[p].type) || registry[p].type == XOK_T_XN)
            return XOK_E_ARG;
        for (u32 j = 0; j < i; j++)
            if (c->ppn[j] == p)
                return XOK_E_ARG;
        c->ppn[i] = p;
        c->from[i] = XOK_BLOCK_SIZE, c->to[i] = 0;
    }
    for (u32 i = 0; i < c->mods; i++) {
        const struct xok_mod *m = &c->mod[i];
        if (m->target >= c->targets || !m->len || m->off + m->len > (int)XOK_BLOCK_SIZE)
            return XOK_E_ARG;
        c->from[m->target] = XN_MIN(c->from[m->target], m->off);
        c->to[m->target] = XN_MAX(c->to[m->target], (u32)m->off + m->len);
    }
    return 0;
}

// Every block of the claim is of this type and not on its way out.
static bool all_are(struct disk *d, const struct xok_claim *k, u32 type)
{
    for (u32 i = 0; i < k->count; i++)
        if ((d->map[k->block + i] & ~XOK_MAP_UNINIT) != type)
            return false;
    return true;
}

static s64 all_idle(struct disk *d, const struct xok_claim *k)
{
    for (u32 i = 0; i < k->count; i++) {
        u32 p = cached(d, k->block + i);
        if (p && (registry[p].writes || registry[p].flags & XOK_B_READING))
            return XOK_E_BUSY;
        if (is_meta(k->type) && (!p || !(registry[p].flags & XOK_B_VALID)))
            return XOK_E_CACHE;
    }
    return 0;
}

// Edges that count must be reachable after a crash: no such edge may hang below a temporary root.
static bool floats(const struct change *c, u32 target)
{
    return registry[c->ppn[target]].flags & XOK_B_FLOATING;
}

static s64 claim_check(struct change *c, const struct xok_claim *k)
{
    struct disk *d = c->d;
    u32 old = d->map[k->block] & XOK_MAP_TYPE;
    bool one = k->count == 1;
    switch (k->kind) {
    case XOK_ALLOC: return all_are(d, k, XOK_T_FREE) ? 0 : XOK_E_BUSY;
    case XOK_FREE:
        return !all_are(d, k, k->type) || (is_meta(k->type) && !one) ? XOK_E_OWNS : all_idle(d, k);
    case XOK_MOVE:
        if (!all_are(d, k, k->type) || k->from == k->to)
            return XOK_E_OWNS;
        return is_meta(k->type) && floats(c, k->to) && !floats(c, k->from) ? XOK_E_TAINT : 0;
    case XOK_LINK:
    case XOK_UNLINK:
        return !one || !is_meta(k->type) || !d->type[k->type].fn[XOK_UDF_REFCNT] ||
                       cached(d, k->block) != c->ppn[k->from] ||
                       registry[c->ppn[k->from]].type != k->type || k->from == k->to
                   ? XOK_E_OWNS
               : floats(c, k->to) || floats(c, k->from) ? XOK_E_TAINT
                                                        : 0;
    case XOK_RETYPE:
        return k->from != k->to || is_meta(k->type) || is_meta(old) || old == k->type ||
                       !all_are(d, k, old)
                   ? XOK_E_OWNS
                   : all_idle(d, k);
    case XOK_ATTACH:
        return one && all_are(d, k, k->type) && root_detach(d, c->who, k->block, false)
                   ? 0
                   : XOK_E_OWNS;
    default: return 0;
    }
}

static bool shares(const struct xok_claim *a, const struct xok_claim *b)
{
    bool edges = a->kind >= XOK_LINK && a->kind <= XOK_UNLINK && b->kind >= XOK_LINK &&
                 b->kind <= XOK_UNLINK;
    return a->kind != XOK_TIE && b->kind != XOK_TIE && !edges && a->block < b->block + b->count &&
           b->block < a->block + a->count;
}

// A target that an earlier claim freed is gone.
static bool names_freed(const struct change *c, u32 claim)
{
    const struct xok_claim *k = &c->claim[claim];
    for (u32 i = 0; i <= claim; i++) {
        u32 p = c->claim[i].kind == XOK_FREE ? cached(c->d, c->claim[i].block) : 0;
        if (p && is_meta(c->claim[i].type) &&
            (p == c->ppn[k->from] || (k->kind != XOK_FREE && p == c->ppn[k->to])))
            return true;
    }
    return false;
}

static s64 claims_check(struct change *c)
{
    bool targets_freed = false;
    u32 cover = 0;
    for (u32 i = 0; i < c->claims; i++) {
        const struct xok_claim *k = &c->claim[i];
        if (k->kind > XOK_TIE || k->from >= c->targets || k->to >= c->targets)
            return XOK_E_ARG;
        targets_freed |= k->kind == XOK_FREE;
        if (targets_freed && names_freed(c, i))
            return XOK_E_ARG;
        if (k->kind == XOK_TIE)
            continue;
        u64 blocks = c->d->info->blocks;
        if (!k->count || k->block >= blocks || k->count > blocks - k->block ||
            k->type >= XOK_T_XN || !type_ok(c->d, k->type))
            return XOK_E_ARG;
        if (k->count > XOK_CHANGE_COVER || (cover += k->count) > XOK_CHANGE_COVER)
            return XOK_E_ARG;
        for (u32 j = 0; j < i; j++)
            if (shares(k, &c->claim[j]))
                return XOK_E_ARG;
        s64 r = claim_check(c, k);
        if (r)
            return r;
    }
    return 0;
}

// What would be tied together fits a ring, and what is to be remembered fits the lists.
struct ties {
    u32 ring[XOK_TIED_MAX + 1], rings, total;
};

static void ring_count(struct ties *t, u32 ppn)
{
    for (u32 i = 0; i < t->rings; i++)
        if (ring_has(t->ring[i], ppn))
            return;
    t->total += ring_size(ppn);
    if (t->rings < XOK_TIED_MAX + 1)
        t->ring[t->rings++] = ppn;
}

static void tie_count(struct ties *t, u32 ppn)
{
    u32 n = 0; // a file system may have made a circle of parents
    for (; ppn && t->total <= XOK_TIED_MAX; ppn = loose_parent(ppn)) {
        ring_count(t, ppn);
        if (n++ == XOK_TIED_MAX)
            t->total = XOK_TIED_MAX + 1;
    }
}

static bool is_target(const struct change *c, u32 ppn)
{
    for (u32 i = 0; i < c->targets; i++)
        if (c->ppn[i] == ppn)
            return true;
    return false;
}

static s64 room_check(struct change *c)
{
    struct ties t = {.rings = 0};
    u32 need[XOK_CHANGE_BLOCKS] = {0}, total = 0;
    for (u32 i = 0; i < c->claims && t.total <= XOK_TIED_MAX; i++) {
        const struct xok_claim *k = &c->claim[i];
        u32 child = k->kind == XOK_FREE && is_meta(k->type) ? cached(c->d, k->block) : 0;
        bool ties = k->kind == XOK_LINK || k->kind == XOK_UNLINK || k->kind == XOK_TIE ||
                    (child && (ring_size(child) > 1 || is_target(c, child))) ||
                    (k->kind == XOK_MOVE && !dep_fresh(c->ppn[k->from], k->block, k->count));
        if (ties) {
            tie_count(&t, c->ppn[k->from]);
            tie_count(&t, child ? child : c->ppn[k->to]);
        }
        need[k->from] += 2, need[k->to] += 2, total += 4;
        if (child && registry[child].deps)
            need[k->from] += deps[registry[child].deps].length;
    }
    if (t.total > XOK_TIED_MAX)
        return XOK_E_TAINT;
    for (u32 i = 0; i < c->targets; i++)
        if (!dep_room(c->ppn[i], need[i]))
            return XOK_E_FULL;
    return deps_free < total ? XOK_E_FULL : 0;
}

// ---- try
static const u8 *mods_apply(struct change *c, u32 target)
{
    u8 *page = xn_page(c->ppn[target]);
    const u8 *at = c->bytes;
    memcpy(saved[target], page + c->from[target], c->to[target] - c->from[target]);
    for (u32 i = 0; i < c->mods; at += c->mod[i++].len)
        if (c->mod[i].target == target)
            memcpy(page + c->mod[i].off, at, c->mod[i].len);
    c->tried = target + 1;
    return at;
}

static void undo(struct change *c)
{
    for (u32 i = 0; i < c->tried; i++)
        if (c->from[i] < c->to[i])
            memcpy((u8 *)xn_page(c->ppn[i]) + c->from[i], saved[i], c->to[i] - c->from[i]);
}

static s64 edges_claimed(struct change *c, u32 target)
{
    s64 n = 0;
    for (u32 i = 0; i < c->claims; i++)
        if (c->claim[i].from == target)
            n += c->claim[i].kind == XOK_LINK ? 1 : c->claim[i].kind == XOK_UNLINK ? -1 : 0;
    return n;
}

static s64 target_try(struct change *c, u32 i)
{
    u32 ppn = c->ppn[i], from = c->from[i], to = c->to[i], na = 0, nb = 0;
    s64 edges = refcnt_of(c->d, ppn);
    struct xok_udf u = {.part = saved[i]};
    if (from < to) {
        if (!owns_range(c->d, ppn, from, to, before, &na))
            return XOK_E_IO;
        mods_apply(c, i);
        if (!owns_range(c->d, ppn, from, to, after, &nb))
            return XOK_E_OWNS;
        u.from = from, u.to = to, u.part_len = to - from;
    }
    c->tried = i + 1;
    if (!owns_differ_as(c->d, before, na, after, nb, c->claim, c->claims, i))
        return XOK_E_OWNS;
    s64 now = refcnt_of(c->d, ppn);
    if (edges < 0 || now < 0 || now != edges + edges_claimed(c, i))
        return XOK_E_OWNS;
    return acl_ok(c->d, ppn, XOK_ACL_CHANGE, c->who, &u) ? 0 : XOK_E_CAP;
}

// What is freed owns nothing, and nobody else leads to it.
static s64 freed_check(struct change *c)
{
    for (u32 i = 0; i < c->claims; i++) {
        const struct xok_claim *k = &c->claim[i];
        u32 p = k->kind == XOK_FREE && is_meta(k->type) ? cached(c->d, k->block) : 0;
        if (p && (!owns_nothing(c->d, p) || refcnt_of(c->d, p) != 1))
            return XOK_E_OWNS;
    }
    return 0;
}

// ---- perform
static void uncache(struct disk *d, const struct xok_claim *k)
{
    for (u32 i = 0; i < k->count; i++) {
        u32 p = cached(d, k->block + i);
        if (p)
            entry_remove(d, p);
    }
}

static void free_perform(struct change *c, const struct xok_claim *k)
{
    struct disk *d = c->d;
    u32 p = c->ppn[k->from], child = is_meta(k->type) ? cached(d, k->block) : 0;
    bool alone = !registry[p].writes && (!child || registry[child].tied == child);
    bool now = alone && (dep_fresh(p, k->block, k->count) ||
                         (registry[p].flags & XOK_B_FLOATING && registry[p].tied == p));
    if (child) {
        if (registry[child].tied != child) { // what was to go with the child goes with p, and untorn
            tie(p, child);
            registry[p].flags |= XOK_B_ATOMIC;
        }
        dep_inherit(d, p, child, now);
    }
    uncache(d, k);
    if (now)
        dep_subtract(p, k->block, k->count);
    else
        dep_add(p, DEP_REMOVE, k->block, k->count, 0);
    for (u32 i = 0; i < k->count; i++)
        if (now)
            block_free(d, k->block + i);
        else
            d->map[k->block + i] |= XOK_MAP_WILLFREE;
}

static void claim_perform(struct change *c, const struct xok_claim *k)
{
    struct disk *d = c->d;
    u32 from = c->ppn[k->from], to = c->ppn[k->to];
    u32 child = is_meta(k->type) && k->kind != XOK_TIE ? cached(d, k->block) : 0;
    switch (k->kind) {
    case XOK_ALLOC:
        memset(d->map + k->block, k->type | XOK_MAP_UNINIT, k->count);
        d->info->free -= k->count;
        dep_add(to, DEP_ADD, k->block, k->count, 0);
        break;
    case XOK_FREE: free_perform(c, k); break;
    case XOK_MOVE:
        if (child && registry[child].parent == from)
            registry[child].parent = to;
        if (dep_fresh(from, k->block, k->count)) {
            dep_subtract(from, k->block, k->count);
            dep_add(to, DEP_ADD, k->block, k->count, 0);
            break;
        }
        tie(from, to);
        dep_add(to, DEP_ADD, k->block, k->count, DEP_MAYBE);
        break;
    case XOK_LINK:
        tie(from, to);
        dep_add(to, DEP_ADD, k->block, 1, DEP_MAYBE);
        break;
    case XOK_UNLINK:
        tie(from, to);
        if (registry[from].parent == to)
            registry[from].parent = 0; // another edge leads to it, in the same ring
        break;
    case XOK_RETYPE:
        uncache(d, k);
        for (u32 i = 0; i < k->count; i++)
            d->map[k->block + i] =
                k->type | (k->type == XOK_T_RESERVED ? XOK_MAP_UNINIT
                                                     : d->map[k->block + i] & XOK_MAP_UNINIT);
        dep_recheck(to, k->block, k->count);
        if (!dep_fresh(to, k->block, k->count))
            dep_add(to, DEP_ADD, k->block, k->count, DEP_MAYBE);
        break;
    case XOK_ATTACH:
        root_detach(d, c->who, k->block, true);
        dep_add(to, DEP_ADD, k->block, 1, 0);
        if (child)
            registry[child].parent = to;
        break;
    case XOK_TIE:
        tie(from, to);
        if (from == to)
            registry[to].flags |= XOK_B_ATOMIC;
        break;
    }
}

static void perform(struct change *c)
{
    for (u32 i = 0; i < c->targets; i++) {
        u32 ppn = c->ppn[i], sector = c->d->info->sector;
        u64 block = XOK_BLOCK_NUMBER(registry[ppn].block);
        entry_dirty(c->d, ppn);
        if (c->from[i] < c->to[i] && c->from[i] / sector != (c->to[i] - 1) / sector &&
            !(c->d->map[block] & XOK_MAP_UNINIT))
            registry[ppn].flags |= XOK_B_ATOMIC;
    }
    for (u32 i = 0; i < c->claims; i++)
        claim_perform(c, &c->claim[i]);
}

s64 xn_change(const struct who *w, const struct xok_change *x, const struct xok_mod *mods,
              const struct xok_claim *claims, const u8 *bytes)
{
    struct change c = {.who = w,
                       .targets = x->blocks,
                       .mods = x->mods,
                       .claims = x->claims,
                       .mod = mods,
                       .claim = claims,
                       .bytes = bytes};
    if (x->disk >= XOK_DISK_MAX || !x->blocks || x->blocks > XOK_CHANGE_BLOCKS)
        return XOK_E_ARG;
    c.d = &disks[x->disk];
    if (!c.d->info || c.d->info->state != XOK_DISK_READY || c.d->info->features & XOK_DISK_READONLY)
        return XOK_E_AGAIN;
    settle(c.d, 16);
    s64 r = targets_find(&c, x);
    if (!r)
        r = claims_check(&c);
    if (!r)
        r = room_check(&c);
    if (r)
        return r;
    for (u32 i = 0; i < c.targets && !r; i++)
        r = target_try(&c, i);
    if (!r)
        r = freed_check(&c);
    if (r) {
        undo(&c);
        return r;
    }
    perform(&c);
    return 0;
}
