// Disks and XN: blocks protected by untrusted deterministic functions (thesis ch. 4; docs/xn.md).
//
// A disk is 4 KiB blocks by number. The kernel knows no file system: a *template* (type) says, with
// downloaded functions, which blocks a metadata block owns. Metadata changes through disk_change
// only: the kernel runs `owns` before and after and allows exactly the difference that was claimed.
// Blocks live in one *registry* of cached pages, exposed to all. What is on the disk obeys,
// whatever the order of writes:
//   1. nothing on the disk points to a block that was not written since it was allocated;
//   2. a block is not reused while a pointer to it can be on the disk;
//   3. blocks whose changes belong together (a move, a link) are written together or not at all,
//      through a small journal; so is a block of which one change touched more than one sector.
#ifndef XOK_DISK_H
#define XOK_DISK_H
#include "types.h"
#include "udf.h"

#define XOK_DISK_MAX 4
#define XOK_BLOCK_SIZE 4096ul
#define XOK_BLOCK_NONE (~0ul)
#define XOK_BLOCK(disk, n) ((u64)(disk) << 56 | (n)) // a block of any disk
#define XOK_BLOCK_DISK(b) ((b) >> 56)
#define XOK_BLOCK_NUMBER(b) ((b)&0x00fffffffffffffful)

// ---- the catalogue
struct xok_template { // disk_template. Immutable; the name is taken for ever
    char name[32];    // NUL-padded, not empty
    u64 block;        // free blocks that shall hold the code
    u16 head, part;
    u32 pad;
    struct {
        u64 addr;
        u32 len, pad; // 0: none; a linked image (code.h)
    } code[XOK_UDF_COUNT];
};
#define XOK_CODE_MAX 65536 // bytes of a template's functions together

struct xok_root { // disk_root
    char name[32];
    u64 block; // CREATE: a free block, which becomes type `type`
    u32 type;
    u32 op; // enum xok_root_op
};
enum xok_root_op {
    XOK_ROOT_CREATE, // owned by the presented capability's name
    XOK_ROOT_TEMP, // the same, in memory only: what hangs below is gone after a crash, and free of
                   // ordering
    XOK_ROOT_REMOVE, // the root block must be cached and own nothing; frees it
};

// ---- changes of metadata
struct xok_mod { // bytes [off, off+len) of target become *data
    u64 data;
    u16 off, len;
    u16 target; // index into xok_change.block
    u16 pad;
};
struct xok_claim {
    u64 block; // blocks block..block+count-1
    u32 count; // metadata: 1
    u8 kind;   // enum xok_claim_kind
    u8 type;
    u8 from, to; // indices into xok_change.block
};
enum xok_claim_kind {
    XOK_ALLOC,  // `to` comes to own free blocks
    XOK_FREE,   // `from` stops owning them. Metadata: cached, owns nothing, one edge
    XOK_MOVE,   // `from` stops, `to` starts. Both are then written together
    XOK_LINK,   // `to` gets one more edge to `block`, which is target `from` and whose refcnt grows
                // by one
    XOK_UNLINK, // `to` loses an edge to `block`, which is target `from` and whose refcnt (>= 2)
                // falls by one
    XOK_RETYPE, // `from` == `to` owned them RESERVED and owns them as `type`, or the other way
    XOK_ATTACH, // `to` comes to own a temporary root, which is one no more
    XOK_TIE, // `from` and `to` are written together (from == to: that block untorn); nothing else
};
#define XOK_CHANGE_BLOCKS 4
#define XOK_CHANGE_MODS 64
#define XOK_CHANGE_BYTES 8192
#define XOK_CHANGE_CLAIMS 64
#define XOK_CHANGE_COVER 4096 // blocks of all claims together
struct xok_change {
    u64 block[XOK_CHANGE_BLOCKS]; // the metadata blocks to change, all cached
    u32 disk, blocks;
    u32 mods, claims;
    u64 mod, claim; // addresses of arrays
};

// ---- input and output: lists, asynchronous
//
// A list is taken in
// order; neighbours become one device request. Each op that was taken adds 1 to the completion word
// once it is done, and 1 << 32 more if it failed; then predicates on the word are looked at.
struct xok_io {
    u64 block;  // number
    u64 parent; // READ, NEW, BIND: the cached block that owns it
    u32 ppn;    // READ, NEW of data: a page of the caller's that becomes the block's page; 0: the
                // kernel takes one
    u16 at;     // byte of parent in whose part the pointer lies
    u8 op;      // enum xok_io_op
    u8 flags;   // XOK_IO_*
};
enum xok_io_op {
    XOK_IO_READ, // into the registry. Already there: as BIND
    XOK_IO_NEW,  // into the registry without reading: metadata as zeros; data as the page is, dirty
    XOK_IO_BIND, // the caller's name gets access to the page of a cached block
    XOK_IO_PREFETCH, // as READ, but of any block, unseen until bound; needs no right and no parent
    XOK_IO_WRITE, // write back. Anyone may, unless it is held. With all blocks that are tied to it
    XOK_IO_DIRTY, // mark data dirty: its page changed. W on the page
    XOK_IO_DROP,  // out of the registry: clean, idle, unmapped by others. W over the page's owner
    XOK_IO_FLUSH, // done when everything written before it is durable
    XOK_IO_DISCARD, // tell the device that a free block holds nothing
    XOK_IO_HOLD,    // only who dominates the page's owner may write it back, until RELEASE
    XOK_IO_RELEASE,
    XOK_IO_SETTLE, // metadata below a temporary root: all it owns is initialised; ordering holds
                   // from now on
};
#define XOK_IO_WRITABLE                                                                            \
    1u // READ, NEW, BIND of data: access to write too (acl WRITE). With a page of the caller's:
       // implied
#define XOK_IO_DURABLE 2u // WRITE: done when durable (FUA)
#define XOK_IO_MAX 512    // ops of a list
#define XOK_GROUP_MAX 63  // blocks that one list can write through the journal; of these
#define XOK_TIED_MAX                                                                               \
    16 // may be tied to each other; a change that would tie more is E_TAINT: write some first

// ---- exposed state
// The registry: an entry for each physical page, indexed by page number; block 0 of disk 0 (which
// is never cached under that number by anyone) marks a page that holds no block. Lookup: hash, then
// `next`.
struct xok_block {
    u64 block; // XOK_BLOCK(); XOK_BLOCK_NONE: none
    u32 next;  // page number of the next in the bucket, 0 ends
    u32 tied;  // page number of the next block that is written together with this one; itself if
               // alone
    u32 deps;  // XN: first pending change, 0 none
    u32 after, before; // XN: queue of blocks that wait to be durable
    u32 parent; // LOOSE: page of the block that came to own it, 0 unknown
    u8 type;
    u8 writes; // in progress
    u16 flags; // XOK_B_*
};
#define XOK_B_VALID 1u // the content is the block's
#define XOK_B_READING 2u
#define XOK_B_DIRTY 4u
#define XOK_B_ERROR 8u // the last read or write failed
#define XOK_B_LENT 16u // the page is a caller's own (data)
#define XOK_B_HELD 32u
#define XOK_B_FLOATING 64u  // below a temporary root
#define XOK_B_UNSEEN 128u   // prefetched, not yet bound by anyone
#define XOK_B_SETTLING 256u // written, waits for a flush
#define XOK_B_PINNED 512u   // XN's own
#define XOK_B_ATOMIC                                                                               \
    1024u // a change touched several sectors: written through the journal, with what it is tied to
#define XOK_B_JOURNALED 2048u // XN: an intact journal holds an older version
#define XOK_B_COLOUR 12       // XN: two bits, which queue it is in
#define XOK_B_LOOSE 16384u    // metadata to which no pointer is durable and reachable yet

static inline u32 xok_block_hash(u64 block, u32 bits)
{
    return block * 0x9e3779b97f4a7c15ul >> (64 - bits);
}

enum xok_disk_state {
    XOK_DISK_NONE,     // no such disk
    XOK_DISK_RAW,      // there, not mounted: disk_mount or disk_format
    XOK_DISK_MOUNTING, // disk_mount is at work: see progress
    XOK_DISK_READY,
    XOK_DISK_BAD,     // mount found no valid format, or damage it must not touch: see error
    XOK_DISK_CLOSING, // disk_unmount is at work
};

struct xok_template_info {
    char name[32];
    u16 head, part;
    u32 has; // bit of each function
};
struct xok_root_info {
    char name[32];
    u64 block;  // 0: the entry is free
    u64 parent; // catalogue block that owns it, to be named as parent; XOK_BLOCK_NONE: temporary
    u32 type;
    u32 depth; // of the owner's name
    u32 owner[8];
    u32 flags; // XOK_ROOT_DAMAGED
    u32 pad;
};
#define XOK_ROOT_DAMAGED                                                                           \
    1u // it owns what others own, or cannot be read: not used, its blocks stay as they are
#define XOK_ROOTS 256
struct xok_disk_info {
    u64 seq;         // grows with every completion and change of state: the word for predicates
    u64 blocks;      // size
    u64 free;        // map bytes that are 0
    u64 first;       // below are XN's own blocks
    u64 progress;    // blocks looked at by disk_mount
    u64 used;        // blocks found used so far
    u64 dirty;       // cached blocks that are dirty
    u64 flushed;     // epoch of the last flush that is done
    u32 state;       // enum xok_disk_state
    u32 error;       // why BAD or a root is damaged
    u32 sector;      // bytes
    u32 features;    // XOK_DISK_*
    u64 requests[4]; // of the device: reads, writes, flushes, discards
    u64 moved[2];    // blocks read, written
    u64 errors;
    struct xok_template_info type[XOK_T_COUNT];
    struct xok_root_info root[XOK_ROOTS];
};
#define XOK_DISK_FLUSH 1u // has a volatile cache
#define XOK_DISK_DISCARD 2u
#define XOK_DISK_READONLY 4u

struct xok_registry_info { // in front of the hash buckets
    u64 bits;              // the hash has 1 << bits buckets
    u64 cached;            // blocks in the registry
    u64 pad[510];
    u32 bucket[]; // page numbers
};

#define XOK_DISKS_VA 0xffffc02000000000ul // struct xok_disk_info at + disk * XOK_DISK_STRIDE
#define XOK_DISK_STRIDE 0x10000ul
#define XOK_REGHASH_VA 0xffffc02100000000ul  // struct xok_registry_info; there if any disk is
#define XOK_REGISTRY_VA 0xffffc02200000000ul // struct xok_block [info->page_count]
#define XOK_DISKMAP_VA                                                                             \
    0xffffc03000000000ul // u8 [blocks] at + disk * XOK_DISKMAP_STRIDE; from MOUNTING on
#define XOK_DISKMAP_STRIDE 0x400000000ul

#ifndef XOK_DISK_HOST
#define XOK_DISK(d) ((const volatile struct xok_disk_info *)(XOK_DISKS_VA + (d)*XOK_DISK_STRIDE))
#define XOK_REGHASH ((const volatile struct xok_registry_info *)XOK_REGHASH_VA)
#define XOK_REGISTRY ((const volatile struct xok_block *)XOK_REGISTRY_VA)
#define XOK_DISKMAP(d) ((const volatile u8 *)(XOK_DISKMAP_VA + (d)*XOK_DISKMAP_STRIDE))
#else // the host build: tests/host/xn/host.h
const volatile struct xok_disk_info *xok_host_disk(u32 disk);
const volatile struct xok_registry_info *xok_host_hash(void);
const volatile struct xok_block *xok_host_registry(void);
const volatile u8 *xok_host_map(u32 disk);
#define XOK_DISK(d) xok_host_disk(d)
#define XOK_REGHASH xok_host_hash()
#define XOK_REGISTRY xok_host_registry()
#define XOK_DISKMAP(d) xok_host_map(d)
#endif

// Page number of a cached block, 0 if it is not cached. Without a lock: look at ->block again after
// use.
static inline u32 xok_block_find(u32 disk, u64 number)
{
    u64 b = XOK_BLOCK(disk, number);
    u32 p = XOK_REGHASH->bucket[xok_block_hash(b, XOK_REGHASH->bits)];
    for (int n = 0; p && n < 1024 && XOK_REGISTRY[p].block != b; n++)
        p = XOK_REGISTRY[p].next;
    return p && XOK_REGISTRY[p].block == b ? p : 0;
}
#endif
