// Paths inside a root image, symbolic links followed as path_resolution(7) has it.
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include "xok.h"

struct way {
    const struct rootimg *image;
    const struct rootimg_inode *at;
    int links;
    int error;
};

static bool step(struct way *way, const char *name, size_t len, bool follow);

static bool go(struct way *way, const char *path, size_t len, bool follow_last)
{
    const char *end = path + len;
    if (len && *path == '/')
        way->at = ri_inode(way->image, ROOTIMG_ROOT);
    while (path < end) {
        if (*path == '/') {
            path++;
            continue;
        }
        size_t n = 0;
        while (path + n < end && path[n] != '/')
            n++;
        if (!step(way, path, n, path + n < end || follow_last))
            return false;
        path += n;
    }
    return true;
}

static bool fail(struct way *way, int error)
{
    way->error = error;
    return false;
}

static bool step(struct way *way, const char *name, size_t len, bool follow)
{
    const struct rootimg_inode *dir = way->at;
    if (!S_ISDIR(dir->mode))
        return fail(way, ENOTDIR);
    if (len == 1 && name[0] == '.')
        return true;
    if (len == 2 && name[0] == '.' && name[1] == '.') {
        way->at = ri_inode(way->image, dir->parent);
        return way->at ? true : fail(way, EIO);
    }
    const struct rootimg_dirent *e = ri_lookup(way->image, dir, name, len);
    if (!e)
        return fail(way, ENOENT);
    way->at = ri_inode(way->image, e->ino);
    if (!follow || !S_ISLNK(way->at->mode))
        return true;
    const char *target = ri_target(way->image, way->at);
    if (!target)
        return fail(way, EIO);
    if (++way->links > 40)
        return fail(way, ELOOP);
    u64 target_len = way->at->size;
    way->at = dir;
    return go(way, target, target_len, true);
}

const struct rootimg_inode *walk(const struct rootimg *image, const char *cwd, const char *path,
                                 bool follow, int *error)
{
    struct way way = {.image = image, .at = ri_inode(image, ROOTIMG_ROOT)};
    bool found = go(&way, cwd, strlen(cwd), true) && go(&way, path, strlen(path), follow);
    if (found && *path && path[strlen(path) - 1] == '/' && !S_ISDIR(way.at->mode))
        found = fail(&way, ENOTDIR);
    if (!*path)
        found = fail(&way, ENOENT);
    *error = way.error;
    return found ? way.at : NULL;
}

char *read_text(const struct rootimg *image, const char *path)
{
    int error;
    const struct rootimg_inode *inode = walk(image, "/", path, true, &error);
    const void *data = inode ? ri_data(image, inode) : NULL;
    if (!data)
        return NULL;
    char *text = make(inode->size + 1);
    memcpy(text, data, inode->size);
    return text;
}
