// Files: what the rest of ExOS may ask of exos/fs. Linux semantics; errors are negative errno.
#ifndef EXOS_FS_H
#define EXOS_FS_H
#include "core/exos.h"

#define POLLIN 0x1u
#define POLLPRI 0x2u
#define POLLOUT 0x4u
#define POLLERR 0x8u
#define POLLHUP 0x10u
#define POLLNVAL 0x20u
#define POLLRDHUP 0x2000u

struct dentry;
struct mount;
struct epoll_link;
struct iovec_native;

struct stat_native { // struct stat of x86-64
    u64 dev, ino, nlink;
    u32 mode, uid, gid, pad0;
    u64 rdev;
    s64 size, blksize, blocks;
    u64 atime, atime_ns, mtime, mtime_ns, ctime, ctime_ns;
    s64 unused[3];
};

// An open file description. Reference counted; shared by dup, fork, SCM_RIGHTS.
struct file {
    const struct file_ops *ops;
    u32 refs;
    u32 flags;       // O_* status flags
    u64 pos;         // lock
    struct lock lock;
    struct inode *inode; // NULL for pipes' anonymous ends etc. where there is none
    void *priv;
    // The rest is exos/fs's own.
    u32 mode;              // MAY_READ | MAY_WRITE, FILE_*
    struct dentry *dentry; // with references; NULL together with inode
    struct mount *mnt;
    struct epoll_link *epolls; // epoll sets that hold it
    s32 owner, owner_type;     // F_SETOWN
    s32 signal;                // F_SETSIG
};
#define FILES_MAX 65536 // most descriptors of a process: two tables of half a megabyte while one grows

struct file_ops {
    // buf is a program address; may fault. *pos is advanced by the callee where it makes sense.
    s64 (*read)(struct file *f, u64 buf, u64 len, u64 *pos);
    s64 (*write)(struct file *f, u64 buf, u64 len, u64 *pos);
    // Events ready now; if w is not NULL, also adds it (and w[1..] up to FILE_POLL_QUEUES-1) to the
    // queues that change them.
    u32 (*poll)(struct file *f, struct waiter *w);
    s64 (*ioctl)(struct file *f, u64 cmd, u64 arg);
    s64 (*seek)(struct file *f, s64 off, int whence);
    s64 (*getdents)(struct file *f, u64 buf, u64 len);
    s64 (*mmap)(struct file *f, u64 off, u64 len, int prot, int flags); // 0 if page() may be used
    u64 (*page)(struct file *f, u64 index, bool write, s64 *err);       // ppn with a reference, for mappings
    void (*release)(struct file *f);
    // readv and writev of what must transfer a vector as one message; NULL: piece by piece.
    s64 (*vector)(struct file *f, const struct iovec_native *v, u64 count, bool write);
    const char *name; // of what has no path, for /proc/PID/fd: anon_inode:[name]
};
#define FILE_POLL_QUEUES 2

struct file *file_new(const struct file_ops *ops, u32 flags);
struct file *file_get(struct file *f);
void file_put(struct file *f);
struct file *fd_file(int fd);             // with a reference; NULL: EBADF
s64 fd_install(struct file *f, u32 cloexec, int from); // takes over the reference; -EMFILE

struct files *files_new(void);
struct files *files_fork(struct files *from); // a copy, or NULL
struct files *files_share(struct files *f);
void files_put(struct files *f);
void files_exec(struct files *f); // closes what is close-on-exec
struct fsctx *fsctx_new(void);    // cwd and root "/", umask 022
struct fsctx *fsctx_fork(struct fsctx *from);
struct fsctx *fsctx_share(struct fsctx *f);
void fsctx_put(struct fsctx *f);

// Opens for the kernel side of exec: follows links, checks execute permission and ETXTBSY-like rules.
s64 file_open_exec(const char *path, struct file **out, struct stat_native *st);
s64 file_pread_kernel(struct file *f, void *to, u64 len, u64 off); // into arena memory
int file_path(struct file *f, char *buf, size_t size); // for /proc/PID/maps, exe, fd

void fs_start(const void *root_image, u64 size); // mounts the root image, /dev, /proc, /tmp as in tmpfs
s64 fs_console_files(struct files *f, u32 tty_mask, u32 rows, u32 cols); // opens 0, 1, 2
#endif
