// The host's terminal: raw while the program runs, as it was before on every way out.
#define _GNU_SOURCE
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>
#include "run.h"

static struct termios saved;
static volatile sig_atomic_t is_raw;
static bool wanted;

u32 terminal_mask(void)
{
    u32 mask = 0;
    for (int fd = 0; fd < 3; fd++)
        mask |= (u32)(isatty(fd) != 0) << fd;
    return mask;
}

void terminal_size(u16 *rows, u16 *cols)
{
    struct winsize size = {0};
    for (int fd = 0; fd < 3 && ioctl(fd, TIOCGWINSZ, &size) < 0; fd++)
        ;
    *rows = size.ws_row, *cols = size.ws_col;
}

void terminal_restore(void)
{
    if (!is_raw)
        return;
    is_raw = 0;
    tcsetattr(STDIN_FILENO, TCSADRAIN, &saved);
}

static void restore_and_die(int signal)
{
    terminal_restore();
    raise(signal); // SA_RESETHAND: the default action now
}

static void make_raw(void)
{
    struct termios raw = saved;
    cfmakeraw(&raw);
    is_raw = 1;
    if (tcsetattr(STDIN_FILENO, TCSADRAIN, &raw) < 0)
        is_raw = 0;
}

void terminal_raw(void)
{
    static const int deadly[] = {SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGABRT, SIGSYS};
    if (tcgetattr(STDIN_FILENO, &saved) < 0)
        return;
    struct sigaction action = {.sa_handler = restore_and_die,
                               .sa_flags = SA_RESETHAND | SA_NODEFER};
    for (size_t i = 0; i < sizeof deadly / sizeof *deadly; i++)
        sigaction(deadly[i], &action, NULL);
    atexit(terminal_restore);
    wanted = true;
    make_raw();
}

void terminal_suspend(void)
{
    terminal_restore();
    raise(SIGSTOP);
}

void terminal_resume(void)
{
    if (wanted && !is_raw && tcgetattr(STDIN_FILENO, &saved) == 0)
        make_raw();
}

void log_write(const char *text, size_t len)
{
    while (is_raw && len) {
        const char *newline = memchr(text, '\n', len);
        size_t n = newline ? (size_t)(newline - text) : len;
        write_all(STDERR_FILENO, text, n);
        if (!newline)
            return;
        write_all(STDERR_FILENO, "\r\n", 2);
        text += n + 1, len -= n + 1;
    }
    write_all(STDERR_FILENO, text, len);
}
