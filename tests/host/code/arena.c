#define _GNU_SOURCE
#include <sys/mman.h>
#include <unistd.h>
#include "arena.h"

static u8 *guarded(u64 len)
{
    u8 *p = mmap(NULL, len + 8192, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (p == MAP_FAILED || mprotect(p + 4096, len, PROT_READ | PROT_WRITE))
        abort();
    return p + 4096;
}

void arena_init(struct arena *a)
{
    int fd = memfd_create("text", 0);
    if (fd < 0 || ftruncate(fd, ARENA_TEXT))
        abort();
    a->text_w = mmap(NULL, ARENA_TEXT, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    // Near the program's own text, for calls of helpers.
    a->text_x = mmap((void *)(((u64)arena_init & ~0xffffful) + 0x20000000), ARENA_TEXT, PROT_READ | PROT_EXEC,
                     MAP_SHARED, fd, 0);
    if (a->text_w == MAP_FAILED || a->text_x == MAP_FAILED)
        abort();
    close(fd);
    a->work_len = 1 << 20;
    a->work = malloc(a->work_len);
    for (u32 k = 0; k < ARENA_REGIONS; k++)
        a->slot[k] = guarded(ARENA_ROOM);
    u64 size = (sizeof(struct code_frame) + 4095) & ~4095ul;
    a->frame_slot = guarded(size);
    a->frame = (struct code_frame *)(a->frame_slot + size - sizeof(struct code_frame));
    a->other = aligned_alloc(16, sizeof(struct code_frame));
    memset(a->frame, 0xa5, sizeof *a->frame);
}

u8 *arena_region(struct arena *a, u32 k, u32 len, bool high)
{
    return a->slot[k] + (high ? ARENA_ROOM - len : 0);
}

s32 arena_load(struct arena *a, const struct code_abi *abi, const struct code_source *source,
               struct code_program *program, struct code_error *error)
{
    u64 need = code_work_size(source);
    if (need > a->work_len) {
        a->work_len = need;
        a->work = realloc(a->work, need);
    }
    if (code_load(abi, source, a->work, a->work_len, program, error))
        return -1;
    return code_emit(a->work, source, a->text_w, ARENA_TEXT, (u64)a->text_x, program, error);
}

void arena_print(const struct code_source *source)
{
    char line[128];
    for (u32 at = 0; at < source->count;) {
        u32 n = code_disasm(source, at, line, sizeof line);
        fprintf(stderr, "%4u: %016lx  %s\n", at, source->insns[at], line);
        at += n;
    }
}

static void disagree(const char *what, const struct code_source *source, struct code_result x,
                     struct code_result i)
{
    fprintf(stderr, "%s: compiled: %s at %u, r0 %lx, fuel %lu; interpreted: %s at %u, r0 %lx, fuel %lu\n",
            what, code_status_text(x.status), x.insn, x.value, x.fuel, code_status_text(i.status), i.insn,
            i.value, i.fuel);
    arena_print(source);
    abort();
}

static u32 kind(enum code_status s)
{
    return s == CODE_E_FULL ? CODE_E_MEMORY : s;
}

struct code_result arena_both(struct arena *a, const struct code_program *program, const struct code_abi *abi,
                              const struct code_source *source, const struct code_region *regions, u32 count,
                              u64 fuel)
{
    static u8 copy[ARENA_REGIONS][ARENA_ROOM];
    struct code_region copies[ARENA_REGIONS];
    for (u32 k = 0; k < count; k++) {
        copies[k] = (struct code_region){copy[k], regions[k].len};
        memcpy(copy[k], a->slot[k], ARENA_ROOM);
        copies[k].base = copy[k] + ((u8 *)regions[k].base - a->slot[k]);
    }
    struct code_result x = code_run(program, regions, count, fuel, a->frame);
    struct code_result i = code_interpret(program, abi, source, copies, count, fuel, a->other);
    if (kind(x.status) != kind(i.status))
        disagree("status", source, x, i);
    if (x.status == CODE_OK && (x.value != i.value || x.fuel != i.fuel))
        disagree("result", source, x, i);
    for (u32 k = 0; k < count; k++) {
        u8 *r = regions[k].base;
        u64 before = r - a->slot[k], after = before + regions[k].len;
        if (memcmp(a->slot[k], copy[k], before) ||
            memcmp(a->slot[k] + after, copy[k] + after, ARENA_ROOM - after))
            disagree("memory beside a region", source, x, i);
        if (x.status == CODE_OK && memcmp(r, copies[k].base, regions[k].len))
            disagree("memory", source, x, i);
    }
    for (u32 k = 0; k < count; k++)
        if (a->frame->table[k][0] != CODE_VA(k + 1) || a->frame->len[k + 1] != regions[k].len ||
            a->frame->delta[k + 1] != (u64)regions[k].base - CODE_VA(k + 1))
            disagree("the frame's tables", source, x, i);
    if (x.status > CODE_E_DEPTH)
        disagree("impossible status", source, x, i);
    return x;
}
