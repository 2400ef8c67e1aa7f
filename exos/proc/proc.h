// Processes: what the rest of ExOS may ask of exos/proc.
#ifndef EXOS_PROC_H
#define EXOS_PROC_H
#include "core/exos.h"

struct rlimit_native {
    u64 cur, max;
};
#define RLIM_COUNT 16

struct proc {
    u32 pid, ppid_at_exit;
    struct proc *parent;          // proc_lock
    struct list children, sibling;// proc_lock
    struct list threads;          // proc_lock
    u32 nthreads;
    struct list all_link;         // every process, by pid: proc_lock
    struct proc *hash_next;
    u32 pgid, sid;
    struct tty *tty;              // controlling terminal or NULL
    u8 state;                     // PROC_*
    s32 exit_status;              // wait(2) encoding
    u32 exit_signal;              // SIGCHLD, from clone
    bool stop_report, cont_report, group_exit, did_exec, dumpable, vfork_wait;
    s32 stop_signal;
    struct waitq wait;            // wait(2) sleepers of this process, woken by children
    struct waitq vfork_done;
    struct waitq sigfd_wait;      // signalfd(2): woken when a signal is queued
    struct vm *vm;
    struct files *files;
    struct fsctx *fs;
    struct lock sig_lock;
    struct sigaction_native {
        u64 handler, flags, restorer, mask;
    } action[64];                 // index signal - 1
    u64 sigpend;                  // of the whole process: sig_lock
    struct siginfo_node *siginfo[64];
    u32 ruid, euid, suid, fsuid, rgid, egid, sgid, fsgid;
    u32 ngroups;
    u32 groups[32];               // more are refused with EINVAL: nobody in a server image has more
    u64 cap_effective, cap_permitted, cap_inheritable, cap_bounding, cap_ambient; // capabilities(7)
    bool keep_caps, no_new_privs, subreaper;
    u32 securebits, personality;
    struct rlimit_native rlim[RLIM_COUNT];
    u64 maxrss, cmaxrss;     // KiB: at its end; of children waited for
    struct times times_told; // to programs: sig_lock
    u64 utime_ns, cutime_ns, stime_ns, cstime_ns, start_ns;
    struct pidref *pidref; // proc/pidfd.h; NULL until somebody has a descriptor for it. proc_lock
    struct sem_undo *sem_undo; // what the exit takes back of semop(2): linux/ipc_sem.c
    struct alarms *alarms; // setitimer, timer_create: proc/alarms.h. NULL until there is one
    struct file *exe;
    struct args *args;            // what it was started with
    bool ending;                  // vm, files and fs are going: nobody else may look at them. proc_lock
    char comm[16];                // of its first thread, when that has gone
    s16 oom_score_adj;
};
// What exec passed, for /proc. Shared by forks until they exec.
struct args {
    u32 refs;
    u32 cmdline, environ, auxv; // bytes of each, one after the other in text
    char text[];
};
void args_put(struct args *a);
enum { PROC_RUNNING, PROC_STOPPED, PROC_ZOMBIE };

extern struct lock proc_lock;
extern struct list proc_all;
struct proc *proc_find(u32 pid); // under proc_lock
struct proc *proc_next(u32 pid); // the process with the lowest pid at or above that one; under proc_lock
bool pid_taken(u32 pid);         // by a process or a thread
extern u64 proc_forks;           // processes and threads made since the start
extern u32 proc_last;            // the process id given last
static inline struct proc *proc_self(void) { return thread_self()->proc; }
bool capable(void);              // CAP_SYS_ADMIN
bool has_capability(int cap);    // of the calling process, effective; CAP_* in linux/misc.h
void caps_exec(struct proc *p);  // exec, once the ids are set
struct times thread_times(struct thread *t), proc_times(struct proc *p); // system: ExOS's part, sampled
u64 thread_cpu_ns(struct thread *t), proc_cpu_ns(struct proc *p); // processor time used, all of it

// Signals. info may be NULL (SI_KERNEL / SI_USER filled in).
struct siginfo_native {
    s32 signo, err, code, pad;
    u64 field[14];
};
s64 signal_proc(struct proc *p, int sig, const struct siginfo_native *info);
s64 signal_thread(struct thread *t, int sig, const struct siginfo_native *info);
s64 signal_group(u32 pgid, int sig, const struct siginfo_native *info); // tty: under no lock
void signal_fault(struct uregs *r, int sig, int code, u64 addr); // forced, synchronous
bool signal_pending(struct thread *t);

// Arena strings. EXEC_MOVED: the process goes on elsewhere; the caller frees what it has and leaves.
s64 proc_exec(const char *path, char *const argv[], char *const envp[], struct uregs *r);
#define EXEC_MOVED 1
void proc_thread_replace(struct thread *from, struct thread *to, struct vm *vm); // exec: from's identity is to's
void proc_exec_threads(void);     // exec: the other threads of the process go
void proc_exec_done(void);        // exec: a vfork parent may go on
void signal_exec(struct proc *p); // exec: handlers become default; alternate stack goes
void proc_exit_group(int status) __attribute__((noreturn));
struct proc *proc_first(void); // pid 1 with files, fs, vm made; thread made, not started
#endif
