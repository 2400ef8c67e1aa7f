// The memory and string functions that the compiler and the library call. Eight bytes at a time: under
// emulation, and on older processors, `rep movsb` costs an iteration a byte.
#include "core/exos.h"

typedef u64 __attribute__((may_alias, aligned(1))) word;

extern bool avx_ok;
void vectors_copy(void *to, const void *from, size_t n), vectors_zero(void *to, size_t n); // vm/copy.S
enum { LONG = 256 }; // from here on saving the program's vector registers pays

void *memcpy(void *to, const void *from, size_t n)
{
    char *d = to;
    const char *s = from;
    if (n >= LONG && avx_ok) {
        size_t whole = n & -128ul;
        vectors_copy(d, s, whole);
        d += whole, s += whole, n -= whole;
    }
    for (; n >= 32; n -= 32, d += 32, s += 32) {
        u64 a = ((const word *)s)[0], b = ((const word *)s)[1], c = ((const word *)s)[2], e = ((const word *)s)[3];
        ((word *)d)[0] = a, ((word *)d)[1] = b, ((word *)d)[2] = c, ((word *)d)[3] = e;
    }
    for (; n >= 8; n -= 8, d += 8, s += 8)
        *(word *)d = *(const word *)s;
    while (n--)
        *d++ = *s++;
    return to;
}

void *memmove(void *to, const void *from, size_t n)
{
    char *d = to;
    const char *s = from;
    if (d <= s || d >= s + n)
        return memcpy(to, from, n);
    while (n >= 8)
        n -= 8, *(word *)(d + n) = *(const word *)(s + n);
    while (n--)
        d[n] = s[n];
    return to;
}

void *memset(void *to, int c, size_t n)
{
    char *d = to;
    u64 v = (u8)c * 0x0101010101010101ul;
    if (!c && n >= LONG && avx_ok) {
        size_t whole = n & -128ul;
        vectors_zero(d, whole);
        d += whole, n -= whole;
    }
    for (; n >= 32; n -= 32, d += 32)
        ((word *)d)[0] = v, ((word *)d)[1] = v, ((word *)d)[2] = v, ((word *)d)[3] = v;
    for (; n >= 8; n -= 8, d += 8)
        *(word *)d = v;
    while (n--)
        *d++ = c;
    return to;
}

int memcmp(const void *a, const void *b, size_t n)
{
    const u8 *x = a, *y = b;
    for (; n >= 8 && *(const word *)x == *(const word *)y; n -= 8)
        x += 8, y += 8;
    for (; n; n--, x++, y++)
        if (*x != *y)
            return *x - *y;
    return 0;
}

void *memchr(const void *s, int c, size_t n)
{
    for (const u8 *p = s; n--; p++)
        if (*p == (u8)c)
            return (void *)p;
    return NULL;
}

size_t strlen(const char *s)
{
    size_t n = 0;
    while (s[n])
        n++;
    return n;
}

size_t strnlen(const char *s, size_t max)
{
    size_t n = 0;
    while (n < max && s[n])
        n++;
    return n;
}

int strcmp(const char *a, const char *b)
{
    for (; *a && *a == *b; a++, b++)
        ;
    return (u8)*a - (u8)*b;
}

int strncmp(const char *a, const char *b, size_t n)
{
    for (; n && *a && *a == *b; a++, b++, n--)
        ;
    return n ? (u8)*a - (u8)*b : 0;
}

char *strchr(const char *s, int c)
{
    for (;; s++) {
        if (*s == (char)c)
            return (char *)s;
        if (!*s)
            return NULL;
    }
}

char *strrchr(const char *s, int c)
{
    const char *last = NULL;
    for (;; s++) {
        if (*s == (char)c)
            last = s;
        if (!*s)
            return (char *)last;
    }
}
