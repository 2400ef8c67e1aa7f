// Files: what open(2) and its relatives answer, names, positions, sparse files, locks, attributes.
#include "abi.h"
#include <dirent.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/inotify.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <sys/xattr.h>

static char dir[] = "/tmp/files.XXXXXX";

static void say(const char *what, const char *path)
{
    struct stat s;
    if (lstat(path, &s))
        printf("%s: %s\n", what, strerrorname(errno));
    else
        printf("%s: mode %o links %d size %ld\n", what, s.st_mode, (int)s.st_nlink, S_ISDIR(s.st_mode) ? 0L : (long)s.st_size);
}

static void opening(void)
{
    SHOW(open("absent", O_RDONLY));
    SHOW(open("absent/x", O_RDONLY | O_CREAT, 0600));
    SHOW(open("", O_RDONLY));
    SHOW(open(".", O_WRONLY));
    SHOW(open(".", O_RDONLY | O_CREAT, 0600));
    SHOW(syscall(SYS_open, BAD, O_RDONLY));
    int fd = open("f", O_RDWR | O_CREAT | O_EXCL, 0640);
    TRUE(fd > 2);
    SHOW(open("f", O_RDWR | O_CREAT | O_EXCL, 0640));
    SHOW(open("f/x", O_RDONLY));
    SHOW(open("f/", O_RDONLY));
    SHOW(open("f", O_RDONLY | O_DIRECTORY));
    say("f", "f");
    SHOW(write(fd, "0123456789", 10));
    SHOW(pread(fd, (char[10]){0}, 10, 4));
    SHOW(pread(fd, (char[10]){0}, 10, 40));
    SHOW(pread(fd, (char[10]){0}, 10, -1));
    SHOW(read(fd, BAD, 10));
    lseek(fd, 0, SEEK_SET);
    SHOW(read(fd, BAD, 10));
    SHOW(write(fd, BAD, 10));
    SHOW(lseek(fd, 0, SEEK_CUR));
    SHOW(lseek(fd, -1, SEEK_SET));
    SHOW(lseek(fd, -3, SEEK_END));
    SHOW(lseek(fd, 0, 9));
    SHOW(fcntl(fd, F_GETFL) & O_ACCMODE);
    int a = open("f", O_WRONLY | O_APPEND);
    SHOW(write(a, "ab", 2));
    SHOW(lseek(a, 0, SEEK_CUR));
    SHOW(pwrite(a, "cd", 2, 0));
    say("f", "f");
    SHOW(read(a, (char[2]){0}, 2));
    SHOW(ftruncate(a, 5));
    SHOW(ftruncate(a, -5));
    SHOW(truncate("f", 100000));
    say("f", "f");
    SHOW(close(a));
    SHOW(close(a));
    close(fd);
    SHOW(open("f", O_RDONLY | O_TRUNC));
    say("f", "f");
    int p = open("f", O_PATH);
    SHOW(read(p, (char[2]){0}, 2));
    SHOW(fchmod(p, 0600));
    TRUE(!fstat(p, &(struct stat){0}));
    close(p);
    SHOW(mkdir("d", 0755));
    SHOW(mkdir("d", 0755));
    SHOW(mkdir("d/e/f", 0755));
    SHOW(rmdir("f"));
    SHOW(unlink("d"));
    SHOW(rmdir("d/"));
    SHOW(rmdir("."));
    SHOW(unlink("nothing"));
}

static void names(void)
{
    mkdir("n", 0755), mkdir("n/sub", 0755);
    close(creat("n/one", 0600)), close(creat("n/two", 0644));
    SHOW(link("n/one", "n/two"));
    SHOW(link("n/one", "n/three"));
    say("three", "n/three");
    SHOW(link("n/sub", "n/x"));
    SHOW(symlink("one", "n/s"));
    SHOW(symlink("nowhere", "n/dangling"));
    SHOW(symlink("loop", "n/loop"));
    SHOW(open("n/loop", O_RDONLY));
    SHOW(open("n/dangling", O_RDONLY));
    SHOW(open("n/s", O_RDONLY | O_NOFOLLOW));
    SHOW(open("n/dangling", O_WRONLY | O_CREAT | O_EXCL, 0600));
    SHOW(close(open("n/dangling", O_WRONLY | O_CREAT, 0600)));
    say("nowhere", "n/nowhere");
    char buf[64] = "";
    SHOW(readlink("n/s", buf, sizeof buf));
    SHOW(readlink("n/s", buf, 2));
    SHOW(readlink("n/one", buf, 2));
    SHOW(rename("n/one", "n/one"));
    SHOW(rename("n/one", "n/three"));
    say("one", "n/one");
    SHOW(rename("n/one", "n/sub"));
    SHOW(rename("n/sub", "n/one"));
    SHOW(rename("n", "n/sub/n"));
    SHOW(rename("n/two", "n/sub/two"));
    SHOW(rename("n/absent", "n/x"));
    mkdir("n/empty", 0700);
    SHOW(rename("n/empty", "n/sub"));
    SHOW(rename("n/sub", "n/empty"));
    say("empty", "n/empty");
    say("empty/two", "n/empty/two");
    SHOW(syscall(SYS_renameat2, AT_FDCWD, "n/one", AT_FDCWD, "n/three", 1));
    SHOW(syscall(SYS_renameat2, AT_FDCWD, "n/one", AT_FDCWD, "n/empty", 2));
    say("one", "n/one");
    SHOW(syscall(SYS_renameat2, AT_FDCWD, "n/one", AT_FDCWD, "n/none", 2));
    SHOW(rmdir("n"));
    int d = open("n", O_RDONLY);
    SHOW(openat(d, "three", O_RDONLY) > 0);
    SHOW(unlinkat(d, "three", 0));
    SHOW(unlinkat(d, "one", 0));
    SHOW(mkdirat(d, "m", 0700));
    SHOW(unlinkat(d, "m", AT_REMOVEDIR));
    SHOW(fchdir(d));
    TRUE(getcwd(buf, sizeof buf) && strrchr(buf, 'n'));
    SHOW(chdir(".."));
    SHOW(faccessat(d, "s", R_OK, 0));
    SHOW(access("n/s", X_OK));
    close(d);
    char longest[300];
    memset(longest, 'x', 256), longest[256] = 0;
    SHOW(creat(longest, 0600));
    longest[255] = 0;
    SHOW(close(creat(longest, 0600)));
    SHOW(unlink(longest));
    SHOW(mknod("fifo", S_IFIFO | 0600, 0));
    say("fifo", "fifo");
    SHOW(open("fifo", O_WRONLY | O_NONBLOCK));
    SHOW(mknod("node", S_IFREG | 0600, 0));
    SHOW(umask(077));
    SHOW(close(open("masked", O_CREAT | O_WRONLY, 0666)));
    say("masked", "masked");
    umask(022);
}

static void sparse(void)
{
    int fd = open("sparse", O_RDWR | O_CREAT | O_TRUNC, 0600);
    SHOW(pwrite(fd, "x", 1, 1 << 20));
    SHOW(lseek(fd, 0, SEEK_HOLE));
    SHOW(lseek(fd, 0, SEEK_DATA));
    SHOW(lseek(fd, 1 << 20, SEEK_HOLE));
    SHOW(lseek(fd, 2 << 20, SEEK_DATA));
    struct stat s;
    fstat(fd, &s);
    SHOW(s.st_blocks);
    SHOW(fallocate(fd, 0, 0, 4 << 20));
    fstat(fd, &s);
    SHOW(s.st_size);
    SHOW(fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, 2 << 20));
    char c = 'y';
    SHOW(pread(fd, &c, 1, 1 << 20));
    SHOW(c);
    SHOW(fallocate(fd, 0, -1, 5));
    SHOW(ftruncate(fd, 3));
    SHOW(ftruncate(fd, 10));
    char z[10];
    memset(z, 1, 10);
    SHOW(pread(fd, z, 10, 0));
    SHOW(z[9]);
    close(fd);
}

static void descriptors(void)
{
    int fd = open("f", O_RDWR | O_CREAT, 0600);
    SHOW(dup2(fd, 50));
    SHOW(dup2(fd, fd) == fd);
    SHOW(dup3(fd, fd, 0));
    SHOW(dup3(fd, 51, O_CLOEXEC));
    SHOW(fcntl(51, F_GETFD));
    SHOW(fcntl(50, F_GETFD));
    SHOW(fcntl(50, F_SETFD, FD_CLOEXEC));
    SHOW(fcntl(50, F_GETFD));
    SHOW(fcntl(fd, F_DUPFD, 60));
    SHOW(fcntl(fd, F_DUPFD_CLOEXEC, 60));
    SHOW(dup2(99, 5));
    SHOW(dup2(fd, -1));
    SHOW(dup2(fd, 1 << 20));
    SHOW(fcntl(fd, F_DUPFD, 1 << 20));
    SHOW(fcntl(99, F_GETFL));
    SHOW(fcntl(fd, 12345));
    write(fd, "abcdef", 6);
    SHOW(lseek(50, 0, SEEK_CUR));
    SHOW(fcntl(50, F_SETFL, O_APPEND));
    SHOW((fcntl(60, F_GETFL) & O_APPEND) != 0);
    SHOW(syscall(SYS_close_range, 50, 60, 0));
    SHOW(fcntl(51, F_GETFD));
    struct iovec v[3] = {{"12", 2}, {"", 0}, {"345", 3}};
    SHOW(writev(fd, v, 3));
    SHOW(writev(fd, v, -1));
    SHOW(pwritev(fd, v, 3, 0));
    char a[4], b[4];
    struct iovec r[2] = {{a, 4}, {b, 4}};
    SHOW(preadv(fd, r, 2, 1));
    r[1].iov_base = BAD;
    SHOW(preadv(fd, r, 2, 0));
    int p[2];
    SHOW(pipe2(p, O_NONBLOCK | O_CLOEXEC));
    SHOW(read(p[0], a, 1));
    long total = 0, n;
    static char block[4096];
    while ((n = write(p[1], block, sizeof block)) > 0)
        total += n;
    SHOW(total);
    SHOW(write(p[1], "x", 1));
    SHOW(lseek(p[0], 0, SEEK_SET));
    SHOW(fcntl(p[0], F_GETPIPE_SZ));
    SHOW(fcntl(p[0], F_SETPIPE_SZ, 1 << 17));
    SHOW(write(p[1], "x", 1));
    close(p[0]);
    signal(SIGPIPE, SIG_IGN);
    SHOW(write(p[1], "x", 1));
    close(p[1]);
    close(fd);
}

static void locks(void)
{
    int fd = open("lock", O_RDWR | O_CREAT, 0600), other = open("lock", O_RDWR);
    SHOW(flock(fd, LOCK_EX));
    SHOW(flock(other, LOCK_SH | LOCK_NB));
    SHOW(flock(fd, LOCK_SH));
    SHOW(flock(other, LOCK_SH | LOCK_NB));
    SHOW(flock(other, LOCK_UN));
    struct flock l = {.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = 10, .l_len = 10};
    SHOW(fcntl(fd, F_SETLK, &l));
    fflush(stdout);
    if (!fork()) {
        struct flock q = {.l_type = F_RDLCK, .l_whence = SEEK_SET, .l_start = 0, .l_len = 0};
        SHOW(fcntl(fd, F_GETLK, &q));
        printf("type %d start %ld len %ld mine %d\n", q.l_type, (long)q.l_start, (long)q.l_len, q.l_pid == getppid());
        q = (struct flock){.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = 15, .l_len = 1};
        SHOW(fcntl(fd, F_SETLK, &q));
        q.l_start = 20;
        SHOW(fcntl(fd, F_SETLK, &q));
        fflush(stdout);
        _exit(0);
    }
    wait(NULL);
    l.l_type = F_UNLCK, l.l_start = 12, l.l_len = 2;
    SHOW(fcntl(fd, F_SETLK, &l));
    l.l_type = 7;
    SHOW(fcntl(fd, F_SETLK, &l));
    close(other);
    close(fd);
}

static void attributes(void)
{
    int fd = open("attr", O_RDWR | O_CREAT, 0644);
    struct timespec t[2] = {{1000000000, 123456789}, {999999999, 1}};
    SHOW(futimens(fd, t));
    struct stat s;
    fstat(fd, &s);
    printf("%ld.%09ld %ld.%09ld\n", s.st_atim.tv_sec, s.st_atim.tv_nsec, s.st_mtim.tv_sec, s.st_mtim.tv_nsec);
    t[0].tv_nsec = UTIME_OMIT, t[1].tv_nsec = 1000000000;
    SHOW(futimens(fd, t));
    t[1].tv_nsec = UTIME_NOW;
    SHOW(utimensat(AT_FDCWD, "attr", t, 0));
    fstat(fd, &s);
    printf("%ld %d\n", s.st_atim.tv_sec, s.st_mtim.tv_sec > 1500000000);
    SHOW(fchmod(fd, 04751));
    SHOW(chmod("attr", 06751));
    say("attr", "attr");
    SHOW(fchown(fd, 5, 6));
    say("attr", "attr");
    SHOW(chown("attr", -1, -1));
    SHOW(fsetxattr(fd, "user.a", "value", 5, 0));
    SHOW(fsetxattr(fd, "user.a", "value", 5, XATTR_CREATE));
    SHOW(fsetxattr(fd, "user.b", "v", 1, XATTR_REPLACE));
    char v[16];
    SHOW(fgetxattr(fd, "user.a", v, sizeof v));
    SHOW(fgetxattr(fd, "user.a", v, 2));
    SHOW(fgetxattr(fd, "user.none", v, 2));
    SHOW(flistxattr(fd, v, sizeof v));
    SHOW(fremovexattr(fd, "user.a"));
    SHOW(fremovexattr(fd, "user.a"));
    close(fd);
    uint32_t x[64]; // struct statx: uid and gid at 20 and 24, mode at 28
    SHOW(syscall(SYS_statx, AT_FDCWD, "attr", 0, 0x7ff, x));
    printf("%o %u %u\n", x[7] & 0xffff, x[5], x[6]);
    SHOW(syscall(SYS_statx, AT_FDCWD, "attr", 0x80000, 0x7ff, x));
}

static int by_name(const void *a, const void *b) { return strcmp(*(char *const *)a, *(char *const *)b); }

static void listing(void)
{
    mkdir("many", 0755);
    char name[64];
    for (int i = 0; i < 500; i++) {
        snprintf(name, sizeof name, "many/%d", i);
        close(creat(name, 0600));
    }
    DIR *d = opendir("many");
    static char *seen[600];
    int n = 0;
    struct dirent *e;
    long half = 0;
    while ((e = readdir(d))) {
        seen[n++] = strdup(e->d_name);
        if (n == 250)
            half = telldir(d);
        if (n % 3 == 0 && e->d_name[0] != '.') {
            snprintf(name, sizeof name, "many/%s", e->d_name);
            unlink(name);
        }
    }
    qsort(seen, n, sizeof *seen, by_name);
    printf("%d %s %s\n", n, seen[0], seen[n - 1]);
    seekdir(d, half);
    TRUE(readdir(d) != NULL);
    rewinddir(d);
    for (n = 0; readdir(d);)
        n++;
    TRUE(n == 502 - 166 || n == 502 - 167);
    closedir(d);
}

static void moving(void)
{
    int in = open("in", O_RDWR | O_CREAT, 0600), out = open("out", O_RDWR | O_CREAT, 0600), p[2];
    static char data[100000];
    for (unsigned i = 0; i < sizeof data; i++)
        data[i] = i * 7 + i / 251;
    SHOW(write(in, data, sizeof data));
    off_t off = 1000;
    SHOW(sendfile(out, in, &off, 50000));
    SHOW(off);
    off64_t from = 0, to = 60000;
    SHOW(copy_file_range(in, &from, out, &to, 10000, 0));
    SHOW(copy_file_range(in, &from, out, &to, 10, 1));
    if (pipe(p))
        exit(1);
    off64_t at = 5;
    SHOW(splice(in, &at, p[1], NULL, 1000, 0));
    SHOW(at);
    int q[2];
    if (pipe(q))
        exit(1);
    SHOW(tee(p[0], q[1], 500, 0));
    SHOW(splice(p[0], NULL, out, NULL, 5000, 0));
    SHOW(splice(in, NULL, out, NULL, 10, 0));
    SHOW(vmsplice(p[1], &(struct iovec){data, 100}, 1, 0));
    static char back[100000];
    SHOW(pread(out, back, sizeof back, 0));
    TRUE(!memcmp(back, data + 1000, 50000));
    TRUE(!memcmp(back + 60000, data, 10000));
    TRUE(!memcmp(back + 50000, data + 5, 1000));
    SHOW(read(q[0], back, 1000));
    TRUE(!memcmp(back, data + 5, 500));
    close(in), close(out);
}

static void temporary(void)
{
    int fd = open(".", O_TMPFILE | O_RDWR, 0600);
    TRUE(fd > 0);
    struct stat s;
    fstat(fd, &s);
    SHOW(s.st_nlink);
    SHOW(write(fd, "hidden", 6));
    char path[64];
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    SHOW(linkat(AT_FDCWD, path, AT_FDCWD, "shown", AT_SYMLINK_FOLLOW));
    say("shown", "shown");
    SHOW(unlink("shown"));
    int again = open(path, O_RDONLY);
    char b[8] = "";
    SHOW(read(again, b, 8));
    puts(b);
    int m = memfd_create("x", MFD_ALLOW_SEALING);
    SHOW(ftruncate(m, 4096));
    SHOW(fcntl(m, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW));
    SHOW(fcntl(m, F_GET_SEALS));
    SHOW(ftruncate(m, 100));
    SHOW(ftruncate(m, 10000));
    SHOW(pwrite(m, "x", 1, 5000));
    SHOW(fcntl(m, F_ADD_SEALS, F_SEAL_WRITE | F_SEAL_SEAL));
    SHOW(write(m, "x", 1));
    SHOW(fcntl(m, F_ADD_SEALS, F_SEAL_WRITE));
    SHOW((long)mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, m, 0));
    SHOW(memfd_create("x", 0x8000));
}

static void watching(void)
{
    int i = inotify_init1(IN_NONBLOCK);
    mkdir("w", 0755);
    SHOW(inotify_add_watch(i, "w", IN_ALL_EVENTS));
    SHOW(inotify_add_watch(i, "absent", IN_ALL_EVENTS));
    int fd = creat("w/a", 0600);
    if (write(fd, "x", 1) != 1)
        exit(1);
    close(fd);
    rename("w/a", "w/b");
    unlink("w/b");
    rmdir("w");
    static char buf[4096] __attribute__((aligned(8)));
    long n = read(i, buf, sizeof buf);
    for (char *at = buf; at < buf + n;) {
        struct inotify_event *e = (struct inotify_event *)at;
        printf("%x %s\n", e->mask, e->len ? e->name : "");
        at += sizeof *e + e->len;
    }
    SHOW(read(i, buf, sizeof buf));
    SHOW(inotify_rm_watch(i, 1));
}

int main(void)
{
    if (!mkdtemp(dir) || chdir(dir))
        return 1;
    child("opening", opening);
    child("names", names);
    child("sparse", sparse);
    child("descriptors", descriptors);
    child("locks", locks);
    child("attributes", attributes);
    child("listing", listing);
    child("moving", moving);
    child("temporary", temporary);
    child("watching", watching);
}
