// The call of compiled code: what a frame must hold, and how it ended.
#include "verify.h"

// Fills the frame's tables. False: the regions are not what the program was loaded for.
static bool frame_fill(const struct code_program *p, const struct code_region *regions, u32 count,
                       struct code_frame *f)
{
    if (count != p->region_count)
        return false;
    for (u32 k = 0; k < count; k++) {
        const struct code_region_type *t = &p->region[k];
        if (regions[k].len < t->min_len || regions[k].len > t->max_len)
            return false;
        u64 base = (u64)regions[k].base;
        f->delta[k + 1] = base - CODE_VA(k + 1);
        f->len[k + 1] = regions[k].len;
        f->end[k + 1] = base + regions[k].len;
        f->wend[k + 1] = t->writable ? base + regions[k].len : 0;
        f->table[k][0] = CODE_VA(k + 1);
        f->table[k][1] = regions[k].len;
    }
    f->delta[CODE_STACK_INDEX] = (u64)f->stack + sizeof f->stack - p->stack - CODE_VA(CODE_STACK_INDEX);
    f->delta[CODE_TABLE_INDEX] = (u64)f->table - CODE_VA(CODE_TABLE_INDEX);
    f->delta[CODE_RODATA_INDEX] = (u64)p->text + p->rodata_at - CODE_VA(CODE_RODATA_INDEX);
    if (!p->tables)
        return true;
    for (u32 k = count + 1; k <= CODE_REGIONS_MAX; k++)
        f->delta[k] = f->end[k] = f->wend[k] = 0;
    f->delta[0] = f->end[0] = f->wend[0] = 0;
    f->end[CODE_STACK_INDEX] = f->wend[CODE_STACK_INDEX] = (u64)f->stack + sizeof f->stack;
    f->end[CODE_TABLE_INDEX] = (u64)f->table + 16 * count;
    f->end[CODE_RODATA_INDEX] = (u64)p->text + p->rodata_at + p->rodata_len;
    f->wend[CODE_TABLE_INDEX] = f->wend[CODE_RODATA_INDEX] = 0;
    return true;
}

struct code_result code_run(const struct code_program *program, const struct code_region *regions, u32 count,
                            u64 fuel, struct code_frame *frame)
{
    if (!frame_fill(program, regions, count, frame))
        return (struct code_result){.status = CODE_E_REGION};
    frame->status = CODE_OK;
    frame->fuel = fuel > INT64_MAX_ ? INT64_MAX_ : (s64)fuel;
    u64 (*entry)(struct code_frame *) = (u64(*)(struct code_frame *))program->text;
    u64 value = entry(frame);
    return (struct code_result){.status = frame->status & 255,
                                .insn = frame->status >> 8,
                                .value = value,
                                .fuel = frame->fuel < 0 ? 0 : frame->fuel};
}

const char *code_status_text(enum code_status status)
{
    static const char *const text[] = {"done",
                                       "access outside of the regions",
                                       "output region full",
                                       "out of fuel",
                                       "calls too deep",
                                       "unreachable code",
                                       "the regions are not as declared"};
    return status < sizeof text / sizeof text[0] ? text[status] : "?";
}
