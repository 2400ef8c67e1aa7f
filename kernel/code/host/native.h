// Compiled programs on the host, in memory that is written first and executable then.
#ifndef XOK_NATIVE_H
#define XOK_NATIVE_H
#include "../code.h"

// Verifies, compiles and maps. False: *error. program->text is set; native_free gives it back.
bool native_load(const struct code_abi *abi, const struct code_source *source, struct code_program *program,
                 struct code_error *error);
void native_free(struct code_program *program);
#endif
