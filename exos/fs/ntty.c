// The N_TTY line discipline: editing, echo, signals, and the processing of output (termios(3)).
#include "fs/tty.h"

#define IN(pos) t->in[(pos) % TTY_IN]
static bool control(u8 c) { return c < 32 || c == 127; }
static bool continuation(struct tty *t, u8 c) { return t->t.iflag & IUTF8 && (c & 0xc0) == 0x80; }
static bool marked(struct tty *t, u32 pos) { return t->mark[pos % TTY_IN / 64] >> pos % 64 & 1; }
static void mark_set(struct tty *t, u32 pos) { t->mark[pos % TTY_IN / 64] |= 1ul << pos % 64; }
static void mark_clear(struct tty *t, u32 pos) { t->mark[pos % TTY_IN / 64] &= ~(1ul << pos % 64); }

static bool is(struct tty *t, int which, u8 c) { return c && t->t.cc[which] == c; }

// ---- output
static u32 out_room(struct tty *t) { return t->out_size - tty_out_bytes(t); }

static void put(struct tty *t, u8 c)
{
    if (out_room(t))
        t->out[t->out_head++ % t->out_size] = c;
}

// One byte through OPOST. The caller has seen to room for eight.
static void process(struct tty *t, u8 c)
{
    u32 o = t->t.oflag;
    switch (c) {
    case '\n':
        if (o & ONLRET)
            t->column = 0;
        if (o & ONLCR) {
            t->column = 0;
            put(t, '\r');
        }
        break;
    case '\r':
        if (o & ONOCR && !t->column)
            return;
        if (o & OCRNL) {
            c = '\n';
            if (o & ONLRET)
                t->column = 0;
            break;
        }
        t->column = 0;
        break;
    case '\t':
        for (u32 n = 8 - (t->column & 7); n; n--) {
            t->column++;
            if ((o & XTABS) == XTABS)
                put(t, ' ');
        }
        if ((o & XTABS) == XTABS)
            return;
        break;
    case '\b':
        if (t->column)
            t->column--;
        break;
    default:
        if (control(c))
            break;
        if (o & OLCUC && c >= 'a' && c <= 'z')
            c -= 'a' - 'A';
        if (!continuation(t, c))
            t->column++;
    }
    put(t, c);
}

bool ntty_out(struct tty *t, u8 c)
{
    if (t->stopped || out_room(t) < TTY_ECHO + 8)
        return false;
    if (t->t.oflag & OPOST)
        process(t, c);
    else
        put(t, c);
    return true;
}

// ---- echo: what does not fit is lost, as on a line that is too slow
static void echo_raw(struct tty *t, u8 c)
{
    if (out_room(t) < 8)
        return;
    if (t->t.oflag & OPOST)
        process(t, c);
    else
        put(t, c);
}

static void echo_text(struct tty *t, const char *s)
{
    while (*s)
        echo_raw(t, *s++);
}

static void echo_char(struct tty *t, u8 c)
{
    if (t->t.lflag & ECHOCTL && control(c) && c != '\t') {
        echo_raw(t, '^');
        c ^= 0100;
    }
    echo_raw(t, c);
}

static void erasing_end(struct tty *t)
{
    if (t->erasing)
        echo_raw(t, '/');
    t->erasing = false;
}

// ---- editing
// A tab's width on the screen: from the column where what precedes it ends.
static u32 tab_width(struct tty *t, u32 at)
{
    u32 n = 0;
    bool tab = false;
    for (u32 pos = at; pos != t->canon && !tab; pos--) {
        u8 c = IN(pos - 1);
        if (c == '\t')
            tab = true;
        else if (control(c))
            n += t->t.lflag & ECHOCTL ? 2 : 0;
        else if (!continuation(t, c))
            n++;
    }
    if (!tab)
        n += t->canon_column;
    return 8 - (n & 7);
}

// The last character has gone from the line [.., t->head); it stood at head, `bytes` long, first byte c.
static void erase_echo(struct tty *t, u8 c, u32 bytes, bool by_erase)
{
    u32 l = t->t.lflag;
    if (l & ECHOPRT) {
        if (!t->erasing)
            echo_raw(t, '\\');
        t->erasing = true;
        echo_char(t, c);
        for (u32 n = 1; n < bytes; n++)
            echo_raw(t, IN(t->head + n));
    } else if (by_erase && !(l & ECHOE)) {
        echo_char(t, t->t.cc[VERASE]);
    } else if (c == '\t') {
        for (u32 n = tab_width(t, t->head); n; n--)
            echo_raw(t, '\b');
    } else {
        if (control(c) && l & ECHOCTL)
            echo_text(t, "\b \b");
        if (!control(c) || l & ECHOCTL)
            echo_text(t, "\b \b");
    }
}

static bool word_char(u8 c)
{
    return c == '_' || (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c >= 0x80;
}

static void erase(struct tty *t, u8 key)
{
    u32 l = t->t.lflag;
    bool kill = is(t, VKILL, key), word = !kill && is(t, VWERASE, key) && !is(t, VERASE, key);
    bool seen = false;
    if (t->head == t->canon)
        return;
    if (kill && !(l & ECHO)) {
        t->head = t->canon;
        return;
    }
    if (kill && !((l & ECHOK) && (l & ECHOKE) && (l & ECHOE))) {
        t->head = t->canon;
        erasing_end(t);
        echo_char(t, key);
        if (l & ECHOK) // the line was not wiped: go on below it
            echo_raw(t, '\n');
        return;
    }
    while (t->head != t->canon) {
        u32 at = t->head;
        do
            at--;
        while (continuation(t, IN(at)) && at != t->canon);
        u8 c = IN(at);
        if (continuation(t, c)) // not a whole character
            break;
        if (word && word_char(c))
            seen = true;
        else if (word && seen)
            break;
        u32 bytes = t->head - at;
        t->head = at;
        if (l & ECHO)
            erase_echo(t, c, bytes, !kill && !word);
        if (!kill && !word)
            break;
    }
    if (t->head == t->canon && l & ECHO)
        erasing_end(t);
}

static void in_put(struct tty *t, u8 c)
{
    if (t->head - t->tail < TTY_IN)
        IN(t->head++) = c;
}

// Into the line, 0377 doubled where it would look like a mark.
static void in_char(struct tty *t, u8 c)
{
    if (c == 0xff && t->t.iflag & PARMRK)
        in_put(t, c);
    in_put(t, c);
}

static void echo_input(struct tty *t, u8 c)
{
    erasing_end(t);
    if (t->head == t->canon)
        t->canon_column = t->column;
    echo_char(t, c);
}

static void line_end(struct tty *t, u8 c)
{
    if (t->head - t->tail == TTY_IN)
        t->head--;
    mark_set(t, t->head);
    IN(t->head++) = c;
    t->canon = t->head;
    waitq_wake(&t->rd, 1 << 30, POLLIN);
}

static void reprint(struct tty *t, u8 c)
{
    erasing_end(t);
    echo_char(t, c);
    echo_raw(t, '\n');
    for (u32 pos = t->canon; pos != t->head; pos++)
        echo_char(t, IN(pos));
}

// Canonical mode: true if c was a command, or ended the line.
static bool edit(struct tty *t, u8 c)
{
    u32 l = t->t.lflag;
    if (is(t, VERASE, c) || is(t, VKILL, c) || (l & IEXTEN && is(t, VWERASE, c))) {
        erase(t, c);
        return true;
    }
    if (l & IEXTEN && is(t, VLNEXT, c)) {
        t->lnext = true;
        if (l & ECHO) {
            erasing_end(t);
            if (l & ECHOCTL)
                echo_text(t, "^\b");
        }
        return true;
    }
    if (l & ECHO && l & IEXTEN && is(t, VREPRINT, c)) {
        reprint(t, c);
        return true;
    }
    if (c == '\n') {
        if (l & (ECHO | ECHONL))
            echo_raw(t, '\n');
        line_end(t, c);
        return true;
    }
    if (is(t, VEOF, c)) {
        line_end(t, 0);
        return true;
    }
    if (is(t, VEOL, c) || (l & IEXTEN && is(t, VEOL2, c))) {
        if (l & ECHO)
            echo_input(t, c);
        if (c == 0xff && t->t.iflag & PARMRK)
            in_put(t, c);
        line_end(t, c);
        return true;
    }
    return false;
}

// ---- flow and signals
static void packet(struct tty *t, u8 set, u8 clear)
{
    if (!t->packet)
        return;
    t->pktstatus = (t->pktstatus & ~clear) | set;
    waitq_wake(&t->master_rd, 1 << 30, POLLIN | POLLPRI);
}

void tty_start(struct tty *t)
{
    if (!t->stopped || t->flow_stopped)
        return;
    t->stopped = false;
    packet(t, TIOCPKT_START, TIOCPKT_STOP);
    t->flush(t);
    waitq_wake(&t->wr, 1 << 30, POLLOUT);
}

void tty_stop(struct tty *t)
{
    if (t->stopped)
        return;
    t->stopped = true;
    packet(t, TIOCPKT_STOP, TIOCPKT_START);
}

void ntty_flush_in(struct tty *t)
{
    t->head = t->tail = t->canon = 0;
    t->erasing = t->lnext = t->pushed = false;
    memset(t->mark, 0, sizeof t->mark);
    packet(t, TIOCPKT_FLUSHREAD, 0);
    waitq_wake(&t->master_wr, 1 << 30, POLLOUT);
}

static int signal_char(struct tty *t, u8 c)
{
    return is(t, VINTR, c) ? TTY_SIGINT : is(t, VQUIT, c) ? TTY_SIGQUIT : is(t, VSUSP, c) ? TTY_SIGTSTP : 0;
}

static void signal_typed(struct tty *t, int sig, u8 c)
{
    t->sigs |= 1u << sig;
    if (!(t->t.lflag & NOFLSH)) {
        t->out_tail = t->out_head;
        packet(t, TIOCPKT_FLUSHWRITE, 0);
        waitq_wake(&t->wr, 1 << 30, POLLOUT);
        ntty_flush_in(t);
    }
    if (t->t.iflag & IXON)
        tty_start(t);
    if (t->t.lflag & ECHO)
        echo_char(t, c);
}

static void receive(struct tty *t, u8 c)
{
    u32 i = t->t.iflag, l = t->t.lflag;
    if (i & ISTRIP)
        c &= 0x7f;
    if (i & IUCLC && l & IEXTEN && c >= 'A' && c <= 'Z')
        c += 'a' - 'A';
    if (t->lnext) {
        t->lnext = false;
        if (l & ECHO)
            echo_input(t, c);
        in_char(t, c);
        return;
    }
    int sig = l & ISIG ? signal_char(t, c) : 0;
    if (i & IXON && is(t, VSTART, c)) {
        tty_start(t);
        return;
    }
    if (i & IXON && is(t, VSTOP, c)) {
        tty_stop(t);
        return;
    }
    if (t->stopped && i & IXON && i & IXANY && !sig)
        tty_start(t);
    if (sig) {
        signal_typed(t, sig, c);
        return;
    }
    if (c == '\r' && i & IGNCR)
        return;
    if (c == '\r' && i & ICRNL)
        c = '\n';
    else if (c == '\n' && i & INLCR)
        c = '\r';
    if (l & ICANON && edit(t, c))
        return;
    if (l & ECHO && c == '\n')
        echo_raw(t, c);
    else if (l & ECHO)
        echo_input(t, c);
    in_char(t, c);
}

u32 ntty_room(struct tty *t)
{
    u32 room = TTY_IN - 1 - MIN(t->head - t->tail, TTY_IN - 1);
    if (t->t.iflag & PARMRK)
        room /= 2;
    // A line that is too long goes on taking bytes, else its end could never come.
    return room ? room : t->t.lflag & ICANON && t->canon == t->tail;
}

void ntty_receive(struct tty *t, const u8 *p, u32 n)
{
    for (u32 k = 0; k < n; k++) {
        if (t->head - t->tail == TTY_IN && t->t.lflag & ICANON && t->head != t->canon)
            t->head--;
        receive(t, p[k]);
    }
    t->flush(t);
    if (!(t->t.lflag & ICANON) && t->head != t->tail)
        waitq_wake(&t->rd, 1 << 30, POLLIN);
}

// ---- reading
u32 ntty_available(struct tty *t)
{
    return (t->t.lflag & ICANON && !(t->t.lflag & EXTPROC) ? t->canon : t->head) - t->tail;
}

static u32 take_line(struct tty *t, u8 *to, u32 n, bool *end)
{
    u32 got = 0;
    while (t->tail != t->canon && !*end) {
        u8 c = IN(t->tail);
        bool last = marked(t, t->tail), eof = last && !c && !t->pushed;
        if (got == n && !eof)
            break;
        mark_clear(t, t->tail++);
        *end = last;
        if (!eof)
            to[got++] = c;
        if (last)
            t->pushed = false;
    }
    return got;
}

// Up to n bytes; canonical: of one line, *end if that was its end.
u32 ntty_take(struct tty *t, u8 *to, u32 n, bool *end)
{
    if (t->t.lflag & ICANON)
        return take_line(t, to, n, end);
    u32 got = MIN(n, t->head - t->tail);
    for (u32 k = 0; k < got; k++)
        to[k] = IN(t->tail + k);
    t->tail += got;
    return got;
}

// New settings: bytes that were typed under the old ones stay readable.
void ntty_changed(struct tty *t, const struct termios_native *old)
{
    u32 diff = t->t.lflag ^ old->lflag;
    if (diff & ICANON) {
        memset(t->mark, 0, sizeof t->mark);
        t->canon = t->t.lflag & ICANON ? t->head : t->tail;
        t->pushed = false;
        if (t->t.lflag & ICANON && t->head != t->tail) {
            mark_set(t, t->head - 1);
            t->pushed = true;
        }
        t->lnext = false;
    }
    if (!(t->t.iflag & IXON) && old->iflag & IXON)
        tty_start(t);
    bool was = old->iflag & IXON && old->cc[VSTOP] == 023 && old->cc[VSTART] == 021;
    bool now = t->t.iflag & IXON && t->t.cc[VSTOP] == 023 && t->t.cc[VSTART] == 021;
    if (was != now)
        packet(t, now ? TIOCPKT_DOSTOP : TIOCPKT_NOSTOP, now ? TIOCPKT_NOSTOP : TIOCPKT_DOSTOP);
    if (t->t.lflag & EXTPROC)
        packet(t, TIOCPKT_IOCTL, 0);
    waitq_wake(&t->rd, 1 << 30, POLLIN);
}

void ntty_reset(struct tty *t)
{
    static const u8 cc[NCCS] = {3, 28, 127, 21, 4, 0, 1, 0, 17, 19, 26, 0, 18, 15, 23, 22};
    t->t = (struct termios_native){.iflag = ICRNL | IXON, .oflag = OPOST | ONLCR, .cflag = B38400 | CS8 | CREAD,
                                   .lflag = ISIG | ICANON | ECHO | ECHOE | ECHOK | ECHOCTL | ECHOKE | IEXTEN,
                                   .ispeed = 38400, .ospeed = 38400};
    memcpy(t->t.cc, cc, sizeof cc);
    t->column = t->canon_column = 0;
    ntty_flush_in(t);
}
