// What the compiler's undefined-behaviour checks call in the checked build of the kernel: all end the machine.
#include "kernel.h"

struct where {
    const char *file;
    u32 line, column;
};

#define HANDLER(name, what)                                           \
    void __ubsan_handle_##name(struct where *w);                      \
    void __ubsan_handle_##name(struct where *w)                       \
    {                                                                 \
        panic("%s:%u: undefined behaviour: " what, w->file, w->line); \
    }
HANDLER(add_overflow, "addition")
HANDLER(sub_overflow, "subtraction")
HANDLER(mul_overflow, "multiplication")
HANDLER(negate_overflow, "negation")
HANDLER(divrem_overflow, "division")
HANDLER(shift_out_of_bounds, "shift")
HANDLER(out_of_bounds, "index")
HANDLER(type_mismatch_v1, "null or misaligned object")
HANDLER(pointer_overflow, "pointer")
HANDLER(load_invalid_value, "invalid bool or enumeration")
HANDLER(builtin_unreachable, "unreachable code")
HANDLER(nonnull_arg, "null argument")
HANDLER(vla_bound_not_positive, "array length")
HANDLER(invalid_builtin, "count of zeros in zero")
