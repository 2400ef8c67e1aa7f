// Dynamic packet filters: whose frame is this? Freestanding; compiled for the kernel and for host tests.
//
// Filters that look at the same bits (a shape) lie in one hash table, keyed by those bits. A frame is tried
// against the shapes that its class (link, ethertype, protocol) has, most mask bits first: the first hit is
// the longest match. The cost depends on the number of shapes, never on the number of filters.
#ifndef XOK_DPF_H
#define XOK_DPF_H
#include <stdbool.h>
#include <stddef.h>
#include "xok/error.h"
#include "xok/net.h"

enum { DPF_WORDS = 6, DPF_SHAPES = 64, DPF_PLAN = 16 /* shapes a class may have */, DPF_PLANS = 64 };
enum { DPF_FRAME = 64, DPF_TRANSPORT = 16, DPF_BYTES = DPF_FRAME + DPF_TRANSPORT };
enum { DPF_BUCKET_BITS = 15, DPF_FRAGMENTS = 256, DPF_KEY = 5 };
enum { DPF_READ = 128 }; // bytes of a frame's memory that are read, whatever its length

// Classes of frames: 0 neither IPv4 nor IPv6 (or cut off), 256 + protocol of IPv4, 512 + protocol of IPv6.
// A shape is for one of them, or for all of IPv4, of IPv6, or every frame.
enum { DPF_CLASSES = 3 * 256, DPF_V4 = 1000, DPF_V6 = 1001, DPF_ANY = 1002 };

struct dpf_shape {
    u64 mask[DPF_WORDS];
    u64 mul[DPF_WORDS];     // hash multipliers: secret, so that nobody can choose keys that collide
    u16 offset[DPF_WORDS];
    u8 base[DPF_WORDS];     // 0 frame, 1 transport
    u8 words;
    u8 nic;
    u16 need[2];            // bytes that must be there, by base
    u16 bits, class;
    u32 count, first;       // filters, and the list of them
    u8 bytes[DPF_BYTES];    // mask by byte, class included
};

typedef u32 dpf_code(const u8 *frame, const u8 *transport); // of frames long enough for all shapes

struct dpf_plan {
    dpf_code *code; // NULL: there was no room for it
    u32 count;
    u32 need[2];    // bytes that some shape looks at, by base
    struct dpf_shape *shape[DPF_PLAN];
};

struct dpf_links { // of a filter, private
    u32 next;          // hash chain, or free list. First, in 16 bytes: compile.c
    u32 before, after; // filters of its shape
    u32 generation;    // of the index
};

struct dpf_fragment { // where the first fragment of a datagram went
    u64 key[DPF_KEY];
    u32 filter; // id
};

struct dpf {
    struct xok_filter_info *filter;     // [0] unused
    bool (*grow)(u32 index);            // makes filter[index] writable; false: no memory
    u32 high, count, free;
    u64 random;
    u8 *text;           // writable view of the machine code,
    const u8 *text_runs; // where it runs
    u32 text_size, text_used; // used: bytes that were made anew, and must be moved to where they run if that is
                              //   elsewhere, before the next classification. The owner sets it to 0
    struct {
        dpf_code *code;
        u64 need;       // bytes of a frame with a usual IP header
    } entry[XOK_NIC_MAX][512]; // by class - 256
    u8 plan_of[XOK_NIC_MAX][DPF_CLASSES]; 
    struct dpf_plan plan[DPF_PLANS];
    struct dpf_shape shape[DPF_SHAPES]; // in use while it has filters
    struct dpf_links link[XOK_FILTER_MAX];
    u32 bucket[1 << DPF_BUCKET_BITS];
    struct dpf_fragment fragment[DPF_FRAGMENTS];
};

// text, text_runs: two views of text_size bytes for machine code; 0 bytes: none is made.
void dpf_init(struct dpf *d, struct xok_filter_info *filters, bool (*grow)(u32), u64 seed, u8 *text,
              const u8 *text_runs, u32 text_size);
void dpf_compile(struct dpf *d, u32 plans); // compile.c: after the plans changed

// Index of the filter whose frame this is, 0 if nobody's. len >= 14; DPF_READ bytes at frame are readable.
// outgoing: the frame is the mirror of one to be sent (fragments of the two ways are never taken for each other).
u32 dpf_classify(struct dpf *d, u32 nic, const u8 *frame, u32 len, bool outgoing);

// Exchanges source and destination of a frame's headers; twice is the identity.
void dpf_mirror(u8 *frame, u32 len);

u32 dpf_transport(const u8 *frame, u32 len); // offset of the transport header, 0 if there is none

// may(arg, name): the caller dominates that name. Returns the filter's id, XOK_E_ARG, XOK_E_CAP (theft),
// XOK_E_BUSY (the same filter exists), XOK_E_FULL.
s64 dpf_add(struct dpf *d, u32 nic, const struct xok_filter *f, u32 ring, u32 owner,
            bool (*may)(void *, u32), void *arg);
u32 dpf_find(const struct dpf *d, u64 id); // index, 0 if there is no such filter
void dpf_del(struct dpf *d, u32 index);
#endif
