// What one instruction does to the abstract state, and when it must be refused.
#include "verify.h"

static const char *const uninit = "the register is read before it is written";

// Bounds of the memory that index names. False if it may not be written and `write`.
static bool index_bounds(const struct verify *v, const struct state *s, u32 index, bool write, u32 *min,
                         u32 *max)
{
    if (index <= v->abi->region_count) {
        *min = s->min[index], *max = v->abi->region[index - 1].max_len;
        return !write || v->abi->region[index - 1].writable;
    }
    *min = *max = index == CODE_TABLE_INDEX ? 16 * v->abi->region_count : v->rodata_len;
    return !write;
}

static struct val reg_of(const struct state *s, u32 r)
{
    struct val frame = {.kind = V_FRAME};
    return r == R_FP ? frame : s->r[r];
}

const char *access_classify(const struct verify *v, const struct state *s, u32 base, s64 from, s64 to,
                            bool write, struct access *a)
{
    struct val p = reg_of(s, base);
    *a = (struct access){.how = A_ANY, .write = write, .lo = p.lo, .hi = p.hi};
    switch (p.kind) {
    case V_UNINIT: return uninit;
    case V_NUM:
        if (p.lo >= -from && p.hi < (s64)CODE_VA(1) - to)
            return "the address is a number below every region";
        return NULL;
    case V_FRAME:
        if (sat_add(p.lo, from) >= -CODE_FRAME && sat_add(p.hi, to) <= 0)
            a->how = A_PROVEN;
        else if (sat_add(p.lo, from) >= 0 || sat_add(p.hi, to) <= -CODE_FRAME || p.lo == p.hi)
            return "the access is outside of the function's 512 bytes of stack";
        return NULL;
    }
    if (!index_bounds(v, s, p.index, write, &a->min, &a->max))
        return "the region is read-only";
    a->index = p.index;
    s64 lo = sat_add(p.lo, from), hi = sat_add(p.hi, to);
    if (sat_add(p.lo, to) > a->max || sat_add(p.hi, from) < 0)
        return p.index == CODE_RODATA_INDEX ? "the access is outside of the read-only data"
                                            : "the access is outside of the region";
    if (lo >= 0 && hi <= a->min)
        a->how = A_PROVEN;
    else if (p.lo == p.hi)
        a->how = A_CONST;
    else if (lo >= 0 && hi < (1l << 40))
        a->how = A_UPPER;
    else
        a->how = A_FULL;
    return NULL;
}

// The access happened, so it was in bounds: that tells about the pointer and the region's length.
static void access_learn(struct state *s, u32 base, const struct access *a, s64 from, s64 to)
{
    if (!a->index || base == R_FP)
        return;
    struct val *p = &s->r[base];
    val_clip(p, -from, (s64)a->max - to);
    if (a->index <= CODE_REGIONS_MAX && p->lo + to > s->min[a->index])
        s->min[a->index] = p->lo + to;
}

static const char *step_access(struct verify *v, struct state *s, u32 base, u32 off, u32 size, bool write,
                               struct val *loaded)
{
    struct access a;
    s64 from = (s16)off, to = from + size;
    const char *reason = access_classify(v, s, base, from, to, write, &a);
    if (reason)
        return reason;
    if (loaded && a.index == CODE_TABLE_INDEX && size == 8 && a.lo == a.hi && (a.lo + from) % 8 == 0) {
        u32 index = (a.lo + from) / 16 + 1;
        const struct code_region_type *t = &v->abi->region[index - 1];
        *loaded = (a.lo + from) % 16
                      ? (struct val){t->min_len, t->max_len, t->min_len != t->max_len, V_NUM, index, false}
                      : (struct val){.kind = V_PTR, .index = index};
    }
    for (u32 k = 0; loaded && a.index && size == 8 && a.lo == a.hi && k < v->abi->pointer_count; k++) {
        const struct code_pointer *p = &v->abi->pointers[k];
        if (p->in + 1 == a.index && p->offset == a.lo + from)
            *loaded = (struct val){.kind = V_PTR, .index = p->to + 1};
    }
    access_learn(s, base, &a, from, to);
    return NULL;
}

static const char *step_alu(struct state *s, struct insn i)
{
    bool wide = insn_class(i) == ALU64;
    u32 op = insn_alu(i);
    struct val b = op == END || op == NEG ? val_const(0) : i.op & X ? reg_of(s, i.src) : val_const(i.imm);
    struct val a = op == MOV ? val_const(0) : s->r[i.dst];
    const char *reason = a.kind == V_UNINIT || b.kind == V_UNINIT ? uninit : NULL;
    if (a.kind == V_UNINIT)
        a = val_any();
    if (b.kind == V_UNINIT)
        b = val_any();
    s->r[i.dst] = op == END ? val_swap(i, a) : val_alu(op, wide, i.off, a, b);
    return reason;
}

static const char *step_memory(struct verify *v, struct state *s, struct insn i)
{
    u32 size = insn_size(i), bits = size * 8;
    const char *reason;
    if (insn_class(i) == LDX) {
        bool sign = insn_mode(i) == MEMSX;
        struct val loaded = val_extend(val_any(), bits, sign);
        reason = step_access(v, s, i.src, i.off, size, false, &loaded);
        s->r[i.dst] = loaded;
        return reason;
    }
    bool source_uninit = insn_class(i) == STX && reg_of(s, i.src).kind == V_UNINIT;
    bool atomic = insn_class(i) == STX && insn_mode(i) == ATOMIC;
    if (atomic && i.imm == CMPXCHG && s->r[0].kind == V_UNINIT)
        source_uninit = true;
    reason = step_access(v, s, i.dst, i.off, size, true, NULL);
    if (atomic && i.imm == CMPXCHG)
        s->r[0] = val_extend(val_any(), bits, false);
    else if (atomic && i.imm & FETCH)
        s->r[i.src] = val_extend(val_any(), bits, false);
    return reason ? reason : source_uninit ? uninit : NULL;
}

static const char *helper_arg(struct verify *v, struct state *s, const struct code_helper *h, u32 n)
{
    struct val *a = &s->r[n + 1];
    u32 min, max;
    if (a->kind == V_UNINIT)
        return "an argument of the helper is not initialised";
    if (h->arg[n] == CODE_ARG_VALUE)
        return NULL;
    if (a->kind == V_NUM && a->lo >= 0 && a->hi < (s64)CODE_VA(1))
        return "an argument of the helper must be a pointer";
    if (a->kind == V_PTR && !index_bounds(v, s, a->index, h->arg[n] == CODE_ARG_WRITE, &min, &max))
        return "the helper writes to a region that is read-only";
    return NULL;
}

static const char *step_call(struct verify *v, struct state *s, struct insn i)
{
    const char *reason = NULL;
    const struct code_helper *h = i.src == CALL_HELPER ? helper_find(v->abi, i.imm) : NULL;
    for (u32 n = 0; h && n < 5 && h->arg[n]; n++)
        if (!reason)
            reason = helper_arg(v, s, h, n);
    for (u32 r = 1; r <= 5; r++)
        s->r[r] = (struct val){0};
    s->r[0] = val_any();
    return reason;
}

const char *state_step(struct verify *v, struct state *s, u32 at)
{
    struct insn i = v->insns[at];
    u32 c = insn_class(i);
    switch (c) {
    case ALU:
    case ALU64: return step_alu(s, i);
    case LD:
        s->r[i.dst] =
            i.src == LDDW_RODATA
                ? (struct val){v->insns[at + 1].imm, v->insns[at + 1].imm, 0, V_PTR, CODE_RODATA_INDEX, false}
                : val_const((u64)(u32)i.imm | (u64)v->insns[at + 1].imm << 32);
        return NULL;
    case LDX:
    case ST:
    case STX: return step_memory(v, s, i);
    }
    if (insn_is_exit(i))
        return s->r[0].kind == V_UNINIT ? "the function ends without a result in r0" : NULL;
    if (insn_alu(i) == CALL)
        return step_call(v, s, i);
    if (!insn_is_ja(i) &&
        (reg_of(s, i.dst).kind == V_UNINIT || (i.op & X && reg_of(s, i.src).kind == V_UNINIT)))
        return uninit;
    return NULL;
}
