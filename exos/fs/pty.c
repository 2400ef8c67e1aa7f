// Pseudo-terminals: /dev/ptmx and /dev/pts (pty(7), pts(4)).
#include "fs/tty.h"

enum { PTYS = 4096, OUT_SIZE = 16384, CHUNK = 512, DEVPTS_MAGIC = 0x1cd1, GROUP_TTY = 5 };
enum { FIONREAD = 0x541b, TIOCPKT = 0x5420, TIOCGPTN = 0x80045430, TIOCSPTLCK = 0x40045431, TIOCSIG = 0x40045436,
       TIOCGPKT = 0x80045438, TIOCGPTLCK = 0x80045439, TIOCGPTPEER = 0x5441 };

static struct lock table_lock;
static struct tty *ptys[PTYS]; // never freed: a process may remember one that is gone
static u64 used[PTYS / 64];
static struct mount *mount;

static void nothing(struct tty *t) { (void)t; }

static void pty_flush(struct tty *t)
{
    if (tty_out_bytes(t))
        waitq_wake(&t->master_rd, 1 << 30, POLLIN);
}

static void pty_more(struct tty *t)
{
    waitq_wake(&t->master_wr, 1 << 30, POLLOUT);
}

void devpts_start(struct mount *dev, struct dentry *pts)
{
    struct super *sb = super_new("devpts", DEVPTS_MAGIC, 0);
    struct dentry *root = sb ? tmpfs_mount_root(sb, 0755) : NULL;
    mount = root ? mount_add(dev, pts, root, sb, MS_NOSUID | MS_NOEXEC) : NULL;
    if (!mount)
        panic("no memory for devpts");
    populate(root, "ptmx", S_IFCHR | 0666, MKDEV(5, 2), NULL);
}

// The lowest free number, and its terminal. NULL: none is free, or no memory.
static struct tty *pty_get(void)
{
    struct tty *t = NULL;
    lock_take(&table_lock);
    for (u32 w = 0; w < PTYS / 64 && !t; w++) {
        if (used[w] == ~0ul)
            continue;
        u32 n = w * 64 + __builtin_ctzl(~used[w]);
        t = ptys[n] ? ptys[n] : heap_alloc(sizeof *t);
        u8 *out = t ? heap_alloc(OUT_SIZE) : NULL;
        if (!out) {
            if (t && !ptys[n])
                heap_free(t);
            t = NULL;
            break;
        }
        ptys[n] = t;
        used[w] |= 1ul << n % 64;
        t->index = n;
        t->dev = MKDEV(136, n);
        t->out_head = t->out_tail = 0;
        tty_init(t, out, OUT_SIZE);
    }
    lock_drop(&table_lock);
    return t;
}

// Neither end is open: the number is free. t->lock held, dropped.
static void pty_put(struct tty *t)
{
    u8 *out = t->out;
    t->out = NULL;
    t->out_size = t->out_head = t->out_tail = 0;
    lock_drop(&t->lock);
    heap_free(out);
    lock_take(&table_lock);
    used[t->index / 64] &= ~(1ul << t->index % 64);
    lock_drop(&table_lock);
}

void pty_slave_closed(struct tty *t)
{
    t->slave_left = true;
    waitq_wake(&t->master_rd, 1 << 30, POLLIN | POLLHUP);
    waitq_wake(&t->master_wr, 1 << 30, POLLOUT | POLLHUP);
    if (t->master)
        lock_drop(&t->lock);
    else
        pty_put(t);
}

static s64 node_make(struct tty *t)
{
    char name[12];
    u32 len = snprintf(name, sizeof name, "%u", t->index);
    struct inode *i = inode_new(mount->sb, S_IFCHR | 0620);
    if (!i)
        return -ENOMEM;
    i->rdev = t->dev;
    i->gid = GROUP_TTY;
    lock_take(&ns_lock);
    s64 r = tmpfs_create(mount->root, name, len, name_hash(name, len), i, &t->node);
    if (r)
        inode_put(i);
    else
        dentry_get(t->node);
    lock_drop(&ns_lock);
    return r;
}

static void node_remove(struct tty *t)
{
    lock_take(&ns_lock);
    if (t->node->flags & DENTRY_HASHED)
        tmpfs_remove(t->node);
    lock_drop(&ns_lock);
    dentry_put(t->node);
    t->node = NULL;
}

// ---- the master
static s64 master_read(struct file *f, u64 buf, u64 len, u64 *pos)
{
    struct tty *t = f->priv;
    struct waiter w = {.thread = thread_self()};
    u64 done = 0;
    s64 r = 0;
    u8 head = 0;
    (void)pos;
    if (!len)
        return 0;
    lock_take(&t->lock);
    while (!tty_out_bytes(t) && !(t->packet && t->pktstatus) && !r) {
        if (t->slave_left) {
            r = -EIO;
        } else if (f->flags & O_NONBLOCK) {
            r = -EAGAIN;
        } else if (!w.q) {
            waitq_add(&t->master_rd, &w);
        } else {
            lock_drop(&t->lock);
            r = thread_sleep(0, true) ? -ERESTARTSYS : 0;
            lock_take(&t->lock);
        }
    }
    if (tty_out_bytes(t) || (t->packet && t->pktstatus))
        r = 0;
    bool status = !r && t->packet && t->pktstatus;
    if (!r && t->packet) {
        head = t->pktstatus;
        t->pktstatus = 0;
        r = copy_out(buf, &head, 1);
        done = !r;
    }
    while (!r && !status && done < len && tty_out_bytes(t)) {
        u32 at = t->out_tail % t->out_size;
        u32 n = MIN(MIN(len - done, tty_out_bytes(t)), t->out_size - at);
        r = copy_out(buf + done, t->out + at, n);
        if (!r)
            done += n, t->out_tail += n;
    }
    if (done)
        waitq_wake(&t->wr, 1 << 30, POLLOUT);
    waitq_del(&w);
    lock_drop(&t->lock);
    return done ? (s64)done : r;
}

static s64 master_write(struct file *f, u64 buf, u64 len, u64 *pos)
{
    struct tty *t = f->priv;
    struct waiter w = {.thread = thread_self()};
    u8 chunk[CHUNK];
    u64 done = 0;
    s64 r = 0;
    (void)pos;
    while (done < len && !r) {
        u32 n = MIN(len - done, CHUNK);
        r = copy_in(chunk, buf + done, n);
        lock_take(&t->lock);
        for (u32 k = 0; k < n && !r;) {
            u32 room = MIN(ntty_room(t), n - k);
            if (t->slave_left) {
                r = -EIO;
            } else if (room) {
                ntty_receive(t, chunk + k, room);
                k += room, done += room;
                if (t->sigs) {
                    tty_drop(t);
                    lock_take(&t->lock);
                }
            } else if (f->flags & O_NONBLOCK) {
                r = -EAGAIN;
            } else if (!w.q) {
                waitq_add(&t->master_wr, &w);
            } else {
                lock_drop(&t->lock);
                r = thread_sleep(0, true) ? -ERESTARTSYS : 0;
                lock_take(&t->lock);
            }
        }
        lock_drop(&t->lock);
    }
    waitq_del(&w);
    return done ? (s64)done : r;
}

static u32 master_poll(struct file *f, struct waiter *w)
{
    struct tty *t = f->priv;
    if (w) {
        waitq_add(&t->master_rd, &w[0]);
        waitq_add(&t->master_wr, &w[1]);
    }
    lock_take(&t->lock);
    u32 events = tty_out_bytes(t) ? POLLIN : 0;
    if (t->packet && t->pktstatus)
        events |= POLLIN | POLLPRI;
    events |= t->slave_left ? POLLHUP : 0;
    events |= ntty_room(t) ? POLLOUT : 0;
    lock_drop(&t->lock);
    return events;
}

static s64 word_out(u64 to, s32 v) { return copy_out(to, &v, sizeof v); }

static s64 master_ioctl(struct file *f, u64 cmd, u64 arg)
{
    struct tty *t = f->priv;
    s32 v;
    switch (cmd) {
    case TIOCGPTN: return word_out(arg, t->index);
    case TIOCGPTLCK: return word_out(arg, t->locked);
    case TIOCGPKT: return word_out(arg, t->packet);
    case FIONREAD: return word_out(arg, tty_out_bytes(t));
    case TIOCGPTPEER: return pty_peer(t, arg);
    case TIOCSPTLCK:
        if (copy_in(&v, arg, sizeof v))
            return -EFAULT;
        t->locked = v;
        return 0;
    case TIOCPKT:
        if (copy_in(&v, arg, sizeof v))
            return -EFAULT;
        lock_take(&t->lock);
        if (v && !t->packet)
            t->pktstatus = 0;
        t->packet = v;
        lock_drop(&t->lock);
        return 0;
    case TIOCSIG:
        if ((s32)arg < 1 || arg > 31)
            return -EINVAL;
        lock_take(&t->lock);
        t->sigs |= 1u << arg;
        tty_drop(t);
        return 0;
    }
    return tty_ioctl_common(t, f, cmd, arg, true);
}

static void master_release(struct file *f)
{
    struct tty *t = f->priv;
    node_remove(t);
    tty_hangup(t);
    lock_take(&t->lock);
    t->master = t->packet = false;
    if (t->opens)
        lock_drop(&t->lock);
    else
        pty_put(t);
}

static const struct file_ops master_ops = {
    .read = master_read, .write = master_write, .poll = master_poll, .ioctl = master_ioctl, .release = master_release,
};

s64 ptmx_open(struct file *f)
{
    struct tty *t = pty_get();
    if (!t)
        return -ENOSPC;
    t->flush = pty_flush;
    t->more = pty_more;
    t->pty = t->master = t->locked = true;
    t->slave_left = t->packet = t->eof = t->exclusive = t->writing = t->stopped = t->flow_stopped = false;
    t->pktstatus = 0;
    t->sigs = 0;
    t->ws = (struct winsize_native){0};
    s64 r = node_make(t);
    if (r) {
        t->flush = t->more = nothing;
        t->master = false;
        lock_take(&t->lock);
        pty_put(t);
        return r;
    }
    f->ops = &master_ops;
    f->priv = t;
    return 0;
}

// ---- the slave
s64 pts_open(u32 index, struct file *f)
{
    struct tty *t = index < PTYS ? ptys[index] : NULL;
    if (!t || !t->master)
        return -ENXIO;
    return t->locked ? -EIO : tty_open(t, f);
}

s64 pty_peer(struct tty *t, u32 flags)
{
    struct file *f;
    if (flags & ~(O_RDWR | O_WRONLY | O_NOCTTY | O_NONBLOCK | O_CLOEXEC | O_LARGEFILE))
        return -EINVAL;
    struct path p = {mount, t->node};
    path_get(&p);
    s64 r = open_inode(&p, flags, true, &f);
    return r ? r : fd_install(f, flags & O_CLOEXEC, 0);
}
