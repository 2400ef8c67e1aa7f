// The verifier: control flow, then abstract interpretation over blocks.
//
// Time is linear in the program. A block is looked at again only when the state at its start grows: the first
// visits join exactly, the next widen to constants of the program, then to infinity, and the last ones give
// up all but what is initialised, so that no block is visited more than CODE_VISITS_MAX times: VISITS_MOVING,
// and once for each register that turns out uninitialised or to hold its first value still.
#include "verify.h"

enum { VISITS_EXACT = 2, VISITS_WIDEN = 12, VISITS_MOVING = 20, NARROWING = 2 };

static s32 refuse(struct verify *v, u32 at, const char *reason)
{
    *v->error = (struct code_error){at, reason};
    return -1;
}

// ---- memory
static void *carve(u8 *work, u64 *at, u64 size)
{
    void *p = work ? work + *at : NULL;
    *at += (size + 15) & ~15ul;
    return p;
}

u64 verify_layout(struct verify *v, const struct code_source *source, u8 *work)
{
    const struct insn *insns = (const struct insn *)source->insns;
    u64 n = source->count, blocks = 1, funcs = 1, at = 0;
    for (u32 i = 0; i < n; i++) {
        blocks += insn_is_ja(insns[i]) || insn_is_exit(insns[i]) ? 2 : insn_is_jump(insns[i]) ? 2 : 0;
        if (insn_is_local_call(insns[i]))
            blocks++, funcs++;
    }
    blocks = blocks < n ? blocks : n;
    funcs = funcs < n ? funcs : n;
    v->flags = carve(work, &at, n);
    v->origins = carve(work, &at, n);
    v->block_of = carve(work, &at, 4 * n);
    v->native = carve(work, &at, 4 * (n + 1));
    v->blocks = carve(work, &at, blocks * sizeof *v->blocks);
    v->funcs = carve(work, &at, funcs * sizeof *v->funcs);
    v->in = carve(work, &at, blocks * sizeof *v->in);
    v->next = carve(work, &at, blocks * sizeof *v->next);
    v->queue = carve(work, &at, 4 * (blocks + 1));
    return at;
}

// ---- control flow
static bool target_ok(const struct verify *v, s64 target)
{
    return target >= 0 && target < v->count && !(v->flags[target] & F_SECOND);
}

static s32 mark_slots(struct verify *v, const struct code_source *source)
{
    memset(v->flags, 0, v->count);
    for (u32 at = 0; at < v->count; at++) {
        const char *reason = insn_reason(v->abi, source, at);
        if (reason)
            return refuse(v, at, reason);
        if (v->insns[at].op == LDDW)
            v->flags[++at] = F_SECOND;
    }
    v->flags[0] = F_LEADER | F_FUNC;
    for (u32 at = 0; at < v->count; at++) {
        struct insn i = v->insns[at];
        if (v->flags[at] & F_SECOND)
            continue;
        if (insn_is_local_call(i)) {
            if (!target_ok(v, (s64)at + 1 + i.imm))
                return refuse(v, at, "the call leads outside of the program or into an instruction");
            v->flags[at + 1 + i.imm] |= F_LEADER | F_FUNC;
        }
        if (insn_is_jump(i)) {
            s64 target = (s64)at + 1 + insn_jump_offset(i);
            if (!target_ok(v, target))
                return refuse(v, at, "the jump leads outside of the program or into an instruction");
            v->flags[target] |= F_LEADER | (target <= at ? F_HEAD : 0);
        }
        if ((insn_is_jump(i) || insn_is_exit(i)) && at + 1 < v->count)
            v->flags[at + 1] |= F_LEADER;
    }
    return 0;
}

static void make_blocks(struct verify *v)
{
    struct block *b = v->blocks - 1;
    struct func *f = v->funcs - 1;
    for (u32 at = 0; at < v->count; at++) {
        if (v->flags[at] & F_FUNC)
            *++f = (struct func){.first = at};
        if (v->flags[at] & F_LEADER) {
            *++b = (struct block){.first = at, .func = v->flags[at] & F_FUNC ? (u32)(f - v->funcs) : NO_FUNC};
            v->block_of[at] = b - v->blocks;
        }
        b->end = at + 1;
    }
    v->block_count = b - v->blocks + 1;
    v->func_count = f - v->funcs + 1;
}

static u32 last_insn(const struct verify *v, const struct block *b)
{
    return b->end - 1 - (v->flags[b->end - 1] & F_SECOND);
}

// The blocks that may follow b in its function: up to 2, taken branch first.
static u32 successors(const struct verify *v, const struct block *b, u32 to[2])
{
    u32 last = last_insn(v, b), n = 0;
    if (insn_is_exit(v->insns[last]))
        return 0;
    if (insn_is_jump(v->insns[last]))
        to[n++] = v->block_of[jump_target(v->insns, last)];
    if (!insn_is_ja(v->insns[last]))
        to[n++] = b - v->blocks + 1;
    return n;
}

// Puts a block into function func and on the stack of blocks to walk. False: another function has it.
static bool reach(struct verify *v, u32 block, u32 func, u32 *stack, u32 *depth)
{
    struct block *b = &v->blocks[block];
    if (b->func != func && b->func != NO_FUNC)
        return false;
    if (b->reachable)
        return true;
    b->reachable = true;
    b->func = func;
    b->next = v->funcs[func].blocks;
    v->funcs[func].blocks = block + 1;
    stack[(*depth)++] = block;
    return true;
}

static u32 called(const struct verify *v, u32 at) // block
{
    return v->block_of[at + 1 + v->insns[at].imm];
}

static bool is_call(const struct verify *v, u32 at)
{
    return !(v->flags[at] & F_SECOND) && insn_is_local_call(v->insns[at]);
}

static s32 walk_blocks(struct verify *v)
{
    u32 depth = 0, to[2];
    reach(v, 0, 0, v->queue, &depth);
    while (depth) {
        struct block *b = &v->blocks[v->queue[--depth]];
        u32 last = last_insn(v, b);
        bool falls = !insn_is_ja(v->insns[last]) && !insn_is_exit(v->insns[last]);
        if (falls && b->end == v->count)
            return refuse(v, last, "control falls off the end of the program");
        if (falls && v->flags[b->end] & F_FUNC)
            return refuse(v, last, "control falls into the start of a function");
        u32 n = successors(v, b, to);
        for (u32 k = 0; k < n; k++)
            if (!reach(v, to[k], b->func, v->queue, &depth))
                return refuse(v, last, "control goes from one function into another");
        for (u32 at = b->first; at < b->end; at++)
            if (is_call(v, at))
                reach(v, called(v, at), v->blocks[called(v, at)].func, v->queue, &depth);
    }
    for (u32 k = 0; k < v->block_count && !v->abi->dead_code_ok; k++)
        if (!v->blocks[k].reachable)
            return refuse(v, v->blocks[k].first, "nothing leads to this instruction");
    return 0;
}

// The function that f calls at its cursor or after it, NULL if there is none.
static struct func *next_callee(const struct verify *v, struct func *f)
{
    for (; f->block; f->block = v->blocks[f->block - 1].next, f->cursor = 0) {
        const struct block *b = &v->blocks[f->block - 1];
        for (f->cursor = f->cursor ? f->cursor : b->first; f->cursor < b->end; f->cursor++)
            if (is_call(v, f->cursor))
                return &v->funcs[v->blocks[called(v, f->cursor)].func];
    }
    return NULL;
}

// Depth of the calls, and whether a function can come to call itself. Depth first, no recursion here.
static s32 walk_calls(struct verify *v)
{
    enum { NEW, OPEN, DONE };
    u32 depth = 0;
    v->queue[depth++] = 0;
    v->funcs[0].walk = OPEN, v->funcs[0].block = v->funcs[0].blocks;
    while (depth) {
        struct func *f = &v->funcs[v->queue[depth - 1]], *callee = next_callee(v, f);
        if (!callee) {
            f->depth++;
            f->walk = DONE;
            depth--;
        } else if (callee->walk == NEW) {
            callee->walk = OPEN, callee->block = callee->blocks;
            v->queue[depth++] = callee - v->funcs;
        } else {
            if (callee->walk == OPEN)
                v->recursive = true;
            else if (callee->depth > f->depth)
                f->depth = callee->depth;
            f->cursor++;
        }
    }
    v->depth = v->recursive ? CODE_DEPTH_MAX : v->funcs[0].depth;
    if (v->depth > CODE_DEPTH_MAX)
        return refuse(v, 0, "the functions call each other more than 8 deep");
    return 0;
}

// ---- branches
static void limit_add(struct verify *v, s64 n)
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
static bool branch_learn(struct verify *v, struct state *s, u32 at, bool taken)
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

// ---- propagation
static void join_exact(struct state *to, const struct state *from)
{
    for (u32 r = 0; r < 10; r++)
        to->r[r] = val_join(to->r[r], from->r[r]);
    for (u32 k = 1; k <= CODE_REGIONS_MAX; k++)
        if (from->min[k] < to->min[k])
            to->min[k] = from->min[k];
}

static bool val_same(struct val a, struct val b)
{
    return a.lo == b.lo && a.hi == b.hi && a.step == b.step && a.kind == b.kind && a.index == b.index &&
           a.entry == b.entry;
}

static void give_up(struct val *v)
{
    bool entry = v->entry;
    *v = val_any();
    v->entry = entry;
}

// Joins `from` into the state at the start of a block; true if that changed it.
static bool join_into(struct verify *v, u32 block, const struct state *from)
{
    struct block *b = &v->blocks[block];
    struct state *to = &v->in[block], joined = *to;
    if (!to->min[0]) {
        *to = *from;
        to->min[0] = 1;
        b->visits = 1;
        return true;
    }
    join_exact(&joined, from);
    bool changed = false;
    for (u32 r = 0; r < 10; r++) {
        struct val *j = &joined.r[r];
        if (val_same(*j, to->r[r]))
            continue;
        changed = true;
        if (j->kind == V_UNINIT)
            continue;
        if (b->visits >= VISITS_WIDEN)
            *j = val_widen(to->r[r], *j, NULL, 0);
        else if (b->visits >= VISITS_EXACT && v->flags[b->first] & (F_HEAD | F_FUNC))
            *j = val_widen(to->r[r], *j, v->limits, v->limit_count);
    }
    for (u32 k = 1; k <= v->abi->region_count; k++) {
        if (joined.min[k] == to->min[k])
            continue;
        changed = true;
        if (b->visits >= VISITS_EXACT)
            joined.min[k] = v->abi->region[k - 1].min_len;
    }
    if (!changed)
        return false;
    if (b->visits++ >= VISITS_MOVING) {
        for (u32 r = 0; r < 10; r++)
            if (joined.r[r].kind != V_UNINIT)
                give_up(&joined.r[r]);
        for (u32 k = 1; k <= v->abi->region_count; k++)
            joined.min[k] = v->abi->region[k - 1].min_len;
    }
    *to = joined;
    return true;
}

static void narrow_into(struct verify *v, u32 block, const struct state *from)
{
    struct state *to = &v->next[block];
    if (to->min[0])
        join_exact(to, from);
    else
        *to = *from, to->min[0] = 1;
}

struct flow {
    struct verify *v;
    void (*to)(struct flow *f, u32 block, const struct state *s);
    u32 head, tail; // of the queue
};

static void enqueue(struct flow *f, u32 block, const struct state *s)
{
    struct verify *v = f->v;
    if (!join_into(v, block, s) || v->blocks[block].queued)
        return;
    v->blocks[block].queued = true;
    v->queue[f->tail] = block;
    f->tail = f->tail == v->block_count ? 0 : f->tail + 1;
}

static void collect(struct flow *f, u32 block, const struct state *s)
{
    narrow_into(f->v, block, s);
}

// A function starts with its arguments and r0 = 0. What pointed into its caller's frame is a number there.
static void flow_call(struct flow *f, const struct state *s, u32 at)
{
    struct state callee = *s;
    for (u32 r = 6; r < 10; r++)
        callee.r[r] = (struct val){0};
    callee.r[0] = val_const(0);
    for (u32 r = 1; r <= 5; r++)
        if (callee.r[r].kind == V_FRAME)
            callee.r[r] = val_any();
    f->to(f, f->v->block_of[at + 1 + f->v->insns[at].imm], &callee);
}

static void flow_block(struct flow *f, u32 block)
{
    struct verify *v = f->v;
    struct block *b = &v->blocks[block];
    struct state s = v->in[block], branch;
    u32 last = last_insn(v, b), to[2], n;
    for (u32 at = b->first; at < b->end; at++) {
        if (v->flags[at] & F_SECOND)
            continue;
        if (insn_is_local_call(v->insns[at]))
            flow_call(f, &s, at);
        state_step(v, &s, at);
    }
    n = successors(v, b, to);
    for (u32 k = 0; k < n; k++) {
        branch = s;
        if (n == 1 || branch_learn(v, &branch, last, k == 0))
            f->to(f, to[k], &branch);
    }
}

static struct state start_state(const struct verify *v)
{
    const struct code_abi *abi = v->abi;
    struct state s = {.min = {1}};
    for (u32 k = 0; k < abi->region_count; k++)
        s.min[k + 1] = abi->region[k].min_len;
    for (u32 k = 0; k < 2; k++) {
        struct val length = {abi->region[k].min_len,
                             abi->region[k].max_len,
                             abi->region[k].min_len != abi->region[k].max_len,
                             V_NUM,
                             k + 1,
                             false};
        bool there = k < abi->region_count;
        s.r[1 + 2 * k] = there ? (struct val){.kind = V_PTR, .index = k + 1} : val_const(0);
        s.r[2 + 2 * k] = there ? length : val_const(0);
    }
    s.r[5] = (struct val){.kind = V_PTR, .index = CODE_TABLE_INDEX};
    for (u32 r = 1; r <= 5; r++)
        s.r[r].entry = true;
    return s;
}

static void interpret_states(struct verify *v)
{
    struct state start = start_state(v);
    struct flow f = {.v = v, .to = enqueue};
    for (u32 k = 0; k < v->abi->region_count; k++)
        limit_add(v, v->abi->region[k].max_len);
    for (u32 k = 0; k < v->block_count; k++)
        v->in[k].min[0] = 0;
    enqueue(&f, 0, &start);
    while (f.head != f.tail) {
        u32 block = v->queue[f.head];
        f.head = f.head == v->block_count ? 0 : f.head + 1;
        v->blocks[block].queued = false;
        flow_block(&f, block);
    }
    // Once more without widening, from states that hold everything reachable: the result does too.
    f.to = collect;
    for (u32 pass = 0; pass < NARROWING; pass++) {
        for (u32 k = 0; k < v->block_count; k++)
            v->next[k].min[0] = 0;
        narrow_into(v, 0, &start);
        for (u32 k = 0; k < v->block_count; k++)
            if (v->in[k].min[0])
                flow_block(&f, k);
        struct state *swap = v->in;
        v->in = v->next, v->next = swap;
    }
}

static void note_origin(struct verify *v, const struct state *s, u32 at)
{
    struct insn i = v->insns[at];
    u32 k = insn_class(i), base = k == LDX ? i.src : i.dst;
    bool access = !(v->flags[at] & F_SECOND) && (k == LDX || k == ST || k == STX) && base != R_FP;
    v->origins[at] = access && s->r[base].kind == V_PTR ? s->r[base].index : 0;
}

s32 verify(struct verify *v, const struct code_source *source, void *work)
{
    v->insns = (const struct insn *)source->insns;
    v->count = source->count;
    v->rodata_len = source->rodata_len;
    if (v->abi->region_count > CODE_REGIONS_MAX)
        return refuse(v, 0, "more than 8 regions");
    for (u32 k = 0; k < v->abi->region_count; k++) {
        const struct code_region_type *t = &v->abi->region[k];
        if (t->min_len > t->max_len || t->max_len > CODE_REGION_MAX)
            return refuse(v, 0, "a region is declared longer than 16 MiB, or its bounds are reversed");
        if (t->writable && v->abi->class == CODE_PREDICATE)
            return refuse(v, 0, "a predicate may not write to a region");
    }
    for (u32 k = 0; k < v->abi->pointer_count; k++) {
        const struct code_pointer *p = &v->abi->pointers[k];
        if (p->in >= v->abi->region_count || p->to >= v->abi->region_count || v->abi->region[p->in].writable)
            return refuse(v, 0, "a pointer is declared in a region that is writable, or to none");
    }
    if (v->rodata_len > CODE_RODATA_MAX)
        return refuse(v, 0, "more than 1 MiB of read-only data");
    verify_layout(v, source, work);
    if (mark_slots(v, source))
        return -1;
    make_blocks(v);
    if (walk_blocks(v) || walk_calls(v))
        return -1;
    interpret_states(v);
    memset(v->origins, 0, v->count);
    for (u32 k = 0; k < v->block_count; k++) {
        if (!v->in[k].min[0])
            continue;
        struct state s = v->in[k];
        for (u32 at = v->blocks[k].first; at < v->blocks[k].end; at++) {
            note_origin(v, &s, at);
            const char *reason = v->flags[at] & F_SECOND ? NULL : state_step(v, &s, at);
            if (reason)
                return refuse(v, at, reason);
        }
    }
    return 0;
}
