// Between the vDSO and ExOS.
#ifndef EXOS_LINUX_VDSO_H
#define EXOS_LINUX_VDSO_H
#include <stdbool.h>
#include "xok/types.h"

// In the last 64 bytes of the page. Nanoseconds since machine start = rdtsc * scale >> 32.
struct vdso_data {
    u64 scale;
    u64 real; // nanoseconds of CLOCK_REALTIME at machine start
};
#define VDSO_DATA (4096 - 64)
#define VDSO_T_CTL 24   // offset in struct thread
#define VDSO_CTL_CPU 28 // offset in struct xok_ctl
struct file;
struct vm;
extern struct file *vdso_file;     // what is mapped; NULL before the first program
s64 vdso_map(struct vm *vm, bool now); // into a new program's space; its address, or an error. now: it is read at once
void vdso_real_set(u64 real);      // the clock was set
#endif
