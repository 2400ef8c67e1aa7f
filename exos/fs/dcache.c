// Names in memory. The table grows one bucket at a time (linear hashing), so that a directory of a
// million names never makes one caller pay for all of them.
#include "fs/vfs.h"

enum { SEGMENT = PAGE / sizeof(struct dentry *), SEGMENTS = 8192 }; // 4 million buckets at most

struct lock ns_lock;
u64 ns_generation = 1;
static struct dentry **segments[SEGMENTS];
static u64 low, split; // buckets: low + split; low is a power of two, bucket split is halved next
static u64 names;

// Eight bytes at a time; the tail is read byte by byte because the text may end at a page's end.
u32 name_hash(const char *name, u32 len)
{
    u64 h = 0, v = 0;
    u32 left = len;
    for (; left >= 8; left -= 8, name += 8) {
        __builtin_memcpy(&v, name, 8);
        h = name_mix(h, v);
    }
    v = 0;
    for (u32 i = 0; i < left; i++)
        v |= (u64)(u8)name[i] << 8 * i;
    return name_mix_last(h, v, len);
}

static inline struct dentry **bucket(const struct dentry *parent, u32 hash)
{
    u64 h = (hash ^ ((u64)parent >> 5)) * 0x9e3779b97f4a7c15ul >> 20;
    u64 b = h & (2 * low - 1);
    if (b >= low + split)
        b &= low - 1;
    return &segments[b / SEGMENT][b % SEGMENT];
}

struct dentry **dentry_bucket(const struct dentry *parent, u32 hash)
{
    return low ? bucket(parent, hash) : NULL;
}

static struct dentry **segment_new(void)
{
    u64 ppn = page_get_zero();
    return ppn ? page_va(ppn) : NULL;
}

static void table_grow(void)
{
    u64 fresh = low + split;
    if (fresh / SEGMENT >= SEGMENTS)
        return;
    if (!segments[fresh / SEGMENT] && !(segments[fresh / SEGMENT] = segment_new()))
        return;
    struct dentry *d = segments[split / SEGMENT][split % SEGMENT];
    segments[split / SEGMENT][split % SEGMENT] = NULL;
    if (++split == low)
        low *= 2, split = 0;
    while (d) {
        struct dentry *next = d->hash_next;
        struct dentry **b = bucket(d->parent, d->hash);
        d->hash_next = *b;
        *b = d;
        d = next;
    }
}

struct dentry *dentry_find(struct dentry *parent, const char *name, u32 len, u32 hash)
{
    if (!low)
        return NULL;
    for (struct dentry *d = *bucket(parent, hash); d; d = d->hash_next)
        if (d->hash == hash && d->parent == parent && d->name_len == len && !memcmp(d->name, name, len))
            return d;
    return NULL;
}

struct dentry *dentry_new(struct dentry *parent, const char *name, u32 len, u32 hash)
{
    u32 room = (len + 8) & ~7u; // with its NUL, in whole words: path_peek compares by words
    struct dentry *d = heap_alloc(sizeof *d + room);
    if (!d)
        return NULL;
    d->name = d->small;
    d->room = room;
    d->parent = parent ? dentry_get(parent) : NULL;
    d->refs = 1;
    d->hash = hash;
    d->name_len = len;
    memcpy(d->name, name, len);
    list_init(&d->children);
    list_init(&d->sibling);
    return d;
}

void dentry_hash(struct dentry *d)
{
    if (!low) {
        segments[0] = segment_new();
        if (!segments[0])
            panic("no memory for the table of names");
        low = 1;
    }
    if (names++ > low + split)
        table_grow();
    struct dentry **b = bucket(d->parent, d->hash);
    d->hash_next = *b;
    *b = d;
    d->flags |= DENTRY_HASHED;
    d->cookie = d->parent->inode->next_cookie++;
    list_add_tail(&d->parent->children, &d->sibling);
    dentry_get(d);
}

void dentry_unhash(struct dentry *d)
{
    struct dentry **b = bucket(d->parent, d->hash);
    while (*b != d)
        b = &(*b)->hash_next;
    *b = d->hash_next;
    d->flags &= ~DENTRY_HASHED;
    list_del(&d->sibling);
    names--;
    ns_generation++;
    dentry_put(d);
}

void dentry_free(struct dentry *d)
{
    while (d) {
        struct dentry *parent = d->parent;
        if (d->inode)
            inode_put(d->inode);
        if (d->name != d->small)
            heap_free(d->name);
        heap_free(d);
        d = parent && !__atomic_sub_fetch(&parent->refs, 1, __ATOMIC_ACQ_REL) ? parent : NULL;
    }
}
