// Which blocks does a block of metadata own? The deterministic function that a file system gives XN for its
// indirect blocks: a header, then 500 block numbers of which 0 means none.
//
// XN runs it before and after a proposed change and allows exactly the difference that was claimed; after a
// crash it rebuilds the free map with it. So it must say the same every time: it sees nothing but the block.
#include "xok/bpf.h"

enum { POINTERS = 500, TYPE_DATA = 7 };

struct indirect {
    u64 header[12];
    u64 block[POINTERS];
};
_Static_assert(sizeof(struct indirect) == 4096, "a block");

XOK_REGIONS(owns, XOK_IN(4096, 4096),
            XOK_OUT(POINTERS * sizeof(struct xok_extent), POINTERS * sizeof(struct xok_extent)));

XOK_DETERMINISTIC u64 owns(const struct indirect *meta, u64 len, struct xok_extent *first, u64 room)
{
    struct xok_extent *out = first;
    for (u32 i = 0; i < POINTERS; i++)
        if (meta->block[i])
            out = xok_emit(out, meta->block[i], 1, TYPE_DATA);
    return xok_emitted(first, out);
}
