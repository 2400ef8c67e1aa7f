// Every instruction of RFC 9669 decoded, or the reason why it is none.
#include "verify.h"

static const char *const unused = "a field that this instruction does not use is not zero";

const struct code_helper *helper_find(const struct code_abi *abi, s32 id)
{
    for (u32 i = 0; i < abi->helper_count; i++)
        if (abi->helpers[i].id == (u32)id)
            return &abi->helpers[i];
    return NULL;
}

static const char *alu_reason(struct insn i)
{
    u32 op = insn_alu(i);
    bool wide = insn_class(i) == ALU64, reg = i.op & X;
    if (op > END)
        return "no such arithmetic operation";
    if (i.dst == R_FP)
        return "r10 is read-only";
    if (op == END) {
        if (wide && reg)
            return "an unconditional byte swap has source bit 0";
        if (i.imm != 16 && i.imm != 32 && i.imm != 64)
            return "a byte swap is of 16, 32 or 64 bits";
        return i.src || i.off ? unused : NULL;
    }
    if (op == NEG)
        return reg || i.src || i.imm || i.off ? unused : NULL;
    if (reg ? i.imm : i.src)
        return unused;
    if (op == DIV || op == MOD)
        return i.off & ~1 ? "the offset of a division is 0 (unsigned) or 1 (signed)" : NULL;
    if (op == MOV && reg && i.off)
        return i.off == 8 || i.off == 16 || (i.off == 32 && wide) ? NULL : "no such sign-extending move";
    return i.off ? unused : NULL;
}

static const char *call_reason(const struct code_abi *abi, struct insn i)
{
    if (i.op & X)
        return "calls through a register are not supported";
    if (i.dst || i.off)
        return unused;
    if (i.src == CALL_LOCAL)
        return NULL;
    if (i.src != CALL_HELPER)
        return i.src == 2 ? "helpers by BTF id are not supported" : "no such kind of call";
    if (abi->class == CODE_DETERMINISTIC)
        return "a deterministic function may not call a helper";
    if (abi->class == CODE_PREDICATE)
        return "a predicate may not call a helper";
    return helper_find(abi, i.imm) ? NULL : "no such helper";
}

static const char *jump_reason(const struct code_abi *abi, struct insn i)
{
    u32 op = insn_alu(i);
    bool narrow = insn_class(i) == JMP32, reg = i.op & X;
    if (op > JSLE)
        return "no such jump";
    if (op == CALL)
        return narrow ? "no such jump" : call_reason(abi, i);
    if (op == EXIT) {
        if (narrow || reg)
            return "no such jump";
        return i.dst || i.src || i.off || i.imm ? unused : NULL;
    }
    if (op == JA) {
        if (reg)
            return "jumps through a register are not supported";
        return i.dst || i.src || (narrow ? i.off : i.imm) ? unused : NULL;
    }
    return (reg ? i.imm : i.src) ? unused : NULL;
}

static const char *lddw_reason(const struct code_source *source, u32 at)
{
    const struct insn *i = (const struct insn *)source->insns + at;
    static const char *const kind[] = {NULL,
                                       "maps are not supported",
                                       "maps are not supported",
                                       "variables of the platform are not supported",
                                       "addresses of code are not supported",
                                       "maps are not supported",
                                       NULL};
    if (i->dst == R_FP)
        return "r10 is read-only";
    if (i->off)
        return unused;
    if (at + 1 >= source->count)
        return "the second half of a 64-bit load is missing";
    if (i[1].op || i[1].dst || i[1].src || i[1].off)
        return "the second half of a 64-bit load is malformed";
    if (i->src > LDDW_RODATA)
        return "no such kind of 64-bit load";
    if (kind[i->src])
        return kind[i->src];
    if (i->src == LDDW_RODATA && (i->imm || (u32)i[1].imm > source->rodata_len))
        return "the address is outside of the read-only data";
    return NULL;
}

static const char *memory_reason(struct insn i)
{
    u32 c = insn_class(i), mode = insn_mode(i), size = i.op & 0x18;
    if (c == LDX) {
        if (mode != MEM && (mode != MEMSX || size == DW))
            return "no such load";
        if (i.dst == R_FP)
            return "r10 is read-only";
        return i.imm ? unused : NULL;
    }
    if (c == ST)
        return mode != MEM ? "no such store" : i.src ? unused : NULL;
    if (mode == MEM)
        return i.imm ? unused : NULL;
    if (mode != ATOMIC)
        return "no such store";
    if (size != W && size != DW)
        return "atomic operations are of 32 or 64 bits";
    switch (i.imm) {
    case ADD:
    case OR:
    case AND:
    case XOR: return NULL;
    case ADD | FETCH:
    case OR | FETCH:
    case AND | FETCH:
    case XOR | FETCH:
    case XCHG: return i.src == R_FP ? "r10 is read-only" : NULL;
    case CMPXCHG: return NULL;
    default: return "no such atomic operation";
    }
}

const char *insn_reason(const struct code_abi *abi, const struct code_source *source, u32 at)
{
    struct insn i = ((const struct insn *)source->insns)[at];
    u32 c = insn_class(i);
    if (i.dst > R_FP || (i.src > R_FP && c != LD))
        return "registers are r0 to r10";
    switch (c) {
    case ALU:
    case ALU64: return alu_reason(i);
    case JMP:
    case JMP32: return jump_reason(abi, i);
    case LD:
        if (i.op == LDDW)
            return lddw_reason(source, at);
        return insn_mode(i) == ABS || insn_mode(i) == IND ? "legacy packet access is not supported"
                                                          : "no such load";
    default: return memory_reason(i);
    }
}
