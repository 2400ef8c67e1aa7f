// Path arguments: nearly all fit on the stack.
#include "fs/vfs.h"

s64 name_in_long(struct name_buf *b, u64 from)
{
    s64 r;
    b->s = heap_alloc(PATH_MAX);
    if (!b->s) {
        b->s = b->small;
        return -ENOMEM;
    }
    r = copy_in_str(b->s, from, PATH_MAX);
    if (r >= 0)
        return 0;
    name_done(b);
    b->s = b->small;
    return r;
}
