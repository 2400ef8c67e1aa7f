// Clocks: that they run, agree, and refuse what is wrong.
#include "abi.h"
#include <pthread.h>
#include <sys/resource.h>
#include <sys/time.h>
#include <sys/timex.h>

static long long now(clockid_t c)
{
    struct timespec t;
    return syscall(SYS_clock_gettime, c, &t) ? -1 : t.tv_sec * 1000000000ll + t.tv_nsec;
}

static void spin(long long ns)
{
    long long until = now(CLOCK_THREAD_CPUTIME_ID) + ns;
    while (now(CLOCK_THREAD_CPUTIME_ID) < until)
        ;
}

static void on_signal(int sig) { (void)sig; }

static void *spinner(void *arg)
{
    spin(20000000);
    return arg;
}

static void handler(int sig) { (void)sig; }

static void interrupted(void)
{
    struct sigaction sa = {.sa_handler = handler};
    struct itimerval v = {{0, 0}, {0, 20000}};
    struct timespec t = {100, 0}, rem = {0, 0};
    sigaction(SIGALRM, &sa, NULL);
    setitimer(ITIMER_REAL, &v, NULL);
    SHOW(syscall(SYS_nanosleep, &t, &rem));
    TRUE(rem.tv_sec > 50 && rem.tv_sec < 100);
    setitimer(ITIMER_REAL, &v, NULL);
    SHOW(syscall(SYS_clock_nanosleep, CLOCK_MONOTONIC, 0, &t, &rem));
    TRUE(rem.tv_sec > 50 && rem.tv_sec < 100);
    clock_gettime(CLOCK_MONOTONIC, &t);
    t.tv_sec += 100;
    rem.tv_sec = 7;
    setitimer(ITIMER_REAL, &v, NULL);
    SHOW(syscall(SYS_clock_nanosleep, CLOCK_MONOTONIC, TIMER_ABSTIME, &t, &rem));
    TRUE(rem.tv_sec == 7);
    // An ignored signal, or a stop and continue, does not end a sleep.
    signal(SIGALRM, SIG_IGN);
    setitimer(ITIMER_REAL, &v, NULL);
    t = (struct timespec){0, 60000000};
    long long before = now(CLOCK_MONOTONIC);
    SHOW(syscall(SYS_nanosleep, &t, NULL));
    TRUE(now(CLOCK_MONOTONIC) - before >= 60000000);
    pid_t me = getpid(), kid = fork();
    if (!kid) {
        struct timespec w = {0, 20000000};
        nanosleep(&w, NULL);
        kill(me, SIGSTOP);
        nanosleep(&w, NULL);
        kill(me, SIGCONT);
        _exit(0);
    }
    t = (struct timespec){0, 100000000};
    before = now(CLOCK_MONOTONIC);
    SHOW(syscall(SYS_nanosleep, &t, NULL));
    TRUE(now(CLOCK_MONOTONIC) - before >= 100000000);
    waitpid(kid, NULL, 0);
}

int main(void)
{
    static const int clocks[] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 100, -3};
    struct timespec t = {0, 1}, r;
    for (unsigned i = 0; i < sizeof clocks / sizeof *clocks; i++) {
        printf("clock %d\n", clocks[i]);
        WORKS(syscall(SYS_clock_gettime, clocks[i], &r));
        WORKS(syscall(SYS_clock_getres, clocks[i], NULL));
        if (clocks[i] != CLOCK_PROCESS_CPUTIME_ID) // nobody else's work would end it
            WORKS(syscall(SYS_clock_nanosleep, clocks[i], 0, &t, NULL));
    }
    SHOW(syscall(SYS_clock_gettime, 1, BAD));
    SHOW(syscall(SYS_clock_getres, 1, &r));
    printf("%ld %ld\n", (long)r.tv_sec, r.tv_nsec);
    SHOW(syscall(SYS_clock_settime, CLOCK_MONOTONIC, &t));
    t.tv_nsec = 1000000000;
    SHOW(syscall(SYS_clock_settime, CLOCK_REALTIME, &t));
    SHOW(syscall(SYS_nanosleep, &t, NULL));
    t = (struct timespec){-1, 0};
    SHOW(syscall(SYS_nanosleep, &t, NULL));
    SHOW(syscall(SYS_nanosleep, BAD, NULL));
    t = (struct timespec){0, 0};
    SHOW(syscall(SYS_nanosleep, &t, NULL));
    SHOW(syscall(SYS_clock_nanosleep, CLOCK_MONOTONIC, TIMER_ABSTIME, &t, NULL));
    SHOW(syscall(SYS_clock_nanosleep, CLOCK_REALTIME, TIMER_ABSTIME, &t, NULL));

    long long a = now(CLOCK_MONOTONIC), b = now(CLOCK_MONOTONIC);
    TRUE(b >= a && a > 0);
    for (int i = 0; i < 100000; i++) {
        b = now(CLOCK_MONOTONIC);
        if (b < a)
            printf("the clock ran backwards\n");
        a = b;
    }
    t = (struct timespec){0, 30000000};
    a = now(CLOCK_MONOTONIC);
    SHOW(syscall(SYS_nanosleep, &t, NULL));
    TRUE(now(CLOCK_MONOTONIC) - a >= 30000000);
    struct timeval tv;
    SHOW(syscall(SYS_gettimeofday, &tv, NULL));
    long long real = now(CLOCK_REALTIME), day = tv.tv_sec * 1000000000ll + tv.tv_usec * 1000ll;
    TRUE(real >= day && real - day < 1000000000);
    TRUE(real > 1700000000000000000ll);
    time_t sec = 0;
    TRUE(syscall(SYS_time, &sec) == sec && sec - real / 1000000000 <= 1);
    SHOW(syscall(SYS_time, BAD));
    SHOW(syscall(SYS_gettimeofday, BAD, NULL));
    // The library's own, which may not be a system call.
    struct timespec lib;
    TRUE(!clock_gettime(CLOCK_MONOTONIC, &lib) && lib.tv_sec * 1000000000ll + lib.tv_nsec >= a);
    TRUE(time(NULL) >= sec);

    struct timex x = {0};
    TRUE(syscall(SYS_adjtimex, &x) >= 0 && x.tick == 10000 && x.time.tv_sec >= sec);
    SHOW(syscall(SYS_adjtimex, BAD));
    SHOW(syscall(SYS_clock_adjtime, CLOCK_MONOTONIC, &x));
    SHOW(syscall(SYS_clock_adjtime, 100, &x));

    // Processor time passes while working, not while sleeping.
    long long p0 = now(CLOCK_PROCESS_CPUTIME_ID), w0 = now(CLOCK_MONOTONIC);
    spin(30000000);
    long long p1 = now(CLOCK_PROCESS_CPUTIME_ID);
    TRUE(p1 - p0 >= 30000000);
    TRUE(now(CLOCK_MONOTONIC) - w0 >= 29000000);
    struct rusage u;
    getrusage(RUSAGE_SELF, &u);
    TRUE(u.ru_utime.tv_sec * 1000000 + u.ru_utime.tv_usec + u.ru_stime.tv_sec * 1000000 + u.ru_stime.tv_usec > 10000);
    t = (struct timespec){1, 0}; // a busy host lends its own time to the machine while it works
    p0 = now(CLOCK_PROCESS_CPUTIME_ID);
    nanosleep(&t, NULL);
    TRUE(now(CLOCK_PROCESS_CPUTIME_ID) - p0 < 700000000);
    pthread_t thread;
    clockid_t its;
    long long t0 = now(CLOCK_THREAD_CPUTIME_ID);
    p0 = now(CLOCK_PROCESS_CPUTIME_ID);
    pthread_create(&thread, NULL, spinner, NULL);
    SHOW(pthread_getcpuclockid(thread, &its));
    pthread_join(thread, NULL);
    t0 = now(CLOCK_THREAD_CPUTIME_ID) - t0;
    TRUE(now(CLOCK_PROCESS_CPUTIME_ID) - p0 - t0 >= 20000000);
    clock_getcpuclockid(1, &its);
    WORKS(syscall(SYS_clock_gettime, its, &r));
    signal(SIGUSR1, on_signal);
    child("interrupted", interrupted);
    return 0;
}
