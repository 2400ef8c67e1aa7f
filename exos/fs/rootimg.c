// Reading the root image. Compiled for ExOS and for the host.
#include "fs/rootimg.h"

enum { TYPE_MASK = 0170000, TYPE_DIR = 0040000, TYPE_REG = 0100000, TYPE_LINK = 0120000 };

static bool inside(u64 off, u64 len, u64 size)
{
    return off <= size && len <= size - off;
}

bool ri_open(struct rootimg *image, const void *base, u64 size)
{
    const struct rootimg_super *s = base;
    if ((u64)base % 8 || size < sizeof *s || s->magic != ROOTIMG_MAGIC ||
        s->version != ROOTIMG_VERSION)
        return false;
    u64 total = s->total_size;
    if (total > size || total < sizeof *s || total % XOK_PAGE_SIZE || !s->inode_count)
        return false;
    if (s->inode_off % 64 ||
        !inside(s->inode_off, s->inode_count * sizeof(struct rootimg_inode), total))
        return false;
    if (s->dirent_count > total / sizeof(struct rootimg_dirent) || s->dirent_off % 16 ||
        !inside(s->dirent_off, s->dirent_count * sizeof(struct rootimg_dirent), total))
        return false;
    if (!inside(s->name_off, s->name_size, total) || s->xattr_off % 4 ||
        !inside(s->xattr_off, s->xattr_size, total))
        return false;
    *image = (struct rootimg){
        .base = base,
        .size = total,
        .super = s,
        .inodes = (const void *)((const u8 *)base + s->inode_off),
        .dirents = (const void *)((const u8 *)base + s->dirent_off),
        .names = (const char *)base + s->name_off,
    };
    return (image->inodes[0].mode & TYPE_MASK) == TYPE_DIR;
}

const struct rootimg_inode *ri_inode(const struct rootimg *image, u32 ino)
{
    return ino && ino <= image->super->inode_count ? &image->inodes[ino - 1] : NULL;
}

u32 ri_count(const struct rootimg *image, const struct rootimg_inode *dir)
{
    bool is_dir = (dir->mode & TYPE_MASK) == TYPE_DIR;
    return is_dir && inside(dir->first, dir->count, image->super->dirent_count) ? dir->count : 0;
}

static bool entry_valid(const struct rootimg *image, const struct rootimg_dirent *e)
{
    return e->name_len && inside(e->name, e->name_len + 1ul, image->super->name_size) &&
           !image->names[e->name + e->name_len] && ri_inode(image, e->ino);
}

// Below, equal or above 0 as the entry's place is before, at or after the name's.
static int entry_compare(const struct rootimg *image, const struct rootimg_dirent *e, u32 hash,
                         const char *name, size_t len)
{
    if (e->hash != hash)
        return e->hash < hash ? -1 : 1;
    const u8 *a = (const u8 *)ri_name(image, e), *b = (const u8 *)name;
    for (size_t i = 0; i < len && i < e->name_len; i++)
        if (a[i] != b[i])
            return a[i] < b[i] ? -1 : 1;
    return (e->name_len > len) - (e->name_len < len);
}

const struct rootimg_dirent *ri_lookup(const struct rootimg *image, const struct rootimg_inode *dir,
                                       const char *name, size_t len)
{
    u32 low = 0, high = ri_count(image, dir), hash = high ? ri_hash(name, len) : 0;
    while (low < high) {
        u32 middle = low + (high - low) / 2;
        const struct rootimg_dirent *e = &image->dirents[dir->first + middle];
        if (!entry_valid(image, e))
            return NULL;
        int order = entry_compare(image, e, hash, name, len);
        if (!order)
            return e;
        if (order < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return NULL;
}

const struct rootimg_dirent *ri_entry(const struct rootimg *image, const struct rootimg_inode *dir,
                                      u64 n)
{
    if (n >= ri_count(image, dir))
        return NULL;
    const struct rootimg_dirent *e = &image->dirents[dir->first + n];
    return entry_valid(image, e) ? e : NULL;
}

const void *ri_data(const struct rootimg *image, const struct rootimg_inode *inode)
{
    // The image's size is whole pages, so content inside it has its padding inside it as well.
    bool valid = (inode->mode & TYPE_MASK) == TYPE_REG && !(inode->data % XOK_PAGE_SIZE) &&
                 inside(inode->data, inode->size, image->size);
    return valid ? image->base + inode->data : NULL;
}

const char *ri_target(const struct rootimg *image, const struct rootimg_inode *inode)
{
    if ((inode->mode & TYPE_MASK) != TYPE_LINK || !inode->size ||
        inode->size > ROOTIMG_TARGET_MAX || !inside(inode->data, inode->size + 1, image->size))
        return NULL;
    const char *target = (const char *)image->base + inode->data;
    return target[inode->size] ? NULL : target;
}

const struct rootimg_xattr *ri_xattr(const struct rootimg *image, const struct rootimg_inode *inode,
                                     u32 n)
{
    u64 size = image->super->xattr_size, at = inode->xattr - 1ul;
    const u8 *area = image->base + image->super->xattr_off;
    if (!inode->xattr || at % 4 || !inside(at, 4, size))
        return NULL;
    if (size - at > ROOTIMG_XATTRS_MAX)
        size = at + ROOTIMG_XATTRS_MAX;
    u32 count = *(const u32 *)(area + at);
    if (n >= count)
        return NULL;
    at += 4;
    for (u32 i = 0;; i++) {
        if (!inside(at, sizeof(struct rootimg_xattr), size))
            return NULL;
        const struct rootimg_xattr *x = (const void *)(area + at);
        u64 bytes = (u64)x->name_len + x->value_len;
        if (!x->name_len || x->name_len > ROOTIMG_NAME_MAX || !inside(at + sizeof *x, bytes, size))
            return NULL;
        if (i == n)
            return x;
        at += (sizeof *x + bytes + 3) & ~3ul;
    }
}
