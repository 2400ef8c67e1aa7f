// The compiler's state. It goes over the program until it knows which registers and what of the frame are
// needed, then where everything comes to lie, then writes it.
#ifndef XOK_COMPILE_H
#define XOK_COMPILE_H
#include "verify.h"
#include "x86.h"

// Fixed roles. rcx and r11 are scratch: rcx holds shift counts, a region's delta or a value, r11 an address.
enum { TMP = R11, TMP2 = RCX, CTX = R10 /* struct code_frame */, SPARE = R13 };

struct window { // bytes beside a register that were checked in this block
    s64 lo, hi; // empty: lo == hi
};

struct comp {
    struct text t;
    struct verify *v;
    struct code_program *program;
    // found by the first passes
    u32 mentioned, reads; // registers of the program: in any operand; whose value on entry may matter
    u32 saved;            // callee-saved machine registers in use
    bool calls, main_called, ctx, fp; // local calls; of main; r10 and rbp needed
    bool stack_read, stack_any, any;  // loads from the stack; at unknown places; unproven addresses
    s32 stack_low;
    u32 weight[CODE_INDICES];
    u8 delta[CODE_INDICES]; // machine register that holds it, NOREG
    // places, of the pass before
    u64 fail;
    u32 *stub_at, *stub_insn; // failures and back edges, out of line; insn << 8 | status
    u32 stubs;
    // in the block being compiled
    struct state s;
    struct window window[10];
    u32 at, block_end;
    const char *error;
};

extern const u8 reg_map[11];
u8 reg_read(struct comp *c, u32 r, u8 scratch); // machine register of r's value; r10's is made in scratch
u8 reg_write(struct comp *c, u32 r);
static inline bool in_loop(const struct comp *c)
{
    return c->v->flags[c->at] & 16;
}
enum { F_LOOP = 16 };
static inline struct mem frame_mem(struct comp *c, u64 offset)
{
    c->ctx = true;
    return (struct mem){CTX, NOREG, offset};
}
#define FRAME_MEM(c, field, index) frame_mem(c, offsetof(struct code_frame, field) + 8 * (index))

// Jumps to a failure of the current instruction if cc (16: always).
void stub_fail(struct comp *c, u32 cc, u32 status);
void stub_back(struct comp *c, u32 cc); // taken back edge with its fuel

void compile_alu(struct comp *c, struct insn i);
void compile_memory(struct comp *c, struct insn i);
void compile_helper(struct comp *c, struct insn i, const struct code_helper *h);
void windows_update(struct comp *c, struct insn i);
#endif
