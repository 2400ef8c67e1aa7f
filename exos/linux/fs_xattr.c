// Extended attributes, xattr(7). What the root image gives a file is copied the first time it changes.
#include "linux/fs.h"

enum { NAME_LIMIT = 255, VALUE_LIMIT = 65536, LIST_LIMIT = 65536, XATTR_CREATE = 1, XATTR_REPLACE = 2 };
struct xattr {
    struct list link;
    u32 name_len, len;
    char name[]; // then a NUL, then the value
};
static char *value_of(struct xattr *x) { return x->name + x->name_len + 1; }

static struct xattr *xattr_new(const char *name, u32 name_len, const char *value, u32 len)
{
    struct xattr *x = heap_alloc(sizeof *x + name_len + 1 + len);
    if (!x)
        return NULL;
    x->name_len = name_len, x->len = len;
    memcpy(x->name, name, name_len);
    memcpy(value_of(x), value, len);
    return x;
}

// From the image into the list. Under i->lock.
static bool own(struct inode *i)
{
    const char *name, *value;
    u32 nlen, len;
    struct extra *e = inode_extra(i);
    if (!e)
        return false;
    if (e->own_xattrs)
        return true;
    for (u32 n = 0; lower_xattr(i, n, &name, &nlen, &value, &len); n++) {
        struct xattr *x = xattr_new(name, nlen, value, len);
        if (!x)
            return false;
        list_add_tail(&e->xattrs, &x->link);
    }
    e->own_xattrs = true;
    return true;
}

static struct xattr *find(struct inode *i, const char *name)
{
    u32 len = strlen(name);
    list_for(it, &i->extra->xattrs) {
        struct xattr *x = container_of(it, struct xattr, link);
        if (x->name_len == len && !memcmp(x->name, name, len))
            return x;
    }
    return NULL;
}

// Who may do what with a name of which class.
static s64 allowed(struct path *p, const char *name, bool write)
{
    struct inode *i = p->d->inode;
    if (write && (p->mnt->flags & MS_RDONLY))
        return -EROFS;
    if (i->sb->flags & SUPER_SYNTHETIC)
        return -EOPNOTSUPP;
    if (!strncmp(name, "user.", 5)) {
        if (!S_ISREG(i->mode) && !S_ISDIR(i->mode))
            return write ? -EPERM : -ENODATA;
        if (write && S_ISDIR(i->mode) && (i->mode & S_ISVTX) && !inode_owner(i))
            return -EPERM;
        return inode_permission(i, write ? MAY_WRITE : MAY_READ);
    }
    if (!strncmp(name, "trusted.", 8))
        return capable() ? 0 : write ? -EPERM : -ENODATA;
    if (!strncmp(name, "security.", 9))
        return !write || capable() ? 0 : -EPERM;
    return -EOPNOTSUPP;
}

struct target {
    struct path p;
    struct file *f;
    bool owned;
};

static s64 target_path(struct target *t, u64 name, u32 walk)
{
    *t = (struct target){.f = NULL};
    return path_arg(AT_FDCWD, name, walk, &t->p);
}

static s64 target_fd(struct target *t, u64 fd)
{
    t->f = fd_borrow(fd, &t->owned);
    if (!t->f)
        return -EBADF;
    if (!t->f->dentry || t->f->flags & O_PATH) {
        s64 r = t->f->dentry ? -EBADF : -EOPNOTSUPP;
        fd_return(t->f, t->owned);
        return r;
    }
    t->p = (struct path){t->f->mnt, t->f->dentry};
    return 0;
}

static void target_done(struct target *t)
{
    if (t->f)
        fd_return(t->f, t->owned);
    else
        path_put(&t->p);
}

static s64 name_arg(u64 from, char *name)
{
    s64 n = copy_in_str(name, from, NAME_LIMIT + 1);
    return n == -ENAMETOOLONG || n == 0 ? -ERANGE : n < 0 ? n : 0;
}

static s64 set(struct target *t, u64 uname, u64 uvalue, u64 size, u64 flags)
{
    char name[NAME_LIMIT + 1];
    struct inode *i = t->p.d->inode;
    s64 r = name_arg(uname, name);
    if (!r && (flags & ~3ul))
        r = -EINVAL;
    if (!r && size > VALUE_LIMIT)
        r = -E2BIG;
    if (!r)
        r = allowed(&t->p, name, true);
    char *value = r ? NULL : heap_alloc(size + 1);
    if (!r && !value)
        r = -ENOMEM;
    if (!r)
        r = copy_in(value, uvalue, size);
    struct xattr *x = r ? NULL : xattr_new(name, strlen(name), value, size), *old = NULL;
    if (!r && !x)
        r = -ENOMEM;
    heap_free(value);
    if (r)
        return r;
    lock_take(&i->lock);
    r = own(i) ? 0 : -ENOMEM;
    if (!r)
        old = find(i, name);
    if (!r && ((old && flags & XATTR_CREATE) || (!old && flags & XATTR_REPLACE)))
        r = old ? -EEXIST : -ENODATA;
    if (!r) {
        if (old)
            list_del(&old->link);
        list_add_tail(&i->extra->xattrs, &x->link);
        i->ctime = clock_real_ns();
    }
    lock_drop(&i->lock);
    heap_free(r ? x : old);
    return r;
}

static s64 get(struct target *t, u64 uname, u64 buf, u64 size)
{
    char name[NAME_LIMIT + 1];
    struct inode *i = t->p.d->inode;
    s64 r = name_arg(uname, name);
    if (!r)
        r = allowed(&t->p, name, false);
    if (r)
        return r;
    lock_take(&i->lock);
    r = own(i) ? 0 : -ENOMEM;
    struct xattr *x = r ? NULL : find(i, name), *copy = NULL;
    if (!r && !x)
        r = -ENODATA;
    else if (!r && size && x->len > size)
        r = -ERANGE;
    else if (!r && size && !(copy = xattr_new(x->name, x->name_len, value_of(x), x->len)))
        r = -ENOMEM;
    else if (!r)
        r = x->len;
    lock_drop(&i->lock);
    if (copy && r > 0 && copy_out(buf, value_of(copy), r))
        r = -EFAULT;
    heap_free(copy);
    return r;
}

static s64 list_names(struct target *t, u64 buf, u64 size)
{
    struct inode *i = t->p.d->inode;
    char *text = heap_alloc(LIST_LIMIT);
    s64 n = 0;
    if (!text)
        return -ENOMEM;
    lock_take(&i->lock);
    if (i->sb->flags & SUPER_SYNTHETIC || !own(i))
        ;
    else
        list_for(it, &i->extra->xattrs) {
            struct xattr *x = container_of(it, struct xattr, link);
            if ((!strncmp(x->name, "trusted.", 8) && !capable()) || n + x->name_len + 1 > LIST_LIMIT)
                continue;
            memcpy(text + n, x->name, x->name_len + 1);
            n += x->name_len + 1;
        }
    lock_drop(&i->lock);
    if (size && (u64)n > size)
        n = -ERANGE;
    else if (size && copy_out(buf, text, n))
        n = -EFAULT;
    heap_free(text);
    return n;
}

static s64 remove(struct target *t, u64 uname)
{
    char name[NAME_LIMIT + 1];
    struct inode *i = t->p.d->inode;
    s64 r = name_arg(uname, name);
    if (!r)
        r = allowed(&t->p, name, true);
    if (r)
        return r;
    lock_take(&i->lock);
    r = own(i) ? 0 : -ENOMEM;
    struct xattr *x = r ? NULL : find(i, name);
    if (!r && !x)
        r = -ENODATA;
    if (x)
        list_del(&x->link);
    lock_drop(&i->lock);
    heap_free(x);
    return r;
}

#define ON(name, open, call)                                      \
    s64 sys_##name(u64 a, u64 b, u64 c, u64 d, u64 e, u64 f)      \
    {                                                             \
        struct target t;                                          \
        (void)b, (void)c, (void)d, (void)e, (void)f;              \
        s64 r = open;                                             \
        if (r)                                                    \
            return r;                                             \
        r = call;                                                 \
        target_done(&t);                                          \
        return r;                                                 \
    }
ON(setxattr, target_path(&t, a, WALK_FOLLOW), set(&t, b, c, d, e))
ON(lsetxattr, target_path(&t, a, 0), set(&t, b, c, d, e))
ON(fsetxattr, target_fd(&t, a), set(&t, b, c, d, e))
ON(getxattr, target_path(&t, a, WALK_FOLLOW), get(&t, b, c, d))
ON(lgetxattr, target_path(&t, a, 0), get(&t, b, c, d))
ON(fgetxattr, target_fd(&t, a), get(&t, b, c, d))
ON(listxattr, target_path(&t, a, WALK_FOLLOW), list_names(&t, b, c))
ON(llistxattr, target_path(&t, a, 0), list_names(&t, b, c))
ON(flistxattr, target_fd(&t, a), list_names(&t, b, c))
ON(removexattr, target_path(&t, a, WALK_FOLLOW), remove(&t, b))
ON(lremovexattr, target_path(&t, a, 0), remove(&t, b))
ON(fremovexattr, target_fd(&t, a), remove(&t, b))
