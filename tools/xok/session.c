// One run: five sockets, three descriptors, signals and a clock, until the program has ended.
#define _GNU_SOURCE
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <sys/wait.h>
#include <unistd.h>
#include "log.h"
#include "pump.h"
#include "run.h"

struct session {
    struct machine *machine;
    const struct run *run;
    struct session_end *result;
    struct pump in, out[2];
    int control; // -1 after its end
    char *send;  // control messages on their way out: send[send_at..send_end)
    size_t send_at, send_end, send_room;
    char *got; // control messages on their way in
    size_t got_len, got_room;
    bool eof_sent, hup_sent[2];
    struct log log, errors; // the machine's serial line; QEMU's own complaints
    int signals, timer;
    bool exited, done;
    struct control_exit exit;
    int status;
};

static void post(struct session *s, u32 type, const void *payload, u32 len)
{
    struct control_header header = {type, len};
    if (s->control < 0)
        return;
    if (s->send_end + sizeof header + len > s->send_room) {
        s->send_room = s->send_end + sizeof header + len + 4096;
        s->send = grow(s->send, s->send_room);
    }
    memcpy(s->send + s->send_end, &header, sizeof header);
    memcpy(s->send + s->send_end + sizeof header, payload, len);
    s->send_end += sizeof header + len;
}

static void finish(struct session *s, int status)
{
    s->status = status;
    s->done = true;
}

// ---- what the guest says

static void post_size(struct session *s)
{
    u16 size[2];
    terminal_size(&size[0], &size[1]);
    post(s, CONTROL_WINCH, size, sizeof size);
}

static void got_error(struct session *s, const char *payload, u32 len)
{
    u32 status;
    if (len < sizeof status)
        return;
    memcpy(&status, payload, sizeof status);
    terminal_restore();
    complain("%.*s", (int)(len - sizeof status), payload + sizeof status);
    finish(s, status && status < 256 ? (int)status : STATUS_XOK);
}

static void got_exit(struct session *s, const char *payload, u32 len)
{
    if (len < sizeof s->exit)
        return;
    memcpy(&s->exit, payload, sizeof s->exit);
    s->exited = true;
    int w = s->exit.status;
    s->status = WIFSIGNALED(w) ? 128 + WTERMSIG(w) : WEXITSTATUS(w);
}

static void got_message(struct session *s, u32 type, const char *payload, u32 len)
{
    switch (type) {
    case CONTROL_READY:
        if (len >= sizeof s->result->ready)
            memcpy(&s->result->ready, payload, sizeof s->result->ready);
        s->result->was_ready = true;
        if (terminal_mask())
            post_size(s); // it may have changed since CONFIG
        break;
    case CONTROL_EXIT: got_exit(s, payload, len); break;
    case CONTROL_ERROR: got_error(s, payload, len); break;
    case CONTROL_STATS: s->result->stats = format("%.*s", (int)len, payload); break;
    case CONTROL_STRACE: log_write(payload, len); break;
    }
}

static void got_bytes(struct session *s)
{
    struct control_header header;
    size_t at = 0;
    while (!s->done && s->got_len - at >= sizeof header) {
        memcpy(&header, s->got + at, sizeof header);
        if (header.length > CONTROL_MAX) {
            terminal_restore();
            complain("the guest broke the control protocol");
            finish(s, STATUS_XOK);
            return;
        }
        if (s->got_len - at < sizeof header + header.length)
            break;
        got_message(s, header.type, s->got + at + sizeof header, header.length);
        at += sizeof header + header.length;
    }
    memmove(s->got, s->got + at, s->got_len - at);
    s->got_len -= at;
}

static void control_receive(struct session *s)
{
    if (s->got_room - s->got_len < 1 << 16) {
        s->got_room = s->got_len + (1 << 18);
        s->got = grow(s->got, s->got_room);
    }
    ssize_t n = read_some(s->control, s->got + s->got_len, s->got_room - s->got_len);
    if (n < 0 && errno == EAGAIN)
        return;
    if (n <= 0) {
        s->control = -1;
        return;
    }
    s->got_len += n;
    got_bytes(s);
}

static void control_send(struct session *s)
{
    ssize_t n = send(s->control, s->send + s->send_at, s->send_end - s->send_at,
                     MSG_DONTWAIT | MSG_NOSIGNAL);
    if (n > 0)
        s->send_at += n;
    if (s->send_at == s->send_end)
        s->send_at = s->send_end = 0;
}

// ---- what the host says

static void got_signal(struct session *s)
{
    struct signalfd_siginfo info;
    if (read_some(s->signals, &info, sizeof info) != sizeof info)
        return;
    u32 signal = info.ssi_signo;
    switch (signal) {
    case SIGWINCH: post_size(s); break;
    case SIGTSTP:
        kill(s->machine->pid, SIGSTOP);
        terminal_suspend();
        break;
    case SIGCONT:
        kill(s->machine->pid, SIGCONT);
        terminal_resume();
        post_size(s);
        break;
    default:
        // A program that does not run yet cannot be told.
        if (!s->result->was_ready)
            finish(s, 128 + signal);
        if (info.ssi_code == SI_KERNEL) // typed at the terminal: for all who run there
            signal |= CONTROL_SIGNAL_GROUP;
        post(s, CONTROL_SIGNAL, &signal, sizeof signal);
    }
}

static int signals_open(void)
{
    static const int taken[] = {SIGWINCH, SIGTSTP, SIGCONT, SIGINT, SIGTERM,
                                SIGHUP,   SIGQUIT, SIGUSR1, SIGUSR2};
    sigset_t set;
    sigemptyset(&set);
    for (size_t i = 0; i < sizeof taken / sizeof *taken; i++)
        sigaddset(&set, taken[i]);
    sigprocmask(SIG_BLOCK, &set, NULL);
    signal(SIGPIPE, SIG_IGN);
    int fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
    if (fd < 0)
        die("signalfd: %s", strerror(errno));
    return fd;
}

static int timer_open(u64 seconds)
{
    if (!seconds)
        return -1;
    struct itimerspec when = {.it_value.tv_sec = seconds};
    int fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC);
    if (fd < 0 || timerfd_settime(fd, 0, &when, NULL) < 0)
        die("timerfd: %s", strerror(errno));
    return fd;
}

static void got_timeout(struct session *s)
{
    terminal_restore();
    complain("the program was still running after %lu s", s->run->timeout);
    finish(s, STATUS_TIMEOUT);
}

// ---- the loop

// What follows from a change of the pumps.
static void look(struct session *s)
{
    if (s->in.from < 0 && !s->eof_sent) {
        post(s, CONTROL_STDIN_EOF, &s->in.taken, sizeof s->in.taken);
        s->eof_sent = true;
    }
    bool drained = true;
    for (u32 i = 0; i < 2; i++) {
        u32 port = PORT_STDOUT + i;
        if (s->out[i].to < 0 && !s->hup_sent[i]) {
            post(s, CONTROL_HUP, &port, sizeof port);
            s->hup_sent[i] = true;
        }
        if (!pump_empty(&s->out[i]) ||
            (s->out[i].from >= 0 && s->out[i].taken < s->exit.out_bytes[i]))
            drained = false;
    }
    if (s->exited && drained)
        s->done = true;
    bool gone = s->control < 0 && s->out[0].from < 0 && s->out[1].from < 0 && s->log.fd < 0 &&
                s->errors.fd < 0;
    if (gone && pump_empty(&s->out[0]) && pump_empty(&s->out[1]))
        s->done = true;
}

enum {
    WAIT_IN,
    WAIT_OUT,
    WAIT_ERR,
    WAIT_CONTROL,
    WAIT_LOG,
    WAIT_ERRORS,
    WAIT_SIGNALS,
    WAIT_TIMER,
    WAITS
};

static void wait_and_move(struct session *s)
{
    struct pollfd p[WAITS] = {
        [WAIT_IN] = pump_wait(&s->in),
        [WAIT_OUT] = pump_wait(&s->out[0]),
        [WAIT_ERR] = pump_wait(&s->out[1]),
        [WAIT_CONTROL] = {.fd = s->control, .events = POLLIN | (s->send_end ? POLLOUT : 0)},
        [WAIT_LOG] = {.fd = s->log.fd, .events = POLLIN},
        [WAIT_ERRORS] = {.fd = s->errors.fd, .events = POLLIN},
        [WAIT_SIGNALS] = {.fd = s->signals, .events = POLLIN},
        [WAIT_TIMER] = {.fd = s->timer, .events = POLLIN},
    };
    if (s->exited)
        p[WAIT_IN].fd = -1;
    if (poll(p, WAITS, -1) < 0)
        return;
    if (p[WAIT_IN].revents)
        pump_move(&s->in);
    if (p[WAIT_OUT].revents)
        pump_move(&s->out[0]);
    if (p[WAIT_ERR].revents)
        pump_move(&s->out[1]);
    if (p[WAIT_CONTROL].revents & POLLOUT)
        control_send(s);
    if (p[WAIT_CONTROL].revents & ~POLLOUT)
        control_receive(s);
    if (p[WAIT_LOG].revents)
        log_take(&s->log, s->run->verbose);
    if (p[WAIT_ERRORS].revents)
        log_take(&s->errors, s->run->verbose);
    if (p[WAIT_SIGNALS].revents)
        got_signal(s);
    if (p[WAIT_TIMER].revents && !s->done)
        got_timeout(s);
}

// The machine has gone without the program having ended: says why, as well as can be known.
static int stopped_early(struct session *s)
{
    terminal_restore();
    char *line = log_line(&s->log, "panic");
    if (line) {
        complain("the kernel stopped: %s", line);
        return STATUS_XOK;
    }
    line = log_line(&s->errors, "");
    if (line) {
        complain("%s", line);
        return STATUS_XOK;
    }
    line = log_line(&s->log, "");
    complain("the machine stopped before the program ended%s%s", line ? "; its last words: " : "",
             line ? line : "");
    return STATUS_XOK;
}

int session_run(struct machine *machine, const struct run *run, const void *config,
                size_t config_len, struct session_end *end)
{
    struct session *s = make(sizeof *s);
    s->machine = machine, s->run = run, s->result = end;
    s->control = machine->ports[PORT_CONTROL];
    s->signals = signals_open();
    s->timer = timer_open(run->timeout);
    log_init(&s->log, machine->ports[PORT_LOG]);
    log_init(&s->errors, machine->errors);
    pump_init(&s->in, STDIN_FILENO, machine->ports[PORT_STDIN]);
    pump_init(&s->out[0], machine->ports[PORT_STDOUT], STDOUT_FILENO);
    pump_init(&s->out[1], machine->ports[PORT_STDERR], STDERR_FILENO);
    post(s, CONTROL_CONFIG, config, config_len);
    // Where nobody would see the guest's echo, the host's terminal goes on editing lines itself.
    if (terminal_mask() & 1 && terminal_mask() & ~1u)
        terminal_raw();
    while (look(s), !s->done)
        wait_and_move(s);
    machine_stop(machine);
    if (s->exited &&
        (s->out[0].taken < s->exit.out_bytes[0] || s->out[1].taken < s->exit.out_bytes[1])) {
        terminal_restore();
        complain("the machine stopped before all output was taken");
        s->status = STATUS_XOK;
    } else if (!s->exited && s->control < 0 && !s->status) {
        s->status = stopped_early(s);
    }
    terminal_restore();
    return s->status;
}
