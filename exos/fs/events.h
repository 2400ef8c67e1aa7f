// eventfd(2), signalfd(2), timerfd_create(2), for the calls. Times are nanoseconds.
#ifndef EXOS_FS_EVENTS_H
#define EXOS_FS_EVENTS_H
#include "fs/vfs.h"
s64 eventfd_new(u64 count, u32 flags);            // EFD_SEMAPHORE is 1; the others as for open
s64 signalfd_set(s32 fd, u64 set, u32 flags);     // fd -1: a new one
s64 timerfd_new(u32 clock, u32 flags);
s64 timerfd_get(struct file *f, u64 v[2]);        // interval, time left
s64 timerfd_set(struct file *f, u32 flags, const u64 set[2], u64 old[2]);
#endif
