// The examples of apps/code, as clang compiles them: what they compute, and how many machine instructions
// that takes.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "xok/udf.h"
#include "code/count.h"
#include "../../kernel/code/host/native.h"
#include "../../kernel/code/host/object.h"

#define OBJECTS "build/host/code/" // the tests run at the top of the tree
static struct code_frame frame;

static struct code_program load(const char *file, const char *function, struct object_program *p)
{
    char path[128];
    const char *error;
    struct code_program program;
    struct code_error e;
    snprintf(path, sizeof path, OBJECTS "%s.o", file);
    FILE *f = fopen(path, "rb");
    assert_non_null(f);
    u8 *bytes = malloc(1 << 18);
    u64 len = fread(bytes, 1, 1 << 18, f);
    fclose(f);
    struct object *o = object_open(bytes, len, &error);
    assert_non_null(o);
    if (!object_link(o, function, p, &error))
        fail_msg("%s: %s", function, error);
    if (!native_load(&p->abi, &p->source, &program, &e))
        fail_msg("%s: refused at %u: %s", function, e.insn, e.reason);
    object_close(o);
    free(bytes);
    return program;
}

struct extent {
    u64 block;
    u32 count, type;
};

static void owns(void **unused)
{
    (void)unused;
    static u64 meta[512];
    static struct extent out[500];
    struct object_program p;
    struct code_program owns = load("owns", "owns", &p);
    struct code_region regions[] = {{meta, sizeof meta}, {out, sizeof out}};
    struct code_result r;
    for (u32 k = 12; k < 512; k++)
        meta[k] = 1000 + k;
    u64 n = count_run(&owns, regions, 2, 100000, &frame, &r);
    print_message("owns over 500 pointers: %lu machine instructions\n", n);
    assert_int_equal(r.status, CODE_OK);
    assert_int_equal(r.value, 500);
    assert_true(n <= 8000);
    for (u32 k = 0; k < 500; k++)
        assert_true(out[k].block == 1012 + k && out[k].count == 1 && out[k].type == 7);
    memset(meta, 0, sizeof meta);
    meta[511] = 9;
    r = code_run(&owns, regions, 2, 100000, &frame);
    assert_true(r.value == 1 && out[0].block == 9);
    assert_int_equal(code_run(&owns, regions, 2, 100, &frame).status, CODE_E_FUEL);
    native_free(&owns);
    // with less room than it emits: a failure as a whole
    for (u32 k = 12; k < 512; k++)
        meta[k] = k;
    p.abi.region[1] = (struct code_region_type){160, 160, true, true};
    struct code_error e;
    assert_true(native_load(&p.abi, &p.source, &owns, &e));
    regions[1].len = 160;
    assert_int_equal(code_run(&owns, regions, 2, 100000, &frame).status, CODE_E_FULL);
    native_free(&owns);
    object_program_free(&p);
}

// The same through struct xok_udf, with the declarations of kernel/disk/functions.c.
static void owns_of_xn(void **unused)
{
    (void)unused;
    static u64 meta[512];
    static struct xok_owns out[XOK_OWNS_MAX];
    static const struct code_pointer pointers[] = {{0, 1, offsetof(struct xok_udf, head)},
                                                   {0, 2, offsetof(struct xok_udf, part)},
                                                   {0, 3, offsetof(struct xok_udf, out)}};
    struct xok_udf udf = {.head = (void *)CODE_VA(2), .part = (void *)CODE_VA(3), .out = (void *)CODE_VA(4),
                          .head_len = 4096, .room = XOK_OWNS_MAX};
    struct object_program p;
    struct code_program owns = load("xn_owns", "owns", &p);
    struct code_error e;
    struct code_region regions[] = {{&udf, sizeof udf}, {meta, 4096}, {NULL, 0}, {out, sizeof out}};
    struct code_result r;
    native_free(&owns);
    p.abi = (struct code_abi){.region_count = 4, .pointers = pointers, .pointer_count = 3,
                              .region = {{sizeof udf, sizeof udf, false, false}, {4096, 4096, false, false},
                                         {0, 0, false, false}, {0, sizeof out, true, true}}};
    assert_true(native_load(&p.abi, &p.source, &owns, &e));
    for (u32 k = 12; k < 512; k++)
        meta[k] = 1000 + k;
    u64 n = count_run(&owns, regions, 4, 100000, &frame, &r);
    print_message("owns of XN over 500 pointers: %lu machine instructions\n", n);
    assert_true(r.status == CODE_OK && r.value == 500 && out[499].block == 1511 && out[499].type == 7);
    assert_true(n <= 8000);
    native_free(&owns);
    p.abi.region[0].writable = true;
    assert_false(native_load(&p.abi, &p.source, &owns, &e));
    assert_string_equal(e.reason, "a pointer is declared in a region that is writable, or to none");
    object_program_free(&p);
}

static void filter(void **unused)
{
    (void)unused;
    u8 frame_bytes[60] = {
        [12] = 8, [14] = 0x45, [23] = 6, [30] = 10, [31] = 0, [32] = 2, [33] = 15, [37] = 80};
    struct object_program p;
    struct code_program filter = load("filter", "filter", &p);
    struct code_region region = {frame_bytes, sizeof frame_bytes};
    struct code_result r;
    u64 n = count_run(&filter, &region, 1, 0, &frame, &r);
    print_message("filter of %u instructions: %lu machine instructions\n", p.source.count, n);
    assert_true(r.status == CODE_OK && r.value == 1);
    assert_true(p.source.count >= 12 && n <= 20);
    assert_int_equal(filter.checks, 0);
    region.len = 53;
    assert_int_equal(code_run(&filter, &region, 1, 0, &frame).value, 0);
    region.len = 60;
    frame_bytes[37] = 81;
    assert_int_equal(code_run(&filter, &region, 1, 0, &frame).value, 0);
    region.len = 10;
    assert_int_equal(code_run(&filter, &region, 1, 0, &frame).status, CODE_E_REGION);
    native_free(&filter);
    object_program_free(&p);
}

static u16 sum(const u8 *p, u32 n)
{
    u32 s = 0;
    for (u32 k = 0; k < n; k += 2)
        s += p[k] << 8 | p[k + 1];
    while (s >> 16)
        s = (s & 0xffff) + (s >> 16);
    return s;
}

static void echo(void **unused)
{
    (void)unused;
    u8 f[64] = {0, 1,  2,        3,         4, 5, 6,  7,  8, 9, 10, 11,       8,           0,    0x45, 0,
                0, 40, [23] = 1, [26] = 10, 0, 2, 15, 10, 0, 2, 2,  [34] = 8, [38] = 0x12, 0x34, 0,    1};
    static const u8 ether[] = {6, 7, 8, 9, 10, 11, 0, 1, 2, 3, 4, 5}, ip[] = {10, 0, 2, 2, 10, 0, 2, 15};
    for (u32 k = 42; k < 54; k++)
        f[k] = 3 * k;
    u16 c = ~sum(f + 34, 20);
    f[36] = c >> 8, f[37] = c;
    struct object_program p;
    struct code_program echo = load("echo", "echo", &p);
    struct code_region region = {f, sizeof f};
    struct code_result r;
    u64 n = count_run(&echo, &region, 1, 1000, &frame, &r);
    print_message("echo of 40 bytes: %lu machine instructions\n", n);
    assert_true(r.status == CODE_OK && r.value == 54);
    assert_int_equal(f[34], 0);
    assert_int_equal(sum(f + 34, 20), 0xffff);
    assert_memory_equal(f, ether, 12);
    assert_memory_equal(f + 26, ip, 8);
    assert_int_equal(code_run(&echo, &region, 1, 1000, &frame).value, 0); // a reply is not answered
    f[34] = 8, f[17] = 200;
    assert_int_equal(code_run(&echo, &region, 1, 1000, &frame).value, 0); // longer than the frame
    native_free(&echo);
    object_program_free(&p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(owns), cmocka_unit_test(owns_of_xn), cmocka_unit_test(filter),
                                       cmocka_unit_test(echo)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
