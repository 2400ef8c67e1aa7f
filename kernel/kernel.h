// The map of the kernel: every function that another file may call, grouped by the file it lives in.
// Reading order: kernel/README.md. "BKL" is the kernel lock (cpu/lock.c); all state is guarded by it
// unless a comment says otherwise. Interrupts are off throughout the kernel.
#ifndef XOK_KERNEL_H
#define XOK_KERNEL_H
#include <stdbool.h>
#include <stddef.h>
#include "xok/cap.h"
#include "xok/cpu.h"
#include "xok/env.h"
#include "xok/error.h"
#include "xok/info.h"
#include "xok/layout.h"
#include "xok/page.h"
#include "xok/pt.h"

#define KERNEL_BASE 0xffffffff80000000ul
#define DIRECT 0xffff800000000000ul       // all RAM and mapped devices at DIRECT + physical address
#define EXPOSED_ALIAS 0x0000200000000000ul // exposed state is writable for the kernel this much higher
#define KENVS ((struct xok_env_info *)(XOK_ENVS_VA + EXPOSED_ALIAS))
#define KSLOTS ((u32(*)[XOK_SLOTS_PER_CPU])(XOK_SLOTS_VA + EXPOSED_ALIAS))
#define KNAMES ((struct xok_name_info *)(XOK_NAMES_VA + EXPOSED_ALIAS))

#define KERNEL_CS 0x08
#define KERNEL_SS 0x10

#define countof(a) (sizeof(a) / sizeof((a)[0]))
#define MIN(a, b) ((a) < (b) ? (a) : (b))
#define MAX(a, b) ((a) > (b) ? (a) : (b))
#define assert(x) ((x) ? (void)0 : panic("%s:%d: %s", __FILE__, __LINE__, #x))

struct cap {
    u32 name; // 0: the slot is empty
    u16 rights;
    u16 epoch; // of revocations (cap/cap.c) when it was last found valid
};

enum { FPU_OFFSET = 1024 }; // the environment's page: struct env, then its XSAVE area (up to 3 KiB: AVX and more)
enum saved { SAVED_NOTHING, SAVED_CALL /* callee-saved, rip, rsp, rflags, rax */, SAVED_ALL };

struct env {
    // ---- read and written by cpu/entry.S: offsets in cpu/offsets.h ----
    u64 text_lo, text_hi;  // env_setup
    u64 bounce;
    struct xok_ctl *ctl;   // kernel address of the pinned control page, NULL before env_setup
    struct xok_regs regs;  // while not running: its state, as `saved` says
    struct env *callee;    // CALLING: whom it called by protected control transfer
    struct env *serving;   // whose call it serves, until it replies
    u64 pct_entry, pct_stack; // where a transfer to it begins
    u8 gate;               // it waits at a gate that is open to all: a call need not be looked at
    u8 depth;              // calls that led to it, one in the other
    u8 gate_open;          // its gate will be open to all when it waits there
    u8 saved;
    u32 id;
    struct xok_env_info *info;
    u64 space;             // physical address of the PML4
    u64 exc_top;           // IST value
    u32 running_on;        // processor index + 1, 0 if not running
    u32 gate_name;         // callers at or below it may come in; 0: nobody
    u64 pending;           // upcalls still to be raised: NOTIFY bits, and 1 << 32 + kind
    // ---- C only ----
    u32 name;              // owner
    struct cap caps[XOK_CAP_SLOTS];
    u64 entry[XOK_UP_COUNT];
    u64 upcall_va;         // page of the upcall stack
    u8 *upcall;            // kernel address of it, pinned
    u8 *fpu;               // XSAVE area, a page (or two)
    u32 flags, guardian;
    struct xok_message *ring; // kernel address of its message ring, pinned
    u32 ring_tail;
    u32 asked, asked_resource; // by env_ask
    u64 save_pages;        // list through page_info.next: pages set aside for what is seized
    bool epilogue;         // was told that its slice is over
    bool begin;            // its next slice begins with an upcall
    bool marked;           // its slots are marked runnable
    u32 slots;             // list of slots: cpu << 16 | position, + 1; 0 ends
    u32 slot_count;
    u32 heap_at;           // index in its processor's deadline heap, 0 if none
    u16 heap_cpu;
    u64 deadline;          // ns
    struct pred *pred;
};

struct cpu {
    struct cpu *self;      // %gs:0 in the kernel
    u64 stack_top;         // %gs:8
    u64 user_rsp;          // %gs:16
    struct env *env;       // %gs:24: running environment or NULL
    u64 bounces;           // %gs:32: counted by entry.S, exposed at each tick
    struct xok_cpu_info *info; // %gs:40
    u64 space;             // %gs:48: CR3 loaded
    u64 *ist_user;         // %gs:56: the interrupt stack of the running environment, in the TSS
    u32 index, apic_id;
    u32 payer;             // environment whose slice it is: the time since `since` is charged to it
    u64 since;             // TSC
    u32 position;          // of the slot being used
    u64 slice_end;         // ns
    u64 slice_end_tsc;     // the same moment
    u64 grace_end;         // ns: env was told that the slice is over and must be gone by then; 0 otherwise
    u64 timer_at;          // ns for which the timer is armed, 0 if not
    bool leaving;          // env is giving up this processor: who wakes now may well run here next
    struct env *untold;    // woken meanwhile, and no other processor was told
    bool need_resched;     // set under the BKL, read on the way to ring 3
    volatile u32 shootdown;// requests not yet served: no lock, atomic
    u64 runnable[XOK_SLOTS_PER_CPU / 64]; // bit: the slot's environment could run
    u64 runnable2[XOK_SLOTS_PER_CPU / 4096], runnable3;
    u32 heap_len;
    u32 *heap;             // indices of environments by deadline; [0] unused
    u64 gdt[8];
    struct tss {
        u32 r0;
        u64 rsp[3], r1, ist[7], r2;
        u16 r3, iomap;
    } __attribute__((packed)) tss;
};

struct trap_frame {
    u64 r15, r14, r13, r12, rbp, rbx, r11, r10, r9, r8, rax, rcx, rdx, rsi, rdi;
    u64 vector, error, rip, cs, rflags, rsp, ss;
};

enum { MSR_EFER = 0xc0000080, MSR_STAR = 0xc0000081, MSR_LSTAR, MSR_CSTAR, MSR_FMASK,
       MSR_FSBASE = 0xc0000100, MSR_GSBASE, MSR_KERNEL_GSBASE };
// Interrupt stacks: number n is tss.ist[n - 1].
enum { IST_USER = 1 /* the running environment's exc_top */, IST_NMI, IST_DOUBLE, IST_MACHINE };

// ---- boot/main.c
extern struct xok_info info;           // writable view of the exposed structure
extern char kernel_end[];
const char *boot_option(const char *name); // value of `name=` or "" of `name` on the command line, or NULL

// ---- cpu/lock.c, cpu/cpu.c
static inline struct cpu *this_cpu(void)
{
    struct cpu *c;
    __asm__("mov %%gs:0, %0" : "=r"(c));
    return c;
}
extern struct cpu cpus[XOK_CPU_MAX];
extern volatile u32 kernel_held;
void kernel_lock(void);
void kernel_unlock(void);
void cpu_init(u32 index, u32 apic_id, u64 stack_top); // descriptor tables, MSRs, control registers of this processor
void fpu_init(void);
void fpu_save(struct env *e), fpu_load(struct env *e);
void tlb_flush_page(u64 va), tlb_flush_all(void);
void tlb_shootdown(u64 a, u64 b, bool all); // others that run space a or b (or any) drop all; waits for them
void tlb_serve(void);
bool user_range(u64 va, u64 len);
s64 copy_in(void *to, u64 from, u64 n);   // 0 or XOK_E_FAULT
s64 copy_out(u64 to, const void *from, u64 n);

// ---- cpu/trap.c
void irq_register(u32 vector, void (*fn)(void *), void *arg);
void idt_load(void);
void frame_save(struct env *e, const struct trap_frame *f);
void return_to_env(struct env *e) __attribute__((noreturn)); // BKL held; released
#define VECTOR_TIMER 0x20
#define VECTOR_KICK 0x21      // look at need_resched and notify bits
#define VECTOR_SHOOTDOWN 0x22
#define VECTOR_DEVICE 0x30    // .. 0x5f
#define VECTOR_SPURIOUS 0xff

// ---- mem/page.c
extern struct xok_page_info *pages;
extern u64 page_count;
static inline void *phys_to_virt(u64 pa) { return (void *)(DIRECT + pa); }
static inline u64 virt_to_phys(const void *va)
{
    return (u64)va >= KERNEL_BASE ? (u64)va - KERNEL_BASE : (u64)va - DIRECT;
}
void page_init(u64 start_info);
u64 kpage_alloc(void);              // physical address of a zeroed kernel page; panics before env 0 runs, 0 later
void kpage_free(u64 pa);
u64 page_take(u8 type, u32 name);   // any free page: ppn or 0. Not zeroed. No quota
void page_release(u64 ppn);         // to the free list
bool page_may(const struct cap *c, u64 ppn, u32 rights);
u64 page_cache_new(u32 name);       // charged to name, whose rights to it are none yet: ppn or 0
void *expose(u64 va, u64 pa);       // map one page of exposed state; returns the kernel's view
void *mmio_map(u64 pa, u64 len);
u64 *kernel_entry(u64 va, int level); // of the kernel's own tables, made if absent; NULL: no memory
#define TEXT_POOL 0x200000ul
extern u64 text_pool; // physical address of the memory that only downloaded code lies in

// ---- mem/text.c; what it offers to others: code/code.h
void text_init(void);
u8 *text_take(u64 len);             // executable memory for good; NULL: none left
void text_put(const u8 *to, const u8 *from, u64 len); // writes there
void kernel_selftest(void) __attribute__((weak)); // tests/guest/code

// ---- mem/revoke.c
void keep_drop(struct env *e);

// ---- mem/space.c, mem/pt.c; tables themselves: mem/table.h
extern u64 kernel_space;            // PML4 of the kernel's half
u64 space_new(const struct cap *c); // physical address, 0
void space_ref(u64 space), space_drop(u64 space);
u64 *space_entry(u64 space, u64 va, int level); // existing entry or NULL
bool user_page(u64 space, u64 va, bool write, u64 *ppn); // page mapped at va for ring 3
s64 pt_boot_set(const struct cap *c, u64 space, const struct xok_pt_op *op); // one op, before env 0 runs

// ---- cap/cap.c
void name_init(void);
bool cap_slot(struct env *e, u64 slot, struct cap *out);           // false: empty or out of range
bool cap_dominates(const struct cap *c, u32 acl_entry, u32 rights);
bool cap_above(const struct cap *c, u32 name);
// c dominates a resource owned by name
static inline bool cap_over(const struct cap *c, u32 name, u32 rights)
{
    return (c->rights & rights) == rights && name && (c->name == name || cap_above(c, name));
}
s64 quota_charge(u32 name, enum xok_resource r, u32 n);
void quota_refund(u32 name, enum xok_resource r, u32 n);
void name_ref(u32 name), name_drop(u32 name);
u32 name_stamp(u32 name); // differs between lives of an id

// ---- env/pct.c
void ring_drop(struct env *e);
void pct_gate_update(struct env *e);
void pct_abandon(struct env *e);    // e is no more: its caller is told, its callee forgets it

// ---- env/env.c
extern struct env *envs[XOK_ENV_MAX];
struct env *env_find(u64 id);       // 0: the caller
struct env *env_by_index(u32 index);
void env_boot(u64 module_pa, u64 module_len);
void env_kill(struct env *e, u8 death); // BKL held; if it is the running one, the caller must reschedule
void upcall_push(struct env *e, u64 kind, u64 addr, u64 error, u64 *rip, u64 *rsp, u64 *rflags);

// ---- env/sched.c
bool slice_over(struct cpu *c, struct env *e, struct trap_frame *f); // false: e must leave at once
void sched_init(struct cpu *c);
void env_ready(struct env *e);      // may run in its slots
void env_unready(struct env *e);
void schedule(void) __attribute__((noreturn)); // BKL held; from the next slot on
void env_move(struct cpu *c, struct env *to); // c runs `to` instead of c->env: bases, space, interrupt stack
void env_run_ends(struct cpu *c);   // c->env runs no more; its registers are saved or lost
void env_switch(struct env *e) __attribute__((noreturn)); // run e now for the rest of the slice
void slot_release_all(struct env *e);
void slot_give(struct env *e, u32 cpu, u32 pos); // pos is free
void timer_tick(void);
void timer_set(struct cpu *c);      // arms it for the slice's end if others wait, or the next deadline
bool env_wake_check(struct env *e); // true if e is not, or no longer, asleep
void wakes_drain(struct env *e);

// ---- env/pred.c
bool pred_true(struct env *e);
void pred_drop(struct env *e);
void pred_touch_info(const volatile void *word);
void pred_touch_phys(u64 pa);

// ---- net/net.c
void disk_init(void);               // disk/calls.c: XN and the disks
void net_init(void);                // links, rings, filters; the loop and the network devices
extern u64 net_quiet_until;         // ns: earliest end of a time without network interrupts; ~0 if none
void net_quiet_end(u64 now);        // ends those that are over at now

// ---- dev/
#include "dev/dev.h"

#define XOK_EXIT_PANIC 0x3f // debug_exit code of a kernel panic: QEMU exits with 0x7f
#define ENV_SLOTS_MAX 256   // slots of one environment: bounds what it costs to put it to sleep and wake it

// ---- cpu/print.c
void klog(const char *f, ...) __attribute__((format(printf, 1, 2)));
void panic(const char *f, ...) __attribute__((format(printf, 1, 2), noreturn));
void *memcpy(void *, const void *, size_t);
void *memset(void *, int, size_t);
int memcmp(const void *, const void *, size_t);
size_t strlen(const char *);

static inline u64 rdmsr(u32 msr)
{
    u32 lo, hi;
    __asm__ volatile("rdmsr" : "=a"(lo), "=d"(hi) : "c"(msr));
    return (u64)hi << 32 | lo;
}
static inline void wrmsr(u32 msr, u64 v)
{
    __asm__ volatile("wrmsr" : : "c"(msr), "a"((u32)v), "d"((u32)(v >> 32)) : "memory");
}
static inline u64 rdtsc(void)
{
    u32 lo, hi;
    __asm__ volatile("rdtsc" : "=a"(lo), "=d"(hi));
    return (u64)hi << 32 | lo;
}
static inline u64 read_cr2(void)
{
    u64 v;
    __asm__ volatile("mov %%cr2, %0" : "=r"(v));
    return v;
}
static inline u64 read_cr3(void)
{
    u64 v;
    __asm__ volatile("mov %%cr3, %0" : "=r"(v));
    return v;
}
static inline void write_cr3(u64 v) { __asm__ volatile("mov %0, %%cr3" : : "r"(v) : "memory"); }
static inline u64 read_cr4(void)
{
    u64 v;
    __asm__ volatile("mov %%cr4, %0" : "=r"(v));
    return v;
}
static inline void write_cr4(u64 v) { __asm__ volatile("mov %0, %%cr4" : : "r"(v) : "memory"); }
static inline void outb(u16 port, u8 v) { __asm__ volatile("outb %0, %1" : : "a"(v), "Nd"(port)); }
static inline void outl(u16 port, u32 v) { __asm__ volatile("outl %0, %1" : : "a"(v), "Nd"(port)); }
static inline u8 inb(u16 port)
{
    u8 v;
    __asm__ volatile("inb %1, %0" : "=a"(v) : "Nd"(port));
    return v;
}
static inline u32 inl(u16 port)
{
    u32 v;
    __asm__ volatile("inl %1, %0" : "=a"(v) : "Nd"(port));
    return v;
}
struct cpuid {
    u32 a, b, c, d;
};
static inline struct cpuid cpuid(u32 leaf, u32 sub)
{
    struct cpuid r;
    __asm__ volatile("cpuid" : "=a"(r.a), "=b"(r.b), "=c"(r.c), "=d"(r.d) : "a"(leaf), "c"(sub));
    return r;
}
static inline u64 clock_at(u64 tsc) { return (u64)(((unsigned __int128)tsc * info.tsc_mult) >> 32); }
static inline u64 clock_ns(void) { return clock_at(rdtsc()); } // since machine start
#endif
