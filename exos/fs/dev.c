// /dev: the memory devices (null(4), random(4)), and what the nodes in it are.
#include "fs/tty.h"
#include "core/calls.h"

static s64 null_read(struct file *f, u64 buf, u64 len, u64 *pos)
{
    (void)f, (void)buf, (void)len, (void)pos;
    return 0;
}

static s64 null_write(struct file *f, u64 buf, u64 len, u64 *pos)
{
    (void)f, (void)buf, (void)pos;
    return len;
}

static s64 null_seek(struct file *f, s64 off, int whence)
{
    (void)off, (void)whence;
    return f->pos = 0;
}

static s64 zero_read(struct file *f, u64 buf, u64 len, u64 *pos)
{
    (void)f, (void)pos;
    s64 r = zero_out(buf, len);
    return r ? r : (s64)len;
}

static s64 full_write(struct file *f, u64 buf, u64 len, u64 *pos)
{
    (void)f, (void)buf, (void)len, (void)pos;
    return -ENOSPC;
}

static u64 zero_page(struct file *f, u64 index, bool write, s64 *err)
{
    (void)f, (void)index, (void)write;
    u64 ppn = page_get_zero();
    if (!ppn)
        *err = -ENOMEM;
    return ppn;
}

enum { ENTROPY_MAX = 256 };
static s64 random_read(struct file *f, u64 buf, u64 len, u64 *pos)
{
    char bytes[ENTROPY_MAX];
    (void)f, (void)pos;
    u64 done = 0;
    while (done < len) {
        u64 n = MIN(len - done, sizeof bytes);
        if (xok_entropy(bytes, n) < 0)
            return done ? (s64)done : -EAGAIN;
        s64 r = copy_out(buf + done, bytes, n);
        if (r)
            return done ? (s64)done : r;
        done += n;
        if (signal_pending(thread_self()))
            break;
    }
    return done;
}

static const struct file_ops null_ops = {.read = null_read, .write = null_write, .seek = null_seek};
static const struct file_ops zero_ops = {.read = zero_read, .write = null_write, .seek = null_seek, .page = zero_page};
static const struct file_ops full_ops = {.read = zero_read, .write = full_write, .seek = null_seek};
static const struct file_ops random_ops = {.read = random_read, .write = null_write, .seek = null_seek};

static const struct device {
    const char *name;
    u64 rdev;
    u32 mode;
    const struct file_ops *ops; // NULL: a terminal, tty.c
} devices[] = {
    {"null", MKDEV(1, 3), 0666, &null_ops},     {"zero", MKDEV(1, 5), 0666, &zero_ops},
    {"full", MKDEV(1, 7), 0666, &full_ops},     {"random", MKDEV(1, 8), 0666, &random_ops},
    {"urandom", MKDEV(1, 9), 0666, &random_ops}, {"tty", MKDEV(5, 0), 0666, NULL},
    {"console", MKDEV(5, 1), 0600, NULL},       {"ptmx", MKDEV(5, 2), 0666, NULL},
};

s64 device_open(struct inode *i, struct file *f)
{
    if (!S_ISCHR(i->mode))
        return -ENXIO;
    for (u32 n = 0; n < countof(devices); n++)
        if (devices[n].rdev == i->rdev && devices[n].ops) {
            f->ops = devices[n].ops;
            return 0;
        }
    return terminal_open(i->rdev, f);
}

struct dentry *populate(struct dentry *dir, const char *name, u32 mode, u64 rdev, const char *target)
{
    struct inode *i = inode_new(dir->inode->sb, mode);
    struct dentry *d;
    u32 len = strlen(name);
    if (!i || (target && !(i->target = heap_alloc(strlen(target) + 1))))
        panic("no memory for %s", name);
    i->rdev = rdev;
    if (target) {
        i->size = strlen(target);
        memcpy(i->target, target, i->size);
    }
    if (S_ISDIR(mode))
        i->nlink = 2;
    u32 hash = name_hash(name, len);
    if (!tmpfs_lookup(dir, name, len, hash, &d)) { // the root image has it
        inode_put(i);
        return d;
    }
    if (tmpfs_create(dir, name, len, hash, i, &d))
        panic("no memory for %s", name);
    return d;
}

void dev_populate(struct dentry *dev)
{
    for (u32 n = 0; n < countof(devices); n++)
        populate(dev, devices[n].name, S_IFCHR | devices[n].mode, devices[n].rdev, NULL);
    populate(dev, "fd", S_IFLNK | 0777, 0, "/proc/self/fd");
    populate(dev, "stdin", S_IFLNK | 0777, 0, "/proc/self/fd/0");
    populate(dev, "stdout", S_IFLNK | 0777, 0, "/proc/self/fd/1");
    populate(dev, "stderr", S_IFLNK | 0777, 0, "/proc/self/fd/2");
    populate(dev, "pts", S_IFDIR | 0755, 0, NULL);
    populate(dev, "shm", S_IFDIR | S_ISVTX | 0777, 0, NULL);
}
