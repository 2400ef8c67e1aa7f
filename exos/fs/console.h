// The console as the keeper and the control port see it.
#ifndef EXOS_CONSOLE_H
#define EXOS_CONSOLE_H
#include "xok/types.h"
void console_event(int port);            // XOK_INFO->con[port] changed
void console_stdin_eof(u64 total);       // standard input ends after that many bytes
void console_hup(int port);              // nobody reads port 1 or 2 any more
void console_resize(u32 rows, u32 cols); // the host's window
u64 console_out_bytes(int port);         // written to port 1 or 2 so far
#endif
