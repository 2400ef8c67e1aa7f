// From a path to a name: path_resolution(7), openat2(2).
//
// A walk holds ns_lock and a reference to where it is; it lets go of the lock only while a synthetic
// directory makes up an entry (which may need locks that come before ns_lock).
#include "fs/vfs.h"

// How a program starts: which directory, and where ".." stops.
static s64 walk_start(struct walk *w, int dirfd, const char *name, u32 flags)
{
    struct fsctx *fs = proc_self()->fs;
    u32 resolve = flags >> WALK_RESOLVE_SHIFT;
    struct file *f = NULL;
    bool owned = false;
    *w = (struct walk){.at = name, .flags = flags};
    if (!*name && !(flags & WALK_EMPTY))
        return -ENOENT;
    bool from_fd = dirfd != AT_FDCWD && (*name != '/' || (resolve & RESOLVE_IN_ROOT));
    if (from_fd) {
        f = fd_borrow(dirfd, &owned);
        if (!f)
            return -EBADF;
        if (!f->dentry || (*name && !S_ISDIR(f->inode->mode))) {
            fd_return(f, owned);
            return -ENOTDIR;
        }
    }
    if (*name == '/' && (resolve & RESOLVE_BENEATH)) {
        if (f)
            fd_return(f, owned);
        return -EXDEV;
    }
    lock_take(&ns_lock);
    w->root = fs->root;
    w->path = f ? (struct path){f->mnt, f->dentry}
                : *name == '/' && !(resolve & RESOLVE_IN_ROOT) ? fs->root : fs->cwd;
    if (resolve & (RESOLVE_BENEATH | RESOLVE_IN_ROOT))
        w->root = w->path;
    dentry_get(w->path.d);
    dentry_get(w->root.d);
    w->open_search = true;
    if (f)
        fd_return(f, owned);
    return 0;
}

// Moves to d, whose reference it takes over.
static void walk_to(struct walk *w, struct mount *mnt, struct dentry *d)
{
    struct dentry *old = w->path.d;
    w->path = (struct path){mnt, d};
    dentry_put(old);
}

void walk_end(struct walk *w)
{
    dentry_put(w->path.d);
    dentry_put(w->root.d);
    lock_drop(&ns_lock);
    heap_free(w->text);
}

void walk_cross(struct path *p)
{
    while (p->d->flags & DENTRY_MOUNT) {
        struct mount *m = mount_at(p->mnt, p->d);
        if (!m)
            return;
        *p = (struct path){m, m->root};
    }
}

static s64 step_up(struct walk *w)
{
    u32 resolve = w->flags >> WALK_RESOLVE_SHIFT;
    struct path p = w->path;
    if (p.d == w->root.d && p.mnt == w->root.mnt)
        return resolve & RESOLVE_BENEATH ? -EXDEV : 0;
    while (p.d == p.mnt->root) {
        if (!p.mnt->parent)
            return 0;
        if (resolve & RESOLVE_NO_XDEV)
            return -EXDEV;
        p = (struct path){p.mnt->parent, p.mnt->point};
        if (p.d == w->root.d && p.mnt == w->root.mnt)
            break;
    }
    if (!(p.d == w->root.d && p.mnt == w->root.mnt) && p.d->parent)
        p.d = p.d->parent;
    walk_cross(&p);
    dentry_get(p.d);
    walk_to(w, p.mnt, p.d);
    return 0;
}

// An entry of the present directory, with a reference.
static s64 step_lookup(struct walk *w, const char *name, u32 len, u32 hash, struct dentry **out)
{
    struct dentry *dir = w->path.d;
    s64 r = 0;
    if (dir->inode->ops->lookup) {
        w->open_search = false;
        lock_drop(&ns_lock);
        *out = dir->inode->ops->lookup(dir, name, len, &r);
        lock_take(&ns_lock);
        return *out ? 0 : r ? r : -ENOENT;
    }
    r = tmpfs_lookup(dir, name, len, hash, out);
    if (!r)
        dentry_get(*out);
    return r;
}

// Continues with the target of a symbolic link, then what is left of the text.
static s64 text_splice(struct walk *w, const char *target, u64 len)
{
    u64 rest = strlen(w->at);
    if (!len)
        return -ENOENT;
    char *text = heap_alloc(len + rest + 2);
    if (!text)
        return -ENOMEM;
    memcpy(text, target, len);
    if (rest || w->slash)
        text[len++] = '/';
    memcpy(text + len, w->at, rest + 1);
    heap_free(w->text);
    w->at = w->text = text;
    if (*text != '/')
        return 0;
    if ((w->flags >> WALK_RESOLVE_SHIFT) & RESOLVE_BENEATH)
        return -EXDEV;
    dentry_get(w->root.d);
    walk_to(w, w->root.mnt, w->root.d);
    return 0;
}

static s64 link_magic(struct walk *w, struct dentry *link)
{
    struct path to;
    if ((w->flags >> WALK_RESOLVE_SHIFT) & (RESOLVE_NO_MAGICLINKS | RESOLVE_BENEATH | RESOLVE_IN_ROOT))
        return -ELOOP;
    dentry_get(link);
    lock_drop(&ns_lock);
    s64 r = link->inode->ops->follow(link->inode, &to);
    lock_take(&ns_lock);
    dentry_put(link);
    if (r)
        return r;
    __atomic_sub_fetch(&to.mnt->refs, 1, __ATOMIC_RELAXED); // a walk counts names only
    walk_to(w, to.mnt, to.d);
    return 0;
}

static s64 link_text(struct walk *w, struct dentry *link)
{
    char *buf = heap_alloc(PATH_MAX);
    if (!buf)
        return -ENOMEM;
    dentry_get(link);
    lock_drop(&ns_lock);
    s64 r = link->inode->ops->readlink(link->inode, buf, PATH_MAX - 1);
    lock_take(&ns_lock);
    dentry_put(link);
    if (r >= 0)
        r = text_splice(w, buf, r);
    heap_free(buf);
    return r;
}

static s64 link_follow(struct walk *w, struct dentry *link)
{
    struct inode *i = link->inode;
    if (w->links++ >= LINKS_MAX || ((w->flags >> WALK_RESOLVE_SHIFT) & RESOLVE_NO_SYMLINKS))
        return -ELOOP;
    if (i->ops->follow)
        return link_magic(w, link);
    if (i->ops != &tmpfs_ops)
        return link_text(w, link);
    u32 len;
    const char *target = tmpfs_target(i, &len);
    return text_splice(w, target, len);
}

static s64 search_allowed(struct walk *w)
{
    struct inode *i = w->path.d->inode;
    if (!S_ISDIR(i->mode))
        return -ENOTDIR;
    if ((i->mode & 0111) == 0111)
        return 0;
    w->open_search = false;
    return inode_permission(i, MAY_EXEC);
}

// One component: cut from the text into w->last*, w->at and w->slash moved past it.
static s64 component_cut(struct walk *w)
{
    const char *p = w->at, *end = p;
    while (*end && *end != '/')
        end++;
    if (end - p > NAME_MAX)
        return -ENAMETOOLONG;
    w->last = p;
    w->last_len = end - p;
    w->slash = *end == '/';
    while (*end == '/')
        end++;
    w->at = end;
    w->last_kind = w->last_len == 1 && p[0] == '.' ? LAST_DOT
                   : w->last_len == 2 && p[0] == '.' && p[1] == '.' ? LAST_DOTDOT : LAST_NORM;
    return 0;
}

static s64 step(struct walk *w)
{
    if (w->last_kind == LAST_DOT)
        return 0;
    if (w->last_kind == LAST_DOTDOT)
        return step_up(w);
    struct dentry *d;
    s64 r = step_lookup(w, w->last, w->last_len, name_hash(w->last, w->last_len), &d);
    if (r)
        return r;
    if (S_ISLNK(d->inode->mode) && (*w->at || w->slash || (w->flags & WALK_FOLLOW))) {
        r = link_follow(w, d);
        dentry_put(d);
        return r;
    }
    struct mount *mnt = w->path.mnt;
    if (d->flags & DENTRY_MOUNT) {
        struct path p = {mnt, d};
        walk_cross(&p);
        if (p.d != d) {
            if ((w->flags >> WALK_RESOLVE_SHIFT) & RESOLVE_NO_XDEV) {
                dentry_put(d);
                return -EXDEV;
            }
            dentry_get(p.d);
            dentry_put(d);
            d = p.d, mnt = p.mnt;
        }
    }
    walk_to(w, mnt, d);
    return 0;
}

// Walks to the end, or with WALK_PARENT to the directory of the last component.
static s64 walk_run(struct walk *w)
{
    w->last_kind = LAST_ROOT;
    w->slash = *w->at == '/';
    while (*w->at == '/')
        w->at++;
    while (*w->at) {
        s64 r = search_allowed(w);
        if (!r)
            r = component_cut(w);
        if (r)
            return r;
        if (!*w->at && (w->flags & WALK_PARENT)) {
            w->last_hash = name_hash(w->last, w->last_len);
            return 0;
        }
        r = step(w);
        if (r)
            return r;
        while (*w->at == '/') // a spliced absolute target
            w->at++, w->slash = true;
    }
    if ((w->slash || (w->flags & WALK_DIR)) && !(w->flags & WALK_PARENT) && !S_ISDIR(w->path.d->inode->mode))
        return -ENOTDIR;
    return 0;
}

s64 path_lookup(int dirfd, const char *name, u32 flags, struct path *out)
{
    struct walk w;
    s64 r = path_peek(dirfd, name, flags, out);
    if (r == 1) {
        path_get(out);
        lock_drop(&ns_lock);
    }
    if (r)
        return r == 1 ? 0 : r;
    r = walk_start(&w, dirfd, name, flags);
    if (r)
        return r;
    r = walk_run(&w);
    if (!r) {
        *out = w.path;
        path_get(out);
    }
    walk_end(&w);
    return r;
}

s64 walk_parent(int dirfd, const char *name, u32 flags, struct walk *w)
{
    s64 r = walk_start(w, dirfd, name, flags | WALK_PARENT);
    if (r)
        return r;
    r = walk_run(w);
    if (!r && !S_ISDIR(w->path.d->inode->mode))
        r = -ENOTDIR;
    if (r)
        walk_end(w);
    return r;
}

s64 walk_last(struct walk *w, struct dentry **out)
{
    return step_lookup(w, w->last, w->last_len, w->last_hash, out);
}

s64 walk_link(struct walk *w, struct dentry *link)
{
    s64 r = link_follow(w, link);
    return r ? r : walk_run(w);
}

struct piece {
    char *buf;
    size_t at;
};

static bool prepend(struct piece *p, const char *s, size_t len)
{
    if (p->at < len)
        return false;
    p->at -= len;
    memcpy(p->buf + p->at, s, len);
    return true;
}

int path_text(const struct path *path, char *buf, size_t size, bool *reachable)
{
    struct path p = *path;
    struct piece text = {buf, size};
    bool ok = prepend(&text, "", 1), root = false;
    lock_take(&ns_lock);
    struct path stop = proc_self() && proc_self()->fs ? proc_self()->fs->root : (struct path){root_mount, root_mount->root};
    bool deleted = p.d->parent && !(p.d->flags & DENTRY_HASHED) && !(p.mnt->sb->flags & SUPER_SYNTHETIC);
    if (deleted)
        ok = prepend(&text, " (deleted)", 10);
    while (ok) {
        if (p.d == stop.d && p.mnt == stop.mnt) {
            root = true;
            break;
        }
        if (p.d == p.mnt->root || !p.d->parent) {
            if (!p.mnt->parent || p.d != p.mnt->root)
                break;
            p = (struct path){p.mnt->parent, p.mnt->point};
            continue;
        }
        ok = prepend(&text, p.d->name, p.d->name_len) && prepend(&text, "/", 1);
        p.d = p.d->parent;
    }
    if (ok && text.buf[text.at] != '/' && (root || !p.mnt->parent))
        ok = prepend(&text, "/", 1);
    lock_drop(&ns_lock);
    if (!ok)
        return -ENAMETOOLONG;
    if (reachable)
        *reachable = root && !deleted;
    memmove(buf, buf + text.at, size - text.at);
    return size - text.at - 1;
}
