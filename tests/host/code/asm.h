// Instructions for tables of tests.
#ifndef ASM_H
#define ASM_H
#include "arena.h"

#define OP(op, dst, src, off, imm)                                                                           \
    {                                                                                                        \
        (u8)(op), (dst), (src), (s16)(off), (imm)                                                            \
    }
#define MOVI(d, n) OP(ALU64 | MOV, d, 0, 0, n)
#define MOVR(d, s) OP(ALU64 | MOV | X, d, s, 0, 0)
#define ADDI(d, n) OP(ALU64 | ADD, d, 0, 0, n)
#define ADDR(d, s) OP(ALU64 | ADD | X, d, s, 0, 0)
#define LOAD(size, d, s, off) OP(LDX | MEM | (size), d, s, off, 0)
#define STORE(size, d, off, s) OP(STX | MEM | (size), d, s, off, 0)
#define STOREI(size, d, off, n) OP(ST | MEM | (size), d, 0, off, n)
#define LDI64(d, n) OP(LDDW, d, 0, 0, (s32)(n)), OP(0, 0, 0, 0, (s32)((u64)(n) >> 32))
#define GOTO(off) OP(JMP | JA, 0, 0, off, 0)
#define JUMPI(op, d, n, off) OP(JMP | (op), d, 0, off, n)
#define JUMPR(op, d, s, off) OP(JMP | (op) | X, d, s, off, 0)
#define CALLF(off) OP(JMP | CALL, 0, CALL_LOCAL, 0, off)
#define CALLH(id) OP(JMP | CALL, 0, CALL_HELPER, 0, id)
#define END_ OP(JMP | EXIT, 0, 0, 0, 0)
#define PROGRAM(...)                                                                                         \
    .insns = {__VA_ARGS__}, .count = sizeof((struct insn[]){__VA_ARGS__}) / sizeof(struct insn)
#endif
