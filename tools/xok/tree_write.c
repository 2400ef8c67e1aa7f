// A tree written as a root image. The same tree gives the same bytes: order comes from the names
// alone.
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "tree.h"

struct area { // bytes that grow
    char *data;
    u64 size, room;
};

struct writer {
    struct item **items; // by ino - 1
    u32 count;
    struct rootimg_inode *inodes;
    struct rootimg_dirent *dirents;
    u64 dirent_count, dirent_room;
    struct area names, xattrs, targets;
};

static u64 area_add(struct area *a, const void *data, u64 len)
{
    if (a->size + len > a->room) {
        a->room = (a->size + len) * 2;
        a->data = grow(a->data, a->room);
    }
    if (len)
        memcpy(a->data + a->size, data, len);
    a->size += len;
    return a->size - len;
}

static u64 up(u64 n, u64 unit)
{
    return (n + unit - 1) / unit * unit;
}

static int name_order(const void *a, const void *b)
{
    const struct name *x = a, *y = b;
    if (x->hash != y->hash)
        return x->hash < y->hash ? -1 : 1;
    return strcmp(x->text, y->text);
}

// Numbers the items breadth first, so that a directory's own inodes lie together.
static void number_items(struct writer *w, struct tree *tree)
{
    w->items = make((tree->item_count + 1) * sizeof *w->items);
    w->items[w->count++] = tree->root;
    tree->root->ino = ROOTIMG_ROOT;
    for (u32 i = 0; i < w->count; i++) {
        struct item *dir = w->items[i];
        if (dir->name_count)
            qsort(dir->names, dir->name_count, sizeof *dir->names, name_order);
        for (u32 n = 0; n < dir->name_count; n++) {
            struct item *item = dir->names[n].item;
            if (item->ino)
                continue;
            w->items[w->count++] = item;
            item->ino = w->count;
        }
    }
}

static u32 subdirectories(const struct item *dir)
{
    u32 n = 0;
    for (u32 i = 0; i < dir->name_count; i++)
        n += S_ISDIR(dir->names[i].item->mode);
    return n;
}

static void add_entries(struct writer *w, struct rootimg_inode *inode, const struct item *dir)
{
    inode->first = w->dirent_count;
    inode->count = dir->name_count;
    if (w->dirent_count + dir->name_count > UINT32_MAX)
        die("too many names for an image");
    while (w->dirent_count + dir->name_count > w->dirent_room) {
        w->dirent_room = w->dirent_room ? w->dirent_room * 2 : 1024;
        w->dirents = grow(w->dirents, w->dirent_room * sizeof *w->dirents);
    }
    for (u32 i = 0; i < dir->name_count; i++) {
        const struct name *n = &dir->names[i];
        size_t len = strlen(n->text);
        if (!len || len > ROOTIMG_NAME_MAX || w->names.size > UINT32_MAX - 256)
            die("%s: the name cannot be stored", n->text);
        w->dirents[w->dirent_count++] = (struct rootimg_dirent){
            .hash = n->hash,
            .ino = n->item->ino,
            .name = area_add(&w->names, n->text, len + 1),
            .name_len = len,
            .type = (n->item->mode & S_IFMT) >> 12,
        };
    }
}

static u32 add_xattrs(struct writer *w, const struct item *item)
{
    if (!item->xattr_count)
        return 0;
    u64 at = area_add(&w->xattrs, &item->xattr_count, 4);
    for (u32 i = 0; i < item->xattr_count; i++) {
        const struct xattr *x = &item->xattrs[i];
        struct rootimg_xattr head = {x->value_len, strlen(x->name)};
        area_add(&w->xattrs, &head, sizeof head);
        area_add(&w->xattrs, x->name, head.name_len);
        area_add(&w->xattrs, x->value, x->value_len);
        area_add(&w->xattrs, "\0\0\0", up(w->xattrs.size, 4) - w->xattrs.size);
    }
    if (w->xattrs.size - at > ROOTIMG_XATTRS_MAX || w->xattrs.size > UINT32_MAX - 1)
        die("too many extended attributes for an image");
    return at + 1;
}

static void fill_inodes(struct writer *w)
{
    w->inodes = make(w->count * sizeof *w->inodes);
    for (u32 i = 0; i < w->count; i++) {
        const struct item *item = w->items[i];
        struct rootimg_inode *inode = &w->inodes[i];
        *inode = (struct rootimg_inode){
            .mode = item->mode,
            .uid = item->uid,
            .gid = item->gid,
            .nlink = item->links,
            .size = item->size,
            .mtime = item->mtime,
            .mtime_ns = item->mtime_ns,
            .rdev = item->rdev,
            .xattr = add_xattrs(w, item),
        };
        if (S_ISDIR(item->mode)) {
            inode->size = 0;
            inode->nlink = 2 + subdirectories(item);
            inode->parent = item->parent->ino;
            add_entries(w, inode, item);
        } else if (S_ISLNK(item->mode)) {
            inode->size = strlen(item->target);
            if (!inode->size || inode->size > ROOTIMG_TARGET_MAX)
                die("a symbolic link has a target of %lu bytes", inode->size);
            inode->data = area_add(&w->targets, item->target, inode->size + 1);
        }
    }
}

// Places every table and file; returns the superblock.
static struct rootimg_super lay_out(struct writer *w)
{
    struct rootimg_super s = {
        .magic = ROOTIMG_MAGIC, .version = ROOTIMG_VERSION, .inode_count = w->count};
    s.inode_off = sizeof s;
    s.dirent_off = s.inode_off + w->count * sizeof *w->inodes;
    s.dirent_count = w->dirent_count;
    s.name_off = s.dirent_off + w->dirent_count * sizeof *w->dirents;
    s.name_size = w->names.size;
    s.xattr_off = up(s.name_off + s.name_size, 4);
    s.xattr_size = w->xattrs.size;
    u64 targets = s.xattr_off + s.xattr_size, at = up(targets + w->targets.size, XOK_PAGE_SIZE);
    for (u32 i = 0; i < w->count; i++) {
        if (S_ISLNK(w->inodes[i].mode)) {
            w->inodes[i].data += targets;
        } else if (S_ISREG(w->inodes[i].mode) && w->inodes[i].size) {
            w->inodes[i].data = at;
            at += up(w->inodes[i].size, XOK_PAGE_SIZE);
        }
    }
    s.total_size = at;
    return s;
}

static void put(int fd, const void *data, u64 len)
{
    if (!write_all(fd, data, len))
        die("writing the image: %s", strerror(errno));
}

static void write_content(int fd, const struct item *item)
{
    int from = item->source_fd;
    if (item->source_path) {
        from = open(item->source_path, O_RDONLY | O_CLOEXEC);
        if (from < 0)
            die("%s: %s", item->source_path, strerror(errno));
    }
    if (!copy_bytes(from, item->source_off, fd, item->size))
        die("%s: ended early", item->source_path ? item->source_path : "the archive");
    pad_to(fd, item->size, up(item->size, XOK_PAGE_SIZE));
    if (item->source_path)
        close(from);
}

void tree_write(struct tree *tree, int fd)
{
    struct writer w = {0};
    number_items(&w, tree);
    fill_inodes(&w);
    struct rootimg_super s = lay_out(&w);
    put(fd, &s, sizeof s);
    put(fd, w.inodes, w.count * sizeof *w.inodes);
    put(fd, w.dirents, w.dirent_count * sizeof *w.dirents);
    put(fd, w.names.data, w.names.size);
    pad_to(fd, s.name_off + s.name_size, s.xattr_off);
    put(fd, w.xattrs.data, w.xattrs.size);
    put(fd, w.targets.data, w.targets.size);
    u64 at = s.xattr_off + s.xattr_size + w.targets.size;
    pad_to(fd, at, up(at, XOK_PAGE_SIZE));
    for (u32 i = 0; i < w.count; i++)
        if (S_ISREG(w.items[i]->mode) && w.items[i]->size)
            write_content(fd, w.items[i]);
    free(w.items), free(w.inodes), free(w.dirents);
    free(w.names.data), free(w.xattrs.data), free(w.targets.data);
}
