// Running a template's functions, and comparing what a block owns before and after.
#include "disk/xn.h"

s64 function_run(struct disk *d, u32 type, u32 kind, struct xok_udf *u, bool *ok)
{
    s64 r = 0;
    *ok = d->type[type].used && d->type[type].fn[kind] &&
          xn_code_call(d->type[type].fn[kind], kind, u, &r);
    return r;
}

static bool tuple_ok(struct disk *d, const struct xok_owns *o)
{
    bool type = o->type == XOK_T_DATA || o->type == XOK_T_RESERVED ||
                (o->type >= XOK_T_FIRST && o->type < XOK_T_XN && d->type[o->type].used);
    return type && o->count && o->block < d->info->blocks && o->count <= d->info->blocks - o->block;
}

// One part; 0 if the function refuses or what it says makes no sense.
static bool owns_part(struct disk *d, u32 type, const u8 *page, u32 index, struct xok_owns *out,
                      u32 room, u32 *n)
{
    const struct type *t = &d->type[type];
    struct xok_udf u = {.head = page,
                        .head_len = t->head,
                        .part = page + t->head + index * t->part,
                        .part_len = t->part,
                        .index = index,
                        .room = room,
                        .out = out};
    bool ok;
    s64 r = function_run(d, type, XOK_UDF_OWNS, &u, &ok);
    if (!ok || r < 0 || r > room)
        return false;
    for (s64 i = 0; i < r; i++)
        if (!tuple_ok(d, &out[i]))
            return false;
    *n = r;
    return true;
}

// Where what owns depends on ends.
static u32 extent_of(struct disk *d, u32 type, const u8 *page)
{
    const struct type *t = &d->type[type];
    if (!t->fn[XOK_UDF_SIZE])
        return XOK_BLOCK_SIZE;
    struct xok_udf u = {.head = page, .head_len = t->head};
    bool ok;
    s64 r = function_run(d, type, XOK_UDF_SIZE, &u, &ok);
    return ok && r >= t->head && r <= (s64)XOK_BLOCK_SIZE ? (u32)r : XOK_BLOCK_SIZE;
}

bool owns_range(struct disk *d, u32 ppn, u32 from, u32 to, struct xok_owns *out, u32 *n)
{
    u32 type = registry[ppn].type;
    const struct type *t = &d->type[type];
    const u8 *page = xn_page(ppn);
    *n = 0;
    if (!t->used || !t->fn[XOK_UDF_OWNS])
        return t->used;
    if (from < t->head)
        from = t->head, to = XOK_BLOCK_SIZE;
    to = XN_MIN(to, extent_of(d, type, page));
    for (u32 i = (from - t->head) / t->part; t->head + i * t->part < to; i++) {
        u32 more;
        if (!owns_part(d, type, page, i, out + *n, XOK_OWNS_MAX - *n, &more))
            return false;
        *n += more;
    }
    return true;
}

static struct xok_owns scratch[XOK_OWNS_MAX];

bool owns_nothing(struct disk *d, u32 ppn)
{
    u32 n;
    return owns_range(d, ppn, 0, XOK_BLOCK_SIZE, scratch, &n) && !n;
}

bool owns_child(struct disk *d, u32 parent, u32 at, u64 block, struct xok_owns *which)
{
    u32 n = 0;
    if (registry[parent].type == XOK_T_XN)
        n = root_owns(d, XOK_BLOCK_NUMBER(registry[parent].block), scratch);
    else if (!owns_range(d, parent, at, at + 1, scratch, &n))
        return false;
    for (u32 i = 0; i < n; i++)
        if (block - scratch[i].block < scratch[i].count) {
            *which = scratch[i];
            return true;
        }
    return false;
}

s64 refcnt_of(struct disk *d, u32 ppn)
{
    struct xok_udf u = {.head = xn_page(ppn), .head_len = XOK_BLOCK_SIZE};
    bool ok;
    if (!d->type[registry[ppn].type].fn[XOK_UDF_REFCNT])
        return 1;
    s64 r = function_run(d, registry[ppn].type, XOK_UDF_REFCNT, &u, &ok);
    return !ok || r < 0 || r > 0xffffffff ? -1 : XN_MAX(r, 1);
}

bool acl_ok(struct disk *d, u32 ppn, u32 op, const struct who *w, struct xok_udf *u)
{
    u32 type = registry[ppn].type;
    if (!d->type[type].used || !d->type[type].fn[XOK_UDF_ACL])
        return xn_trusted(w);
    u->op = op;
    u->head = xn_page(ppn), u->head_len = XOK_BLOCK_SIZE;
    u->rights = w->rights, u->depth = w->depth;
    memcpy(u->name, w->component, sizeof u->name);
    u->time = xn_time();
    bool ok;
    return function_run(d, type, XOK_UDF_ACL, u, &ok) && ok;
}

// ---- differences
// ----------------------------------------------------------------------------------------- A
// multiset of (type, block) is a step function over block numbers. Two are equal when the heights
// of all steps cancel, position by position.
static struct step {
    u64 key;
    s64 delta;
} steps[2 * (2 * XOK_OWNS_MAX + XOK_CHANGE_CLAIMS)];
static u32 step_count;

static void step_put(u32 type, u64 block, u32 count, s64 delta)
{
    steps[step_count++] = (struct step){(u64)type << 58 | block, delta};
    steps[step_count++] = (struct step){(u64)type << 58 | (block + count), -delta};
}

static void sift(u32 at, u32 n)
{
    struct step v = steps[at];
    for (u32 child; (child = 2 * at + 1) < n; at = child) {
        if (child + 1 < n && steps[child + 1].key > steps[child].key)
            child++;
        if (steps[child].key <= v.key)
            break;
        steps[at] = steps[child];
    }
    steps[at] = v;
}

static void sort_steps(void)
{
    if (step_count <= 24) {
        for (u32 i = 1; i < step_count; i++) {
            struct step v = steps[i];
            u32 j = i;
            for (; j && steps[j - 1].key > v.key; j--)
                steps[j] = steps[j - 1];
            steps[j] = v;
        }
        return;
    }
    for (u32 i = step_count / 2; i--;)
        sift(i, step_count);
    for (u32 n = step_count - 1; n; n--) {
        struct step v = steps[0];
        steps[0] = steps[n];
        steps[n] = v;
        sift(0, n);
    }
}

static bool same(const struct xok_owns *a, const struct xok_owns *b)
{
    return a->block == b->block && a->count == b->count && a->type == b->type;
}

static void step_claim(struct disk *d, const struct xok_claim *c, u32 target)
{
    switch (c->kind) {
    case XOK_ALLOC:
    case XOK_LINK:
    case XOK_ATTACH:
        if (c->to == target)
            step_put(c->type, c->block, c->count, -1);
        break;
    case XOK_FREE:
        if (c->from == target)
            step_put(c->type, c->block, c->count, 1);
        break;
    case XOK_UNLINK:
        if (c->to == target)
            step_put(c->type, c->block, c->count, 1);
        break;
    case XOK_MOVE:
        if (c->from == target)
            step_put(c->type, c->block, c->count, 1);
        if (c->to == target)
            step_put(c->type, c->block, c->count, -1);
        break;
    case XOK_RETYPE:
        if (c->from == target) {
            step_put(d->map[c->block] & XOK_MAP_TYPE, c->block, c->count, 1);
            step_put(c->type, c->block, c->count, -1);
        }
        break;
    }
}

bool owns_differ_as(struct disk *d, const struct xok_owns *a, u32 na, const struct xok_owns *b,
                    u32 nb, const struct xok_claim *claims, u32 nclaims, u32 target)
{
    for (; na && nb && same(a, b); na--, nb--)
        a++, b++;
    for (; na && nb && same(&a[na - 1], &b[nb - 1]); na--, nb--)
        ;
    step_count = 0;
    for (u32 i = 0; i < na; i++)
        step_put(a[i].type, a[i].block, a[i].count, -1);
    for (u32 i = 0; i < nb; i++)
        step_put(b[i].type, b[i].block, b[i].count, 1);
    for (u32 i = 0; i < nclaims; i++)
        step_claim(d, &claims[i], target);
    sort_steps();
    for (u32 i = 0; i < step_count;) {
        s64 sum = 0;
        u64 key = steps[i].key;
        for (; i < step_count && steps[i].key == key; i++)
            sum += steps[i].delta;
        if (sum)
            return false;
    }
    return true;
}
