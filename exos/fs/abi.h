// Linux numbers of the file calls (x86-64): open(2), stat(2), fcntl(2), inode(7).
#ifndef EXOS_FS_ABI_H
#define EXOS_FS_ABI_H
#include "xok/types.h"

enum {
    O_RDONLY = 0, O_WRONLY = 1, O_RDWR = 2, O_ACCMODE = 3, O_CREAT = 0100, O_EXCL = 0200, O_NOCTTY = 0400,
    O_TRUNC = 01000, O_APPEND = 02000, O_NONBLOCK = 04000, O_DSYNC = 010000, O_ASYNC = 020000,
    O_DIRECT = 040000, O_LARGEFILE = 0100000, O_DIRECTORY = 0200000, O_NOFOLLOW = 0400000,
    O_NOATIME = 01000000, O_CLOEXEC = 02000000, O_SYNC = 04010000, O_PATH = 010000000,
    O_TMPFILE_BIT = 020000000, O_TMPFILE = 020200000,
};
enum {
    S_IFMT = 0170000, S_IFSOCK = 0140000, S_IFLNK = 0120000, S_IFREG = 0100000, S_IFBLK = 0060000,
    S_IFDIR = 0040000, S_IFCHR = 0020000, S_IFIFO = 0010000, S_ISUID = 04000, S_ISGID = 02000,
    S_ISVTX = 01000,
};
#define S_ISDIR(m) (((m) & S_IFMT) == S_IFDIR)
#define S_ISREG(m) (((m) & S_IFMT) == S_IFREG)
#define S_ISLNK(m) (((m) & S_IFMT) == S_IFLNK)
#define S_ISFIFO(m) (((m) & S_IFMT) == S_IFIFO)
#define S_ISSOCK(m) (((m) & S_IFMT) == S_IFSOCK)
#define S_ISCHR(m) (((m) & S_IFMT) == S_IFCHR)
enum { DT_UNKNOWN = 0, DT_FIFO = 1, DT_CHR = 2, DT_DIR = 4, DT_BLK = 6, DT_REG = 8, DT_LNK = 10, DT_SOCK = 12 };
enum { MAY_EXEC = 1, MAY_WRITE = 2, MAY_READ = 4 };
enum { SEEK_SET, SEEK_CUR, SEEK_END, SEEK_DATA, SEEK_HOLE };
#define AT_FDCWD (-100)
enum {
    AT_SYMLINK_NOFOLLOW = 0x100, AT_REMOVEDIR = 0x200, AT_EACCESS = 0x200, AT_SYMLINK_FOLLOW = 0x400,
    AT_NO_AUTOMOUNT = 0x800, AT_EMPTY_PATH = 0x1000, AT_STATX_SYNC_TYPE = 0x6000,
};
enum { RENAME_NOREPLACE = 1, RENAME_EXCHANGE = 2, RENAME_WHITEOUT = 4 };
enum {
    RESOLVE_NO_XDEV = 1, RESOLVE_NO_MAGICLINKS = 2, RESOLVE_NO_SYMLINKS = 4, RESOLVE_BENEATH = 8,
    RESOLVE_IN_ROOT = 16, RESOLVE_CACHED = 32,
};
enum {
    F_DUPFD, F_GETFD, F_SETFD, F_GETFL, F_SETFL, F_GETLK, F_SETLK, F_SETLKW, F_SETOWN, F_GETOWN, F_SETSIG,
    F_GETSIG, F_SETOWN_EX = 15, F_GETOWN_EX, F_OFD_GETLK = 36, F_OFD_SETLK, F_OFD_SETLKW,
    F_SETLEASE = 1024, F_GETLEASE, F_NOTIFY, F_DUPFD_QUERY = 1027, F_DUPFD_CLOEXEC = 1030,
    F_SETPIPE_SZ, F_GETPIPE_SZ, F_ADD_SEALS, F_GET_SEALS,
};
enum { F_SEAL_SEAL = 1, F_SEAL_SHRINK = 2, F_SEAL_GROW = 4, F_SEAL_WRITE = 8, F_SEAL_FUTURE_WRITE = 16 };
enum { F_RDLCK, F_WRLCK, F_UNLCK };
enum { LOCK_SH = 1, LOCK_EX = 2, LOCK_NB = 4, LOCK_UN = 8 };
enum { SIGINT_ = 2, SIGPIPE_ = 13, SIGIO_ = 29 };
enum { RLIMIT_FSIZE_ = 1, RLIMIT_NOFILE_ = 7 };

#define PATH_MAX 4096
#define NAME_MAX 255
#define LINKS_MAX 40 // symbolic links in one walk, path_resolution(7)
#define MKDEV(major, minor) ((u64)((minor) & 0xff) | (u64)((major) & 0xfff) << 8 | (u64)((minor) & 0xfff00) << 12)
#define MAJOR(dev) (u32)((dev) >> 8 & 0xfff)
#define MINOR(dev) (u32)(((dev) & 0xff) | ((dev) >> 12 & 0xfff00))

struct iovec_native {
    u64 base, len;
};
struct timespec_native {
    s64 sec, nsec;
};
#define IOV_MAX 1024
#define RW_MAX 0x7ffff000ul // most bytes of one transfer, read(2)
#endif
