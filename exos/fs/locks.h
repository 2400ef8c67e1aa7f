// Advisory locks: fcntl(2) record locks, open-file-description locks, flock(2).
#ifndef EXOS_FS_LOCKS_H
#define EXOS_FS_LOCKS_H
#include "fs/vfs.h"

// cmd as given to fcntl(2), arg: a program's struct flock. Waits only for the F_*SETLKW; -EINTR then,
// -EDEADLK where waiting would close a cycle of processes.
s64 lock_query(struct file *f, u32 cmd, u64 arg);
s64 lock_range(struct file *f, u32 cmd, u64 arg);
s64 lock_whole(struct file *f, u32 op); // flock(2)
#endif
