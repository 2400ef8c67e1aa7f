// The verifier: after control.c, abstract interpretation over blocks.
//
// Time is linear in the program. A block is looked at again only when the state at its start grows: the first
// visits join exactly, the next widen to constants of the program, then to infinity, and the last ones give
// up all but what is initialised, so that no block is visited more than CODE_VISITS_MAX times: VISITS_MOVING,
// and once for each register that turns out uninitialised or to hold its first value still.
#include "verify.h"

enum { VISITS_EXACT = 2, VISITS_WIDEN = 12, VISITS_MOVING = 20, NARROWING = 2 };

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
    if (control_check(v, source))
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
