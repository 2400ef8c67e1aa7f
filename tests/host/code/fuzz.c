// Compiled code against the interpreter, in a guarded arena. With libFuzzer (make fuzz), or alone: fuzz COUNT
// [SEED] generates that many programs from a seed, the same ones every time.
#include "generate.h"

static struct arena arena;

int LLVMFuzzerTestOneInput(const u8 *data, size_t size);
int LLVMFuzzerTestOneInput(const u8 *data, size_t size)
{
    if (!arena.work)
        arena_init(&arena);
    generate_and_run(&arena, data, size);
    return 0;
}

#ifndef LIBFUZZER
int main(int argc, char **argv)
{
    u64 count = argc > 1 ? strtoul(argv[1], NULL, 0) : 500000,
        seed = argc > 2 ? strtoul(argv[2], NULL, 0) : 1;
    u64 accepted = 0;
    static u8 data[1024];
    arena_init(&arena);
    for (u64 n = 0; n < count; n++) {
        u64 x = (seed + n) * 0x9e3779b97f4a7c15ul + 1;
        for (u32 k = 0; k < sizeof data; k += 8) {
            x ^= x << 13, x ^= x >> 7, x ^= x << 17;
            u64 v = x * 0x2545f4914f6cdd1dul;
            memcpy(data + k, &v, 8);
        }
        accepted += generate_and_run(&arena, data, sizeof data);
    }
    printf("%lu programs, %lu accepted and run on both\n", count, accepted);
    printf("%d passed, %d failed\n", accepted > count / 4, accepted <= count / 4);
    return accepted <= count / 4;
}
#endif
