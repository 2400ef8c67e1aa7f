// What the tests of the kernel share. A test is a first environment that defines `void test(void)` and
// uses CHECK; each CHECK becomes an "ok" or "not ok" line of the machine's log, which run.sh counts.
#ifndef TEST_H
#define TEST_H
#include "xok/calls.h"
#include "xok/error.h"
#include "xok/info.h"
#include "xok/pt.h"

#define ROOT 0 // the capability slot of the first environment
#define PAGE XOK_PAGE_SIZE

extern u8 text_begin[], text_end[], image_end[];
static u64 module_ppn, module_pages;

__attribute__((used)) static void *memset(void *to, int c, u64 n)
{
    void *at = to;
    __asm__ volatile("rep stosb" : "+D"(at), "+c"(n) : "a"(c) : "memory");
    return to;
}

__attribute__((used)) static void *memcpy(void *to, const void *from, u64 n)
{
    void *at = to;
    __asm__ volatile("rep movsb" : "+D"(at), "+S"(from), "+c"(n) : : "memory");
    return to;
}

static char *put_number(char *at, u64 v)
{
    char digits[24];
    int n = 0;
    do
        digits[n++] = "0123456789abcdef"[v & 15];
    while (v >>= 4);
    while (n)
        *at++ = digits[--n];
    return at;
}

// One line: text, and two numbers in hexadecimal.
static void say(const char *text, const char *what, u64 a, u64 b)
{
    char line[256], *at = line;
    while (*text && at < line + 20)
        *at++ = *text++;
    while (*what && at < line + 180)
        *at++ = *what++;
    for (const char *s = " # "; *s;)
        *at++ = *s++;
    at = put_number(at, a);
    *at++ = ' ';
    at = put_number(at, b);
    xok_log(line, at - line);
}

#define EQ(x, y)                                            \
    do {                                                    \
        s64 x_ = (s64)(x), y_ = (s64)(y);                   \
        say(x_ == y_ ? "ok " : "not ok ", #x " == " #y, x_, y_); \
    } while (0)
#define CHECK(x)                                 \
    do {                                         \
        s64 x_ = (s64)(x);                       \
        say(x_ ? "ok " : "not ok ", #x, x_, 0);  \
    } while (0)

// ---- pages and mappings
static s64 map(u64 va, u64 ppn, u64 count, u64 bits)
{
    struct xok_pt_op op = {.va = va, .pte = ppn << 12 | XOK_PTE_P | bits, .count = count, .kind = XOK_PT_SET,
                           .level = 1, .flags = XOK_PT_CREATE};
    return xok_pt_batch(ROOT, 0, &op, 1);
}

static s64 unmap(u64 va, u64 count)
{
    struct xok_pt_op op = {.va = va, .count = count, .kind = XOK_PT_CLEAR, .level = 1};
    return xok_pt_batch(ROOT, 0, &op, 1);
}

__attribute__((used)) static u64 page_new(u64 va)
{
    u64 ppn = xok_page_alloc(ROOT, XOK_PAGE_ANY, 1);
    map(va, ppn, 1, XOK_PTE_W | XOK_PTE_NX);
    memset((void *)va, 0, PAGE);
    return ppn;
}

__attribute__((used)) static void page_gone(u64 va, u64 ppn)
{
    unmap(va, 1);
    xok_page_free(ROOT, ppn, 1);
}

static void test(void);

__attribute__((used, noreturn)) void test_begin(u64 ppn, u64 pages)
{
    module_ppn = ppn, module_pages = pages;
    test();
    say("done", "", 0, 0);
    xok_halt(ROOT, 0);
    for (;;)
        ;
}
#endif
