// Capabilities: hierarchical names with rights (thesis 3.5; architecture 3).
//
// A name is a string of 32-bit components; the empty name is the root. Names form a tree that the
// kernel keeps (struct xok_name_info); a capability is (name, rights) in a slot of an environment's
// table. A capability dominates an access-list entry when its name is a prefix of (or equal to) the
// entry's name and both carry the right that the call needs. Quotas hang on names.
#ifndef XOK_CAP_H
#define XOK_CAP_H
#include "types.h"

#define XOK_CAP_SLOTS 32   // a small table, so that a slot number is a cheap, explicit argument
#define XOK_NAME_DEPTH 8   // bound of every walk to the root
#define XOK_NAME_MAX 65536 // names alive at once; 10 000 tenants with a few names each
#define XOK_NAME_ROOT 1u

enum xok_right {
    XOK_R = 1, // read or map read-only
    XOK_W = 2, // write, change, map writable
    XOK_A = 4, // allocate resources charged to this name, forge children
    XOK_V = 8, // revoke from names below
    XOK_ALL = 15,
};

// Resources with a quota, charged to a name and to every ancestor of it.
enum xok_resource {
    XOK_RES_PAGES,
    XOK_RES_PTPAGES,
    XOK_RES_ENVS,
    XOK_RES_SLOTS,
    XOK_RES_NAMES,
    XOK_RES_PREDS,
    XOK_RES_FILTERS,
    XOK_RES_RINGS,
    XOK_RES_BLOCKS,
    XOK_RES_KEPT, // pages of the guaranteed set (revoke.h)
    XOK_RES_COUNT,
};
#define XOK_UNLIMITED 0xffffffffu

// One node of the exposed name tree. id 0 is never used; id XOK_NAME_ROOT is the root.
struct xok_name_info {
    u32 parent;    // id, 0 for the root and for free nodes
    u32 component; // last component of the name
    u32 depth;     // 0 for the root
    u32 refs;      // capabilities, access-list entries and children that keep the node
    u32 used[XOK_RES_COUNT];
    u32 limit[XOK_RES_COUNT]; // XOK_UNLIMITED where no quota is set
};

// An access-list entry packs a name and rights: id << 8 | rights. 0 is empty.
#define XOK_ACL(name, rights) ((u32)(name) << 8 | (rights))
#define XOK_ACL_NAME(e) ((e) >> 8)
#define XOK_ACL_RIGHTS(e) ((e) & 0xff)

#endif
