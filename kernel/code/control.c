// Control flow: instructions, blocks and functions, what leads where, how deep calls go.
#include "verify.h"

s32 refuse(struct verify *v, u32 at, const char *reason)
{
    *v->error = (struct code_error){at, reason};
    return -1;
}

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

u32 last_insn(const struct verify *v, const struct block *b)
{
    return b->end - 1 - (v->flags[b->end - 1] & F_SECOND);
}

// The blocks that may follow b in its function: up to 2, taken branch first.
u32 successors(const struct verify *v, const struct block *b, u32 to[2])
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

s32 control_check(struct verify *v, const struct code_source *source)
{
    if (mark_slots(v, source))
        return -1;
    make_blocks(v);
    return walk_blocks(v) || walk_calls(v) ? -1 : 0;
}
