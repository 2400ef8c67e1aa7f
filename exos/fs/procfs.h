// Between the files of /proc.
#ifndef EXOS_FS_PROCFS_H
#define EXOS_FS_PROCFS_H
#include "fs/synth.h"

// Under proc_lock: NULL for a process whose threads have left, too.
struct thread *ref_thread(const struct ref *r, struct proc *p);
bool trace_allowed(const struct proc *p); // may the caller see its memory and files? proc_lock held
s64 trace_check(const struct ref *r);     // the same for node->allowed
void owner_attr(const struct ref *r, struct inode *i); // node->attr: the process's own
void self_attr(const struct ref *r, struct inode *i);
char thread_state(struct proc *p, struct thread *t);   // proc_lock held

extern const struct node pid_node;        // /proc/PID, procfs_pid.c
enum { NS_COUNT = 8, NET_COUNT = 17 };
extern const struct node ns_names[NS_COUNT], net_names[NET_COUNT];
s64 fd_find(const struct ref *r, const char *name, u32 len, struct ref *to);
s64 fdinfo_find(const struct ref *r, const char *name, u32 len, struct ref *to);
const struct node *fd_next(const struct ref *r, u64 *n, char *name, struct ref *to);
const struct node *fdinfo_next(const struct ref *r, u64 *n, char *name, struct ref *to);
s64 exe_target(const struct ref *r, char *buf, u64 size), exe_follow(const struct ref *r, struct path *to);
s64 cwd_target(const struct ref *r, char *buf, u64 size), cwd_follow(const struct ref *r, struct path *to);
s64 root_target(const struct ref *r, char *buf, u64 size), root_follow(const struct ref *r, struct path *to);
s64 mounts_show(struct text *t, const struct ref *r), mountinfo_show(struct text *t, const struct ref *r);
s64 maps_show(struct text *t, const struct ref *r), smaps_show(struct text *t, const struct ref *r);
s64 smaps_rollup_show(struct text *t, const struct ref *r);
s64 mountstats_show(struct text *t, const struct ref *r);
// procfs_stack.c: of the TCP/IP stack
struct sock;
s64 net_dev_show(struct text *t, const struct ref *r), net_route_show(struct text *t, const struct ref *r);
s64 net_arp_show(struct text *t, const struct ref *r), net_if_inet6_show(struct text *t, const struct ref *r);
u32 net_tcp_state(struct sock *s, u32 *tx, u64 *rx);
void procfs_system(struct dentry *root); // procfs_system.c: meminfo and the like
void procfs_sys(struct dentry *root);    // procfs_sys.c: /proc/sys
#endif
