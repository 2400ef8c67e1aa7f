// Loads, stores and atomic operations: checks where the verifier left something open, then the access.
#include "compile.h"

static u8 delta_of(struct comp *c, u32 index)
{
    c->weight[index] += in_loop(c) ? 8 : 1;
    if (c->delta[index] != NOREG)
        return c->delta[index];
    x_rm(&c->t, true, 0x8b, TMP2, FRAME_MEM(c, delta, index));
    return TMP2;
}

// ---- windows: one check covers all accesses beside a register until it changes
static u32
base_of(struct insn i) // register that the instruction addresses memory with; R_FP: none of interest
{
    u32 k = insn_class(i);
    return k == LDX ? i.src : k == ST || k == STX ? i.dst : R_FP;
}

static bool writes_reg(struct insn i, u32 r)
{
    u32 k = insn_class(i);
    if (k == ALU || k == ALU64 || k == LDX || k == LD)
        return i.dst == r;
    if (k == STX && insn_mode(i) == ATOMIC)
        return (i.imm & FETCH && i.src == r && i.imm != CMPXCHG) || (i.imm == CMPXCHG && r == 0);
    return insn_alu(i) == CALL && k == JMP && r < 6;
}

static struct window window_ahead(const struct comp *c, u32 r)
{
    struct window w = {0};
    for (u32 at = c->at; at < c->block_end; at++) {
        struct insn i = c->v->insns[at];
        if (c->v->flags[at] & F_SECOND)
            continue;
        if (insn_class(i) == JMP && insn_alu(i) == CALL)
            break;
        if (base_of(i) == r) {
            s64 from = i.off, to = from + insn_size(i);
            w = w.lo == w.hi ? (struct window){from, to}
                             : (struct window){from < w.lo ? from : w.lo, to > w.hi ? to : w.hi};
        }
        if (writes_reg(i, r) || at - c->at > 64)
            break;
    }
    return w;
}

void windows_update(struct comp *c, struct insn i)
{
    for (u32 r = 0; r < 10; r++) {
        if (!writes_reg(i, r))
            continue;
        struct window w = {0};
        if (i.op == (ALU64 | ADD)) {
            w = c->window[r];
            w.lo -= i.imm, w.hi -= i.imm;
        } else if (i.op == (ALU64 | MOV | X) && !i.off && i.src != R_FP) {
            w = c->window[i.src];
        }
        c->window[r] = w;
    }
}

// ---- checks
static void check_any(struct comp *c, u8 base, s64 from, u32 size, bool write)
{
    struct text *t = &c->t;
    c->any = c->stack_any = true;
    if (from)
        x_lea(t, TMP, (struct mem){base, NOREG, from});
    else
        x_mov(t, true, TMP, base);
    x_mov(t, true, RCX, TMP);
    x_shift(t, true, G_SHR, RCX, 24);
    x_imm(t, true, G_CMP, RCX, CODE_INDICES - 1);
    stub_fail(c, CC_A, CODE_E_MEMORY);
    c->ctx = true;
    x_table(t, true, 0x03, TMP, CTX, RCX, offsetof(struct code_frame, delta));
    x_imm(t, true, G_ADD, TMP, size);
    x_table(t, true, 0x3b, TMP, CTX, RCX,
            write ? offsetof(struct code_frame, wend) : offsetof(struct code_frame, end));
    stub_fail(c, CC_A, CODE_E_MEMORY);
}

static void check_region(struct comp *c, const struct access *a, u8 base, struct window w, u32 status)
{
    struct text *t = &c->t;
    s64 va = CODE_VA(a->index), span = w.hi - w.lo;
    bool exact = a->min == a->max;
    if (span > a->max) {
        stub_fail(c, 16, status);
    } else if (a->how == A_CONST) {
        x_imm_mem(t, G_CMP, FRAME_MEM(c, len, a->index), a->lo + w.hi);
        stub_fail(c, CC_B, status);
    } else if (a->how == A_UPPER && exact) {
        x_imm(t, true, G_CMP, base, va + a->max - w.hi);
        stub_fail(c, CC_A, status);
    } else if (a->how == A_UPPER) {
        x_lea(t, TMP, (struct mem){base, NOREG, w.hi - va});
        x_rm(t, true, 0x3b, TMP, FRAME_MEM(c, len, a->index));
        stub_fail(c, CC_A, status);
    } else {
        x_lea(t, TMP, (struct mem){base, NOREG, w.lo - va});
        if (exact) {
            x_imm(t, true, G_CMP, TMP, a->max - span);
        } else {
            x_rm(t, true, 0x8b, RCX, FRAME_MEM(c, len, a->index));
            x_imm(t, true, G_SUB, RCX, span);
            stub_fail(c, CC_B, status);
            x_alu(t, true, G_CMP, TMP, RCX);
        }
        stub_fail(c, CC_A, status);
    }
}

static void stack_note(struct comp *c, const struct access *a, s64 from, bool reads)
{
    c->fp = true;
    c->stack_read |= reads;
    if (a->lo != a->hi)
        c->stack_any = true;
    else if (a->lo + from < c->stack_low)
        c->stack_low = a->lo + from;
}

// Operand of an access of `size` bytes at base + off, checked as needed. May use both scratch registers.
static struct mem operand(struct comp *c, u32 base, s64 off, u32 size, bool write, bool reads)
{
    struct access a;
    access_classify(c->v, &c->s, base, off, off + size, write, &a);
    struct window here = {off, off + size};
    if (a.how == A_ANY) {
        check_any(c, reg_read(c, base, TMP), off, size, write);
        return (struct mem){TMP, NOREG, -(s32)size};
    }
    if (!a.index) {
        stack_note(c, &a, off, reads);
        if (a.lo == a.hi)
            return (struct mem){RBP, NOREG, a.lo + off};
        u8 delta = delta_of(c, CODE_STACK_INDEX);
        return (struct mem){reg_read(c, base, TMP), delta, off};
    }
    struct window *w = &c->window[base];
    if (a.how != A_PROVEN && !(w->lo != w->hi && w->lo <= here.lo && w->hi >= here.hi)) {
        struct window ahead = window_ahead(c, base);
        bool output = write && c->v->abi->region[a.index - 1].output;
        // The window must not make the check weaker or refuse what is only read below a known lower bound.
        if (a.how == A_UPPER && sat_add(a.lo, ahead.lo) < 0)
            a.how = A_FULL;
        if (a.how == A_CONST && sat_add(a.lo, ahead.lo) < 0)
            ahead = here;
        if (a.how == A_CONST && a.lo + ahead.hi > a.max)
            ahead = here;
        check_region(c, &a, a.how == A_CONST ? NOREG : reg_read(c, base, TMP), ahead,
                     output ? CODE_E_FULL : CODE_E_MEMORY);
        *w = ahead;
    }
    u8 delta = delta_of(c, a.index);
    if (a.lo == a.hi)
        return (struct mem){delta, NOREG, CODE_VA(a.index) + a.lo + off};
    return (struct mem){reg_read(c, base, TMP), delta, off};
}

// ---- accesses
static void load(struct comp *c, struct insn i)
{
    static const u32 opcode[2][4] = {{0x8b, 0x0fb7, 0x0fb6, 0x8b}, {0x63, 0x0fbf, 0x0fbe, 0}};
    bool sign = insn_mode(i) == MEMSX;
    u32 size = i.op >> 3 & 3;
    struct mem m = operand(c, i.src, i.off, insn_size(i), false, true);
    x_rm(&c->t, sign || size == 3, opcode[sign][size], reg_write(c, i.dst), m);
}

static void in_tmp(struct comp *c, struct mem *m)
{
    if (m->base == TMP && m->index == NOREG)
        return;
    x_lea(&c->t, TMP, *m);
    *m = (struct mem){TMP, NOREG, 0};
}

// The stored value's register. r10's is made in rcx, so the address must not need that.
static u8 stored(struct comp *c, u32 r, struct mem *m)
{
    if (r == R_FP)
        in_tmp(c, m);
    return reg_read(c, r, TMP2);
}

static void store(struct comp *c, struct insn i)
{
    struct text *t = &c->t;
    u32 size = insn_size(i);
    bool reg = insn_class(i) == STX;
    struct mem m = operand(c, i.dst, i.off, size, true, false);
    u8 s = reg ? stored(c, i.src, &m) : 0;
    if (size == 2)
        x_byte(t, 0x66);
    x_rm_(t, size == 8, reg ? (size == 1 ? 0x88 : 0x89) : size == 1 ? 0xc6 : 0xc7, s, m, reg && size == 1);
    if (reg)
        return;
    if (size == 1)
        x_byte(t, i.imm);
    else if (size == 2)
        x_byte(t, i.imm), x_byte(t, i.imm >> 8);
    else
        x_32(t, i.imm);
}

static void fetch_logic(struct comp *c, struct insn i, bool wide, struct mem m)
{
    struct text *t = &c->t;
    u32 op = i.imm & 0xf0, g = op == OR ? G_OR : op == AND ? G_AND : G_XOR;
    u8 s = reg_read(c, i.src, NOREG), operand = s == RAX ? RDX : s;
    x_push(t, s == RAX ? RDX : RAX);
    if (s == RAX)
        x_mov(t, true, RDX, RAX);
    x_rm(t, wide, 0x8b, RAX, m);
    u64 again = t->at;
    x_mov(t, wide, RCX, RAX);
    x_alu(t, wide, g, RCX, operand);
    x_byte(t, 0xf0);
    x_rm(t, wide, 0x0fb1, RCX, m);
    x_byte(t, 0x75), x_byte(t, again - (t->at + 1));
    // The loop leaves the old value in rax; a 32-bit one may have kept upper bits only of a zero-extended
    // load.
    if (s != RAX)
        x_mov(t, wide, s, RAX);
    x_pop(t, s == RAX ? RDX : RAX);
}

static void atomic(struct comp *c, struct insn i)
{
    struct text *t = &c->t;
    bool wide = insn_size(i) == 8;
    struct mem m = operand(c, i.dst, i.off, insn_size(i), true, true);
    u32 op = i.imm;
    in_tmp(c, &m);
    if (op == (OR | FETCH) || op == (AND | FETCH) || op == (XOR | FETCH)) {
        fetch_logic(c, i, wide, m);
        reg_write(c, i.src);
        return;
    }
    u8 s = stored(c, i.src, &m);
    if (op == CMPXCHG)
        reg_read(c, 0, NOREG), reg_write(c, 0);
    else if (op & FETCH)
        reg_write(c, i.src);
    if (op != XCHG)
        x_byte(t, 0xf0);
    u32 opcode = op == XCHG            ? 0x87
                 : op == CMPXCHG       ? 0x0fb1
                 : op == (ADD | FETCH) ? 0x0fc1
                 : op == ADD           ? 0x01
                 : op == OR            ? 0x09
                 : op == AND           ? 0x21
                                       : 0x31;
    x_rm(t, wide, opcode, s, m);
    if (op == CMPXCHG && !wide)
        x_mov(t, false, RAX, RAX);
}

void compile_memory(struct comp *c, struct insn i)
{
    if (insn_class(i) == LDX)
        load(c, i);
    else if (insn_class(i) == STX && insn_mode(i) == ATOMIC)
        atomic(c, i);
    else
        store(c, i);
}

// ---- helpers of the kernel
static void helper_memory(struct comp *c, u32 n, bool write)
{
    struct text *t = &c->t;
    u8 p = reg_read(c, n + 1, NOREG), len = reg_read(c, n + 2, NOREG);
    c->any = c->stack_any = c->ctx = true;
    x_mov(t, true, TMP, p);
    x_mov(t, true, RCX, p);
    x_shift(t, true, G_SHR, RCX, 24);
    x_imm(t, true, G_CMP, RCX, CODE_INDICES - 1);
    stub_fail(c, CC_A, CODE_E_MEMORY);
    x_table(t, true, 0x03, TMP, CTX, RCX, offsetof(struct code_frame, delta));
    x_table(t, true, 0x8b, RCX, CTX, RCX,
            write ? offsetof(struct code_frame, wend) : offsetof(struct code_frame, end));
    x_alu(t, true, G_SUB, RCX, TMP);
    stub_fail(c, CC_B, CODE_E_MEMORY);
    x_alu(t, true, G_CMP, len, RCX);
    stub_fail(c, CC_A, CODE_E_MEMORY);
    x_mov(t, true, p, TMP);
}

void compile_helper(struct comp *c, struct insn i, const struct code_helper *h)
{
    struct text *t = &c->t;
    (void)i;
    c->ctx = true;
    for (u32 n = 0; n < 5 && h->arg[n]; n++) {
        reg_read(c, n + 1, NOREG);
        if (h->arg[n] != CODE_ARG_VALUE)
            helper_memory(c, n, h->arg[n] == CODE_ARG_WRITE);
    }
    x_push(t, CTX);
    x_mov(t, true, TMP, RSP);
    x_imm(t, true, G_AND, RSP, -16);
    x_push(t, TMP);
    x_push(t, TMP);
    x_mov(t, true, RCX, R8);
    x_mov(t, true, R8, R9);
    x_byte(t, 0xe8);
    s64 rel = (u64)h->fn - (c->program->text ? (u64)c->program->text + t->at + 4 : (u64)h->fn);
    if (rel != (s32)rel)
        c->error = "the helper is too far from the code";
    x_32(t, rel);
    x_pop(t, TMP);
    x_pop(t, RSP);
    x_pop(t, CTX);
    for (u32 k = 0; k < CODE_INDICES; k++)
        if (c->delta[k] != NOREG && (c->delta[k] < RBX || (c->delta[k] > RBP && c->delta[k] < R12)))
            x_rm(t, true, 0x8b, c->delta[k], FRAME_MEM(c, delta, k));
    reg_write(c, 0);
}
