// Filters come and go: what a filter looks at, whose frames it takes, where it is kept.
#include "net/dpf.h"

enum { ETHERTYPE = 12, PROTOCOL4 = 23, PROTOCOL6 = 20 };

struct bits { // a filter by byte: FRAME bytes, then TRANSPORT bytes
    u8 mask[DPF_BYTES], value[DPF_BYTES];
    u32 count, class; // mask bits
};

static u64 random_next(struct dpf *d) // xorshift64* (Marsaglia 2003, Vigna 2014) on a secret seed
{
    d->random ^= d->random >> 12;
    d->random ^= d->random << 25;
    d->random ^= d->random >> 27;
    return d->random * 0x2545f4914f6cdd1d;
}

void dpf_init(struct dpf *d, struct xok_filter_info *filters, bool (*grow)(u32), u64 seed, u8 *text,
              const u8 *text_runs, u32 text_size)
{
    d->text = text, d->text_runs = text_runs, d->text_size = text_size;
    d->filter = filters;
    d->grow = grow;
    d->random = seed | 1;
    d->high = 1;
    for (u32 i = 0; i < XOK_NIC_MAX * 512; i++)
        d->entry[i / 512][i % 512].need = ~0ul;
    for (u32 i = 0; i < DPF_SHAPES; i++) {
        struct dpf_shape *s = &d->shape[i];
        for (u32 w = 0; w < DPF_WORDS; w++)
            s->mul[w] = random_next(d) | 1;
    }
}

// ---- what a filter looks at ----------------------------------------------------------------------------
static bool atom_add(struct bits *b, const struct xok_atom *a)
{
    u32 limit = a->base == XOK_ATOM_FRAME ? DPF_FRAME : DPF_TRANSPORT;
    if (a->base > XOK_ATOM_TRANSPORT || a->width < 1 || a->width > 8 || a->offset > limit - a->width ||
        a->value & ~a->mask || (a->width < 8 && a->mask >> 8 * a->width) || !a->mask)
        return false;
    u32 at = a->offset + (a->base == XOK_ATOM_FRAME ? 0 : DPF_FRAME);
    for (u32 i = 0; i < a->width; i++) {
        u8 mask = a->mask >> 8 * (a->width - 1 - i), value = a->value >> 8 * (a->width - 1 - i);
        if ((b->value[at + i] ^ value) & b->mask[at + i] & mask)
            return false; // two atoms that no frame satisfies
        b->mask[at + i] |= mask;
        b->value[at + i] |= value;
    }
    return true;
}

static u32 class_of(const struct bits *b)
{
    if (b->mask[ETHERTYPE] != 0xff || b->mask[ETHERTYPE + 1] != 0xff)
        return DPF_ANY;
    u32 type = b->value[ETHERTYPE] << 8 | b->value[ETHERTYPE + 1];
    if (type == 0x0800)
        return b->mask[PROTOCOL4] == 0xff ? 256u + b->value[PROTOCOL4] : DPF_V4;
    if (type == 0x86dd)
        return b->mask[PROTOCOL6] == 0xff ? 512u + b->value[PROTOCOL6] : DPF_V6;
    return DPF_ANY;
}

static bool bits_of(const struct xok_filter *f, struct bits *b)
{
    *b = (struct bits){0};
    if (f->count > XOK_FILTER_ATOMS)
        return false;
    for (u32 i = 0; i < f->count; i++)
        if (!atom_add(b, &f->atom[i]))
            return false;
    bool transport = false;
    for (u32 i = 0; i < DPF_BYTES; i++) {
        for (u8 m = b->mask[i]; m; m &= m - 1)
            b->count++;
        transport |= i >= DPF_FRAME && b->mask[i];
    }
    b->class = class_of(b);
    return !transport || b->class != DPF_ANY;
}

// ---- shapes --------------------------------------------------------------------------------------------------
// The bytes that the class has already compared.
static bool in_class(u32 class, u32 byte)
{
    if (class == DPF_ANY)
        return false;
    return byte == ETHERTYPE || byte == ETHERTYPE + 1 || (class >= 256 && class < 512 && byte == PROTOCOL4) ||
           (class >= 512 && class < 768 && byte == PROTOCOL6);
}

// Eight bytes from the first one looked at are a word; false: too many words.
static bool words_of(const struct bits *b, struct dpf_shape *s)
{
    s->words = 0, s->need[0] = s->need[1] = 0;
    for (u32 base = 0; base < 2; base++) {
        u32 from = base ? DPF_FRAME : 0, end = base ? DPF_BYTES : DPF_FRAME, open = 0;
        for (u32 i = from; i < end; i++) {
            if (!b->mask[i])
                continue;
            s->need[base] = i - from + 1;
            if (in_class(b->class, i))
                continue;
            if (i >= open || !s->words || s->base[s->words - 1] != base) {
                if (s->words == DPF_WORDS)
                    return false;
                s->base[s->words] = base;
                s->offset[s->words] = i - from;
                s->mask[s->words++] = 0;
                open = i + 8;
            }
            s->mask[s->words - 1] |= (u64)b->mask[i] << 8 * (i + 8 - open);
        }
    }
    return true;
}

static void key_of(const struct dpf_shape *s, const u8 *value, u64 *key)
{
    for (u32 w = 0; w < s->words; w++) {
        key[w] = 0;
        for (u32 k = 0; k < 8; k++) {
            u32 at = s->offset[w] + k + (s->base[w] ? DPF_FRAME : 0);
            if (at < DPF_BYTES)
                key[w] |= (u64)value[at] << 8 * k;
        }
        key[w] &= s->mask[w];
    }
}

static u32 *bucket_of(struct dpf *d, const struct dpf_shape *s, const u64 *key)
{
    u64 h = 0;
    for (u32 w = 0; w < s->words; w++)
        h += key[w] * s->mul[w];
    return &d->bucket[h >> (64 - DPF_BUCKET_BITS)];
}

static u32 find(struct dpf *d, const struct dpf_shape *s, const u64 *key)
{
    u32 x = *bucket_of(d, s, key);
    for (; x; x = d->link[x].next)
        if (d->filter[x].shape == s - d->shape && !__builtin_memcmp(d->filter[x].key, key, s->words * 8ul))
            break;
    return x;
}

static bool shape_same(const struct dpf_shape *s, u32 nic, const struct bits *b)
{
    return s->count && s->nic == nic && s->class == b->class && !__builtin_memcmp(s->bytes, b->mask, DPF_BYTES);
}

static bool class_has(u32 shape_class, u32 class)
{
    return shape_class == DPF_ANY || shape_class == class || (shape_class == DPF_V4 && class >> 8 == 1) ||
           (shape_class == DPF_V6 && class >> 8 == 2);
}

static bool before(const struct dpf_shape *a, const struct dpf_shape *b)
{
    if (a->bits != b->bits)
        return a->bits > b->bits;
    int order = __builtin_memcmp(a->bytes, b->bytes, DPF_BYTES); // any fixed order will do
    return order ? order < 0 : a->class < b->class;
}

static bool plan_make(struct dpf *d, u32 nic, u32 class, struct dpf_plan *p)
{
    p->count = p->need[0] = p->need[1] = 0;
    for (u32 i = 0; i < DPF_SHAPES; i++) {
        struct dpf_shape *s = &d->shape[i];
        if (!s->count || s->nic != nic || !class_has(s->class, class))
            continue;
        if (p->count == DPF_PLAN)
            return false;
        u32 at = p->count++;
        for (; at && before(s, p->shape[at - 1]); at--)
            p->shape[at] = p->shape[at - 1];
        p->shape[at] = s;
        for (u32 k = 0; k < 2; k++)
            p->need[k] = s->need[k] > p->need[k] ? s->need[k] : p->need[k];
    }
    return true;
}

// Makes the plans of all links anew, after a shape came or went. False: too many shapes for a class, or too
// many classes; the plans are then as good as gone until it is called again.
static bool plans_make(struct dpf *d)
{
    u32 used = 0;
    bool own[DPF_CLASSES];
    for (u32 nic = 0; nic < XOK_NIC_MAX; nic++) {
        __builtin_memset(own, 0, sizeof own);
        for (u32 i = 0; i < DPF_SHAPES; i++)
            if (d->shape[i].count && d->shape[i].nic == nic && d->shape[i].class < DPF_CLASSES)
                own[d->shape[i].class] = true;
        u32 rest[3] = {0};
        for (u32 c = 0; c < DPF_CLASSES; c++) {
            u32 *common = c && !own[c] ? &rest[c >> 8] : NULL;
            if (common && *common) {
                d->plan_of[nic][c] = *common - 1;
                continue;
            }
            if (c && c < 256)
                continue; // no such class
            if (used == DPF_PLANS || !plan_make(d, nic, c, &d->plan[used]))
                return false;
            if (common)
                *common = used + 1;
            d->plan_of[nic][c] = used++;
        }
    }
    dpf_compile(d, used);
    return true;
}

// ---- whose frames it takes -----------------------------------------------------------------------------------
// Does the new filter overlap with x of shape s? Byte 20 of IPv6 means what follows the fragment header where
// the class has it, so between different classes it proves nothing.
static bool overlaps(const struct dpf *d, const struct dpf_shape *s, u32 x, const struct bits *b)
{
    u8 value[DPF_BYTES] = {0};
    for (u32 w = 0; w < s->words; w++)
        for (u32 k = 0; k < 8; k++)
            if (s->mask[w] >> 8 * k & 0xff)
                value[s->offset[w] + k + (s->base[w] ? DPF_FRAME : 0)] = d->filter[x].key[w] >> 8 * k;
    for (u32 i = 0; i < DPF_BYTES; i++) {
        if (in_class(s->class, i) || (i == PROTOCOL6 && s->class != b->class))
            continue; // the classes are known to overlap
        if ((value[i] ^ b->value[i]) & s->bytes[i] & b->mask[i])
            return false;
    }
    return true;
}

static bool classes_overlap(u32 a, u32 b)
{
    if (a == DPF_ANY || b == DPF_ANY || a == b)
        return true;
    return class_has(a, b) || class_has(b, a);
}

struct theft { // a check under way
    bool (*may)(void *, u32);
    void *arg;
    bool covered; // some filter that the caller dominates claims all that the new one does
};

static bool may_beat(struct dpf *d, struct dpf_shape *s, const struct bits *b, struct theft *t)
{
    bool within = class_has(s->class, b->class) || s->class == b->class; // s looks at no bit that b does not
    for (u32 i = 0; within && i < DPF_BYTES; i++)
        within = !(s->bytes[i] & ~b->mask[i]);
    if (within) {
        u64 key[DPF_WORDS];
        key_of(s, b->value, key);
        u32 x = find(d, s, key);
        if (x && !t->may(t->arg, d->filter[x].owner))
            return false;
        t->covered |= x;
        return true;
    }
    for (u32 x = s->first; x; x = d->link[x].after)
        if (overlaps(d, s, x, b) && !t->may(t->arg, d->filter[x].owner))
            return false;
    return true;
}

// From the shapes that the new filter just beats downwards: what a filter covers wholly, no lesser one gets.
static bool may_add(struct dpf *d, u32 nic, const struct bits *b, struct theft *t)
{
    struct dpf_shape *order[DPF_SHAPES];
    u32 n = 0;
    if (t->may(t->arg, XOK_NAME_ROOT))
        return true;
    for (u32 i = 0; i < DPF_SHAPES; i++) {
        struct dpf_shape *s = &d->shape[i];
        if (!s->count || s->nic != nic || s->bits > b->count || !classes_overlap(s->class, b->class))
            continue;
        u32 at = n++;
        for (; at && before(s, order[at - 1]); at--)
            order[at] = order[at - 1];
        order[at] = s;
    }
    for (u32 i = 0; i < n && !t->covered; i++)
        if (!may_beat(d, order[i], b, t))
            return false;
    return t->covered; // else some of it is nobody's, so the root's
}

// ---- filters ---------------------------------------------------------------------------------------------------
static struct dpf_shape *shape_get(struct dpf *d, u32 nic, const struct bits *b)
{
    struct dpf_shape *free = NULL;
    for (u32 i = 0; i < DPF_SHAPES; i++) {
        if (shape_same(&d->shape[i], nic, b))
            return &d->shape[i];
        if (!d->shape[i].count)
            free = &d->shape[i];
    }
    if (!free || !words_of(b, free))
        return NULL;
    free->nic = nic;
    free->bits = b->count;
    free->class = b->class;
    free->first = 0;
    __builtin_memcpy(free->bytes, b->mask, DPF_BYTES);
    free->count = 1; // for the plans; filters are counted by the caller
    bool fits = plans_make(d);
    free->count = 0;
    if (!fits)
        plans_make(d);
    return fits ? free : NULL;
}

static u32 index_get(struct dpf *d)
{
    u32 x = d->free;
    if (x) {
        d->free = d->link[x].next;
        return x;
    }
    if (d->high == XOK_FILTER_MAX || !d->grow(d->high))
        return 0;
    d->link[d->high].generation = 1;
    return d->high++;
}

s64 dpf_add(struct dpf *d, u32 nic, const struct xok_filter *in, u32 ring, u32 owner, bool (*may)(void *, u32),
            void *arg)
{
    struct bits b;
    struct dpf_shape probe_shape;
    struct theft t = {may, arg, false};
    if (!bits_of(in, &b) || !words_of(&b, &probe_shape))
        return XOK_E_ARG;
    if (!may_add(d, nic, &b, &t))
        return XOK_E_CAP;
    struct dpf_shape *s = shape_get(d, nic, &b);
    if (!s)
        return XOK_E_FULL;
    u64 key[DPF_WORDS] = {0};
    key_of(s, b.value, key);
    u32 x = find(d, s, key);
    s64 error = x ? XOK_E_BUSY : XOK_E_FULL;
    if (x || !(x = index_get(d))) {
        if (!s->count)
            plans_make(d);
        return error;
    }
    struct xok_filter_info *f = &d->filter[x];
    struct dpf_links *l = &d->link[x];
    *f = (struct xok_filter_info){.id = d->link[x].generation << 16 | x, .owner = owner, .ring = ring,
                                  .tag = in->tag, .nic = nic, .shape = s - d->shape};
    __builtin_memcpy(f->key, key, sizeof key);
    u32 *head = bucket_of(d, s, key);
    l->next = *head;
    *head = x;
    l->before = 0, l->after = s->first;
    if (s->first)
        d->link[s->first].before = x;
    s->first = x;
    s->count++;
    d->count++;
    return f->id;
}

u32 dpf_find(const struct dpf *d, u64 id)
{
    u32 x = id & 0xffff;
    return id <= ~0u && x && x < d->high && d->filter[x].id == id ? x : 0;
}

void dpf_del(struct dpf *d, u32 x)
{
    struct xok_filter_info *f = &d->filter[x];
    struct dpf_links *l = &d->link[x];
    struct dpf_shape *s = &d->shape[f->shape];
    u32 *at = bucket_of(d, s, f->key);
    while (*at != x)
        at = &d->link[*at].next;
    *at = l->next;
    if (l->before)
        d->link[l->before].after = l->after;
    else
        s->first = l->after;
    if (l->after)
        d->link[l->after].before = l->before;
    *f = (struct xok_filter_info){0};
    l->generation = l->generation % 0xffff + 1;
    l->next = d->free;
    d->free = x;
    d->count--;
    if (!--s->count)
        plans_make(d);
}
