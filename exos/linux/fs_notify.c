// inotify_init(2), inotify_add_watch(2), inotify_rm_watch(2).
#include "fs/notify.h"
#include "linux/fs.h"

s64 sys_inotify_init1(u64 flags, u64 b, u64 c, u64 d, u64 e, u64 f)
{
    (void)b, (void)c, (void)d, (void)e, (void)f;
    return flags & ~(u64)(O_CLOEXEC | O_NONBLOCK) ? -EINVAL : notify_new(flags);
}

s64 sys_inotify_init(u64 a, u64 b, u64 c, u64 d, u64 e, u64 f)
{
    (void)a, (void)b, (void)c, (void)d, (void)e, (void)f;
    return notify_new(0);
}

s64 sys_inotify_add_watch(u64 fd, u64 name, u64 mask, u64 d, u64 e, u64 ff)
{
    struct path p;
    bool owned;
    (void)d, (void)e, (void)ff;
    struct file *f = fd_borrow(fd, &owned);
    if (!f)
        return -EBADF;
    s64 r = path_arg(AT_FDCWD, name, (notify_no_follow(mask) ? 0 : WALK_FOLLOW) | (notify_only_dir(mask) ? WALK_DIR : 0), &p);
    if (!r) {
        r = inode_permission(p.d->inode, MAY_READ);
        if (!r)
            r = notify_add(f, p.d->inode, mask);
        path_put(&p);
    }
    fd_return(f, owned);
    return r;
}

s64 sys_inotify_rm_watch(u64 fd, u64 wd, u64 c, u64 d, u64 e, u64 ff)
{
    bool owned;
    (void)c, (void)d, (void)e, (void)ff;
    struct file *f = fd_borrow(fd, &owned);
    if (!f)
        return -EBADF;
    s64 r = notify_remove(f, wd);
    fd_return(f, owned);
    return r;
}
