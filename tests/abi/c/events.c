// Waiting for many: poll, select, epoll, eventfd, timerfd, and what each kind of file says.
#include "abi.h"
#include <fcntl.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/select.h>
#include <sys/socket.h>
#include <sys/timerfd.h>

static int events_of(int fd, int want)
{
    struct pollfd p = {fd, want, 0};
    poll(&p, 1, 0);
    return p.revents;
}

static void polling(void)
{
    int p[2], all = POLLIN | POLLOUT | POLLPRI | POLLRDHUP;
    char c;
    SHOW(pipe(p));
    SHOW(events_of(p[0], all));
    SHOW(events_of(p[1], all));
    SHOW(write(p[1], "x", 1));
    SHOW(events_of(p[0], all));
    static char block[65536];
    fcntl(p[1], F_SETFL, O_NONBLOCK);
    while (write(p[1], block, sizeof block) > 0)
        ;
    SHOW(events_of(p[1], all));
    SHOW(read(p[0], block, 8192));
    SHOW(events_of(p[1], all));
    close(p[1]);
    while (read(p[0], block, sizeof block) > 0)
        ;
    SHOW(events_of(p[0], all));
    SHOW(events_of(99, all));
    SHOW(events_of(open("/dev/null", O_RDWR), all));
    SHOW(events_of(open("/tmp/x", O_RDWR | O_CREAT, 0600), all));
    SHOW(events_of(open("/", O_RDONLY), all));
    SHOW(pipe(p));
    close(p[0]);
    SHOW(events_of(p[1], all));
    struct pollfd none[2] = {{-1, POLLIN, 7}, {-5, 0, 7}};
    SHOW(poll(none, 2, 1));
    SHOW(none[0].revents);
    SHOW(poll(NULL, 0, 1));
    SHOW(poll(BAD, 1, 1));
    SHOW(poll(none, 100000000, 1));
    int s[2];
    SHOW(socketpair(AF_UNIX, SOCK_STREAM, 0, s));
    SHOW(events_of(s[0], all));
    SHOW(shutdown(s[1], SHUT_WR));
    SHOW(events_of(s[0], all));
    SHOW(close(s[1]));
    SHOW(events_of(s[0], all));
    SHOW(read(s[0], &c, 1));
    fd_set r, w;
    FD_ZERO(&r);
    FD_ZERO(&w);
    SHOW(pipe(p));
    FD_SET(p[0], &r);
    FD_SET(p[1], &w);
    FD_SET(p[1], &r);
    struct timeval t = {0, 1000};
    SHOW(select(p[1] + 1, &r, &w, NULL, &t));
    printf("%d %d\n", FD_ISSET(p[0], &r) != 0, FD_ISSET(p[1], &w) != 0);
    FD_ZERO(&r);
    FD_SET(p[0], &r);
    t = (struct timeval){0, 1000};
    SHOW(select(p[0] + 1, &r, NULL, NULL, &t));
    FD_SET(300, &r);
    SHOW(select(301, &r, NULL, NULL, &t));
    SHOW(select(-1, NULL, NULL, NULL, &t));
}

static void show(int ep)
{
    struct epoll_event e[8];
    int n = epoll_wait(ep, e, 8, 0);
    printf("%d:", n);
    for (int i = 0; i < n; i++)
        printf(" %d=%x", (int)e[i].data.u64, e[i].events);
    putchar('\n');
}

static void set(int ep, int op, int fd, int events, int data)
{
    struct epoll_event e = {.events = events, .data.u64 = data};
    int r = epoll_ctl(ep, op, fd, &e);
    printf("op %d: %s\n", op, r ? strerrorname(errno) : "0");
}

static void epolls(void)
{
    int ep = epoll_create1(EPOLL_CLOEXEC), p[2], q[2];
    char c;
    SHOW(epoll_create1(5));
    SHOW(epoll_create(0));
    if (pipe(p) || pipe(q))
        exit(1);
    set(ep, EPOLL_CTL_ADD, p[0], EPOLLIN, 1);
    set(ep, EPOLL_CTL_ADD, p[0], EPOLLIN, 1);
    set(ep, EPOLL_CTL_MOD, q[0], EPOLLIN, 2);
    set(ep, EPOLL_CTL_DEL, q[0], 0, 2);
    set(ep, EPOLL_CTL_ADD, 99, EPOLLIN, 2);
    set(ep, EPOLL_CTL_ADD, ep, EPOLLIN, 2);
    set(ep, EPOLL_CTL_ADD, open("/tmp/x", O_RDWR | O_CREAT, 0600), EPOLLIN, 2);
    set(p[0], EPOLL_CTL_ADD, q[0], EPOLLIN, 2);
    show(ep);
    SHOW(write(p[1], "ab", 2));
    show(ep), show(ep);
    set(ep, EPOLL_CTL_MOD, p[0], EPOLLIN | EPOLLET, 3);
    show(ep), show(ep);
    SHOW(write(p[1], "c", 1));
    show(ep), show(ep);
    set(ep, EPOLL_CTL_MOD, p[0], EPOLLIN | EPOLLONESHOT, 4);
    show(ep), show(ep);
    SHOW(write(p[1], "d", 1));
    show(ep);
    set(ep, EPOLL_CTL_MOD, p[0], EPOLLIN | EPOLLONESHOT, 5);
    show(ep);
    set(ep, EPOLL_CTL_ADD, p[1], EPOLLOUT, 6);
    set(ep, EPOLL_CTL_ADD, q[0], EPOLLIN, 7);
    show(ep);
    close(q[1]);
    show(ep);
    close(q[0]);
    show(ep);
    int d = dup(p[1]);
    close(p[1]);
    show(ep);
    close(d);
    show(ep);
    int outer = epoll_create1(0);
    int e = eventfd(0, EFD_NONBLOCK);
    set(ep, EPOLL_CTL_ADD, e, EPOLLIN, 8);
    set(outer, EPOLL_CTL_ADD, ep, EPOLLIN, 9);
    set(ep, EPOLL_CTL_ADD, outer, EPOLLIN, 9);
    show(outer);
    SHOW(eventfd_write(e, 1));
    show(outer);
    SHOW(events_of(ep, POLLIN));
    SHOW(read(e, &(uint64_t){0}, 8));
    show(outer);
    SHOW(read(p[0], &c, 1));
    SHOW(epoll_wait(ep, BAD, 1, 0));
    SHOW(epoll_wait(ep, NULL, 0, 0));
    SHOW(epoll_wait(e, NULL, 1, 0));
    SHOW(epoll_wait(ep, (struct epoll_event[1]){0}, 1, 5));
}

static void event_fds(void)
{
    int e = eventfd(3, EFD_NONBLOCK);
    uint64_t v = 7;
    SHOW(read(e, &v, 8));
    SHOW(v);
    SHOW(read(e, &v, 8));
    SHOW(read(e, &v, 4));
    v = ~0ul;
    SHOW(write(e, &v, 8));
    v = ~0ul - 1;
    SHOW(write(e, &v, 8));
    v = 1;
    SHOW(write(e, &v, 8));
    SHOW(events_of(e, POLLIN | POLLOUT));
    int s = eventfd(2, EFD_SEMAPHORE | EFD_NONBLOCK);
    SHOW(read(s, &v, 8));
    SHOW(v);
    SHOW(read(s, &v, 8));
    SHOW(read(s, &v, 8));
    SHOW(eventfd(0, 12345));
    SHOW(lseek(e, 0, SEEK_SET));
    int t = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK);
    struct itimerspec i = {{0, 1000000}, {0, 1000000}}, old;
    SHOW(read(t, &v, 8));
    SHOW(timerfd_settime(t, 0, &i, NULL));
    SHOW(poll(&(struct pollfd){t, POLLIN, 0}, 1, 1000));
    usleep(10000);
    SHOW(read(t, &v, 8));
    TRUE(v >= 5);
    i = (struct itimerspec){{0, 0}, {100, 0}};
    SHOW(timerfd_settime(t, 0, &i, &old));
    SHOW(old.it_interval.tv_nsec);
    SHOW(timerfd_gettime(t, &old));
    TRUE(old.it_value.tv_sec >= 50 && old.it_value.tv_sec < 100);
    i.it_value.tv_nsec = 1000000000;
    SHOW(timerfd_settime(t, 0, &i, NULL));
    i = (struct itimerspec){0};
    SHOW(timerfd_settime(t, 0, &i, NULL));
    SHOW(timerfd_gettime(t, &old));
    SHOW(old.it_value.tv_sec);
    SHOW(timerfd_create(77, 0));
    SHOW(timerfd_settime(e, 0, &i, NULL));
}

static void across(void)
{
    int e = eventfd(0, 0), p[2];
    if (pipe(p))
        exit(1);
    fflush(stdout);
    if (!fork()) {
        uint64_t v;
        for (int i = 0; i < 200; i++)
            if (read(e, &v, 8) != 8 || write(p[1], "x", 1) != 1)
                _exit(1);
        _exit(0);
    }
    int ep = epoll_create1(0), got = 0;
    set(ep, EPOLL_CTL_ADD, p[0], EPOLLIN | EPOLLET, 1);
    for (int i = 0; i < 200; i++) {
        eventfd_write(e, 1);
        struct epoll_event v;
        char c;
        if (epoll_wait(ep, &v, 1, 5000) == 1 && read(p[0], &c, 1) == 1)
            got++;
    }
    printf("%d\n", got);
    wait(NULL);
}

int main(void)
{
    child("polling", polling);
    child("epolls", epolls);
    child("event descriptors", event_fds);
    child("across", across);
}
