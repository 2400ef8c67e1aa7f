// The Linux personality's table, for the entry code, --strace and the counters.
#ifndef EXOS_LINUX_H
#define EXOS_LINUX_H
#include "core/exos.h"
#include "core/offsets.h"

typedef s64 linux_fn(u64, u64, u64, u64, u64, u64);
extern linux_fn *const linux_table[LINUX_CALLS]; // NULL: ENOSYS
struct linux_name {
    const char *name;
    const char *args; // one letter an argument, see linux/strace.c
};
extern const struct linux_name linux_names[LINUX_CALLS];

// The table of the short way in, which leaves most of the program's registers where they are. What wants them
// in memory, what does not exist, and everything under --strace goes the long way: linux_full (core/entry.S).
extern linux_fn *linux_fast[LINUX_CALLS];
extern linux_fn linux_full;
// Before that, of a patched site: int_call (core/entry.S) goes on to linux_fast; the leaves answer at once.
extern linux_fn *linux_leaf[LINUX_CALLS];
extern linux_fn int_call, leaf_getpid, leaf_gettid;
extern bool linux_slow;         // every call goes through linux_call: --strace
void linux_start(bool trace);
extern u64 linux_direct;   // calls that came as a jump or by int $0x7e
extern u64 linux_bounced;  // calls that the kernel sent back
extern u64 linux_unknown;  // calls answered ENOSYS because there is no row
void linux_call(struct uregs *r);
void linux_bounce(struct uregs *r);
void strace_enter(const struct uregs *r);
void strace_leave(const struct uregs *r, const struct linux_name *n);
#endif
