// open(2), close(2), pipe(2), and the directory listings.
#include "linux/fs.h"

static s64 open_at(s64 dirfd, u64 name, u32 flags, u32 mode, u32 resolve)
{
    struct name_buf b;
    struct file *f;
    s64 r = name_in(&b, name);
    if (r)
        return r;
    r = open_path(dirfd, b.s, flags, mode, resolve, &f);
    name_done(&b);
    return r ? r : fd_install(f, flags & O_CLOEXEC, 0);
}

s64 sys_open(u64 name, u64 flags, u64 mode, u64 d, u64 e, u64 f)
{
    (void)d, (void)e, (void)f;
    return open_at(AT_FDCWD, name, flags, mode, 0);
}

s64 sys_openat(u64 dirfd, u64 name, u64 flags, u64 mode, u64 e, u64 f)
{
    (void)e, (void)f;
    return open_at((s32)dirfd, name, flags, mode, 0);
}

s64 sys_creat(u64 name, u64 mode, u64 c, u64 d, u64 e, u64 f)
{
    (void)c, (void)d, (void)e, (void)f;
    return open_at(AT_FDCWD, name, O_CREAT | O_WRONLY | O_TRUNC, mode, 0);
}

enum { OPEN_HOW_SIZE = 24, OPEN_FLAGS = 037777703 | O_PATH | O_TMPFILE };

s64 sys_openat2(u64 dirfd, u64 name, u64 how, u64 size, u64 e, u64 f)
{
    struct { u64 flags, mode, resolve; } h;
    (void)e, (void)f;
    if (size < OPEN_HOW_SIZE)
        return -EINVAL;
    if (size > PAGE)
        return -E2BIG;
    s64 r = copy_in(&h, how, sizeof h);
    for (u64 at = OPEN_HOW_SIZE; !r && at < size; at++) { // what this version does not know must be zero
        u8 byte;
        r = copy_in(&byte, how + at, 1);
        if (!r && byte)
            r = -E2BIG;
    }
    if (r)
        return r;
    if ((h.flags & ~(u64)OPEN_FLAGS) || (h.mode & ~07777ul) || (h.resolve & ~63ul) ||
        (h.mode && !(h.flags & (O_CREAT | O_TMPFILE_BIT))) ||
        (h.resolve & (RESOLVE_BENEATH | RESOLVE_IN_ROOT)) == (RESOLVE_BENEATH | RESOLVE_IN_ROOT))
        return -EINVAL;
    if ((h.resolve & RESOLVE_CACHED) && (h.flags & (O_CREAT | O_TRUNC | O_TMPFILE_BIT)))
        return -EAGAIN;
    return open_at((s32)dirfd, name, h.flags, h.mode, h.resolve & ~RESOLVE_CACHED);
}

s64 sys_close(u64 fd, u64 b, u64 c, u64 d, u64 e, u64 f)
{
    (void)b, (void)c, (void)d, (void)e, (void)f;
    return fd_close(proc_self()->files, fd);
}

enum { CLOSE_RANGE_UNSHARE = 2, CLOSE_RANGE_CLOEXEC = 4 };

s64 sys_close_range(u64 first, u64 last, u64 flags, u64 d, u64 e, u64 f)
{
    struct proc *p = proc_self();
    (void)d, (void)e, (void)f;
    if ((u32)first > (u32)last || (flags & ~(u64)(CLOSE_RANGE_UNSHARE | CLOSE_RANGE_CLOEXEC)))
        return -EINVAL;
    if ((flags & CLOSE_RANGE_UNSHARE) && p->files->refs > 1) {
        struct files *own = files_fork(p->files), *old = p->files;
        if (!own)
            return -ENOMEM;
        lock_take(&proc_lock); // /proc looks at it
        p->files = own;
        lock_drop(&proc_lock);
        files_put(old);
    }
    for (s64 fd = files_next(p->files, first); fd >= 0 && fd <= (u32)last; fd = files_next(p->files, fd + 1)) {
        if (flags & CLOSE_RANGE_CLOEXEC)
            fd_cloexec(fd, 1);
        else
            fd_close(p->files, fd);
    }
    return 0;
}

s64 sys_pipe2(u64 fds, u64 flags, u64 c, u64 d, u64 e, u64 ff)
{
    struct file *f[2];
    s32 n[2];
    (void)c, (void)d, (void)e, (void)ff;
    if (flags & ~(u64)(O_CLOEXEC | O_NONBLOCK | O_DIRECT))
        return -EINVAL;
    s64 r = pipe_pair(flags & O_NONBLOCK, f);
    if (r)
        return r;
    r = n[0] = fd_install(f[0], flags & O_CLOEXEC, 0);
    if (r < 0) {
        file_put(f[1]);
        return r;
    }
    r = n[1] = fd_install(f[1], flags & O_CLOEXEC, 0);
    if (r >= 0)
        r = copy_out(fds, n, sizeof n);
    if (!r)
        return 0;
    fd_close(proc_self()->files, n[0]);
    if (n[1] >= 0)
        fd_close(proc_self()->files, n[1]);
    return r;
}

s64 sys_pipe(u64 fds, u64 b, u64 c, u64 d, u64 e, u64 f)
{
    (void)b, (void)c, (void)d, (void)e, (void)f;
    return sys_pipe2(fds, 0, 0, 0, 0, 0);
}

s64 sys_getdents64(u64 fd, u64 buf, u64 len, u64 d, u64 e, u64 ff)
{
    bool owned;
    (void)d, (void)e, (void)ff;
    struct file *f = fd_borrow(fd, &owned);
    if (!f)
        return -EBADF;
    s64 r = !f->ops->getdents ? -ENOTDIR : f->ops->getdents(f, buf, MIN(len, RW_MAX));
    fd_return(f, owned);
    return r;
}

s64 sys_getdents(u64 fd, u64 buf, u64 len, u64 d, u64 e, u64 ff)
{
    bool owned;
    (void)d, (void)e, (void)ff;
    struct file *f = fd_borrow(fd, &owned);
    if (!f)
        return -EBADF;
    s64 r = directory_getdents_old(f, buf, MIN(len, RW_MAX));
    fd_return(f, owned);
    return r;
}
