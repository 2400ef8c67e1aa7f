// Arithmetic, as RFC 9669 section 4.1 has it.
#include "compile.h"

static void divide(struct comp *c, struct insn i, bool wide, u8 d)
{
    struct text *t = &c->t;
    bool reg = i.op & X, mod = insn_alu(i) == MOD, sign = i.off;
    u64 n = wide ? (u64)(s64)i.imm : (u32)i.imm;
    if (!reg &&
        (!n || (!sign && !(n & (n - 1)) && n < 1u << 31))) { // nothing to divide by, or a power of two
        if (!n && !mod)
            x_const(t, d, 0);
        else if (n && mod)
            x_imm(t, wide, G_AND, d, n - 1);
        else if (n > 1)
            x_shift(t, wide, G_SHR, d, __builtin_ctzl(n));
        else if (!wide)
            x_mov(t, false, d, d);
        return;
    }
    u64 zero = 0, minus = 0, end, end2 = 0;
    if (reg) {
        x_mov(t, wide, TMP, reg_read(c, i.src, TMP));
        x_rr(t, wide, 0x85, TMP, TMP);
        zero = x_ahead(t, CC_E);
    } else {
        x_const(t, TMP, n);
    }
    if (sign && (reg || i.imm == -1)) {
        x_imm(t, wide, G_CMP, TMP, -1);
        minus = x_ahead(t, CC_E);
    }
    if (d != RAX)
        x_push(t, RAX);
    if (d != RDX)
        x_push(t, RDX);
    if (d != RAX)
        x_mov(t, wide, RAX, d);
    if (!sign)
        x_const(t, RDX, 0);
    else if (wide)
        x_byte(t, 0x48), x_byte(t, 0x99);
    else
        x_byte(t, 0x99);
    x_rr(t, wide, 0xf7, sign ? 7 : 6, TMP);
    x_mov(t, wide, TMP, mod ? RDX : RAX);
    if (d != RDX)
        x_pop(t, RDX);
    if (d != RAX)
        x_pop(t, RAX);
    x_mov(t, wide, d, TMP);
    if (!zero && !minus)
        return;
    end = x_ahead(t, 16);
    if (minus) {
        x_land(t, minus);
        if (mod)
            x_const(t, d, 0);
        else
            x_rr(t, wide, 0xf7, 3, d);
        if (zero)
            end2 = x_ahead(t, 16);
    }
    if (zero) {
        x_land(t, zero);
        if (!mod)
            x_const(t, d, 0);
        else if (!wide)
            x_mov(t, false, d, d);
    }
    x_land(t, end);
    if (end2)
        x_land(t, end2);
}

static void shift(struct comp *c, struct insn i, bool wide, u8 d)
{
    struct text *t = &c->t;
    u32 op = insn_alu(i), g = op == LSH ? G_SHL : op == RSH ? G_SHR : G_SAR;
    if (i.op & X) {
        x_mov(t, false, RCX, reg_read(c, i.src, TMP));
        x_rr(t, wide, 0xd3, g, d);
        return;
    }
    u32 n = i.imm & (wide ? 63 : 31);
    if (n)
        x_shift(t, wide, g, d, n);
    else if (!wide)
        x_mov(t, false, d, d);
}

static void byte_swap(struct comp *c, struct insn i, u8 d)
{
    struct text *t = &c->t;
    bool swap = insn_class(i) == ALU64 || i.op & X;
    if (i.imm == 16) {
        if (swap) {
            x_byte(t, 0x66);
            x_shift(t, false, G_ROL, d, 8);
        }
        x_rr(t, false, 0x0fb7, d, d);
    } else if (!swap) {
        if (i.imm == 32)
            x_mov(t, false, d, d);
    } else {
        x_byte(t, 0x40 | (i.imm == 64) << 3 | d >> 3);
        x_byte(t, 0x0f), x_byte(t, 0xc8 | (d & 7));
    }
}

static void move(struct comp *c, struct insn i, bool wide)
{
    struct text *t = &c->t;
    u8 d = reg_map[i.dst];
    if (!(i.op & X)) {
        reg_write(c, i.dst);
        x_const(t, d, wide ? (u64)(s64)i.imm : (u32)i.imm);
        return;
    }
    u8 s = reg_read(c, i.src, d);
    reg_write(c, i.dst);
    switch (i.off) {
    case 0:
        if (s != d || !wide)
            x_mov(t, wide, d, s);
        break;
    case 8: x_rr_(t, wide, 0x0fbe, d, s, true); break;
    case 16: x_rr(t, wide, 0x0fbf, d, s); break;
    default: x_rr(t, true, 0x63, d, s);
    }
}

void compile_alu(struct comp *c, struct insn i)
{
    struct text *t = &c->t;
    bool wide = insn_class(i) == ALU64;
    u32 op = insn_alu(i), g = 0;
    if (op == MOV) {
        move(c, i, wide);
        return;
    }
    u8 d = reg_read(c, i.dst, NOREG);
    reg_write(c, i.dst);
    switch (op) {
    case DIV:
    case MOD: divide(c, i, wide, d); return;
    case LSH:
    case RSH:
    case ARSH: shift(c, i, wide, d); return;
    case END: byte_swap(c, i, d); return;
    case NEG: x_rr(t, wide, 0xf7, 3, d); return;
    case MUL:
        if (i.op & X) {
            x_rr(t, wide, 0x0faf, d, reg_read(c, i.src, TMP));
        } else {
            x_rr(t, wide, 0x69, d, d);
            x_32(t, i.imm);
        }
        return;
    case ADD: g = G_ADD; break;
    case SUB: g = G_SUB; break;
    case AND: g = G_AND; break;
    case OR: g = G_OR; break;
    default: g = G_XOR;
    }
    if (i.op & X)
        x_alu(t, wide, g, d, reg_read(c, i.src, TMP));
    else
        x_imm(t, wide, g, d, i.imm);
}
