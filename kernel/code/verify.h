// What the verifier hands to the compiler, and the abstract values it reckons with.
#ifndef XOK_VERIFY_H
#define XOK_VERIFY_H
#include <stddef.h>
#include "code.h"
#include "insn.h"

void *memcpy(void *, const void *, size_t);
void *memset(void *, int, size_t);

enum { R_FP = 10 };
#define INT64_MIN_ (-0x7fffffffffffffffl - 1)
#define INT64_MAX_ 0x7fffffffffffffffl

// A register's value, for every way the program can come here.
enum { V_UNINIT, V_NUM, V_PTR /* CODE_VA(index) + offset */, V_FRAME /* r10 + offset */ };
struct val {
    s64 lo, hi; // bounds of the number or offset, lo itself possible
    u64 step;   // all values are lo + a multiple of step; 0: lo == hi
    u8 kind;
    u8 index;   // V_PTR: region; V_NUM: it is the length of this region, 0: it is not
    bool entry; // may still be what the register held when the program started
};
struct state {
    struct val r[10];
    u32 min[CODE_REGIONS_MAX + 1]; // region of index i is known to have min[i] bytes; [0] != 0: reached
};

static inline struct val val_const(s64 n)
{
    return (struct val){n, n, 0, V_NUM, 0, false};
}
struct val val_any(void);
bool val_clip(struct val *v, s64 lo, s64 hi); // narrow to [lo, hi]; false: nothing is left
struct val val_join(struct val a, struct val b);
struct val val_widen(struct val old, struct val joined, const s64 *limits, u32 count);
struct val val_alu(u32 op, bool wide, s32 off, struct val a, struct val b);
struct val val_swap(struct insn i, struct val a);         // END
struct val val_extend(struct val v, u32 bits, bool sign); // what is left of v in its low bits
static inline s64 sat_add(s64 a, s64 b)
{
    s64 r;
    return __builtin_add_overflow(a, b, &r) ? (a < 0 ? INT64_MIN_ : INT64_MAX_) : r;
}

enum {
    F_SECOND = 1 /* of a 64-bit load */,
    F_LEADER = 2,
    F_FUNC = 4,
    F_HEAD = 8 /* target of a back edge */
};
struct block {
    u32 first, end; // slots
    u32 func, next; // the function that leads here, NO_FUNC: none; its next block + 1
    u16 visits;
    bool queued, reachable;
};
#define NO_FUNC (~0u)
struct func {
    u32 first;
    u32 blocks;               // list: block + 1
    u32 block, cursor, depth; // of the walk over calls: where it is; functions on the longest way down
    u8 walk;
    u32 saved, entry; // compiler: registers it must save; where its machine code starts
};

struct verify {
    const struct code_abi *abi;
    const struct insn *insns;
    u32 count, rodata_len;
    u8 *flags;     // by slot
    u8 *origins;   // by slot: region index an access must be of, 0: whatever the address says
    u32 *block_of; // by slot: only leaders
    u32 *native;   // by slot: offset of its machine code (compiler)
    struct block *blocks;
    struct func *funcs;
    struct state *in, *next; // at the start of each block
    u32 *queue;
    u32 block_count, func_count, depth;
    bool recursive;
    s64 limits[24]; // constants that the program compares with: where widening stops first
    u32 limit_count;
    struct code_error *error;
};

// How an access through register `base` is known to be in bounds.
enum {
    A_PROVEN,
    A_CONST /* offset known, compare the length */,
    A_UPPER /* only the upper end is open */,
    A_FULL /* of this region, offset unknown */,
    A_ANY /* whatever the address says */
};
struct access {
    u8 how, index; // index 0: the frame, if proven
    bool write;
    s64 lo, hi;   // of base, as offset
    u32 min, max; // bytes the region has
};

const char *insn_reason(const struct code_abi *abi, const struct code_source *source, u32 at);
const struct code_helper *helper_find(const struct code_abi *abi, s32 id);
// Classifies an access of bytes [from, to) beside base. NULL or the reason to refuse.
const char *access_classify(const struct verify *v, const struct state *s, u32 base, s64 from, s64 to,
                            bool write, struct access *a);
// What the state is after the instruction at `at`; the reason if it may not run in this state.
const char *state_step(struct verify *v, struct state *s, u32 at);
// control.c
s32 refuse(struct verify *v, u32 at, const char *reason);
s32 control_check(struct verify *v, const struct code_source *source);
u32 last_insn(const struct verify *v, const struct block *b);
u32 successors(const struct verify *v, const struct block *b, u32 to[2]); // up to 2, the taken branch first
// branch.c
void limit_add(struct verify *v, s64 n);
bool branch_learn(struct verify *v, struct state *s, u32 at, bool taken); // false: it cannot go this way
// verify.c
s32 verify(struct verify *v, const struct code_source *source, void *work);
u64 verify_layout(struct verify *v, const struct code_source *source, u8 *work); // bytes; fills v if work
static inline u32 jump_target(const struct insn *insns, u32 at)
{
    return at + 1 + insn_jump_offset(insns[at]);
}
#endif
