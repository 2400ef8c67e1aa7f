// A library OS in a few hundred lines, without anything of ExOS: memory on demand, its own fault handlers,
// threads that it schedules by itself. It begins as any native program does: its ELF segments are mapped, its
// capability is in slot 0 (include/xok/native.h). A program defines `void tiny_main(void)`.
#ifndef TINY_H
#define TINY_H
#include "xok/calls.h"
#include "xok/error.h"
#include "xok/info.h"
#include "xok/pt.h"

#define TINY_CAP 0
#define TINY_HEAP (5ul << 39)
#define TINY_HEAP_END (6ul << 39)
#define PAGE XOK_PAGE_SIZE

// General registers and the frame of iretq: a thread that does not run has this on top of its stack.
struct tiny_context {
    u64 r15, r14, r13, r12, r11, r10, r9, r8, rbp, rdi, rsi, rdx, rcx, rbx, rax;
    u64 rip, cs, rflags, rsp, ss;
};

struct tiny_thread {
    u64 rsp;
    struct tiny_thread *next; // a ring of those that can run
    u64 turns;
};

extern struct xok_ctl tiny_ctl;
extern u64 tiny_preemptions;

void tiny_main(void);
void tiny_say(const char *text, u64 a, u64 b);
void tiny_exit(int ok) __attribute__((noreturn));
void *tiny_alloc(u64 bytes);      // zeroed; a page at a time, when it is touched
s64 tiny_map(u64 va, u64 ppn, u64 bits);
u64 tiny_page(void);              // a page, its number
// Asked first about a fault; 1: mended, go on. error as the processor pushes it.
extern int (*tiny_fault)(u64 addr, u64 error, struct xok_frame *frame);

// Threads: switched here, by yield without a call of the kernel, and by the ends of slices.
void tiny_thread_start(void (*fn)(u64), u64 arg);
void tiny_yield(void);
void tiny_thread_end(void) __attribute__((noreturn));
u32 tiny_threads(void);

// An environment of its own in this address space, which runs fn on a stack of its own. Not yet in a slot.
u32 tiny_spawn(void (*fn)(u64), u64 arg);
#endif
