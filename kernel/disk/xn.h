// XN: what the files of kernel/disk/ share, and what they need from around them. Freestanding: the
// same code runs in the kernel (disk/calls.c) and on the host (tests/host/xn/host.c). One thread at
// a time (the BKL).
#ifndef XN_H
#define XN_H
#include <stdbool.h>
#include <stddef.h>
#include "xok/cap.h"
#include "xok/disk.h"
#include "xok/error.h"

enum { SEGMENTS = 64, REQUESTS = 512, PART_SECTOR = 512 };
enum {
    SUPER = 0,
    TYPES = 1,
    TYPE_BLOCKS = 2,
    ROOTS = 3,
    ROOT_BLOCKS = 8,
    JOURNAL = 11,
    SLOT_BLOCKS = 64,
    FIRST = 139
};
enum { DEPS_PER_BLOCK = 512 };

struct who { // the capability presented
    u32 name, rights;
    u32 depth, component[8];
};

struct disk;
enum req_op { REQ_READ, REQ_WRITE, REQ_FLUSH, REQ_DISCARD };
struct req { // one request to a device
    struct disk *disk;
    struct req *next; // free list, or XN's queue while the device is full
    void (*done)(struct req *r, bool ok);
    u64 block;
    u32 count;
    u8 op;
    bool durable;
    u8 parity;           // of the flush epoch it belongs to
    u64 word;            // completion word, 0 none
    u32 ops;             // to be added to it
    u32 page[SEGMENTS];  // physical page of each block
    u32 entry[SEGMENTS]; // registry entry of each block, where that is another page (a copy is
                         // written)
    u64 device;          // the driver's
};

// Pending change of what a cached block owns: not yet durable.
struct dep {
    u64 block;
    u32 count, next;
    u32 checked; // ADD: blocks of it known to be initialised
    u16 length;  // of the list, where this is the first
    u8 kind;     // DEP_*
    u8 flags;
};
enum { DEP_ADD, DEP_REMOVE };
enum { DEP_SENT = 1 /* in a write that is submitted */, DEP_MAYBE = 2 /* may be on the disk */ };

struct type {
    u16 head, part;
    bool used;
    void *fn[XOK_UDF_COUNT];
};

struct waiter { // for a flush
    u64 word;
    u32 ops;
};
enum { WAITERS = 256 };

struct group { // blocks on their way through the journal
    enum { GROUP_IDLE, GROUP_FILLING, GROUP_BUSY } state;
    u64 seq;
    u32 count;
    u32 page[XOK_GROUP_MAX + 1]; // [0]: descriptor; copies of the blocks
    u32 entry[XOK_GROUP_MAX + 1];
    u64 word;
    u32 ops, inflight, retries;
    bool failed;
    u64 past[2][XOK_GROUP_MAX]; // blocks that the two slots hold
    u32 pasts[2];
    u64 bloom;
};

struct mount;
struct disk {
    u32 index;
    u64 capacity; // blocks of the device
    struct xok_disk_info *info;
    u8 *map;
    bool (*submit)(struct disk *d, struct req *r); // false: full, try after the next completion
    void *device;
    struct type type[XOK_T_COUNT];
    struct req *queue, **queue_end;
    u32 writes[2]; // in progress, by parity of the flush epoch
    u8 parity;
    enum { ROUND_NONE, ROUND_DRAINING, ROUND_FLUSHING } round;
    bool group_now, group_later; // the group waits for this round, for the next
    struct waiter now[WAITERS], later[WAITERS];
    u32 nows, laters;
    u32 done_list, covered_list,
        settle_list; // written / covered by the flush in progress / durable
    u8 done_colour, covered_colour, settle_colour; // of their entries, 0..2
    struct group group;
    struct mount *mount;
};

extern struct disk disks[XOK_DISK_MAX];
extern struct xok_block *registry;
extern u64 registry_pages;
extern struct xok_registry_info *hash;
extern struct dep *deps;
extern u32 deps_free; // nodes left

// ---- registry.c
void registry_init(struct xok_block *entries, u64 pages, struct xok_registry_info *h, u32 bits,
                   struct dep *pool, u32 nodes);
u32 cached(struct disk *d, u64 block);
void entry_insert(struct disk *d, u64 block, u32 ppn, u8 type, u16 flags);
void entry_remove(struct disk *d, u32 ppn); // gives the page back
void entry_dirty(struct disk *d, u32 ppn), entry_clean(struct disk *d, u32 ppn);
void queue_put(struct disk *d, u32 *list, u32 ppn), queue_take(struct disk *d, u32 ppn);
u32 ring_size(u32 ppn);
bool ring_has(u32 ring, u32 ppn);
bool ring_fits(u32 a, u32 b);
void ring_join(u32 a, u32 b);
u32 loose_parent(u32 ppn); // the block to be written with it so that it can be reached, 0: none
void tie(u32 a, u32 b);    // with what makes them reachable
void ring_leave(u32 ppn);

// ---- deps.c
void dep_add(u32 ppn, u8 kind, u64 block, u32 count, u8 flags);
bool dep_room(u32 ppn, u32 n);
bool dep_fresh(u32 ppn, u64 block, u32 count);    // all of it is ADDed and cannot be on the disk
void dep_subtract(u32 ppn, u64 block, u32 count); // from the ADDs
void dep_recheck(u32 ppn, u64 block, u32 count);
void dep_inherit(struct disk *d, u32 parent, u32 child, bool fresh);
void dep_drop_all(u32 ppn);
void dep_sent(u32 ppn, bool ok);                    // a write was submitted (ok), or failed
s64 order_check(struct disk *d, u32 ppn, u32 ring); // may it be written now?
void settle(struct disk *d, u32 budget);
void settle_entry(struct disk *d, u32 ppn);
void settle_now(struct disk *d, u32 ppn); // if it is durable already
void block_free(struct disk *d, u64 block);

// ---- owns.c
bool owns_range(struct disk *d, u32 ppn, u32 from, u32 to, struct xok_owns *out,
                u32 *n); // parts that bytes [from, to) lie in
bool owns_nothing(struct disk *d, u32 ppn);
bool owns_child(struct disk *d, u32 parent, u32 at, u64 block, struct xok_owns *which);
s64 refcnt_of(struct disk *d, u32 ppn);
bool acl_ok(struct disk *d, u32 ppn, u32 op, const struct who *w, struct xok_udf *u);
bool owns_differ_as(struct disk *d, const struct xok_owns *a, u32 na, const struct xok_owns *b,
                    u32 nb, const struct xok_claim *claims, u32 nclaims, u32 target);
s64 function_run(struct disk *d, u32 type, u32 kind, struct xok_udf *u, bool *ok);

// ---- change.c, io.c, journal.c
s64 xn_change(const struct who *w, const struct xok_change *c, const struct xok_mod *mods,
              const struct xok_claim *claims,
              const u8 *bytes); // bytes: the mods' data, one after the other
s64 xn_io(const struct who *w, struct disk *d, const struct xok_io *ops, u32 n, u64 word);
struct req *req_new(struct disk *d, u8 op);
void req_free(struct req *r);
void req_submit(struct req *r);
void xn_complete(struct req *r, bool ok);          // by the driver
bool flush_for(struct disk *d, u64 word, u32 ops); // false: too many wait
void flush_for_group(struct disk *d);
void written(struct disk *d, u32 ppn, bool ok);
s64 group_add(struct disk *d, const struct who *w, u32 ppn, u64 word); // with its ring; 1: queued
void group_commit(struct disk *d, u64 word);
void group_flushed(struct disk *d, bool ok);
bool group_past(struct disk *d, u64 block);
u64 checksum(u64 sum, const void *data, u64 len);

// ---- mount.c, catalogue.c
void xn_disk_add(struct disk *d, u64 blocks, u32 sector,
                 u32 features); // info, submit are set; state RAW
s64 xn_format(const struct who *w, struct disk *d);
s64 xn_mount(const struct who *w, struct disk *d);
s64 xn_unmount(const struct who *w, struct disk *d);
s64 xn_template(const struct who *w, struct disk *d, const struct xok_template *t, const u8 *code);
s64 xn_root(const struct who *w, struct disk *d, const struct xok_root *r);
bool type_load(struct disk *d, u32 type, const u8 *code);
bool type_code(struct disk *d, u32 type, u64 *block,
               u32 *blocks); // where its code lies; false: no such type
void types_unload(struct disk *d);
void xn_forget(struct disk *d); // the host's machine stops
bool root_load(struct disk *d, u32 index);
u32 root_owns(struct disk *d, u64 catalogue, struct xok_owns *out);
bool root_detach(struct disk *d, const struct who *w, u64 block, bool really);
u32 root_of(struct disk *d, u64 block); // index, XOK_ROOTS: none
bool root_owner(struct disk *d, u32 index, const struct who *w);
s64 root_vouch(struct disk *d, const struct who *w, u64 block, u8 op);

// ---- what is around: the kernel or the host
struct disk *disk_new(void); // for a driver, to fill in: NULL when there are enough
void *xn_page(u32 ppn);
u32 xn_page_new(const struct who *w,
                bool zero); // a cache page charged to w, nobody may map it; 0: none
s64 xn_page_lend(const struct who *w, u32 ppn,
                 bool cache); // the caller's own page; cache: unmapped, mappable by nobody
void xn_page_back(
    u32 ppn,
    bool lent); // it is its payer's own again; what the payer was not allowed to see is zeroed
s64 xn_page_allow(const struct who *w, u32 ppn, u32 rights);
bool xn_page_over(const struct who *w, u32 ppn, u32 rights); // w dominates the payer
bool xn_page_may(const struct who *w, u32 ppn, u32 rights);
bool xn_page_shared(u32 ppn); // names other than the payer's have access, and it is mapped
u32 xn_frame_new(void);       // a page of XN's own; 0: none
void xn_frame_free(u32 ppn);
u8 *xn_map_memory(struct disk *d, u64 bytes);                            // exposed
void xn_word_pin(u64 word), xn_word_done(u64 word, u32 ops, u32 failed); // done also unpins
void xn_changed(struct disk *d);                                         // info->seq grew
u64 xn_random(void), xn_time(void);
bool xn_trusted(const struct who *w); // who may write the root name
void *xn_code_load(u32 kind, const u8 *code, u32 len, u32 head, u32 part); // NULL: refused
void xn_code_drop(void *fn);
bool xn_code_call(void *fn, u32 kind, struct xok_udf *u,
                  s64 *result); // false: out of fuel, or a wild access

// ---- functions.c: these three, as downloaded code
void *function_load(u32 kind, const u8 *code, u32 len, u32 head, u32 part);
void function_drop(void *fn);
bool function_call(void *fn, u32 kind, struct xok_udf *u, s64 *result);

#define XN_MIN(a, b) ((a) < (b) ? (a) : (b))
#define XN_MAX(a, b) ((a) > (b) ? (a) : (b))
void *memcpy(void *, const void *, size_t);
void *memset(void *, int, size_t);
int memcmp(const void *, const void *, size_t);
#endif
