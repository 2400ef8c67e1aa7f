// Signals: order, masks, flags, what handlers are told, interrupted calls, stops.
#include "abi.h"
#include <fcntl.h>
#include <poll.h>
#include <setjmp.h>
#include <sys/signalfd.h>
#include <sys/time.h>
#include <ucontext.h>

static volatile int log_[64], logged;
static void note(int s) { log_[logged++ & 63] = s; }
static void logs(const char *what)
{
    printf("%s:", what);
    for (int i = 0; i < logged; i++)
        printf(" %d", log_[i]);
    putchar('\n');
    logged = 0;
}
static void on(int s, void (*fn)(int), int flags)
{
    struct sigaction a = {.sa_handler = fn, .sa_flags = flags};
    sigaction(s, &a, NULL);
}
static sigset_t set_of(int a, int b)
{
    sigset_t s;
    sigemptyset(&s);
    sigaddset(&s, a);
    if (b)
        sigaddset(&s, b);
    return s;
}

static void basics(void)
{
    SHOW(syscall(SYS_rt_sigaction, 0, NULL, NULL, 8));
    SHOW(syscall(SYS_rt_sigaction, 65, NULL, NULL, 8));
    SHOW(syscall(SYS_rt_sigaction, SIGKILL, &(char[32]){0}, NULL, 8));
    SHOW(syscall(SYS_rt_sigaction, SIGUSR1, NULL, NULL, 4));
    SHOW(syscall(SYS_rt_sigprocmask, 9, &(long){0}, NULL, 8));
    SHOW(syscall(SYS_rt_sigprocmask, 0, BAD, NULL, 8));
    SHOW(kill(getpid(), 0));
    SHOW(kill(getpid(), 99));
    SHOW(kill(99999, 0));
    SHOW(kill(-99999, 0));
    SHOW(syscall(SYS_tgkill, getpid(), 99999, 0));
    SHOW(syscall(SYS_tgkill, -1, 1, 0));
    SHOW(syscall(SYS_tkill, getpid(), 65));
    on(SIGUSR1, note, 0), on(SIGUSR2, note, 0), on(SIGHUP, note, 0);
    raise(SIGUSR1);
    logs("one");
    sigset_t m = set_of(SIGUSR1, SIGUSR2), p;
    sigprocmask(SIG_BLOCK, &m, NULL);
    raise(SIGUSR2), raise(SIGUSR1), raise(SIGUSR1), raise(SIGHUP);
    sigpending(&p);
    printf("pending %d %d\n", sigismember(&p, SIGUSR1), sigismember(&p, SIGHUP));
    logs("blocked");
    sigprocmask(SIG_UNBLOCK, &m, NULL);
    logs("unblocked");
    signal(SIGUSR1, SIG_IGN);
    sigprocmask(SIG_BLOCK, &m, NULL);
    raise(SIGUSR1);
    sigpending(&p);
    printf("ignored pending %d\n", sigismember(&p, SIGUSR1));
    sigset_t all;
    sigfillset(&all);
    sigprocmask(SIG_SETMASK, &all, NULL);
    sigprocmask(SIG_SETMASK, NULL, &all);
    printf("kill blockable %d\n", sigismember(&all, SIGKILL));
}

static void reenter(int s)
{
    note(s);
    if (logged < 4)
        raise(s);
    note(-s);
}

static void flags(void)
{
    on(SIGUSR1, reenter, 0);
    raise(SIGUSR1);
    logs("deferred");
    on(SIGUSR1, reenter, SA_NODEFER);
    raise(SIGUSR1);
    logs("nested");
    on(SIGUSR1, note, SA_RESETHAND);
    raise(SIGUSR1);
    struct sigaction a;
    sigaction(SIGUSR1, NULL, &a);
    TRUE(a.sa_handler == SIG_DFL);
    struct sigaction b = {.sa_handler = note};
    sigaddset(&b.sa_mask, SIGUSR2);
    sigaction(SIGUSR1, &b, NULL);
    sigaction(SIGUSR1, NULL, &a);
    printf("%d %d\n", sigismember(&a.sa_mask, SIGUSR2), sigismember(&a.sa_mask, SIGHUP));
}

static void told(int s, siginfo_t *i, void *u)
{
    ucontext_t *c = u;
    printf("signal %d code %d mine %d value %d fp %d\n", s, i->si_code, i->si_pid == getpid(), i->si_code == SI_QUEUE ? i->si_value.sival_int : 0,
           c->uc_mcontext.fpregs != NULL);
}

static void divided(int s, siginfo_t *i, void *u)
{
    ucontext_t *c = u;
    printf("signal %d code %d trap %lld\n", s, i->si_code, (long long)c->uc_mcontext.gregs[REG_TRAPNO]);
    c->uc_mcontext.gregs[REG_RIP] += 2;
}

static void informed(void)
{
    struct sigaction a = {.sa_sigaction = told, .sa_flags = SA_SIGINFO};
    sigaction(SIGUSR1, &a, NULL), sigaction(SIGRTMIN + 1, &a, NULL), sigaction(SIGRTMIN + 2, &a, NULL);
    raise(SIGUSR1);
    kill(getpid(), SIGUSR1);
    sigset_t m = set_of(SIGRTMIN + 1, SIGRTMIN + 2);
    sigprocmask(SIG_BLOCK, &m, NULL);
    for (int n = 0; n < 3; n++) {
        sigqueue(getpid(), SIGRTMIN + 2, (union sigval){.sival_int = n});
        sigqueue(getpid(), SIGRTMIN + 1, (union sigval){.sival_int = 10 + n});
    }
    siginfo_t i;
    struct timespec none = {0, 0};
    SHOW(sigtimedwait(&m, &i, &none) - SIGRTMIN);
    SHOW(i.si_value.sival_int);
    sigprocmask(SIG_UNBLOCK, &m, NULL);
    SHOW(sigtimedwait(&m, &i, &none));
    SHOW(sigqueue(getpid(), 0, (union sigval){0}));
    a.sa_sigaction = divided;
    sigaction(SIGFPE, &a, NULL), sigaction(SIGILL, &a, NULL);
    __asm__ volatile("xor %%edx, %%edx; mov $1, %%eax; xor %%ecx, %%ecx; div %%ecx" ::: "rax", "rcx", "rdx");
    __asm__ volatile("ud2");
}

static void registers(void)
{
    on(SIGALRM, note, SA_RESTART);
    struct itimerval t = {{0, 2000}, {0, 2000}};
    setitimer(ITIMER_REAL, &t, NULL);
    double x = 1.0, y = 0;
    long sum = 0;
    for (long i = 0; logged < 20; i++) {
        x = x * 1.0000001, y += x, sum += i & 7;
        __asm__ volatile("" : "+x"(x), "+x"(y), "+r"(sum));
        if (i == 1 << 20)
            i = 0, x = 1.0, y = 0, sum = 0;
    }
    setitimer(ITIMER_REAL, &(struct itimerval){0}, NULL);
    TRUE(x >= 1.0 && x < 1.2);
    logged = 0;
    // The red zone and every register live through a signal.
    volatile long ok = 1;
    setitimer(ITIMER_REAL, &t, NULL);
    while (logged < 10) {
        long r;
        __asm__ volatile("movq $0x1234, -8(%%rsp); mov $100000, %%ecx; 1: dec %%ecx; jnz 1b; mov -8(%%rsp), %0" : "=r"(r)::"rcx", "memory", "cc");
        ok &= r == 0x1234;
    }
    setitimer(ITIMER_REAL, &(struct itimerval){0}, NULL);
    SHOW(ok);
    logged = 0;
}

static void interrupted(void)
{
    int p[2];
    char c;
    if (pipe(p))
        exit(1);
    struct itimerval t = {{0, 0}, {0, 30000}};
    on(SIGALRM, note, 0);
    setitimer(ITIMER_REAL, &t, NULL);
    SHOW(read(p[0], &c, 1));
    logs("read");
    setitimer(ITIMER_REAL, &t, NULL);
    SHOW(poll(NULL, 0, -1));
    setitimer(ITIMER_REAL, &t, NULL);
    SHOW(pause());
    setitimer(ITIMER_REAL, &t, NULL);
    struct timespec rest, want = {50, 0};
    SHOW(nanosleep(&want, &rest));
    TRUE(rest.tv_sec > 0);
    setitimer(ITIMER_REAL, &t, NULL);
    SHOW(waitpid(-1, NULL, 0));
    logged = 0;
    on(SIGALRM, note, SA_RESTART);
    fflush(stdout);
    if (!fork()) {
        usleep(150000);
        _exit(write(p[1], "x", 1) == 1 ? 7 : 8);
    }
    setitimer(ITIMER_REAL, &t, NULL);
    SHOW(read(p[0], &c, 1));
    logs("restarted");
    setitimer(ITIMER_REAL, &t, NULL);
    SHOW(poll(NULL, 0, -1));
    int status;
    SHOW(wait(&status) > 0);
    SHOW(WEXITSTATUS(status));
    sigset_t none, m = set_of(SIGUSR1, 0), now;
    sigemptyset(&none);
    on(SIGUSR1, note, 0);
    sigprocmask(SIG_BLOCK, &m, NULL);
    raise(SIGUSR1);
    logged = 0;
    SHOW(sigsuspend(&none));
    logs("suspend");
    sigprocmask(SIG_SETMASK, NULL, &now);
    SHOW(sigismember(&now, SIGUSR1));
    raise(SIGUSR1);
    struct timespec soon = {0, 1000000};
    SHOW(ppoll(NULL, 0, &soon, &none));
    SHOW(ppoll(NULL, 0, &soon, &m));
    int s = signalfd(-1, &m, SFD_NONBLOCK);
    struct signalfd_siginfo i;
    SHOW(read(s, &i, sizeof i));
    raise(SIGUSR1);
    SHOW(poll(&(struct pollfd){s, POLLIN, 0}, 1, 0));
    SHOW(read(s, &i, sizeof i));
    SHOW(i.ssi_signo);
    SHOW(read(s, &i, 5));
}

static void stops(void)
{
    int status, go[2]; // the child must not be gone before its going on has been told
    char c;
    pid_t p = pipe(go) ? -1 : fork();
    if (!p) {
        raise(SIGSTOP);
        _exit(read(go[0], &c, 1) == 1 ? 3 : 4);
    }
    SHOW(waitpid(p, &status, WUNTRACED) == p);
    printf("%x\n", status);
    SHOW(waitpid(p, &status, WUNTRACED | WNOHANG));
    kill(p, SIGCONT);
    SHOW(waitpid(p, &status, WCONTINUED) == p);
    printf("%x\n", status);
    SHOW(write(go[1], "g", 1));
    SHOW(waitpid(p, &status, 0) == p);
    printf("%x\n", status);
    SHOW(waitpid(p, &status, 0));
    p = fork();
    if (!p)
        for (;;)
            pause();
    siginfo_t i;
    kill(p, SIGSTOP);
    SHOW(waitid(P_PID, p, &i, WSTOPPED | WNOWAIT));
    printf("%d %d %d\n", i.si_signo, i.si_code, i.si_status);
    kill(p, SIGKILL);
    SHOW(waitid(P_PID, p, &i, WEXITED));
    printf("%d %d %d\n", i.si_signo, i.si_code, i.si_status);
    SHOW(waitid(P_ALL, 0, &i, WEXITED | WNOHANG));
    SHOW(waitid(P_ALL, 0, &i, 0));
    p = fork();
    if (!p) {
        setpgid(0, 0);
        if (!fork())
            for (;;)
                pause();
        for (;;)
            pause();
    }
    usleep(50000);
    SHOW(kill(-p, SIGTERM));
    SHOW(waitpid(-p, &status, 0) == p);
    SHOW(WTERMSIG(status));
    on(SIGCHLD, note, 0);
    logged = 0;
    p = fork();
    if (!p)
        _exit(0);
    while (!logged)
        usleep(1000);
    logs("child");
    SHOW(waitpid(p, &status, 0) == p);
    signal(SIGCHLD, SIG_IGN);
    p = fork();
    if (!p)
        _exit(0);
    SHOW(waitpid(p, &status, 0));
}

static sigjmp_buf out;
static char *low;
static void jump(int s)
{
    char here;
    TRUE(&here > low && &here < low + 65536);
    siglongjmp(out, s);
}

static void stacks(void)
{
    low = malloc(65536);
    stack_t st = {.ss_sp = low, .ss_size = 65536}, old;
    SHOW(sigaltstack(&st, NULL));
    on(SIGUSR1, jump, SA_ONSTACK);
    int s = sigsetjmp(out, 1);
    if (!s)
        raise(SIGUSR1);
    SHOW(s);
    sigset_t m;
    sigprocmask(SIG_SETMASK, NULL, &m);
    SHOW(sigismember(&m, SIGUSR1));
    SHOW(sigaltstack(NULL, &old));
    printf("%d %d\n", old.ss_flags, old.ss_sp == low);
    st.ss_size = 100;
    SHOW(sigaltstack(&st, NULL));
    st.ss_flags = SS_DISABLE;
    SHOW(sigaltstack(&st, NULL));
}

static void dies_abrt(void) { abort(); }
static void dies_segv(void) { *(volatile char *)16 = 1; }
static void dies_blocked_segv(void)
{
    sigset_t m = set_of(SIGSEGV, 0);
    sigprocmask(SIG_BLOCK, &m, NULL);
    signal(SIGSEGV, SIG_IGN);
    *(volatile char *)16 = 1;
}
static void dies_rt(void) { raise(SIGRTMAX); }
static void dies_pipe(void)
{
    int p[2];
    if (!pipe(p)) {
        close(p[0]);
        SHOW(write(p[1], "x", 1));
    }
}
static void lives_chld(void) { raise(SIGCHLD), raise(SIGURG), raise(SIGWINCH), raise(SIGCONT); }

int main(void)
{
    child("basics", basics);
    child("flags", flags);
    child("informed", informed);
    child("registers", registers);
    child("interrupted", interrupted);
    child("stops", stops);
    child("stacks", stacks);
    child("abort", dies_abrt);
    child("segv", dies_segv);
    child("blocked segv", dies_blocked_segv);
    child("real-time", dies_rt);
    child("pipe", dies_pipe);
    child("ignored by default", lives_chld);
}
