// Environments: execution contexts bound to an address space, with a control page shared with the
// kernel (thesis 3.4; architecture 3).
#ifndef XOK_ENV_H
#define XOK_ENV_H
#include "types.h"

#define XOK_ENV_MAX 16384        // "ten thousand environments" and headroom
#define XOK_ENV_INDEX(id) ((id) & 0xffff) // id = generation << 16 | index; 0 is no environment
#define XOK_ENV_SELF 0u
#define XOK_ENV_APP_WORDS 8

enum xok_env_state {
    XOK_ENV_FREE,
    XOK_ENV_NEW,     // allocated; does not run before env_run
    XOK_ENV_READY,   // may run in its slots
    XOK_ENV_ASLEEP,  // waits for its event word, predicate or deadline
    XOK_ENV_DEAD,    // killed by the kernel for a reason; env_free collects it
    XOK_ENV_GATE,    // waits at its gate for a protected control transfer
    XOK_ENV_CALLING, // has called another, which runs in its slices until it replies
};

enum xok_env_death {
    XOK_DEATH_NONE,
    XOK_DEATH_UPCALL,  // an upcall could not be delivered (stack unmapped or full, no entry point)
    XOK_DEATH_EXC,     // an exception could not be delivered to ring 3 (exception stack missing)
    XOK_DEATH_OVERRUN, // slice-end grace overrun too often
};

// Exposed record of an environment at XOK_ENVS_VA.
struct xok_env_info {
    u32 id;
    u8 state;
    u8 death;
    u16 cpu;         // processor it runs on now, 0xffff if none
    u32 name;        // name that owns it
    u32 space;       // page number of its root page table: equal in threads of one space
    u64 run_tsc;     // TSC ticks it has run, up to when it last left a processor
    u64 run_since;   // TSC when it was dispatched; counts while cpu is one
    u32 slices;      // times it was dispatched
    u32 faults;      // page faults delivered
    u32 debt_ns;     // time taken beyond its slices
    u32 forfeits;    // slices lost for it
    u32 overruns;    // grace times overrun in a row
    u32 ticks;       // timer interrupts that found it running
    u32 ticks_text;  // of those, inside its library (env_setup: text_lo, text_hi)
    u32 pad;
    u64 app[XOK_ENV_APP_WORDS]; // the owner's words, never interpreted (env_app)
};

// The control page: one page of the environment's own, pinned while the environment lives.
// The environment (and whoever it shares the page with) may write all of it at any time; the kernel
// reads each word once and checks it.
#define XOK_WAKES 14
#define XOK_LOST 10
struct xok_lost {
    u32 page;
    u32 saved; // the page that has its content now, 0 if none was set aside
};
struct xok_ctl {
    u64 event;          // sleep returns at once while non-zero. Set by anyone who shares the page, then wake()
    u64 bounce_rip;     // kernel writes: address after the syscall instruction that was bounced
    u64 bounce_rflags;  // and its flags
    u32 id;             // kernel writes at env_setup: the environment's id
    u32 cpu;            // kernel writes at each dispatch
    u32 notify;         // kernel ORs in the bits of env_notify before it raises the upcall
    u32 wakes;          // doorbell: store ids in the first zero entries of wake[], then 1 here. Whenever the
    u32 wake[XOK_WAKES];//   environment sleeps, yields, exits or loses the processor the kernel, if wakes is
                        //   non-zero, zeroes it, then takes the entries out of wake[] up to the first two that
                        //   are zero, and does wake() for each
    u64 pred_tag;       // kernel writes: tag of the predicate term that fired, 0 otherwise
    u64 slice_end;      // kernel writes: TSC when the present slice ends
    u64 upcall_mask;    // while non-zero no upcall but FAULT is delivered. The kernel sets it when it delivers
                        //   one; the handler clears it once it has read its frame
    u32 critical;       // non-zero: in a critical section, which the end of a slice does not interrupt (cpu.h)
    u32 slice_over;     // kernel sets: the slice ended meanwhile; yield when the section is left
    u32 lost;           // pages seized so far: the repossession vector is lost_pages[n % XOK_LOST] (revoke.h)
    u32 pad;
    struct xok_lost lost_pages[XOK_LOST];
    u64 reserved[6];
    u8 library[3776];    // the library's own, never read by the kernel
} __attribute__((aligned(4096)));

// What the kernel pushes on the upcall stack (rsp points at it). Everything not in here is untouched.
// `lea offsetof(rip)(%rsp), %rsp; iretq` resumes, with no kernel entry.
struct xok_frame {
    u64 kind;  // enum xok_upcall
    u64 addr;  // FAULT: CR2. NOTIFY: bits
    u64 error; // FAULT: page-fault error code (SDM vol. 3, 4.7)
    u64 rip, cs, rflags, rsp, ss;
};

enum xok_upcall {
    XOK_UP_FAULT,       // page fault
    XOK_UP_NOTIFY,      // env_notify
    XOK_UP_SLICE_END,   // the slice is over: save, then yield, within the grace time
    XOK_UP_SLICE_BEGIN, // a fresh slice: nothing is restored; only where SLICE_END was taken
    XOK_UP_REVOKE,      // give back `addr` of resource `error`; addr 0: some were taken (revoke.h)
    XOK_UP_PCT,         // a protected control transfer arrives
    XOK_UP_COUNT,
};

// env_setup: binds what the kernel needs to know of an environment. All addresses are the target's.
struct xok_env_setup {
    u64 ctl;          // control page: mapped writable there; pinned
    u64 upcall_stack; // one page, mapped writable, pinned: upper half for FAULT, lower half for the others.
                      // A frame goes below rsp if rsp is inside that half, else to the half's top
    u64 exc_stack;    // one page for ring-3 exceptions and int $0x70..; 0 if none. Not pinned: a miss is a fault upcall
    u64 text_lo, text_hi; // syscall instructions that end in (text_lo, text_hi] are Xok's; any other is bounced
    u64 bounce;       // where a bounced syscall continues: all registers as they were, but rcx = r11 = garbage
    u64 entry[XOK_UP_COUNT]; // upcall entry points; 0: FAULT kills, others are not raised
    u32 flags;        // XOK_ENV_KSAVE
    u32 guardian;     // environment whose event word is set and who is woken when this one dies; 0 none
};
#define XOK_ENV_KSAVE 1u // the kernel saves and restores all registers at slice end; no slice upcalls

// env_regs: state of an environment that is not running.
struct xok_regs {
    u64 rax, rbx, rcx, rdx, rsi, rdi, rbp, rsp, r8, r9, r10, r11, r12, r13, r14, r15;
    u64 rip, rflags; // rflags: only the arithmetic flags, DF, TF and AC are taken
    u64 fsbase, gsbase;
};

#endif
