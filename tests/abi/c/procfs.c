// /proc about oneself and others: formats, links that lead to the thing itself, processes that go.
#include "abi.h"
#include <dirent.h>
#include <fcntl.h>
#include <pthread.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>

static char text[65536];

static long slurp(const char *path)
{
    int fd = open(path, O_RDONLY);
    long n = 0, r;
    if (fd < 0)
        return -1;
    while ((r = read(fd, text + n, sizeof text - 1 - n)) > 0)
        n += r;
    text[n] = 0;
    close(fd);
    return n;
}

// The value of a `Name:` line of status.
static const char *field(const char *name)
{
    static char value[128];
    char *at = strstr(text, name);
    if (!at || sscanf(at + strlen(name), ": %127[^\n]", value) != 1)
        return "none";
    return value;
}

static void own(void)
{
    char path[64], link[256];
    prctl(PR_SET_NAME, "a name) (b");
    slurp("/proc/self/stat");
    char *end = strrchr(text, ')');
    *end = 0;
    printf("%s\n", strchr(text, '('));
    int pid, ppid, pgrp, session;
    char state;
    SHOW(sscanf(end + 2, "%c %d %d %d", &state, &ppid, &pgrp, &session));
    printf("%c %d %d %d\n", state, ppid == getppid(), pgrp == getpgrp(), session == getsid(0));
    SHOW(sscanf(text, "%d", &pid) == 1 && pid == getpid());
    int spaces = 0;
    for (char *c = end + 1; *c; c++)
        spaces += *c == ' ';
    SHOW(spaces);
    slurp("/proc/self/status");
    printf("%s|%s|%s\n", field("Name"), field("State"), field("\nUid"));
    printf("%d %d\n", atoi(field("\nPid")) == getpid(), atoi(field("\nPPid")) == getppid());
    printf("%s %s\n", field("Threads"), field("SigIgn"));
    signal(SIGUSR1, SIG_IGN), signal(SIGUSR2, (void (*)(int))own);
    sigset_t m;
    sigemptyset(&m), sigaddset(&m, SIGHUP);
    sigprocmask(SIG_BLOCK, &m, NULL);
    raise(SIGHUP);
    slurp("/proc/self/status");
    printf("%s %s %s\n", field("SigBlk"), field("SigIgn"), field("SigCgt"));
    SHOW(slurp("/proc/self/comm"));
    int fd = open("/proc/self/comm", O_RDWR);
    SHOW(write(fd, "new", 3));
    close(fd);
    slurp("/proc/self/comm");
    printf("%s", text);
    snprintf(path, sizeof path, "/proc/%d/cmdline", getpid());
    printf("%d\n", slurp(path) > 0 && strstr(text, "procfs") != NULL);
    setenv("LATER", "1", 1);
    printf("%d\n", slurp("/proc/self/environ") > 0 && !strstr(text, "LATER"));
    SHOW(readlink("/proc/self/exe", link, sizeof link) > 0 && strstr(link, "procfs") != NULL);
    SHOW(open("/proc/self/status", O_WRONLY) > 0);
    SHOW(open("/proc/self/nothing", O_RDONLY));
    SHOW(open("/proc/self/new", O_RDWR | O_CREAT, 0600));
    SHOW(mkdir("/proc/new", 0700));
    SHOW(unlink("/proc/self/stat"));
    SHOW(open("/proc/0", O_RDONLY));
    SHOW(open("/proc/01", O_RDONLY));
    SHOW(open("/proc/99999999999", O_RDONLY));
    struct stat s;
    SHOW(lstat("/proc/self", &s));
    SHOW(S_ISLNK(s.st_mode));
    SHOW(lstat("/proc/self/stat", &s));
    printf("%o %ld\n", s.st_mode, (long)s.st_size);
    SHOW(lstat("/proc/self/fd", &s));
    printf("%o\n", s.st_mode);
    fd = open("/proc/self/stat", O_RDONLY);
    char a[8], b[8];
    SHOW(pread(fd, a, 3, 0));
    SHOW(lseek(fd, 1, SEEK_SET));
    SHOW(read(fd, b, 2));
    TRUE(!memcmp(a + 1, b, 2));
    close(fd);
}

static void descriptors(void)
{
    char link[256] = "", path[64];
    int p[2], fd = open("/tmp/procfs.file", O_RDWR | O_CREAT | O_TRUNC, 0600);
    struct stat s;
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    SHOW(readlink(path, link, sizeof link));
    puts(link);
    SHOW(write(fd, "content", 7));
    unlink("/tmp/procfs.file");
    memset(link, 0, sizeof link);
    SHOW(readlink(path, link, sizeof link));
    puts(link);
    int again = open(path, O_RDONLY);
    SHOW(read(again, link, 7));
    SHOW(open(path, O_WRONLY | O_EXCL | O_CREAT, 0600));
    SHOW(lstat(path, &s));
    printf("%o %ld\n", s.st_mode, (long)s.st_size);
    SHOW(stat(path, &s));
    printf("%o %ld %d\n", s.st_mode, (long)s.st_size, (int)s.st_nlink);
    int ro = open("/dev/null", O_RDONLY);
    snprintf(path, sizeof path, "/proc/self/fd/%d", ro);
    lstat(path, &s);
    printf("%o\n", s.st_mode);
    if (pipe(p))
        exit(1);
    snprintf(path, sizeof path, "/proc/self/fd/%d", p[0]);
    memset(link, 0, sizeof link);
    readlink(path, link, sizeof link);
    fstat(p[0], &s);
    unsigned long ino = 0;
    sscanf(link, "pipe:[%lu]", &ino);
    TRUE(ino == s.st_ino);
    int w = open(path, O_WRONLY);
    SHOW(write(w, "x", 1));
    SHOW(read(p[0], link, 1));
    SHOW(close(w));
    SHOW(open("/proc/self/fd/77", O_RDONLY));
    SHOW(open("/proc/self/fd/x", O_RDONLY));
    lseek(fd, 3, SEEK_SET);
    snprintf(path, sizeof path, "/proc/self/fdinfo/%d", fd);
    slurp(path);
    printf("%s|%s\n", field("pos"), field("flags"));
    SHOW(syscall(SYS_close_range, 3, ~0u, 0));
    DIR *d = opendir("/proc/self/fd");
    int n = 0;
    while (readdir(d))
        n++;
    SHOW(n);
    closedir(d);
}

static void mapped(void)
{
    char line[128];
    char *p = mmap(NULL, 3 * 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    mprotect(p + 4096, 4096, PROT_READ | PROT_WRITE);
    slurp("/proc/self/maps");
    for (int i = 0; i < 3; i++) {
        unsigned long end;
        char rights[8] = "";
        snprintf(line, sizeof line, "%lx-", (long)p + i * 4096);
        char *at = strstr(text, line);
        if (at)
            sscanf(strchr(at, '-') + 1, "%lx %7s", &end, rights);
        printf("%d %s\n", at != NULL, rights);
    }
    TRUE(strstr(text, "[stack]") != NULL);
    long size, rss, shared;
    slurp("/proc/self/statm");
    SHOW(sscanf(text, "%ld %ld %ld", &size, &rss, &shared));
    TRUE(size >= rss && rss > 0);
    slurp("/proc/self/limits");
    SHOW((long)(strchr(text, '\n') - text));
    TRUE(strstr(text, "Max open files") != NULL);
    slurp("/proc/self/smaps");
    TRUE(strstr(text, "Pss:") && strstr(text, "VmFlags:"));
    slurp("/proc/self/auxv");
    TRUE(((long *)text)[0] > 0);
    slurp("/proc/meminfo");
    TRUE(atol(field("MemTotal")) > atol(field("MemFree")) && atol(field("MemFree")) > 0);
}

static void *waits(void *arg) { pause(); return arg; }
static void others(void)
{
    char path[64];
    int status, n = 0;
    pthread_t t;
    pthread_create(&t, NULL, waits, NULL);
    usleep(10000);
    DIR *d = opendir("/proc/self/task");
    while (readdir(d))
        n++;
    closedir(d);
    SHOW(n);
    slurp("/proc/self/status");
    puts(field("Threads"));
    pid_t p = fork();
    if (!p)
        for (;;)
            pause();
    usleep(20000);
    snprintf(path, sizeof path, "/proc/%d/status", p);
    slurp(path);
    printf("%s %d\n", field("State"), atoi(field("\nPPid")) == getpid());
    kill(p, SIGSTOP);
    waitpid(p, &status, WUNTRACED);
    slurp(path);
    puts(field("State"));
    int held = open(path, O_RDONLY), dir, exe;
    snprintf(path, sizeof path, "/proc/%d", p);
    dir = open(path, O_RDONLY);
    kill(p, SIGKILL);
    siginfo_t i;
    waitid(P_PID, p, &i, WEXITED | WNOWAIT);
    snprintf(path, sizeof path, "/proc/%d/status", p);
    slurp(path);
    puts(field("State"));
    snprintf(path, sizeof path, "/proc/%d/exe", p);
    SHOW(readlink(path, text, 100));
    snprintf(path, sizeof path, "/proc/%d/cwd", p);
    SHOW(open(path, O_RDONLY));
    snprintf(path, sizeof path, "/proc/%d/cmdline", p);
    SHOW(slurp(path));
    snprintf(path, sizeof path, "/proc/%d/maps", p);
    SHOW(slurp(path));
    waitpid(p, &status, 0);
    SHOW(read(held, text, 10));
    SHOW(openat(dir, "stat", O_RDONLY));
    exe = open("/proc/self/exe", O_RDONLY);
    SHOW(read(exe, text, 4));
    snprintf(path, sizeof path, "/proc/%d", p);
    SHOW(open(path, O_RDONLY));
    SHOW(slurp("/proc/1/nothing"));
}

static void unprivileged(void)
{
    pid_t p = fork();
    if (!p)
        for (;;)
            pause();
    if (setgid(1000) || setuid(1000))
        exit(1);
    char path[64];
    const char *names[] = {"stat", "status", "environ", "maps", "fd", "exe", "cwd", "limits", "cmdline", "mountinfo"};
    for (unsigned n = 0; n < sizeof names / sizeof *names; n++) {
        snprintf(path, sizeof path, "/proc/%d/%s", p, names[n]);
        int fd = open(path, O_RDONLY);
        printf("%s: %s\n", names[n], fd < 0 ? strerrorname(errno) : "opened");
    }
    SHOW(open("/proc/sys/kernel/hostname", O_WRONLY));
    SHOW(open("/proc/self/environ", O_RDONLY));
    SHOW(open("/proc/self/fd", O_RDONLY));
}

int main(void)
{
    child("own", own);
    child("descriptors", descriptors);
    child("mapped", mapped);
    child("others", others);
    child("unprivileged", unprivileged);
}
