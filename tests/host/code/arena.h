// A place to run downloaded code on the host: regions between pages that trap, machine code mapped twice so
// that no mapping is ever writable and executable.
#ifndef ARENA_H
#define ARENA_H
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "../../../kernel/code/verify.h"

enum { ARENA_REGIONS = 4, ARENA_ROOM = 4096, ARENA_TEXT = 4 << 20 };

struct arena {
    u8 *work, *text_w, *text_x;
    u64 work_len;
    u8 *slot[ARENA_REGIONS]; // ARENA_ROOM bytes between two pages that trap
    u8 *frame_slot;
    struct code_frame *frame, *other; // of the compiled code, at the end of a page; the interpreter's
};

void arena_init(struct arena *a);
// Memory of len bytes, in slot k, that ends (high) or starts (not high) at a page that traps.
u8 *arena_region(struct arena *a, u32 k, u32 len, bool high);
// Compiles into the arena: 0 or -1 and *error.
s32 arena_load(struct arena *a, const struct code_abi *abi, const struct code_source *source,
               struct code_program *program, struct code_error *error);
// Runs compiled code and interpreter on the same content; aborts with a description if they disagree or
// something outside of what may be written has changed. `regions` name arena memory. Returns the result.
struct code_result arena_both(struct arena *a, const struct code_program *program, const struct code_abi *abi,
                              const struct code_source *source, const struct code_region *regions, u32 count,
                              u64 fuel);
void arena_print(const struct code_source *source);
#endif
