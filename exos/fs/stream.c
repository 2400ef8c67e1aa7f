// Standard streams that are pipes or files on the host: bytes over a console port (docs/console.md),
// which programs see as a pipe.
#include "core/calls.h"
#include "fs/stream.h"
#include "fs/vfs.h"

enum { CALL_MAX = 65536 }; // bytes of one con_read or con_write

struct stream {
    struct lock lock;
    struct waitq wait;
    u64 taken;  // bytes read so far
    u64 end;    // how many there are in all, ~0 until the host says so
    u64 given;  // bytes written so far
    bool hup;   // nobody reads any more
};
static struct stream streams[3] = {{.end = ~0ul}, {.end = ~0ul}, {.end = ~0ul}};

void stream_start(void)
{
    for (int n = 0; n < 3; n++)
        waitq_init(&streams[n].wait);
}

void stream_event(int port)
{
    waitq_wake(&streams[port].wait, 1 << 30, POLLIN | POLLOUT);
}

void stream_eof(u64 total)
{
    __atomic_store_n(&streams[0].end, total, __ATOMIC_RELEASE);
    stream_event(0);
}

void stream_hup(int port)
{
    __atomic_store_n(&streams[port].hup, true, __ATOMIC_RELEASE);
    stream_event(port);
}

u64 stream_given(int port)
{
    return __atomic_load_n(&streams[port].given, __ATOMIC_ACQUIRE);
}

static int port_of(struct file *f) { return (int)(u64)f->priv; }

// Takes what has arrived, a page at a time, up to len.
static s64 take(struct stream *s, int port, u64 buf, u64 len, char *page)
{
    u64 done = 0;
    while (done < len) {
        s64 n = xok_con_read(FAMILY, port, page, MIN(len - done, PAGE));
        if (n <= 0)
            break;
        s->taken += n;
        s64 r = copy_out(buf + done, page, n);
        if (r)
            return done ? (s64)done : r;
        done += n;
    }
    return done;
}

static s64 stream_read(struct file *f, u64 buf, u64 len, u64 *pos)
{
    int port = port_of(f);
    struct stream *s = &streams[port];
    struct waiter w = {.thread = thread_self()};
    u64 ppn = len ? page_get() : 0;
    s64 r = 0;
    (void)pos;
    if (!ppn)
        return len ? -ENOMEM : 0;
    lock_take(&s->lock);
    for (;;) {
        r = take(s, port, buf, len, page_va(ppn));
        if (r || s->taken >= s->end)
            break;
        if (f->flags & O_NONBLOCK) {
            r = -EAGAIN;
            break;
        }
        if (!w.q) {
            waitq_add(&s->wait, &w);
            continue;
        }
        lock_drop(&s->lock);
        r = thread_sleep(0, true);
        lock_take(&s->lock);
        if (r && !XOK_INFO->con[port].rx_bytes) {
            r = -ERESTARTSYS;
            break;
        }
    }
    waitq_del(&w);
    lock_drop(&s->lock);
    page_put(ppn);
    return r;
}

// All of n bytes at `from`, waiting for room; s->lock is held. How many went, or an error if none.
static s64 put(struct stream *s, int port, const char *from, u64 n, bool block)
{
    struct waiter w = {.thread = thread_self()};
    u64 done = 0;
    s64 r = 0;
    while (done < n) {
        r = s->hup ? -EPIPE : xok_con_write(FAMILY, port, from + done, n - done);
        if (r > 0) {
            done += r, s->given += r;
            continue;
        }
        if (r < 0 || !block) {
            r = s->hup ? -EPIPE : r < 0 ? -EIO : -EAGAIN;
            break;
        }
        if (!w.q) {
            waitq_add(&s->wait, &w);
            continue;
        }
        lock_drop(&s->lock);
        r = thread_sleep(0, true);
        lock_take(&s->lock);
        if (r) {
            r = -ERESTARTSYS;
            break;
        }
    }
    waitq_del(&w);
    if (r == -EPIPE)
        signal_thread(thread_self(), SIGPIPE_, NULL);
    return done ? (s64)done : r;
}

s64 stream_offer(int port, const char *from, u64 n)
{
    struct stream *s = &streams[port];
    lock_take(&s->lock);
    s64 r = s->hup ? -EIO : xok_con_write(FAMILY, port, from, MIN(n, CALL_MAX));
    if (r > 0)
        s->given += r;
    lock_drop(&s->lock);
    return r;
}

static s64 stream_write(struct file *f, u64 buf, u64 len, u64 *pos)
{
    int port = port_of(f);
    struct stream *s = &streams[port];
    u64 ppn = len ? page_get() : 0, done = 0;
    s64 r = 0;
    (void)pos;
    if (!ppn)
        return len ? -ENOMEM : 0;
    lock_take(&s->lock);
    while (done < len) {
        u64 n = MIN(len - done, PAGE);
        r = copy_in(page_va(ppn), buf + done, n);
        if (!r)
            r = put(s, port, page_va(ppn), n, !(f->flags & O_NONBLOCK));
        if (r < 0)
            break;
        done += r;
        if ((u64)r < n)
            break;
    }
    lock_drop(&s->lock);
    page_put(ppn);
    return done ? (s64)done : r;
}

static u32 stream_poll(struct file *f, struct waiter *w)
{
    int port = port_of(f);
    struct stream *s = &streams[port];
    if (w)
        waitq_add(&s->wait, w);
    u32 events = 0;
    if (!port) {
        events |= XOK_INFO->con[port].rx_bytes ? POLLIN : 0;
        events |= s->taken >= s->end ? POLLIN | POLLHUP : 0;
    } else {
        events |= s->hup ? POLLERR | POLLOUT : XOK_INFO->con[port].tx_room ? POLLOUT : 0;
    }
    return events;
}

enum { FIONREAD = 0x541b };
static s64 stream_ioctl(struct file *f, u64 cmd, u64 arg)
{
    if (cmd != FIONREAD)
        return -ENOTTY;
    s32 n = port_of(f) ? 0 : XOK_INFO->con[0].rx_bytes;
    return copy_out(arg, &n, sizeof n);
}

static const struct file_ops stream_ops = {
    .read = stream_read, .write = stream_write, .poll = stream_poll, .ioctl = stream_ioctl, .name = "stream",
};

// Opened again through /proc/PID/fd: the same port.
static s64 stream_open(struct inode *i, struct file *f)
{
    f->ops = &stream_ops;
    f->priv = i->priv;
    return 0;
}
static const struct inode_ops stream_inode_ops = {.open = stream_open};

struct file *stream_file(int port)
{
    struct path p;
    struct inode *i = inode_new(pipe_mount->sb, S_IFIFO | 0600);
    if (!i)
        return NULL;
    i->ops = &stream_inode_ops;
    i->priv = (void *)(u64)port;
    if (anon_path(pipe_mount, i, &p)) {
        inode_put(i);
        return NULL;
    }
    struct file *f = file_new_path(&stream_ops, port ? O_WRONLY : O_RDONLY, &p);
    if (f)
        f->priv = i->priv;
    return f;
}
