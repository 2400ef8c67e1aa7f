// The instruction encoding of RFC 9669.
#ifndef XOK_INSN_H
#define XOK_INSN_H
#include <stdbool.h>
#include "xok/types.h"

struct insn {
    u8 op;
    u8 dst : 4, src : 4;
    s16 off;
    s32 imm;
};
_Static_assert(sizeof(struct insn) == 8, "an instruction slot");

enum { LD, LDX, ST, STX, ALU, JMP, JMP32, ALU64 };                    // op & 7
enum { W = 0x00, H = 0x08, B = 0x10, DW = 0x18 };                     // op & 0x18 of loads and stores
enum { IMM = 0x00, ABS = 0x20, IND = 0x40, MEM = 0x60, MEMSX = 0x80, ATOMIC = 0xc0 }; // op & 0xe0
enum { X = 0x08 };                                                    // ALU, JMP: the source is a register
enum { ADD = 0x00, SUB = 0x10, MUL = 0x20, DIV = 0x30, OR = 0x40, AND = 0x50, LSH = 0x60, RSH = 0x70,
       NEG = 0x80, MOD = 0x90, XOR = 0xa0, MOV = 0xb0, ARSH = 0xc0, END = 0xd0 };
enum { JA = 0x00, JEQ = 0x10, JGT = 0x20, JGE = 0x30, JSET = 0x40, JNE = 0x50, JSGT = 0x60, JSGE = 0x70,
       CALL = 0x80, EXIT = 0x90, JLT = 0xa0, JLE = 0xb0, JSLT = 0xc0, JSLE = 0xd0 };
enum { FETCH = 0x01, XCHG = 0xe1, CMPXCHG = 0xf1 };                   // imm of atomics
enum { LDDW = LD | IMM | DW, LDDW_RODATA = 6 };
enum { CALL_HELPER, CALL_LOCAL };                                     // src of a call

static inline u32 insn_class(struct insn i) { return i.op & 7; }
static inline u32 insn_alu(struct insn i) { return i.op & 0xf0; }
static inline u32 insn_mode(struct insn i) { return i.op & 0xe0; }
static inline u32 insn_size(struct insn i) // bytes of the access
{
    static const u8 size[] = {4, 2, 1, 8};
    return size[i.op >> 3 & 3];
}
static inline bool insn_is_jump(struct insn i) // conditional or not, no call, no exit
{
    u32 c = insn_class(i), o = insn_alu(i);
    return c == JMP32 || (c == JMP && o != CALL && o != EXIT);
}
static inline bool insn_is_ja(struct insn i) { return insn_is_jump(i) && insn_alu(i) == JA; }
static inline bool insn_is_exit(struct insn i) { return i.op == (JMP | EXIT); }
static inline bool insn_is_local_call(struct insn i) { return i.op == (JMP | CALL) && i.src == CALL_LOCAL; }
static inline s64 insn_jump_offset(struct insn i) // slots after the next
{
    return i.op == (JMP32 | JA) ? i.imm : i.off;
}
#endif
