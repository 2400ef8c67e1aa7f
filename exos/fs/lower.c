// The root image below the first memory file system, used in place: a page of a file that was never
// changed is the boot module's own page.
#include "fs/rootimg.h"
#include "fs/vfs.h"

static struct rootimg image;
static u64 known; // image inode number -> struct inode of one with several names (page tree), ns_lock

void lower_start(const void *base, u64 size)
{
    if (!ri_open(&image, base, size))
        panic("the root image is damaged");
}

const struct rootimg_inode *lower_root(void)
{
    return ri_inode(&image, ROOTIMG_ROOT);
}

const struct rootimg_inode *lower_find(const struct rootimg_inode *dir, const char *name, u32 len)
{
    const struct rootimg_dirent *e = ri_lookup(&image, dir, name, len);
    return e ? ri_inode(&image, e->ino) : NULL;
}

u64 lower_count(const struct rootimg_inode *dir)
{
    return ri_count(&image, dir);
}

u64 lower_entry(const struct rootimg_inode *dir, u64 n, const char **name, u32 *len, u8 *type)
{
    const struct rootimg_dirent *e = ri_entry(&image, dir, n);
    if (!e)
        return 0;
    *name = ri_name(&image, e);
    *len = e->name_len;
    *type = e->type;
    return e->ino;
}

u64 lower_inodes(void)
{
    return image.super ? image.super->inode_count : 0;
}

const void *lower_data(const struct rootimg_inode *r, u64 index)
{
    return (const char *)ri_data(&image, r) + index * PAGE;
}

u64 lower_page(const struct rootimg_inode *r, u64 index)
{
    return XOK_INFO->module_ppn + ((u64)lower_data(r, index) - MODULE_VA) / PAGE;
}

const char *lower_target(const struct rootimg_inode *r, u32 *len)
{
    const char *target = ri_target(&image, r);
    *len = target ? r->size : 0;
    return target ? target : "";
}

static void inode_fill(struct inode *i, const struct rootimg_inode *r)
{
    bool file = S_ISREG(r->mode) && ri_data(&image, r);
    i->lower = r;
    i->ino = ri_number(&image, r);
    i->nlink = r->nlink;
    i->uid = r->uid;
    i->gid = r->gid;
    i->rdev = r->rdev;
    i->size = S_ISDIR(r->mode) ? ri_count(&image, r) : file || S_ISLNK(r->mode) ? r->size : 0;
    i->lower_pages = file ? PAGE_UP(r->size) / PAGE : 0;
    i->atime = i->mtime = i->ctime = (u64)r->mtime * 1000000000ul + r->mtime_ns;
}

void lower_attach(struct inode *root)
{
    const struct rootimg_inode *r = lower_root();
    root->mode = r->mode;
    inode_fill(root, r);
}

struct inode *lower_inode(struct super *sb, const struct rootimg_inode *r)
{
    bool shared = !S_ISDIR(r->mode) && r->nlink > 1;
    u32 number = ri_number(&image, r);
    struct inode *i = shared ? (struct inode *)tree_get(known, number) : NULL;
    if (i)
        return inode_get(i);
    i = inode_new(sb, r->mode);
    if (!i)
        return NULL;
    sb->next_ino--; // it has the image's number
    inode_fill(i, r);
    if (shared) {
        if (!tree_set(&known, number, (u64)inode_get(i))) {
            i->refs = 1;
            inode_put(i);
            return NULL;
        }
        i->flags |= INODE_TABLE;
    }
    return i;
}

void lower_forget(struct inode *i)
{
    i->flags &= ~INODE_TABLE;
    tree_set(&known, i->ino, 0);
    inode_put(i);
}

bool lower_xattr(struct inode *i, u32 n, const char **name, u32 *name_len, const char **value, u32 *len)
{
    const struct rootimg_xattr *x = i->lower ? ri_xattr(&image, i->lower, n) : NULL;
    if (!x)
        return false;
    *name = x->bytes, *name_len = x->name_len;
    *value = x->bytes + x->name_len, *len = x->value_len;
    return true;
}
