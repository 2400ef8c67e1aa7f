// epoll_create(2), epoll_ctl(2), epoll_wait(2).
#include "fs/epoll.h"
#include "linux/fs.h"

void sigmask_replace(u64 mask);

s64 sys_epoll_create(u64 size, u64 b, u64 c, u64 d, u64 e, u64 f)
{
    (void)b, (void)c, (void)d, (void)e, (void)f;
    return (s32)size <= 0 ? -EINVAL : epoll_new(0);
}

s64 sys_epoll_create1(u64 flags, u64 b, u64 c, u64 d, u64 e, u64 f)
{
    (void)b, (void)c, (void)d, (void)e, (void)f;
    return flags & ~(u64)O_CLOEXEC ? -EINVAL : epoll_new(flags);
}

s64 sys_epoll_ctl(u64 epfd, u64 op, u64 fd, u64 event, u64 e, u64 ff)
{
    struct epoll_event_native ev = {0, 0};
    bool owned, fowned;
    (void)e, (void)ff;
    if (op != EPOLL_CTL_DEL && copy_in(&ev, event, sizeof ev))
        return -EFAULT;
    struct file *ep = fd_borrow(epfd, &owned);
    if (!ep)
        return -EBADF;
    struct file *f = fd_borrow(fd, &fowned);
    s64 r = f ? epoll_control(ep, op, f, fd, &ev) : -EBADF;
    if (f)
        fd_return(f, fowned);
    fd_return(ep, owned);
    return r;
}

static s64 wait_until(u64 epfd, u64 out, u64 max, u64 deadline)
{
    bool owned;
    struct file *ep = fd_borrow(epfd, &owned);
    if (!ep)
        return -EBADF;
    s64 r = epoll_sleep(ep, out, max, deadline);
    fd_return(ep, owned);
    return r;
}

static u64 deadline_ms(s32 ms) { return ms < 0 ? 0 : ms ? clock_mono_ns() + ms * 1000000ul : 1; }

s64 sys_epoll_wait(u64 epfd, u64 out, u64 max, u64 ms, u64 e, u64 f)
{
    (void)e, (void)f;
    return wait_until(epfd, out, max, deadline_ms(ms));
}

static s64 mask_in(u64 from, u64 size)
{
    u64 mask;
    if (!from)
        return 0;
    if (size != 8)
        return -EINVAL;
    if (copy_in(&mask, from, 8))
        return -EFAULT;
    sigmask_replace(mask);
    return 0;
}

s64 sys_epoll_pwait(u64 epfd, u64 out, u64 max, u64 ms, u64 mask, u64 size)
{
    s64 r = mask_in(mask, size);
    return r ? r : wait_until(epfd, out, max, deadline_ms(ms));
}

s64 sys_epoll_pwait2(u64 epfd, u64 out, u64 max, u64 timeout, u64 mask, u64 size)
{
    struct timespec_native ts;
    u64 deadline = 0;
    if (timeout && copy_in(&ts, timeout, sizeof ts))
        return -EFAULT;
    if (timeout && (ts.sec < 0 || (u64)ts.nsec >= 1000000000))
        return -EINVAL;
    if (timeout)
        deadline = ts.sec | ts.nsec ? clock_mono_ns() + MIN(ts.sec, 1l << 33) * 1000000000ul + ts.nsec : 1;
    s64 r = mask_in(mask, size);
    return r ? r : wait_until(epfd, out, max, deadline);
}
