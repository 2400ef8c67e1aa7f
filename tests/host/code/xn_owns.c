// An `owns` function as XN calls it, over a whole block of metadata: what it costs is asserted in
// code_cost_test.c.
#include "xok/udf.h"

enum { POINTERS = 500 };
struct indirect {
    u64 header[12], block[POINTERS];
};

s64 owns(const struct xok_udf *u)
{
    const struct indirect *m = (const struct indirect *)u->head;
    struct xok_owns *out = u->out;
    for (u32 i = 0; i < POINTERS; i++)
        if (m->block[i])
            *out++ = (struct xok_owns){m->block[i], 1, 7};
    return out - u->out;
}
