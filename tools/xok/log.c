// Logs.
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "log.h"
#include "run.h"

void log_init(struct log *log, int fd)
{
    log->fd = fd;
    log->total = 0;
}

void log_take(struct log *log, bool show)
{
    char data[4096];
    ssize_t n = read_some(log->fd, data, sizeof data);
    if (n < 0 && errno == EAGAIN)
        return;
    if (n <= 0) {
        log->fd = -1;
        return;
    }
    for (ssize_t i = 0; i < n; i++)
        log->ring[log->total++ % LOG_KEPT] = data[i];
    if (show)
        log_write(data, n);
}

char *log_line(const struct log *log, const char *word)
{
    u64 len = log->total < LOG_KEPT ? log->total : LOG_KEPT;
    char *text = make(len + 1), *found = NULL;
    for (u64 i = 0; i < len; i++)
        text[i] = log->ring[(log->total - len + i) % LOG_KEPT];
    for (char *line = strtok(text, "\r\n"); line; line = strtok(NULL, "\r\n")) {
        line += strspn(line, " \t");
        if (!*line || !strstr(line, word))
            continue;
        free(found);
        found = format("%s", line);
    }
    free(text);
    return found;
}
