// For the author of downloaded code: compile with `clang -O2 -mcpu=v3 -target bpf -c`.
// docs/downloaded-code.md.
//
// A program is a C function of up to two regions and their lengths, and the table of all regions:
//     u64 f(const T *region0, u64 len0, U *region1, u64 len1, const struct xok_table *regions)
// It may use loops, other functions (8 deep, 512 bytes of stack each) and constants; not variables with
// static storage. What cannot be proved in bounds is checked when it runs.
#ifndef XOK_BPF_H
#define XOK_BPF_H
typedef unsigned char u8;
typedef unsigned short u16;
typedef unsigned int u32;
typedef unsigned long long u64; // as long as `long` here and on x86-64
typedef signed char s8;
typedef short s16;
typedef int s32;
typedef long long s64;

// The class of a function: in front of its definition.
#define XOK_DETERMINISTIC __attribute__((section("deterministic"), used)) // no helper: owns, size, refcount
#define XOK_HANDLER __attribute__((section("handler"), used))             // may call what its user offers
#define XOK_PREDICATE __attribute__((section("predicate"), used)) // deterministic, writes to no region

// What regions `function` expects: XOK_REGIONS(owns, XOK_IN(4096, 4096), XOK_OUT(8192, 8192));
struct xok_regions {
    char function[64];
    u32 count;
    struct {
        u32 min_len, max_len, flags; // bytes; flags as in xok/code.h
    } region[8];
};
#define XOK_IN(min, max)                                                                                     \
    {                                                                                                        \
        min, max, 0                                                                                          \
    }
#define XOK_INOUT(min, max)                                                                                  \
    {                                                                                                        \
        min, max, 1                                                                                          \
    }
#define XOK_OUT(min, max)                                                                                    \
    {                                                                                                        \
        min, max, 3                                                                                          \
    }
#define XOK_REGIONS(f, ...)                                                                                  \
    static const struct xok_regions xok_regions_##f __attribute__((section(".xok.regions"), used)) = {       \
        #f, sizeof((u32[][3]){__VA_ARGS__}) / 12, {__VA_ARGS__}}

struct xok_table {
    struct {
        const void *address;
        u64 len;
    } region[8];
};

// ---- results of a deterministic function over metadata: extents, one after the other in the output region.
// A run that emits more than fits fails as a whole, so no program need look at the room that is left.
struct xok_extent {
    u64 block;
    u32 count; // not 0
    u32 type;
};
static inline __attribute__((always_inline)) struct xok_extent *xok_emit(struct xok_extent *out, u64 block,
                                                                         u32 count, u32 type)
{
    out->block = block;
    out->count = count;
    out->type = type;
    return out + 1;
}
// What a function that emits returns: how many. `first` is its output region.
#define xok_emitted(first, out) ((u64)((out) - (first)))

// ---- bytes of the network and of formats
#define xok_be16(x) __builtin_bswap16(x)
#define xok_be32(x) __builtin_bswap32(x)
#define xok_be64(x) __builtin_bswap64(x)
#endif
