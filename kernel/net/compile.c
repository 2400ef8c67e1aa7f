// Plans become machine code: the shapes' offsets, masks and hash multipliers as immediate values (thesis 3.6:
// filters compiled as they are downloaded). Filters that come and go only change hash chains; code is made
// when a shape appears or disappears.
//
// A plan's code is a dpf_code and keeps to the C convention: rdi frame, rsi its transport header, r8 buckets;
// r9 the filter looked at, r10 its record, r11 and rax scratch.
#include "net/dpf.h"

struct code {
    u8 *at, *end; // writable view
    bool full;
};
enum { RAX, RCX, RDX, RBX, RSP, RBP, RSI, RDI, R8, R9, R10, R11 };
enum { BASE_FRAME = RDI, BASE_TRANSPORT = RSI };

static void byte(struct code *c, u8 b)
{
    if (c->at == c->end)
        c->full = true;
    else
        *c->at++ = b;
}

static void bytes(struct code *c, u64 v, u32 n)
{
    for (; n--; v >>= 8)
        byte(c, v);
}

static void rex(struct code *c, bool wide, u32 reg, u32 index, u32 base)
{
    byte(c, 0x40 | wide << 3 | (reg >> 3) << 2 | (index >> 3) << 1 | base >> 3);
}

static void mov_imm64(struct code *c, u32 reg, u64 v)
{
    rex(c, true, 0, 0, reg);
    byte(c, 0xb8 | (reg & 7));
    bytes(c, v, 8);
}

// op reg, [base + disp32]; base is no RSP or R12
static void op_mem(struct code *c, bool wide, const char *op, u32 ops, u32 reg, u32 base, u32 disp)
{
    rex(c, wide, reg, 0, base);
    for (u32 i = 0; i < ops; i++)
        byte(c, op[i]);
    byte(c, 0x80 | (reg & 7) << 3 | (base & 7));
    bytes(c, disp, 4);
}

static void op_reg(struct code *c, const char *op, u32 ops, u32 reg, u32 rm) // 64-bit
{
    rex(c, true, reg, 0, rm);
    for (u32 i = 0; i < ops; i++)
        byte(c, op[i]);
    byte(c, 0xc0 | (reg & 7) << 3 | (rm & 7));
}

// rax = word w of the frame
static void load_word(struct code *c, const struct dpf_shape *s, u32 w)
{
    u32 base = s->base[w] ? BASE_TRANSPORT : BASE_FRAME;
    u64 m = s->mask[w];
    if (m == 0xff)
        op_mem(c, false, "\x0f\xb6", 2, RAX, base, s->offset[w]);
    else if (m == 0xffff)
        op_mem(c, false, "\x0f\xb7", 2, RAX, base, s->offset[w]);
    else
        op_mem(c, m > 0xffffffff, "\x8b", 1, RAX, base, s->offset[w]);
    if (m == 0xff || m == 0xffff || m == 0xffffffff || m == ~0ul)
        return;
    if (m < 0x80000000) {
        byte(c, 0x25); // and eax, imm32
        bytes(c, m, 4);
    } else {
        mov_imm64(c, R11, m);
        op_reg(c, "\x21", 1, R11, RAX);
    }
}

static u8 *jump(struct code *c, u8 condition) // jcc rel32, to be placed
{
    byte(c, 0x0f);
    byte(c, 0x80 | condition);
    bytes(c, 0, 4);
    return c->at;
}

static void place(struct code *c, u8 *from, const u8 *to)
{
    if (c->full)
        return;
    s32 rel = to - from;
    __builtin_memcpy(from - 4, &rel, 4);
}
enum { EQUAL = 4, NOT_EQUAL = 5 };

static void shape_code(struct code *c, const struct dpf *d, const struct dpf_shape *s)
{
    u8 *differs[DPF_WORDS + 1];
    u32 n = 0;
    if (!s->words) {
        byte(c, 0x45), byte(c, 0x31), byte(c, 0xc9); // xor r9d, r9d
    }
    for (u32 w = 0; w < s->words; w++) {
        u32 to = w ? R11 : R9;
        load_word(c, s, w); // may use r11
        mov_imm64(c, to, s->mul[w]);
        op_reg(c, "\x0f\xaf", 2, to, RAX); // imul
        if (w)
            op_reg(c, "\x01", 1, R11, R9); // add r9, r11
    }
    byte(c, 0x49), byte(c, 0xc1), byte(c, 0xe9), byte(c, 64 - DPF_BUCKET_BITS); // shr r9, imm
    byte(c, 0x47), byte(c, 0x8b), byte(c, 0x0c), byte(c, 0x88);                 // mov r9d, [r8 + r9*4]
    const u8 *look = c->at;
    byte(c, 0x45), byte(c, 0x85), byte(c, 0xc9); // test r9d, r9d
    u8 *none = jump(c, EQUAL);
    byte(c, 0x4d), byte(c, 0x69), byte(c, 0xd1); // imul r10, r9, imm32
    bytes(c, sizeof(struct xok_filter_info), 4);
    mov_imm64(c, R11, (u64)d->filter);
    op_reg(c, "\x01", 1, R11, R10);
    byte(c, 0x66); // cmp word [r10 + disp32], imm16
    op_mem(c, false, "\x81", 1, 7, R10, offsetof(struct xok_filter_info, shape));
    bytes(c, s - d->shape, 2);
    differs[n++] = jump(c, NOT_EQUAL);
    for (u32 w = 0; w < s->words; w++) {
        load_word(c, s, w);
        op_mem(c, true, "\x39", 1, RAX, R10, offsetof(struct xok_filter_info, key) + 8 * w); // cmp [], rax
        differs[n++] = jump(c, NOT_EQUAL);
    }
    byte(c, 0x44), byte(c, 0x89), byte(c, 0xc8); // mov eax, r9d
    byte(c, 0xc3);                               // ret
    for (u32 i = 0; i < n; i++)
        place(c, differs[i], c->at);
    mov_imm64(c, R11, (u64)d->link);
    byte(c, 0x49), byte(c, 0xc1), byte(c, 0xe1), byte(c, 4); // shl r9, 4
    _Static_assert(sizeof(struct dpf_links) == 16 && !offsetof(struct dpf_links, next), "shl");
    byte(c, 0x47), byte(c, 0x8b), byte(c, 0x0c), byte(c, 0x0b); // mov r9d, [r11 + r9]
    byte(c, 0xe9);                                              // jmp look
    bytes(c, 0, 4);
    place(c, c->at, look);
    place(c, none, c->at);
}

static void plan_code(struct code *c, const struct dpf *d, const struct dpf_plan *p)
{
    mov_imm64(c, R8, (u64)d->bucket);
    for (u32 i = 0; i < p->count; i++)
        shape_code(c, d, p->shape[i]);
    byte(c, 0x31), byte(c, 0xc0), byte(c, 0xc3); // xor eax, eax; ret
}

void dpf_compile(struct dpf *d, u32 plans)
{
    struct code c = {.at = d->text, .end = d->text + d->text_size};
    for (u32 i = 0; i < plans; i++) {
        u8 *from = c.at;
        d->plan[i].code = NULL;
        plan_code(&c, d, &d->plan[i]);
        if (c.full)
            c.at = c.end; // the rest stays with the plain loop
        else
            d->plan[i].code = (dpf_code *)(d->text_runs + (from - d->text));
    }
    d->text_used = c.at - d->text;
    for (u32 nic = 0; nic < XOK_NIC_MAX; nic++)
        for (u32 k = 0; k < 512; k++) {
            const struct dpf_plan *p = &d->plan[d->plan_of[nic][256 + k]];
            u32 least = (k < 256 ? 34 : 54) + p->need[1], need = p->need[0] > least ? p->need[0] : least;
            d->entry[nic][k].code = p->code;
            d->entry[nic][k].need = p->code ? need : ~0ul;
        }
}
