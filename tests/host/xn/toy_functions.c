// The toy file system's functions as downloaded code: see toy.h.
#include "xok/bpf.h"
#include "xok/udf.h"

struct slot {
    u64 block;
    u32 count, type;
};
struct head {
    u32 owner, edges, sealed;
};

XOK_DETERMINISTIC s64 toy_owns(const struct xok_udf *u)
{
    const struct slot *s = (const void *)u->part;
    if (!s->count)
        return 0;
    *u->out = (struct xok_owns){s->block, s->count, s->type};
    return 1;
}

XOK_DETERMINISTIC s64 toy_edges(const struct xok_udf *u)
{
    return ((const struct head *)u->head)->edges;
}

XOK_DETERMINISTIC s64 toy_acl(const struct xok_udf *u)
{
    const struct head *h = (const void *)u->head;
    u32 owner = h->owner;
    if (u->op == XOK_ACL_CHANGE && u->from == 0 && u->to >= 4)
        owner = *(const u32 *)u->part;
    if (u->op == XOK_ACL_READ && h->sealed)
        return 0;
    return !owner || !u->depth || u->name[0] == owner;
}
