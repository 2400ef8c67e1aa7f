// A storm of signals over system calls, faults and pipes: registers and results stay what they are.
#include "abi.h"
#include <fcntl.h>
#include <sched.h>
#include <sys/mman.h>

static volatile sig_atomic_t got, stop;
static pid_t pid;
static int fd;

static void on_signal(int sig)
{
    char c;
    int saved = errno;
    (void)sig;
    got++;
    if (syscall(SYS_getpid) != pid || pread(fd, &c, 1, 0) != 1)
        _exit(50);
    close(-1);
    errno = saved;
}

static void on_end(int sig)
{
    (void)sig;
    stop = 1;
}

// A system call with every register known: all but rax, rcx and r11 must come back as they went.
static long checked(long nr, long a, long b, long c, long *bad)
{
    long r, di = a, si = b, dx = c, bx = 0x1111;
    register long r8 __asm__("r8") = 8, r9 __asm__("r9") = 9, r10 __asm__("r10") = 0;
    register long r12 __asm__("r12") = 12, r13 __asm__("r13") = 13, r14 __asm__("r14") = 14, r15 __asm__("r15") = 15;
    __asm__ volatile("syscall"
                     : "=a"(r), "+D"(di), "+S"(si), "+d"(dx), "+r"(r10), "+r"(r8), "+r"(r9), "+b"(bx), "+r"(r12),
                       "+r"(r13), "+r"(r14), "+r"(r15)
                     : "0"(nr)
                     : "rcx", "r11", "memory");
    *bad += di != a || si != b || dx != c || r10 || r8 != 8 || r9 != 9 || bx != 0x1111 || r12 != 12 || r13 != 13 ||
            r14 != 14 || r15 != 15;
    return r;
}

int main(void)
{
    struct sigaction sa = {.sa_handler = on_signal, .sa_flags = SA_RESTART};
    long bad = 0;
    char out[16] = "storm", in[16];
    int p[2], status;
    pid = getpid();
    fd = open("/etc/passwd", O_RDONLY);
    bad += fd < 0 || pipe(p) < 0;
    char *m = mmap(NULL, 1 << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    sigaction(SIGUSR1, &sa, NULL);
    sa.sa_handler = on_end;
    sigaction(SIGUSR2, &sa, NULL);
    pid_t child = fork();
    if (!child) {
        for (int i = 0; i < 5000; i++) {
            kill(getppid(), SIGUSR1);
            if (i % 64 == 0)
                sched_yield();
        }
        kill(getppid(), SIGUSR2);
        _exit(0);
    }
    for (unsigned k = 1; !stop; k++) {
        bad += checked(SYS_getpid, 1, 2, 3, &bad) != pid;
        bad += checked(SYS_pread64, fd, (long)in, 16, &bad) != 16;
        bad += checked(SYS_close, -1, 2, 3, &bad) != -EBADF;
        bad += checked(600, 1, 2, 3, &bad) != -ENOSYS;
        bad += write(p[1], out, 6) != 6 || read(p[0], in, 6) != 6 || memcmp(in, out, 6);
        m[k * 4096 & ((1 << 20) - 1)]++;
        if (k % 256 == 0)
            madvise(m, 1 << 20, MADV_DONTNEED);
    }
    waitpid(child, &status, 0);
    printf("bad %ld, %s, child %x\n", bad, got ? "signals came" : "none came", status);
    return bad != 0;
}
