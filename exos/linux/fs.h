// Shared by the file calls of the Linux personality.
#ifndef EXOS_LINUX_FS_H
#define EXOS_LINUX_FS_H
#include "fs/pipe.h"
#include "fs/vfs.h"

#define LINUX(nr, name, nargs, args) s64 sys_##name(u64, u64, u64, u64, u64, u64);
#include "linux/fs.def"
#undef LINUX

enum { IOV_SMALL = 8 };
// Copies in a vector; the total length, cut at RW_MAX, or an error. iov_done() after success only.
s64 iov_in(struct iovec_native **v, struct iovec_native *small, u64 from, u64 count);
static inline void iov_done(struct iovec_native *v, struct iovec_native *small)
{
    if (v != small)
        heap_free(v);
}
// A path argument looked up.
s64 path_arg(u64 dirfd, u64 name, u32 walk, struct path *out);
#endif
