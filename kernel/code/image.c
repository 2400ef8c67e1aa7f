// The linked image of include/xok/code.h taken apart.
#include "image.h"
#include "verify.h"

s32 code_image(const void *bytes, u64 len, struct code_abi *abi, struct code_source *source)
{
    const struct xok_code_image *i = bytes;
    if (len < sizeof *i || i->magic != XOK_CODE_MAGIC || i->class > XOK_CODE_PREDICATE ||
        i->region_count > XOK_CODE_REGIONS || i->insn_count > CODE_INSNS_MAX ||
        i->rodata_len > CODE_RODATA_MAX || len < sizeof *i + 8ul * i->insn_count + i->rodata_len)
        return -1;
    *abi = (struct code_abi){.class = (enum code_class)i->class, .region_count = i->region_count};
    for (u32 k = 0; k < i->region_count; k++)
        abi->region[k] = (struct code_region_type){
            .min_len = i->region[k].min_len,
            .max_len = i->region[k].max_len,
            .writable = i->region[k].flags & (XOK_REGION_WRITE | XOK_REGION_OUTPUT),
            .output = i->region[k].flags & XOK_REGION_OUTPUT,
        };
    const u64 *insns = (const u64 *)(i + 1);
    *source = (struct code_source){insns, i->insn_count, insns + i->insn_count, i->rodata_len};
    return 0;
}
