// inotify(7) instances, for the calls.
#ifndef EXOS_FS_NOTIFY_H
#define EXOS_FS_NOTIFY_H
#include "fs/vfs.h"
s64 notify_new(u32 flags);                                // a descriptor
s64 notify_add(struct file *f, struct inode *i, u32 mask); // a watch descriptor
s64 notify_remove(struct file *f, s32 wd);
bool notify_only_dir(u32 mask), notify_no_follow(u32 mask);
#endif
