// How the tree of names begins: the root image, and over it what every Linux program expects.
#include "fs/vfs.h"
#include "fs/stream.h"
#include "fs/tty.h"

struct mount *shm_mount; // of files that never had a name: memfd_create(2)
enum { TMPFS_MAGIC = 0x01021994, PIPEFS_MAGIC = 0x50495045 };

static struct mount *memory_mount(struct mount *at, struct dentry *point, const char *type, u32 magic, u32 mode, u32 flags)
{
    struct super *sb = super_new(type, magic, 0);
    struct dentry *d = sb ? tmpfs_mount_root(sb, mode) : NULL;
    struct mount *m = d ? mount_add(at, point, d, sb, flags) : NULL;
    if (!m)
        panic("no memory for %s", type);
    return m;
}

void fs_start(const void *image, u64 size)
{
    stream_start();
    lower_start(image, size);
    struct super *sb = super_new("tmpfs", TMPFS_MAGIC, 0);
    struct dentry *root = sb ? tmpfs_mount_root(sb, 0755) : NULL;
    if (!root)
        panic("no memory for the root directory");
    lower_attach(root->inode);
    sb->next_ino = lower_inodes() + 1;
    sb->source = "xok";
    root_mount = mount_add(NULL, NULL, root, sb, 0);
    pipe_mount = memory_mount(NULL, NULL, "pipefs", PIPEFS_MAGIC, 0700, 0);
    shm_mount = memory_mount(NULL, NULL, "tmpfs", TMPFS_MAGIC, 0700, 0);
    struct mount *dev = memory_mount(root_mount, populate(root, "dev", S_IFDIR | 0755, 0, NULL), "devtmpfs", TMPFS_MAGIC, 0755,
                                     MS_NOSUID);
    dev_populate(dev->root);
    devpts_start(dev, populate(dev->root, "pts", S_IFDIR | 0755, 0, NULL));
    memory_mount(dev, populate(dev->root, "shm", S_IFDIR | S_ISVTX | 0777, 0, NULL), "tmpfs", TMPFS_MAGIC, S_ISVTX | 0777,
                 MS_NOSUID | MS_NODEV);
    populate(root, "tmp", S_IFDIR | S_ISVTX | 0777, 0, NULL);
    populate(root, "run", S_IFDIR | 0755, 0, NULL);
    procfs_start(root_mount, populate(root, "proc", S_IFDIR | 0555, 0, NULL));
    sysfs_start(root_mount, populate(root, "sys", S_IFDIR | 0555, 0, NULL));
}
