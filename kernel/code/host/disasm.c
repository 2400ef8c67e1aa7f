// One line of assembly an instruction, in clang's words.
#include <stdio.h>
#include "../verify.h"

static const char *const alu_sign[16] = {
    "+=", "-=", "*=", "/=", "|=", "&=", "<<=", ">>=", "", "%=", "^=", "=", "s>>="};
static const char *const jump_sign[16] = {"",    "==", ">", ">=", "&",  "!=", "s>",
                                          "s>=", "",   "",  "<",  "<=", "s<", "s<="};
static const char *const type[4] = {"u32", "u16", "u8", "u64"}, *const signed_type[4] = {"s32", "s16", "s8",
                                                                                         "s64"};

static void alu(struct insn i, char *line, u32 room)
{
    char r = insn_class(i) == ALU64 ? 'r' : 'w';
    u32 op = insn_alu(i);
    if (op == END) {
        const char *what = r == 'r' ? "bswap" : i.op & X ? "be" : "le";
        snprintf(line, room, "r%u = %s%d r%u", i.dst, what, i.imm, i.dst);
    } else if (op == NEG) {
        snprintf(line, room, "%c%u = -%c%u", r, i.dst, r, i.dst);
    } else if (op == MOV && i.op & X && i.off) {
        snprintf(line, room, "%c%u = (s%d)%c%u", r, i.dst, i.off, r, i.src);
    } else {
        bool sign = (op == DIV || op == MOD) && i.off;
        if (i.op & X)
            snprintf(line, room, "%c%u %s%s %c%u", r, i.dst, sign ? "s" : "", alu_sign[op >> 4], r, i.src);
        else
            snprintf(line, room, "%c%u %s%s %d", r, i.dst, sign ? "s" : "", alu_sign[op >> 4], i.imm);
    }
}

static void jump(struct insn i, u32 at, char *line, u32 room)
{
    char r = insn_class(i) == JMP ? 'r' : 'w';
    u32 op = insn_alu(i);
    long to = (long)at + 1 + insn_jump_offset(i);
    if (op == EXIT)
        snprintf(line, room, "exit");
    else if (op == CALL && i.src == CALL_LOCAL)
        snprintf(line, room, "call %ld", (long)at + 1 + i.imm);
    else if (op == CALL)
        snprintf(line, room, "call helper %d", i.imm);
    else if (op == JA)
        snprintf(line, room, "%s %ld", r == 'r' ? "goto" : "gotol", to);
    else if (i.op & X)
        snprintf(line, room, "if %c%u %s %c%u goto %ld", r, i.dst, jump_sign[op >> 4], r, i.src, to);
    else
        snprintf(line, room, "if %c%u %s %d goto %ld", r, i.dst, jump_sign[op >> 4], i.imm, to);
}

static void atomic(struct insn i, char *line, u32 room)
{
    static const char *const name[] = {"add", "", "", "", "or", "and", "", "", "", "", "xor"};
    const char *t = type[i.op >> 3 & 3];
    char r = insn_size(i) == 8 ? 'r' : 'w';
    if (i.imm == XCHG)
        snprintf(line, room, "%c%u = xchg((%s *)(r%u %+d), %c%u)", r, i.src, t, i.dst, i.off, r, i.src);
    else if (i.imm == CMPXCHG)
        snprintf(line, room, "%c0 = cmpxchg((%s *)(r%u %+d), %c0, %c%u)", r, t, i.dst, i.off, r, r, i.src);
    else if (i.imm & FETCH)
        snprintf(line, room, "%c%u = atomic_fetch_%s((%s *)(r%u %+d), %c%u)", r, i.src,
                 name[(i.imm & 0xf0) >> 4], t, i.dst, i.off, r, i.src);
    else
        snprintf(line, room, "lock *(%s *)(r%u %+d) %s %c%u", t, i.dst, i.off, alu_sign[(i.imm & 0xf0) >> 4],
                 r, i.src);
}

u32 code_disasm(const struct code_source *source, u32 at, char *line, u32 room)
{
    struct code_abi any = {.class = CODE_HANDLER};
    const struct insn *p = (const struct insn *)source->insns + at, i = *p;
    const char *bad = insn_reason(&any, source, at);
    u32 size = i.op >> 3 & 3;
    if (bad && i.op != (JMP | CALL)) {
        snprintf(line, room, "? %s", bad);
        return 1;
    }
    switch (insn_class(i)) {
    case ALU:
    case ALU64: alu(i, line, room); return 1;
    case JMP:
    case JMP32: jump(i, at, line, room); return 1;
    case LD:
        if (i.src == LDDW_RODATA)
            snprintf(line, room, "r%u = rodata + %d ll", i.dst, p[1].imm);
        else
            snprintf(line, room, "r%u = 0x%lx ll", i.dst, (u64)(u32)i.imm | (u64)p[1].imm << 32);
        return 2;
    case LDX:
        snprintf(line, room, "r%u = *(%s *)(r%u %+d)", i.dst,
                 (insn_mode(i) == MEMSX ? signed_type : type)[size], i.src, i.off);
        return 1;
    case ST: snprintf(line, room, "*(%s *)(r%u %+d) = %d", type[size], i.dst, i.off, i.imm); return 1;
    default:
        if (insn_mode(i) == ATOMIC)
            atomic(i, line, room);
        else
            snprintf(line, room, "*(%s *)(r%u %+d) = r%u", type[size], i.dst, i.off, i.src);
        return 1;
    }
}
