// A fork bomb inside a limit of processes ends in EAGAIN, one in memory in ENOMEM; the machine lives.
#include "abi.h"
#include <sys/mman.h>
#include <sys/resource.h>

static int bomb(void)
{
    for (;;) {
        pid_t p = fork();
        if (p < 0)
            return errno;
        if (!p)
            for (;;)
                pause();
    }
}

// Children that each fill a MiB, until there is no more.
static int memory_bomb(void)
{
    static pid_t child[20000];
    int n = 0, reaped = 0;
    for (; n < (int)(sizeof child / sizeof *child); n++) {
        pid_t p = fork();
        if (p < 0)
            break;
        if (!p) {
            char *m = mmap(NULL, 1 << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
            if (m != MAP_FAILED)
                memset(m, 1, 1 << 20);
            for (;;)
                pause();
        }
        child[n] = p;
    }
    printf("%s: %s\n", n > 10 ? "many" : "few", errno == EAGAIN || errno == ENOMEM ? "no more" : strerrorname(errno));
    for (int i = 0; i < n; i++)
        kill(child[i], SIGKILL);
    while (wait(NULL) > 0)
        reaped++;
    printf("%s reaped\n", reaped == n ? "all" : "some");
    return system("echo alive");
}

// With an argument: until the whole machine's memory is gone. Not for a machine that others use.
int main(int argc, char **argv)
{
    setvbuf(stdout, NULL, _IONBF, 0);
    if (argc > 1)
        return puts(argv[1]) < 0 ? 1 : memory_bomb();
    pid_t p = fork();
    if (!p) {
        setpgid(0, 0);
        if (setuid(1000))
            _exit(1);
        struct rlimit r = {100, 100};
        setrlimit(RLIMIT_NPROC, &r);
        int e = bomb();
        printf("bomb: %s\n", strerrorname(e));
        signal(SIGTERM, SIG_IGN);
        kill(0, SIGTERM);
        signal(SIGTERM, SIG_DFL);
        _exit(e == EAGAIN ? 0 : 2);
    }
    int status;
    waitpid(p, &status, 0);
    printf("status %x\n", status);
    // An address space that may not grow.
    if (!(p = fork())) {
        struct rlimit r = {64 << 20, 64 << 20};
        setrlimit(RLIMIT_AS, &r);
        int n = 0;
        while (n < 1000 && mmap(NULL, 1 << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) != MAP_FAILED)
            n++;
        printf("mmap until %s: %s\n", strerrorname(errno), n && n < 64 ? "some" : "all or none");
        _exit(0);
    }
    waitpid(p, &status, 0);
    printf("status %x\n", status);
    return system("echo alive");
}
