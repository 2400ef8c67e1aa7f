// Signals, between the files of exos/proc.
#ifndef EXOS_SIGNAL_H
#define EXOS_SIGNAL_H
#include "proc/proc.h"

struct siginfo_node {
    struct siginfo_native info;
    struct siginfo_node *next;
};
void signal_queue_free(struct siginfo_node *queue[64], u64 pend); // pend: signals that may have a queue
s64 signal_group_locked(u32 pgid, int sig, const struct siginfo_native *info); // proc_lock held
bool may_signal(struct proc *p, int sig); // the caller; proc_lock held
bool signal_ignored(struct proc *p, int sig);
struct thread *thread_find(u32 tid);      // proc_lock held
bool signal_dequeue(struct thread *t, u64 set, struct siginfo_native *info); // takes one that waits
void proc_stop(struct proc *p, int sig);  // proc_lock held
void proc_continue(struct proc *p);       // proc_lock held
void thread_killed(void) __attribute__((noreturn));
s64 frame_push(struct uregs *r, int sig, const struct siginfo_native *info, const struct sigaction_native *sa, u64 mask);
s64 frame_pop(struct uregs *r);
void futex_exit(struct thread *t);
void family_exit(int status) __attribute__((noreturn)); // core/start.c
bool group_orphaned(u32 pgid, struct proc *leaving, bool *stopped); // proc_lock held
void terminal_hangup(void);                // the caller's, vhangup(2)
void proc_leaves_terminal(struct proc *p);// proc/terminal.c: a session leader's exit
u64 thread_fsbase_get(void);
void thread_fpu_give(struct thread *t);   // t starts with the caller's vector state
#endif
