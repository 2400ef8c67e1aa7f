// Open directories: getdents(2). Positions: 0 ".", 1 "..", then the root image's entries from 2 on, then
// names made here from UPPER on, by the cookie of their dentry. A cursor in the parent's list remembers
// the place, so that reading a large directory while it is being emptied costs each entry once.
#include "fs/vfs.h"

#define UPPER (1ul << 40)

struct dir {
    struct dentry *cursor; // in the list when hashed into it, else NULL
    u64 cursor_pos;        // what f->pos was when the cursor was put there
};

struct emit {
    char *buf;
    u32 used, size;
    bool old; // getdents(2), not getdents64
};

struct dirent64 {
    u64 ino, off;
    u16 reclen;
    u8 type;
    char name[];
} __attribute__((packed));
struct dirent_old {
    u64 ino, off;
    u16 reclen;
    char name[]; // the type is in the record's last byte
} __attribute__((packed));

static bool emit(struct emit *e, const char *name, u32 len, u64 ino, u8 type, u64 next)
{
    u32 reclen = (sizeof(struct dirent64) + len + 1 + 7) & ~7u; // both forms: type and NUL are two bytes
    if (e->used + reclen > e->size)
        return false;
    memset(e->buf + e->used, 0, reclen);
    struct dirent64 *d = (struct dirent64 *)(e->buf + e->used);
    d->ino = ino, d->off = next, d->reclen = reclen;
    if (e->old) {
        struct dirent_old *o = (struct dirent_old *)d;
        memcpy(o->name, name, len);
        e->buf[e->used + reclen - 1] = type;
    } else {
        d->type = type;
        memcpy(d->name, name, len);
    }
    e->used += reclen;
    return true;
}

static bool emit_dots(struct file *f, struct emit *e)
{
    struct dentry *d = f->dentry;
    if (f->pos == 0) {
        if (!emit(e, ".", 1, d->inode->ino, DT_DIR, 1))
            return false;
        f->pos = 1;
    }
    if (f->pos == 1) {
        struct dentry *up = d->parent;
        if (d == f->mnt->root && f->mnt->point)
            up = f->mnt->point->parent;
        if (!emit(e, "..", 2, up ? up->inode->ino : d->inode->ino, DT_DIR, 2))
            return false;
        f->pos = 2;
    }
    return true;
}

static bool emit_lower(struct file *f, struct emit *e)
{
    struct dentry *d = f->dentry;
    const struct rootimg_inode *lower = d->inode->lower;
    u64 count = lower ? lower_count(lower) : 0;
    while (f->pos < 2 + count) {
        const char *name;
        u32 len;
        u8 type;
        u64 ino = lower_entry(lower, f->pos - 2, &name, &len, &type);
        struct dentry *seen = dentry_find(d, name, len, name_hash(name, len));
        if (seen && !(seen->flags & DENTRY_LOWER)) // hidden, or replaced and listed later
            ;
        else if (!emit(e, name, len, ino, type, f->pos + 1))
            return false;
        f->pos++;
    }
    if (f->pos < UPPER)
        f->pos = UPPER;
    return true;
}

static struct list *upper_start(struct file *f, struct dir *dir)
{
    struct dentry *d = f->dentry;
    if (dir->cursor && dir->cursor_pos == f->pos) {
        struct list *next = dir->cursor->sibling.next;
        list_del(&dir->cursor->sibling);
        return next;
    }
    if (dir->cursor)
        list_del(&dir->cursor->sibling);
    struct list *it = d->children.next;
    while (it != &d->children && container_of(it, struct dentry, sibling)->cookie < f->pos - UPPER)
        it = it->next;
    return it;
}

static bool emit_upper(struct file *f, struct emit *e, struct dir *dir)
{
    struct dentry *d = f->dentry;
    struct list *it = upper_start(f, dir);
    bool all = true;
    u64 pos = f->pos;
    for (; it != &d->children; it = it->next) {
        struct dentry *c = container_of(it, struct dentry, sibling);
        if ((c->flags & (DENTRY_CURSOR | DENTRY_LOWER)) || !c->inode)
            continue;
        if (!emit(e, c->name, c->name_len, c->inode->ino, mode_to_dt(c->inode->mode), UPPER + c->cookie + 1)) {
            all = false;
            break;
        }
        pos = UPPER + c->cookie + 1;
    }
    f->pos = pos;
    if (dir->cursor) {
        dir->cursor->cookie = pos - UPPER;
        list_add_tail(it, &dir->cursor->sibling); // before the next one to list
        dir->cursor_pos = pos;
    }
    return all;
}

static bool emit_synthetic(struct file *f, struct emit *e)
{
    char name[NAME_MAX + 1];
    for (;;) {
        u8 type = DT_UNKNOWN;
        u64 n = f->pos - 2, ino = f->dentry->inode->ops->entry(f->dentry, &n, name, &type);
        if (!ino)
            return true;
        if (!emit(e, name, strlen(name), ino, type, n + 2))
            return false;
        f->pos = n + 2;
    }
}

static struct dir *dir_of(struct file *f)
{
    if (f->priv)
        return f->priv;
    struct dir *dir = heap_alloc(sizeof *dir);
    if (dir && (dir->cursor = dentry_new(NULL, "", 0, 0)))
        dir->cursor->flags = DENTRY_CURSOR;
    return f->priv = dir;
}

static bool fill(struct file *f, struct emit *e, struct dir *dir)
{
    if (f->dentry->inode->ops->entry)
        return emit_dots(f, e) && emit_synthetic(f, e);
    lock_take(&ns_lock);
    bool all = emit_dots(f, e) && emit_lower(f, e) && emit_upper(f, e, dir);
    lock_drop(&ns_lock);
    return all;
}

// One page of records at a time, so that program memory is not touched under ns_lock.
static s64 directory_list(struct file *f, u64 buf, u64 len, bool old)
{
    struct dir *dir = dir_of(f);
    u64 ppn = dir ? page_get() : 0, done = 0;
    if (!ppn)
        return -ENOMEM;
    s64 r = f->inode->nlink ? 0 : -ENOENT;
    lock_take(&f->lock);
    while (!r && done < len) {
        u64 before = f->pos;
        struct emit e = {.buf = page_va(ppn), .size = MIN(PAGE, len - done), .old = old};
        bool all = fill(f, &e, dir);
        if (!e.used) {
            if (!all && !done)
                r = -EINVAL; // no room for one record
            break;
        }
        r = copy_out(buf + done, e.buf, e.used);
        if (r)
            f->pos = before;
        done += e.used;
        if (all)
            break;
    }
    lock_drop(&f->lock);
    page_put(ppn);
    return r ? r : (s64)done;
}

static s64 directory_getdents(struct file *f, u64 buf, u64 len)
{
    return directory_list(f, buf, len, false);
}

s64 directory_getdents_old(struct file *f, u64 buf, u64 len)
{
    return f->ops == &directory_ops ? directory_list(f, buf, len, true) : -ENOTDIR;
}

static s64 directory_seek(struct file *f, s64 off, int whence)
{
    if (whence == SEEK_CUR)
        off += f->pos;
    else if (whence != SEEK_SET)
        return -EINVAL;
    if (off < 0)
        return -EINVAL;
    f->pos = off;
    return off;
}

static s64 directory_read(struct file *f, u64 buf, u64 len, u64 *pos)
{
    (void)f, (void)buf, (void)len, (void)pos;
    return -EISDIR;
}

static void directory_release(struct file *f)
{
    struct dir *dir = f->priv;
    if (!dir)
        return;
    if (dir->cursor) {
        lock_take(&ns_lock);
        list_del(&dir->cursor->sibling);
        lock_drop(&ns_lock);
        dentry_put(dir->cursor);
    }
    heap_free(dir);
}

const struct file_ops directory_ops = {
    .read = directory_read, .getdents = directory_getdents, .seek = directory_seek, .release = directory_release,
};
