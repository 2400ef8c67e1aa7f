// eventfd(2), signalfd(2), timerfd_create(2), memfd_create(2).
#include "fs/events.h"
#include "linux/fs.h"

enum { FD_FLAGS = O_CLOEXEC | O_NONBLOCK };

s64 sys_eventfd2(u64 count, u64 flags, u64 c, u64 d, u64 e, u64 f)
{
    (void)c, (void)d, (void)e, (void)f;
    return flags & ~(u64)(FD_FLAGS | 1) ? -EINVAL : eventfd_new((u32)count, flags);
}

s64 sys_eventfd(u64 count, u64 b, u64 c, u64 d, u64 e, u64 f)
{
    (void)b, (void)c, (void)d, (void)e, (void)f;
    return eventfd_new((u32)count, 0);
}

s64 sys_signalfd4(u64 fd, u64 set, u64 size, u64 flags, u64 e, u64 f)
{
    u64 mask;
    (void)e, (void)f;
    if (size != 8 || flags & ~(u64)FD_FLAGS)
        return -EINVAL;
    return copy_in(&mask, set, 8) ? -EFAULT : signalfd_set(fd, mask, flags);
}

s64 sys_signalfd(u64 fd, u64 set, u64 size, u64 d, u64 e, u64 f)
{
    (void)d, (void)e, (void)f;
    return sys_signalfd4(fd, set, size, 0, 0, 0);
}

enum { CLOCK_REALTIME = 0, CLOCK_MONOTONIC = 1, CLOCK_BOOTTIME = 7, CLOCK_REALTIME_ALARM, CLOCK_BOOTTIME_ALARM };

s64 sys_timerfd_create(u64 clock, u64 flags, u64 c, u64 d, u64 e, u64 f)
{
    (void)c, (void)d, (void)e, (void)f;
    if (flags & ~(u64)FD_FLAGS || (clock > CLOCK_MONOTONIC && (clock < CLOCK_BOOTTIME || clock > CLOCK_BOOTTIME_ALARM)))
        return -EINVAL;
    return timerfd_new(clock == CLOCK_REALTIME_ALARM ? CLOCK_REALTIME : clock, flags);
}

static void to_spec(const u64 v[2], struct timespec_native ts[2])
{
    for (int n = 0; n < 2; n++)
        ts[n] = (struct timespec_native){v[n] / 1000000000, v[n] % 1000000000};
}

s64 sys_timerfd_gettime(u64 fd, u64 out, u64 c, u64 d, u64 e, u64 ff)
{
    struct timespec_native ts[2];
    u64 v[2];
    (void)c, (void)d, (void)e, (void)ff;
    struct file *f = fd_file(fd);
    if (!f)
        return -EBADF;
    s64 r = timerfd_get(f, v);
    file_put(f);
    if (r)
        return r;
    to_spec(v, ts);
    return copy_out(out, ts, sizeof ts);
}

s64 sys_timerfd_settime(u64 fd, u64 flags, u64 set, u64 old, u64 e, u64 ff)
{
    struct timespec_native ts[2];
    u64 v[2], was[2];
    (void)e, (void)ff;
    if (copy_in(ts, set, sizeof ts))
        return -EFAULT;
    for (int n = 0; n < 2; n++) {
        if (ts[n].sec < 0 || (u64)ts[n].nsec >= 1000000000)
            return -EINVAL;
        v[n] = MIN(ts[n].sec, 1l << 33) * 1000000000ul + ts[n].nsec;
    }
    struct file *f = fd_file(fd);
    if (!f)
        return -EBADF;
    s64 r = timerfd_set(f, flags, v, was);
    file_put(f);
    if (r || !old)
        return r;
    to_spec(was, ts);
    return copy_out(old, ts, sizeof ts);
}

enum { MFD_CLOEXEC = 1, MFD_ALLOW_SEALING = 2, MFD_HUGETLB = 4, MFD_NOEXEC_SEAL = 8, MFD_EXEC = 16, MFD_NAME_MAX = 249 };

s64 sys_memfd_create(u64 name, u64 flags, u64 c, u64 d, u64 e, u64 ff)
{
    char text[MFD_NAME_MAX + 8] = "memfd:";
    (void)c, (void)d, (void)e, (void)ff;
    if (flags & ~(u64)(MFD_CLOEXEC | MFD_ALLOW_SEALING | MFD_NOEXEC_SEAL | MFD_EXEC))
        return -EINVAL; // huge pages among them
    s64 len = copy_in_str(text + 6, name, MFD_NAME_MAX + 1);
    if (len < 0)
        return len == -ENAMETOOLONG ? -EINVAL : len;
    struct inode *i = inode_new(shm_mount->sb, S_IFREG | 0777);
    struct dentry *dent = i ? dentry_new(NULL, text, len + 6, 0) : NULL;
    if (!dent) {
        if (i)
            inode_put(i);
        return -ENOMEM;
    }
    dent->inode = i;
    i->nlink = 0;
    if (flags & MFD_ALLOW_SEALING)
        i->flags |= INODE_SEALABLE;
    else
        i->seals = F_SEAL_SEAL;
    struct path p = {shm_mount, dent};
    __atomic_add_fetch(&shm_mount->refs, 1, __ATOMIC_RELAXED);
    struct file *f = file_new_path(&regular_ops, O_RDWR, &p);
    if (!f)
        return -ENOMEM;
    f->mode |= FILE_SEEKS | FILE_WRITER;
    i->writers = 1;
    return fd_install(f, flags & MFD_CLOEXEC, 0);
}
