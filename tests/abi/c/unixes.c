// Unix sockets: kinds, names, descriptors in messages, credentials, what each end sees.
#include "abi.h"
#include <fcntl.h>
#include <stddef.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

static socklen_t name(struct sockaddr_un *a, const char *path)
{
    memset(a, 0, sizeof *a);
    a->sun_family = AF_UNIX;
    strcpy(a->sun_path + (*path == '@'), path + (*path == '@'));
    return offsetof(struct sockaddr_un, sun_path) + strlen(path) + (*path != '@');
}

static void pairs(void)
{
    int s[2], d[2], q[2], none[2];
    char b[64];
    SHOW(socketpair(AF_UNIX, SOCK_STREAM, 0, s));
    SHOW(socketpair(AF_UNIX, SOCK_DGRAM, 0, d));
    SHOW(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, q));
    SHOW(socketpair(AF_UNIX, 77, 0, none));
    SHOW(socketpair(AF_UNIX, SOCK_STREAM, 5, none));
    SHOW(write(s[0], "hello", 5));
    SHOW(write(s[0], "world", 5));
    SHOW(recv(s[1], b, 3, MSG_PEEK));
    SHOW(read(s[1], b, 64));
    SHOW(recv(s[1], b, 64, MSG_DONTWAIT));
    SHOW(write(d[0], "one", 3));
    SHOW(write(d[0], "two", 3));
    SHOW(send(d[0], "", 0, 0));
    SHOW(recv(d[1], b, 2, 0));
    SHOW(recv(d[1], b, 1, MSG_TRUNC));
    SHOW(recv(d[1], b, 64, 0));
    SHOW(recv(d[1], b, 64, MSG_DONTWAIT));
    SHOW(write(q[0], "packet", 6));
    SHOW(write(q[0], "p", 1));
    SHOW(read(q[1], b, 3));
    SHOW(read(q[1], b, 30));
    SHOW(shutdown(s[0], SHUT_WR));
    SHOW(read(s[1], b, 1));
    SHOW(send(s[0], "x", 1, MSG_NOSIGNAL));
    SHOW(send(s[1], "x", 1, MSG_NOSIGNAL));
    SHOW(close(s[0]));
    SHOW(send(s[1], "x", 1, MSG_NOSIGNAL));
    close(d[1]);
    SHOW(send(d[0], "x", 1, MSG_NOSIGNAL));
    close(q[1]);
    SHOW(read(q[0], b, 1));
    SHOW(shutdown(q[0], 9));
    SHOW(lseek(d[0], 0, SEEK_SET));
    struct stat st;
    fstat(d[0], &st);
    TRUE(S_ISSOCK(st.st_mode));
}

static void names(void)
{
    struct sockaddr_un a, b;
    socklen_t n = name(&a, "/tmp/unixes.sock"), m;
    unlink("/tmp/unixes.sock");
    int l = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0), c = socket(AF_UNIX, SOCK_STREAM, 0);
    SHOW(connect(c, (void *)&a, n));
    SHOW(listen(l, 1));
    SHOW(bind(l, (void *)&a, n));
    SHOW(bind(l, (void *)&a, n));
    SHOW(bind(c, (void *)&a, n));
    SHOW(connect(c, (void *)&a, n));
    SHOW(listen(l, 2));
    SHOW(syscall(SYS_accept4, l, NULL, NULL, SOCK_NONBLOCK | 1));
    fcntl(l, F_SETFL, O_NONBLOCK);
    SHOW(accept(l, NULL, NULL));
    SHOW(connect(c, (void *)&a, n));
    SHOW(connect(c, (void *)&a, n));
    m = sizeof b;
    int s = accept(l, (void *)&b, &m);
    TRUE(s > 0);
    SHOW(m);
    m = sizeof b;
    SHOW(getsockname(s, (void *)&b, &m));
    printf("%d %s\n", m, b.sun_path);
    m = sizeof b;
    SHOW(getpeername(c, (void *)&b, &m));
    printf("%d %s\n", m, b.sun_path);
    m = sizeof b;
    SHOW(getsockname(c, (void *)&b, &m));
    SHOW(m);
    struct ucred u;
    m = sizeof u;
    SHOW(getsockopt(c, SOL_SOCKET, SO_PEERCRED, &u, &m));
    printf("%d %d %d\n", u.pid == getpid(), u.uid, u.gid);
    int v;
    m = sizeof v;
    SHOW(getsockopt(c, SOL_SOCKET, SO_TYPE, &v, &m));
    SHOW(v);
    SHOW(getsockopt(l, SOL_SOCKET, SO_ACCEPTCONN, &v, &m));
    SHOW(v);
    SHOW(getsockopt(l, SOL_SOCKET, SO_DOMAIN, &v, &m));
    SHOW(v);
    SHOW(getsockopt(l, SOL_SOCKET, 9999, &v, &m));
    SHOW(setsockopt(l, SOL_SOCKET, SO_REUSEADDR, &v, 1));
    struct stat st;
    SHOW(stat("/tmp/unixes.sock", &st));
    TRUE(S_ISSOCK(st.st_mode));
    SHOW(open("/tmp/unixes.sock", O_RDWR));
    close(l);
    SHOW(connect(socket(AF_UNIX, SOCK_STREAM, 0), (void *)&a, n));
    SHOW(unlink("/tmp/unixes.sock"));
    n = name(&a, "@unixes.abstract");
    l = socket(AF_UNIX, SOCK_DGRAM, 0), c = socket(AF_UNIX, SOCK_DGRAM, 0);
    SHOW(bind(l, (void *)&a, n));
    SHOW(bind(c, (void *)&a, n));
    SHOW(sendto(c, "to", 2, 0, (void *)&a, n));
    char d[8];
    m = sizeof b;
    SHOW(recvfrom(l, d, 8, 0, (void *)&b, &m));
    SHOW(m);
    SHOW(send(c, "x", 1, 0));
    SHOW(connect(c, (void *)&a, n));
    SHOW(send(c, "x", 1, 0));
    SHOW(connect(socket(AF_UNIX, SOCK_STREAM, 0), (void *)&a, n));
    SHOW(bind(socket(AF_UNIX, SOCK_STREAM, 0), (void *)&a, 2));
    SHOW(bind(socket(AF_UNIX, SOCK_STREAM, 0), (void *)&a, 1));
    a.sun_family = 99;
    SHOW(connect(socket(AF_UNIX, SOCK_STREAM, 0), (void *)&a, n));
    SHOW(socket(99, SOCK_STREAM, 0));
    SHOW(accept(c, NULL, NULL));
    SHOW(accept(0, NULL, NULL));
}

static int send_fd(int to, int fd, int flags)
{
    union { struct cmsghdr h; char space[CMSG_SPACE(sizeof(int))]; } u = {.h = {.cmsg_len = CMSG_LEN(sizeof(int)), .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS}};
    memcpy(CMSG_DATA(&u.h), &fd, sizeof fd);
    struct iovec v = {"f", 1};
    struct msghdr m = {.msg_iov = &v, .msg_iovlen = 1, .msg_control = &u, .msg_controllen = sizeof u};
    return sendmsg(to, &m, flags);
}

static int receive_fd(int from, int flags, int *got)
{
    union { struct cmsghdr h; char space[CMSG_SPACE(sizeof(int))]; } u;
    char c;
    struct iovec v = {&c, 1};
    struct msghdr m = {.msg_iov = &v, .msg_iovlen = 1, .msg_control = &u, .msg_controllen = sizeof u};
    int r = recvmsg(from, &m, flags);
    struct cmsghdr *h = r >= 0 ? CMSG_FIRSTHDR(&m) : NULL;
    *got = -1;
    if (h && h->cmsg_type == SCM_RIGHTS)
        memcpy(got, CMSG_DATA(h), sizeof *got);
    printf("flags %x\n", m.msg_flags & ~MSG_CMSG_CLOEXEC);
    return r;
}

static void rights(void)
{
    int s[2], p[2], got;
    char c = 0;
    if (socketpair(AF_UNIX, SOCK_STREAM, 0, s) || pipe(p))
        exit(1);
    SHOW(send_fd(s[0], p[0], 0));
    SHOW(receive_fd(s[1], MSG_CMSG_CLOEXEC, &got));
    TRUE(got > 2 && got != p[0]);
    SHOW(fcntl(got, F_GETFD));
    SHOW(write(p[1], "z", 1));
    SHOW(read(got, &c, 1));
    SHOW(c);
    SHOW(send_fd(s[0], 99, 0));
    SHOW(send_fd(s[0], p[1], 0));
    close(p[1]);
    fflush(stdout);
    if (!fork()) {
        close(s[0]);
        int w;
        SHOW(receive_fd(s[1], 0, &w));
        SHOW(write(w, "child", 5));
        fflush(stdout);
        _exit(0);
    }
    wait(NULL);
    char b[8] = "";
    SHOW(read(p[0], b, 8));
    puts(b);
    SHOW(read(p[0], b, 8));
    // Descriptors that nobody receives go with the message.
    if (pipe(p))
        exit(1);
    SHOW(send_fd(s[0], p[1], 0));
    close(p[1]);
    close(s[1]), close(s[0]);
    SHOW(read(p[0], b, 8));
    // A socket in its own queue.
    if (socketpair(AF_UNIX, SOCK_STREAM, 0, s))
        exit(1);
    SHOW(send_fd(s[0], s[1], 0));
    SHOW(send_fd(s[1], s[1], 0));
    close(s[0]), close(s[1]);
    int on = 1;
    if (socketpair(AF_UNIX, SOCK_DGRAM, 0, s))
        exit(1);
    SHOW(setsockopt(s[1], SOL_SOCKET, SO_PASSCRED, &on, sizeof on));
    SHOW(write(s[0], "x", 1));
    union { struct cmsghdr h; char space[CMSG_SPACE(sizeof(struct ucred))]; } u;
    struct iovec v = {b, 8};
    struct msghdr m = {.msg_iov = &v, .msg_iovlen = 1, .msg_control = &u, .msg_controllen = sizeof u};
    SHOW(recvmsg(s[1], &m, 0));
    struct ucred *who = (void *)CMSG_DATA(&u.h);
    printf("%d %d %d\n", u.h.cmsg_type, who->pid == getpid(), who->uid);
    struct mmsghdr mm[3] = {0};
    struct iovec vv[3] = {{"a", 1}, {"bb", 2}, {"ccc", 3}};
    for (int i = 0; i < 3; i++)
        mm[i].msg_hdr.msg_iov = &vv[i], mm[i].msg_hdr.msg_iovlen = 1;
    SHOW(sendmmsg(s[0], mm, 3, 0));
    SHOW(mm[2].msg_len);
    char bb[3][4];
    for (int i = 0; i < 3; i++)
        vv[i] = (struct iovec){bb[i], 4};
    SHOW(recvmmsg(s[1], mm, 3, MSG_DONTWAIT, NULL));
    SHOW(mm[1].msg_len);
}

static void streams(void)
{
    int s[2];
    static char b[1 << 20];
    if (socketpair(AF_UNIX, SOCK_STREAM, 0, s))
        exit(1);
    fflush(stdout);
    if (!fork()) {
        close(s[1]);
        for (unsigned i = 0; i < sizeof b; i++)
            b[i] = i * 31 + i / 997;
        for (unsigned at = 0; at < sizeof b;) {
            long n = write(s[0], b + at, sizeof b - at > 70001 ? 70001 : sizeof b - at);
            if (n < 0)
                _exit(1);
            at += n;
        }
        _exit(0);
    }
    close(s[0]);
    unsigned total = 0, wrong = 0;
    long n;
    while ((n = read(s[1], b, 30011)) > 0)
        for (long i = 0; i < n; i++, total++)
            wrong += b[i] != (char)(total * 31 + total / 997);
    printf("%u %u %ld\n", total, wrong, n);
    struct timeval t = {0, 20000};
    if (socketpair(AF_UNIX, SOCK_STREAM, 0, s))
        exit(1);
    SHOW(setsockopt(s[0], SOL_SOCKET, SO_RCVTIMEO, &t, sizeof t));
    SHOW(read(s[0], b, 1));
    SHOW(write(s[1], "abc", 3));
    SHOW(recv(s[0], b, 3, MSG_WAITALL));
}

int main(void)
{
    child("pairs", pairs);
    child("names", names);
    child("rights", rights);
    child("streams", streams);
}
