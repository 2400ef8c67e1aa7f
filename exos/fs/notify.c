// inotify(7): watches hang on inodes, events queue at the instance. Everything under notify_lock, which
// is innermost but for queues of waiters.
#include "fs/notify.h"

enum { QUEUE_MAX = 16384, WATCHES_MAX = 1 << 20 }; // Linux's fs.inotify defaults
enum { IN_UNMOUNT = 0x2000, IN_Q_OVERFLOW = 0x4000, IN_IGNORED = 0x8000, IN_ONLYDIR = 0x01000000,
       IN_DONT_FOLLOW = 0x02000000, IN_EXCL_UNLINK = 0x04000000, IN_MASK_CREATE = 0x10000000,
       IN_MASK_ADD = 0x20000000, IN_ONESHOT = 0x80000000, IN_ALL = 0xfff };

struct event {
    struct list link;
    s32 wd;
    u32 mask, cookie, len; // len: of name with its NULs
    char name[];
};
struct instance {
    struct list events, watches;
    struct waitq wait;
    u32 queued, next_wd;
};
struct watch {
    struct list on_inode, on_instance;
    struct instance *in;
    struct inode *inode; // a reference
    s32 wd;
    u32 mask;
};

u32 notify_on;
static struct lock notify_lock;

static void queue(struct instance *in, s32 wd, u32 mask, u32 cookie, const char *name)
{
    u32 len = name && *name ? (strlen(name) + 16) & ~15u : 0;
    if (in->queued >= QUEUE_MAX)
        return;
    if (in->queued == QUEUE_MAX - 1)
        wd = -1, mask = IN_Q_OVERFLOW, cookie = len = 0;
    if (!list_empty(&in->events)) { // the same again adds nothing
        struct event *last = container_of(in->events.prev, struct event, link);
        if (last->wd == wd && last->mask == mask && last->cookie == cookie && last->len == len &&
            (!len || !strcmp(last->name, name)))
            return;
    }
    struct event *e = heap_alloc(sizeof *e + len);
    if (!e)
        return;
    e->wd = wd, e->mask = mask, e->cookie = cookie, e->len = len;
    if (len)
        memcpy(e->name, name, strlen(name));
    list_add_tail(&in->events, &e->link);
    in->queued++;
    waitq_wake(&in->wait, 1, POLLIN);
}

static void watch_drop(struct watch *w, bool tell)
{
    struct inode *i = w->inode;
    if (tell)
        queue(w->in, w->wd, IN_IGNORED, 0, NULL);
    list_del(&w->on_inode);
    list_del(&w->on_instance);
    if (list_empty(&i->extra->watches))
        __atomic_and_fetch(&i->flags, ~INODE_WATCHED, __ATOMIC_RELAXED);
    notify_on--;
    heap_free(w);
}

void notify_event(struct inode *i, u32 mask, u32 cookie, const char *name)
{
    struct inode *gone[8];
    u32 ngone = 0;
    if (!(i->flags & INODE_WATCHED))
        return;
    lock_take(&notify_lock);
    list_for_safe(it, next, &i->extra->watches) {
        struct watch *w = container_of(it, struct watch, on_inode);
        if (w->mask & mask & IN_ALL) {
            queue(w->in, w->wd, mask, cookie, name);
            if ((w->mask & IN_ONESHOT) || ((mask & IN_DELETE_SELF) && ngone < countof(gone))) {
                if (ngone == countof(gone))
                    continue;
                gone[ngone++] = w->inode;
                watch_drop(w, true);
            }
        } else if ((mask & IN_DELETE_SELF) && ngone < countof(gone)) {
            gone[ngone++] = w->inode;
            watch_drop(w, true);
        }
    }
    lock_drop(&notify_lock);
    while (ngone)
        inode_put(gone[--ngone]);
}

void notify_name(struct dentry *dir, u32 mask, u32 cookie, const char *name, struct inode *child)
{
    (void)child;
    notify_event(dir->inode, mask, cookie, name);
}

void notify_file(struct file *f, u32 mask)
{
    u32 dir = S_ISDIR(f->inode->mode) ? IN_ISDIR : 0;
    notify_event(f->inode, mask | dir, 0, NULL);
    struct dentry *parent = f->dentry ? f->dentry->parent : NULL;
    if (parent && parent->inode && (parent->inode->flags & INODE_WATCHED))
        notify_event(parent->inode, mask | dir, 0, f->dentry->name);
}

static s64 event_out(struct event *e, u64 to)
{
    s64 r = copy_out(to, &e->wd, 16);
    return r || !e->len ? r : copy_out(to + 16, e->name, e->len);
}

static s64 notify_read(struct file *f, u64 buf, u64 len, u64 *pos)
{
    struct instance *in = f->priv;
    u64 done = 0;
    (void)pos;
    lock_take(&notify_lock);
    s64 r = f->flags & O_NONBLOCK ? list_empty(&in->events) ? -EAGAIN : 0
                                  : waitq_until(&in->wait, &notify_lock, !list_empty(&in->events), 0, true);
    if (r == -EINTR)
        r = -ERESTARTSYS;
    while (!r && !list_empty(&in->events)) {
        struct event *e = container_of(in->events.next, struct event, link);
        if (done + 16 + e->len > len) {
            r = done ? 0 : -EINVAL;
            break;
        }
        list_del(&e->link);
        in->queued--;
        lock_drop(&notify_lock); // program memory is not touched under it
        r = event_out(e, buf + done);
        done += 16 + e->len;
        heap_free(e);
        lock_take(&notify_lock);
    }
    lock_drop(&notify_lock);
    return r ? r : (s64)done;
}

static u32 notify_poll(struct file *f, struct waiter *w)
{
    struct instance *in = f->priv;
    if (w)
        waitq_add(&in->wait, w);
    return list_empty(&in->events) ? 0 : POLLIN;
}

enum { FIONREAD = 0x541b };
static s64 notify_ioctl(struct file *f, u64 cmd, u64 arg)
{
    struct instance *in = f->priv;
    s32 n = 0;
    if (cmd != FIONREAD)
        return -ENOTTY;
    lock_take(&notify_lock);
    list_for(it, &in->events) n += 16 + container_of(it, struct event, link)->len;
    lock_drop(&notify_lock);
    return copy_out(arg, &n, sizeof n);
}

static void notify_release(struct file *f)
{
    struct instance *in = f->priv;
    for (;;) {
        lock_take(&notify_lock);
        struct watch *w = list_empty(&in->watches) ? NULL : container_of(in->watches.next, struct watch, on_instance);
        struct inode *i = w ? w->inode : NULL;
        if (w)
            watch_drop(w, false);
        lock_drop(&notify_lock);
        if (!w)
            break;
        inode_put(i);
    }
    list_for_safe(it, next, &in->events) heap_free(container_of(it, struct event, link));
    heap_free(in);
}

static const struct file_ops notify_ops = {
    .read = notify_read, .poll = notify_poll, .ioctl = notify_ioctl, .release = notify_release, .name = "inotify",
};

s64 notify_new(u32 flags)
{
    struct instance *in = heap_alloc(sizeof *in);
    struct file *f = in ? file_new(&notify_ops, O_RDONLY | (flags & O_NONBLOCK)) : NULL;
    if (!f) {
        heap_free(in);
        return -ENOMEM;
    }
    list_init(&in->events);
    list_init(&in->watches);
    waitq_init(&in->wait);
    in->next_wd = 1;
    f->priv = in;
    return fd_install(f, flags & O_CLOEXEC, 0);
}

static struct watch *watch_of(struct instance *in, struct inode *i)
{
    list_for(it, &i->extra->watches) {
        struct watch *w = container_of(it, struct watch, on_inode);
        if (w->in == in)
            return w;
    }
    return NULL;
}

s64 notify_add(struct file *f, struct inode *i, u32 mask)
{
    if (f->ops != &notify_ops || !(mask & (IN_ALL | IN_ONESHOT)))
        return -EINVAL;
    if ((mask & (IN_MASK_ADD | IN_MASK_CREATE)) == (IN_MASK_ADD | IN_MASK_CREATE))
        return -EINVAL;
    struct instance *in = f->priv;
    struct watch *fresh = heap_alloc(sizeof *fresh);
    if (!fresh || !inode_extra(i)) {
        heap_free(fresh);
        return -ENOMEM;
    }
    lock_take(&notify_lock);
    struct watch *w = watch_of(in, i);
    s64 r = w && mask & IN_MASK_CREATE ? -EEXIST : !w && notify_on >= WATCHES_MAX ? -ENOSPC : 0;
    if (!r && w) {
        w->mask = mask & IN_MASK_ADD ? w->mask | mask : mask;
        r = w->wd;
    } else if (!r) {
        w = fresh, fresh = NULL;
        *w = (struct watch){.in = in, .inode = inode_get(i), .wd = in->next_wd++, .mask = mask};
        list_add_tail(&i->extra->watches, &w->on_inode);
        list_add_tail(&in->watches, &w->on_instance);
        __atomic_or_fetch(&i->flags, INODE_WATCHED, __ATOMIC_RELAXED);
        notify_on++;
        r = w->wd;
    }
    lock_drop(&notify_lock);
    heap_free(fresh);
    return r;
}

s64 notify_remove(struct file *f, s32 wd)
{
    if (f->ops != &notify_ops)
        return -EINVAL;
    struct instance *in = f->priv;
    struct inode *i = NULL;
    lock_take(&notify_lock);
    list_for(it, &in->watches) {
        struct watch *w = container_of(it, struct watch, on_instance);
        if (w->wd != wd)
            continue;
        i = w->inode;
        watch_drop(w, true);
        break;
    }
    lock_drop(&notify_lock);
    if (!i)
        return -EINVAL;
    inode_put(i);
    return 0;
}

bool notify_only_dir(u32 mask) { return mask & IN_ONLYDIR; }
bool notify_no_follow(u32 mask) { return mask & IN_DONT_FOLLOW; }
