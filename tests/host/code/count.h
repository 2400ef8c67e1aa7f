// Machine instructions that a run of compiled code takes, by single-stepping it.
#ifndef COUNT_H
#define COUNT_H
#include "../../../kernel/code/code.h"

// From the call to the return, the return included. *result: how it ended. 0: tracing is not possible here.
u64 count_run(const struct code_program *program, const struct code_region *regions, u32 count, u64 fuel,
              struct code_result *result);
#endif
