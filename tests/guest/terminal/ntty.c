// What a pseudo-terminal does, told on standard output: the same program must say the same on Linux and on
// Xok. On Linux a read or poll that finds nothing lets the kernel process what the other end has written;
// no waiting is needed then.
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

static int master, slave;
static struct termios plain;

static const char *error(void)
{
    switch (errno) {
    case EAGAIN: return "EAGAIN";
    case EIO: return "EIO";
    case EINTR: return "EINTR";
    case ENOTTY: return "ENOTTY";
    case EPERM: return "EPERM";
    case EINVAL: return "EINVAL";
    case ENXIO: return "ENXIO";
    case ENOENT: return "ENOENT";
    case ESRCH: return "ESRCH";
    case EFAULT: return "EFAULT";
    default: return strerror(errno);
    }
}

static void show(const char *what, const char *p, ssize_t n)
{
    printf("  %s", what);
    if (n < 0) {
        printf(" %s\n", error());
        return;
    }
    printf(" %zd '", n);
    ssize_t shown = n > 300 ? 300 : n;
    for (ssize_t k = 0; k < shown; k++)
        if (p[k] >= 32 && p[k] < 127 && p[k] != '\\')
            putchar(p[k]);
        else
            printf("\\%03o", (unsigned char)p[k]);
    unsigned sum = 0;
    for (ssize_t k = 0; k < n; k++)
        sum = sum * 31 + (unsigned char)p[k];
    printf(shown < n ? "'... %u\n" : "'\n", sum);
}

static void read_all(const char *what, int fd)
{
    char buf[8192];
    for (int k = 0; k < 8; k++) {
        ssize_t n = read(fd, buf, sizeof buf);
        if (n < 0 && errno == EAGAIN)
            return;
        show(what, buf, n);
        if (n < 0)
            return;
    }
}

static void open_pair(void)
{
    int zero = 0;
    unsigned n;
    master = open("/dev/ptmx", O_RDWR | O_NOCTTY | O_NONBLOCK);
    ioctl(master, TIOCSPTLCK, &zero);
    ioctl(master, TIOCGPTN, &n);
    char name[40];
    snprintf(name, sizeof name, "/dev/pts/%u", n);
    slave = open(name, O_RDWR | O_NOCTTY | O_NONBLOCK);
    if (slave < 0)
        printf("open slave %s\n", error());
    tcgetattr(slave, &plain);
}

static void close_pair(void)
{
    close(slave);
    close(master);
}

struct kase {
    const char *name;
    unsigned i_set, i_clear, o_set, o_clear, l_set, l_clear;
    const char *typed;
    const char *written; // by the program, after
};
static const struct kase kases[] = {
    {"line", .typed = "hello\r"},
    {"two lines", .typed = "one\rtwo\r"},
    {"unfinished", .typed = "abc"},
    {"erase", .typed = "abc\177\177x\r"},
    {"erase at the start", .typed = "\177\177a\r"},
    {"kill", .typed = "abcdef\025xy\r"},
    {"kill without ECHOKE", .l_clear = ECHOKE, .typed = "abcdef\025xy\r"},
    {"kill without ECHOK", .l_clear = ECHOKE | ECHOK, .typed = "abcdef\025xy\r"},
    {"erase without ECHOE", .l_clear = ECHOE, .typed = "abc\177\177x\r"},
    {"ECHOPRT", .l_set = ECHOPRT, .typed = "abc\177\177xy\177\r"},
    {"ECHOPRT to the start", .l_set = ECHOPRT, .typed = "ab\177\177\r"},
    {"word erase", .typed = "one two_3  \027x\r"},
    {"word erase twice", .typed = "one two, three\027\027x\r"},
    {"control echo", .typed = "a\001b\033[A\r"},
    {"control erase", .typed = "a\001\177b\r"},
    {"no ECHOCTL", .l_clear = ECHOCTL, .typed = "a\001\177b\r"},
    {"tab erase", .typed = "ab\tc\177\177d\r"},
    {"tab after tab", .typed = "a\tbc\t\177\177x\r"},
    {"lnext", .typed = "a\026\003b\026\177\r"},
    {"reprint", .typed = "abc\022d\r"},
    {"eof", .typed = "\004"},
    {"eof after text", .typed = "abc\004def\r"},
    {"eof twice", .typed = "abc\004\004"},
    {"no echo", .l_clear = ECHO, .typed = "secret\177\025x\r"},
    {"no echo but newline", .l_clear = ECHO, .l_set = ECHONL, .typed = "secret\r"},
    {"raw", .l_clear = ICANON | ECHO | ISIG | IEXTEN, .i_clear = ICRNL | IXON, .o_clear = OPOST,
     .typed = "a\r\003\004\177\021\023", .written = "x\n\ty"},
    {"cbreak", .l_clear = ICANON, .typed = "ab\r\177\025"},
    {"no ICRNL", .i_clear = ICRNL, .typed = "ab\rcd\n"},
    {"INLCR", .i_set = INLCR, .i_clear = ICRNL, .typed = "ab\ncd\r\004"},
    {"IGNCR", .i_set = IGNCR, .typed = "a\rb\n"},
    {"ISTRIP", .i_set = ISTRIP, .typed = "\341\342\r"},
    {"IUCLC", .i_set = IUCLC, .typed = "AbC\r"},
    {"PARMRK", .i_set = PARMRK, .typed = "a\377b\r"},
    {"utf8 erase", .i_set = IUTF8, .typed = "a\303\251\177b\342\202\254\177\r"},
    {"latin erase", .typed = "a\303\251\177b\r"},
    {"stop and start", .typed = "a\023b\021c\r"},
    {"any starts", .i_set = IXANY, .typed = "a\023bc\r"},
    {"no IXON", .i_clear = IXON, .typed = "a\023b\021c\r"},
    {"out", .written = "one\ntwo\r\nthr\tee\n"},
    {"out raw", .o_clear = OPOST, .written = "one\ntwo\r\n"},
    {"no ONLCR", .o_clear = ONLCR, .written = "one\ntwo\n"},
    {"OCRNL", .o_set = OCRNL, .written = "one\rtwo\r\n"},
    {"ONOCR", .o_set = ONOCR, .written = "\rone\r\rtwo"},
    {"ONLRET", .o_set = ONLRET | ONOCR, .o_clear = ONLCR, .written = "one\n\rtwo\r"},
    {"OLCUC", .o_set = OLCUC, .written = "One two\n"},
    {"XTABS", .o_set = XTABS, .written = "a\tbcdefghi\tj\b\tk\n"},
    {"prompt and tabs", .written = "$ ", .typed = "a\t\177b\r"},
    {"nul", .typed = "a\026\004b\r"},
    {"interrupt flushes", .typed = "abc\003def\r"},
    {"NOFLSH", .l_set = NOFLSH, .typed = "abc\003def\r"},
    {"quit", .typed = "ab\034c\r"},
    {"suspend", .typed = "ab\032c\r"},
    {"no ISIG", .l_clear = ISIG, .typed = "ab\003\034\032c\r"},
    {"discard is nothing", .typed = "a\017b\r"},
};

static void run_kase(const struct kase *k)
{
    printf("%s\n", k->name);
    open_pair();
    struct termios t = plain;
    t.c_iflag = (t.c_iflag | k->i_set) & ~k->i_clear;
    t.c_oflag = (t.c_oflag | k->o_set) & ~k->o_clear;
    t.c_lflag = (t.c_lflag | k->l_set) & ~k->l_clear;
    tcsetattr(slave, TCSANOW, &t);
    if (k->written) {
        ssize_t n = write(slave, k->written, strlen(k->written));
        if (n < 0)
            printf("  write %s\n", error());
        read_all("out", master);
    }
    if (k->typed)
        write(master, k->typed, strlen(k->typed));
    read_all("in", slave);
    read_all("out", master);
    if (k->typed && !strcmp(k->name, "eof twice"))
        read_all("in", slave);
    close_pair();
}

static void type_and_show(const char *typed)
{
    write(master, typed, strlen(typed));
    read_all("in", slave);
    read_all("out", master);
}

static void poll_show(const char *what, int fd)
{
    struct pollfd p = {fd, POLLIN | POLLOUT | POLLPRI, 0};
    poll(&p, 1, 0);
    poll(&p, 1, 0);
    printf("  %s%s%s%s%s%s\n", what, p.revents & POLLIN ? " in" : "", p.revents & POLLOUT ? " out" : "",
           p.revents & POLLPRI ? " pri" : "", p.revents & POLLERR ? " err" : "", p.revents & POLLHUP ? " hup" : "");
}

static void word_show(const char *what, int fd, unsigned long cmd)
{
    int v = -1;
    if (ioctl(fd, cmd, &v) < 0)
        printf("  %s %s\n", what, error());
    else
        printf("  %s %d\n", what, v);
}

static void defaults(void)
{
    printf("defaults\n");
    open_pair();
    printf("  i %o o %o c %o l %o line %d\n  cc", plain.c_iflag, plain.c_oflag, plain.c_cflag, plain.c_lflag, plain.c_line);
    for (int k = 0; k < 19; k++)
        printf(" %d", plain.c_cc[k]);
    printf("\n  speeds %u %u\n", cfgetispeed(&plain), cfgetospeed(&plain));
    struct winsize ws = {1, 2, 3, 4};
    ioctl(slave, TIOCGWINSZ, &ws);
    printf("  size %u %u %u %u\n", ws.ws_row, ws.ws_col, ws.ws_xpixel, ws.ws_ypixel);
    ws = (struct winsize){5, 6, 7, 8};
    ioctl(master, TIOCSWINSZ, &ws);
    ws = (struct winsize){0};
    ioctl(slave, TIOCGWINSZ, &ws);
    printf("  size %u %u %u %u\n", ws.ws_row, ws.ws_col, ws.ws_xpixel, ws.ws_ypixel);
    struct stat st;
    fstat(slave, &st);
    printf("  slave %o %u:%u\n", st.st_mode & 0170000, (unsigned)(st.st_rdev >> 8), st.st_rdev & 0xff ? 1 : 0);
    fstat(master, &st);
    printf("  master %o %lx\n", st.st_mode & 0170000, (long)st.st_rdev);
    word_show("pgrp", slave, TIOCGPGRP);
    word_show("master pgrp", master, TIOCGPGRP);
    word_show("sid", slave, TIOCGSID);
    word_show("discipline", slave, TIOCGETD);
    word_show("exclusive", slave, TIOCGEXCL);
    word_show("locked", master, TIOCGPTLCK);
    word_show("packet", master, TIOCGPKT);
    word_show("slave has no number", slave, TIOCGPTN);
    word_show("modem", slave, TIOCMGET);
    int bad = 7;
    printf("  bad ioctl %d\n", ioctl(slave, 0x54ee, &bad) < 0 ? errno : 0);
    printf("  bad address %d\n", ioctl(slave, TCGETS, (void *)16) < 0 ? errno : 0);
    printf("  bad discipline %d\n", ioctl(slave, TIOCSETD, &bad) < 0);
    printf("  flush %d %d\n", tcflush(slave, TCIOFLUSH), tcflush(slave, 9) < 0 ? errno : 0);
    printf("  flow %d\n", tcflow(slave, 9) < 0 ? errno : 0);
    printf("  drain %d break %d\n", tcdrain(slave), tcsendbreak(slave, 0));
    printf("  seek %d\n", lseek(slave, 0, SEEK_SET) < 0 ? errno : 0);
    close_pair();
}

static void modes(void)
{
    printf("mode changes\n");
    open_pair();
    struct termios t = plain;
    poll_show("poll slave", slave);
    poll_show("poll master", master);
    write(master, "ab", 2);
    poll_show("half a line", slave);
    word_show("fionread", slave, FIONREAD);
    t.c_lflag &= ~ICANON;
    tcsetattr(slave, TCSANOW, &t);
    word_show("fionread raw", slave, FIONREAD);
    poll_show("raw", slave);
    tcsetattr(slave, TCSANOW, &plain);
    poll_show("canonical again", slave);
    type_and_show("cd\r");
    write(master, "xy\rz", 4);
    poll_show("a line", slave);
    word_show("fionread", slave, FIONREAD);
    word_show("master fionread", master, FIONREAD);
    tcflush(slave, TCIFLUSH);
    read_all("flushed", slave);
    read_all("out", master);
    write(master, "typed\r", 6);
    poll_show("typed", slave);
    tcsetattr(slave, TCSAFLUSH, &plain);
    read_all("flushed", slave);
    read_all("out", master);
    char c[3];
    write(master, "abcdefg\r", 8);
    poll_show("typed", slave);
    show("part", c, read(slave, c, 3));
    show("part", c, read(slave, c, 3));
    show("part", c, read(slave, c, 3));
    show("none", c, read(slave, c, 3));
    read_all("out", master);
    write(master, "abc\004", 4);
    poll_show("typed", slave);
    show("exactly", c, read(slave, c, 3));
    show("none", c, read(slave, c, 3));
    t.c_cc[VMIN] = 3;
    t.c_cc[VTIME] = 0;
    tcsetattr(slave, TCSANOW, &t);
    write(master, "12", 2);
    poll_show("two of three", slave);
    write(master, "3", 1);
    read_all("three", slave);
    t.c_cc[VMIN] = 0;
    tcsetattr(slave, TCSANOW, &t);
    show("VMIN 0", c, read(slave, c, 3));
    fcntl(slave, F_SETFL, O_RDWR);
    show("VMIN 0, blocking", c, read(slave, c, 3));
    t.c_cc[VTIME] = 1;
    tcsetattr(slave, TCSANOW, &t);
    show("VTIME 1", c, read(slave, c, 3));
    t.c_cc[VMIN] = 3;
    tcsetattr(slave, TCSANOW, &t);
    write(master, "ab", 2);
    show("VMIN 3 VTIME 1", c, read(slave, c, 3));
    close_pair();
}

static void long_lines(void)
{
    char buf[6000];
    printf("long lines\n");
    open_pair();
    struct termios t = plain;
    t.c_lflag &= ~ECHO;
    tcsetattr(slave, TCSANOW, &t);
    memset(buf, 'x', sizeof buf);
    for (int k = 0; k < 5000; k += 500)
        if (write(master, buf, 500) != 500)
            printf("  short\n");
    poll_show("too long", slave);
    write(master, "\r", 1);
    read_all("in", slave);
    close_pair();
}

static void flow(void)
{
    char c[100];
    printf("flow\n");
    open_pair();
    write(master, "\023", 1);
    poll_show("stopped", slave);
    show("write", "", write(slave, "abc", 3));
    read_all("out", master);
    write(master, "\021", 1);
    poll_show("started", slave);
    printf("  write %zd\n", write(slave, "abc", 3));
    read_all("out", master);
    tcflow(slave, TCOOFF);
    show("write", "", write(slave, "abc", 3));
    tcflow(slave, TCOON);
    printf("  write %zd\n", write(slave, "abc", 3));
    show("out", c, read(master, c, sizeof c));
    close_pair();
}

static void packets(void)
{
    int one = 1;
    printf("packet mode\n");
    open_pair();
    ioctl(master, TIOCPKT, &one);
    write(slave, "abc\n", 4);
    read_all("packet", master);
    write(master, "\023", 1);
    poll_show("slave", slave);
    poll_show("stopped", master);
    read_all("packet", master);
    write(master, "\021", 1);
    poll_show("slave", slave);
    read_all("packet", master);
    tcflush(slave, TCIFLUSH);
    read_all("flush", master);
    struct termios t = plain;
    t.c_iflag &= ~IXON;
    tcsetattr(slave, TCSANOW, &t);
    read_all("no stop", master);
    close_pair();
}

static void ends(void)
{
    char c[10], name[40];
    unsigned n;
    printf("ends\n");
    open_pair();
    ioctl(master, TIOCGPTN, &n);
    snprintf(name, sizeof name, "/dev/pts/%u", n);
    write(slave, "last", 4);
    close(slave);
    poll_show("master, slave gone", master);
    show("rest", c, read(master, c, sizeof c));
    show("end", c, read(master, c, sizeof c));
    poll_show("master", master);
    slave = open(name, O_RDWR | O_NOCTTY | O_NONBLOCK);
    printf("  again %d\n", slave >= 0);
    show("open again", c, read(master, c, sizeof c));
    write(master, "typed\r", 6);
    close(master);
    poll_show("slave, master gone", slave);
    show("read", c, read(slave, c, sizeof c));
    show("write", c, write(slave, "x", 1));
    printf("  ioctl %d\n", tcgetattr(slave, &plain) < 0 ? errno : 0);
    printf("  name %d\n", open(name, O_RDWR | O_NOCTTY) < 0 ? errno : 0);
    close(slave);
    master = open("/dev/ptmx", O_RDWR | O_NOCTTY);
    ioctl(master, TIOCGPTN, &n);
    snprintf(name, sizeof name, "/dev/pts/%u", n);
    printf("  locked %d\n", open(name, O_RDWR | O_NOCTTY) < 0 ? errno : 0);
    printf("  peer of a locked one %d\n", ioctl(master, 0x5441, O_RDWR | O_NOCTTY) < 0 ? errno : 0);
    int zero = 0;
    ioctl(master, TIOCSPTLCK, &zero);
    int peer = ioctl(master, 0x5441, O_RDWR | O_NOCTTY);
    printf("  peer %d tty %d\n", peer >= 0, isatty(peer));
    close(peer);
    close(master);
}

// ---- job control: a session of its own on the slave; messages come through a pipe
static int report[2];
static void tell(const char *format, ...) __attribute__((format(printf, 1, 2)));
static void tell(const char *format, ...)
{
    char line[200];
    __builtin_va_list args;
    __builtin_va_start(args, format);
    int n = vsnprintf(line, sizeof line, format, args);
    __builtin_va_end(args);
    write(report[1], line, n);
}

static volatile sig_atomic_t got;
static void on_signal(int sig) { got = sig; }

static pid_t background(int what)
{
    char c;
    struct termios t;
    pid_t pid = fork();
    if (pid)
        return setpgid(pid, pid), pid;
    setpgid(0, 0);
    if (what & 8)
        signal(SIGTTIN, SIG_IGN), signal(SIGTTOU, SIG_IGN);
    switch (what & 7) {
    case 0: _exit(read(0, &c, 1) < 0 ? errno : 100);
    case 1: _exit(write(0, "b", 1) < 0 ? errno : 100);
    case 2: tcgetattr(0, &t); _exit(tcsetattr(0, TCSANOW, &t) < 0 ? errno : 100);
    case 3: _exit(tcsetpgrp(0, getpgrp()) < 0 ? errno : 100);
    case 4: _exit(tcflush(0, TCIFLUSH) < 0 ? errno : 100);
    default: _exit(tcgetattr(0, &t) < 0 ? errno : 100);
    }
}

static void finish(const char *what, pid_t pid)
{
    int st;
    waitpid(pid, &st, WUNTRACED);
    if (WIFSTOPPED(st)) {
        tell("  %s stopped %d\n", what, WSTOPSIG(st));
        tcsetpgrp(0, pid);
        kill(pid, SIGKILL);
        waitpid(pid, &st, 0);
        signal(SIGTTOU, SIG_IGN);
        tcsetpgrp(0, getpgrp());
        signal(SIGTTOU, SIG_DFL);
        return;
    }
    tell("  %s exit %d\n", what, WIFEXITED(st) ? WEXITSTATUS(st) : 200 + WTERMSIG(st));
    signal(SIGTTOU, SIG_IGN);
    tcsetpgrp(0, getpgrp());
    signal(SIGTTOU, SIG_DFL);
}

static void leader(const char *name)
{
    struct termios t;
    close(master);
    setsid();
    tell("  before %d\n", open("/dev/tty", O_RDWR) < 0 ? errno : 0);
    int fd = open(name, O_RDWR);
    dup2(fd, 0);
    tell("  tty %d\n", open("/dev/tty", O_RDWR) >= 0);
    tell("  pgrp %d sid %d\n", tcgetpgrp(0) == getpgrp(), tcgetsid(0) == getpid());
    tell("  scctty again %d\n", ioctl(0, TIOCSCTTY, 0));
    finish("read", background(0));
    finish("write", background(1));
    finish("tcsetattr", background(2));
    finish("tcsetpgrp", background(3));
    finish("tcflush", background(4));
    finish("tcgetattr", background(5));
    finish("read ignored", background(8));
    finish("tcsetattr ignored", background(10));
    finish("tcsetpgrp ignored", background(11));
    tcgetattr(0, &t);
    t.c_lflag |= TOSTOP;
    tcsetattr(0, TCSANOW, &t);
    finish("write TOSTOP", background(1));
    finish("write TOSTOP ignored", background(9));
    tell("  bad group %d\n", tcsetpgrp(0, 30000) < 0 ? errno : 0);
    tell("  init's group %d\n", tcsetpgrp(0, 1) < 0 ? errno : 0);
    // signals to the foreground
    signal(SIGINT, on_signal), signal(SIGWINCH, on_signal), signal(SIGTSTP, on_signal), signal(SIGQUIT, on_signal);
    for (int k = 0; k < 4; k++) {
        static const char *const ask[] = {"int", "quit", "tstp", "winch"};
        got = 0;
        tell("ask %s\n", ask[k]);
        while (!got)
            usleep(1000);
        tell("  got %d\n", got);
    }
    // a stopped child, an orphan
    signal(SIGHUP, on_signal);
    got = 0;
    tell("ask close\n");
    while (got != SIGHUP)
        usleep(1000);
    char c;
    tell("  hup; read %zd ", read(0, &c, 1));
    tell("write %d ", write(0, "x", 1) < 0 ? errno : 0);
    tell("tty %d\n", open("/dev/tty", O_RDWR) < 0 ? errno : 0);
    _exit(0);
}

static void jobs(void)
{
    char name[40], line[4096];
    unsigned n;
    printf("job control\n");
    fflush(stdout);
    open_pair();
    ioctl(master, TIOCGPTN, &n);
    snprintf(name, sizeof name, "/dev/pts/%u", n);
    pipe(report);
    pid_t pid = fork();
    if (!pid) {
        close(slave);
        close(report[0]);
        leader(name);
    }
    close(report[1]);
    close(slave);
    FILE *f = fdopen(report[0], "r");
    while (fgets(line, sizeof line, f)) {
        if (!strcmp(line, "ask int\n"))
            write(master, "\003", 1);
        else if (!strcmp(line, "ask quit\n"))
            write(master, "\034", 1);
        else if (!strcmp(line, "ask tstp\n"))
            write(master, "\032", 1);
        else if (!strcmp(line, "ask winch\n"))
            ioctl(master, TIOCSWINSZ, &(struct winsize){10, 20, 0, 0});
        else if (!strcmp(line, "ask close\n"))
            close(master);
        else
            fputs(line, stdout);
    }
    waitpid(pid, NULL, 0);
    fclose(f);
}

// When the leader goes, the foreground group is hung up.
static void leader_leaves(void)
{
    char name[40], c[20];
    unsigned n;
    int ready[2];
    printf("leader leaves\n");
    fflush(stdout);
    open_pair();
    ioctl(master, TIOCGPTN, &n);
    snprintf(name, sizeof name, "/dev/pts/%u", n);
    pipe(ready);
    pid_t pid = fork();
    if (!pid) {
        close(slave);
        close(master);
        setsid();
        int fd = open(name, O_RDWR);
        pid_t child = fork();
        if (!child) {
            setpgid(0, 0);
            signal(SIGTTOU, SIG_IGN);
            tcsetpgrp(fd, getpgrp());
            signal(SIGHUP, on_signal);
            write(ready[1], "r", 1);
            while (!got)
                usleep(1000);
            char say[60];
            int len = snprintf(say, sizeof say, "  child got %d, write %d, tty %d\n", got,
                               write(fd, "x", 1) < 0 ? errno : 0, open("/dev/tty", O_RDWR) < 0 ? errno : 0);
            write(ready[1], say, len);
            _exit(0);
        }
        read(ready[0], c, 1);
        _exit(0);
    }
    close(ready[1]);
    close(slave);
    waitpid(pid, NULL, 0);
    char say[100];
    for (ssize_t got_bytes; (got_bytes = read(ready[0], say, sizeof say)) > 0;)
        fwrite(say, 1, got_bytes, stdout);
    show("master", c, read(master, c, sizeof c));
    close(master);
}

int main(void)
{
    setvbuf(stdout, NULL, _IOFBF, 1 << 16);
    signal(SIGHUP, SIG_IGN);
    defaults();
    for (size_t k = 0; k < sizeof kases / sizeof *kases; k++)
        run_kase(&kases[k]);
    signal(SIGHUP, SIG_DFL);
    modes();
    long_lines();
    flow();
    packets();
    ends();
    jobs();
    leader_leaves();
    return 0;
}
