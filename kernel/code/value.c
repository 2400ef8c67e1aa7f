// Abstract values: intervals with a stride, over numbers and over offsets from a region's start.
#include "verify.h"

struct val val_any(void)
{
    return (struct val){INT64_MIN_, INT64_MAX_, 1, V_NUM, 0, false};
}

static struct val num(s64 lo, s64 hi, u64 step)
{
    if (lo == hi)
        step = 0;
    else if (!step || lo == INT64_MIN_)
        step = 1;
    return (struct val){lo, hi, step, V_NUM, 0, false};
}

static u64 gcd(u64 a, u64 b)
{
    while (b) {
        u64 t = a % b;
        a = b, b = t;
    }
    return a;
}

bool val_clip(struct val *v, s64 lo, s64 hi)
{
    u64 step = v->step ? v->step : 1;
    if (lo > v->hi || hi < v->lo)
        return false;
    if (lo > v->lo) {
        u64 up = ((u64)lo - (u64)v->lo + step - 1) / step * step;
        if (up > (u64)v->hi - (u64)v->lo)
            return false;
        v->lo += up;
    }
    if (hi < v->hi) {
        if (hi < v->lo)
            return false;
        v->hi = hi;
    }
    v->hi = (u64)v->lo + ((u64)v->hi - (u64)v->lo) / step * step;
    if (v->lo == v->hi)
        v->step = 0;
    return true;
}

struct val val_join(struct val a, struct val b)
{
    if (a.kind == V_UNINIT || b.kind == V_UNINIT)
        return (struct val){0};
    struct val v = val_any();
    v.entry = a.entry | b.entry;
    if (a.kind != b.kind || (a.kind == V_PTR && a.index != b.index))
        return v;
    v.kind = a.kind, v.index = a.index;
    v.lo = a.lo < b.lo ? a.lo : b.lo;
    v.hi = a.hi > b.hi ? a.hi : b.hi;
    v.step = gcd(gcd(a.step, b.step), a.lo < b.lo ? (u64)b.lo - (u64)a.lo : (u64)a.lo - (u64)b.lo);
    if (v.lo == INT64_MIN_ && v.hi != v.lo)
        v.step = 1;
    if (a.index != b.index)
        v.index = 0;
    return v;
}

// `joined` is more than `old`: bounds that moved go to the next limit that fits the stride, else all the way.
struct val val_widen(struct val old, struct val joined, const s64 *limits, u32 count)
{
    struct val v = joined;
    if (old.kind != v.kind || v.kind == V_UNINIT)
        return v;
    u64 step = v.step ? v.step : 1;
    if (v.hi > old.hi) {
        s64 best = INT64_MAX_;
        for (u32 i = 0; i < 2 * count; i++) {
            s64 limit = sat_add(limits[i / 2], -(s64)(i & 1));
            if (limit < v.hi || limit > best)
                continue;
            limit = (u64)v.lo + ((u64)limit - (u64)v.lo) / step * step;
            if (limit >= v.hi && limit < best)
                best = limit;
        }
        v.hi = best;
    }
    if (v.lo < old.lo) {
        s64 best = INT64_MIN_;
        for (u32 i = 0; i < 2 * count; i++) {
            s64 limit = sat_add(limits[i / 2], i & 1);
            if (limit > v.lo || limit < best)
                continue;
            limit = (u64)v.lo - ((u64)v.lo - (u64)limit) / step * step;
            if (limit > best)
                best = limit;
        }
        v.lo = best;
        if (best == INT64_MIN_)
            v.step = 1;
    }
    return v;
}

struct val val_extend(struct val v, u32 bits, bool sign)
{
    if (bits == 64)
        return v;
    s64 lo = sign ? -(1l << (bits - 1)) : 0, hi = sign ? (1l << (bits - 1)) - 1 : (1l << bits) - 1;
    if (v.kind == V_NUM && v.lo >= lo && v.hi <= hi)
        return v;
    if (v.kind == V_NUM && v.lo == v.hi) {
        u64 n = (u64)v.lo << (64 - bits);
        return val_const(sign ? (s64)n >> (64 - bits) : (s64)(n >> (64 - bits)));
    }
    return num(lo, hi, 1);
}

static struct val alu_sum(struct val a, struct val b, bool sub)
{
    struct val v = {.kind = V_NUM};
    bool wraps = sub ? __builtin_sub_overflow(a.lo, b.hi, &v.lo) || __builtin_sub_overflow(a.hi, b.lo, &v.hi)
                     : __builtin_add_overflow(a.lo, b.lo, &v.lo) || __builtin_add_overflow(a.hi, b.hi, &v.hi);
    if (wraps)
        return val_any();
    return num(v.lo, v.hi, gcd(a.step, b.step));
}

static struct val alu_mul(struct val a, struct val b)
{
    if (a.step == 0) {
        struct val t = a;
        a = b, b = t;
    }
    s64 lo, hi;
    u64 step;
    if (a.lo < 0 || b.lo < 0 || __builtin_mul_overflow(a.lo, b.lo, &lo) ||
        __builtin_mul_overflow(a.hi, b.hi, &hi))
        return a.step || b.step ? val_any() : val_const((u64)a.lo * (u64)b.lo);
    if (b.step || __builtin_mul_overflow(a.step, (u64)b.lo, &step))
        step = 1;
    return num(lo, hi, step);
}

// The least 2^n - 1 that is not below both.
static s64 mask_over(s64 a, s64 b)
{
    u64 m = (u64)(a | b);
    for (u32 s = 1; s < 64; s *= 2)
        m |= m >> s;
    return m;
}

static struct val alu_bits(u32 op, struct val a, struct val b)
{
    if (!a.step && !b.step)
        return val_const(op == AND ? a.lo & b.lo : op == OR ? a.lo | b.lo : a.lo ^ b.lo);
    if (op == AND) {
        s64 hi = a.lo < 0 ? INT64_MAX_ : a.hi;
        if (b.lo >= 0 && b.hi < hi)
            hi = b.hi;
        return a.lo < 0 && b.lo < 0 ? val_any() : num(0, hi, 1);
    }
    return a.lo < 0 || b.lo < 0 ? val_any() : num(0, mask_over(a.hi, b.hi), 1);
}

static struct val alu_shift(u32 op, u32 bits, struct val a, struct val b)
{
    if (b.step)
        return op == RSH && a.lo >= 0 ? num(0, a.hi, 1) : val_any();
    u32 n = b.lo & (bits - 1);
    if (op == LSH)
        return alu_mul(a, n < 63 ? val_const(1l << n) : val_any());
    if (op == ARSH)
        return num(a.lo >> n, a.hi >> n, 1);
    if (!n)
        return a;
    if (a.lo >= 0)
        return num(a.lo >> n, a.hi >> n, 1);
    return a.lo == a.hi ? val_const((u64)a.lo >> n) : num(0, (s64)(~0ul >> n), 1);
}

static struct val alu_divide(u32 op, struct val a, struct val b)
{
    // Divisions by what may be zero or negative say nothing.
    if (a.lo < 0 || b.lo <= 0)
        return val_any();
    if (op == DIV)
        return num(a.lo / b.hi, a.hi / b.lo, 1);
    return num(0, a.hi < b.hi - 1 ? a.hi : b.hi - 1, 1);
}

// The number that a pointer is.
static struct val as_number(struct val v)
{
    if (v.kind == V_NUM)
        return v;
    if (v.kind != V_PTR || __builtin_add_overflow(v.lo, CODE_VA(v.index), &v.lo) ||
        __builtin_add_overflow(v.hi, CODE_VA(v.index), &v.hi))
        return val_any();
    return num(v.lo, v.hi, v.step);
}

static bool is_pointer(struct val v)
{
    return v.kind == V_PTR || v.kind == V_FRAME;
}

struct val val_alu(u32 op, bool wide, s32 off, struct val a, struct val b)
{
    if (op == MOV)
        return off    ? val_extend(val_extend(as_number(b), off, true), wide ? 64 : 32, false)
               : wide ? b
                      : val_extend(as_number(b), 32, false);
    if (wide && (op == ADD || op == SUB)) {
        struct val p = is_pointer(a) ? a : b, n = is_pointer(a) ? b : a;
        if (is_pointer(p) && n.kind == V_NUM && (op == ADD || is_pointer(a))) {
            struct val v = alu_sum(p, n, op == SUB);
            v.kind = p.kind, v.index = p.index;
            return v;
        }
        if (op == SUB && is_pointer(a) && a.kind == b.kind && a.index == b.index)
            return alu_sum(a, b, true);
    }
    a = as_number(a), b = as_number(b);
    a.index = b.index = 0;
    bool sign = op == ARSH || (off && (op == DIV || op == MOD));
    if (!wide)
        a = val_extend(a, 32, sign), b = val_extend(b, 32, sign);
    struct val v;
    switch (op) {
    case ADD:
    case SUB: v = alu_sum(a, b, op == SUB); break;
    case MUL: v = alu_mul(a, b); break;
    case AND:
    case OR:
    case XOR: v = alu_bits(op, a, b); break;
    case LSH:
    case RSH:
    case ARSH: v = alu_shift(op, wide ? 64 : 32, a, b); break;
    case DIV:
    case MOD: v = alu_divide(op, a, b); break;
    default: v = alu_sum(val_const(0), a, true); // NEG
    }
    return wide ? v : val_extend(v, 32, false);
}

struct val val_swap(struct insn i, struct val a)
{
    a = as_number(a);
    a.index = 0;
    if (insn_class(i) == ALU && !(i.op & X)) // to little endian: cuts
        return val_extend(a, i.imm, false);
    return i.imm == 64 ? val_any() : num(0, (1l << i.imm) - 1, 1);
}
