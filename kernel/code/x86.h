// The x86-64 instructions that the compiler emits. With no buffer they are only counted.
#ifndef XOK_X86_H
#define XOK_X86_H
#include <stdbool.h>
#include "xok/types.h"

enum { RAX, RCX, RDX, RBX, RSP, RBP, RSI, RDI, R8, R9, R10, R11, R12, R13, R14, R15, NOREG = 255 };
enum { CC_B = 2, CC_AE, CC_E, CC_NE, CC_BE, CC_A, CC_S, CC_NS, CC_L = 12, CC_GE, CC_LE, CC_G };

struct text {
    u8 *out; // NULL: count only
    u64 room, at;
};

struct mem { // [base + index + disp]; index NOREG: none
    u8 base, index;
    s32 disp;
};

static inline void x_byte(struct text *t, u8 b)
{
    if (t->out && t->at < t->room)
        t->out[t->at] = b;
    t->at++;
}
static inline void x_32(struct text *t, u32 n)
{
    for (u32 i = 0; i < 4; i++)
        x_byte(t, n >> 8 * i);
}
static inline void x_64(struct text *t, u64 n)
{
    x_32(t, n), x_32(t, n >> 32);
}

static inline void x_opcode(struct text *t, u32 op) // up to three bytes, the last in the low bits
{
    if (op > 0xffff)
        x_byte(t, op >> 16);
    if (op > 0xff)
        x_byte(t, op >> 8);
    x_byte(t, op);
}

// op reg, rm with both registers. `byte`: they are byte registers, so that 4..7 need a REX prefix.
static inline void x_rr_(struct text *t, bool wide, u32 op, u8 reg, u8 rm, bool byte)
{
    u8 rex = 0x40 | wide << 3 | (reg >> 3) << 2 | rm >> 3;
    if (rex != 0x40 || (byte && (reg >= 4 || rm >= 4)))
        x_byte(t, rex);
    x_opcode(t, op);
    x_byte(t, 0xc0 | (reg & 7) << 3 | (rm & 7));
}
static inline void x_rr(struct text *t, bool wide, u32 op, u8 reg, u8 rm)
{
    x_rr_(t, wide, op, reg, rm, false);
}

static inline void x_rm_(struct text *t, bool wide, u32 op, u8 reg, struct mem m, bool byte)
{
    u8 index = m.index == NOREG ? RSP : m.index;
    u8 rex = 0x40 | wide << 3 | (reg >> 3) << 2 | (index >> 3) << 1 | m.base >> 3;
    if (rex != 0x40 || (byte && reg >= 4))
        x_byte(t, rex);
    x_opcode(t, op);
    bool sib = m.index != NOREG || (m.base & 7) == RSP;
    u8 mod = m.disp == 0 && (m.base & 7) != RBP ? 0 : m.disp >= -128 && m.disp < 128 ? 1 : 2;
    x_byte(t, mod << 6 | (reg & 7) << 3 | (sib ? RSP : m.base & 7));
    if (sib)
        x_byte(t, (index & 7) << 3 | (m.base & 7));
    if (mod == 1)
        x_byte(t, m.disp);
    else if (mod == 2)
        x_32(t, m.disp);
}
static inline void x_rm(struct text *t, bool wide, u32 op, u8 reg, struct mem m)
{
    x_rm_(t, wide, op, reg, m, false);
}

// [base + index * 8 + disp], for the frame's tables
static inline void x_table(struct text *t, bool wide, u32 op, u8 reg, u8 base, u8 index, s32 disp)
{
    x_byte(t, 0x40 | wide << 3 | (reg >> 3) << 2 | (index >> 3) << 1 | base >> 3);
    x_opcode(t, op);
    x_byte(t, 0x80 | (reg & 7) << 3 | RSP);
    x_byte(t, 3 << 6 | (index & 7) << 3 | (base & 7));
    x_32(t, disp);
}

enum { G_ADD, G_OR, G_AND = 4, G_SUB, G_XOR, G_CMP }; // arithmetic: op r/m, r is op * 8 + 1
enum { G_ROL, G_ROR, G_SHL = 4, G_SHR, G_SAR = 7 };   // shifts
static inline void x_imm(struct text *t, bool wide, u32 g, u8 r, s32 n)
{
    bool small = n >= -128 && n < 128;
    x_rr(t, wide, small ? 0x83 : 0x81, g, r);
    small ? x_byte(t, n) : x_32(t, n);
}
static inline void x_imm_mem(struct text *t, u32 g, struct mem m, s32 n) // 64-bit
{
    bool small = n >= -128 && n < 128;
    x_rm(t, true, small ? 0x83 : 0x81, g, m);
    small ? x_byte(t, n) : x_32(t, n);
}
static inline void x_alu(struct text *t, bool wide, u32 g, u8 r, u8 with)
{
    x_rr(t, wide, g * 8 + 1, with, r);
}
static inline void x_shift(struct text *t, bool wide, u32 g, u8 r, u8 n)
{
    x_rr(t, wide, 0xc1, g, r);
    x_byte(t, n);
}
static inline void x_mov(struct text *t, bool wide, u8 to, u8 from)
{
    x_rr(t, wide, 0x89, from, to);
}
static inline void x_const(struct text *t, u8 r, u64 n)
{
    if (!n) {
        x_alu(t, false, G_XOR, r, r);
    } else if (n <= 0xffffffff) {
        if (r >= 8)
            x_byte(t, 0x41);
        x_byte(t, 0xb8 | (r & 7));
        x_32(t, n);
    } else if ((s64)n == (s32)n) {
        x_rr(t, true, 0xc7, 0, r);
        x_32(t, n);
    } else {
        x_byte(t, 0x48 | r >> 3);
        x_byte(t, 0xb8 | (r & 7));
        x_64(t, n);
    }
}
static inline void x_lea(struct text *t, u8 to, struct mem m)
{
    x_rm(t, true, 0x8d, to, m);
}
static inline void x_load(struct text *t, u8 to, u8 base, s32 disp) // 64-bit
{
    x_rm(t, true, 0x8b, to, (struct mem){base, NOREG, disp});
}
static inline void x_push(struct text *t, u8 r)
{
    if (r >= 8)
        x_byte(t, 0x41);
    x_byte(t, 0x50 | (r & 7));
}
static inline void x_pop(struct text *t, u8 r)
{
    if (r >= 8)
        x_byte(t, 0x41);
    x_byte(t, 0x58 | (r & 7));
}
// Jumps to an offset in the text, 32-bit displacement.
static inline void x_jcc(struct text *t, u32 cc, u64 to)
{
    x_byte(t, 0x0f), x_byte(t, 0x80 | cc);
    x_32(t, to - (t->at + 4));
}
static inline void x_jmp(struct text *t, u64 to)
{
    x_byte(t, 0xe9), x_32(t, to - (t->at + 4));
}
static inline void x_call(struct text *t, u64 to)
{
    x_byte(t, 0xe8), x_32(t, to - (t->at + 4));
}
// Short jumps forward: returns where to land later. cc 16: always.
static inline u64 x_ahead(struct text *t, u32 cc)
{
    x_byte(t, cc == 16 ? 0xeb : 0x70 | cc);
    x_byte(t, 0);
    return t->at;
}
static inline void x_land(struct text *t, u64 from)
{
    if (t->out && from <= t->room)
        t->out[from - 1] = t->at - from;
}
#endif
