// epoll(7) sets, for the calls.
#ifndef EXOS_FS_EPOLL_H
#define EXOS_FS_EPOLL_H
#include "fs/vfs.h"
enum { EPOLL_CTL_ADD = 1, EPOLL_CTL_DEL, EPOLL_CTL_MOD };
struct epoll_event_native {
    u32 events;
    u64 data;
} __attribute__((packed));
s64 epoll_new(u32 flags); // a descriptor; O_CLOEXEC
s64 epoll_control(struct file *ep, u32 op, struct file *f, s32 fd, const struct epoll_event_native *e);
s64 epoll_sleep(struct file *ep, u64 out, s32 max, u64 deadline); // deadline: 0 for ever, 1 not at all
#endif
