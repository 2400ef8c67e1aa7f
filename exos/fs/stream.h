// Standard streams that are no terminals, and the bytes below a terminal: console ports 0, 1 and 2.
#ifndef EXOS_FS_STREAM_H
#define EXOS_FS_STREAM_H
#include "core/exos.h"
void stream_start(void);
void stream_event(int port);    // something came, or there is room again
void stream_eof(u64 total);     // standard input ends after that many bytes
void stream_hup(int port);      // its reader on the host is gone
struct file *stream_file(int port);
s64 stream_offer(int port, const char *from, u64 n); // the terminal's: what fits; negative once nobody reads
u64 stream_given(int port); // bytes written so far
#endif
