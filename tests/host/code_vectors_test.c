// Every instruction of RFC 9669 with results worked out by hand, on the compiler and the interpreter.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include "code/asm.h"

static struct arena arena;
static u8 *memory; // region 0, 64 bytes, writable

static struct code_result run(const struct insn *insns, u32 count)
{
    struct code_abi abi = {.dead_code_ok = true, .region_count = 1, .region = {{64, 64, true, false}}};
    struct code_source source = {(const u64 *)insns, count, NULL, 0};
    struct code_program program;
    struct code_error error;
    struct code_region region = {memory, 64};
    if (arena_load(&arena, &abi, &source, &program, &error)) {
        arena_print(&source);
        fail_msg("refused at %u: %s", error.insn, error.reason);
    }
    return arena_both(&arena, &program, &abi, &source, &region, 1, 100000);
}

static u64 value(const struct insn *insns, u32 count)
{
    struct code_result r = run(insns, count);
    assert_int_equal(r.status, CODE_OK);
    return r.value;
}
#define VALUE(...)                                                                                           \
    value((struct insn[]){__VA_ARGS__}, sizeof((struct insn[]){__VA_ARGS__}) / sizeof(struct insn))

#define MIN64 0x8000000000000000ul
#define MAX64 0x7ffffffffffffffful
#define ONES 0xfffffffffffffffful

// ---- arithmetic: operation, offset, 64 bits; a op b is what
static const struct alu_vector {
    u8 op, off, wide;
    u64 a, b, want;
} alu_vectors[] = {
    {ADD, 0, 1, 1, 2, 3},
    {ADD, 0, 1, ONES, 1, 0},
    {ADD, 0, 1, 0x7fffffff, 1, 0x80000000},
    {ADD, 0, 1, 5, (u64)-7, (u64)-2},
    {ADD, 0, 0, 0xffffffff, 1, 0},
    {ADD, 0, 0, 0xffffffff00000001, 2, 3},
    {ADD, 0, 0, 1, (u64)-1, 0},
    {SUB, 0, 1, 1, 2, ONES},
    {SUB, 0, 1, MIN64, 1, MAX64},
    {SUB, 0, 0, 1, 2, 0xffffffff},
    {SUB, 0, 0, 0x100000000, 0, 0},
    {MUL, 0, 1, 3, 5, 15},
    {MUL, 0, 1, 0x100000000, 0x10, 0x1000000000},
    {MUL, 0, 1, (u64)-3, 7, (u64)-21},
    {MUL, 0, 1, ONES, ONES, 1},
    {MUL, 0, 0, 0x10000, 0x10000, 0},
    {MUL, 0, 0, 0xffffffff, 2, 0xfffffffe},
    {MUL, 0, 0, 0x500000003, 4, 12},
    {DIV, 0, 1, 100, 7, 14},
    {DIV, 0, 1, ONES, 2, MAX64},
    {DIV, 0, 1, 100, (u64)-1, 0},
    {DIV, 0, 1, ONES, (u64)-1, 1},
    {DIV, 0, 1, 7, 0, 0},
    {DIV, 0, 1, 1024, 16, 64},
    {DIV, 0, 1, 5, 1, 5},
    {DIV, 0, 0, 0xfffffffe, 2, 0x7fffffff},
    {DIV, 0, 0, 0x10000000a, 3, 3},
    {DIV, 0, 0, 0xffffffff, (u64)-1, 1},
    {DIV, 0, 0, 5, 0, 0},
    {DIV, 0, 0, 0xf00000005, 1, 5},
    {DIV, 1, 1, (u64)-7, 2, (u64)-3},
    {DIV, 1, 1, 7, (u64)-2, (u64)-3},
    {DIV, 1, 1, MIN64, (u64)-1, MIN64},
    {DIV, 1, 1, 9, (u64)-1, (u64)-9},
    {DIV, 1, 1, (u64)-9, 0, 0},
    {DIV, 1, 1, (u64)-16, 4, (u64)-4},
    {DIV, 1, 0, 0xfffffff9, 2, 0xfffffffd},
    {DIV, 1, 0, 0x80000000, (u64)-1, 0x80000000},
    {DIV, 1, 0, 0x80000000, 2, 0xc0000000},
    {DIV, 1, 0, 9, 0, 0},
    {MOD, 0, 1, 100, 7, 2},
    {MOD, 0, 1, ONES, 10, 5},
    {MOD, 0, 1, 9, 0, 9},
    {MOD, 0, 1, ONES, 0, ONES},
    {MOD, 0, 1, 0x12345, 0x100, 0x45},
    {MOD, 0, 1, 77, 1, 0},
    {MOD, 0, 0, 0xffffffff, 10, 5},
    {MOD, 0, 0, 0x700000009, 0, 9},
    {MOD, 0, 0, 0x700000009, 4, 1},
    {MOD, 1, 1, (u64)-7, 2, (u64)-1},
    {MOD, 1, 1, 7, (u64)-2, 1},
    {MOD, 1, 1, MIN64, (u64)-1, 0},
    {MOD, 1, 1, (u64)-13, 3, (u64)-1},
    {MOD, 1, 1, (u64)-13, 0, (u64)-13},
    {MOD, 1, 0, 0xfffffff9, 2, 0xffffffff},
    {MOD, 1, 0, 0x80000000, (u64)-1, 0},
    {MOD, 1, 0, 0xfffffff3, 0, 0xfffffff3},
    {OR, 0, 1, 0xf0, 0x0f, 0xff},
    {OR, 0, 1, 1, (u64)-16, (u64)-15},
    {OR, 0, 0, 0xf00000001, 2, 3},
    {OR, 0, 0, 0, (u64)-1, 0xffffffff},
    {AND, 0, 1, 0xff, 0x3c, 0x3c},
    {AND, 0, 1, ONES, (u64)-16, (u64)-16},
    {AND, 0, 0, ONES, (u64)-2, 0xfffffffe},
    {XOR, 0, 1, 0xff, 0x0f, 0xf0},
    {XOR, 0, 1, 0, (u64)-1, ONES},
    {XOR, 0, 0, ONES, 1, 0xfffffffe},
    {LSH, 0, 1, 1, 63, MIN64},
    {LSH, 0, 1, 1, 64, 1},
    {LSH, 0, 1, 1, 65, 2},
    {LSH, 0, 1, 3, 0, 3},
    {LSH, 0, 0, 1, 31, 0x80000000},
    {LSH, 0, 0, 1, 32, 1},
    {LSH, 0, 0, 0x300000003, 1, 6},
    {LSH, 0, 0, 0x300000003, 0, 3},
    {RSH, 0, 1, MIN64, 63, 1},
    {RSH, 0, 1, ONES, 64, ONES},
    {RSH, 0, 1, ONES, 4, 0x0ffffffffffffffful},
    {RSH, 0, 0, 0xffffffff80000000, 31, 1},
    {RSH, 0, 0, 0xffffffff80000000, 33, 0x40000000},
    {RSH, 0, 0, 0xffffffff80000000, 0, 0x80000000},
    {ARSH, 0, 1, MIN64, 63, ONES},
    {ARSH, 0, 1, (u64)-8, 1, (u64)-4},
    {ARSH, 0, 1, MAX64, 62, 1},
    {ARSH, 0, 0, 0x80000000, 31, 0xffffffff},
    {ARSH, 0, 0, 0x7fffffff, 30, 1},
    {ARSH, 0, 0, 0xf80000000, 4, 0xf8000000},
    {ARSH, 0, 0, 0xf80000000, 32, 0x80000000},
    {MOV, 0, 1, 7, (u64)-1, ONES},
    {MOV, 0, 1, 7, 0x7fffffff, 0x7fffffff},
    {MOV, 0, 0, ONES, (u64)-1, 0xffffffff},
    {MOV, 0, 0, ONES, 5, 5},
};

static void arithmetic_registers(void **unused)
{
    (void)unused;
    for (u32 n = 0; n < sizeof alu_vectors / sizeof alu_vectors[0]; n++) {
        const struct alu_vector *v = &alu_vectors[n];
        for (u8 d = 0; d < 10; d++)
            for (u8 s = 0; s < 10; s++)
                if (s != d)
                    assert_int_equal(VALUE(LDI64(d, v->a), LDI64(s, v->b),
                                           OP((v->wide ? ALU64 : ALU) | v->op | X, d, s, v->off, 0),
                                           MOVR(0, d), END_),
                                     v->want);
    }
}

// The same where neither operand is known to the verifier, and the operands themselves stay what they were.
static void arithmetic_unknown(void **unused)
{
    (void)unused;
    for (u32 n = 0; n < sizeof alu_vectors / sizeof alu_vectors[0]; n++) {
        const struct alu_vector *v = &alu_vectors[n];
        memcpy(memory, &v->a, 8), memcpy(memory + 8, &v->b, 8);
        for (u8 s = 0; s < 10; s++) {
            if (s == 1)
                continue;
            u8 d = s == 6 ? 7 : 6;
            assert_int_equal(VALUE(LOAD(DW, d, 1, 0), LOAD(DW, s, 1, 8),
                                   OP((v->wide ? ALU64 : ALU) | v->op | X, d, s, v->off, 0),
                                   STORE(DW, 1, 16, s), MOVR(0, d), END_),
                             v->want);
            assert_memory_equal(memory + 16, &v->b, 8);
        }
    }
}

static void arithmetic_immediates(void **unused)
{
    (void)unused;
    for (u32 n = 0; n < sizeof alu_vectors / sizeof alu_vectors[0]; n++) {
        const struct alu_vector *v = &alu_vectors[n];
        if ((s64)v->b != (s32)v->b)
            continue;
        memcpy(memory, &v->a, 8);
        for (u8 d = 0; d < 10; d++) {
            struct insn i = OP((v->wide ? ALU64 : ALU) | v->op, d, 0, v->off, (s32)v->b);
            assert_int_equal(VALUE(LDI64(d, v->a), i, MOVR(0, d), END_), v->want);
            assert_int_equal(VALUE(LOAD(DW, d, 1, 0), i, MOVR(0, d), END_), v->want);
        }
    }
}

static void same_register(void **unused)
{
    (void)unused;
    static const struct {
        u8 op, off;
        u64 want64, want32;
    } v[] = {{ADD, 0, 0xfffffffffffffff2, 0xfffffff2},
             {SUB, 0, 0, 0},
             {MUL, 0, 49, 49},
             {DIV, 0, 1, 1},
             {DIV, 1, 1, 1},
             {MOD, 0, 0, 0},
             {MOD, 1, 0, 0},
             {OR, 0, (u64)-7, 0xfffffff9},
             {AND, 0, (u64)-7, 0xfffffff9},
             {XOR, 0, 0, 0},
             {LSH, 0, (u64)-7 << 57, 0xfffffff9u << 25},
             {RSH, 0, 0x7f, 0x7f},
             {ARSH, 0, ONES, 0xffffffff},
             {MOV, 0, (u64)-7, 0xfffffff9}};
    for (u32 n = 0; n < sizeof v / sizeof v[0]; n++)
        for (u8 d = 0; d < 10; d++) {
            assert_int_equal(VALUE(MOVI(d, -7), OP(ALU64 | v[n].op | X, d, d, v[n].off, 0), MOVR(0, d), END_),
                             v[n].want64);
            assert_int_equal(VALUE(MOVI(d, -7), OP(ALU | v[n].op | X, d, d, v[n].off, 0), MOVR(0, d), END_),
                             v[n].want32);
        }
}

static void negate(void **unused)
{
    (void)unused;
    static const u64 v[][3] = {
        {1, ONES, 0xffffffff}, {0, 0, 0}, {MIN64, MIN64, 0}, {0x80000000, 0xffffffff80000000, 0x80000000}};
    for (u32 n = 0; n < 4; n++)
        for (u8 d = 0; d < 10; d++) {
            assert_int_equal(VALUE(LDI64(d, v[n][0]), OP(ALU64 | NEG, d, 0, 0, 0), MOVR(0, d), END_),
                             v[n][1]);
            assert_int_equal(VALUE(LDI64(d, v[n][0]), OP(ALU | NEG, d, 0, 0, 0), MOVR(0, d), END_), v[n][2]);
        }
}

static void sign_extending_moves(void **unused)
{
    (void)unused;
    static const struct {
        u64 a;
        s16 bits;
        u64 want64, want32;
    } v[] = {{0x80, 8, (u64)-128, 0xffffff80},         {0x17f, 8, 127, 127},
             {0x8000, 16, (u64)-32768, 0xffff8000},    {0xabcd7fff, 16, 0x7fff, 0x7fff},
             {0x180000000, 32, 0xffffffff80000000, 0}, {0xf7fffffff, 32, 0x7fffffff, 0}};
    for (u32 n = 0; n < sizeof v / sizeof v[0]; n++)
        for (u8 d = 0; d < 10; d++)
            for (u8 s = 0; s < 10; s++) {
                assert_int_equal(
                    VALUE(LDI64(s, v[n].a), OP(ALU64 | MOV | X, d, s, v[n].bits, 0), MOVR(0, d), END_),
                    v[n].want64);
                if (v[n].bits < 32)
                    assert_int_equal(
                        VALUE(LDI64(s, v[n].a), OP(ALU | MOV | X, d, s, v[n].bits, 0), MOVR(0, d), END_),
                        v[n].want32);
            }
}

static void byte_swaps(void **unused)
{
    (void)unused;
    static const u64 a = 0x0123456789abcdef;
    static const struct {
        u8 op;
        s32 bits;
        u64 want;
    } v[] = {
        {ALU | END, 16, 0xcdef},     {ALU | END, 32, 0x89abcdef},     {ALU | END, 64, 0x0123456789abcdef},
        {ALU | END | X, 16, 0xefcd}, {ALU | END | X, 32, 0xefcdab89}, {ALU | END | X, 64, 0xefcdab8967452301},
        {ALU64 | END, 16, 0xefcd},   {ALU64 | END, 32, 0xefcdab89},   {ALU64 | END, 64, 0xefcdab8967452301}};
    for (u32 n = 0; n < sizeof v / sizeof v[0]; n++)
        for (u8 d = 0; d < 10; d++)
            assert_int_equal(VALUE(LDI64(d, a), OP(v[n].op, d, 0, 0, v[n].bits), MOVR(0, d), END_),
                             v[n].want);
}

static void constants(void **unused)
{
    (void)unused;
    static const u64 v[] = {0,
                            1,
                            ONES,
                            MIN64,
                            MAX64,
                            0x7fffffff,
                            0x80000000,
                            0xffffffff,
                            0x100000000,
                            0xffffffff80000000,
                            0xffffffff7fffffff,
                            0x1122334455667788};
    for (u32 n = 0; n < sizeof v / sizeof v[0]; n++)
        for (u8 d = 0; d < 10; d++)
            assert_int_equal(VALUE(LDI64(d, v[n]), MOVR(0, d), END_), v[n]);
}

// ---- jumps: operation, a, b, taken with 64 bits, with 32
static const struct jump_vector {
    u8 op;
    u64 a, b;
    u8 taken64, taken32;
} jump_vectors[] = {
    {JEQ, 5, 5, 1, 1},
    {JEQ, 0x100000005, 5, 0, 1},
    {JEQ, ONES, (u64)-1, 1, 1},
    {JEQ, 0, 0, 1, 1},
    {JEQ, 0x100000000, 0, 0, 1},
    {JNE, 5, 5, 0, 0},
    {JNE, 0x100000005, 5, 1, 0},
    {JNE, 1, 0, 1, 1},
    {JGT, 6, 5, 1, 1},
    {JGT, 5, 5, 0, 0},
    {JGT, ONES, 5, 1, 1},
    {JGT, 0x100000000, 5, 1, 0},
    {JGT, 5, (u64)-1, 0, 0},
    {JGE, 5, 5, 1, 1},
    {JGE, 4, 5, 0, 0},
    {JGE, MIN64, 1, 1, 0},
    {JLT, 4, 5, 1, 1},
    {JLT, 5, 5, 0, 0},
    {JLT, 5, (u64)-1, 1, 1},
    {JLT, 0x100000004, 5, 0, 1},
    {JLE, 5, 5, 1, 1},
    {JLE, 6, 5, 0, 0},
    {JLE, 0x300000000, 5, 0, 1},
    {JSGT, 1, (u64)-1, 1, 1},
    {JSGT, (u64)-1, 0, 0, 0},
    {JSGT, 0x80000000, 0, 1, 0},
    {JSGT, MIN64, (u64)-5, 0, 1},
    {JSGE, (u64)-1, (u64)-1, 1, 1},
    {JSGE, (u64)-2, (u64)-1, 0, 0},
    {JSLT, (u64)-1, 0, 1, 1},
    {JSLT, 0, 0, 0, 0},
    {JSLT, 0xffffffff, 0, 0, 1},
    {JSLE, (u64)-1, (u64)-1, 1, 1},
    {JSLE, 1, (u64)-1, 0, 0},
    {JSET, 0xf0, 0x10, 1, 1},
    {JSET, 0xf0, 0x0f, 0, 0},
    {JSET, MIN64, (u64)-1, 1, 0},
    {JSET, 0x100000000, 1, 0, 0},
};

static void jumps(void **unused)
{
    (void)unused;
    for (u32 n = 0; n < sizeof jump_vectors / sizeof jump_vectors[0]; n++) {
        const struct jump_vector *v = &jump_vectors[n];
        memcpy(memory, &v->a, 8), memcpy(memory + 8, &v->b, 8);
        for (u32 narrow = 0; narrow < 2; narrow++) {
            u8 class = narrow ? JMP32 : JMP;
            u64 want = (narrow ? v->taken32 : v->taken64) ? 1 : 2;
            for (u8 d = 0; d < 10; d++) {
                u8 s = d == 9 ? 0 : d + 1;
                assert_int_equal(VALUE(LDI64(d, v->a), LDI64(s, v->b), OP(class | v->op | X, d, s, 2, 0),
                                       MOVI(0, 2), END_, MOVI(0, 1), END_),
                                 want);
                if (s != 1 && d != 1)
                    assert_int_equal(VALUE(LOAD(DW, d, 1, 0), LOAD(DW, s, 1, 8),
                                           OP(class | v->op | X, d, s, 2, 0), MOVI(0, 2), END_, MOVI(0, 1),
                                           END_),
                                     want);
                if ((s64)v->b == (s32)v->b)
                    assert_int_equal(VALUE(LOAD(DW, d, 1, 0), OP(class | v->op, d, 0, 2, (s32)v->b),
                                           MOVI(0, 2), END_, MOVI(0, 1), END_),
                                     want);
            }
        }
    }
}

static void gotos(void **unused)
{
    (void)unused;
    assert_int_equal(VALUE(MOVI(0, 1), GOTO(1), MOVI(0, 2), END_), 1);
    assert_int_equal(VALUE(MOVI(0, 1), OP(JMP32 | JA, 0, 0, 0, 2), MOVI(0, 2), END_, GOTO(-2)), 1);
    assert_int_equal(VALUE(MOVI(0, 0), GOTO(3), ADDI(0, 3), JUMPI(JGT, 0, 10, 2), GOTO(-3),
                           OP(JMP32 | JA, 0, 0, 0, -4), END_),
                     12);
}

static void loops(void **unused)
{
    (void)unused;
    // 1 + 2 + ... + 100, counting up with a jump at the end, counting down with the jump at the start
    assert_int_equal(VALUE(MOVI(0, 0), MOVI(3, 0), ADDI(3, 1), ADDR(0, 3), JUMPI(JNE, 3, 100, -3), END_),
                     5050);
    assert_int_equal(
        VALUE(MOVI(0, 0), MOVI(3, 100), JUMPI(JEQ, 3, 0, 3), ADDR(0, 3), ADDI(3, -1), GOTO(-4), END_), 5050);
    // the largest prime below 100 by trial division
    assert_int_equal(VALUE(MOVI(0, 100), ADDI(0, -1), MOVI(3, 2), JUMPR(JGE, 3, 0, 5), MOVR(4, 0),
                           OP(ALU64 | MOD | X, 4, 3, 0, 0), JUMPI(JEQ, 4, 0, -6), ADDI(3, 1), GOTO(-6), END_),
                     97);
    struct code_result r = run((struct insn[]){MOVI(0, 0), GOTO(-1)}, 2);
    assert_int_equal(r.status, CODE_E_FUEL);
    r = run((struct insn[]){MOVI(0, 0), ADDI(0, 1), JUMPI(JNE, 0, 0, -2), END_}, 4);
    assert_int_equal(r.status, CODE_E_FUEL);
}

// ---- memory
static void loads(void **unused)
{
    (void)unused;
    static const struct {
        u8 op;
        u64 want;
    } v[] = {{LDX | MEM | B, 0x88},
             {LDX | MEM | H, 0x9988},
             {LDX | MEM | W, 0xbbaa9988},
             {LDX | MEM | DW, 0xffeeddccbbaa9988},
             {LDX | MEMSX | B, (u64)-120},
             {LDX | MEMSX | H, 0xffffffffffff9988},
             {LDX | MEMSX | W, 0xffffffffbbaa9988}};
    for (u32 k = 0; k < 16; k++)
        memory[k] = 0x11 * k;
    for (u32 n = 0; n < sizeof v / sizeof v[0]; n++)
        for (u8 d = 0; d < 10; d++)
            for (u8 s = 0; s < 10; s++) {
                assert_int_equal(VALUE(MOVR(s, 1), OP(v[n].op, d, s, 8, 0), MOVR(0, d), END_), v[n].want);
                // at an offset that the verifier does not know
                if (s != 1 && s != 2)
                    assert_int_equal(VALUE(LOAD(B, 2, 1, 0), MOVR(s, 1), ADDR(s, 2), OP(v[n].op, d, s, 8, 0),
                                           MOVR(0, d), END_),
                                     v[n].want);
            }
    memory[3] = 0x7f;
    assert_int_equal(VALUE(OP(LDX | MEMSX | B, 0, 1, 3, 0), END_), 0x7f);
}

static void stores(void **unused)
{
    (void)unused;
    static const u8 size[] = {B, H, W, DW}, bytes[] = {1, 2, 4, 8};
    for (u32 n = 0; n < 4; n++)
        for (u8 d = 0; d < 10; d++)
            for (u8 s = 0; s < 10; s++) {
                u64 want = 0xa5a5a5a5a5a5a5a5, old = want, data = 0x1122334455667788;
                memcpy(&want, &data, bytes[n]);
                if (s != d) {
                    memcpy(memory + 24, &old, 8);
                    VALUE(MOVR(d, 1), LDI64(s, data), STORE(size[n], d, 24, s), MOVI(0, 0), END_);
                    assert_memory_equal(memory + 24, &want, 8);
                }
                data = (u64)-2, want = old;
                memcpy(&want, &data, bytes[n]);
                memcpy(memory + 24, &old, 8);
                VALUE(MOVR(d, 1), STOREI(size[n], d, 24, -2), MOVI(0, 0), END_);
                assert_memory_equal(memory + 24, &want, 8);
            }
}

static void stack(void **unused)
{
    (void)unused;
    assert_int_equal(VALUE(MOVI(3, 7), STORE(DW, 10, -8, 3), LOAD(DW, 0, 10, -8), END_), 7);
    assert_int_equal(VALUE(STOREI(DW, 10, -512, 9), LOAD(DW, 0, 10, -512), END_), 9);
    assert_int_equal(VALUE(LOAD(DW, 0, 10, -64), END_), 0); // starts as zeros
    assert_int_equal(VALUE(MOVR(3, 10), ADDI(3, -16), STOREI(W, 3, 4, 5), LOAD(W, 0, 10, -12), END_), 5);
    // at a place that only the run knows
    memory[0] = 24;
    assert_int_equal(VALUE(STOREI(DW, 10, -24, 77), LOAD(B, 3, 1, 0), MOVR(4, 10),
                           OP(ALU64 | SUB | X, 4, 3, 0, 0), LOAD(DW, 0, 4, 0), END_),
                     77);
    // pointers put by and taken back
    memory[5] = 55;
    assert_int_equal(VALUE(STORE(DW, 10, -8, 1), LOAD(DW, 6, 10, -8), LOAD(B, 0, 6, 5), END_), 55);
    assert_int_equal(
        VALUE(STORE(DW, 1, 8, 10), LOAD(DW, 6, 1, 8), STOREI(B, 6, -3, 3), LOAD(B, 0, 10, -3), END_), 3);
}

// ---- atomic: memory, source, r0 before; memory, source, r0 after (64-bit); the same with 32 bits
static const struct atomic_vector {
    u8 op;
    u64 m, s, r0;
    u64 m64, s64_, r64;
    u64 m32, s32_, r32;
} atomic_vectors[] = {
#define OLD 0x1111111122222222
#define SRC 0x3333333344444444
    {ADD, OLD, SRC, 1, 0x4444444466666666, SRC, 1, 0x1111111166666666, SRC, 1},
    {ADD, ONES, 1, 1, 0, 1, 1, 0xffffffff00000000, 1, 1},
    {OR, OLD, SRC, 1, 0x3333333366666666, SRC, 1, 0x1111111166666666, SRC, 1},
    {AND, OLD, 0x0f0f0f0f0f0f0f0f, 1, 0x0101010102020202, 0x0f0f0f0f0f0f0f0f, 1, 0x1111111102020202,
     0x0f0f0f0f0f0f0f0f, 1},
    {XOR, OLD, SRC, 1, 0x2222222266666666, SRC, 1, 0x1111111166666666, SRC, 1},
    {ADD | FETCH, OLD, SRC, 1, 0x4444444466666666, OLD, 1, 0x1111111166666666, 0x22222222, 1},
    {OR | FETCH, OLD, SRC, 1, 0x3333333366666666, OLD, 1, 0x1111111166666666, 0x22222222, 1},
    {AND | FETCH, OLD, 0x0f0f0f0f0f0f0f0f, 1, 0x0101010102020202, OLD, 1, 0x1111111102020202, 0x22222222, 1},
    {XOR | FETCH, OLD, SRC, 1, 0x2222222266666666, OLD, 1, 0x1111111166666666, 0x22222222, 1},
    {XCHG, OLD, SRC, 1, SRC, OLD, 1, 0x1111111144444444, 0x22222222, 1},
    {CMPXCHG, OLD, SRC, OLD, SRC, SRC, OLD, 0x1111111144444444, SRC, 0x22222222},
    {CMPXCHG, OLD, SRC, 0x22222222, OLD, SRC, OLD, 0x1111111144444444, SRC, 0x22222222},
    {CMPXCHG, OLD, SRC, 5, OLD, SRC, OLD, OLD, SRC, 0x22222222},
    {CMPXCHG, OLD, SRC, 0x9999999922222222, OLD, SRC, OLD, 0x1111111144444444, SRC, 0x22222222},
};

static void atomics(void **unused)
{
    (void)unused;
    for (u32 n = 0; n < sizeof atomic_vectors / sizeof atomic_vectors[0]; n++) {
        const struct atomic_vector *v = &atomic_vectors[n];
        for (u32 narrow = 0; narrow < 2; narrow++)
            for (u8 base = 0; base < 10; base++)
                for (u8 s = 0; s < 10; s++) {
                    if (s == base || s == 0 || base == 0)
                        continue;
                    u64 m = narrow ? v->m32 : v->m64, sa = narrow ? v->s32_ : v->s64_,
                        r = narrow ? v->r32 : v->r64;
                    memcpy(memory + 16, &v->m, 8);
                    u64 got = VALUE(MOVR(base, 1), LDI64(0, v->r0), LDI64(s, v->s),
                                    OP(STX | ATOMIC | (narrow ? W : DW), base, s, 16, v->op),
                                    STORE(DW, base, 24, s), END_);
                    assert_int_equal(got, r);
                    assert_memory_equal(memory + 16, &m, 8);
                    assert_memory_equal(memory + 24, &sa, 8);
                }
        if (v->op == CMPXCHG) // r0 as source: it compares with itself
            continue;
        for (u32 narrow = 0; narrow < 2; narrow++) {
            u64 m = narrow ? v->m32 : v->m64, sa = narrow ? v->s32_ : v->s64_;
            memcpy(memory + 16, &v->m, 8);
            assert_int_equal(
                VALUE(LDI64(0, v->s), OP(STX | ATOMIC | (narrow ? W : DW), 1, 0, 16, v->op), END_), sa);
            assert_memory_equal(memory + 16, &m, 8);
        }
    }
    // on the stack, the source being the frame pointer
    assert_int_equal(VALUE(STOREI(DW, 10, -8, 3), MOVI(3, 4), OP(STX | ATOMIC | DW, 10, 3, -8, ADD),
                           LOAD(DW, 0, 10, -8), END_),
                     7);
    assert_int_equal(VALUE(STOREI(DW, 10, -8, 0), OP(STX | ATOMIC | DW, 10, 10, -8, ADD), LOAD(DW, 0, 10, -8),
                           OP(ALU64 | SUB | X, 0, 10, 0, 0), END_),
                     0);
}

// ---- calls
static void calls(void **unused)
{
    (void)unused;
    assert_int_equal(VALUE(MOVI(1, 20), MOVI(2, 22), CALLF(1), END_, MOVR(0, 1), ADDR(0, 2), END_), 42);
    // r6..r9 and the frame are the caller's
    assert_int_equal(VALUE(MOVI(6, 1), MOVI(7, 2), MOVI(8, 3), MOVI(9, 4), STOREI(DW, 10, -8, 100), CALLF(7),
                           ADDR(0, 6), ADDR(0, 7), ADDR(0, 8), ADDR(0, 9), LOAD(DW, 1, 10, -8), ADDR(0, 1),
                           END_, MOVI(6, 50), MOVI(7, 50), MOVI(8, 50), MOVI(9, 50), STOREI(DW, 10, -8, 5),
                           MOVI(0, 1000), END_),
                     1110);
    // a pointer into the caller's frame
    assert_int_equal(VALUE(STOREI(DW, 10, -8, 1), MOVR(1, 10), ADDI(1, -8), CALLF(2), LOAD(DW, 0, 10, -8),
                           END_, STOREI(DW, 1, 0, 33), END_),
                     33);
    // a function that leaves no result gives 0
    assert_int_equal(VALUE(MOVI(0, 9), MOVI(1, 0), CALLF(1), END_, MOVI(3, 3), END_), 0);
    // 5 factorial, calling itself; and too deep
    static const struct insn factorial[] = {MOVI(1, 5),
                                            CALLF(1),
                                            END_,
                                            MOVI(0, 1),
                                            JUMPI(JLE, 1, 1, 4),
                                            MOVR(6, 1),
                                            ADDI(1, -1),
                                            CALLF(-5),
                                            OP(ALU64 | MUL | X, 0, 6, 0, 0),
                                            END_};
    struct insn deep[10];
    assert_int_equal(value(factorial, 10), 120);
    memcpy(deep, factorial, sizeof deep);
    deep[0].imm = 9;
    assert_int_equal(run(deep, 10).status, CODE_E_DEPTH);
    deep[0].imm = 7;
    assert_int_equal(run(deep, 10).value, 5040);
    // functions that lie in the middle of others
    assert_int_equal(VALUE(MOVI(1, 5), GOTO(2), OP(ALU64 | MUL | X, 1, 1, 0, 0), GOTO(3), CALLF(-3), ADDI(0, 1), END_,
                           MOVR(0, 1), END_),
                     26);
    // eight deep in a row
    struct insn chain[16];
    for (u32 k = 0; k < 8; k++) {
        chain[2 * k] = (struct insn)CALLF(1);
        chain[2 * k + 1] = (struct insn)END_;
    }
    chain[14] = (struct insn)MOVI(0, 8);
    assert_int_equal(value(chain, 16), 8);
    // the whole program called again, from inside: r0 was 0 there
    assert_int_equal(VALUE(MOVI(0, 3), JUMPI(JNE, 2, 64, 3), MOVI(2, 1), CALLF(-4), ADDI(0, 10), END_), 13);
}

static void regions(void **unused)
{
    (void)unused;
    memory[9] = 99;
    assert_int_equal(VALUE(MOVR(0, 2), END_), 64);
    assert_int_equal(VALUE(LOAD(DW, 3, 5, 0), LOAD(B, 0, 3, 9), END_), 99); // through the table
    assert_int_equal(VALUE(LOAD(DW, 0, 5, 8), END_), 64);
    assert_int_equal(VALUE(MOVR(0, 3), ADDR(0, 4), END_), 0); // no second region
}

static int setup(void **unused)
{
    (void)unused;
    arena_init(&arena);
    memory = arena_region(&arena, 0, 64, true);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(arithmetic_registers),
                                       cmocka_unit_test(arithmetic_unknown),
                                       cmocka_unit_test(arithmetic_immediates),
                                       cmocka_unit_test(same_register),
                                       cmocka_unit_test(negate),
                                       cmocka_unit_test(sign_extending_moves),
                                       cmocka_unit_test(byte_swaps),
                                       cmocka_unit_test(constants),
                                       cmocka_unit_test(jumps),
                                       cmocka_unit_test(gotos),
                                       cmocka_unit_test(loops),
                                       cmocka_unit_test(loads),
                                       cmocka_unit_test(stores),
                                       cmocka_unit_test(stack),
                                       cmocka_unit_test(atomics),
                                       cmocka_unit_test(calls),
                                       cmocka_unit_test(regions)};
    return cmocka_run_group_tests(tests, setup, NULL);
}
