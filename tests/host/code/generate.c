#include "generate.h"

static u8 take(struct bytes *b)
{
    if (!b->left)
        return 0;
    b->left--;
    return *b->at++;
}
static u32 below(struct bytes *b, u32 n)
{
    return take(b) % n;
}

static s32 immediate(struct bytes *b)
{
    static const s32 known[] = {0,
                                1,
                                -1,
                                2,
                                8,
                                16,
                                31,
                                32,
                                33,
                                63,
                                64,
                                127,
                                -128,
                                255,
                                256,
                                0x7fffffff,
                                (s32)0x80000000,
                                0x1000000,
                                0x1000010,
                                0x2000000,
                                4096,
                                48,
                                40,
                                24,
                                12,
                                3,
                                7,
                                -8,
                                -16,
                                0x9000ff8,
                                0xa000000,
                                0xb000000};
    u32 k = take(b);
    if (k < 192)
        return known[k % 32];
    if (k < 224)
        return (s8)take(b);
    u32 n = take(b);
    for (u32 i = 0; i < 3; i++)
        n = n << 8 | take(b);
    return (s32)n;
}

static u64 mix(u64 a, u64 b, u64 c, u64 d, u64 e)
{
    return a * 3 + b * 5 + c * 7 + d * 11 + e * 13;
}
static u64 fill(u64 at, u64 len, u64 with, u64 d, u64 e)
{
    (void)d, (void)e;
    if (len) // no memory may be at NULL
        memset((void *)at, with, len);
    return with + len;
}
static u64 count_zeros(u64 a, u64 at, u64 len, u64 d, u64 e)
{
    u64 n = a + 0 * (d + e);
    for (u64 k = 0; k < len; k++)
        n += !((u8 *)at)[k];
    return n;
}
static const struct code_helper helpers[] = {
    {"mix", mix, 0, {CODE_ARG_VALUE, CODE_ARG_VALUE, CODE_ARG_VALUE, CODE_ARG_VALUE, CODE_ARG_VALUE}},
    {"fill", fill, 1, {CODE_ARG_WRITE, CODE_ARG_VALUE, CODE_ARG_VALUE}},
    {"count", count_zeros, 2, {CODE_ARG_VALUE, CODE_ARG_READ, CODE_ARG_VALUE}},
};

struct gen {
    struct generated *g;
    struct bytes *b;
    u32 n;
    u32 jumps[400], jump_count;
};

static void put(struct gen *g, u8 op, u8 dst, u8 src, s16 off, s32 imm)
{
    if (g->n >= 380)
        return;
    struct insn i = {.op = op, .dst = dst, .src = src, .off = off, .imm = imm};
    memcpy(&g->g->insns[g->n++], &i, 8);
}

// r1, r3, r6, r7 mostly keep what they point to, the others mostly hold numbers.
static u8 any_reg(struct gen *g)
{
    static const u8 free[] = {0, 2, 4, 8, 9};
    u8 k = take(g->b);
    return k < 248 ? free[k % 5] : k - 246;
}
static u8 base_reg(struct gen *g)
{
    static const u8 base[] = {1, 3, 10, 6, 7};
    u8 k = take(g->b);
    return k < 250 ? base[k % 5] : k == 250 ? 5 : k == 251 ? 0 : k == 252 ? 8 : 1;
}
static s16 offset(struct gen *g, u8 base)
{
    u8 k = take(g->b);
    if (base == 10)
        return k < 250 ? -(s16)(8 + k % 72) : -(s16)(500 + k % 16);
    return k < 240 ? k % 48 : k < 252 ? k % 80 - 16 : (s8)k;
}

static void helper_call(struct gen *g, u8 k)
{
    for (u8 r = 1; r <= 5; r++)
        put(g, ALU64 | MOV, r, 0, 0, (u8)(k * r) % 24);
    if (k % 3)
        put(g, ALU64 | MOV | X, k % 3, 6 + (k >> 3) % 2, 0, 0);
    put(g, JMP | CALL, 0, CALL_HELPER, 0, k % 3);
    for (u8 r = 1; r <= 5; r++)
        put(g, ALU64 | MOV | X, r, 6 + r % 4, 0, 0);
}

static void one(struct gen *g, u32 functions)
{
    static const u8 sizes[] = {W, H, B, DW};
    static const u8 atomic[] = {ADD,        OR,          AND,         XOR,  ADD | FETCH,
                                OR | FETCH, AND | FETCH, XOR | FETCH, XCHG, CMPXCHG};
    struct bytes *b = g->b;
    u32 kind = below(b, 64);
    u8 k = take(b), dst = any_reg(g), src = below(b, 11);
    if (kind < 20) { // arithmetic
        u8 op = (k % 14) << 4, class = k & 128 ? ALU64 : ALU;
        bool reg = k & 64;
        if (op == END) {
            static const s32 bits[] = {16, 32, 64};
            put(g, op | class | (class == ALU && reg ? X : 0), dst, 0, 0, bits[src % 3]);
        } else if (op == NEG) {
            put(g, op | class, dst, 0, 0, 0);
        } else if (op == MOV && reg) {
            static const s16 bits[] = {0, 0, 8, 16, 32};
            put(g, op | class | X, dst, src, bits[below(b, class == ALU64 ? 5 : 4)], 0);
        } else {
            put(g, op | class | (reg ? X : 0), dst, reg ? src : 0, op == DIV || op == MOD ? below(b, 2) : 0,
                reg ? 0 : immediate(b));
        }
    } else if (kind < 26) { // pointers: offsets that loops and branches bound
        put(g, ALU64 | ADD | (k & 1 ? X : 0), (base_reg(g) == 3 ? 6 : 1), k & 1 ? src % 10 : 0, 0,
            k & 1 ? 0 : (s8)take(b) / 4);
    } else if (kind < 28) {
        put(g, ALU64 | MOV | X, dst, base_reg(g), 0, 0);
    } else if (kind < 30) {
        put(g, ALU64 | AND, dst, 0, 0, take(b) % 64);
    } else if (kind < 38) { // loads
        u8 base = base_reg(g);
        u8 size = sizes[k % 4];
        put(g, LDX | size | (k & 16 && size != DW ? MEMSX : MEM), dst, base, offset(g, base), 0);
    } else if (kind < 46) { // stores
        u8 base = base_reg(g);
        bool reg = k & 16;
        put(g, (reg ? STX : ST) | MEM | sizes[k % 4], base, reg ? src : 0, offset(g, base),
            reg ? 0 : immediate(b));
    } else if (kind < 49) { // atomics
        u8 base = base_reg(g);
        put(g, STX | ATOMIC | (k & 1 ? DW : W), base, src % 10, offset(g, base),
            atomic[below(b, sizeof atomic)]);
    } else if (kind < 59) { // jumps; the target is set when the function stands
        u8 op = (k % 14) << 4, class = k & 128 ? JMP : JMP32;
        if (op == CALL || op == EXIT)
            op = JNE;
        bool reg = k & 64 && op != JA;
        g->jumps[g->jump_count++] = g->n;
        put(g, op | class | (reg ? X : 0), op == JA ? 0 : dst, reg ? src : 0, (s16)take(b),
            reg || op == JA ? 0 : immediate(b));
    } else if (kind < 61 && functions > 1) {
        put(g, JMP | CALL, 0, CALL_LOCAL, (s16)below(b, functions), 0);
        for (u8 r = 1; r <= 5; r++)
            put(g, ALU64 | MOV | (r & 1 && k & 1 ? 0 : X), r, r & 1 && k & 1 ? 0 : 6 + k % 5, 0,
                r & 1 && k & 1 ? 0x1000000 : 0);
    } else if (kind < 61 && g->g->abi.class == CODE_HANDLER) {
        helper_call(g, k);
    } else if (kind < 62) {
        put(g, LDX | MEM | DW, 6 + k % 3, 5, 8 * (take(b) % 8), 0);
    } else if (kind < 63) {
        bool rodata = k % 3 == 0;
        put(g, LDDW, dst, rodata ? LDDW_RODATA : 0, 0, rodata ? 0 : immediate(b));
        put(g, 0, 0, 0, 0, rodata ? (s32)(take(b) % 33) : immediate(b));
    } else {
        put(g, JMP | EXIT, 0, 0, 0, 0);
    }
}

static void function(struct gen *g, u32 index, u32 functions, u32 *starts)
{
    struct insn *insns = (struct insn *)g->g->insns;
    u32 first = g->n, size = 4 + below(g->b, 24);
    starts[index] = first;
    g->jump_count = 0;
    put(g, ALU64 | MOV, 0, 0, 0, 0);
    for (u8 r = 6; r < 10; r++) {
        u8 k = take(g->b);
        bool reg = r < 8 || k % 8 == 0;
        put(g, ALU64 | MOV | (reg ? X : 0), r,
            !reg     ? 0
            : r == 6 ? 1 + k % 2 * 2
                     : 10,
            0, reg ? 0 : immediate(g->b));
        if (r == 7)
            put(g, ALU64 | ADD, 7, 0, 0, -(s32)(k % 40));
    }
    if (index)
        put(g, ALU64 | MOV, 0, 0, 0, 1);
    for (u32 k = 0; k < size; k++)
        one(g, functions);
    put(g, JMP | EXIT, 0, 0, 0, 0);
    insns[g->n - 1] = (struct insn){.op = JMP | EXIT};
    u32 count = g->n - first;
    for (u32 k = 0; k < g->jump_count; k++) {
        struct insn *i = &insns[g->jumps[k]];
        if (g->jumps[k] >= g->n || !insn_is_jump(*i))
            continue;
        u32 back = (u8)i->off < 80,
            target = back ? first + (u8)i->off % count : g->jumps[k] + 1 + (u8)i->off % 8;
        if (target >= g->n)
            target = g->n - 1;
        if (insns[target].op == 0 && target > first && insns[target - 1].op == LDDW)
            target++;
        s32 off = (s32)target - (s32)g->jumps[k] - 1;
        i->off = i->op == (JMP32 | JA) ? 0 : off;
        if (i->op == (JMP32 | JA))
            i->imm = off;
    }
}

void generate(struct generated *out, struct bytes *b)
{
    struct gen g = {.g = out, .b = b};
    u32 starts[4], functions = take(b) % 8 < 5 ? 1 : 1 + below(b, 4);
    out->abi = (struct code_abi){.class = CODE_DETERMINISTIC,
                                 .dead_code_ok = true,
                                 .region_count = take(b) < 16 ? 1 : 2 + below(b, 3)};
    out->high = take(b) & 1;
    if (take(b) % 4 == 0)
        out->abi.class = CODE_HANDLER, out->abi.helpers = helpers, out->abi.helper_count = 3;
    for (u32 k = 0; k < out->abi.region_count; k++) {
        u32 max = take(b) % 8 ? 64 : below(b, 80), min = take(b) % 2 ? max : below(b, max + 1);
        out->abi.region[k] = (struct code_region_type){min, max, take(b) >= 20, k == 1};
        out->len[k] = min == max ? max : min + below(b, max - min + 1);
    }
    for (u32 k = 0; k < sizeof out->rodata; k++)
        out->rodata[k] = 0x10 + k;
    out->fuel = 300 + take(b) * 8;
    for (u32 f = 0; f < functions; f++)
        function(&g, f, functions, starts);
    struct insn *insns = (struct insn *)out->insns;
    for (u32 at = 0; at < g.n; at++) // calls were given the number of a function
        if (insn_is_local_call(insns[at]) && insns[at].off < (s16)functions && !insns[at].imm) {
            insns[at].imm = (s32)starts[insns[at].off] - (s32)at - 1;
            insns[at].off = 0;
        }
    out->source = (struct code_source){out->insns, g.n, out->rodata, sizeof out->rodata};
}

bool generate_and_run(struct arena *a, const u8 *data, size_t size, struct code_result *result)
{
    static struct generated g;
    struct bytes b = {data, size};
    struct code_program program;
    struct code_error error;
    struct code_region regions[ARENA_REGIONS];
    generate(&g, &b);
    if (arena_load(a, &g.abi, &g.source, &program, &error))
        return false;
    for (u32 k = 0; k < g.abi.region_count; k++) {
        for (u32 n = 0; n < 80; n++)
            a->slot[k][n] = a->slot[k][ARENA_ROOM - 80 + n] = take(&b) ^ n * 37;
        regions[k] = (struct code_region){arena_region(a, k, g.len[k], g.high), g.len[k]};
    }
    *result = arena_both(a, &program, &g.abi, &g.source, regions, g.abi.region_count, g.fuel);
    return true;
}
