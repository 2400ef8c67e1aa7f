// What a branch tells about its operands.
#include "verify.h"

void limit_add(struct verify *v, s64 n)
{
    for (u32 i = 0; i < v->limit_count; i++)
        if (v->limits[i] == n)
            return;
    if (v->limit_count < sizeof v->limits / sizeof v->limits[0])
        v->limits[v->limit_count++] = n;
}

static bool learn_less(struct val *a, struct val *b, s64 strict) // a < b, or a <= b
{
    if (strict && (b->hi == INT64_MIN_ || a->lo == INT64_MAX_))
        return false;
    s64 a_lo = a->lo;
    return val_clip(a, INT64_MIN_, b->hi - strict) && val_clip(b, a_lo + strict, INT64_MAX_);
}

static bool learn_less_unsigned(struct val *a, struct val *b, s64 strict)
{
    s64 floor = a->kind == V_PTR ? -(s64)CODE_VA(a->index) : 0; // what is below is a huge number
    if (b->lo < floor)
        return true;
    if (a->kind != V_PTR && !val_clip(a, 0, INT64_MAX_))
        return false;
    return a->lo < floor || learn_less(a, b, strict);
}

static bool learn_unequal(struct val *a, struct val *b)
{
    for (int side = 0; side < 2; side++) {
        struct val *x = side ? b : a, *c = side ? a : b;
        if (c->step)
            continue;
        s64 step = x->step ? x->step : 1;
        if (x->lo == c->lo && (x->lo == x->hi || !val_clip(x, sat_add(x->lo, step), INT64_MAX_)))
            return false;
        if (x->hi == c->lo && (x->lo == x->hi || !val_clip(x, INT64_MIN_, x->hi - 1)))
            return false;
    }
    return true;
}

static bool learn(u32 op, struct val *a, struct val *b)
{
    switch (op) {
    case JEQ: {
        bool ok = val_clip(a, b->lo, b->hi) && val_clip(b, a->lo, a->hi);
        return ok;
    }
    case JNE: return learn_unequal(a, b);
    case JLT: return learn_less_unsigned(a, b, 1);
    case JLE: return learn_less_unsigned(a, b, 0);
    case JGT: return learn_less_unsigned(b, a, 1);
    case JGE: return learn_less_unsigned(b, a, 0);
    case JSLT: return learn_less(a, b, 1);
    case JSLE: return learn_less(a, b, 0);
    case JSGT: return learn_less(b, a, 1);
    case JSGE: return learn_less(b, a, 0);
    default: return true;
    }
}

static u32 inverse(u32 op)
{
    switch (op) {
    case JEQ: return JNE;
    case JNE: return JEQ;
    case JGT: return JLE;
    case JLE: return JGT;
    case JGE: return JLT;
    case JLT: return JGE;
    case JSGT: return JSLE;
    case JSLE: return JSGT;
    case JSGE: return JSLT;
    case JSLT: return JSGE;
    default: return JA; // JSET: the other way says nothing
    }
}

static bool fits32(struct val v, bool sign)
{
    return v.kind == V_NUM && v.lo >= 0 && v.hi <= (sign ? 0x7fffffffl : 0xffffffffl);
}

// What the branch at `at` tells about its operands. False: it cannot go this way.
bool branch_learn(struct verify *v, struct state *s, u32 at, bool taken)
{
    struct insn i = v->insns[at];
    u32 op = insn_alu(i);
    bool narrow = insn_class(i) == JMP32, sign = op >= JSGT && op != JLT && op != JLE;
    struct val none = {.kind = V_FRAME}, imm = val_const(narrow && !sign ? (s64)(u32)i.imm : i.imm);
    struct val *a = i.dst == R_FP ? &none : &s->r[i.dst],
               *b = i.op & X ? i.src == R_FP ? &none : &s->r[i.src] : &imm;
    if (op == JSET || a == b || a->kind == V_UNINIT || a->kind != b->kind ||
        (a->kind == V_PTR && a->index != b->index))
        return true;
    if (a->kind == V_FRAME || (narrow && (!fits32(*a, sign) || !fits32(*b, sign))))
        return true;
    if (a->kind == V_PTR && sign)
        return true;
    if (!b->step)
        limit_add(v, b->lo);
    if (!a->step)
        limit_add(v, a->lo);
    if (!learn(taken ? op : inverse(op), a, b))
        return false;
    for (int side = 0; side < 2; side++) { // lengths of regions
        struct val *x = side ? b : a;
        if (x->kind == V_NUM && x->index && x->lo > s->min[x->index])
            s->min[x->index] = x->lo;
    }
    return true;
}
