// Interval timers, timer_create, timerfd: how often they fire, not when.
#include "abi.h"
#include <poll.h>
#include <sys/time.h>
#include <sys/timerfd.h>

static volatile sig_atomic_t fired;
static void count(int sig) { fired += sig > 0; }
static void count_info(int sig, siginfo_t *i, void *c)
{
    (void)c;
    fired++;
    if (fired == 1)
        printf("signal %d code %d value %d\n", sig, i->si_code, i->si_value.sival_int);
}

static void on(int sig, void (*fn)(int))
{
    struct sigaction sa = {.sa_handler = fn};
    sigaction(sig, &sa, NULL);
}

static void wait_for(int n)
{
    while (fired < n)
        pause();
}

static void spin_for(int n)
{
    while (fired < n)
        ;
}

static void itimers(void)
{
    struct itimerval v = {{0, 5000}, {0, 5000}}, old;
    on(SIGALRM, count);
    SHOW(syscall(SYS_setitimer, ITIMER_REAL, &v, NULL));
    wait_for(5);
    SHOW(syscall(SYS_getitimer, ITIMER_REAL, &old));
    TRUE(old.it_interval.tv_usec == 5000 && old.it_value.tv_usec <= 5000);
    memset(&v, 0, sizeof v);
    SHOW(syscall(SYS_setitimer, ITIMER_REAL, &v, &old));
    TRUE(old.it_interval.tv_usec == 5000);
    SHOW(syscall(SYS_getitimer, ITIMER_REAL, &old));
    printf("%ld %ld\n", (long)old.it_value.tv_sec, (long)old.it_value.tv_usec);
    fired = 0;
    usleep(30000);
    TRUE(fired == 0);
    v.it_value.tv_usec = 1000000;
    SHOW(syscall(SYS_setitimer, ITIMER_REAL, &v, NULL));
    v.it_value.tv_usec = -1;
    SHOW(syscall(SYS_setitimer, ITIMER_REAL, &v, NULL));
    SHOW(syscall(SYS_setitimer, 3, NULL, NULL));
    SHOW(syscall(SYS_getitimer, 3, &old));
    SHOW(syscall(SYS_getitimer, 0, BAD));
    SHOW(syscall(SYS_setitimer, 0, BAD, NULL));
    v = (struct itimerval){{0, 2000}, {0, 2000}};
    on(SIGVTALRM, count);
    fired = 0;
    SHOW(syscall(SYS_setitimer, ITIMER_VIRTUAL, &v, NULL));
    spin_for(3);
    printf("virtual\n");
    SHOW(syscall(SYS_setitimer, ITIMER_VIRTUAL, NULL, NULL));
    on(SIGPROF, count);
    fired = 0;
    SHOW(syscall(SYS_setitimer, ITIMER_PROF, &v, NULL));
    spin_for(3);
    printf("profiling\n");
    SHOW(syscall(SYS_setitimer, ITIMER_PROF, NULL, NULL));
}

static void alarms(void)
{
    on(SIGALRM, count);
    SHOW(syscall(SYS_alarm, 100));
    SHOW(syscall(SYS_alarm, 200));
    if (!fork()) { // a child has none
        SHOW(syscall(SYS_alarm, 0));
        fflush(stdout);
        _exit(0);
    }
    wait(NULL);
    TRUE(syscall(SYS_alarm, 0) > 100);
    SHOW(syscall(SYS_alarm, 0));
    SHOW(syscall(SYS_alarm, 1));
    pause();
    SHOW(fired);
}

static void alarm_kills(void)
{
    struct itimerval v = {{0, 0}, {0, 1000}};
    signal(SIGALRM, SIG_DFL);
    setitimer(ITIMER_REAL, &v, NULL);
    for (;;)
        pause();
}

static void alarm_over_exec(void)
{
    struct itimerval v = {{0, 0}, {0, 50000}};
    setitimer(ITIMER_REAL, &v, NULL);
    execl("/bin/busybox", "sleep", "100", NULL);
}

// The kernel's own: the libraries' SIGEV_THREAD is made of it.
static long create(clockid_t c, int notify, int sig, int value, int *id)
{
    struct sigevent ev = {.sigev_notify = notify, .sigev_signo = sig, .sigev_value.sival_int = value};
    return syscall(SYS_timer_create, c, &ev, id);
}

static void posix(void)
{
    struct itimerspec v = {{0, 2000000}, {0, 2000000}}, old;
    struct sigaction sa = {.sa_sigaction = count_info, .sa_flags = SA_SIGINFO};
    int id = -1, id2;
    sigaction(SIGUSR1, &sa, NULL);
    SHOW(create(CLOCK_MONOTONIC, SIGEV_SIGNAL, SIGUSR1, 42, &id));
    SHOW(syscall(SYS_timer_settime, id, 0, &v, NULL));
    wait_for(4);
    SHOW(syscall(SYS_timer_gettime, id, &old));
    TRUE(old.it_interval.tv_nsec == 2000000 && old.it_value.tv_nsec <= 2000000 && old.it_value.tv_nsec > 0);
    // Blocked for many periods: one signal, and the rest counted.
    sigset_t set, none;
    sigemptyset(&set), sigaddset(&set, SIGUSR1), sigemptyset(&none);
    sigprocmask(SIG_BLOCK, &set, NULL);
    usleep(50000);
    siginfo_t info;
    SHOW(sigtimedwait(&set, &info, &(struct timespec){100, 0}) == SIGUSR1);
    TRUE(info.si_code == SI_TIMER && info.si_overrun >= 10);
    TRUE(syscall(SYS_timer_getoverrun, id) >= 10);
    memset(&v, 0, sizeof v);
    SHOW(syscall(SYS_timer_settime, id, 0, &v, &old));
    TRUE(old.it_interval.tv_nsec == 2000000);
    SHOW(syscall(SYS_timer_gettime, id, &old));
    TRUE(!old.it_value.tv_sec && !old.it_value.tv_nsec);
    SHOW(syscall(SYS_timer_delete, id));
    SHOW(syscall(SYS_timer_delete, id));
    SHOW(syscall(SYS_timer_gettime, id, &old));
    SHOW(syscall(SYS_timer_settime, id, 0, &v, NULL));
    SHOW(syscall(SYS_timer_getoverrun, -1));
    sigprocmask(SIG_UNBLOCK, &set, NULL);

    SHOW(create(CLOCK_MONOTONIC, SIGEV_NONE, 0, 0, &id2));
    v = (struct itimerspec){{0, 0}, {100, 0}};
    SHOW(syscall(SYS_timer_settime, id2, 0, &v, NULL));
    SHOW(syscall(SYS_timer_gettime, id2, &old));
    TRUE(old.it_value.tv_sec > 50 && old.it_value.tv_sec <= 100);
    v.it_value.tv_nsec = 1000000000;
    SHOW(syscall(SYS_timer_settime, id2, 0, &v, NULL));
    SHOW(syscall(SYS_timer_settime, id2, 0, BAD, NULL));
    SHOW(syscall(SYS_timer_settime, id2, 0, NULL, NULL));
    v = (struct itimerspec){{0, 0}, {0, 1}};
    SHOW(syscall(SYS_timer_settime, id2, TIMER_ABSTIME, &v, NULL));
    usleep(1000);
    SHOW(syscall(SYS_timer_gettime, id2, &old));
    TRUE(!old.it_value.tv_sec && !old.it_value.tv_nsec);
    SHOW(syscall(SYS_timer_delete, id2));
    SHOW(create(CLOCK_MONOTONIC, SIGEV_SIGNAL, 65, 0, &id2));
    SHOW(create(CLOCK_MONOTONIC, SIGEV_SIGNAL, 0, 0, &id2));
    SHOW(create(CLOCK_MONOTONIC, 77, SIGUSR1, 0, &id2));
    SHOW(create(CLOCK_MONOTONIC, SIGEV_THREAD_ID, SIGUSR1, 0, &id2));
    SHOW(create(100, SIGEV_SIGNAL, SIGUSR1, 0, &id2));
    SHOW(create(CLOCK_MONOTONIC_RAW, SIGEV_SIGNAL, SIGUSR1, 0, &id2));
    SHOW(create(CLOCK_MONOTONIC, SIGEV_SIGNAL, SIGUSR1, 0, (int *)BAD));
    SHOW(syscall(SYS_timer_create, CLOCK_MONOTONIC, BAD, &id2));
    on(SIGALRM, count);
    SHOW(syscall(SYS_timer_create, CLOCK_REALTIME, NULL, &id2));
    fired = 0;
    SHOW(syscall(SYS_timer_settime, id2, TIMER_ABSTIME, &v, NULL));
    wait_for(1);
    SHOW(fired);
    fired = 5;
    sigaction(SIGUSR2, &sa, NULL);
    SHOW(create(CLOCK_PROCESS_CPUTIME_ID, SIGEV_SIGNAL, SIGUSR2, 1, &id2));
    v.it_value.tv_nsec = 5000000;
    SHOW(syscall(SYS_timer_settime, id2, 0, &v, NULL));
    spin_for(6);
    SHOW(create(CLOCK_THREAD_CPUTIME_ID, SIGEV_SIGNAL, SIGUSR2, 1, &id2));
    SHOW(syscall(SYS_timer_settime, id2, 0, &v, NULL));
    spin_for(7);
    // Both kinds on one signal that is blocked: each has its own.
    sigaddset(&set, SIGRTMIN);
    sigprocmask(SIG_BLOCK, &set, NULL);
    v = (struct itimerspec){{0, 0}, {0, 1}};
    create(CLOCK_MONOTONIC, SIGEV_SIGNAL, SIGUSR1, 11, &id);
    create(CLOCK_MONOTONIC, SIGEV_SIGNAL, SIGUSR1, 12, &id2);
    syscall(SYS_timer_settime, id, 0, &v, NULL);
    int sum = 0;
    syscall(SYS_timer_settime, id2, 0, &v, NULL);
    usleep(5000);
    for (int i = 0; i < 2; i++)
        if (sigtimedwait(&set, &info, &(struct timespec){100, 0}) > 0)
            sum += info.si_value.sival_int;
    printf("values %d\n", sum);
    SHOW(sigtimedwait(&set, &info, &(struct timespec){0, 0}));
}

static void descriptors(void)
{
    struct itimerspec v = {{0, 2000000}, {0, 2000000}}, old;
    uint64_t n = 0;
    int fd = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK);
    TRUE(fd >= 0);
    SHOW(read(fd, &n, 8));
    SHOW(timerfd_settime(fd, 0, &v, NULL));
    struct pollfd p = {fd, POLLIN, 0};
    SHOW(poll(&p, 1, 1000));
    usleep(20000);
    SHOW(read(fd, &n, 8));
    TRUE(n >= 8);
    SHOW(read(fd, &n, 4));
    SHOW(timerfd_gettime(fd, &old));
    TRUE(old.it_interval.tv_nsec == 2000000);
    memset(&v, 0, sizeof v);
    SHOW(timerfd_settime(fd, 0, &v, &old));
    SHOW(read(fd, &n, 8));
    SHOW(timerfd_settime(fd, 8, &v, NULL));
    v.it_value.tv_nsec = -1;
    SHOW(timerfd_settime(fd, 0, &v, NULL));
    SHOW(timerfd_settime(0, 0, &old, NULL));
    SHOW(timerfd_settime(99, 0, &old, NULL));
    SHOW(timerfd_create(CLOCK_MONOTONIC, 1));
    SHOW(timerfd_create(CLOCK_PROCESS_CPUTIME_ID, 0));
    close(fd);
    fd = timerfd_create(CLOCK_REALTIME, 0);
    v = (struct itimerspec){{0, 0}, {1, 0}};
    SHOW(timerfd_settime(fd, TFD_TIMER_ABSTIME, &v, NULL));
    SHOW(read(fd, &n, 8));
    SHOW(n);
}

int main(void)
{
    child("itimers", itimers);
    child("alarms", alarms);
    child("alarm kills", alarm_kills);
    child("alarm over exec", alarm_over_exec);
    child("posix", posix);
    child("descriptors", descriptors);
    return 0;
}
