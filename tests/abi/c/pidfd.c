// Descriptors of processes.
#include "abi.h"
#include <fcntl.h>
#include <poll.h>

#ifndef P_PIDFD
#define P_PIDFD 3
#endif
static int pidfd(pid_t pid) { return syscall(SYS_pidfd_open, pid, 0); }

static int ready(int fd, int timeout)
{
    struct pollfd p = {fd, POLLIN, 0};
    return poll(&p, 1, timeout);
}

int main(void)
{
    siginfo_t info;
    int fds[2], status;
    SHOW(syscall(SYS_pidfd_open, -1, 0));
    SHOW(syscall(SYS_pidfd_open, 0, 0));
    SHOW(syscall(SYS_pidfd_open, 999999, 0));
    SHOW(syscall(SYS_pidfd_open, getpid(), 1));
    int me = pidfd(getpid());
    TRUE(me >= 0 && fcntl(me, F_GETFD) == FD_CLOEXEC);
    SHOW(ready(me, 0));
    SHOW(syscall(SYS_pidfd_send_signal, me, 0, NULL, 0));
    SHOW(syscall(SYS_pidfd_send_signal, me, 0, NULL, 99));
    SHOW(syscall(SYS_pidfd_send_signal, me, 65, NULL, 0));
    SHOW(syscall(SYS_pidfd_send_signal, 0, 0, NULL, 0));
    SHOW(syscall(SYS_pidfd_send_signal, 77, 0, NULL, 0));
    SHOW(read(me, &status, 4));

    if (pipe(fds))
        return 1;
    fflush(stdout);
    pid_t kid = fork();
    if (!kid) {
        char c;
        close(fds[1]);
        _exit(read(fds[0], &c, 1) ? 1 : 7);
    }
    int fd = pidfd(kid);
    SHOW(ready(fd, 10));
    SHOW(waitid(P_PIDFD, fd, &info, WEXITED | WNOHANG));
    close(fds[1]);
    SHOW(ready(fd, 10000));
    SHOW(ready(fd, 10000));
    info.si_pid = 0;
    SHOW(waitid(P_PIDFD, fd, &info, WEXITED));
    TRUE(info.si_pid == kid && info.si_code == CLD_EXITED && info.si_status == 7);
    SHOW(waitid(P_PIDFD, fd, &info, WEXITED));
    SHOW(ready(fd, 0));
    SHOW(syscall(SYS_pidfd_send_signal, fd, 0, NULL, 0));
    SHOW(waitid(P_PIDFD, 0, &info, WEXITED));
    close(fd);

    // clone with CLONE_PIDFD (0x1000), killed through it.
    fd = -1;
    kid = syscall(SYS_clone, 0x1000 | SIGCHLD, 0, &fd, 0, 0);
    if (!kid)
        for (;;)
            pause();
    TRUE(kid > 0 && fd >= 0);
    SHOW(syscall(SYS_pidfd_send_signal, fd, SIGUSR1, NULL, 0));
    SHOW(waitpid(kid, &status, 0) == kid);
    SHOW(WIFSIGNALED(status) ? WTERMSIG(status) : 0);
    SHOW(syscall(SYS_clone, 0x1000 | 0x100000 | SIGCHLD, 0, &fd, 0, 0));

    // Another's descriptor.
    kid = fork();
    if (!kid)
        for (;;)
            pause();
    fd = pidfd(kid);
    int copy = syscall(SYS_pidfd_getfd, fd, fds[0], 0);
    TRUE(copy >= 0 && copy != fds[0]);
    SHOW(syscall(SYS_pidfd_getfd, fd, 999, 0));
    SHOW(syscall(SYS_pidfd_getfd, fd, 0, 1));
    SHOW(syscall(SYS_pidfd_getfd, 0, 0, 0));
    SHOW(syscall(SYS_pidfd_send_signal, fd, SIGKILL, NULL, 0));
    SHOW(ready(fd, 10000));
    waitpid(kid, &status, 0);
    SHOW(syscall(SYS_pidfd_getfd, fd, 0, 0));
    return 0;
}
