// Files of made-up file systems: the text is made at the first read, and again whenever reading starts over.
#include <stdarg.h>
#include "fs/synth.h"

enum { LINE = 1024, TEXT_PAGES_MAX = 16384 };

struct content {
    struct lock lock;
    bool made;
    struct text text;
};

static bool text_grow(struct text *t)
{
    if (t->err)
        return false;
    if (t->count == t->room) {
        u64 room = t->room ? t->room * 2 : 4;
        u64 *page = room <= TEXT_PAGES_MAX ? heap_resize(t->page, room * sizeof *page) : NULL;
        if (!page) {
            t->err = -ENOMEM;
            return false;
        }
        t->page = page, t->room = room;
    }
    u64 ppn = page_get();
    if (!ppn) {
        t->err = -ENOMEM;
        return false;
    }
    t->page[t->count++] = ppn;
    return true;
}

void text_bytes(struct text *t, const void *bytes, u64 n)
{
    const char *from = bytes;
    while (n) {
        if (t->len == t->count * PAGE && !text_grow(t))
            return;
        u64 part = MIN(n, t->count * PAGE - t->len);
        memcpy((char *)page_va(t->page[t->len / PAGE]) + t->len % PAGE, from, part);
        t->len += part, from += part, n -= part;
    }
}

void text_add(struct text *t, const char *format, ...)
{
    char line[LINE];
    va_list ap;
    va_start(ap, format);
    int n = vsnprintf(line, sizeof line, format, ap);
    va_end(ap);
    text_bytes(t, line, MIN((u64)n, sizeof line - 1));
}

void text_free(struct text *t)
{
    for (u64 i = 0; i < t->count; i++)
        page_put(t->page[i]);
    heap_free(t->page);
    *t = (struct text){0};
}

static s64 content_out(const struct text *t, u64 buf, u64 len, u64 *pos)
{
    u64 done = 0, at = *pos;
    if (at >= t->len)
        return 0;
    len = MIN(len, t->len - at);
    while (done < len) {
        u64 part = MIN(len - done, PAGE - at % PAGE);
        s64 r = copy_out(buf + done, (char *)page_va(t->page[at / PAGE]) + at % PAGE, part);
        if (r)
            return done ? (s64)done : r;
        done += part, at += part;
        *pos = at;
    }
    return done;
}

static s64 text_read(struct file *f, u64 buf, u64 len, u64 *pos)
{
    const struct ref *r = f->inode->priv;
    struct content *c = f->priv;
    s64 err = 0;
    if (!r->node->show)
        return -EIO;
    lock_take(&c->lock);
    if (!c->made || !*pos) {
        text_free(&c->text);
        c->made = false;
        err = r->node->show(&c->text, r);
        if (!err)
            err = c->text.err;
        c->made = !err;
    }
    s64 done = err ? err : content_out(&c->text, buf, len, pos);
    lock_drop(&c->lock);
    return done;
}

static s64 text_write(struct file *f, u64 buf, u64 len, u64 *pos)
{
    const struct ref *r = f->inode->priv;
    (void)pos;
    if (!r->node->store)
        return -EIO;
    u64 n = MIN(len, PAGE - 1);
    char *text = heap_alloc(n + 1);
    if (!text)
        return -ENOMEM;
    s64 err = copy_in(text, buf, n);
    if (!err)
        err = r->node->store(r, text, n);
    heap_free(text);
    return err ? err : (s64)len;
}

static s64 text_seek(struct file *f, s64 off, int whence)
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

static void text_release(struct file *f)
{
    struct content *c = f->priv;
    text_free(&c->text);
    heap_free(c);
}

static const struct file_ops text_ops = {.read = text_read, .write = text_write, .seek = text_seek, .release = text_release};

static s64 synth_open(struct inode *i, struct file *f)
{
    const struct ref *r = i->priv;
    s64 err = r->node->allowed ? r->node->allowed(r) : 0;
    if (err)
        return err;
    if (S_ISDIR(i->mode)) {
        f->ops = &directory_ops;
        return 0;
    }
    struct content *c = heap_alloc(sizeof *c);
    if (!c)
        return -ENOMEM;
    f->ops = &text_ops;
    f->priv = c;
    return 0;
}

// ---- inodes
static s64 synth_readlink(struct inode *i, char *buf, size_t size)
{
    const struct ref *r = i->priv;
    return r->node->target(r, buf, size);
}

static s64 synth_follow(struct inode *i, struct path *to)
{
    const struct ref *r = i->priv;
    return r->node->follow(r, to);
}

static void synth_evict(struct inode *i)
{
    heap_free(i->priv);
    i->priv = NULL;
}

static struct dentry *synth_lookup(struct dentry *dir, const char *name, u32 len, s64 *err)
{
    const struct ref *r = dir->inode->priv;
    const struct node *d = r->node;
    struct ref to = *r;
    struct dentry *made;
    if (r->pid) {
        lock_take(&proc_lock);
        bool gone = !ref_proc(r);
        lock_drop(&proc_lock);
        *err = -ESRCH;
        if (gone)
            return NULL;
    }
    *err = -ENOENT;
    for (u32 i = 0; i < d->subs; i++)
        if (strlen(d->sub[i].name) == len && !memcmp(d->sub[i].name, name, len)) {
            to.node = &d->sub[i];
            *err = 0;
            break;
        }
    if (*err && d->find)
        *err = d->find(r, name, len, &to);
    if (!*err)
        *err = synth_dentry(dir, name, len, &to, &made);
    return *err ? NULL : made;
}

static u64 synth_entry(struct dentry *dir, u64 *pos, char *name, u8 *type)
{
    const struct ref *r = dir->inode->priv;
    const struct node *d = r->node, *found;
    struct ref to = *r;
    if (*pos < d->subs) {
        found = to.node = &d->sub[(*pos)++];
        snprintf(name, NAME_MAX + 1, "%s", found->name);
    } else {
        u64 n = *pos - d->subs;
        found = d->next ? d->next(r, &n, name, &to) : NULL;
        if (!found)
            return 0;
        to.node = found;
        *pos = n + d->subs;
    }
    *type = mode_to_dt(found->mode);
    return synth_ino(&to);
}

// There is nothing to count.
void synth_getattr(struct inode *i, struct stat_native *st)
{
    (void)i;
    st->size = S_ISDIR(st->mode) ? 0 : st->size;
    st->blksize = 1024;
}

const struct inode_ops synth_dir_ops = {
    .lookup = synth_lookup, .entry = synth_entry, .open = synth_open, .getattr = synth_getattr, .evict = synth_evict,
};
static const struct inode_ops file_inode_ops = {.getattr = synth_getattr, .open = synth_open, .evict = synth_evict};
static const struct inode_ops link_inode_ops = {.getattr = synth_getattr, .readlink = synth_readlink, .open = synth_open, .evict = synth_evict};
static const struct inode_ops magic_inode_ops = {
    .getattr = synth_getattr, .readlink = synth_readlink, .follow = synth_follow, .open = synth_open, .evict = synth_evict,
};

// The same for the same thing at any time, above what a file system counts.
u64 synth_ino(const struct ref *r)
{
    u64 h = ((u64)r->pid << 32 | r->tid) * 0x9e3779b97f4a7c15ul;
    h = (h ^ h >> 29 ^ (u64)r->node / sizeof(u64)) * 0xbf58476d1ce4e5b9ul;
    h = (h ^ h >> 32 ^ r->n) * 0x94d049bb133111ebul;
    return 1ul << 32 | h >> 32;
}

struct inode *synth_inode(struct super *sb, const struct ref *r, s64 *err)
{
    struct ref *own = heap_alloc(sizeof *own);
    struct inode *i = own ? inode_new(sb, r->node->mode) : NULL;
    *err = i ? 0 : -ENOMEM;
    if (!i) {
        heap_free(own);
        return NULL;
    }
    *own = *r;
    i->priv = own;
    i->uid = i->gid = 0;
    i->ino = synth_ino(r);
    i->nlink = S_ISDIR(i->mode) ? 2 : 1;
    i->ops = S_ISDIR(i->mode) ? &synth_dir_ops : !S_ISLNK(i->mode) ? &file_inode_ops
             : r->node->follow ? &magic_inode_ops : &link_inode_ops;
    if (r->node->attr)
        r->node->attr(r, i);
    return i;
}

s64 synth_dentry(struct dentry *dir, const char *name, u32 len, const struct ref *r, struct dentry **out)
{
    s64 err;
    struct inode *i = synth_inode(dir->inode->sb, r, &err);
    if (!i)
        return err;
    *out = dentry_new(dir, name, len, name_hash(name, len));
    if (!*out) {
        inode_put(i);
        return -ENOMEM;
    }
    (*out)->inode = i;
    return 0;
}
