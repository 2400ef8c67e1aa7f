// The map of ExOS: what every room may call in the others. Read docs/exos-design.md first.
// All of a family's processes share this code and its data (the arena); a thread's own is at %gs:0.
#ifndef EXOS_H
#define EXOS_H
// One image: every symbol, defined here or in assembly, is near; nothing goes through a table.
#pragma GCC visibility push(hidden)
#include <stdbool.h>
#include <stddef.h>
#include "xok/error.h"
#include "xok/info.h"
#include "xok/pt.h"
#include "core/errno.h"

#define ARENA XOK_UIDT
#define ARENA_END (ARENA + (1ul << 39))
#define MODULE_VA (ARENA + 0x3000000000ul)
#define WINDOW_VA (ARENA + 0x4000000000ul) // page ppn of the family is at WINDOW_VA + ppn * 4096
#define USER_MIN 0x10000ul                 // lowest address a program may map, as Linux's mmap_min_addr
#define USER_MAX XOK_SELFMAP               // programs live in [USER_MIN, USER_MAX) and above the arena:
#define USER_HIGH ARENA_END                // [USER_HIGH, USER_HIGH_END): mmap area and stack
#define USER_HIGH_END XOK_USER_END

#define PAGE XOK_PAGE_SIZE
#define PAGE_DOWN(x) ((x) & ~(PAGE - 1))
#define PAGE_UP(x) PAGE_DOWN((x) + PAGE - 1)
#define container_of(p, type, field) ((type *)((char *)(p)-offsetof(type, field)))
#define countof(a) (sizeof(a) / sizeof((a)[0]))
#define MIN(a, b) ((a) < (b) ? (a) : (b))
#define MAX(a, b) ((a) > (b) ? (a) : (b))

struct thread;
struct proc;
struct vm;
struct file;
struct files;
struct inode;
struct fsctx;

// ---- core/list.h -----------------------------------------------------------------------------
struct list {
    struct list *next, *prev;
};
static inline void list_init(struct list *l) { l->next = l->prev = l; }
static inline bool list_empty(const struct list *l) { return l->next == l; }
static inline void list_add_tail(struct list *at, struct list *n)
{
    n->next = at, n->prev = at->prev;
    at->prev->next = n, at->prev = n;
}
static inline void list_del(struct list *n)
{
    n->prev->next = n->next, n->next->prev = n->prev;
    n->next = n->prev = n;
}
#define list_for(it, head) for (struct list *it = (head)->next; it != (head); it = it->next)
#define list_for_safe(it, nx, head) \
    for (struct list *it = (head)->next, *nx = it->next; it != (head); it = nx, nx = it->next)

// ---- core/lock.c: locks among the processors of a family ---------------------------------------
// The word holds the owner's environment id; a waiter donates its slice to the owner. Not recursive.
struct lock {
    u32 owner;
};
#define LOCK_INIT {0}
static inline void lock_take(struct lock *l);
static inline bool lock_try(struct lock *l);
static inline void lock_drop(struct lock *l);
static inline bool lock_mine(const struct lock *l);
void lock_contended(struct lock *l); // taken: wait until it is ours

// ---- core/waitq.c: blocking ----------------------------------------------------------------------
// Pattern: waitq_add(&q, &w) under the object's lock; then loop { check under lock; drop;
// r = thread_sleep(...); take } ; waitq_del(&w). A waiter may be on many queues (poll): one struct
// waiter a queue, one thread_sleep for all.
struct waitq {
    struct lock lock;
    struct list waiters;
};
struct waiter {
    struct list link;
    struct waitq *q;
    struct thread *thread;
    void (*fn)(struct waiter *w, u64 key); // not NULL: called (under q->lock) instead of waking thread
    void *arg;
    bool exclusive; // waitq_wake counts these
};
void waitq_init(struct waitq *q);
void waitq_add(struct waitq *q, struct waiter *w); // fills w->q; set the other fields first
void waitq_del(struct waiter *w);
// Wakes all non-exclusive waiters and up to n exclusive ones; key is passed to fn. Returns how many.
int waitq_wake(struct waitq *q, int n, u64 key);
// Sleeps until woken: 0 (maybe spurious), -EINTR (a signal is pending; only if interruptible),
// -ETIMEDOUT (deadline_ns, CLOCK_MONOTONIC, 0 = never).
s64 thread_sleep(u64 deadline_ns, bool interruptible);
void thread_wake(struct thread *t);
// The common case in one line: sleeps on q while cond is false, object lock dropped meanwhile. cond may
// have effects: it is not evaluated again once it was true.
#define waitq_until(queue, objlock, cond, deadline, intr)         \
    ({                                                        \
        s64 r_ = 0;                                           \
        struct waiter w_ = {.thread = thread_self()};         \
        for (;;) {                                            \
            if (cond) {                                       \
                r_ = 0;                                       \
                break;                                        \
            }                                                 \
            if (r_)                                           \
                break;                                        \
            if (!w_.q) {                                      \
                waitq_add((queue), &w_);                      \
                continue;                                     \
            }                                                 \
            lock_drop(objlock);                               \
            r_ = thread_sleep((deadline), (intr));            \
            lock_take(objlock);                               \
        }                                                     \
        waitq_del(&w_);                                       \
        r_;                                                   \
    })

// ---- core/pages.c: the family's pages --------------------------------------------------------------
// A page is named by its physical number; 0 is no page. Reference counted by ExOS (page_ref/page_put);
// every process mapping, page-cache slot and buffer holds one reference.
u64 page_get(void);           // a page with undefined content and one reference; 0 when out of memory
u64 page_get_zero(void);
void page_ref(u64 ppn);
void page_put(u64 ppn);
u32 page_refs(u64 ppn);       // module pages (root image) report 2: never written in place, never freed
static inline void *page_va(u64 ppn) { return (void *)(WINDOW_VA + ppn * PAGE); }
static inline u64 page_of(const void *va) { return ((u64)va - WINDOW_VA) / PAGE; }
u64 pages_free(void), pages_total(void);
void page_zero(void *page);
void page_copy(void *to, const void *from);

// ---- core/heap.c: objects in the arena; zero-filled; NULL when out of memory --------------------------
void *heap_alloc(size_t size);
void *heap_alloc_raw(size_t size);       // not filled: for buffers that are written before they are read
void *heap_resize(void *p, size_t size); // content kept, new part zero; p untouched on NULL
void heap_free(void *p);                 // NULL allowed

// ---- core/string.c, core/print.c ------------------------------------------------------------------------
void *memcpy(void *, const void *, size_t);
void *memmove(void *, const void *, size_t);
void *memset(void *, int, size_t);
int memcmp(const void *, const void *, size_t);
void *memchr(const void *, int, size_t);
size_t strlen(const char *);
size_t strnlen(const char *, size_t);
int strcmp(const char *, const char *);
int strncmp(const char *, const char *, size_t);
char *strchr(const char *, int);
char *strrchr(const char *, int);
int snprintf(char *, size_t, const char *, ...) __attribute__((format(printf, 3, 4)));
int vsnprintf(char *, size_t, const char *, __builtin_va_list);
void debug(const char *, ...) __attribute__((format(printf, 1, 2))); // a line in the machine's log
void panic(const char *, ...) __attribute__((format(printf, 1, 2), noreturn)); // the family dies
#define assert(x) ((x) ? (void)0 : panic("%s:%d: %s", __FILE__, __LINE__, #x))

// ---- core/random.c: random bytes, without a kernel call each time
void random_bytes(void *to, size_t n);

// ---- core/clock.c ------------------------------------------------------------------------------------------
u64 clock_mono_ns(void); // since machine start
u64 clock_real_ns(void); // since 1970
void clock_real_set(u64 ns);

struct times {
    u64 user, system; // processor time, ns
};

// ---- core/thread.c: threads are environments ---------------------------------------------------------------
// A program's registers at a system call, fault or upcall; the top of its ExOS stack.
struct uregs {
    u64 r15, r14, r13, r12, rbp, rbx, r11, r10, r9, r8, rax, rcx, rdx, rsi, rdi;
    u64 orig_rax; // call number, or -1 when not in a system call
    u64 rip, cs, rflags, rsp, ss;
};

struct thread {
    struct thread *self;   // %gs:0
    u64 stack_top;         // %gs:8: ExOS stack, grows down from here
    u64 fast_pid;          // %gs:16: value of getpid, for the fast path
    struct xok_ctl *ctl;   // %gs:24: control page
    u64 exc_frame;         // %gs:32: where the processor leaves the frame of an int at a patched site
    u64 unused[2];
    u64 fpu_given;         // a vector state to start with lies in the kit
    struct uregs *regs;    // %gs:64: the program's registers while in ExOS, at the top of its stack
    u32 env;               // environment id
    u32 tid;
    struct proc *proc;
    u64 fsbase;            // as last set by the program
    volatile u32 pending;  // work for the exit path: THREAD_*
    u64 upcall_stack, exc_stack;
    u64 stack_base;
    struct list proc_link; // in proc->threads, proc_lock
    // proc/: signals, futex, exit
    u64 sigmask, sigpend;  // proc->sig_lock
    u64 sigmask_saved;     // rt_sigsuspend, ppoll, pselect: restored after delivery
    bool sigmask_restore;
    u64 sigalt_sp, sigalt_size;
    u32 sigalt_flags;
    struct siginfo_node *siginfo[64];
    u64 trap, trap_error, trap_addr; // the last exception, as a handler's frame shows it
    u64 clear_child_tid, set_child_tid, robust_list, robust_len;
    s64 restart_call;      // restart_syscall: call number or 0
    u64 restart_arg[4];
    u32 exiting;
    char comm[16];
    u64 start_ns, run_base;
    struct times times_told; // to programs
    u64 affinity;          // processors it may run on, a bit each; 0: all
    u32 slot[XOK_CPU_MAX]; // its positions in their slot vectors
    s32 nice, policy, rt_priority, ioprio; // as set: sched(7). The slots decide
    u32 pdeath_signal;     // prctl(2)
    u64 timer_slack;
    void *futex;           // what it waits for, proc/futex.c
    struct thread *free_next;
    bool arena_io;         // copy_in and copy_out take library memory too: sendfile and its like
};
#define THREAD_SIGNAL 1u // look at signals
#define THREAD_KILL 2u   // leave: the process is going
#define THREAD_STOP 4u   // job control stop
#define THREAD_SHORT 8u  // a mapped file has become shorter: vm_refresh

static inline struct thread *thread_self(void)
{
    struct thread *t;
    __asm__ volatile("mov %%gs:0, %0" : "=r"(t));
    return t;
}
static inline bool lock_try(struct lock *l)
{
    u32 none = 0;
    return __atomic_compare_exchange_n(&l->owner, &none, thread_self()->env, false, __ATOMIC_ACQUIRE,
                                       __ATOMIC_RELAXED);
}
static inline void lock_take(struct lock *l)
{
    if (__builtin_expect(!lock_try(l), 0))
        lock_contended(l);
}
static inline void lock_drop(struct lock *l) { __atomic_store_n(&l->owner, 0, __ATOMIC_RELEASE); }
static inline bool lock_mine(const struct lock *l)
{
    return __atomic_load_n(&l->owner, __ATOMIC_RELAXED) == thread_self()->env;
}
// A new thread's environment: share = NULL makes a new address space (arena linked in), otherwise a
// thread of that space. Not running yet. NULL and *err on failure.
struct thread *thread_new(struct thread *share, s64 *err);
// Lets it run, resuming the program at *r (rax etc. as given) with FS base t->fsbase.
void thread_start(struct thread *t, const struct uregs *r);
// Ends the calling thread: runs on, frees it from another stack. Never returns.
void thread_exit_self(void) __attribute__((noreturn));
// Gives t slots on exactly these processors (a bit each, not none). proc_lock held. -ENOMEM.
s64 thread_affinity(struct thread *t, u64 allowed);
// Makes t look at t->pending soon (env_notify if it runs a program).
void thread_kick(struct thread *t, u32 pending);
void thread_fpu_reset(void);           // vector and x87 state as at a program's start
u64 thread_fsbase_get(void);
void thread_full_return(struct uregs *r) __attribute__((noreturn)); // r: the thread's own frame
void thread_fsbase_set(u64 base);      // the calling thread's FS base, now
// The exit path's C part: signals, stops, exit. Called with regs complete.
void thread_return_work(struct uregs *r); // proc/signal.c
// Another address space for the calling thread's environment (exec). In vm/.

// ---- vm/: address spaces --------------------------------------------------------------------------------------
// Page faults of programs and of ExOS touching program memory come here. Returns 0 when fixed, else the
// signal's si_code packed: VM_SEGV_MAPERR, VM_SEGV_ACCERR, VM_BUS.
enum { VM_SEGV_MAPERR = 1, VM_SEGV_ACCERR = 2, VM_BUS = 3, VM_NOMEM = 4 };
int vm_fault(struct vm *vm, u64 addr, u64 error);
struct vm *vm_new(void);
s64 vm_fork(struct vm *from, struct vm *to, struct thread *child); // copy-on-write copy into child's space
void vm_clear(struct vm *vm);  // unmap everything of the calling thread's own space (exec, exit)
void vm_put(struct vm *vm);    // a process leaves it; the last one's thread, running in it, empties it first
struct vm *vm_share(struct vm *vm); // for another process
bool vm_shared(struct vm *vm);
s64 vm_map(struct vm *vm, u64 addr, u64 len, int prot, int flags, struct file *f, u64 off); // mmap(2)
s64 vm_unmap(struct vm *vm, u64 addr, u64 len);
s64 vm_protect(struct vm *vm, u64 addr, u64 len, int prot);
s64 vm_brk(struct vm *vm, u64 addr);
void vm_shortened(struct inode *i); // a file that may be mapped has become shorter; no lock held
void vm_refresh(struct vm *vm);     // the caller's own: drops what lies behind the ends of its files
u64 vm_size_pages(struct vm *vm), vm_rss_pages(struct vm *vm);
bool vm_patch_site(struct vm *vm, u64 rip, u64 nr);      // system-call site, vm/patch.c
// User memory. Return 0 or -EFAULT; faults are served on the way. May sleep; see the lock rules.
static inline bool user_va(u64 start, u64 len) // may be a program's
{
    u64 end = start + len;
    return end >= start && start >= USER_MIN &&
           (end <= USER_MAX || (start >= USER_HIGH && end <= USER_HIGH_END));
}
s64 uaccess_copy(void *to, const void *from, u64 n);
s64 copy_in_other(void *to, u64 from, size_t n), copy_out_other(u64 to, const void *from, size_t n);
static inline s64 copy_in(void *to, u64 from, size_t n)
{
    return __builtin_expect(user_va(from, n), 1) ? uaccess_copy(to, (const void *)from, n) : copy_in_other(to, from, n);
}
static inline s64 copy_out(u64 to, const void *from, size_t n)
{
    return __builtin_expect(user_va(to, n), 1) ? uaccess_copy((void *)to, from, n) : copy_out_other(to, from, n);
}
s64 uaccess_str(char *to, const char *from, u64 size);
s64 copy_in_str_end(char *to, u64 from, size_t size);
// Length without NUL, -EFAULT, -ENAMETOOLONG.
static inline s64 copy_in_str(char *to, u64 from, size_t size)
{
    if (__builtin_expect(!user_va(from, size), 0)) // close to the end of what programs have
        return copy_in_str_end(to, from, size);
    s64 len = uaccess_str(to, (const char *)from, size);
    return len == (s64)size ? -ENAMETOOLONG : len;
}
s64 zero_out(u64 to, size_t n);
s64 user_get32(u64 addr, u32 *v);
s64 user_cas32(u64 addr, u32 old, u32 new_, u32 *seen);

// ---- linux/: the table ------------------------------------------------------------------------------------------------
// Every call is s64 sys_NAME(u64 a, u64 b, u64 c, u64 d, u64 e, u64 f): negative errno or the result.
// The program's registers are thread_self()->regs. Rows: linux/{fs,vm,proc,misc}.def.
void linux_call(struct uregs *r);
// Results that the exit path turns into a restart or EINTR (as Linux's own internal codes).
#define ERESTARTSYS 512
#define ERESTARTNOINTR 513
#define ERESTARTNOHAND 514
#define ERESTART_RESTARTBLOCK 516

#endif
