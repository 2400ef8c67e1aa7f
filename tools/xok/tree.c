// Trees: names, links, lookup.
#define _GNU_SOURCE
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include "tree.h"

void tree_init(struct tree *tree)
{
    *tree = (struct tree){.table_size = 1024};
    tree->table = make(tree->table_size * sizeof *tree->table);
    tree->root = item_new(tree, S_IFDIR | 0755);
    tree->root->parent = tree->root;
}

struct item *item_new(struct tree *tree, u32 mode)
{
    struct item *item = make(sizeof *item);
    item->mode = mode;
    item->source_fd = -1;
    tree->item_count++;
    return item;
}

u32 rdev_encode(u32 major, u32 minor)
{
    return (minor & 0xff) | major << 8 | (minor & 0xfff00) << 12;
}

static struct slot *slot_of(struct tree *tree, struct item *dir, const char *name, size_t len,
                            u32 hash)
{
    u64 start = (hash ^ (u64)dir >> 4) * 0x9e3779b97f4a7c15ul >> 32;
    for (u32 i = start;; i++) {
        struct slot *s = &tree->table[i & (tree->table_size - 1)];
        if (!s->dir)
            return s;
        const struct name *n = &s->dir->names[s->index];
        if (s->dir == dir && n->hash == hash && strlen(n->text) == len &&
            !memcmp(n->text, name, len))
            return s;
    }
}

static void table_grow(struct tree *tree)
{
    struct slot *old = tree->table;
    u32 size = tree->table_size;
    tree->table_size *= 2;
    tree->table = make(tree->table_size * sizeof *tree->table);
    for (u32 i = 0; i < size; i++) {
        if (!old[i].dir)
            continue;
        const struct name *n = &old[i].dir->names[old[i].index];
        *slot_of(tree, old[i].dir, n->text, strlen(n->text), n->hash) = old[i];
    }
    free(old);
}

struct item *tree_find(struct tree *tree, struct item *dir, const char *name, size_t len)
{
    struct slot *s = slot_of(tree, dir, name, len, ri_hash(name, len));
    return s->dir ? dir->names[s->index].item : NULL;
}

static void item_take_meta(struct item *to, const struct item *from)
{
    to->mode = from->mode, to->uid = from->uid, to->gid = from->gid;
    to->mtime = from->mtime, to->mtime_ns = from->mtime_ns;
    to->xattrs = from->xattrs, to->xattr_count = from->xattr_count;
}

struct item *tree_put(struct tree *tree, struct item *dir, const char *name, size_t len,
                      struct item *item)
{
    u32 hash = ri_hash(name, len);
    struct slot *s = slot_of(tree, dir, name, len, hash);
    if (s->dir) {
        struct name *n = &dir->names[s->index];
        if (n->item == item)
            return item;
        if (S_ISDIR(n->item->mode) && S_ISDIR(item->mode)) {
            item_take_meta(n->item, item);
            return n->item;
        }
        n->item->links--;
        n->item = item;
    } else {
        if (dir->name_count == dir->name_room) {
            dir->name_room = dir->name_room ? dir->name_room * 2 : 8;
            dir->names = grow(dir->names, dir->name_room * sizeof *dir->names);
        }
        char *text = make(len + 1);
        memcpy(text, name, len);
        dir->names[dir->name_count] = (struct name){text, hash, item};
        *s = (struct slot){dir, dir->name_count++};
        if (++tree->table_used * 2 > tree->table_size)
            table_grow(tree);
    }
    item->links++;
    if (S_ISDIR(item->mode))
        item->parent = dir;
    return item;
}

// One step down; makes a directory where there is nothing. Follows links by walking their text.
static struct item *step(struct tree *tree, struct item *dir, const char *name, size_t len,
                         int *links)
{
    if (len == 1 && name[0] == '.')
        return dir;
    if (len == 2 && name[0] == '.' && name[1] == '.')
        return dir->parent;
    struct item *next = tree_find(tree, dir, name, len);
    if (!next)
        return tree_put(tree, dir, name, len, item_new(tree, S_IFDIR | 0755));
    if (S_ISDIR(next->mode))
        return next;
    if (!S_ISLNK(next->mode) || ++*links > 40)
        return NULL;
    struct item *at = next->target[0] == '/' ? tree->root : dir;
    for (const char *p = next->target; at && *p; p += strcspn(p, "/")) {
        p += strspn(p, "/");
        if (*p)
            at = step(tree, at, p, strcspn(p, "/"), links);
    }
    return at;
}

struct item *tree_parent(struct tree *tree, const char *path, const char **last, size_t *len)
{
    struct item *dir = tree->root;
    int links = 0;
    *last = "", *len = 0;
    for (const char *p = path;;) {
        p += strspn(p, "/");
        size_t n = strcspn(p, "/");
        if (n == 1 && p[0] == '.') {
            p++;
            continue;
        }
        if (n == 2 && !memcmp(p, "..", 2))
            return NULL;
        if (!n)
            return dir;
        if (*len && !(dir = step(tree, dir, *last, *len, &links)))
            return NULL;
        *last = p, *len = n;
        p += n;
    }
}

struct item *tree_lookup(struct tree *tree, const char *path)
{
    const char *last;
    size_t len;
    struct item *dir = tree_parent(tree, path, &last, &len);
    return dir && len ? tree_find(tree, dir, last, len) : dir;
}

void item_xattr(struct item *item, const char *name, const void *value, u32 len)
{
    item->xattrs = grow(item->xattrs, (item->xattr_count + 1) * sizeof *item->xattrs);
    struct xattr *x = &item->xattrs[item->xattr_count++];
    x->name = format("%s", name);
    x->value = make(len);
    x->value_len = len;
    memcpy(x->value, value, len);
}

static void own(struct item *item, u32 uid, u32 gid)
{
    item->uid = uid, item->gid = gid;
    for (u32 i = 0; i < item->name_count; i++)
        own(item->names[i].item, uid, gid);
}

void tree_own(struct tree *tree, u32 uid, u32 gid)
{
    own(tree->root, uid, gid);
}
