// Resource limits, usage, sysinfo.
#include "abi.h"
#include <sys/resource.h>
#include <sys/sysinfo.h>
#include <sys/times.h>

static void show(const char *what, int resource)
{
    struct rlimit l;
    SHOW(syscall(SYS_getrlimit, resource, &l));
    printf("%s %ld %ld\n", what, (long)l.rlim_cur, (long)l.rlim_max);
}

static long set(int resource, long cur, long max)
{
    struct rlimit l = {cur, max};
    return syscall(SYS_setrlimit, resource, &l);
}

static void unprivileged(void)
{
    struct rlimit l = {100, 200};
    SHOW(syscall(SYS_setresuid, 1000, 1000, 1000));
    SHOW(set(RLIMIT_NOFILE, 100, 200));
    SHOW(set(RLIMIT_NOFILE, 200, 200));
    SHOW(set(RLIMIT_NOFILE, 100, 201));
    SHOW(set(RLIMIT_NOFILE, 201, 200));
    show("nofile", RLIMIT_NOFILE);
    SHOW(syscall(SYS_prlimit64, getppid(), RLIMIT_NOFILE, NULL, &l));
    SHOW(syscall(SYS_prlimit64, 0, RLIMIT_NOFILE, NULL, &l));
}

static void too_long(void)
{
    set(RLIMIT_CPU, 1, 3);
    for (;;)
        ;
}

static void on_xcpu(int sig) { printf("signal %d\n", sig); }

static void far_too_long(void)
{
    signal(SIGXCPU, on_xcpu);
    struct rlimit l = {1, 2};
    syscall(SYS_prlimit64, 0, RLIMIT_CPU, &l, NULL);
    if (!fork()) // inherited
        for (;;)
            ;
    int status;
    wait(&status);
    printf("child: signal %d\n", WTERMSIG(status));
}

int main(void)
{
    struct rlimit l = {5, 6}, old;
    show("core", RLIMIT_CORE);
    show("fsize", RLIMIT_FSIZE);
    show("cpu", RLIMIT_CPU);
    SHOW(syscall(SYS_getrlimit, 16, &l));
    SHOW(syscall(SYS_getrlimit, -1, &l));
    SHOW(syscall(SYS_getrlimit, 0, BAD));
    SHOW(syscall(SYS_setrlimit, 0, BAD));
    SHOW(syscall(SYS_setrlimit, 16, &l));
    SHOW(set(RLIMIT_FSIZE, 10, 5));
    SHOW(syscall(SYS_prlimit64, 0, RLIMIT_MSGQUEUE, &l, &old));
    show("msgqueue", RLIMIT_MSGQUEUE);
    SHOW(syscall(SYS_prlimit64, 0, 16, &l, &old));
    SHOW(syscall(SYS_prlimit64, 999999, 0, NULL, &old));
    SHOW(syscall(SYS_prlimit64, getpid(), RLIMIT_MSGQUEUE, NULL, &old));
    printf("%ld %ld\n", (long)old.rlim_cur, (long)old.rlim_max);
    SHOW(syscall(SYS_prlimit64, 0, RLIMIT_MSGQUEUE, BAD, &old));
    child("unprivileged", unprivileged);
    child("too long", too_long);
    child("far too long", far_too_long);

    struct rusage u;
    SHOW(syscall(SYS_getrusage, RUSAGE_SELF, &u));
    TRUE(u.ru_maxrss > 0 && u.ru_minflt > 0);
    SHOW(syscall(SYS_getrusage, RUSAGE_CHILDREN, &u));
    SHOW(syscall(SYS_getrusage, RUSAGE_THREAD, &u));
    SHOW(syscall(SYS_getrusage, 2, &u));
    SHOW(syscall(SYS_getrusage, -2, &u));
    SHOW(syscall(SYS_getrusage, 0, BAD));

    struct sysinfo s;
    SHOW(syscall(SYS_sysinfo, &s));
    TRUE(s.totalram > 0 && s.freeram > 0 && s.freeram <= s.totalram && s.mem_unit >= 1 && s.procs > 0);
    SHOW(syscall(SYS_sysinfo, BAD));

    struct tms t;
    WORKS(times(&t));
    TRUE(times(NULL) > 0);
    WORKS(syscall(SYS_times, BAD));
    return 0;
}
