// What the entry code and the start of the family share with thread.c.
#ifndef EXOS_THREAD_H
#define EXOS_THREAD_H
#include "core/exos.h"
extern const char uidt[], exos_text_begin[], exos_text_end[], exos_end[];
extern void bounce_entry(void), fault_entry(void), notify_entry(void), thread_first(void);
extern const char uaccess_begin[], uaccess_end[], uaccess_fail[];
extern struct thread *keeper;          // the family's first thread: timers and console, core/keeper.c
s64 thread_bind(struct thread *t, u32 env); // env_setup with ExOS's entry points
struct thread *thread_boot(void);      // the calling environment becomes a thread
void thread_abandon(struct thread *t); // a thread_new that was never started
void keeper_run(void) __attribute__((noreturn));
u64 timers_run(u64 now_ns);             // fires what is due; the next deadline or 0 (proc/timers.c)
void keeper_kick(void);                // an earlier deadline was set: look at the timers
#endif
