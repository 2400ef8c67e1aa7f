// Shared by the calls that are about neither files nor memory nor sockets.
#ifndef EXOS_LINUX_MISC_H
#define EXOS_LINUX_MISC_H
#include "fs/abi.h"
#include "proc/proc.h"

#define LINUX(nr, name, nargs, args) s64 sys_##name(u64, u64, u64, u64, u64, u64);
#include "linux/misc.def"
#undef LINUX
#define CALL(name) s64 sys_##name(u64 a, u64 b, u64 c, u64 d, u64 e, u64 f)
#define UNUSED (void)a, (void)b, (void)c, (void)d, (void)e, (void)f

enum { SECOND = 1000000000 };
struct timeval_native {
    s64 sec, usec;
};

enum { CLOCK_REALTIME, CLOCK_MONOTONIC, CLOCK_PROCESS_CPUTIME_ID, CLOCK_THREAD_CPUTIME_ID, CLOCK_MONOTONIC_RAW,
       CLOCK_REALTIME_COARSE, CLOCK_MONOTONIC_COARSE, CLOCK_BOOTTIME, CLOCK_REALTIME_ALARM, CLOCK_BOOTTIME_ALARM,
       CLOCK_TAI = 11 };
s64 time_in(u64 from, u64 *ns);  // a struct timespec: -EFAULT, -EINVAL; far futures are cut
s64 time_out(u64 to, u64 ns);
// The clock's time. -EINVAL: no such clock, or a clock of no such process.
s64 clock_read(s32 clock, u64 *ns);

// exos/linux/creds.c
enum { CAP_KILL = 5, CAP_SETGID, CAP_SETUID, CAP_SETPCAP, CAP_NET_BIND_SERVICE = 10, CAP_NET_ADMIN = 12, CAP_NET_RAW,
       CAP_SYS_ADMIN = 21, CAP_SYS_NICE = 23, CAP_SYS_RESOURCE, CAP_SYS_TIME, CAP_WAKE_ALARM = 35, CAP_LAST = 40 };
#define CAP_FULL ((1ul << (CAP_LAST + 1)) - 1)
// A process by pid (0: the caller) under proc_lock; NULL if there is none.
struct proc *proc_named(s32 pid);
#endif
