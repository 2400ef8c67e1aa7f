// Descriptors that are counters and queues of events: eventfd(2), signalfd(2), timerfd_create(2).
#include "fs/events.h"
#include "proc/signal.h"
#include "proc/timers.h"

// ---- eventfd
enum { EFD_SEMAPHORE = 1 };
struct counter {
    struct lock lock;
    struct waitq wait;
    u64 count;
    bool semaphore;
};
#define COUNT_MAX (~0ul - 1)

static s64 event_read(struct file *f, u64 buf, u64 len, u64 *pos)
{
    struct counter *c = f->priv;
    s64 r = 0;
    (void)pos;
    if (len < 8)
        return -EINVAL;
    lock_take(&c->lock);
    if (!c->count)
        r = f->flags & O_NONBLOCK ? -EAGAIN : waitq_until(&c->wait, &c->lock, c->count, 0, true);
    u64 got = c->semaphore ? 1 : c->count;
    if (!r)
        c->count -= got;
    lock_drop(&c->lock);
    if (r)
        return r == -EINTR ? -ERESTARTSYS : r;
    waitq_wake(&c->wait, 1 << 30, POLLOUT);
    return copy_out(buf, &got, 8) ? -EFAULT : 8;
}

static s64 event_write(struct file *f, u64 buf, u64 len, u64 *pos)
{
    struct counter *c = f->priv;
    u64 add;
    s64 r = 0;
    (void)pos;
    if (len < 8)
        return -EINVAL;
    if (copy_in(&add, buf, 8))
        return -EFAULT;
    if (add == ~0ul)
        return -EINVAL;
    lock_take(&c->lock);
    if (COUNT_MAX - c->count < add)
        r = f->flags & O_NONBLOCK ? -EAGAIN : waitq_until(&c->wait, &c->lock, COUNT_MAX - c->count >= add, 0, true);
    if (!r)
        c->count += add;
    lock_drop(&c->lock);
    if (r)
        return r == -EINTR ? -ERESTARTSYS : r;
    waitq_wake(&c->wait, 1 << 30, POLLIN);
    return 8;
}

static u32 event_poll(struct file *f, struct waiter *w)
{
    struct counter *c = f->priv;
    if (w)
        waitq_add(&c->wait, w);
    return (c->count ? POLLIN : 0) | (c->count < COUNT_MAX ? POLLOUT : 0);
}

static void priv_free(struct file *f) { heap_free(f->priv); }

static const struct file_ops event_ops = {
    .seek = file_seek_none, .read = event_read, .write = event_write, .poll = event_poll, .release = priv_free, .name = "eventfd",
};

s64 eventfd_new(u64 count, u32 flags)
{
    struct counter *c = heap_alloc(sizeof *c);
    struct file *f = c ? file_new(&event_ops, O_RDWR | (flags & O_NONBLOCK)) : NULL;
    if (!f) {
        heap_free(c);
        return -ENOMEM;
    }
    waitq_init(&c->wait);
    c->count = count;
    c->semaphore = flags & EFD_SEMAPHORE;
    f->priv = c;
    return fd_install(f, flags & O_CLOEXEC, 0);
}

// ---- signalfd: of whoever reads, not of whoever made it
struct signalfd {
    u64 set;
};
struct siginfo_read {
    u32 signo;
    s32 err, code;
    u32 pid, uid;
    s32 fd;
    u32 tid, band, overrun, trapno;
    s32 status, value;
    u64 ptr, utime, stime, addr;
    u8 pad[48];
};
_Static_assert(sizeof(struct siginfo_read) == 128, "struct signalfd_siginfo");
enum { SIGCHLD = 17 };

static s64 signal_read(struct file *f, u64 buf, u64 len, u64 *pos)
{
    struct signalfd *s = f->priv;
    struct thread *t = thread_self();
    struct siginfo_native info;
    u64 done = 0;
    (void)pos;
    if (len < sizeof(struct siginfo_read))
        return -EINVAL;
    while (done + sizeof(struct siginfo_read) <= len) {
        if (!signal_dequeue(t, s->set, &info)) {
            if (done || f->flags & O_NONBLOCK)
                break;
            if (thread_sleep(0, true))
                return -ERESTARTSYS;
            continue;
        }
        struct siginfo_read out = {.signo = info.signo, .err = info.err, .code = info.code,
                                   .pid = info.field[0], .uid = info.field[0] >> 32};
        if (info.signo == SIGCHLD)
            out.status = info.field[1], out.utime = info.field[2], out.stime = info.field[3];
        else
            out.value = info.field[1], out.ptr = info.field[1];
        if (copy_out(buf + done, &out, sizeof out))
            return done ? (s64)done : -EFAULT;
        done += sizeof out;
    }
    return done ? (s64)done : -EAGAIN;
}

static u32 signal_poll(struct file *f, struct waiter *w)
{
    struct signalfd *s = f->priv;
    struct thread *t = thread_self();
    if (w)
        waitq_add(&t->proc->sigfd_wait, w);
    return (t->sigpend | t->proc->sigpend) & s->set ? POLLIN : 0;
}

static const struct file_ops signalfd_ops = {
    .seek = file_seek_none, .read = signal_read, .poll = signal_poll, .release = priv_free, .name = "signalfd",
};

s64 signalfd_set(s32 fd, u64 set, u32 flags)
{
    set &= ~(1ul << 8 | 1ul << 18); // SIGKILL, SIGSTOP
    if (fd != -1) {
        struct file *f = fd_file(fd);
        s64 r = !f ? -EBADF : f->ops != &signalfd_ops ? -EINVAL : fd;
        if (r >= 0)
            ((struct signalfd *)f->priv)->set = set;
        if (f)
            file_put(f);
        return r;
    }
    struct signalfd *s = heap_alloc(sizeof *s);
    struct file *f = s ? file_new(&signalfd_ops, O_RDONLY | (flags & O_NONBLOCK)) : NULL;
    if (!f) {
        heap_free(s);
        return -ENOMEM;
    }
    s->set = set;
    f->priv = s;
    return fd_install(f, flags & O_CLOEXEC, 0);
}

// ---- timerfd
enum { CLOCK_REALTIME = 0, TFD_TIMER_ABSTIME = 1, TFD_TIMER_CANCEL_ON_SET = 2 };
struct timerfd {
    struct timer timer;
    struct lock lock;
    struct waitq wait;
    u64 expired;  // since it was last read
    u64 deadline, interval; // CLOCK_MONOTONIC; 0: disarmed
    u32 clock;
};

// Called by the keeper; the next one is armed from here.
static void timer_fired(struct timer *timer)
{
    struct timerfd *t = container_of(timer, struct timerfd, timer);
    u64 now = clock_mono_ns(), n = 1;
    lock_take(&t->lock);
    if (!t->deadline || t->deadline > now) { // set anew meanwhile
        lock_drop(&t->lock);
        return;
    }
    if (t->interval) {
        n += (now - t->deadline) / t->interval;
        t->deadline += n * t->interval;
        timer_arm(&t->timer, t->deadline, timer_fired);
    } else {
        t->deadline = 0;
    }
    t->expired += n;
    lock_drop(&t->lock);
    waitq_wake(&t->wait, 1 << 30, POLLIN);
}

static s64 timer_read(struct file *f, u64 buf, u64 len, u64 *pos)
{
    struct timerfd *t = f->priv;
    s64 r = 0;
    (void)pos;
    if (len < 8)
        return -EINVAL;
    lock_take(&t->lock);
    if (!t->expired)
        r = f->flags & O_NONBLOCK ? -EAGAIN : waitq_until(&t->wait, &t->lock, t->expired, 0, true);
    u64 n = t->expired;
    if (!r)
        t->expired = 0;
    lock_drop(&t->lock);
    if (r)
        return r == -EINTR ? -ERESTARTSYS : r;
    return copy_out(buf, &n, 8) ? -EFAULT : 8;
}

static u32 timer_poll(struct file *f, struct waiter *w)
{
    struct timerfd *t = f->priv;
    if (w)
        waitq_add(&t->wait, w);
    return t->expired ? POLLIN : 0;
}

static void timer_release(struct file *f)
{
    struct timerfd *t = f->priv;
    lock_take(&t->lock);
    t->deadline = 0;
    lock_drop(&t->lock);
    timer_disarm(&t->timer);
    heap_free(t);
}

static const struct file_ops timer_ops = {
    .seek = file_seek_none, .read = timer_read, .poll = timer_poll, .release = timer_release, .name = "timerfd",
};

s64 timerfd_new(u32 clock, u32 flags)
{
    struct timerfd *t = heap_alloc(sizeof *t);
    struct file *f = t ? file_new(&timer_ops, O_RDONLY | (flags & O_NONBLOCK)) : NULL;
    if (!f) {
        heap_free(t);
        return -ENOMEM;
    }
    waitq_init(&t->wait);
    t->clock = clock;
    f->priv = t;
    return fd_install(f, flags & O_CLOEXEC, 0);
}

static void value_get(struct timerfd *t, u64 v[2])
{
    u64 now = clock_mono_ns();
    v[0] = t->interval;
    v[1] = !t->deadline ? 0 : t->deadline > now ? t->deadline - now : 1;
}

s64 timerfd_get(struct file *f, u64 v[2])
{
    if (f->ops != &timer_ops)
        return -EINVAL;
    value_get(f->priv, v);
    return 0;
}

s64 timerfd_set(struct file *f, u32 flags, const u64 set[2], u64 old[2])
{
    struct timerfd *t = f->priv;
    if (f->ops != &timer_ops || flags & ~(TFD_TIMER_ABSTIME | TFD_TIMER_CANCEL_ON_SET))
        return -EINVAL;
    timer_disarm(&t->timer);
    lock_take(&t->lock);
    value_get(t, old);
    u64 now = clock_mono_ns(), real = clock_real_ns(), at = set[1];
    if (at && !(flags & TFD_TIMER_ABSTIME))
        at = now + at;
    else if (at && t->clock == CLOCK_REALTIME)
        at = at > real ? now + (at - real) : now;
    t->expired = 0;
    t->interval = set[0];
    t->deadline = at;
    if (at)
        timer_arm(&t->timer, at, timer_fired);
    lock_drop(&t->lock);
    return 0;
}
