// Checking a root image.
#define _GNU_SOURCE
#include "check.h"
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include "xok.h"

struct check {
    const struct rootimg *image;
    FILE *out;
    u64 faults;
    u32 *names;   // by inode number: names that lead to it
    u32 *subdirs; // by inode number: directories that have it as parent
};

static void __attribute__((format(printf, 3, 4)))
fault(struct check *c, u32 ino, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    fprintf(c->out, "inode %u: ", ino);
    vfprintf(c->out, format, args);
    fputc('\n', c->out);
    va_end(args);
    c->faults++;
}

static bool name_valid(const char *name, size_t len)
{
    return memchr(name, '/', len) == NULL && memchr(name, 0, len) == NULL && strcmp(name, ".") &&
           strcmp(name, "..");
}

static void check_directory(struct check *c, u32 ino, const struct rootimg_inode *dir)
{
    const struct rootimg *image = c->image;
    const struct rootimg_dirent *last = NULL;
    if (ri_count(image, dir) != dir->count)
        fault(c, ino, "its entries lie outside the table");
    for (u32 i = 0; i < ri_count(image, dir); i++) {
        const struct rootimg_dirent *e = ri_entry(image, dir, i);
        if (!e) {
            fault(c, ino, "entry %u is damaged", i);
            last = NULL;
            continue;
        }
        const char *name = ri_name(image, e);
        const struct rootimg_inode *to = ri_inode(image, e->ino);
        if (!name_valid(name, e->name_len))
            fault(c, ino, "entry %u has an impossible name", i);
        if (e->hash != ri_hash(name, e->name_len))
            fault(c, ino, "entry \"%s\" has a wrong hash", name);
        if (last && (last->hash > e->hash ||
                     (last->hash == e->hash && strcmp(ri_name(image, last), name) >= 0)))
            fault(c, ino, "entry \"%s\" is out of order", name);
        if (e->type != (to->mode & S_IFMT) >> 12)
            fault(c, ino, "entry \"%s\" has a wrong type", name);
        if (S_ISDIR(to->mode) && to->parent != ino)
            fault(c, ino, "directory \"%s\" has another parent", name);
        c->names[e->ino]++;
        if (S_ISDIR(to->mode))
            c->subdirs[ino]++;
        last = e;
    }
}

static void check_content(struct check *c, u32 ino, const struct rootimg_inode *inode)
{
    const u8 *data = ri_data(c->image, inode);
    if (!data) {
        fault(c, ino, "its content lies outside the image");
        return;
    }
    for (u64 i = inode->size; i % XOK_PAGE_SIZE; i++)
        if (data[i]) {
            fault(c, ino, "the padding of its content is not zero");
            return;
        }
}

static void check_links(struct check *c, u32 ino, const struct rootimg_inode *inode)
{
    bool is_dir = S_ISDIR(inode->mode);
    if (c->names[ino] != 1 && (is_dir || !c->names[ino]) && ino != ROOTIMG_ROOT)
        fault(c, ino, "%u names", c->names[ino]);
    u32 links = is_dir ? 2 + c->subdirs[ino] : c->names[ino];
    if (inode->nlink != links)
        fault(c, ino, "link count %u, should be %u", inode->nlink, links);
    // Every directory has one name, so following the parents ends at the root or goes round.
    const struct rootimg_inode *up = inode;
    for (u32 steps = 0; is_dir && ri_number(c->image, up) != ROOTIMG_ROOT; steps++) {
        up = ri_inode(c->image, up->parent);
        if (!up || !S_ISDIR(up->mode) || steps > 256) {
            fault(c, ino, "does not hang below the root");
            return;
        }
    }
}

static void check_inode(struct check *c, u32 ino, const struct rootimg_inode *inode)
{
    u32 n = 0;
    if (inode->mtime_ns >= 1000000000)
        fault(c, ino, "time out of range");
    while (ri_xattr(c->image, inode, n))
        n++;
    if (inode->xattr && !n)
        fault(c, ino, "its attributes are damaged");
    switch (inode->mode & S_IFMT) {
    case S_IFDIR: check_directory(c, ino, inode); break;
    case S_IFREG: check_content(c, ino, inode); break;
    case S_IFLNK:
        if (!ri_target(c->image, inode))
            fault(c, ino, "its target is damaged");
        break;
    case S_IFCHR:
    case S_IFBLK:
    case S_IFIFO:
    case S_IFSOCK: break;
    default: fault(c, ino, "unknown type %o", inode->mode);
    }
}

u64 image_check(const struct rootimg *image, FILE *out)
{
    u64 count = image->super->inode_count;
    struct check c = {.image = image, .out = out};
    c.names = make((count + 1) * sizeof *c.names);
    c.subdirs = make((count + 1) * sizeof *c.subdirs);
    if (ri_inode(image, ROOTIMG_ROOT)->parent != ROOTIMG_ROOT)
        fault(&c, ROOTIMG_ROOT, "the root's parent is not itself");
    for (u64 ino = 1; ino <= count; ino++)
        check_inode(&c, ino, ri_inode(image, ino));
    for (u64 ino = 1; ino <= count; ino++)
        check_links(&c, ino, ri_inode(image, ino));
    free(c.names), free(c.subdirs);
    return c.faults;
}
