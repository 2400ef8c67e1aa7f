// The common walk, eight bytes of the name at a time: names that are in memory, directories that anybody may
// search, no symbolic link to follow, no "..". walk.c does the rest.
#include "fs/vfs.h"

#define ONES 0x0101010101010101ul
#define HIGHS (ONES << 7)

struct part {
    const char *name;
    u32 len, hash;
};

// The bit 7 of the lowest byte that is zero, and perhaps others above it.
static inline u64 zero_bytes(u64 v)
{
    return (v - ONES) & ~v & HIGHS;
}

// Eight bytes of a text; what comes after its end is anything. Never reads from the page after the text's.
static inline u64 word_at(const char *p)
{
    u64 v = 0;
    if (__builtin_expect(((u64)p & (PAGE - 1)) <= PAGE - 8, 1)) {
        __builtin_memcpy(&v, p, 8);
        return v;
    }
    for (int i = 0; i < 8 && p[i]; i++)
        v |= (u64)(u8)p[i] << 8 * i;
    return v;
}

// Cuts a component; returns what follows it, a slash or the end.
static inline const char *part_cut(const char *p, struct part *c)
{
    u64 h = 0;
    c->name = p;
    for (;; p += 8) {
        u64 v = word_at(p), stop = zero_bytes(v) | zero_bytes(v ^ ONES * '/');
        if (stop) {
            u32 n = __builtin_ctzl(stop) / 8;
            p += n;
            c->len = p - c->name;
            c->hash = name_mix_last(h, v & ((1ul << 8 * n) - 1), c->len);
            return p;
        }
        h = name_mix(h, v);
    }
}

static inline bool same(const struct dentry *d, const struct part *c)
{
    const char *a = d->name, *b = c->name;
    u32 n = c->len;
    u64 v;
    for (; n >= 8; n -= 8, a += 8, b += 8)
        if (__builtin_memcpy(&v, a, 8), v != word_at(b))
            return false;
    if (!n)
        return true;
    __builtin_memcpy(&v, a, 8); // room for a name is in whole words
    return !((v ^ word_at(b)) << (64 - 8 * n));
}

static inline struct dentry *find(const struct dentry *dir, const struct part *c)
{
    struct dentry **b = dentry_bucket(dir, c->hash);
    struct dentry *d = b ? *b : NULL;
    while (d && !(d->hash == c->hash && d->parent == dir && d->name_len == c->len && same(d, c)))
        d = d->hash_next;
    return d;
}

static inline bool special(const struct part *c)
{
    return c->len > NAME_MAX || (c->name[0] == '.' && (c->len == 1 || (c->len == 2 && c->name[1] == '.')));
}

// 1 and *p, 0, or an error. Under ns_lock.
static s64 run(struct path *p, const char *at, u32 flags)
{
    while (*at == '/')
        at++;
    while (*at) {
        struct inode *dir = p->d->inode;
        struct part c;
        if (!S_ISDIR(dir->mode) || (dir->mode & 0111) != 0111 || dir->ops->lookup)
            return 0;
        const char *end = part_cut(at, &c);
        if (special(&c))
            return 0;
        struct dentry *d = find(p->d, &c);
        if (!d)
            return *end || dir->lower ? 0 : -ENOENT;
        bool slash = *end == '/';
        if (!d->inode || (S_ISLNK(d->inode->mode) && (slash || (flags & WALK_FOLLOW))))
            return 0;
        p->d = d;
        walk_cross(p);
        for (at = end; *at == '/'; at++)
            ;
        if (!*at && (slash || (flags & WALK_DIR)) && !S_ISDIR(p->d->inode->mode))
            return -ENOTDIR;
    }
    return 1;
}

s64 path_peek(int dirfd, const char *name, u32 flags, struct path *out)
{
    struct fsctx *fs = proc_self()->fs;
    struct file *f = NULL;
    bool owned = false;
    if (!*name || flags >> WALK_RESOLVE_SHIFT)
        return 0;
    if (*name != '/' && dirfd != AT_FDCWD) {
        f = fd_borrow(dirfd, &owned);
        if (!f || owned || !f->dentry) {
            if (f)
                fd_return(f, owned);
            return 0;
        }
    }
    lock_take(&ns_lock);
    struct path p = f ? (struct path){f->mnt, f->dentry} : *name == '/' ? fs->root : fs->cwd;
    s64 r = run(&p, name, flags);
    if (r != 1) {
        lock_drop(&ns_lock);
        return r;
    }
    *out = p;
    return 1;
}
