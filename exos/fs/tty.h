// Terminals: the console and pseudo-terminals (ioctl_tty(2), termios(3), pty(7)).
//
// Bytes from below (the host, a pty's master) go through ntty.c into `in`; what programs write and what
// is echoed goes through it into `out`. Signals that typed characters send are gathered under the lock
// and sent by tty_drop(). Lock order: file->lock > tty->lock > a queue's lock; proc_lock never under it.
#ifndef EXOS_FS_TTY_H
#define EXOS_FS_TTY_H
#include "fs/vfs.h"

enum { VINTR, VQUIT, VERASE, VKILL, VEOF, VTIME, VMIN, VSWTC, VSTART, VSTOP, VSUSP, VEOL, VREPRINT, VDISCARD,
       VWERASE, VLNEXT, VEOL2, NCCS = 19 };
enum { IGNBRK = 1, BRKINT = 2, IGNPAR = 4, PARMRK = 8, INPCK = 16, ISTRIP = 32, INLCR = 64, IGNCR = 128,
       ICRNL = 256, IUCLC = 512, IXON = 1024, IXANY = 2048, IXOFF = 4096, IMAXBEL = 8192, IUTF8 = 16384 };
enum { OPOST = 1, OLCUC = 2, ONLCR = 4, OCRNL = 8, ONOCR = 16, ONLRET = 32, XTABS = 0x1800 };
enum { CSIZE = 060, CS8 = 060, CREAD = 0200, PARENB = 0400, CBAUD = 010017, BOTHER = 010000, B38400 = 017,
       CIBAUD_SHIFT = 16 };
enum { ISIG = 1, ICANON = 2, ECHO = 8, ECHOE = 16, ECHOK = 32, ECHONL = 64, NOFLSH = 128, TOSTOP = 256,
       ECHOCTL = 512, ECHOPRT = 1024, ECHOKE = 2048, FLUSHO = 4096, IEXTEN = 32768, EXTPROC = 65536 };
enum { TIOCPKT_FLUSHREAD = 1, TIOCPKT_FLUSHWRITE = 2, TIOCPKT_STOP = 4, TIOCPKT_START = 8, TIOCPKT_NOSTOP = 16,
       TIOCPKT_DOSTOP = 32, TIOCPKT_IOCTL = 64 };
enum { TTY_SIGHUP = 1, TTY_SIGINT = 2, TTY_SIGQUIT = 3, TTY_SIGCONT = 18, TTY_SIGTSTP = 20, TTY_SIGTTIN = 21,
       TTY_SIGTTOU = 22, TTY_SIGWINCH = 28 };

struct termios_native { // struct termios2; struct termios is all but the speeds
    u32 iflag, oflag, cflag, lflag;
    u8 line, cc[NCCS];
    u32 ispeed, ospeed;
};
_Static_assert(sizeof(struct termios_native) == 44, "termios2");
struct winsize_native {
    u16 rows, cols, xpixel, ypixel;
};

#define TTY_IN 4096u  // bytes of input that wait, Linux's N_TTY_BUF_SIZE
#define TTY_ECHO 256u // room in `out` that programs leave to echoes

struct tty {
    struct lock lock;              // all that follows, unless it says otherwise
    struct waitq rd, wr;           // of programs that read, that write
    struct waitq master_rd, master_wr;
    void (*flush)(struct tty *t);  // out has grown: takes what it can; lock held
    void (*more)(struct tty *t);   // in has room again; lock held
    u32 dev;                       // device number; constant
    u32 sid, pgid;                 // session and foreground group, 0 none: proc/terminal.c
    u32 opens;                     // open files of programs, the master's excepted
    u32 hangups;                   // a file that was opened before the last one is dead
    struct termios_native t;
    struct winsize_native ws;
    // Input. Positions count for ever. Canonical: bytes up to canon are whole lines; mark says which
    // byte ends one, and a marked NUL is an end of file.
    u8 in[TTY_IN];
    u64 mark[TTY_IN / 64];
    u32 head, tail, canon;
    bool lnext, erasing, pushed;   // pushed: in came before ICANON was set, a NUL is a NUL
    bool eof;                      // nothing will ever come any more
    u32 column, canon_column;
    // Output
    u8 *out;
    u32 out_size, out_head, out_tail;
    bool writing;                  // somebody is in the middle of a write
    bool stopped, flow_stopped;    // by VSTOP; by TCXONC
    bool exclusive;
    u32 sigs;                      // bit n: signal n is to be sent to the foreground group
    // Pseudo-terminals
    bool pty, master, slave_left, locked, packet; // slave_left: opened once, all closed now
    u8 pktstatus;
    u32 index;
    struct dentry *node;           // in devpts, while the master is open
};

// ntty.c: lock held
void ntty_reset(struct tty *t);
u32 ntty_room(struct tty *t);                          // how many bytes ntty_receive can take now
void ntty_receive(struct tty *t, const u8 *p, u32 n);  // n <= ntty_room()
bool ntty_out(struct tty *t, u8 c);                    // false: no room
u32 ntty_available(struct tty *t);
u32 ntty_take(struct tty *t, u8 *to, u32 n, bool *end);
void ntty_flush_in(struct tty *t);
void ntty_changed(struct tty *t, const struct termios_native *old);
void tty_start(struct tty *t), tty_stop(struct tty *t);

// tty.c
void tty_init(struct tty *t, u8 *out, u32 out_size);
void tty_drop(struct tty *t); // unlocks, sends the signals
static inline u32 tty_out_bytes(struct tty *t) { return t->out_head - t->out_tail; }
s64 tty_open(struct tty *t, struct file *f);
s64 tty_ioctl_common(struct tty *t, struct file *f, u32 cmd, u64 arg, bool master);
void tty_resize(struct tty *t, const struct winsize_native *ws);
void tty_hangup(struct tty *t); // every open file dies; who held it as terminal loses it
struct tty *tty_of(struct file *f);

// pty.c
void devpts_start(struct mount *dev, struct dentry *pts);
s64 ptmx_open(struct file *f);
s64 pts_open(u32 index, struct file *f);
s64 pty_peer(struct tty *t, u32 flags);
void pty_slave_closed(struct tty *t); // lock held

// console.c
struct tty *console_tty(void); // NULL: the host has none

// proc/terminal.c
struct tty *terminal_of(struct proc *p);            // the process's controlling terminal or NULL
s64 terminal_check(struct tty *t, int sig);         // may the caller's group do that? 0, -EIO, -ERESTARTSYS
void terminal_take(struct tty *t, struct file *f);  // on open without O_NOCTTY
void terminal_lost(struct tty *t);                  // hang-up
s64 terminal_ioctl(struct tty *t, struct file *f, u32 cmd, u64 arg, bool master);
enum { TIOCSCTTY = 0x540e, TIOCGPGRP = 0x540f, TIOCSPGRP = 0x5410, TIOCNOTTY = 0x5422, TIOCGSID = 0x5429 };
#endif
