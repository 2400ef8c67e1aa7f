// For programs whose output must be the same on Linux and on Xok.
#ifndef ABI_H
#define ABI_H
#define _GNU_SOURCE
#include <errno.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

// The call's text and what it returned: raw system calls, so that both libraries ask the same.
#define SHOW(call)                                                \
    do {                                                          \
        errno = 0;                                                \
        long r_ = (long)(call);                                   \
        if (r_ == -1 && errno)                                    \
            printf("%s = %s\n", #call, strerrorname(errno));      \
        else                                                      \
            printf("%s = %ld\n", #call, r_);                      \
    } while (0)
// Only whether it worked.
#define WORKS(call)                                               \
    do {                                                          \
        errno = 0;                                                \
        long r_ = (long)(call);                                   \
        printf("%s: %s\n", #call, r_ == -1 && errno ? strerrorname(errno) : "yes"); \
    } while (0)
#define TRUE(condition) printf("%s: %s\n", #condition, (condition) ? "true" : "false")

static inline const char *strerrorname(int e)
{
    static char text[16];
    switch (e) {
    case EPERM: return "EPERM";
    case ENOENT: return "ENOENT";
    case ESRCH: return "ESRCH";
    case EINTR: return "EINTR";
    case EBADF: return "EBADF";
    case ECHILD: return "ECHILD";
    case EAGAIN: return "EAGAIN";
    case ENOMEM: return "ENOMEM";
    case EACCES: return "EACCES";
    case EFAULT: return "EFAULT";
    case ENODEV: return "ENODEV";
    case EINVAL: return "EINVAL";
    case ENOSYS: return "ENOSYS";
    case EOPNOTSUPP: return "EOPNOTSUPP";
    case ETIMEDOUT: return "ETIMEDOUT";
    case E2BIG: return "E2BIG";
    case EEXIST: return "EEXIST";
    case EIDRM: return "EIDRM";
    case ENOMSG: return "ENOMSG";
    case EFBIG: return "EFBIG";
    case ERANGE: return "ERANGE";
    default: snprintf(text, sizeof text, "errno %d", e); return text;
    }
}
#define BAD ((void *)8) // nothing is ever mapped here

// What hangs shows how far it came.
__attribute__((constructor)) static void by_lines(void) { setvbuf(stdout, NULL, _IOLBF, BUFSIZ); }

// Runs fn in a child and tells how it ended.
static inline void child(const char *name, void (*fn)(void))
{
    int status;
    fflush(stdout);
    pid_t pid = fork();
    if (!pid) {
        fn();
        fflush(stdout);
        _exit(0);
    }
    waitpid(pid, &status, 0);
    if (WIFSIGNALED(status))
        printf("%s: signal %d\n", name, WTERMSIG(status));
    else
        printf("%s: exit %d\n", name, WEXITSTATUS(status));
}
#endif
