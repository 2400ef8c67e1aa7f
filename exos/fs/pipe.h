// Pipes, for splice and the calls that change them.
#ifndef EXOS_FS_PIPE_H
#define EXOS_FS_PIPE_H
#include "core/exos.h"

#define PIPE_MAX_PAGES 256 // 1 MiB, Linux's pipe-max-size

struct pipe {
    struct lock lock;
    struct waitq rd, wr, openers;
    u64 rpos, wpos;      // bytes ever taken and given since it was last empty
    u32 readers, writers;
    u32 readers_ever, writers_ever; // opens so far: FIFOs
    u32 pages;           // of the ring
    u32 used_pages;      // slots at and after it are empty
    u64 *page;           // first, or the heap's after F_SETPIPE_SZ
    u64 first[];
};
struct pipe *pipe_of(struct file *f);
void pipe_free(struct pipe *p);
s64 pipe_resize(struct pipe *p, u64 size); // the new size
s64 pipe_read(struct pipe *p, u64 buf, u64 len, bool block, bool kernel);
s64 pipe_write(struct pipe *p, u64 buf, u64 len, bool block, bool kernel);
s64 pipe_take(struct pipe *p, u64 buf, u64 len, bool kernel, bool peek); // under lock, no waiting
s64 pipe_give(struct pipe *p, u64 buf, u64 len, bool kernel);
#endif
