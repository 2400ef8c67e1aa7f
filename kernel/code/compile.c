// The compiler to x86-64. Registers of the program live in registers of the machine; straight-line code,
// direct jumps and calls only, failures and the charging of back edges out of line. docs/downloaded-code.md:
// costs.
//
//   rax r0    rdi r1   rsi r2   rdx r3   r8 r4   r9 r5    rbx r6   r14 r7   r15 r8   r12 r9   rbp the frame
//   r10 struct code_frame   rcx, r11 scratch   r13 and whatever the program does not use: deltas of regions
#include "compile.h"

const u8 reg_map[11] = {RAX, RDI, RSI, RDX, R8, R9, RBX, R14, R15, R12, RBP};
enum { CALLEE_SAVED = 1 << RBX | 1 << RBP | 1 << R12 | 1 << R13 | 1 << R14 | 1 << R15, BACK = 255 };
static const u8 order[] = {RBX, RBP, R12, R13, R14, R15};

static u64 stack_top_va(const struct comp *c)
{
    return CODE_VA(CODE_STACK_INDEX) + CODE_FRAME * c->v->depth;
}

u8 reg_read(struct comp *c, u32 r, u8 scratch)
{
    if (r != R_FP) {
        c->mentioned |= 1u << r;
        c->reads |= (u32)c->s.r[r].entry << r;
        return reg_map[r];
    }
    if (!c->calls) {
        x_const(&c->t, scratch, stack_top_va(c));
    } else {
        c->fp = true;
        x_mov(&c->t, true, scratch, RBP);
        x_rm(&c->t, true, 0x2b, scratch, FRAME_MEM(c, delta, CODE_STACK_INDEX));
    }
    return scratch;
}

u8 reg_write(struct comp *c, u32 r)
{
    c->mentioned |= 1u << r;
    if (CALLEE_SAVED >> reg_map[r] & 1)
        c->saved |= 1u << reg_map[r];
    return reg_map[r];
}

// ---- out of line
static u32 stub_new(struct comp *c, u32 status)
{
    u32 code = c->at << 8 | status;
    if (c->stubs && c->stub_insn[c->stubs - 1] == code)
        return c->stubs - 1;
    c->stub_insn[c->stubs] = code;
    return c->stubs++;
}

void stub_fail(struct comp *c, u32 cc, u32 status)
{
    u64 to = c->stub_at[stub_new(c, status)];
    c->ctx = true;
    if (cc == 16)
        x_jmp(&c->t, to);
    else
        x_jcc(&c->t, cc, to);
}

void stub_back(struct comp *c, u32 cc)
{
    x_jcc(&c->t, cc, c->stub_at[stub_new(c, BACK)]);
}

static void epilogue(struct comp *c, u32 saved)
{
    for (u32 k = sizeof order; k-- > 0;)
        if (saved >> order[k] & 1)
            x_pop(&c->t, order[k]);
    x_byte(&c->t, 0xc3);
}

static void charge(struct comp *c, u32 n)
{
    x_imm_mem(&c->t, G_SUB, FRAME_MEM(c, fuel, 0), n);
}

static void stubs_emit(struct comp *c)
{
    struct text *t = &c->t;
    for (u32 k = 0; k < c->stubs; k++) {
        u32 status = c->stub_insn[k] & 255, at = c->stub_insn[k] >> 8;
        c->stub_at[k] = t->at;
        if (status == BACK) {
            u32 target = jump_target(c->v->insns, at);
            charge(c, at - target + 1);
            x_jcc(t, CC_NS, c->v->native[target]);
            status = CODE_E_FUEL;
        }
        x_const(t, RCX, at << 8 | status);
        x_jmp(t, c->fail);
    }
    if (!c->stubs)
        return;
    c->fail = t->at;
    x_rm(t, true, 0x89, RCX, FRAME_MEM(c, status, 0));
    if (c->calls)
        x_rm(t, true, 0x8b, RSP, FRAME_MEM(c, rsp, 0));
    x_const(t, RAX, 0);
    epilogue(c, c->saved);
}

// ---- the way in
static void zero_stack(struct comp *c)
{
    struct text *t = &c->t;
    u32 size = c->stack_any || c->calls ? CODE_FRAME * c->v->depth : (u32)(-c->stack_low + 7) & ~7u;
    if (!(c->stack_read && c->fp) && !c->any)
        return;
    if (size <= 64 && c->fp) {
        for (u32 at = 8; at <= size; at += 8) {
            x_rm(t, true, 0xc7, 0, (struct mem){RBP, NOREG, -(s32)at});
            x_32(t, 0);
        }
        return;
    }
    x_mov(t, true, TMP, RDI);
    x_imm(t, true, G_ADD, RDI, offsetof(struct code_frame, stack) + CODE_FRAME * CODE_DEPTH_MAX - size);
    x_const(t, RCX, size / 8);
    x_const(t, RAX, 0);
    x_byte(t, 0xf3), x_byte(t, 0x48), x_byte(t, 0xab);
    x_mov(t, true, RDI, TMP);
}

static void prologue(struct comp *c)
{
    struct text *t = &c->t;
    const struct code_abi *abi = c->v->abi;
    for (u32 k = 0; k < sizeof order; k++)
        if (c->saved >> order[k] & 1)
            x_push(t, order[k]);
    if (c->calls)
        x_rm(t, true, 0x89, RSP, (struct mem){RDI, NOREG, offsetof(struct code_frame, rsp)});
    if (c->fp)
        x_lea(t, RBP,
              (struct mem){RDI, NOREG, offsetof(struct code_frame, stack) + CODE_FRAME * CODE_DEPTH_MAX});
    zero_stack(c);
    if (c->ctx)
        x_mov(t, true, CTX, RDI);
    for (u32 k = 0; k < CODE_INDICES; k++)
        if (c->delta[k] != NOREG)
            x_load(t, c->delta[k], RDI, offsetof(struct code_frame, delta) + 8 * k);
    for (u32 k = 2; k-- > 0;) {
        bool there = k < abi->region_count;
        const struct code_region_type *type = &abi->region[k];
        if (!(c->reads >> (2 + 2 * k) & 1))
            ;
        else if (there && type->min_len != type->max_len)
            x_load(t, reg_map[2 + 2 * k], RDI, offsetof(struct code_frame, len) + 8 * (k + 1));
        else
            x_const(t, reg_map[2 + 2 * k], there ? type->min_len : 0);
        if (k == 0 && c->reads >> 5 & 1)
            x_const(t, R9, CODE_VA(CODE_TABLE_INDEX));
        if (c->reads >> (1 + 2 * k) & 1)
            x_const(t, reg_map[1 + 2 * k], there ? CODE_VA(k + 1) : 0);
    }
}

// ---- control flow
static bool compare(struct comp *c, struct insn i) // false: JSET, flags of AND
{
    struct text *t = &c->t;
    bool wide = insn_class(i) == JMP;
    u32 op = insn_alu(i);
    u8 d = reg_read(c, i.dst, TMP);
    if (i.op & X) {
        x_rr(t, wide, op == JSET ? 0x85 : 0x39, reg_read(c, i.src, TMP), d);
    } else if (op == JSET) {
        x_rr(t, wide, 0xf7, 0, d);
        x_32(t, i.imm);
    } else if (!i.imm && (op == JEQ || op == JNE)) {
        x_rr(t, wide, 0x85, d, d);
    } else {
        x_imm(t, wide, G_CMP, d, i.imm);
    }
    return op != JSET;
}

static void jump(struct comp *c, struct insn i)
{
    static const u8 cc[16] = {[JEQ >> 4] = CC_E,   [JGT >> 4] = CC_A,  [JGE >> 4] = CC_AE,
                              [JSET >> 4] = CC_NE, [JNE >> 4] = CC_NE, [JSGT >> 4] = CC_G,
                              [JSGE >> 4] = CC_GE, [JLT >> 4] = CC_B,  [JLE >> 4] = CC_BE,
                              [JSLT >> 4] = CC_L,  [JSLE >> 4] = CC_LE};
    u32 target = jump_target(c->v->insns, c->at);
    bool back = target <= c->at;
    if (insn_alu(i) == JA) {
        if (back) {
            charge(c, c->at - target + 1);
            x_jcc(&c->t, CC_NS, c->v->native[target]);
            stub_fail(c, 16, CODE_E_FUEL);
        } else if (target != c->at + 1) {
            x_jmp(&c->t, c->v->native[target]);
        }
        return;
    }
    compare(c, i);
    if (back)
        stub_back(c, cc[insn_alu(i) >> 4]);
    else
        x_jcc(&c->t, cc[insn_alu(i) >> 4], c->v->native[target]);
}

static void call(struct comp *c, struct insn i)
{
    struct text *t = &c->t;
    u32 target = c->at + 1 + i.imm;
    const struct func *f = &c->v->funcs[c->v->blocks[c->v->block_of[target]].func];
    c->calls = c->fp = true;
    c->saved |= 1 << RBP;
    c->main_called |= target == 0;
    charge(c, c->v->count);
    stub_fail(c, CC_S, CODE_E_FUEL);
    if (c->v->recursive) {
        x_lea(t, TMP, (struct mem){RBP, NOREG, -2 * CODE_FRAME});
        x_lea(t, RCX, frame_mem(c, offsetof(struct code_frame, stack)));
        x_alu(t, true, G_CMP, TMP, RCX);
        stub_fail(c, CC_B, CODE_E_DEPTH);
    }
    x_imm(t, true, G_SUB, RBP, CODE_FRAME);
    x_call(t, f->entry);
    x_imm(t, true, G_ADD, RBP, CODE_FRAME);
    reg_write(c, 0);
}

// r6..r9 that each function writes, as machine registers: what it must save.
static void find_saved(struct comp *c)
{
    const struct verify *v = c->v;
    for (u32 n = 0; n < v->block_count; n++) {
        const struct block *b = &v->blocks[n];
        for (u32 at = b->first; at < b->end && b->reachable; at++) {
            struct insn i = v->insns[at];
            u32 k = insn_class(i), reg = 0;
            if (v->flags[at] & F_SECOND)
                continue;
            if (k == ALU || k == ALU64 || k == LD || k == LDX)
                reg = i.dst;
            if (k == STX && insn_mode(i) == ATOMIC && i.imm & FETCH && i.imm != CMPXCHG)
                reg = i.src;
            if (reg >= 6)
                v->funcs[b->func].saved |= 1u << reg_map[reg];
        }
    }
    for (u32 k = 0; k < v->func_count; k++)
        c->saved |= v->funcs[k].saved;
}

// ---- the program
static void insn(struct comp *c, const struct func *f, bool sub)
{
    struct insn i = c->v->insns[c->at];
    switch (insn_class(i)) {
    case ALU:
    case ALU64: compile_alu(c, i); break;
    case LD:
        x_const(&c->t, reg_write(c, i.dst),
                i.src == LDDW_RODATA ? CODE_VA(CODE_RODATA_INDEX) + c->v->insns[c->at + 1].imm
                                     : (u64)(u32)i.imm | (u64)c->v->insns[c->at + 1].imm << 32);
        break;
    case LDX:
    case ST:
    case STX: compile_memory(c, i); break;
    default:
        if (insn_is_local_call(i))
            call(c, i);
        else if (insn_is_exit(i))
            epilogue(c, sub ? f->saved : c->saved);
        else if (insn_alu(i) == CALL)
            compile_helper(c, i, helper_find(c->v->abi, i.imm));
        else
            jump(c, i);
    }
}

// A copy with an addition to it is one instruction of the machine. True if it was that.
static bool fused(struct comp *c)
{
    if (c->at + 1 >= c->block_end)
        return false;
    struct insn i = c->v->insns[c->at], n = c->v->insns[c->at + 1];
    bool reg = n.op == (ALU64 | ADD | X);
    if (i.op != (ALU64 | MOV | X) || i.off || i.src == R_FP || n.dst != i.dst)
        return false;
    if (n.op != (ALU64 | ADD) && (!reg || n.src == R_FP || n.src == i.dst))
        return false;
    u8 from = reg_read(c, i.src, NOREG), with = reg ? reg_read(c, n.src, NOREG) : NOREG;
    x_lea(&c->t, reg_write(c, i.dst), (struct mem){from, with, reg ? 0 : n.imm});
    return true;
}

static void block(struct comp *c, const struct block *b, const struct func *f, bool sub)
{
    c->s = c->v->in[b - c->v->blocks];
    memset(c->window, 0, sizeof c->window);
    c->block_end = b->end;
    for (c->at = b->first; c->at < b->end; c->at++) {
        c->v->native[c->at] = c->t.at;
        if (c->v->flags[c->at] & F_SECOND)
            continue;
        if (!c->s.min[0]) { // proven unreachable
            stub_fail(c, 16, CODE_E_DEAD);
            continue;
        }
        bool two = fused(c);
        if (!two)
            insn(c, f, sub);
        windows_update(c, c->v->insns[c->at]);
        state_step(c->v, &c->s, c->at);
        if (two) {
            c->v->native[++c->at] = c->t.at;
            windows_update(c, c->v->insns[c->at]);
            state_step(c->v, &c->s, c->at);
        }
    }
}

static void pass(struct comp *c)
{
    struct verify *v = c->v;
    c->t.at = 0;
    c->stubs = 0;
    prologue(c);
    if (c->main_called) {
        x_call(&c->t, v->funcs[0].entry);
        epilogue(c, c->saved);
    }
    for (u32 k = 0; k < v->block_count; k++) {
        const struct block *b = &v->blocks[k];
        if (!b->reachable) // dead code that was allowed
            continue;
        struct func *f = &v->funcs[b->func];
        bool sub = b->func || c->main_called, starts = b->first == f->first;
        if (starts && sub) { // a jump to the first instruction stays within, a call wants the pushes
            f->entry = c->t.at;
            for (u32 r = 0; r < sizeof order; r++)
                if (f->saved >> order[r] & 1)
                    x_push(&c->t, order[r]);
            x_const(&c->t, RAX, 0);
        }
        block(c, b, f, sub);
    }
    stubs_emit(c);
    c->program->rodata_at = (c->t.at + 15) & ~15ul;
    while (c->t.at < c->program->rodata_at)
        x_byte(&c->t, 0xcc);
}

// Deltas into registers that the program leaves free, the most wanted first; a callee-saved one must pay for
// its push and pop.
static void assign_deltas(struct comp *c)
{
    static const u8 cheap[] = {R9, R8, RDX, RSI}, dear[] = {R13, R12, R15, R14, RBX};
    u32 used = 0;
    for (u32 r = 0; r < 10; r++)
        if (c->mentioned >> r & 1)
            used |= 1u << reg_map[r];
    for (;;) {
        u32 best = 0, reg = NOREG;
        for (u32 k = 1; k < CODE_INDICES; k++)
            if (c->delta[k] == NOREG && c->weight[k] > c->weight[best])
                best = k;
        if (c->weight[best] < 2)
            return;
        for (u32 k = 0; k < sizeof cheap && reg == NOREG; k++)
            if (!(used >> cheap[k] & 1))
                reg = cheap[k];
        for (u32 k = 0; k < sizeof dear && reg == NOREG && c->weight[best] >= 4; k++)
            if (!(used >> dear[k] & 1))
                reg = dear[k], c->saved |= 1u << reg;
        if (reg == NOREG)
            return;
        used |= 1u << reg;
        c->delta[best] = reg;
        c->weight[best] = 0;
    }
}

static void mark_loops(struct verify *v)
{
    for (u32 at = 0; at <= v->count; at++)
        v->native[at] = 0;
    for (u32 at = 0; at < v->count; at++)
        if (!(v->flags[at] & F_SECOND) && insn_is_jump(v->insns[at]) && jump_target(v->insns, at) <= at)
            v->native[jump_target(v->insns, at)]++, v->native[at + 1]--;
    for (u32 at = 0, open = 0; at < v->count; at++) {
        open += v->native[at];
        v->flags[at] |= open ? F_LOOP : 0;
    }
}

static void look(struct comp *c)
{
    struct verify *v = c->v;
    c->calls = c->fp = c->main_called = false;
    for (u32 at = 0; at < v->count; at++) {
        struct insn i = v->insns[at];
        if (!(v->flags[at] & F_SECOND) && insn_is_local_call(i))
            c->calls = true, c->main_called |= at + 1 + i.imm == 0;
    }
    find_saved(c);
    pass(c);
    assign_deltas(c);
    c->ctx = false;
    pass(c);
    if (c->fp)
        c->saved |= 1 << RBP;
}

static u64 stub_bound(const struct code_source *source)
{
    return 3ul * source->count + 16;
}

u64 code_work_size(const struct code_source *source)
{
    struct verify v;
    if (!source->count || source->count > CODE_INSNS_MAX)
        return 0;
    return verify_layout(&v, source, NULL) + 8 * stub_bound(source) + sizeof(struct comp) +
           sizeof(struct verify);
}

static s32 loaded(struct comp *c, struct code_error *error)
{
    if (!c->error)
        return 0;
    *error = (struct code_error){c->at, c->error};
    return -1;
}

s32 code_load(const struct code_abi *abi, const struct code_source *source, void *work, u64 work_len,
              struct code_program *program, struct code_error *error)
{
    *error = (struct code_error){0, "the program is empty, or longer than 65536 instructions"};
    u64 need = code_work_size(source);
    if (!need)
        return -1;
    *error = (struct code_error){0, "not enough working memory"};
    if (need > work_len)
        return -1;
    struct comp *c = work;
    memset(c, 0, sizeof *c);
    struct verify *v = c->v = (struct verify *)(c + 1);
    *v = (struct verify){.abi = abi, .error = error};
    u8 *rest = (u8 *)(v + 1);
    c->stub_at = (u32 *)rest, c->stub_insn = c->stub_at + stub_bound(source);
    if (verify(v, source, rest + 8 * stub_bound(source)))
        return -1;
    *program = (struct code_program){.insns = v->count,
                                     .region_count = abi->region_count,
                                     .rodata_len = v->rodata_len,
                                     .stack = CODE_FRAME * v->depth,
                                     .origins = v->origins};
    memcpy(program->region, abi->region, sizeof program->region);
    c->program = program;
    mark_loops(v);
    memset(c->delta, NOREG, sizeof c->delta);
    look(c);
    pass(c);
    program->size = c->t.at + v->rodata_len;
    program->tables = c->any;
    for (u32 k = 0; k < c->stubs; k++)
        program->checks += (c->stub_insn[k] & 255) == CODE_E_MEMORY || (c->stub_insn[k] & 255) == CODE_E_FULL;
    for (u32 at = 0; at < v->count; at++)
        program->accesses += !(v->flags[at] & F_SECOND) && insn_class(v->insns[at]) - LDX <= STX - LDX;
    return loaded(c, error);
}

s32 code_emit(void *work, const struct code_source *source, void *out, u64 out_len, u64 where,
              struct code_program *program, struct code_error *error)
{
    struct comp *c = work;
    *error = (struct code_error){0, "the machine code does not fit"};
    if (program->size > out_len)
        return -1;
    c->program = program;
    program->text = (void *)where;
    c->t = (struct text){.out = out, .room = out_len};
    pass(c);
    if (c->t.at + program->rodata_len != program->size)
        c->error = "the compiler disagrees with itself";
    if (program->rodata_len)
        memcpy((u8 *)out + program->rodata_at, source->rodata, program->rodata_len);
    return loaded(c, error);
}
