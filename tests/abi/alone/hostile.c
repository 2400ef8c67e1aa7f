// Linux calls with arguments made to hurt: bad pointers, addresses of ExOS and of the kernel, edges of ranges, one's own
// numbers. ROUNDS children make CALLS random calls each; none may harm anybody but itself, and each can be killed.
#define _GNU_SOURCE
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

enum { CALLS = 80, CALL_MAX = 455, PAGE = 4096, PATIENCE = 200 /* of 2 ms */ };

static uint64_t state;
static uint64_t rnd(void)
{
    state ^= state << 13;
    state ^= state >> 7;
    return state ^= state << 17;
}

// Not made: they end or stop the child at once, or reach its parent.
static int left_out(long nr)
{
    static const short list[] = {SYS_exit, SYS_exit_group, SYS_kill, SYS_tkill, SYS_tgkill, SYS_rt_sigreturn, SYS_pause,
                                 SYS_fork, SYS_vfork, SYS_clone, SYS_clone3, SYS_execve, SYS_execveat, SYS_rt_sigsuspend,
                                 SYS_reboot, SYS_munmap, SYS_mprotect, SYS_brk, SYS_mremap, SYS_madvise};
    for (unsigned i = 0; i < sizeof list / sizeof *list; i++)
        if (list[i] == nr)
            return 1;
    return 0;
}

static char *page; // readable; none before and behind

static uint64_t argument(void)
{
    switch (rnd() % 16) {
    case 0: return 0;
    case 1: return rnd() % 4;
    case 2: return rnd() % 64;
    case 3: return -1;
    case 4: return (uint64_t)page + rnd() % PAGE;
    case 5: return (uint64_t)page + PAGE - rnd() % 16;
    case 6:
    case 7: return (uint64_t)page + rnd() % 512 * 8;
    case 8: return 1ul << rnd() % 64;
    case 9: return (1ul << rnd() % 64) - 1;
    case 10: return 0x600000000000 + rnd() % 0x300000;  // ExOS
    case 11: return 0x604000000000 + rnd() % 0x4000000; // all memory of the family
    case 12: return 0xffffc00000000000 + rnd() % PAGE;  // what the kernel exposes
    case 13: return getpid();
    case 14: return rnd();
    default: return rnd() % 1000;
    }
}

static void child(void)
{
    char *three = mmap(NULL, 3 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    page = three + PAGE;
    mprotect(three, PAGE, PROT_NONE);
    mprotect(page + PAGE, PAGE, PROT_NONE);
    for (int i = 0; i < PAGE; i += 8) {
        uint64_t v = argument();
        memcpy(page + i, &v, 8);
    }
    strcpy(page + rnd() % 256, "/tmp/hostile");
    setsid();
    close(0), close(1), close(2);
    alarm(1);
    for (int i = 0; i < CALLS; i++) {
        long nr = rnd() % CALL_MAX;
        uint64_t a[6];
        for (int k = 0; k < 6; k++)
            a[k] = argument();
        if (nr == SYS_rt_sigqueueinfo || nr == SYS_rt_tgsigqueueinfo || nr == SYS_prlimit64)
            a[0] = getpid();
        if (!left_out(nr))
            syscall(nr, a[0], a[1], a[2], a[3], a[4], a[5]);
    }
    _exit(0);
}

// 0: it has ended, or could be ended.
static int wait_for(pid_t pid)
{
    for (int i = 0; i < PATIENCE; i++) {
        if (waitpid(pid, NULL, WNOHANG))
            return 0;
        usleep(2000);
    }
    kill(pid, SIGKILL);
    for (int i = 0; i < 50 * PATIENCE; i++) {
        if (waitpid(pid, NULL, WNOHANG))
            return 0;
        usleep(2000);
    }
    return 1;
}

int main(int argc, char **argv)
{
    int rounds = argc > 1 ? atoi(argv[1]) : 1;
    uint64_t seed = argc > 2 ? atol(argv[2]) : 1;
    for (int r = 0; r < rounds; r++) {
        pid_t pid = fork();
        if (!pid) {
            state = seed * 1000003 + r * 7919 + 1;
            child();
        }
        if (wait_for(pid)) {
            printf("round %d cannot be killed\n", r);
            return 1;
        }
    }
    puts("unharmed");
    return 0;
}
