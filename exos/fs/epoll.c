// epoll(7). An item waits on its file's queues with a callback that puts it on the set's ready list, so
// epoll_wait looks at ready items only.
//
// Locks: epoll_lock (sets and files against each other; held for changes) > set->scan (items polled one
// after another) > a file's queue > set->lock (the ready list).
#include "fs/epoll.h"

static struct lock epoll_lock;
enum { DEPTH_MAX = 5, BUCKETS_MIN = 16 };
enum { EPOLLEXCLUSIVE = 1u << 28, EPOLLWAKEUP = 1u << 29, EPOLLONESHOT = 1u << 30, EPOLLET = 1u << 31 };

struct epoll_link { // from a file to the items that watch it
    struct epoll_link *next;
    struct item *item;
};
struct item {
    struct list ready;    // in set->ready, or alone; set->lock
    struct item *next;    // in its bucket
    struct epoll_link link;
    struct set *set;
    struct file *file;    // not a reference: the file tells when it goes
    s32 fd;
    u32 events;
    u64 data;
    struct waiter w[FILE_POLL_QUEUES];
};
struct set {
    struct lock lock, scan;
    struct list ready;
    struct waitq wait;
    struct item **buckets;
    u32 nbuckets, items;
};

static struct item **slot(struct set *s, struct file *f, s32 fd)
{
    struct item **at = &s->buckets[(u32)fd & (s->nbuckets - 1)];
    while (*at && ((*at)->fd != fd || (*at)->file != f))
        at = &(*at)->next;
    return at;
}

static bool grow(struct set *s)
{
    u32 n = s->nbuckets * 2;
    struct item **fresh = heap_alloc(n * sizeof *fresh), *next;
    if (!fresh)
        return false;
    for (u32 b = 0; b < s->nbuckets; b++)
        for (struct item *it = s->buckets[b]; it; it = next) {
            next = it->next;
            it->next = fresh[(u32)it->fd & (n - 1)];
            fresh[(u32)it->fd & (n - 1)] = it;
        }
    heap_free(s->buckets);
    s->buckets = fresh, s->nbuckets = n;
    return true;
}

static void make_ready(struct item *it)
{
    struct set *s = it->set;
    lock_take(&s->lock);
    if (list_empty(&it->ready))
        list_add_tail(&s->ready, &it->ready);
    lock_drop(&s->lock);
    waitq_wake(&s->wait, 1, POLLIN);
}

// Under the file's queue lock.
static void item_event(struct waiter *w, u64 key)
{
    struct item *it = w->arg;
    (void)key;
    if (it->events & ~(EPOLLET | EPOLLONESHOT | EPOLLEXCLUSIVE | EPOLLWAKEUP))
        make_ready(it);
}

static u32 item_poll(struct item *it, bool add)
{
    struct file *f = it->file;
    u32 events = f->ops->poll ? f->ops->poll(f, add ? it->w : NULL) : POLLIN | POLLOUT;
    return events & ((it->events & 0xffff) | POLLERR | POLLHUP);
}

// epoll_lock and scan held. The file may be going: only its list of links is touched.
static void item_free(struct item *it)
{
    struct set *s = it->set;
    for (int q = 0; q < FILE_POLL_QUEUES; q++)
        waitq_del(&it->w[q]);
    lock_take(&s->lock);
    list_del(&it->ready);
    lock_drop(&s->lock);
    *slot(s, it->file, it->fd) = it->next;
    struct epoll_link **l = &it->file->epolls;
    while (*l != &it->link)
        l = &(*l)->next;
    *l = it->link.next;
    s->items--;
    heap_free(it);
}

void epoll_forget(struct file *f)
{
    lock_take(&epoll_lock);
    while (f->epolls) {
        struct item *it = f->epolls->item;
        struct set *s = it->set;
        lock_take(&s->scan);
        item_free(it);
        lock_drop(&s->scan);
    }
    lock_drop(&epoll_lock);
}

static void set_release(struct file *f)
{
    struct set *s = f->priv;
    lock_take(&epoll_lock);
    lock_take(&s->scan);
    for (u32 b = 0; b < s->nbuckets; b++)
        while (s->buckets[b])
            item_free(s->buckets[b]);
    lock_drop(&s->scan);
    lock_drop(&epoll_lock);
    heap_free(s->buckets);
    heap_free(s);
}

// Ready if an item still is: those that are not leave the list.
static u32 set_poll(struct file *f, struct waiter *w)
{
    struct set *s = f->priv;
    bool any = false;
    if (w)
        waitq_add(&s->wait, w);
    lock_take(&s->scan);
    for (;;) {
        lock_take(&s->lock);
        struct item *it = list_empty(&s->ready) ? NULL : container_of(s->ready.next, struct item, ready);
        if (it)
            list_del(&it->ready);
        lock_drop(&s->lock);
        if (!it)
            break;
        any = item_poll(it, false);
        if (any) {
            lock_take(&s->lock);
            if (list_empty(&it->ready))
                list_add_tail(s->ready.next, &it->ready);
            lock_drop(&s->lock);
            break;
        }
    }
    lock_drop(&s->scan);
    return any ? POLLIN : 0;
}

static const struct file_ops set_ops = {.seek = file_seek_none, .poll = set_poll, .release = set_release, .name = "eventpoll"};

s64 epoll_new(u32 flags)
{
    struct set *s = heap_alloc(sizeof *s);
    struct file *f = s && (s->buckets = heap_alloc(BUCKETS_MIN * sizeof *s->buckets)) ? file_new(&set_ops, O_RDWR) : NULL;
    if (!f) {
        if (s)
            heap_free(s->buckets);
        heap_free(s);
        return -ENOMEM;
    }
    s->nbuckets = BUCKETS_MIN;
    list_init(&s->ready);
    waitq_init(&s->wait);
    f->priv = s;
    return fd_install(f, flags & O_CLOEXEC, 0);
}

// How many sets deep f is, and whether `top` is below it. epoll_lock held.
static int depth(struct file *f, struct set *top, int level)
{
    if (f->ops != &set_ops)
        return 0;
    struct set *s = f->priv;
    int deepest = 0;
    if (s == top || level > DEPTH_MAX)
        return DEPTH_MAX + 1;
    for (u32 b = 0; b < s->nbuckets; b++)
        for (struct item *it = s->buckets[b]; it; it = it->next)
            deepest = MAX(deepest, depth(it->file, top, level + 1));
    return deepest + 1;
}

static s64 item_add(struct set *s, struct file *f, s32 fd, u32 events, u64 data)
{
    if (f->ops == &set_ops && depth(f, s, 1) > DEPTH_MAX)
        return -ELOOP;
    if (s->items >= s->nbuckets)
        grow(s); // or longer chains
    struct item *it = heap_alloc(sizeof *it);
    if (!it)
        return -ENOMEM;
    *it = (struct item){.set = s, .file = f, .fd = fd, .events = events, .data = data, .link = {f->epolls, it}};
    list_init(&it->ready);
    for (int q = 0; q < FILE_POLL_QUEUES; q++)
        it->w[q] = (struct waiter){.fn = item_event, .arg = it, .exclusive = events & EPOLLEXCLUSIVE};
    f->epolls = &it->link;
    *slot(s, f, fd) = it;
    s->items++;
    if (item_poll(it, true))
        make_ready(it);
    return 0;
}

static s64 control(struct set *s, u32 op, struct file *f, s32 fd, const struct epoll_event_native *e)
{
    struct item *it = *slot(s, f, fd);
    if (op == EPOLL_CTL_ADD)
        return it ? -EEXIST : item_add(s, f, fd, e->events | POLLERR | POLLHUP, e->data);
    if (!it)
        return -ENOENT;
    if (op == EPOLL_CTL_DEL) {
        item_free(it);
        return 0;
    }
    if (it->events & EPOLLEXCLUSIVE)
        return -EINVAL;
    it->data = e->data;
    __atomic_store_n(&it->events, e->events | POLLERR | POLLHUP, __ATOMIC_SEQ_CST);
    if (item_poll(it, false))
        make_ready(it);
    return 0;
}

enum { EXCLUSIVE_WITH = POLLIN | POLLOUT | POLLERR | POLLHUP };
s64 epoll_control(struct file *ep, u32 op, struct file *f, s32 fd, const struct epoll_event_native *e)
{
    if (ep->ops != &set_ops || ep == f)
        return -EINVAL;
    if (op < EPOLL_CTL_ADD || op > EPOLL_CTL_MOD)
        return -EINVAL;
    if (f->inode && (S_ISREG(f->inode->mode) || S_ISDIR(f->inode->mode)) && !f->ops->poll)
        return -EPERM;
    if (op != EPOLL_CTL_DEL && (e->events & EPOLLEXCLUSIVE) &&
        (op == EPOLL_CTL_MOD || f->ops == &set_ops ||
         (e->events & ~(EXCLUSIVE_WITH | EPOLLET | EPOLLEXCLUSIVE | EPOLLWAKEUP))))
        return -EINVAL;
    struct set *s = ep->priv;
    lock_take(&epoll_lock);
    lock_take(&s->scan);
    s64 r = control(s, op, f, fd, e);
    lock_drop(&s->scan);
    lock_drop(&epoll_lock);
    return r;
}

// Takes up to max events into out, program memory. scan held.
static s64 collect(struct set *s, u64 out, s32 max)
{
    struct list again;
    s32 n = 0;
    s64 r = 0;
    list_init(&again);
    while (n < max) {
        lock_take(&s->lock);
        struct item *it = list_empty(&s->ready) ? NULL : container_of(s->ready.next, struct item, ready);
        if (it)
            list_del(&it->ready);
        lock_drop(&s->lock);
        if (!it)
            break;
        u32 events = item_poll(it, false);
        if (!events)
            continue;
        struct epoll_event_native e = {events, it->data};
        r = copy_out(out + n * sizeof e, &e, sizeof e);
        lock_take(&s->lock);
        if (list_empty(&it->ready) && (r || !(it->events & (EPOLLET | EPOLLONESHOT))))
            list_add_tail(&again, &it->ready); // level-triggered: looked at again next time
        lock_drop(&s->lock);
        if (r)
            break;
        if (it->events & EPOLLONESHOT)
            it->events &= EPOLLET | EPOLLONESHOT | EPOLLEXCLUSIVE;
        n++;
    }
    lock_take(&s->lock);
    while (!list_empty(&again)) {
        struct list *it = again.next;
        list_del(it);
        list_add_tail(&s->ready, it);
    }
    lock_drop(&s->lock);
    return n ? n : r;
}

s64 epoll_sleep(struct file *ep, u64 out, s32 max, u64 deadline)
{
    if (ep->ops != &set_ops || max <= 0 || max > (s32)(0x7fffffff / sizeof(struct epoll_event_native)))
        return -EINVAL;
    struct set *s = ep->priv;
    struct waiter w = {.thread = thread_self(), .exclusive = true};
    s64 r, slept = 0;
    for (;;) {
        lock_take(&s->scan);
        r = list_empty(&s->ready) ? 0 : collect(s, out, max);
        lock_drop(&s->scan);
        if (r || deadline == 1 || slept == -ETIMEDOUT)
            break;
        if (slept) {
            r = -EINTR; // signal(7): never restarted
            break;
        }
        if (!w.q) {
            waitq_add(&s->wait, &w);
            continue;
        }
        slept = thread_sleep(deadline, true);
    }
    bool more = !list_empty(&s->ready);
    waitq_del(&w);
    if (more && r > 0)
        waitq_wake(&s->wait, 1, POLLIN); // others may have what is left
    return r;
}
