// The control port: framed messages between the program's keeper on the host (tools/xok) and ExOS.
//
// A message is a header of two little-endian u32 and `length` bytes of payload. There is no padding
// between messages. Whoever reads a type it does not know skips it; a length above CONTROL_MAX
// means that the stream is damaged, and ends the session.
//
// Order of a session: the host sends CONFIG before anything else; the guest sends READY, then any
// number of STRACE, then STATS if asked for, then EXIT (or ERROR at any time, which is also the
// end). After EXIT the guest leaves the machine running: the host ends it when it has taken all
// output that EXIT announced. Standard input and output are plain bytes on their own ports and
// overtake, or are overtaken by, control messages: hence the byte counts in STDIN_EOF and EXIT.
#ifndef EXOS_CONTROL_H
#define EXOS_CONTROL_H
#include <xok/types.h>

#define CONTROL_PORT 3
#define CONTROL_VERSION 1
// Longest payload. Linux lets arguments and environment take at most 6 MiB together (execve(2)); as
// much again is room for the rest.
#define CONTROL_MAX (12u << 20)

struct control_header {
    u32 type;   // CONTROL_*
    u32 length; // of the payload
};

enum control_type {
    // host to guest
    CONTROL_CONFIG = 1, // struct control_config and strings
    CONTROL_STDIN_EOF =
        2, // u64: bytes sent on the stdin port in all; end of file comes after that many
    CONTROL_WINCH = 3,  // u16 rows, u16 columns of the host's terminal
    CONTROL_SIGNAL = 4, // u32: Linux signal number, for the program started by CONFIG; see below
    CONTROL_HUP = 5, // u32: port 1 or 2, whose reader has gone: writes fail with EPIPE from now on
    // guest to host
    CONTROL_READY = 16, // struct control_ready: about to run the program's first instruction
    CONTROL_EXIT = 17,  // struct control_exit: the program has ended
    CONTROL_ERROR =
        18, // u32 exit status for the host's command, then one line of text without newline
    CONTROL_STATS = 19,  // text: the members of a JSON object, without the braces
    CONTROL_STRACE = 20, // text: whole lines, each with its newline
};

// In CONTROL_SIGNAL: for the whole process group that the program started as.
#define CONTROL_SIGNAL_GROUP 0x80000000u

enum control_flag {
    CONTROL_FLAG_STRACE = 1,  // report Linux calls
    CONTROL_FLAG_STATS = 2,   // send STATS before EXIT
    CONTROL_FLAG_VERBOSE = 4, // say on the machine's log what goes on
};

// Then follow, each ended by a NUL: the program's path in the root image (absolute or relative to
// cwd; already looked up in PATH), the current directory, argc arguments, envc environment strings.
// The host has looked up names in the image's /etc/passwd and /etc/group: the guest gets numbers.
struct control_config {
    u32 version;  // CONTROL_VERSION
    u32 flags;    // CONTROL_FLAG_*
    u32 tty_mask; // bit n: descriptor n is a terminal on the host
    u16 rows, cols;
    u32 uid, gid;
    u32 ngroups; // supplementary groups, at most 16
    u32 groups[16];
    u32 argc, envc;
    u32 pad;
};

struct control_ready {
    u64 tsc; // time stamp counter
    u64 ns;  // since machine start, by the exposed clock
};

struct control_exit {
    u32 status; // wait(2) encoding
    u32 pad;
    u64 out_bytes[2]; // written to the stdout and the stderr port in all
};

// ExOS only: the keeper calls this when something may have arrived on, or fits into, the port.
void control_event(void);

#endif
