// Descriptors that name a process: pidfd_open(2).
#ifndef EXOS_PIDFD_H
#define EXOS_PIDFD_H
#include "proc/proc.h"

// What the descriptors of one process share. It outlives the process.
struct pidref {
    u32 refs;          // atomic: the descriptors, and the process while it is there
    u32 pid;
    struct proc *proc; // proc_lock; NULL once it has been waited for
    bool ended;        // POLLIN
    struct waitq wait; // woken when it ends
};
// A descriptor of the caller's for a process yet to come, which pidref_bind gives it; *ref with a reference, or NULL.
s64 pidfd_new(u32 flags, struct pidref **ref);
void pidref_put(struct pidref *r);
void pidref_bind(struct pidref *r, struct proc *p); // p has none; proc_lock held
void pidref_ended(struct proc *p);                  // proc_lock held
void pidref_gone(struct proc *p);                   // it leaves the tree: proc_lock held
s64 pidfd_pid(int fd, bool *nonblock);              // for waitid(2); -EBADF
#endif
