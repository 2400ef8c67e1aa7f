// What fork, vfork and posix_spawn share and what they do not: every write is seen by who should see it.
#include "abi.h"
#include <spawn.h>
#include <sys/mman.h>

extern char **environ;
static int shared;
enum { BIG = 8 << 20, ANON = 1 << 20, PAGE_BYTES = 4096 };

static int status_of(pid_t p)
{
    int status = -1;
    waitpid(p, &status, 0);
    return status;
}

static void fill(char *m, int from, int to, char v)
{
    for (int i = from; i < to; i += PAGE_BYTES)
        m[i] = v;
}

static int others(const char *m, int from, int to, char v)
{
    int n = 0;
    for (int i = from; i < to; i += PAGE_BYTES)
        n += m[i] != v;
    return n;
}

static void spawns(void)
{
    char *argv[] = {"true", NULL};
    pid_t p = 0;
    printf("spawn of nothing: %s\n", strerrorname(posix_spawn(&p, "/nonexistent", NULL, NULL, argv, environ)));
    printf("spawn: %d\n", posix_spawn(&p, "/bin/true", NULL, NULL, argv, environ));
    printf("status %x\n", status_of(p));
    if (!(p = vfork())) {
        shared = 42;
        _exit(7);
    }
    printf("vfork: %x, shared %d\n", status_of(p), shared);
    if (!(p = vfork())) {
        shared = 43;
        execl("/bin/sh", "sh", "-c", "exit 9", (char *)NULL);
        _exit(1);
    }
    printf("vfork and exec: %x, shared %d\n", status_of(p), shared);
    fflush(stdout);
    printf("system: %x\n", system("exit 3"));
}

// Grandchild, child and parent write to the same addresses, some of which the child has unmapped or protected.
static int run_child(char *m, char *s)
{
    int bad = munmap(m + 100 * PAGE_BYTES, 50 * PAGE_BYTES) | mprotect(m + (4 << 20), PAGE_BYTES, PROT_READ);
    bad += others(m, 5 << 20, BIG, 1);
    fill(m, 5 << 20, BIG, 2);
    fill(s, 0, ANON, 7);
    pid_t p = fork();
    if (!p) {
        bad = others(m, 5 << 20, BIG, 2);
        fill(m, 5 << 20, BIG, 3);
        _exit(bad + others(m, 5 << 20, BIG, 3));
    }
    fill(m, 5 << 20, BIG, 4);
    bad += status_of(p) + others(m, 5 << 20, BIG, 4);
    return bad;
}

int main(void)
{
    spawns();
    char *m = mmap(NULL, BIG, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    char *s = mmap(NULL, ANON, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    for (int round = 0; round < 20; round++) {
        fill(m, 0, BIG, 1);
        fill(s, 0, ANON, 1);
        fflush(stdout);
        pid_t p = fork();
        if (!p)
            _exit(run_child(m, s));
        fill(m, 0, 4 << 20, 9);
        int status = status_of(p);
        printf("round %d: child %x, parent %d %d, shared %d\n", round, status, others(m, 0, 4 << 20, 9),
               others(m, 4 << 20, BIG, 1), others(s, 0, ANON, 7));
    }
    return 0;
}
