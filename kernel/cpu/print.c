// The machine's log, and the end of the machine.
#include <stdarg.h>
#include "kernel.h"

static void put_number(u64 v, unsigned base, int width, char fill)
{
    char buf[24];
    int n = 0;
    do
        buf[n++] = "0123456789abcdef"[v % base];
    while (v /= base);
    for (; width > n; width--)
        serial_putc(fill);
    while (n)
        serial_putc(buf[--n]);
}

static void put_formatted(const char *f, va_list ap)
{
    for (; *f; f++) {
        if (*f != '%') {
            serial_putc(*f);
            continue;
        }
        char fill = ' ';
        int width = 0, wide = 0;
        if (*++f == '0')
            fill = '0';
        for (; *f >= '0' && *f <= '9'; f++)
            width = width * 10 + *f - '0';
        for (; *f == 'l'; f++)
            wide = 1;
        if (*f == 's') {
            for (const char *s = va_arg(ap, const char *); *s; s++)
                serial_putc(*s);
        } else if (*f == 'd') {
            s64 v = wide ? va_arg(ap, s64) : va_arg(ap, int);
            if (v < 0)
                serial_putc('-');
            put_number(v < 0 ? -(u64)v : (u64)v, 10, width, fill);
        } else if (*f == 'u' || *f == 'x') {
            put_number(wide ? va_arg(ap, u64) : va_arg(ap, u32), *f == 'x' ? 16 : 10, width, fill);
        } else if (*f == '%') {
            serial_putc('%');
        }
    }
}

void klog(const char *f, ...)
{
    va_list ap;
    va_start(ap, f);
    put_formatted(f, ap);
    va_end(ap);
    serial_putc('\n');
}

void panic(const char *f, ...)
{
    va_list ap;
    va_start(ap, f);
    for (const char *s = "xok panic: "; *s; s++)
        serial_putc(*s);
    put_formatted(f, ap);
    va_end(ap);
    serial_putc('\n');
    debug_exit(XOK_EXIT_PANIC);
}

void *memcpy(void *to, const void *from, size_t n)
{
    void *r = to;
    u64 words = n / 8, rest = n % 8;
    __asm__ volatile("rep movsq" : "+D"(to), "+S"(from), "+c"(words) : : "memory");
    __asm__ volatile("rep movsb" : "+D"(to), "+S"(from), "+c"(rest) : : "memory");
    return r;
}

void *memset(void *to, int c, size_t n)
{
    void *r = to;
    u64 words = n / 8, rest = n % 8;
    __asm__ volatile("rep stosq" : "+D"(to), "+c"(words) : "a"((u8)c * 0x0101010101010101ul) : "memory");
    __asm__ volatile("rep stosb" : "+D"(to), "+c"(rest) : "a"(c) : "memory");
    return r;
}

int memcmp(const void *a, const void *b, size_t n)
{
    const u8 *x = a, *y = b;
    for (; n--; x++, y++)
        if (*x != *y)
            return *x - *y;
    return 0;
}

size_t strlen(const char *s)
{
    size_t n = 0;
    while (s[n])
        n++;
    return n;
}
