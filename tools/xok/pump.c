// Pumps.
#include <errno.h>
#include <limits.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>
#include "pump.h"

// The host's descriptors are shared with other processes, so they cannot be made non-blocking. A
// ready pipe takes PIPE_BUF bytes at once (pipe(7)); a terminal may take less than it says, so it
// gets little.
static size_t safe_chunk(int fd)
{
    struct stat st;
    if (fstat(fd, &st) < 0)
        return PIPE_BUF;
    if (S_ISFIFO(st.st_mode))
        return PIPE_BUF;
    return isatty(fd) ? 1024 : sizeof((struct pump *)0)->data;
}

void pump_init(struct pump *pump, int from, int to)
{
    *pump = (struct pump){.from = from, .to = to, .chunk = safe_chunk(to)};
}

bool pump_empty(const struct pump *pump)
{
    return pump->at == pump->end;
}

struct pollfd pump_wait(const struct pump *pump)
{
    if (pump_empty(pump))
        return (struct pollfd){.fd = pump->from, .events = POLLIN};
    return (struct pollfd){.fd = pump->to, .events = POLLOUT};
}

static void take(struct pump *pump)
{
    ssize_t n = read_some(pump->from, pump->data, sizeof pump->data);
    if (n < 0 && errno == EAGAIN)
        return;
    if (n <= 0) {
        pump->from = -1;
        return;
    }
    pump->at = 0, pump->end = n;
    pump->taken += n;
}

static void give(struct pump *pump)
{
    size_t len = pump->end - pump->at;
    if (len > pump->chunk)
        len = pump->chunk;
    ssize_t n = send(pump->to, pump->data + pump->at, len, MSG_DONTWAIT | MSG_NOSIGNAL);
    if (n < 0 && errno == ENOTSOCK)
        n = write(pump->to, pump->data + pump->at, len);
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (n < 0)
        pump->to = -1;
    else
        pump->at += n;
}

void pump_move(struct pump *pump)
{
    if (pump_empty(pump))
        take(pump);
    else
        give(pump);
    if (pump->to < 0)
        pump->at = pump->end;
}
