// Standard streams that are pipes or files on the host: bytes over a console port (docs/console.md),
// which programs see as a pipe.
#include "core/calls.h"
#include "fs/stream.h"
#include "fs/vfs.h"
#include "vm/vm.h"

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

// A page of the library's, got when it is first needed.
struct bounce {
    u64 ppn;
};
static void *bounce_page(struct bounce *b)
{
    if (!b->ppn)
        b->ppn = page_get();
    return b->ppn ? page_va(b->ppn) : NULL;
}
static void bounce_done(struct bounce *b)
{
    if (b->ppn)
        page_put(b->ppn);
}

// One call. The kernel moves bytes straight from and to program memory; where that is not mapped yet (or
// is the library's), they go through a page. How many; 0: none now; negative errno.
static s64 receive(struct stream *s, int port, u64 buf, u64 len, struct bounce *b)
{
    len = MIN(len, CALL_MAX);
    s64 n = user_va(buf, len) ? xok_con_read(FAMILY, port, (void *)buf, len) : XOK_E_FAULT;
    bool direct = n != XOK_E_FAULT;
    void *page = direct ? NULL : bounce_page(b);
    if (!direct && !page)
        return -ENOMEM;
    if (!direct)
        n = xok_con_read(FAMILY, port, page, MIN(len, PAGE));
    if (n <= 0)
        return n < 0 ? -EIO : 0;
    s->taken += n;
    s64 r = direct ? 0 : copy_out(buf, page, n);
    return r ? r : n;
}

static s64 give(struct stream *s, int port, u64 buf, u64 len, struct bounce *b)
{
    len = MIN(len, CALL_MAX);
    s64 n = user_va(buf, len) ? xok_con_write(FAMILY, port, (void *)buf, len) : XOK_E_FAULT;
    if (n == XOK_E_FAULT) {
        void *page = bounce_page(b);
        len = MIN(len, PAGE);
        s64 r = page ? copy_in(page, buf, len) : -ENOMEM;
        if (r)
            return r;
        n = xok_con_write(FAMILY, port, page, len);
    }
    if (n > 0)
        s->given += n;
    return n < 0 ? -EIO : n;
}

// Takes what has arrived, up to len.
static s64 take(struct stream *s, int port, u64 buf, u64 len, struct bounce *b)
{
    u64 done = 0;
    s64 n = 0;
    while (done < len && (n = receive(s, port, buf + done, len - done, b)) > 0)
        done += n;
    return done ? (s64)done : n;
}

// Sleeps until the port changes: 0, or -ERESTARTSYS.
static s64 port_wait(struct stream *s, struct waiter *w)
{
    if (!w->q) {
        waitq_add(&s->wait, w);
        return 0; // look again before sleeping
    }
    lock_drop(&s->lock);
    s64 r = thread_sleep(0, true);
    lock_take(&s->lock);
    return r ? -ERESTARTSYS : 0;
}

static s64 stream_read(struct file *f, u64 buf, u64 len, u64 *pos)
{
    int port = port_of(f);
    struct stream *s = &streams[port];
    struct waiter w = {.thread = thread_self()};
    struct bounce b = {0};
    s64 r = 0, waited = 0;
    (void)pos;
    if (!len)
        return 0;
    lock_take(&s->lock);
    for (;;) {
        r = take(s, port, buf, len, &b);
        if (r || s->taken >= s->end)
            break;
        r = f->flags & O_NONBLOCK ? -EAGAIN : waited;
        if (r)
            break;
        waited = port_wait(s, &w);
    }
    waitq_del(&w);
    lock_drop(&s->lock);
    bounce_done(&b);
    return r;
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
    struct waiter w = {.thread = thread_self()};
    struct bounce b = {0};
    u64 done = 0;
    s64 r = 0;
    (void)pos;
    lock_take(&s->lock);
    while (done < len) {
        r = s->hup ? -EPIPE : give(s, port, buf + done, len - done, &b);
        if (r > 0) {
            done += r;
            continue;
        }
        if (!r)
            r = f->flags & O_NONBLOCK ? -EAGAIN : port_wait(s, &w);
        if (r)
            break;
    }
    waitq_del(&w);
    lock_drop(&s->lock);
    bounce_done(&b);
    if (r == -EPIPE)
        signal_thread(thread_self(), SIGPIPE_, NULL);
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
