// Formatted text: %d %i %u %x %X %o %c %s %p %%, with l/ll/z, width, zero padding, '-', precision for %s.
#include <stdarg.h>
#include "core/exos.h"
#include "core/calls.h"

struct out {
    char *at, *end;
    int total;
};

static void put(struct out *o, char c)
{
    if (o->at < o->end)
        *o->at++ = c;
    o->total++;
}

static void pad(struct out *o, int n, char c)
{
    while (n-- > 0)
        put(o, c);
}

enum { CAPITALS = 0x100 }; // beside a base
static int digits(char *buf, u64 v, unsigned base)
{
    const char *figures = base & CAPITALS ? "0123456789ABCDEF" : "0123456789abcdef";
    int n = 0;
    base &= ~CAPITALS;
    do
        buf[n++] = figures[v % base];
    while (v /= base);
    return n;
}

static void put_number(struct out *o, u64 v, bool negative, unsigned base, int width, bool zero, bool left)
{
    char buf[24];
    int n = digits(buf, v, base), all = n + negative;
    if (!left && !zero)
        pad(o, width - all, ' ');
    if (negative)
        put(o, '-');
    if (!left && zero)
        pad(o, width - all, '0');
    while (n)
        put(o, buf[--n]);
    if (left)
        pad(o, width - all, ' ');
}

static void put_string(struct out *o, const char *s, int precision, int width, bool left)
{
    int n = s ? (int)strnlen(s, precision < 0 ? 1u << 20 : (size_t)precision) : 0;
    if (!left)
        pad(o, width - n, ' ');
    for (int i = 0; i < n; i++)
        put(o, s[i]);
    if (left)
        pad(o, width - n, ' ');
}

int vsnprintf(char *buf, size_t size, const char *f, va_list ap)
{
    struct out o = {buf, size ? buf + size - 1 : buf, 0};
    for (; *f; f++) {
        if (*f != '%') {
            put(&o, *f);
            continue;
        }
        bool left = false, zero = false;
        int width = 0, precision = -1, wide = 0;
        for (f++; *f == '-' || *f == '0'; f++)
            *f == '-' ? (left = true) : (zero = true);
        if (*f == '*')
            width = va_arg(ap, int), f++;
        for (; *f >= '0' && *f <= '9'; f++)
            width = width * 10 + *f - '0';
        if (*f == '.') {
            precision = 0;
            if (*++f == '*')
                precision = va_arg(ap, int), f++;
            for (; *f >= '0' && *f <= '9'; f++)
                precision = precision * 10 + *f - '0';
        }
        for (; *f == 'l' || *f == 'z'; f++)
            wide = 1;
        switch (*f) {
        case 'd': case 'i': {
            s64 v = wide ? va_arg(ap, s64) : va_arg(ap, int);
            put_number(&o, v < 0 ? -(u64)v : (u64)v, v < 0, 10, width, zero, left);
            break;
        }
        case 'u': put_number(&o, wide ? va_arg(ap, u64) : va_arg(ap, u32), false, 10, width, zero, left); break;
        case 'x': put_number(&o, wide ? va_arg(ap, u64) : va_arg(ap, u32), false, 16, width, zero, left); break;
        case 'X': put_number(&o, wide ? va_arg(ap, u64) : va_arg(ap, u32), false, 16 | CAPITALS, width, zero, left); break;
        case 'o': put_number(&o, wide ? va_arg(ap, u64) : va_arg(ap, u32), false, 8, width, zero, left); break;
        case 'p': put(&o, '0'), put(&o, 'x'), put_number(&o, va_arg(ap, u64), false, 16, width, zero, left); break;
        case 'c': put(&o, (char)va_arg(ap, int)); break;
        case 's': put_string(&o, va_arg(ap, const char *), precision, width, left); break;
        case '%': put(&o, '%'); break;
        default: return o.total; // a format this library does not use
        }
    }
    if (size)
        *o.at = 0;
    return o.total;
}

int snprintf(char *buf, size_t size, const char *f, ...)
{
    va_list ap;
    va_start(ap, f);
    int n = vsnprintf(buf, size, f, ap);
    va_end(ap);
    return n;
}

void debug(const char *f, ...)
{
    char line[400];
    va_list ap;
    va_start(ap, f);
    int n = vsnprintf(line, sizeof line, f, ap);
    va_end(ap);
    xok_log(line, MIN((size_t)n, sizeof line - 1));
}

void panic(const char *f, ...)
{
    char line[400] = "ExOS: ";
    va_list ap;
    va_start(ap, f);
    int n = 6 + vsnprintf(line + 6, sizeof line - 6, f, ap);
    va_end(ap);
    xok_log(line, MIN((size_t)n, sizeof line - 1));
    xok_halt(FAMILY, 125);
    for (;;)
        ;
}
