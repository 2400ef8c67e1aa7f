// Machine instructions that a run of compiled code takes, by single-stepping it: a count, not a time.
#ifndef COUNT_H
#define COUNT_H
#include "../../../kernel/code/code.h"

// From the call to the return, the return included.
u64 count_run(const struct code_program *program, const struct code_region *regions, u32 count, u64 fuel,
              struct code_frame *frame, struct code_result *result);
#endif
