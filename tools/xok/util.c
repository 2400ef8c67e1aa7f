// Errors, memory and whole reads and writes.
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include "xok.h"

// One write, so that lines of several processes do not mix; \r because the terminal may be raw.
static void say(const char *format, va_list args)
{
    char line[2048];
    int n = vsnprintf(line, sizeof line, format, args);
    if (n >= (int)sizeof line)
        n = sizeof line - 1;
    dprintf(STDERR_FILENO, "xok: %.*s%s\n", n, line, isatty(STDERR_FILENO) ? "\r" : "");
}

void complain(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    say(format, args);
    va_end(args);
}

void die(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    say(format, args);
    va_end(args);
    exit(STATUS_XOK);
}

void die_status(int status, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    say(format, args);
    va_end(args);
    exit(status);
}

void *make(size_t size)
{
    void *p = calloc(1, size ? size : 1);
    if (!p)
        die("out of memory");
    return p;
}

void *grow(void *p, size_t size)
{
    p = realloc(p, size);
    if (!p)
        die("out of memory");
    return p;
}

char *format(const char *format, ...)
{
    char *text;
    va_list args;
    va_start(args, format);
    if (vasprintf(&text, format, args) < 0)
        die("out of memory");
    va_end(args);
    return text;
}

char *path_join(const char *dir, const char *name)
{
    size_t len = strlen(dir);
    return format("%s%s%s", dir, len && dir[len - 1] == '/' ? "" : "/", name);
}

ssize_t read_some(int fd, void *to, size_t len)
{
    ssize_t n;
    do
        n = read(fd, to, len);
    while (n < 0 && errno == EINTR);
    return n;
}

bool read_all(int fd, void *to, size_t len)
{
    for (size_t done = 0; done < len;) {
        ssize_t n = read_some(fd, (char *)to + done, len - done);
        if (n <= 0)
            return false;
        done += n;
    }
    return true;
}

bool pread_all(int fd, void *to, size_t len, off_t off)
{
    for (size_t done = 0; done < len;) {
        ssize_t n = pread(fd, (char *)to + done, len - done, off + done);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return false;
        done += n;
    }
    return true;
}

bool write_all(int fd, const void *from, size_t len)
{
    for (size_t done = 0; done < len;) {
        ssize_t n = write(fd, (const char *)from + done, len - done);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return false;
        done += n;
    }
    return true;
}

bool copy_bytes(int from, off_t off, int to, u64 len)
{
    static char buffer[1 << 16];
    while (len) {
        size_t n = len < sizeof buffer ? len : sizeof buffer;
        if (!pread_all(from, buffer, n, off))
            return false;
        if (!write_all(to, buffer, n))
            die("writing the image: %s", strerror(errno));
        off += n, len -= n;
    }
    return true;
}

void pad_to(int fd, u64 from, u64 to)
{
    static const char zero[4096];
    for (; from < to; from += to - from < sizeof zero ? to - from : sizeof zero)
        if (!write_all(fd, zero, to - from < sizeof zero ? to - from : sizeof zero))
            die("writing the image: %s", strerror(errno));
}

char *program_dir(void)
{
    char path[PATH_MAX];
    ssize_t n = readlink("/proc/self/exe", path, sizeof path - 1);
    if (n < 0)
        die("/proc/self/exe: %s", strerror(errno));
    path[n] = 0;
    *strrchr(path, '/') = 0;
    return format("%s", path);
}

int temp_file(void)
{
    const char *dir = getenv("TMPDIR");
    int fd = open(dir && *dir ? dir : "/tmp", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
    if (fd < 0)
        fd = memfd_create("xok", MFD_CLOEXEC);
    if (fd < 0)
        die("no temporary file: %s", strerror(errno));
    return fd;
}

bool parse_number(const char *text, u64 max, u64 *value)
{
    char *end;
    errno = 0;
    *value = strtoul(text, &end, 10);
    return *text >= '0' && *text <= '9' && !*end && !errno && *value <= max;
}

bool parse_size(const char *text, u64 *bytes)
{
    char *end;
    errno = 0;
    u64 n = strtoul(text, &end, 10);
    if (*text < '0' || *text > '9' || errno)
        return false;
    int shift = 20;
    switch (*end) {
    case 'K':
    case 'k': shift = 10; break;
    case 'M':
    case 'm':
    case 0: shift = 20; break;
    case 'G':
    case 'g': shift = 30; break;
    default: return false;
    }
    if (*end && end[1])
        return false;
    *bytes = n << shift;
    return n && n == *bytes >> shift;
}
