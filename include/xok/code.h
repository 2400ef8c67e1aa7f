// Downloaded code as it is handed to the kernel: a linked image, made by `xok bpf link`. See
// docs/downloaded-code.md.
#ifndef XOK_CODE_IMAGE_H
#define XOK_CODE_IMAGE_H
#include "types.h"

#define XOK_CODE_MAGIC 0x65646f63u // "code"
#define XOK_CODE_REGIONS 8
#define XOK_CODE_INSNS 4096   // instruction slots the kernel takes
#define XOK_CODE_RODATA 65536 // bytes of constants

enum xok_code_class { XOK_CODE_DETERMINISTIC, XOK_CODE_HANDLER, XOK_CODE_PREDICATE };
enum { XOK_REGION_WRITE = 1, XOK_REGION_OUTPUT = 2 /* and writable: running off its end is "full" */ };

struct xok_code_region {
    u32 min_len, max_len; // bytes
    u32 flags;
};

// Followed by insn_count instruction slots of RFC 9669 and rodata_len bytes. The kernel's user of a program
// (XN, the network) says what regions it gives; `region` is what the author expects, and a load fails if they
// differ.
struct xok_code_image {
    u32 magic;
    u32 class;
    u32 insn_count, rodata_len;
    u32 region_count;
    struct xok_code_region region[XOK_CODE_REGIONS];
    u32 pad;
};
_Static_assert(sizeof(struct xok_code_image) % 8 == 0, "instructions follow");
#endif
