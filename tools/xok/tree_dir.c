// A tree from a directory of the host.
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <search.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <unistd.h>
#include "tree.h"

struct seen { // an inode with several names
    dev_t dev;
    ino_t ino;
    struct item *item;
};

struct scan {
    struct tree *tree;
    dev_t dev;  // the file system of the start: what is mounted inside stays out
    void *seen; // tsearch tree
};

static int seen_compare(const void *a, const void *b)
{
    const struct seen *x = a, *y = b;
    if (x->dev != y->dev)
        return x->dev < y->dev ? -1 : 1;
    return (x->ino > y->ino) - (x->ino < y->ino);
}

static void take_stat(struct item *item, const struct stat *st)
{
    item->mode = st->st_mode;
    item->uid = st->st_uid, item->gid = st->st_gid;
    item->mtime = st->st_mtim.tv_sec, item->mtime_ns = st->st_mtim.tv_nsec;
    if (S_ISCHR(st->st_mode) || S_ISBLK(st->st_mode))
        item->rdev = rdev_encode(major(st->st_rdev), minor(st->st_rdev));
    if (S_ISREG(st->st_mode) || S_ISLNK(st->st_mode))
        item->size = st->st_size;
}

static void take_xattrs(struct item *item, const char *path)
{
    char names[65536], value[65536];
    ssize_t n = llistxattr(path, names, sizeof names);
    for (const char *p = names; n > 0 && p < names + n; p += strlen(p) + 1) {
        ssize_t len = lgetxattr(path, p, value, sizeof value);
        if (len >= 0)
            item_xattr(item, p, value, len);
    }
}

static struct item *take_item(struct scan *scan, const char *path, const struct stat *st)
{
    struct seen *key = NULL;
    if (!S_ISDIR(st->st_mode) && st->st_nlink > 1) {
        key = make(sizeof *key);
        *key = (struct seen){st->st_dev, st->st_ino, NULL};
        struct seen **found = tsearch(key, &scan->seen, seen_compare);
        if (*found != key) {
            free(key);
            return (*found)->item;
        }
    }
    struct item *item = item_new(scan->tree, st->st_mode);
    take_stat(item, st);
    take_xattrs(item, path);
    if (S_ISREG(st->st_mode))
        item->source_path = format("%s", path);
    if (S_ISLNK(st->st_mode)) {
        char target[PATH_MAX];
        ssize_t n = readlink(path, target, sizeof target - 1);
        if (n < 0)
            die("%s: %s", path, strerror(errno));
        target[n] = 0;
        item->target = format("%s", target);
        item->size = n;
    }
    if (key)
        key->item = item;
    return item;
}

static void scan_directory(struct scan *scan, struct item *dir, const char *path)
{
    DIR *d = opendir(path);
    if (!d)
        die("%s: %s", path, strerror(errno));
    struct dirent *e;
    while ((errno = 0, e = readdir(d))) {
        if (!strcmp(e->d_name, ".") || !strcmp(e->d_name, ".."))
            continue;
        char *name = path_join(path, e->d_name);
        struct stat st;
        if (lstat(name, &st) < 0)
            die("%s: %s", name, strerror(errno));
        struct item *item = take_item(scan, name, &st);
        item = tree_put(scan->tree, dir, e->d_name, strlen(e->d_name), item);
        if (S_ISDIR(st.st_mode) && st.st_dev == scan->dev)
            scan_directory(scan, item, name);
        free(name);
    }
    if (errno)
        die("%s: %s", path, strerror(errno));
    closedir(d);
}

void tree_add_directory(struct tree *tree, const char *path)
{
    struct stat st;
    if (stat(path, &st) < 0)
        die("%s: %s", path, strerror(errno));
    struct scan scan = {.tree = tree, .dev = st.st_dev};
    take_stat(tree->root, &st);
    scan_directory(&scan, tree->root, path);
    tdestroy(scan.seen, free);
}
