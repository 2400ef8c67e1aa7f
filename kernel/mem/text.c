// Machine code of downloaded programs: its memory, and the way in.
//
// The pool is one large page of RAM that is taken out of the direct map, so that the only ways to it are made
// here: TEXT, where pages are executable and read-only, and the window, where one page at a time is writable
// while it is mapped nowhere else. Nobody runs code meanwhile: that takes the kernel lock.
#include "kernel.h"
#include "code/code.h"

#define TEXT 0xffffffffc0000000ul // within 2 GiB of the kernel's text, for calls of helpers
#define WINDOW (TEXT + TEXT_POOL)
#define WORK (TEXT + 0x400000) // working memory of one code_install: fresh pages each time
enum { UNIT = 64, UNITS = TEXT_POOL / UNIT, UNITS_PER_PAGE = XOK_PAGE_SIZE / UNIT, WORK_MAX = 16 << 20 };

static u64 used[UNITS / 64]; // bit: the unit holds code
static struct code_frame frames[XOK_CPU_MAX];
static u64 *text_pte, *window_pte;

void text_init(void)
{
    text_pte = kernel_entry(TEXT, 1);
    window_pte = kernel_entry(WINDOW, 1);
    if (!text_pte || !window_pte)
        panic("no memory for downloaded code");
    memset(phys_to_virt(text_pool), 0xcc, TEXT_POOL);
    *kernel_entry(DIRECT + text_pool, 2) = 0; // and the kernel's alias with it: they share the table
    tlb_flush_all();
}

static bool unit_used(u32 n)
{
    return used[n / 64] >> n % 64 & 1;
}

static void units_mark(u32 first, u32 n, bool on)
{
    for (u32 k = first; k < first + n; k++)
        used[k / 64] = on ? used[k / 64] | 1ul << k % 64 : used[k / 64] & ~(1ul << k % 64);
}

static u32 units_find(u32 n) // UNITS if there is no such run
{
    for (u32 at = 0, run = 0; at < UNITS; at++) {
        if (at % 64 == 0 && used[at / 64] == ~0ul) {
            run = 0, at += 63;
            continue;
        }
        run = unit_used(at) ? 0 : run + 1;
        if (run == n)
            return at + 1 - n;
    }
    return UNITS;
}

// Copies code to TEXT + at. A page is executable before and after, writable only between.
static void text_write(u64 at, const u8 *from, u64 len)
{
    while (len) {
        u64 page = at / XOK_PAGE_SIZE, in = at % XOK_PAGE_SIZE, n = MIN(len, XOK_PAGE_SIZE - in);
        u64 pa = text_pool + page * XOK_PAGE_SIZE;
        text_pte[page] = 0;
        tlb_flush_page(TEXT + page * XOK_PAGE_SIZE);
        *window_pte = pa | XOK_PTE_P | XOK_PTE_W | XOK_PTE_NX;
        tlb_flush_page(WINDOW); // this processor may know the page before
        memcpy((void *)(WINDOW + in), from, n);
        *window_pte = 0;
        tlb_flush_page(WINDOW);
        text_pte[page] = pa | XOK_PTE_P;
        at += n, from += n, len -= n;
    }
}

u8 *text_take(u64 len)
{
    u32 units = (len + UNIT - 1) / UNIT, first = units_find(units);
    if (first == UNITS)
        return NULL;
    units_mark(first, units, true);
    return (u8 *)TEXT + first * UNIT;
}

void text_put(const u8 *to, const u8 *from, u64 len)
{
    text_write((u64)to - TEXT, from, len);
}

// ---- working memory
static void work_unmap(u64 len)
{
    for (u64 at = 0; at < len; at += XOK_PAGE_SIZE) {
        u64 *e = kernel_entry(WORK + at, 1);
        if (e && *e) {
            kpage_free(*e & XOK_PTE_ADDR);
            *e = 0;
            tlb_flush_page(WORK + at);
        }
    }
}

static bool work_map(u64 len)
{
    for (u64 at = 0; at < len; at += XOK_PAGE_SIZE) {
        u64 *e = kernel_entry(WORK + at, 1), pa = e ? kpage_alloc() : 0;
        if (!pa) {
            work_unmap(at);
            return false;
        }
        *e = pa | XOK_PTE_P | XOK_PTE_W | XOK_PTE_NX;
        tlb_flush_page(WORK + at);
    }
    return true;
}

static u64 round16(u64 n)
{
    return (n + 15) & ~15ul;
}

// In the working memory: a copy of the source (it may be memory that its owner changes meanwhile), what
// code_load needs, the machine code before it is moved.
s64 code_install(const struct code_abi *abi, const struct code_source *source, struct code_program *program,
                 struct code_error *error)
{
    *error = (struct code_error){0, "longer than 4096 instructions, or more than 64 KiB of read-only data"};
    if (!source->count || source->count > CODE_KERNEL_INSNS_MAX || source->rodata_len > 65536)
        return XOK_E_ARG;
    u64 insns = 8ul * source->count, need = code_work_size(source);
    u64 at_work = round16(round16(insns) + source->rodata_len), at_code = at_work + need, total = at_code;
    if (total > WORK_MAX || !work_map(total))
        return XOK_E_NOMEM;
    struct code_source copy = {(u64 *)WORK, source->count, (u8 *)WORK + round16(insns), source->rodata_len};
    memcpy((void *)copy.insns, source->insns, insns);
    if (source->rodata_len)
        memcpy((void *)copy.rodata, source->rodata, source->rodata_len);
    s64 r = XOK_E_ARG;
    u32 units, first;
    if (code_work_size(&copy) > need || code_load(abi, &copy, (u8 *)WORK + at_work, need, program, error))
        goto out;
    r = XOK_E_NOMEM;
    units = (program->size + UNIT - 1) / UNIT, first = units_find(units);
    u64 size = program->size, more = ((at_code + size + 4095) & ~4095ul) - ((at_code + 4095) & ~4095ul);
    if (first == UNITS || at_code + size > WORK_MAX)
        goto out;
    for (u64 at = (at_code + 4095) & ~4095ul, end = at + more; at < end; at += XOK_PAGE_SIZE) {
        u64 *e = kernel_entry(WORK + at, 1), pa = e ? kpage_alloc() : 0;
        if (!pa)
            goto out;
        *e = pa | XOK_PTE_P | XOK_PTE_W | XOK_PTE_NX;
        tlb_flush_page(WORK + at);
        total = at + XOK_PAGE_SIZE;
    }
    u8 *code = (u8 *)WORK + at_code;
    if (code_emit((u8 *)WORK + at_work, &copy, code, size, TEXT + first * UNIT, program, error))
        panic("downloaded code: %s", error->reason);
    text_write(first * UNIT, code, size);
    units_mark(first, units, true);
    program->origins = NULL;
    *error = (struct code_error){0, NULL};
    r = 0;
out:
    work_unmap(total);
    return r;
}

void code_remove(struct code_program *program)
{
    u64 at = (u64)program->text - TEXT;
    units_mark(at / UNIT, (program->size + UNIT - 1) / UNIT, false);
    program->text = NULL;
}

struct code_result code_call(const struct code_program *program, const struct code_region *regions, u32 count,
                             u64 fuel)
{
    return code_run(program, regions, count, fuel, &frames[this_cpu()->index]);
}
