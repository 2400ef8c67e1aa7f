// Memory: mappings, protections, what a fault tells, sharing.
#include "abi.h"
#include <fcntl.h>
#include <setjmp.h>
#include <sys/mman.h>
#include <sys/resource.h>

enum { P = 4096 };
static sigjmp_buf jump;
static volatile char ready;
static volatile int code, sig;
static void *volatile where;

static void caught(int s, siginfo_t *i, void *u)
{
    (void)u;
    if (!ready)
        _exit(99);
    sig = s, code = i->si_code, where = i->si_addr;
    siglongjmp(jump, 1);
}

static void touch(const char *what, volatile char *at, int write)
{
    sig = 0;
    if (!sigsetjmp(jump, 1)) {
        ready = 1;
        if (write)
            *at = 1;
        else
            (void)*at;
    }
    ready = 0;
    printf("%s: %s %d code %d %s\n", what, write ? "write" : "read", sig, sig ? code : 0, !sig || where == (void *)at ? "here" : "elsewhere");
}

static char *map(size_t len, int prot, int flags, int fd, off_t off)
{
    char *p = mmap(NULL, len, prot, flags, fd, off);
    if (p == MAP_FAILED)
        printf("mmap: %s\n", strerrorname(errno));
    return p;
}

static void anonymous(void)
{
    SHOW((long)mmap(NULL, 0, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
    SHOW((long)mmap(NULL, P, PROT_READ, MAP_ANONYMOUS, -1, 0));
    SHOW((long)mmap((void *)123, P, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0));
    SHOW((long)mmap(NULL, P, PROT_READ, MAP_PRIVATE, 77, 0));
    SHOW((long)mmap(NULL, P, PROT_READ, MAP_PRIVATE, 0, 5));
    SHOW((long)mmap(NULL, 1ul << 47, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0));
    char *p = map(8 * P, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    p[P] = 5;
    SHOW(mprotect(p, P, PROT_READ));
    touch("read-only", p, 0);
    touch("read-only", p, 1);
    touch("next", p + P, 1);
    SHOW(mprotect(p + 2 * P, P, PROT_NONE));
    touch("none", p + 2 * P, 0);
    SHOW(mprotect(p + 2 * P, P, PROT_READ | PROT_WRITE));
    touch("again", p + 2 * P, 1);
    SHOW(munmap(p + 3 * P, P));
    touch("hole", p + 3 * P, 0);
    SHOW(mprotect(p, 8 * P, PROT_READ));
    touch("before the hole", p + P, 1);
    touch("after the hole", p + 4 * P, 1);
    SHOW(munmap(p + 3 * P, P));
    SHOW(munmap(p + 1, P));
    SHOW(munmap(p, 0));
    SHOW(mprotect(p + 1, P, PROT_READ));
    touch("null", NULL, 0);
    touch("high", (char *)0xffff800000000000, 0);
    char *q = mmap(p + 3 * P, P, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
    TRUE(q == p + 3 * P);
    SHOW((long)mmap(p + 3 * P, P, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0));
    char *r = map(4 * P, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    r[0] = 7;
    SHOW(madvise(r, P, MADV_DONTNEED));
    SHOW(r[0]);
    SHOW(madvise(r, P, 12345));
    SHOW(madvise(r + 1, P, MADV_DONTNEED));
    unsigned char in[4];
    r[2 * P] = 1;
    SHOW(mincore(r, 4 * P, in));
    printf("%d\n", in[2] & 1);
    SHOW(mlock(r, P));
    SHOW(munlock(r, P));
    SHOW(msync(r, P, MS_SYNC));
    SHOW(msync(r, P, MS_SYNC | MS_ASYNC));
}

static void moving(void)
{
    char *p = map(4 * P, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    for (int i = 0; i < 4; i++)
        p[i * P] = i + 1;
    char *q = mremap(p, 4 * P, 100 * P, MREMAP_MAYMOVE);
    TRUE(q != MAP_FAILED);
    printf("%d %d %d\n", q[0], q[3 * P], q[99 * P]);
    q = mremap(q, 100 * P, 2 * P, 0);
    touch("cut", q + 2 * P, 0);
    char *to = map(10 * P, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    char *r = mremap(q, 2 * P, 2 * P, MREMAP_MAYMOVE | MREMAP_FIXED, to + P);
    TRUE(r == to + P);
    printf("%d %d\n", r[0], r[P]);
    touch("left", q, 0);
    SHOW((long)mremap(q, P, P, 0));
    SHOW((long)mremap(r + 1, P, P, 0));
    SHOW((long)mremap(r, P, 0, 0));
    char *b = (char *)syscall(SYS_brk, 0);
    TRUE((char *)syscall(SYS_brk, b + 10 * P) == b + 10 * P);
    b[10 * P - 1] = 3;
    TRUE((char *)syscall(SYS_brk, b) == b);
    TRUE((char *)syscall(SYS_brk, 16) == b);
}

static void files(void)
{
    int fd = open("/tmp/memory.file", O_RDWR | O_CREAT | O_TRUNC, 0600);
    if (ftruncate(fd, 2 * P + 100))
        exit(1);
    char *s = map(4 * P, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0), *v = map(3 * P, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0);
    s[0] = 'a';
    char c;
    SHOW(pread(fd, &c, 1, 0));
    printf("%c %c\n", c, v[0]);
    v[0] = 'b';
    SHOW(pread(fd, &c, 1, 0));
    printf("%c %c\n", c, s[0]);
    SHOW(pwrite(fd, "zz", 2, P));
    printf("%c %c\n", s[P], v[P]);
    touch("behind the end, same page", s + 2 * P + 200, 1);
    touch("behind the end", s + 3 * P, 0);
    SHOW(ftruncate(fd, P));
    touch("cut", s + P, 0);
    touch("cut, private copy", v + P, 0);
    SHOW(ftruncate(fd, 3 * P));
    printf("%d\n", s[2 * P + 200]);
    int ro = open("/tmp/memory.file", O_RDONLY), wo = open("/tmp/memory.file", O_WRONLY);
    SHOW((long)mmap(NULL, P, PROT_READ | PROT_WRITE, MAP_SHARED, ro, 0));
    SHOW((long)mmap(NULL, P, PROT_READ, MAP_SHARED, wo, 0));
    char *r = map(P, PROT_READ, MAP_SHARED, ro, 0);
    SHOW(mprotect(r, P, PROT_READ | PROT_WRITE));
    close(fd), close(ro), close(wo);
    SHOW(unlink("/tmp/memory.file"));
    s[1] = 'q';
    printf("%c %c\n", r[0], r[1]);
}

static void sharing(void)
{
    int *s = (int *)map(P, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    int *v = (int *)map(P, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    *s = *v = 1;
    fflush(stdout);
    for (int i = 0; i < 5; i++) {
        if (!fork()) {
            __atomic_add_fetch(s, 1, __ATOMIC_SEQ_CST);
            *v += 10;
            _exit(*v);
        }
    }
    int status, sum = 0;
    while (wait(&status) > 0)
        sum += WEXITSTATUS(status);
    printf("%d %d %d\n", *s, *v, sum);
}

static int deep(int n)
{
    volatile char pad[1024];
    pad[0] = n;
    return n ? deep(n - 1) + pad[0] * 0 + 1 : 0;
}

static void stack(void)
{
    SHOW(deep(6000));
    char *alt = malloc(65536);
    sigaltstack(&(stack_t){.ss_sp = alt, .ss_size = 65536}, NULL);
    sig = 0;
    if (!sigsetjmp(jump, 1)) {
        ready = 1;
        deep(1 << 20);
    }
    printf("overflow: %d\n", sig);
    struct rlimit l = {64 << 20, 64 << 20};
    SHOW(setrlimit(RLIMIT_AS, &l));
    SHOW((long)mmap(NULL, 100 << 20, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
}

static void code_runs(void)
{
    unsigned char *p = (unsigned char *)map(P, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    memcpy(p, "\xb8\x2a\x00\x00\x00\xc3", 6);
    sig = 0;
    if (!sigsetjmp(jump, 1)) {
        ready = 1;
        ((int (*)(void))p)();
    }
    printf("not executable: %d code %d\n", sig, code);
    SHOW(mprotect(p, P, PROT_READ | PROT_EXEC));
    SHOW(((int (*)(void))p)());
    // a system call made by hand, patched or not, more than once
    memcpy((mprotect(p, P, PROT_READ | PROT_WRITE | PROT_EXEC), p), "\xb8\x27\x00\x00\x00\x0f\x05\xc3", 8);
    for (int i = 0; i < 3; i++)
        TRUE(((int (*)(void))p)() == getpid());
    memcpy(p, "\x31\xc0\xb0\x27\x0f\x05\xc3", 7);
    for (int i = 0; i < 3; i++)
        TRUE(((int (*)(void))p)() == getpid());
}

int main(void)
{
    struct sigaction a = {.sa_sigaction = caught, .sa_flags = SA_SIGINFO | SA_ONSTACK};
    sigaction(SIGSEGV, &a, NULL), sigaction(SIGBUS, &a, NULL);
    child("anonymous", anonymous);
    child("moving", moving);
    child("files", files);
    child("sharing", sharing);
    child("stack", stack);
    child("code", code_runs);
}
