// Stream and datagram sockets over loopback: errors, states, options, what poll tells, what survives fork.
#include "abi.h"
#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <sys/un.h>

static struct sockaddr_in here(int port)
{
    return (struct sockaddr_in){.sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
}
static struct sockaddr_in6 here6(int port)
{
    return (struct sockaddr_in6){.sin6_family = AF_INET6, .sin6_port = htons(port), .sin6_addr = IN6ADDR_LOOPBACK_INIT};
}
#define SA(x) (struct sockaddr *)&(x), sizeof(x)

static int port_of(int fd)
{
    struct sockaddr_in6 a;
    socklen_t n = sizeof a;
    getsockname(fd, (struct sockaddr *)&a, &n);
    return ntohs(a.sin6_port);
}

static int events(int fd, int wait)
{
    struct pollfd p = {fd, POLLIN | POLLOUT | POLLRDHUP, 0};
    return poll(&p, 1, wait) < 0 ? -1 : p.revents;
}

static int option(int fd, int level, int name)
{
    int v = -1;
    socklen_t n = sizeof v;
    return getsockopt(fd, level, name, &v, &n) ? -1 : v;
}

static int listener(int *port)
{
    int l = socket(AF_INET, SOCK_STREAM, 0);
    struct sockaddr_in a = here(0);
    if (bind(l, SA(a)) || listen(l, 8))
        return -1;
    *port = port_of(l);
    return l;
}

static void pair(int l, int port, int s[2])
{
    struct sockaddr_in a = here(port);
    s[0] = socket(AF_INET, SOCK_STREAM, 0);
    if (connect(s[0], SA(a)))
        s[0] = -1;
    s[1] = accept(l, NULL, NULL);
}

static void making(void)
{
    SHOW(socket(AF_INET, 99, 0));
    SHOW(socket(99, SOCK_STREAM, 0));
    SHOW(socket(AF_INET, SOCK_STREAM, IPPROTO_UDP));
    SHOW(socket(AF_INET, SOCK_DGRAM, IPPROTO_TCP));
    SHOW(socketpair(AF_INET, SOCK_STREAM, 0, (int[2]){0}));
    int s = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    TRUE(fcntl(s, F_GETFL) & O_NONBLOCK);
    TRUE(fcntl(s, F_GETFD) & FD_CLOEXEC);
    SHOW(option(s, SOL_SOCKET, SO_TYPE));
    SHOW(option(s, SOL_SOCKET, SO_DOMAIN));
    SHOW(option(s, SOL_SOCKET, SO_PROTOCOL));
    SHOW(option(s, SOL_SOCKET, SO_ACCEPTCONN));
    SHOW(option(s, SOL_SOCKET, 9999));
    SHOW(events(s, 0));
    char c;
    SHOW(read(s, &c, 1));
    SHOW(send(s, &c, 1, MSG_NOSIGNAL));
    SHOW(shutdown(s, SHUT_WR));
    SHOW(shutdown(s, 9));
    SHOW(accept(s, NULL, NULL));
    SHOW(getpeername(s, (struct sockaddr *)&c, &(socklen_t){1}));
    SHOW(lseek(s, 0, SEEK_SET));
    close(s);
    SHOW(getsockopt(1, SOL_SOCKET, SO_TYPE, &c, &(socklen_t){1}));
}

static void naming(void)
{
    int port, l = listener(&port), s = socket(AF_INET, SOCK_STREAM, 0), one = 1;
    struct sockaddr_in a = here(port), any = {.sin_family = AF_INET};
    SHOW(bind(s, SA(a)));
    SHOW(bind(s, (struct sockaddr *)&a, 8));
    a.sin_family = AF_INET6;
    SHOW(bind(s, SA(a)));
    a = here(0);
    a.sin_addr.s_addr = htonl(0x08080808);
    SHOW(bind(s, SA(a)));
    SHOW(bind(s, SA(any)));
    SHOW(bind(s, SA(any)));
    TRUE(port_of(s) > 1023);
    close(s);
    SHOW(option(l, SOL_SOCKET, SO_ACCEPTCONN));
    SHOW(events(l, 0));
    // two that may share a port
    int x = socket(AF_INET, SOCK_STREAM, 0), y = socket(AF_INET, SOCK_STREAM, 0);
    setsockopt(x, SOL_SOCKET, SO_REUSEPORT, &one, sizeof one);
    any.sin_port = 0;
    SHOW(bind(x, SA(any)));
    any.sin_port = htons(port_of(x));
    SHOW(bind(y, SA(any)));
    setsockopt(y, SOL_SOCKET, SO_REUSEPORT, &one, sizeof one);
    SHOW(bind(y, SA(any)));
    SHOW(listen(x, 5));
    SHOW(listen(y, 5));
    close(x), close(y);
    // IPv6 and IPv4 of one port
    int v6 = socket(AF_INET6, SOCK_STREAM, 0), v4 = socket(AF_INET, SOCK_STREAM, 0);
    struct sockaddr_in6 any6 = {.sin6_family = AF_INET6};
    setsockopt(v6, IPPROTO_IPV6, IPV6_V6ONLY, &one, sizeof one);
    SHOW(bind(v6, SA(any6)));
    any.sin_port = htons(port_of(v6));
    SHOW(bind(v4, SA(any)));
    close(v6), close(v4);
    close(l);
}

static void connecting(void)
{
    int port, l = listener(&port), s[2];
    struct sockaddr_in a = here(port), peer;
    socklen_t n = sizeof peer;
    pair(l, port, s);
    SHOW(connect(s[0], SA(a)));
    SHOW(listen(s[0], 1));
    SHOW(getpeername(s[0], (struct sockaddr *)&peer, &n));
    TRUE(peer.sin_port == htons(port) && n == sizeof peer);
    n = sizeof peer;
    SHOW(getsockname(s[1], (struct sockaddr *)&peer, &n));
    TRUE(peer.sin_port == htons(port) && peer.sin_addr.s_addr == htonl(INADDR_LOOPBACK));
    SHOW(events(s[0], 0));
    close(s[0]), close(s[1]);
    close(l);
    int c = socket(AF_INET, SOCK_STREAM, 0);
    SHOW(connect(c, SA(a)));
    SHOW(option(c, SOL_SOCKET, SO_ERROR));
    close(c);
    l = listener(&port);
    fcntl(l, F_SETFL, O_NONBLOCK);
    SHOW(accept(l, NULL, NULL));
    SHOW(syscall(SYS_accept4, l, NULL, NULL, 1));
    // mapped addresses
    int d = socket(AF_INET6, SOCK_STREAM, 0), six = socket(AF_INET6, SOCK_STREAM, 0);
    struct sockaddr_in6 any6 = {.sin6_family = AF_INET6}, from;
    SHOW(bind(six, SA(any6)));
    SHOW(listen(six, 1));
    a = here(port_of(six));
    c = socket(AF_INET, SOCK_STREAM, 0);
    SHOW(connect(c, SA(a)));
    n = sizeof from;
    int got = accept(six, (struct sockaddr *)&from, &n);
    TRUE(n == sizeof from && IN6_IS_ADDR_V4MAPPED(&from.sin6_addr));
    struct sockaddr_in6 b = here6(port_of(six));
    SHOW(connect(d, SA(b)));
    close(got), close(c), close(d), close(six), close(l);
}

static void bytes(void)
{
    int port, l = listener(&port), s[2];
    char buf[64] = {0};
    pair(l, port, s);
    SHOW(write(s[0], "hello world", 11));
    SHOW(events(s[1], 5000));
    SHOW(recv(s[1], buf, 5, MSG_PEEK));
    SHOW(recv(s[1], buf, 5, 0));
    puts(buf);
    struct iovec v[2] = {{buf, 3}, {buf + 10, 20}};
    SHOW(readv(s[1], v, 2));
    SHOW(recv(s[1], buf, 5, MSG_DONTWAIT));
    SHOW(send(s[1], "abcdef", 6, 0));
    SHOW(recv(s[0], buf, 6, MSG_WAITALL));
    SHOW(send(s[1], "xyz", 3, MSG_MORE));
    SHOW(recv(s[0], buf, 3, MSG_WAITALL));
    SHOW(send(s[0], "123456", 6, 0));
    events(s[1], 5000);
    SHOW(recv(s[1], NULL, 4, MSG_TRUNC));
    SHOW(recv(s[1], buf, 10, 0));
    SHOW(syscall(SYS_write, s[0], BAD, 5));
    SHOW(shutdown(s[0], SHUT_WR));
    SHOW(events(s[1], 5000));
    SHOW(read(s[1], buf, 9));
    SHOW(read(s[1], buf, 9));
    SHOW(send(s[0], "x", 1, MSG_NOSIGNAL));
    SHOW(write(s[1], "back", 4));
    SHOW(recv(s[0], buf, 4, MSG_WAITALL));
    SHOW(shutdown(s[1], SHUT_WR));
    SHOW(events(s[0], 5000) & ~POLLRDHUP);
    close(s[0]), close(s[1]);
    // closed with bytes unread
    pair(l, port, s);
    SHOW(write(s[0], "unread", 6));
    events(s[1], 5000);
    close(s[1]);
    SHOW(events(s[0], 5000) & (POLLERR | POLLHUP | POLLIN));
    SHOW(option(s[0], SOL_SOCKET, SO_ERROR));
    close(s[0]);
    // full
    pair(l, port, s);
    fcntl(s[0], F_SETFL, O_NONBLOCK);
    static char big[65536];
    long sum = 0, r;
    while ((r = write(s[0], big, sizeof big)) > 0)
        sum += r;
    TRUE(errno == EAGAIN && sum > 65536);
    SHOW(events(s[0], 0) & POLLOUT);
    long had = 0;
    while (had < sum && (r = read(s[1], big, sizeof big)) > 0)
        had += r;
    TRUE(had == sum);
    SHOW(events(s[0], 5000));
    close(s[0]), close(s[1]), close(l);
}

static void options(void)
{
    int s = socket(AF_INET, SOCK_STREAM, 0), one = 1, v = 7;
    SHOW(setsockopt(s, IPPROTO_TCP, TCP_NODELAY, &one, 4));
    SHOW(option(s, IPPROTO_TCP, TCP_NODELAY));
    SHOW(setsockopt(s, IPPROTO_TCP, TCP_CORK, &one, 4));
    SHOW(setsockopt(s, SOL_SOCKET, SO_KEEPALIVE, &one, 4));
    SHOW(option(s, SOL_SOCKET, SO_KEEPALIVE));
    SHOW(option(s, IPPROTO_TCP, TCP_KEEPIDLE));
    SHOW(option(s, IPPROTO_TCP, TCP_KEEPINTVL));
    SHOW(option(s, IPPROTO_TCP, TCP_KEEPCNT));
    SHOW(setsockopt(s, IPPROTO_TCP, TCP_KEEPIDLE, &v, 4));
    SHOW(option(s, IPPROTO_TCP, TCP_KEEPIDLE));
    v = 0;
    SHOW(setsockopt(s, IPPROTO_TCP, TCP_KEEPIDLE, &v, 4));
    SHOW(setsockopt(s, SOL_SOCKET, SO_REUSEADDR, &one, 2));
    SHOW(setsockopt(s, SOL_SOCKET, SO_REUSEADDR, BAD, 4));
    SHOW(setsockopt(s, SOL_SOCKET, 9999, &one, 4));
    SHOW(setsockopt(s, 250, 1, &one, 4));
    v = 10000;
    SHOW(setsockopt(s, SOL_SOCKET, SO_RCVBUF, &v, 4));
    SHOW(option(s, SOL_SOCKET, SO_RCVBUF));
    struct timeval tv = {0, 50000};
    SHOW(setsockopt(s, SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof tv));
    tv.tv_usec = 1000000;
    SHOW(setsockopt(s, SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof tv));
    close(s);
    int port, l = listener(&port), p[2];
    pair(l, port, p);
    tv.tv_usec = 20000;
    setsockopt(p[0], SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof tv);
    SHOW(read(p[0], &v, 1));
    struct tcp_info info;
    socklen_t n = sizeof info;
    SHOW(getsockopt(p[0], IPPROTO_TCP, TCP_INFO, &info, &n));
    SHOW(info.tcpi_state);
    close(p[0]), close(p[1]), close(l);
}

static void datagrams(void)
{
    int a = socket(AF_INET, SOCK_DGRAM, 0), b = socket(AF_INET, SOCK_DGRAM, 0);
    struct sockaddr_in x = here(0), from;
    socklen_t n = sizeof from;
    char buf[100];
    SHOW(bind(a, SA(x)));
    x = here(port_of(a));
    SHOW(events(a, 0));
    SHOW(send(b, "x", 1, 0));
    SHOW(sendto(b, "hello", 5, 0, SA(x)));
    SHOW(events(a, 5000));
    SHOW(recvfrom(a, buf, 3, MSG_TRUNC, (struct sockaddr *)&from, &n));
    TRUE(ntohs(from.sin_port) == port_of(b) && from.sin_addr.s_addr == htonl(INADDR_LOOPBACK));
    SHOW(recv(a, buf, 3, MSG_DONTWAIT));
    SHOW(sendto(a, NULL, 0, 0, SA(from)));
    SHOW(recv(b, buf, 10, 0));
    SHOW(connect(b, SA(x)));
    SHOW(send(b, "one", 3, 0));
    SHOW(send(b, "three", 5, 0));
    struct iovec v[2] = {{buf, 50}, {buf + 50, 50}};
    struct mmsghdr m[3] = {{.msg_hdr = {.msg_iov = v, .msg_iovlen = 1}}, {.msg_hdr = {.msg_iov = v + 1, .msg_iovlen = 1}}};
    SHOW(recvmmsg(a, m, 2, 0, NULL));
    SHOW(m[0].msg_len * 10 + m[1].msg_len);
    SHOW(sendto(b, buf, 65508, 0, NULL, 0));
    close(a);
    SHOW(send(b, "gone", 4, 0));
    SHOW(events(b, 2000));
    SHOW(recv(b, buf, 10, MSG_DONTWAIT));
    SHOW(recv(b, buf, 10, MSG_DONTWAIT));
    struct sockaddr none = {.sa_family = AF_UNSPEC};
    SHOW(connect(b, &none, sizeof none));
    SHOW(send(b, "x", 1, 0));
    SHOW(listen(b, 1));
    SHOW(accept(b, NULL, NULL));
    close(b);
}

// A listener shared by children, each of which serves some.
static void sharing(void)
{
    int port, l = listener(&port), sum = 0;
    fflush(stdout);
    for (int n = 0; n < 3; n++) {
        if (!fork()) {
            for (int k = 0; k < 4; k++) {
                int c = accept(l, NULL, NULL);
                char b = 0;
                if (read(c, &b, 1) == 1)
                    b++;
                if (write(c, &b, 1) != 1)
                    _exit(1);
                close(c);
            }
            _exit(0);
        }
    }
    close(l);
    struct sockaddr_in a = here(port);
    for (int n = 0; n < 12; n++) {
        int c = socket(AF_INET, SOCK_STREAM, 0);
        char b = n;
        if (connect(c, SA(a)) || write(c, &b, 1) != 1 || read(c, &b, 1) != 1)
            puts("failed");
        sum += b;
        close(c);
    }
    SHOW(sum);
    for (int n = 0, status; n < 3; n++) {
        wait(&status);
        SHOW(status);
    }
    int c = socket(AF_INET, SOCK_STREAM, 0);
    SHOW(connect(c, SA(a))); // the last one that listened has gone
    close(c);
}

static void passing(void)
{
    int s[2], p[2];
    char control[CMSG_SPACE(sizeof(int))], c = 'x';
    SHOW(socketpair(AF_UNIX, SOCK_STREAM, 0, s));
    if (pipe(p))
        return;
    struct iovec v = {&c, 1};
    struct msghdr m = {.msg_iov = &v, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control};
    struct cmsghdr *h = CMSG_FIRSTHDR(&m);
    h->cmsg_level = SOL_SOCKET, h->cmsg_type = SCM_RIGHTS, h->cmsg_len = CMSG_LEN(sizeof(int));
    memcpy(CMSG_DATA(h), &p[1], sizeof(int));
    SHOW(sendmsg(s[0], &m, 0));
    close(p[1]);
    memset(control, 0, sizeof control);
    SHOW(recvmsg(s[1], &m, 0));
    int fd;
    memcpy(&fd, CMSG_DATA(CMSG_FIRSTHDR(&m)), sizeof fd);
    SHOW(write(fd, "through", 7));
    char buf[10];
    SHOW(read(p[0], buf, 10));
    close(fd);
    SHOW(read(p[0], buf, 10));
    close(p[0]), close(s[0]), close(s[1]);
}

int main(void)
{
    signal(SIGPIPE, SIG_IGN);
    making();
    naming();
    connecting();
    bytes();
    options();
    datagrams();
    sharing();
    passing();
    return 0;
}
