// Pipes and FIFOs (pipe(7), fifo(7)): a ring of bytes over pages taken as they are needed. An empty pipe
// starts again at its first page, so short messages always use the same, warm one.
#include "fs/vfs.h"
#include "fs/pipe.h"

enum { DEFAULT_PAGES = 16, KEPT_PAGES = 4, PIPE_BUF = 4096 };

struct mount *pipe_mount; // of what has an inode and no name

struct pipe *pipe_new(void)
{
    struct pipe *p = heap_alloc(sizeof *p + DEFAULT_PAGES * sizeof *p->page);
    if (!p)
        return NULL;
    p->pages = DEFAULT_PAGES;
    p->page = p->first;
    waitq_init(&p->rd);
    waitq_init(&p->wr);
    waitq_init(&p->openers);
    return p;
}

static void pages_drop(struct pipe *p, u32 keep)
{
    for (u32 n = keep; n < p->pages && p->used_pages > keep; n++)
        if (p->page[n]) {
            page_put(p->page[n]);
            p->page[n] = 0;
        }
    p->used_pages = MIN(p->used_pages, keep);
}

void pipe_free(struct pipe *p)
{
    pages_drop(p, 0);
    if (p->page != p->first)
        heap_free(p->page);
    heap_free(p);
}

// Bytes that lie together at pos; their address in *at. Takes a page when `fill`. 0: out of memory.
static u64 span(struct pipe *p, u64 pos, char **at, bool fill)
{
    u64 n = pos / PAGE % p->pages;
    if (!p->page[n]) {
        if (!fill || !(p->page[n] = page_get()))
            return 0;
        p->used_pages = MAX(p->used_pages, n + 1);
    }
    *at = (char *)page_va(p->page[n]) + pos % PAGE;
    return PAGE - pos % PAGE;
}

static u64 room(struct pipe *p) { return p->pages * PAGE - (p->wpos - p->rpos); }

static void emptied(struct pipe *p)
{
    p->rpos = p->wpos = 0;
    if (p->used_pages > KEPT_PAGES)
        pages_drop(p, KEPT_PAGES);
}

// One sink or source: program memory, or the library's.
static s64 move_out(bool kernel, u64 to, const void *from, u64 n)
{
    if (!kernel)
        return copy_out(to, from, n);
    memcpy((void *)to, from, n);
    return 0;
}
static s64 move_in(bool kernel, void *to, u64 from, u64 n)
{
    if (!kernel)
        return copy_in(to, from, n);
    memcpy(to, (void *)from, n);
    return 0;
}

// Moves what is there, up to len. Under p->lock.
s64 pipe_take(struct pipe *p, u64 buf, u64 len, bool kernel, bool peek)
{
    u64 done = 0, pos = p->rpos;
    len = MIN(len, p->wpos - p->rpos);
    while (done < len) {
        char *at;
        u64 n = MIN(span(p, pos, &at, false), len - done);
        s64 r = move_out(kernel, buf + done, at, n);
        if (r)
            return done ? (s64)done : r;
        done += n, pos += n;
        if (!peek)
            p->rpos = pos;
    }
    if (!peek && p->rpos == p->wpos)
        emptied(p);
    return done;
}

s64 pipe_give(struct pipe *p, u64 buf, u64 len, bool kernel)
{
    u64 done = 0;
    len = MIN(len, room(p));
    while (done < len) {
        char *at;
        u64 n = MIN(span(p, p->wpos, &at, true), len - done);
        s64 r = n ? move_in(kernel, at, buf + done, n) : -ENOMEM;
        if (r)
            return done ? (s64)done : r;
        done += n, p->wpos += n;
    }
    return done;
}

static u64 pipe_bytes(struct pipe *p) { return p->wpos - p->rpos; }

// Sleeps until woken, the pipe's lock dropped. Exclusive: a wake-up goes to one sleeper, which passes
// it on if it leaves something behind.
static s64 pipe_wait(struct pipe *p, struct waitq *q, struct waiter *w)
{
    if (!w->q) {
        waitq_add(q, w);
        return 0; // look again before sleeping
    }
    lock_drop(&p->lock);
    s64 r = thread_sleep(0, true);
    lock_take(&p->lock);
    return r;
}

s64 pipe_read(struct pipe *p, u64 buf, u64 len, bool block, bool kernel)
{
    struct waiter w = {.thread = thread_self(), .exclusive = true};
    s64 r = 0;
    if (!len)
        return 0;
    lock_take(&p->lock);
    for (;;) {
        if (pipe_bytes(p)) {
            r = pipe_take(p, buf, len, kernel, false);
            break;
        }
        if (!p->writers)
            break;
        if (!block) {
            r = -EAGAIN;
            break;
        }
        r = pipe_wait(p, &p->rd, &w);
        if (r && !pipe_bytes(p)) {
            r = -ERESTARTSYS;
            break;
        }
    }
    if (w.q)
        waitq_del(&w);
    if (r > 0)
        waitq_wake(&p->wr, 1, POLLOUT);
    if (pipe_bytes(p) || !p->writers)
        waitq_wake(&p->rd, 1, POLLIN);
    lock_drop(&p->lock);
    return r;
}

s64 pipe_write(struct pipe *p, u64 buf, u64 len, bool block, bool kernel)
{
    struct waiter w = {.thread = thread_self(), .exclusive = true};
    u64 done = 0;
    s64 r = 0;
    if (!len)
        return 0;
    lock_take(&p->lock);
    while (done < len) {
        if (!p->readers) {
            signal_thread(thread_self(), SIGPIPE_, NULL);
            r = -EPIPE;
            break;
        }
        u64 want = len - done <= PIPE_BUF ? len - done : 1; // short writes are not divided
        if (len > PIPE_BUF)
            want = 1;
        if (room(p) >= want) {
            r = pipe_give(p, buf + done, len - done, kernel);
            if (r < 0)
                break;
            done += r;
            waitq_wake(&p->rd, 1, POLLIN);
            continue;
        }
        if (!block) {
            r = -EAGAIN;
            break;
        }
        r = pipe_wait(p, &p->wr, &w);
        if (r && room(p) < want) {
            r = -ERESTARTSYS;
            break;
        }
    }
    if (w.q)
        waitq_del(&w);
    if (room(p) && p->readers)
        waitq_wake(&p->wr, 1, POLLOUT);
    lock_drop(&p->lock);
    return done ? (s64)done : r;
}

static s64 file_read(struct file *f, u64 buf, u64 len, u64 *pos)
{
    (void)pos;
    return pipe_read(f->priv, buf, len, !(f->flags & O_NONBLOCK), false);
}

static s64 file_write(struct file *f, u64 buf, u64 len, u64 *pos)
{
    (void)pos;
    return pipe_write(f->priv, buf, len, !(f->flags & O_NONBLOCK), false);
}

static u32 pipe_poll(struct file *f, struct waiter *w)
{
    struct pipe *p = f->priv;
    u32 events = 0;
    if (w && (f->mode & MAY_READ))
        waitq_add(&p->rd, &w[0]);
    if (w && (f->mode & MAY_WRITE))
        waitq_add(&p->wr, &w[1]);
    if (f->mode & MAY_READ) {
        events |= pipe_bytes(p) ? POLLIN : 0;
        events |= !p->writers && p->writers_ever != f->pos ? POLLHUP : 0;
    }
    if (f->mode & MAY_WRITE) {
        events |= room(p) >= PIPE_BUF ? POLLOUT : 0;
        events |= !p->readers ? POLLERR : 0;
    }
    return events;
}

enum { FIONREAD = 0x541b };
static s64 pipe_ioctl(struct file *f, u64 cmd, u64 arg)
{
    struct pipe *p = f->priv;
    if (cmd != FIONREAD)
        return -ENOTTY;
    s32 n = pipe_bytes(p);
    return copy_out(arg, &n, sizeof n);
}

static void pipe_release(struct file *f)
{
    struct pipe *p = f->priv;
    lock_take(&p->lock);
    if (f->mode & MAY_READ)
        p->readers--;
    if (f->mode & MAY_WRITE)
        p->writers--;
    if (!p->writers)
        waitq_wake(&p->rd, 1 << 30, POLLHUP);
    if (!p->readers)
        waitq_wake(&p->wr, 1 << 30, POLLERR);
    if (!p->readers && !p->writers)
        emptied(p);
    lock_drop(&p->lock);
}

const struct file_ops pipe_ops = {
    .read = file_read, .write = file_write, .poll = pipe_poll, .ioctl = pipe_ioctl, .release = pipe_release,
    .name = "pipe",
};

struct pipe *pipe_of(struct file *f)
{
    return f && f->ops == &pipe_ops ? f->priv : NULL;
}

s64 pipe_resize(struct pipe *p, u64 size)
{
    u64 pages = 1;
    while (pages * PAGE < size)
        pages *= 2;
    if (pages > PIPE_MAX_PAGES)
        return -EPERM;
    u64 *fresh = heap_alloc(pages * sizeof *fresh);
    if (!fresh)
        return -ENOMEM;
    lock_take(&p->lock);
    u64 used = pipe_bytes(p) ? (p->wpos - 1) / PAGE - p->rpos / PAGE + 1 : 0;
    if (used > pages) {
        lock_drop(&p->lock);
        heap_free(fresh);
        return -EBUSY;
    }
    u64 first = p->rpos / PAGE;
    for (u64 n = 0; n < used; n++) {
        fresh[n] = p->page[(first + n) % p->pages];
        p->page[(first + n) % p->pages] = 0;
    }
    pages_drop(p, 0);
    u64 *old = p->page;
    p->page = fresh;
    p->pages = pages;
    p->used_pages = used;
    p->rpos -= first * PAGE;
    p->wpos -= first * PAGE;
    waitq_wake(&p->wr, 1, POLLOUT);
    lock_drop(&p->lock);
    if (old != p->first)
        heap_free(old);
    return pages * PAGE;
}

// A pipe that has no name still has an inode: for fstat, and for opening /proc/PID/fd/N again.
static struct file *pipe_end(struct inode *i, struct path *p, u32 flags)
{
    path_get(p);
    struct file *f = file_new_path(&pipe_ops, flags, p);
    if (f)
        f->priv = i->priv;
    return f;
}

s64 pipe_pair(u32 flags, struct file *out[2])
{
    struct path path;
    struct inode *i = inode_new(pipe_mount->sb, S_IFIFO | 0600);
    struct pipe *p = i ? i->priv = pipe_new() : NULL;
    if (!p || anon_path(pipe_mount, i, &path)) {
        if (i)
            inode_put(i);
        return -ENFILE;
    }
    out[0] = pipe_end(i, &path, O_RDONLY | flags);
    out[1] = pipe_end(i, &path, O_WRONLY | flags);
    path_put(&path);
    p->readers = p->writers = p->writers_ever = p->readers_ever = 1;
    if (out[0] && out[1])
        return 0;
    for (int n = 0; n < 2; n++)
        if (out[n])
            file_put(out[n]);
    return -ENFILE;
}

void fifo_evict(struct inode *i)
{
    if (i->priv)
        pipe_free(i->priv);
}

static struct pipe *fifo_pipe(struct inode *i)
{
    lock_take(&i->lock);
    if (!i->priv)
        i->priv = pipe_new();
    lock_drop(&i->lock);
    return i->priv;
}

// Waits until `*count` has changed since it was `before`: the other side came, perhaps only for a moment.
static s64 opener_wait(struct pipe *p, u32 *ever, u32 before, u32 *now)
{
    return waitq_until(&p->openers, &p->lock, *ever != before || *now, 0, true);
}

s64 fifo_open(struct inode *i, struct file *f)
{
    struct pipe *p = fifo_pipe(i);
    bool named = i->sb != pipe_mount->sb; // pipe(2)'s, opened through /proc, waits for nobody
    s64 r = 0;
    if (!p)
        return -ENOMEM;
    lock_take(&p->lock);
    if (named && f->mode == MAY_WRITE && (f->flags & O_NONBLOCK) && !p->readers) {
        lock_drop(&p->lock);
        return -ENXIO;
    }
    if (f->mode & MAY_READ)
        p->readers++, p->readers_ever++;
    if (f->mode & MAY_WRITE)
        p->writers++, p->writers_ever++;
    waitq_wake(&p->openers, 1 << 30, 0);
    if (named && f->mode == MAY_READ && !p->writers) {
        if (f->flags & O_NONBLOCK)
            f->pos = p->writers_ever; // that nobody writes yet is no hang-up
        else
            r = opener_wait(p, &p->writers_ever, p->writers_ever, &p->writers);
    } else if (named && f->mode == MAY_WRITE && !p->readers) {
        r = opener_wait(p, &p->readers_ever, p->readers_ever, &p->readers);
    }
    f->priv = p;
    lock_drop(&p->lock);
    if (r) {
        pipe_release(f);
        return -ERESTARTSYS;
    }
    f->ops = &pipe_ops;
    return 0;
}
