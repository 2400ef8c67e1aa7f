// The first program of the Linux guest: makes the file systems that programs expect, runs what the kernel's
// command line names behind the word `run`, says on the console how it ended, and ends the machine.
#include <fcntl.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/reboot.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include <x86intrin.h>

static void mount_at(const char *type, const char *where, const char *options)
{
    mkdir(where, 0755);
    if (mount(type, where, type, 0, options))
        perror(where);
}

static void loopback_up(void)
{
    struct ifreq r = {.ifr_name = "lo", .ifr_flags = IFF_UP};
    int fd = socket(AF_INET, SOCK_DGRAM, 0);
    if (fd < 0 || ioctl(fd, SIOCSIFFLAGS, &r))
        perror("lo");
    close(fd);
}

int main(int argc, char **argv)
{
    // Under -icount the counter has the instructions since the machine started.
    unsigned long long start = __rdtsc();
    mount_at("proc", "/proc", NULL);
    mount_at("sysfs", "/sys", NULL);
    mount_at("devtmpfs", "/dev", NULL);
    mount_at("tmpfs", "/tmp", "size=75%");
    int console = open("/dev/console", O_RDWR);
    for (int fd = 0; fd < 3; fd++)
        dup2(console, fd);
    loopback_up();
    setenv("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", 1);
    setenv("HOME", "/root", 1);
    if (chdir("/tmp"))
        perror("/tmp");
    char **program = argv + argc;
    for (int i = 1; i < argc && !*program; i++)
        if (!strcmp(argv[i], "run"))
            program = argv + i + 1;
    int status = 127 << 8;
    pid_t child = *program ? fork() : -1;
    if (child == 0) {
        execvp(program[0], program);
        perror(program[0]);
        _exit(127);
    }
    if (child > 0)
        waitpid(child, &status, 0);
    printf("\nbench-end status=%d init_tsc=%llu\n",
           WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status), start);
    fflush(stdout);
    for (;;)
        reboot(RB_AUTOBOOT); // QEMU runs with -no-reboot
}
