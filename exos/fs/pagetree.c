// From an index to a 64-bit value, in nodes of 64: a file's pages, sparse or huge.
//
// A root is 0 (empty), value << 4 (height 0: index 0 only), or a node's address | height. Readers need
// no lock: a node is complete before it is published, and nodes go only when no reader is left (tree_cut
// under inode->lock and map_lock).
#include "fs/vfs.h"

enum { FANOUT_BITS = TREE_BITS, FANOUT = 1 << FANOUT_BITS, HEIGHT_MASK = TREE_HEIGHT };
struct node {
    u64 slot[FANOUT];
};

static struct node *node_of(u64 root)
{
    return (struct node *)(root & ~(u64)HEIGHT_MASK);
}

static bool fits(u64 index, int height)
{
    return height * FANOUT_BITS >= 64 || !(index >> (height * FANOUT_BITS));
}

static bool tree_raise(u64 *root)
{
    int height = *root & HEIGHT_MASK;
    struct node *n = heap_alloc(sizeof *n);
    if (!n)
        return false;
    n->slot[0] = height ? (u64)node_of(*root) : *root >> 4;
    __atomic_store_n(root, (u64)n | (height + 1), __ATOMIC_RELEASE);
    return true;
}

bool tree_set(u64 *root, u64 index, u64 value)
{
    while (!fits(index, *root & HEIGHT_MASK))
        if (!tree_raise(root))
            return false;
    int height = *root & HEIGHT_MASK;
    if (!height) {
        __atomic_store_n(root, value << 4, __ATOMIC_RELEASE);
        return true;
    }
    struct node *n = node_of(*root);
    for (int shift = (height - 1) * FANOUT_BITS; shift; shift -= FANOUT_BITS) {
        u64 *slot = &n->slot[index >> shift & (FANOUT - 1)];
        if (!*slot) {
            struct node *fresh = heap_alloc(sizeof *fresh);
            if (!fresh)
                return false;
            __atomic_store_n(slot, (u64)fresh, __ATOMIC_RELEASE);
        }
        n = (struct node *)*slot;
    }
    __atomic_store_n(&n->slot[index & (FANOUT - 1)], value, __ATOMIC_RELEASE);
    return true;
}

// Drops what lies at and after `from` below n, whose first index is base. Returns pages dropped.
static u64 node_cut(struct node *n, int height, u64 base, u64 from)
{
    u64 dropped = 0, span = 1ul << ((height - 1) * FANOUT_BITS);
    for (int k = 0; k < FANOUT; k++) {
        u64 first = base + k * span;
        if (!n->slot[k] || first + span <= from)
            continue;
        if (height == 1) {
            page_put(n->slot[k]);
            dropped++;
            n->slot[k] = 0;
            continue;
        }
        dropped += node_cut((struct node *)n->slot[k], height - 1, first, from);
        if (first >= from) {
            heap_free((void *)n->slot[k]);
            n->slot[k] = 0;
        }
    }
    return dropped;
}

u64 tree_cut(u64 *root, u64 from)
{
    int height = *root & HEIGHT_MASK;
    u64 dropped = 0;
    if (!*root)
        return 0;
    if (height)
        dropped = node_cut(node_of(*root), height, 0, from);
    else if (!from)
        page_put(*root >> 4), dropped = 1;
    if (!from) {
        if (height)
            heap_free(node_of(*root));
        *root = 0;
    }
    return dropped;
}

static u64 node_next(struct node *n, int height, u64 base, u64 index)
{
    u64 span = 1ul << ((height - 1) * FANOUT_BITS);
    for (u64 k = index > base ? (index - base) / span : 0; k < FANOUT; k++) {
        if (!n->slot[k])
            continue;
        if (height == 1)
            return base + k;
        u64 found = node_next((struct node *)n->slot[k], height - 1, base + k * span, index);
        if (found != ~0ul)
            return found;
    }
    return ~0ul;
}

u64 tree_next(u64 root, u64 index)
{
    int height = root & HEIGHT_MASK;
    if (!root || !fits(index, height))
        return ~0ul;
    return height ? node_next(node_of(root), height, 0, index) : 0;
}
