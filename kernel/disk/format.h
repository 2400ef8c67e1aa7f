// XN's own blocks as they are on the disk, little-endian. Superblock, then the catalogue: two
// blocks of types, eight of roots; two journal slots; then everybody's blocks.
#ifndef XN_FORMAT_H
#define XN_FORMAT_H
#include "disk/xn.h"

#define SUPER_MAGIC 0x31304e584b4f58ul     // "XOKXN01"
#define JOURNAL_MAGIC 0x4c4e4a4e584b4f58ul // "XOKXNJNL"

struct super_block {
    u64 magic, sum; // sum: checksum of the block with 0 here
    u64 blocks;     // of the file systems' disk: at most what the device has
    u64 first;
    u64 id[2];
};
struct type_record { // 32 a block, none across sectors; record i is type i
    char name[32];
    u64 block;
    u32 blocks;
    u16 head, part;
    u32 len[XOK_UDF_COUNT];
    u64 sum; // of the code
    u64 pad[7];
};
struct root_record {
    char name[32];
    u64 block; // 0: free
    u32 type, depth;
    u32 owner[8];
    u64 pad[6];
};
struct journal_block {
    u64 magic, sum; // sum: of descriptor (with 0 here) and blocks
    u64 seq;
    u64 count;
    u64 block[XOK_GROUP_MAX];
};
enum { RECORDS = XOK_BLOCK_SIZE / 128 };
_Static_assert(sizeof(struct type_record) == 128 && sizeof(struct root_record) == 128,
               "records are 128 bytes");
_Static_assert(XOK_ROOTS == ROOT_BLOCKS * RECORDS && XOK_T_COUNT == TYPE_BLOCKS * RECORDS,
               "one record each");
_Static_assert(JOURNAL == ROOTS + ROOT_BLOCKS && FIRST == JOURNAL + 2 * SLOT_BLOCKS,
               "one after the other");
#endif
