// Advisory locks hang on the inode, in order of their start. A conflict is looked for along that list:
// files have few locks. flock(2)'s and fcntl(2)'s do not see each other.
#include "fs/locks.h"

struct range_lock {
    struct list link;
    u64 start, end; // both belong to it
    void *owner;    // POSIX: the table of descriptors; else the open file description
    u32 pid;        // for F_GETLK
    u8 type;        // F_RDLCK, F_WRLCK
    u8 kind;
};
enum { KIND_POSIX, KIND_OFD, KIND_FLOCK };

struct flock_native {
    s16 type, whence;
    s64 start, len;
    s32 pid;
};

// Who waits for whom, to refuse what would never end. POSIX locks only, as Linux.
struct wait {
    struct list link;
    void *owner, *blocked_by;
};
static struct list waits = {&waits, &waits};
static struct lock waits_lock;

static bool same_class(u8 a, u8 b) { return (a == KIND_FLOCK) == (b == KIND_FLOCK); }

static struct range_lock *conflict(struct extra *x, const struct range_lock *want)
{
    list_for(it, &x->locks) {
        struct range_lock *l = container_of(it, struct range_lock, link);
        if (l->owner != want->owner && same_class(l->kind, want->kind) && l->start <= want->end &&
            want->start <= l->end && (l->type == F_WRLCK || want->type == F_WRLCK))
            return l;
    }
    return NULL;
}

static bool mine(const struct range_lock *l, const struct range_lock *want)
{
    return l->owner == want->owner && l->kind == want->kind;
}

static void insert(struct extra *x, struct range_lock *n)
{
    struct list *at = &x->locks;
    list_for(it, &x->locks)
        if (container_of(it, struct range_lock, link)->start > n->start) {
            at = it;
            break;
        }
    list_add_tail(at, &n->link);
}

// Makes [want->start, want->end] of this owner what want says (type F_UNLCK: nothing). spare: two nodes,
// those that are used become NULL.
static void apply(struct extra *x, const struct range_lock *want, struct range_lock *spare[2])
{
    struct range_lock now = *want;
    list_for_safe(it, next, &x->locks) {
        struct range_lock *l = container_of(it, struct range_lock, link);
        if (!mine(l, want))
            continue;
        bool touches = l->type == want->type && (l->end + 1 == now.start || now.end + 1 == l->start) && l->end != ~0ul;
        bool overlaps = l->start <= now.end && now.start <= l->end;
        if (!overlaps && !touches)
            continue;
        if (l->type == want->type) { // grows into one
            now.start = MIN(now.start, l->start), now.end = MAX(now.end, l->end);
            list_del(&l->link);
            heap_free(l);
        } else if (l->start < want->start && l->end > want->end) {
            struct range_lock *tail = spare[1];
            spare[1] = NULL;
            *tail = *l;
            tail->start = want->end + 1;
            l->end = want->start - 1;
            insert(x, tail);
        } else if (l->start < want->start) {
            l->end = want->start - 1;
        } else if (l->end > want->end) {
            l->start = want->end + 1;
        } else {
            list_del(&l->link);
            heap_free(l);
        }
    }
    if (want->type == F_UNLCK)
        return;
    struct range_lock *n = spare[0];
    spare[0] = NULL;
    *n = now;
    insert(x, n);
}

static bool would_deadlock(void *me, void *holder)
{
    for (int steps = 0; steps < 64; steps++) { // longer chains are waited for
        void *next = NULL;
        list_for(it, &waits) {
            struct wait *w = container_of(it, struct wait, link);
            if (w->owner == holder)
                next = w->blocked_by;
        }
        if (!next)
            return false;
        if (next == me)
            return true;
        holder = next;
    }
    return false;
}

// One wait for the list of locks to change. Under i->lock.
static s64 lock_wait(struct inode *i, const struct range_lock *want, struct range_lock *holder, struct waiter *w)
{
    struct wait me = {.owner = want->owner, .blocked_by = holder->owner};
    if (!w->q) {
        waitq_add(&i->extra->lock_wait, w);
        return 0; // look again
    }
    if (want->kind == KIND_POSIX) {
        lock_take(&waits_lock);
        bool dead = would_deadlock(me.owner, me.blocked_by);
        if (!dead)
            list_add_tail(&waits, &me.link);
        lock_drop(&waits_lock);
        if (dead)
            return -EDEADLK;
    }
    lock_drop(&i->lock);
    s64 r = thread_sleep(0, true);
    lock_take(&i->lock);
    if (want->kind == KIND_POSIX) {
        lock_take(&waits_lock);
        list_del(&me.link);
        lock_drop(&waits_lock);
    }
    return r ? -ERESTARTSYS : 0;
}

static s64 lock_set(struct inode *i, const struct range_lock *want, bool wait)
{
    struct extra *x = inode_extra(i);
    struct range_lock *spare[2] = {heap_alloc(sizeof **spare), heap_alloc(sizeof **spare)}, *holder;
    struct waiter w = {.thread = thread_self()};
    s64 r = x && spare[0] && spare[1] ? 0 : -ENOLCK;
    lock_take(&i->lock);
    while (!r && want->type != F_UNLCK && (holder = conflict(x, want)))
        r = wait ? lock_wait(i, want, holder, &w) : -EAGAIN;
    if (!r)
        apply(x, want, spare);
    lock_drop(&i->lock);
    waitq_del(&w);
    if (!r)
        waitq_wake(&x->lock_wait, 1 << 30, 0);
    heap_free(spare[0]);
    heap_free(spare[1]);
    return r;
}

static s64 range_in(struct file *f, u32 cmd, u64 arg, struct flock_native *fl, struct range_lock *l)
{
    bool ofd = cmd >= F_OFD_GETLK;
    s64 r = copy_in(fl, arg, sizeof *fl);
    if (r)
        return r;
    if (!f->inode || f->dentry == NULL)
        return -EINVAL;
    s64 base = fl->whence == SEEK_SET ? 0 : fl->whence == SEEK_CUR ? (s64)f->pos : (s64)f->inode->size, start;
    if (fl->whence < SEEK_SET || fl->whence > SEEK_END || fl->type < F_RDLCK || fl->type > F_UNLCK)
        return -EINVAL;
    if (ofd && fl->pid)
        return -EINVAL;
    if (__builtin_add_overflow(base, fl->start, &start))
        return -EOVERFLOW;
    s64 end = start + fl->len - 1;
    if (fl->len < 0)
        end = start - 1, start += fl->len;
    if (start < 0)
        return -EINVAL;
    *l = (struct range_lock){.start = start, .end = fl->len ? (u64)end : ~0ul >> 1, .type = fl->type,
                             .kind = ofd ? KIND_OFD : KIND_POSIX, .pid = proc_self()->pid,
                             .owner = ofd ? (void *)f : proc_self()->files};
    return 0;
}

s64 lock_query(struct file *f, u32 cmd, u64 arg)
{
    struct flock_native fl;
    struct range_lock want, *l = NULL;
    s64 r = range_in(f, cmd, arg, &fl, &want);
    if (r)
        return r;
    if (want.type == F_UNLCK && cmd != F_OFD_GETLK)
        return -EINVAL;
    struct extra *x = f->inode->extra;
    lock_take(&f->inode->lock);
    if (x && (l = conflict(x, &want)))
        fl = (struct flock_native){l->type, SEEK_SET, l->start, l->end == ~0ul >> 1 ? 0 : (s64)(l->end - l->start + 1),
                                   l->kind == KIND_OFD ? -1 : (s32)l->pid};
    else
        fl.type = F_UNLCK;
    lock_drop(&f->inode->lock);
    return copy_out(arg, &fl, sizeof fl);
}

s64 lock_range(struct file *f, u32 cmd, u64 arg)
{
    struct flock_native fl;
    struct range_lock want;
    s64 r = range_in(f, cmd, arg, &fl, &want);
    if (r)
        return r;
    if ((want.type == F_RDLCK && !file_readable(f)) || (want.type == F_WRLCK && !file_writable(f)))
        return -EBADF;
    return lock_set(f->inode, &want, cmd == F_SETLKW || cmd == F_OFD_SETLKW);
}

s64 lock_whole(struct file *f, u32 op)
{
    u32 kind = op & ~LOCK_NB;
    if (kind != LOCK_SH && kind != LOCK_EX && kind != LOCK_UN)
        return -EINVAL;
    struct range_lock want = {.end = ~0ul >> 1, .kind = KIND_FLOCK, .owner = f, .pid = proc_self()->pid,
                              .type = kind == LOCK_SH ? F_RDLCK : kind == LOCK_EX ? F_WRLCK : F_UNLCK};
    return lock_set(f->inode, &want, !(op & LOCK_NB));
}

// A descriptor of `owner` was closed (POSIX locks go), or description f for the last time.
void locks_close(struct inode *i, struct files *owner, struct file *f)
{
    struct extra *x = i->extra;
    bool gone = false;
    lock_take(&i->lock);
    list_for_safe(it, next, &x->locks) {
        struct range_lock *l = container_of(it, struct range_lock, link);
        if (l->owner != (owner ? (void *)owner : (void *)f) || (l->kind == KIND_POSIX) != (owner != NULL))
            continue;
        list_del(&l->link);
        heap_free(l);
        gone = true;
    }
    lock_drop(&i->lock);
    if (gone)
        waitq_wake(&x->lock_wait, 1 << 30, 0);
}
