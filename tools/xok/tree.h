// A file tree on its way into an image: names over items, an item with several names is a hard
// link.
#ifndef XOK_TREE_H
#define XOK_TREE_H
#include "xok.h"

struct item;

struct name {
    char *text;
    u32 hash; // ri_hash
    struct item *item;
};

struct xattr {
    char *name;
    void *value;
    u32 value_len;
};

struct item {
    u32 mode, uid, gid, rdev;
    u32 links; // names
    u32 ino;   // given by the writer
    s64 mtime;
    u32 mtime_ns;
    u64 size;
    struct item *parent; // of a directory
    struct name *names;  // of a directory
    u32 name_count, name_room;
    char *target; // of a symbolic link
    // Content of a regular file: bytes of source_fd from source_off, or of the file source_path.
    char *source_path;
    int source_fd;
    u64 source_off;
    struct xattr *xattrs;
    u32 xattr_count;
};

struct tree {
    struct item *root;
    u64 item_count; // alive or not: an upper bound
    struct slot {   // every name, by directory and text
        struct item *dir;
        u32 index;
    } * table;
    u32 table_size, table_used;
};

void tree_init(struct tree *tree);
struct item *item_new(struct tree *tree, u32 mode); // mode with its type; owner 0, times 0
struct item *tree_find(struct tree *tree, struct item *dir, const char *name, size_t len);
// Puts item under a name, replacing what is there; a directory replacing a directory keeps its
// names. Returns the item that now has the name.
struct item *tree_put(struct tree *tree, struct item *dir, const char *name, size_t len,
                      struct item *item);
// Directory part of a path ("a/b/c": the item of a/b), through symbolic links that the tree itself
// holds; absent directories are made. *last is the last component, *len 0 for the root itself.
// NULL: the path has "..", or goes through something that is no directory.
struct item *tree_parent(struct tree *tree, const char *path, const char **last, size_t *len);
struct item *tree_lookup(struct tree *tree,
                         const char *path); // NULL if absent; no link at the end followed
void item_xattr(struct item *item, const char *name, const void *value, u32 len);
u32 rdev_encode(u32 major, u32 minor);

void tree_add_directory(struct tree *tree, const char *path);   // tree_dir.c
void tree_add_tar(struct tree *tree, int fd, const char *name); // tree_tar.c; fd may be a pipe
bool tar_looks_like(const u8 *block, size_t len);               // its first 512 bytes
void tree_write(struct tree *tree, int fd);         // tree_write.c: the image, at offset 0
void tree_own(struct tree *tree, u32 uid, u32 gid); // gives everything one owner

#endif
