// The reference interpreter: RFC 9669 written down as plainly as possible, nothing shared with the compiler.
#include "../verify.h"

struct machine {
    const struct code_program *program;
    const struct code_abi *abi;
    const struct code_source *source;
    const u8 *origins;
    const struct insn *insns;
    const struct code_region *regions;
    struct code_frame *frame;
    u64 r[11];
    u64 saved[CODE_DEPTH_MAX][5]; // r6..r9 and where to go on, of each caller
    u32 depth, at;
    s64 fuel;
    enum code_status status;
};

static u64 stack_bottom(const struct machine *m)
{
    return (u64)m->frame->stack + sizeof m->frame->stack - m->program->stack;
}

// The machine's address of [va, va+size), or 0 with m->status set.
static u64 resolve(struct machine *m, u64 va, u64 size, bool write)
{
    u64 index = va >> 24, offset = va & 0xffffff, base = 0, len = 0;
    bool there = true, writable = false, output = false;
    if (!va && !size) // no memory at all, for a helper
        return 0;
    if (index >= 1 && index <= m->abi->region_count) {
        const struct code_region_type *t = &m->abi->region[index - 1];
        base = (u64)m->regions[index - 1].base, len = m->regions[index - 1].len;
        writable = t->writable, output = t->output;
    } else if (index == CODE_STACK_INDEX) {
        base = stack_bottom(m), len = m->program->stack, writable = true;
    } else if (index == CODE_TABLE_INDEX) {
        base = (u64)m->frame->table, len = 16 * m->abi->region_count;
    } else if (index == CODE_RODATA_INDEX) {
        base = (u64)m->source->rodata, len = m->source->rodata_len;
    } else {
        there = false;
    }
    if (there && size <= len && offset <= len - size && (writable || !write))
        return base + offset;
    m->status = output && write ? CODE_E_FULL : CODE_E_MEMORY;
    return 0;
}

static u64 alu(u32 op, bool sign, u64 a, u64 b, u32 bits)
{
    s64 sa = bits == 32 ? (s32)a : (s64)a, sb = bits == 32 ? (s32)b : (s64)b;
    if (bits == 32)
        a = (u32)a, b = (u32)b;
    switch (op) {
    case ADD: return a + b;
    case SUB: return a - b;
    case MUL: return a * b;
    case DIV:
        if (!b)
            return 0;
        if (!sign)
            return a / b;
        return sb == -1 ? -(u64)sa : (u64)(sa / sb);
    case MOD:
        if (!b)
            return a;
        if (!sign)
            return a % b;
        return sb == -1 ? 0 : (u64)(sa % sb);
    case OR: return a | b;
    case AND: return a & b;
    case XOR: return a ^ b;
    case LSH: return a << (b & (bits - 1));
    case RSH: return a >> (b & (bits - 1));
    case ARSH: return (u64)(sa >> (b & (bits - 1)));
    case NEG: return -a;
    default: return b; // MOV
    }
}

static u64 sign_extend(u64 n, u32 bits)
{
    return (u64)((s64)(n << (64 - bits)) >> (64 - bits));
}

static u64 swap(u64 n, u32 bits)
{
    u64 r = 0;
    for (u32 k = 0; k < bits; k += 8)
        r = r << 8 | (n >> k & 255);
    return r;
}

static void do_alu(struct machine *m, struct insn i)
{
    bool wide = insn_class(i) == ALU64;
    u32 op = insn_alu(i);
    u64 b = i.op & X ? m->r[i.src] : (u64)(s64)i.imm, n;
    if (op == END) {
        u64 a = m->r[i.dst], cut = i.imm == 64 ? a : a & ((1ul << i.imm) - 1);
        m->r[i.dst] = wide || i.op & X ? swap(a, i.imm) : cut;
        return;
    }
    if (op == MOV && i.off)
        b = sign_extend(b, i.off);
    n = alu(op, (op == DIV || op == MOD) && i.off, m->r[i.dst], b, wide ? 64 : 32);
    m->r[i.dst] = wide ? n : (u32)n;
}

static u64 load(u64 at, u32 size)
{
    u64 n = 0;
    memcpy(&n, (void *)at, size);
    return n;
}

static void store(u64 at, u64 n, u32 size)
{
    memcpy((void *)at, &n, size);
}

static void do_atomic(struct machine *m, struct insn i, u64 at)
{
    u32 size = insn_size(i);
    u64 old = load(at, size), n = m->r[i.src];
    switch (i.imm & 0xf0) {
    case ADD: n = old + n; break;
    case OR: n = old | n; break;
    case AND: n = old & n; break;
    case XOR: n = old ^ n; break;
    }
    if (i.imm == CMPXCHG) {
        u64 want = size == 4 ? (u32)m->r[0] : m->r[0];
        if (old == want)
            store(at, m->r[i.src], size);
        m->r[0] = old;
        return;
    }
    store(at, i.imm == XCHG ? m->r[i.src] : n, size);
    if (i.imm & FETCH)
        m->r[i.src] = old;
}

static void do_memory(struct machine *m, struct insn i)
{
    u32 size = insn_size(i), k = insn_class(i);
    u64 va = m->r[k == LDX ? i.src : i.dst] + i.off, origin = m->origins[m->at - 1];
    if (origin && va >> 24 != origin) { // the verifier knows the region: no way from one into another
        m->status = CODE_E_MEMORY;
        return;
    }
    u64 at = resolve(m, va, size, k != LDX);
    if (m->status)
        return;
    if (k == LDX)
        m->r[i.dst] = insn_mode(i) == MEMSX ? sign_extend(load(at, size), size * 8) : load(at, size);
    else if (k == ST)
        store(at, (u64)(s64)i.imm, size);
    else if (insn_mode(i) == ATOMIC)
        do_atomic(m, i, at);
    else
        store(at, m->r[i.src], size);
}

static void charge(struct machine *m, u64 n)
{
    m->fuel -= n;
    if (m->fuel < 0)
        m->status = CODE_E_FUEL;
}

static void do_call(struct machine *m, struct insn i)
{
    if (i.src == CALL_HELPER) {
        const struct code_helper *h = helper_find(m->abi, i.imm);
        u64 a[5] = {0};
        for (u32 n = 0; n < 5 && h->arg[n]; n++) {
            a[n] = m->r[n + 1];
            if (h->arg[n] != CODE_ARG_VALUE)
                a[n] = resolve(m, a[n], m->r[n + 2], h->arg[n] == CODE_ARG_WRITE);
            if (m->status)
                return;
        }
        m->r[0] = h->fn(a[0], a[1], a[2], a[3], a[4]);
        return;
    }
    u32 target = m->at + i.imm;
    charge(m, m->source->count);
    if (!m->status && m->r[10] - 2 * CODE_FRAME < CODE_VA(CODE_STACK_INDEX))
        m->status = CODE_E_DEPTH;
    if (m->status)
        return;
    u64 *s = m->saved[m->depth++];
    memcpy(s, &m->r[6], 32);
    s[4] = m->at;
    m->r[10] -= CODE_FRAME;
    m->r[0] = 0;
    m->at = target;
}

static bool holds(struct insn i, u64 a, u64 b)
{
    s64 sa = (s64)a, sb = (s64)b;
    if (insn_class(i) == JMP32)
        a = (u32)a, b = (u32)b, sa = (s32)a, sb = (s32)b;
    switch (insn_alu(i)) {
    case JA: return true;
    case JEQ: return a == b;
    case JNE: return a != b;
    case JGT: return a > b;
    case JGE: return a >= b;
    case JLT: return a < b;
    case JLE: return a <= b;
    case JSET: return a & b;
    case JSGT: return sa > sb;
    case JSGE: return sa >= sb;
    case JSLT: return sa < sb;
    default: return sa <= sb;
    }
}

static void do_jump(struct machine *m, struct insn i)
{
    if (!holds(i, m->r[i.dst], i.op & X ? m->r[i.src] : (u64)(s64)i.imm))
        return;
    s64 off = insn_jump_offset(i);
    if (off < 0)
        charge(m, -off);
    m->at += off;
}

struct code_result code_interpret(const struct code_program *program, const struct code_abi *abi,
                                  const struct code_source *source, const struct code_region *regions,
                                  u32 count, u64 fuel, struct code_frame *frame)
{
    struct machine m = {.program = program,
                        .abi = abi,
                        .source = source,
                        .origins = program->origins,
                        .insns = (const void *)source->insns,
                        .regions = regions,
                        .frame = frame,
                        .fuel = fuel > INT64_MAX_ ? INT64_MAX_ : (s64)fuel};
    memset(frame->stack, 0, sizeof frame->stack);
    if (count != abi->region_count)
        return (struct code_result){.status = CODE_E_REGION};
    for (u32 k = 0; k < count; k++) {
        if (regions[k].len < abi->region[k].min_len || regions[k].len > abi->region[k].max_len)
            return (struct code_result){.status = CODE_E_REGION};
        frame->table[k][0] = CODE_VA(k + 1), frame->table[k][1] = regions[k].len;
        if (k < 2)
            m.r[1 + 2 * k] = CODE_VA(k + 1), m.r[2 + 2 * k] = regions[k].len;
    }
    m.r[5] = CODE_VA(CODE_TABLE_INDEX);
    m.r[10] = CODE_VA(CODE_STACK_INDEX) + program->stack;
    for (;;) {
        u32 here = m.at;
        struct insn i = m.insns[m.at++];
        switch (insn_class(i)) {
        case ALU:
        case ALU64: do_alu(&m, i); break;
        case LD:
            m.r[i.dst] = i.src == LDDW_RODATA ? CODE_VA(CODE_RODATA_INDEX) + m.insns[m.at].imm
                                              : (u64)(u32)i.imm | (u64)m.insns[m.at].imm << 32;
            m.at++;
            break;
        case LDX:
        case ST:
        case STX: do_memory(&m, i); break;
        default:
            if (insn_is_exit(i)) {
                if (!m.depth)
                    return (struct code_result){CODE_OK, 0, m.r[0], m.fuel};
                u64 *s = m.saved[--m.depth];
                memcpy(&m.r[6], s, 32);
                m.at = s[4];
                m.r[10] += CODE_FRAME;
            } else if (insn_class(i) == JMP && insn_alu(i) == CALL) {
                do_call(&m, i);
            } else {
                do_jump(&m, i);
            }
        }
        if (m.status)
            return (struct code_result){m.status, here, 0, m.fuel < 0 ? 0 : (u64)m.fuel};
    }
}
