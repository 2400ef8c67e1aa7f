// What the author of a template's functions needs: types of blocks, and what a function sees.
// Included by disk.h; in downloaded code, include <xok/bpf.h> first. A function is s64 f(const
// struct xok_udf *u): all memory it may touch hangs on u. The same C compiles for the machine it
// checks and as a program for the kernel.
#ifndef XOK_UDF_H
#define XOK_UDF_H
#ifndef XOK_BPF_H
#include "types.h"
#endif

// ---- types, and the map: one byte a block, exposed
#define XOK_T_FREE 0
#define XOK_T_DATA 1 // user data: no functions; its page may be mapped writable
#define XOK_T_RESERVED                                                                             \
    2 // space without content: cannot be read; RETYPE makes it data once something is there
#define XOK_T_FIRST 3 // 3..61: templates
#define XOK_T_XN 62   // XN's own: superblock, catalogue, code of templates, journal
#define XOK_T_BUSY 63 // being discarded
#define XOK_T_COUNT 64

#define XOK_MAP_TYPE 0x3f
#define XOK_MAP_UNINIT 0x40   // not written (durably) since it was allocated
#define XOK_MAP_WILLFREE 0x80 // freed, but a pointer to it can still be on the disk
// Allocatable is exactly: the byte is 0.

// ---- functions
//
// A metadata
// block is `head` bytes, then parts of `part` bytes each ((4096 - head) % part == 0). What the
// block owns is the union over its parts of owns(head, part i); a change to one part costs that
// part only, a change to the head costs the whole block. part >= 16, and (head + part) times the
// number of parts is at most XOK_UDF_WORK, which bounds what a change can cost.
#define XOK_UDF_WORK 65536
struct xok_owns { // blocks block..block+count-1, each of that type
    u64 block;
    u32 count, type;
};
#define XOK_OWNS_MAX 512 // of one block

struct xok_udf {    // what a function sees; nothing else
    const u8 *head; // owns, size: the first `head` bytes. acl, refcnt: the whole block (CHANGE: as
                    // it would become)
    const u8 *part; // owns: part `index`. acl CHANGE: what bytes [from, to) are before it
    struct xok_owns *out; // owns: room for XOK_OWNS_MAX
    u32 head_len, part_len;
    u32 index;        // owns: number of the part
    u32 room;         // owns: tuples that fit in out
    u32 op;           // acl: enum xok_acl_op
    u32 from, to;     // acl CHANGE: bytes [from, to) change
    u64 block;        // acl of a child: its number (without the disk)
    u32 type, rights; // and type; rights of the capability presented (XOK_R..)
    u32 depth;        // its name: components name[0..depth-1]; 0 is the root
    u32 name[8];
    u64 time; // acl: nanoseconds since 1970
};
enum xok_udf_kind {
    XOK_UDF_OWNS,   // number of tuples in out; negative: the content is corrupt. Zero bytes own
                    // nothing
    XOK_UDF_REFCNT, // edges that lead to this block; 0 counts as 1. Without it: one
    XOK_UDF_ACL,    // non-zero: allowed. Without it: only who may write the root name
    XOK_UDF_SIZE,   // bytes of the block that owns can depend on: what lies behind changes unseen.
                    // Without: 4096
    XOK_UDF_COUNT,
};
enum xok_acl_op {
    XOK_ACL_READ,   // see child (block, type); of a root: see itself
    XOK_ACL_WRITE,  // write child, which is data
    XOK_ACL_CHANGE, // change bytes [from, to) of this block
};
#endif
