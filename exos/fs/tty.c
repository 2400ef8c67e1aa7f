// What programs do with a terminal: read, write, poll, and its settings.
#include "fs/tty.h"

enum { CHUNK = 512 };
#define TENTH 100000000ul // VTIME's unit in nanoseconds

void tty_init(struct tty *t, u8 *out, u32 out_size)
{
    waitq_init(&t->rd), waitq_init(&t->wr), waitq_init(&t->master_rd), waitq_init(&t->master_wr);
    t->out = out;
    t->out_size = out_size;
    ntty_reset(t);
}

void tty_drop(struct tty *t)
{
    u32 sigs = t->sigs, pgid = t->pgid;
    t->sigs = 0;
    lock_drop(&t->lock);
    for (; sigs && pgid; sigs &= sigs - 1)
        signal_group(pgid, __builtin_ctz(sigs), NULL);
}

static bool dead(struct tty *t, struct file *f) { return f->pos != t->hangups; }

// ---- reading
struct pace { // when a read is content: VMIN and VTIME, termios(3)
    u32 min;
    u64 gap, deadline; // deadline 0: none; 1: now
};

static struct pace pace_of(struct tty *t)
{
    struct pace p = {.min = 1};
    if (t->t.lflag & ICANON)
        return p;
    u64 time = t->t.cc[VTIME] * TENTH;
    if (t->t.cc[VMIN]) {
        p.min = t->t.cc[VMIN];
        p.gap = time;
    } else {
        p.deadline = time ? clock_mono_ns() + time : 1;
    }
    return p;
}

// Waits for something to read. 0: look again; 1: there will be nothing more for this read.
static s64 read_wait(struct tty *t, struct file *f, struct waiter *w, const struct pace *p)
{
    if (t->eof || dead(t, f))
        return 1;
    if (p->deadline == 1)
        return 1;
    if (f->flags & O_NONBLOCK)
        return -EAGAIN;
    if (!w->q) {
        waitq_add(&t->rd, w);
        return 0;
    }
    lock_drop(&t->lock);
    s64 r = thread_sleep(p->deadline, true);
    lock_take(&t->lock);
    if (ntty_available(t))
        return 0;
    return r == -EINTR ? -ERESTARTSYS : r == -ETIMEDOUT ? 1 : 0;
}

static s64 tty_read(struct file *f, u64 buf, u64 len, u64 *pos)
{
    struct tty *t = f->priv;
    struct waiter w = {.thread = thread_self()};
    u8 chunk[CHUNK];
    u64 done = 0;
    s64 r = 0;
    (void)pos;
    if (dead(t, f) || !len)
        return 0;
    r = terminal_check(t, TTY_SIGTTIN);
    if (r)
        return r;
    lock_take(&t->lock);
    struct pace p = pace_of(t);
    while (done < len) {
        if (!ntty_available(t)) {
            r = read_wait(t, f, &w, &p);
            if (r)
                break;
            continue;
        }
        bool end = false;
        u32 n = ntty_take(t, chunk, MIN(len - done, CHUNK), &end);
        t->more(t);
        r = copy_out(buf + done, chunk, n);
        if (r)
            break;
        done += n;
        if (end || (!(t->t.lflag & ICANON) && done >= p.min && !ntty_available(t)))
            break;
        if (t->t.lflag & ICANON && !ntty_available(t))
            break;
        if (p.gap)
            p.deadline = clock_mono_ns() + p.gap;
    }
    waitq_del(&w);
    tty_drop(t);
    return done ? (s64)done : r < 0 ? r : 0;
}

// ---- writing
// Sleeps until `wr` is woken. 0 or -ERESTARTSYS.
static s64 write_wait(struct tty *t, struct waiter *w)
{
    if (!w->q) {
        waitq_add(&t->wr, w);
        return 0;
    }
    lock_drop(&t->lock);
    s64 r = thread_sleep(0, true);
    lock_take(&t->lock);
    return r ? -ERESTARTSYS : 0;
}

// One write at a time goes out as a whole.
static s64 write_begin(struct tty *t, struct file *f, struct waiter *w)
{
    s64 r = 0;
    while (t->writing && !r && !dead(t, f))
        r = f->flags & O_NONBLOCK ? -EAGAIN : write_wait(t, w);
    if (!r && dead(t, f))
        r = -EIO;
    if (!r)
        t->writing = true;
    return r;
}

static s64 write_chunk(struct tty *t, struct file *f, const u8 *p, u32 n, struct waiter *w, u64 *done)
{
    for (u32 k = 0; k < n;) {
        if (dead(t, f))
            return -EIO;
        if (ntty_out(t, p[k])) {
            k++, ++*done;
            continue;
        }
        t->flush(t);
        if (ntty_out(t, p[k])) {
            k++, ++*done;
            continue;
        }
        if (f->flags & O_NONBLOCK)
            return -EAGAIN;
        s64 r = write_wait(t, w);
        if (r)
            return r;
    }
    return 0;
}

static s64 tty_write(struct file *f, u64 buf, u64 len, u64 *pos)
{
    struct tty *t = f->priv;
    struct waiter w = {.thread = thread_self()};
    u8 chunk[CHUNK];
    u64 done = 0;
    (void)pos;
    if (dead(t, f))
        return -EIO;
    s64 r = t->t.lflag & TOSTOP ? terminal_check(t, TTY_SIGTTOU) : 0;
    if (r)
        return r;
    lock_take(&t->lock);
    r = write_begin(t, f, &w);
    bool mine = !r;
    while (!r && done < len) {
        u32 n = MIN(len - done, CHUNK);
        lock_drop(&t->lock);
        r = copy_in(chunk, buf + done, n);
        lock_take(&t->lock);
        if (!r)
            r = write_chunk(t, f, chunk, n, &w, &done);
    }
    if (mine) {
        t->flush(t);
        t->writing = false;
        waitq_wake(&t->wr, 1 << 30, POLLOUT);
    }
    waitq_del(&w);
    tty_drop(t);
    return done ? (s64)done : r;
}

static u32 tty_poll(struct file *f, struct waiter *w)
{
    struct tty *t = f->priv;
    if (w) {
        waitq_add(&t->rd, &w[0]);
        waitq_add(&t->wr, &w[1]);
    }
    if (dead(t, f))
        return POLLIN | POLLOUT | POLLERR | POLLHUP;
    lock_take(&t->lock);
    u32 want = t->t.lflag & ICANON || t->t.cc[VTIME] || !t->t.cc[VMIN] ? 1 : t->t.cc[VMIN];
    u32 events = ntty_available(t) >= want ? POLLIN : 0;
    events |= t->eof ? POLLIN | POLLHUP : 0;
    events |= !t->stopped && t->out_size - tty_out_bytes(t) > 2 * TTY_ECHO ? POLLOUT : 0;
    lock_drop(&t->lock);
    return events;
}

// ---- settings
enum { TCGETS = 0x5401, TCSETS, TCSETSW, TCSETSF, TCGETA, TCSETA, TCSETAW, TCSETAF, TCSBRK, TCXONC, TCFLSH, TIOCEXCL,
       TIOCNXCL, TIOCOUTQ = 0x5411, TIOCSTI, TIOCGWINSZ, TIOCSWINSZ, FIONREAD = 0x541b, TIOCCONS = 0x541d,
       TIOCPKT = 0x5420, TIOCSETD = 0x5423, TIOCGETD, TCSBRKP, TIOCSBRK = 0x5427, TIOCCBRK, TCGETS2 = 0x802c542a,
       TCSETS2 = 0x402c542b, TCSETSW2, TCSETSF2, TIOCGDEV = 0x80045432, TIOCVHANGUP = 0x5437,
       TIOCGEXCL = 0x80045440 };
enum { TERMIOS1 = 36, TERMIOS2 = 44 };

static void speeds_set(struct termios_native *t)
{
    static const u32 speed[] = {0, 50, 75, 110, 134, 150, 200, 300, 600, 1200, 1800, 2400, 4800, 9600, 19200, 38400,
                                0, 57600, 115200, 230400, 460800, 500000, 576000, 921600, 1000000, 1152000, 1500000,
                                2000000, 2500000, 3000000, 3500000, 4000000};
    u32 out = t->cflag & CBAUD, in = t->cflag >> CIBAUD_SHIFT & CBAUD;
    if (out != BOTHER)
        t->ospeed = speed[(out & 15) + (out & BOTHER ? 16 : 0)];
    if (in != BOTHER)
        t->ispeed = in ? speed[(in & 15) + (in & BOTHER ? 16 : 0)] : t->ospeed;
}

// Waits until all output has been taken. A pty's is with the master already.
static s64 drain(struct tty *t)
{
    lock_take(&t->lock);
    s64 r = t->pty ? 0 : waitq_until(&t->wr, &t->lock, (t->flush(t), !tty_out_bytes(t)), 0, true);
    lock_drop(&t->lock);
    return r ? -ERESTARTSYS : 0;
}

static s64 settings_set(struct tty *t, u64 arg, u32 size, int when)
{
    struct termios_native fresh;
    s64 r = terminal_check(t, TTY_SIGTTOU);
    if (r)
        return r;
    fresh = t->t;
    if (copy_in(&fresh, arg, size))
        return -EFAULT;
    if (size == TERMIOS1 || (fresh.cflag & CBAUD) != BOTHER)
        speeds_set(&fresh);
    if (when && (r = drain(t)))
        return r;
    lock_take(&t->lock);
    if (when > 1)
        ntty_flush_in(t);
    struct termios_native old = t->t;
    t->t = fresh;
    t->t.cflag = (fresh.cflag & ~(CSIZE | PARENB)) | CS8 | CREAD;
    ntty_changed(t, &old);
    tty_drop(t);
    return 0;
}

static s64 settings_get(struct tty *t, u64 arg, u32 size)
{
    lock_take(&t->lock);
    struct termios_native now = t->t;
    lock_drop(&t->lock);
    return copy_out(arg, &now, size);
}

// struct termio, System V's: the low halves of the flags, eight characters.
struct termio_native {
    u16 flag[4];
    u8 line, cc[8];
};

static s64 termio_get(struct tty *t, u64 arg)
{
    struct termio_native o = {{t->t.iflag, t->t.oflag, t->t.cflag, t->t.lflag}, t->t.line, {0}};
    memcpy(o.cc, t->t.cc, sizeof o.cc);
    return copy_out(arg, &o, sizeof o);
}

void tty_resize(struct tty *t, const struct winsize_native *ws)
{
    lock_take(&t->lock);
    if (memcmp(ws, &t->ws, sizeof *ws))
        t->sigs |= 1u << TTY_SIGWINCH;
    t->ws = *ws;
    tty_drop(t);
}

static s64 flush(struct tty *t, u64 which, bool master)
{
    s64 r = terminal_check(t, TTY_SIGTTOU);
    if (r)
        return r;
    if (which > 2)
        return -EINVAL;
    bool in = which != 1, out = which;
    if (master) { // what the master writes is the program's input
        bool swap = in;
        in = out, out = swap;
    }
    lock_take(&t->lock);
    if (in) {
        ntty_flush_in(t);
        t->more(t);
    }
    if (out) {
        t->out_tail = t->out_head;
        waitq_wake(&t->wr, 1 << 30, POLLOUT);
    }
    tty_drop(t);
    return 0;
}

static s64 flow(struct tty *t, u64 action)
{
    s64 r = terminal_check(t, TTY_SIGTTOU);
    if (r)
        return r;
    lock_take(&t->lock);
    if (action == 0) {
        t->flow_stopped = true;
        tty_stop(t);
    } else if (action == 1) {
        t->flow_stopped = false;
        tty_start(t);
    } else if (action > 3) { // TCIOFF and TCION send characters down a line that is not there
        r = -EINVAL;
    }
    tty_drop(t);
    return r;
}

static s64 send_break(struct tty *t, bool wait)
{
    s64 r = terminal_check(t, TTY_SIGTTOU);
    return r || !wait ? r : drain(t);
}

static s64 word_out(u64 to, s32 v) { return copy_out(to, &v, sizeof v); }

s64 tty_ioctl_common(struct tty *t, struct file *f, u32 cmd, u64 arg, bool master)
{
    struct winsize_native ws;
    switch (cmd) {
    case TCGETS: return settings_get(t, arg, TERMIOS1);
    case TCGETS2: return settings_get(t, arg, TERMIOS2);
    case TCSETS: case TCSETSW: case TCSETSF: return settings_set(t, arg, TERMIOS1, cmd - TCSETS);
    case TCSETS2: case TCSETSW2: case TCSETSF2: return settings_set(t, arg, TERMIOS2, cmd - TCSETS2);
    case TCGETA: return termio_get(t, arg);
    case TIOCGWINSZ:
        ws = t->ws;
        return copy_out(arg, &ws, sizeof ws);
    case TIOCSWINSZ:
        if (copy_in(&ws, arg, sizeof ws))
            return -EFAULT;
        tty_resize(t, &ws);
        return 0;
    case TCFLSH: return flush(t, arg, master);
    case TCXONC: return flow(t, arg);
    case TCSBRK: return send_break(t, arg);
    case TCSBRKP: return send_break(t, false);
    case TIOCSBRK: case TIOCCBRK: return terminal_check(t, TTY_SIGTTOU);
    case TIOCOUTQ: return word_out(arg, master ? ntty_available(t) : tty_out_bytes(t));
    case TIOCSTI: return -EIO; // as Linux since 6.2
    case TIOCGETD: return word_out(arg, 0);
    case TIOCSETD: {
        s32 line;
        return copy_in(&line, arg, sizeof line) ? -EFAULT : line ? -EINVAL : 0;
    }
    case TIOCEXCL: case TIOCNXCL:
        t->exclusive = cmd == TIOCEXCL;
        return 0;
    case TIOCGEXCL: return word_out(arg, t->exclusive);
    case TIOCGDEV: return word_out(arg, t->dev);
    case TIOCVHANGUP:
        if (!capable())
            return -EPERM;
        tty_hangup(t);
        return 0;
    case TIOCCONS: return capable() ? 0 : -EPERM;
    case TIOCSCTTY: case TIOCGPGRP: case TIOCSPGRP: case TIOCNOTTY: case TIOCGSID:
        return terminal_ioctl(t, f, cmd, arg, master);
    default: return -ENOTTY;
    }
}

static s64 tty_ioctl(struct file *f, u64 cmd, u64 arg)
{
    struct tty *t = f->priv;
    if (dead(t, f))
        return -EIO;
    if (cmd == FIONREAD)
        return word_out(arg, ntty_available(t));
    return tty_ioctl_common(t, f, cmd, arg, false);
}

// ---- open, close, hang-up
static void tty_release(struct file *f)
{
    struct tty *t = f->priv;
    lock_take(&t->lock);
    if (!--t->opens && t->pty)
        pty_slave_closed(t);
    else
        lock_drop(&t->lock);
}

static const struct file_ops tty_ops = {
    .read = tty_read, .write = tty_write, .poll = tty_poll, .ioctl = tty_ioctl, .release = tty_release,
};

struct tty *tty_of(struct file *f)
{
    return f && f->ops == &tty_ops ? f->priv : NULL;
}

s64 tty_open(struct tty *t, struct file *f)
{
    lock_take(&t->lock);
    if (t->pty && !t->master) {
        lock_drop(&t->lock);
        return -EIO;
    }
    if (t->exclusive && t->opens && !capable()) {
        lock_drop(&t->lock);
        return -EBUSY;
    }
    t->opens++;
    t->slave_left = false;
    f->ops = &tty_ops;
    f->priv = t;
    f->pos = t->hangups;
    lock_drop(&t->lock);
    if (!(f->flags & O_NOCTTY))
        terminal_take(t, f);
    return 0;
}

void tty_hangup(struct tty *t)
{
    terminal_lost(t);
    lock_take(&t->lock);
    t->hangups++;
    t->out_tail = t->out_head;
    t->stopped = t->flow_stopped = false;
    ntty_flush_in(t);
    waitq_wake(&t->rd, 1 << 30, POLLIN | POLLHUP);
    waitq_wake(&t->wr, 1 << 30, POLLOUT | POLLHUP);
    waitq_wake(&t->master_rd, 1 << 30, POLLHUP);
    lock_drop(&t->lock);
}

static struct tty *own_terminal(void)
{
    return terminal_of(proc_self());
}

enum { TTY_DEV = 5, PTS_DEV = 136 };
s64 terminal_open(u64 rdev, struct file *f)
{
    struct tty *t = NULL;
    if (rdev == MKDEV(TTY_DEV, 2))
        return ptmx_open(f);
    if (MAJOR(rdev) == PTS_DEV)
        return pts_open(MINOR(rdev), f);
    if (rdev == MKDEV(TTY_DEV, 0))
        t = own_terminal();
    else if (rdev == MKDEV(TTY_DEV, 1))
        t = console_tty();
    return t ? tty_open(t, f) : -ENXIO;
}
