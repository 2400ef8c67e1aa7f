// Programs out of bytes: mostly legal, dense in what the verifier and compiler must get right.
#ifndef GENERATE_H
#define GENERATE_H
#include "arena.h"

struct bytes {
    const u8 *at;
    size_t left;
};
struct generated {
    u64 insns[400];
    struct code_source source;
    struct code_abi abi;
    u8 rodata[32];
    u32 len[ARENA_REGIONS]; // lengths to run with
    u64 fuel;
    bool high;
};
void generate(struct generated *g, struct bytes *b);
// Generates, loads, and if accepted runs on both machines. True if it was accepted, with how it ended.
bool generate_and_run(struct arena *a, const u8 *data, size_t size, struct code_result *result);
#endif
