// uname, getrandom, prctl, personality, and calls that are refused.
#include "abi.h"
#include <sys/prctl.h>
#include <sys/random.h>
#include <sys/utsname.h>

static void no_new_privs(void)
{
    SHOW(prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0));
    SHOW(prctl(PR_SET_NO_NEW_PRIVS, 0, 0, 0, 0));
    SHOW(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 1));
    SHOW(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0));
    SHOW(prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0));
}

static void unprivileged(void)
{
    SHOW(syscall(SYS_setresuid, 1000, 1000, 1000));
    SHOW(syscall(SYS_sethostname, "x", 1));
    SHOW(syscall(SYS_setdomainname, "x", 1));
    SHOW(syscall(SYS_acct, NULL));
    SHOW(syscall(SYS_chroot, "/"));
    SHOW(syscall(SYS_clock_settime, 0, &(struct timespec){0, 0}));
    SHOW(syscall(SYS_settimeofday, NULL, NULL));
    SHOW(prctl(PR_CAPBSET_DROP, 0));
    SHOW(syscall(SYS_vhangup));
    SHOW(prctl(PR_GET_DUMPABLE));
}

static void subreaper(void)
{
    int got = 7, pipes[2];
    SHOW(prctl(PR_SET_CHILD_SUBREAPER, 1));
    SHOW(prctl(PR_GET_CHILD_SUBREAPER, &got));
    printf("%d\n", got);
    if (pipe(pipes))
        exit(1);
    pid_t me = getpid();
    if (!fork()) {
        if (!fork()) {
            char c;
            close(pipes[1]);
            if (read(pipes[0], &c, 1)) // until the one between has gone
                _exit(1);
            while (getppid() != me)
                usleep(1000);
            _exit(getppid() == me ? 5 : 6);
        }
        _exit(4);
    }
    close(pipes[1]);
    int status, sum = 0;
    while (wait(&status) > 0)
        sum = sum * 10 + WEXITSTATUS(status);
    printf("%d\n", sum);
}

static void parent_death(void)
{
    int to[2], sig = 9;
    if (pipe(to))
        exit(1);
    prctl(PR_SET_CHILD_SUBREAPER, 1);
    pid_t middle = fork();
    if (!middle) {
        if (!fork()) {
            SHOW(prctl(PR_SET_PDEATHSIG, 65));
            SHOW(prctl(PR_SET_PDEATHSIG, SIGTERM));
            SHOW(prctl(PR_GET_PDEATHSIG, &sig));
            printf("%d\n", sig);
            fflush(stdout);
            if (write(to[1], "x", 1) != 1)
                _exit(1);
            for (;;)
                pause();
        }
        char c;
        _exit(read(to[0], &c, 1) != 1);
    }
    int status;
    waitpid(middle, &status, 0);
    wait(&status);
    printf("signal %d\n", WIFSIGNALED(status) ? WTERMSIG(status) : 0);
}

int main(void)
{
    struct utsname u;
    SHOW(uname(&u));
    printf("%s %s\n", u.sysname, u.machine);
    TRUE(u.release[0] >= '3' && u.release[0] <= '9' && strlen(u.nodename) > 0 && strlen(u.version) > 0);
    SHOW(syscall(SYS_uname, BAD));
    SHOW(syscall(SYS_sethostname, "x", -1));
    SHOW(syscall(SYS_sethostname, "x", 65));
    SHOW(syscall(SYS_sethostname, BAD, 4));

    unsigned char r1[64] = {0}, r2[64] = {0}, zero[64] = {0};
    SHOW(syscall(SYS_getrandom, r1, 64, 0));
    SHOW(syscall(SYS_getrandom, r2, 64, GRND_NONBLOCK));
    TRUE(memcmp(r1, r2, 64) && memcmp(r1, zero, 64) && memcmp(r2, zero, 64));
    SHOW(syscall(SYS_getrandom, r1, 16, GRND_RANDOM));
    SHOW(syscall(SYS_getrandom, r1, 16, 8));
    SHOW(syscall(SYS_getrandom, r1, 16, 6));
    SHOW(syscall(SYS_getrandom, BAD, 16, 0));
    SHOW(syscall(SYS_getrandom, r1, 0, 0));
    char *big = malloc(100000);
    SHOW(syscall(SYS_getrandom, big, 100000, 0));

    char name[17] = {0};
    SHOW(prctl(PR_GET_NAME, name));
    printf("%s\n", name);
    SHOW(prctl(PR_SET_NAME, "a name that is too long"));
    SHOW(prctl(PR_GET_NAME, name));
    printf("%s\n", name);
    SHOW(prctl(PR_SET_NAME, BAD));
    SHOW(prctl(PR_GET_NAME, BAD));
    FILE *f = fopen("/proc/self/comm", "r");
    if (f && fgets(name, sizeof name, f))
        printf("%s", name);
    SHOW(prctl(PR_GET_DUMPABLE));
    SHOW(prctl(PR_SET_DUMPABLE, 0));
    SHOW(prctl(PR_GET_DUMPABLE));
    SHOW(prctl(PR_SET_DUMPABLE, 2));
    SHOW(prctl(PR_SET_DUMPABLE, 1));
    SHOW(prctl(PR_GET_KEEPCAPS));
    SHOW(prctl(PR_SET_KEEPCAPS, 2));
    SHOW(prctl(PR_GET_TIMING));
    SHOW(prctl(PR_SET_TIMING, 1));
    SHOW(prctl(PR_GET_TIMERSLACK));
    SHOW(prctl(PR_SET_TIMERSLACK, 1000));
    SHOW(prctl(PR_GET_TIMERSLACK));
    SHOW(prctl(PR_CAPBSET_READ, 0));
    SHOW(prctl(PR_CAPBSET_READ, 64));
    SHOW(prctl(12345, 0, 0, 0, 0));
    child("no_new_privs", no_new_privs);
    child("unprivileged", unprivileged);
    child("subreaper", subreaper);
    child("parent_death", parent_death);

    SHOW(syscall(SYS_personality, 0xffffffff));
    SHOW(syscall(SYS_personality, 0x40000)); // ADDR_NO_RANDOMIZE
    SHOW(syscall(SYS_personality, 0xffffffff));
    unsigned long fs = 0;
    SHOW(syscall(SYS_arch_prctl, 0x1003, &fs));
    TRUE(fs != 0);
    SHOW(syscall(SYS_arch_prctl, 0x1002, 0x8000000000000000));
    SHOW(syscall(SYS_arch_prctl, 0x1003, BAD));
    SHOW(syscall(SYS_arch_prctl, 0x9999, 0));
    SHOW(syscall(SYS_syslog, 11, NULL, 0));
    SHOW(syscall(SYS_syslog, -1, NULL, 0));
    SHOW(syscall(333333));
    return 0;
}
