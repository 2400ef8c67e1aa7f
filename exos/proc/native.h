// Native programs, run by a process that waits for them.
#ifndef EXOS_NATIVE_H
#define EXOS_NATIVE_H
#include "core/exos.h"

struct file;
struct native_segment {
    u64 vaddr, offset, filesz, memsz;
    bool write, exec;
};
// Runs the program until it ends or a signal comes for the process. Wait status, or an error if it did not start.
s64 native_run(struct file *f, const struct native_segment *segments, u32 count, u64 entry);
#endif
