// What the machine does, for sysinfo(2) and /proc/loadavg.
#ifndef EXOS_LOAD_H
#define EXOS_LOAD_H
#include "core/exos.h"
void load_average(u64 load[3]); // over 1, 5 and 15 minutes, in 1/65536
u64 cpu_idle_ns(u32 cpu);       // since the machine's start
u32 threads_running(u32 *all);  // takes proc_lock
#endif
