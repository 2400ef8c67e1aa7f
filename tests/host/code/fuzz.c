// Compiled code against the interpreter, in a guarded arena. With libFuzzer (make fuzz), or alone:
// fuzz COUNT [SEED] generates that many programs from a seed, the same ones every time; fuzz
// --corpus DIR takes the inputs that libFuzzer found, and says whether they still reach what they
// were kept for.
#include <dirent.h>
#include "generate.h"

static struct arena arena;

int LLVMFuzzerTestOneInput(const u8 *data, size_t size);
int LLVMFuzzerTestOneInput(const u8 *data, size_t size)
{
    if (!arena.work)
        arena_init(&arena);
    struct code_result result;
    generate_and_run(&arena, data, size, &result);
    return 0;
}

#ifndef LIBFUZZER
static void count_opcodes(const u8 *data, size_t size, bool seen[256])
{
    static struct generated g;
    generate(&g, &(struct bytes){data, size});
    for (u32 k = 0; k < g.source.count; k++) {
        struct insn i;
        memcpy(&i, &g.insns[k], sizeof i);
        seen[i.op] = true;
        k += i.op == LDDW;
    }
}

static int replay(const char *path)
{
    static u8 data[1 << 16];
    u32 inputs = 0, accepted = 0, opcodes = 0, ends[CODE_E_DEPTH + 1] = {0};
    bool seen[256] = {0};
    DIR *dir = opendir(path);
    for (struct dirent *e; dir && (e = readdir(dir));) {
        char name[512];
        snprintf(name, sizeof name, "%s/%s", path, e->d_name);
        FILE *f = e->d_name[0] == '.' ? NULL : fopen(name, "rb");
        if (!f)
            continue;
        size_t size = fread(data, 1, sizeof data, f);
        fclose(f);
        inputs++;
        struct code_result result;
        if (!generate_and_run(&arena, data, size, &result))
            continue;
        accepted++;
        ends[result.status]++;
        count_opcodes(data, size, seen);
    }
    if (dir)
        closedir(dir);
    for (u32 k = 0; k < 256; k++)
        opcodes += seen[k];
    printf("%u inputs, %u accepted and run on both, with %u opcodes:", inputs, accepted, opcodes);
    for (u32 k = 0; k <= CODE_E_DEPTH; k++)
        if (ends[k])
            printf(" %u %s;", ends[k], code_status_text(k));
    bool rich = inputs >= 200 && accepted >= inputs / 2 && opcodes >= 119 && ends[CODE_OK] &&
                ends[CODE_E_MEMORY] && ends[CODE_E_FULL] && ends[CODE_E_FUEL] && ends[CODE_E_DEPTH];
    printf("\n%d passed, %d failed\n", rich, !rich);
    return !rich;
}

int main(int argc, char **argv)
{
    u64 count = argc > 1 ? strtoul(argv[1], NULL, 0) : 500000,
        seed = argc > 2 ? strtoul(argv[2], NULL, 0) : 1;
    u64 accepted = 0;
    static u8 data[1024];
    arena_init(&arena);
    if (argc == 3 && !strcmp(argv[1], "--corpus"))
        return replay(argv[2]);
    for (u64 n = 0; n < count; n++) {
        u64 x = (seed + n) * 0x9e3779b97f4a7c15ul + 1;
        for (u32 k = 0; k < sizeof data; k += 8) {
            x ^= x << 13, x ^= x >> 7, x ^= x << 17;
            u64 v = x * 0x2545f4914f6cdd1dul;
            memcpy(data + k, &v, 8);
        }
        struct code_result result;
        accepted += generate_and_run(&arena, data, sizeof data, &result);
    }
    printf("%lu programs, %lu accepted and run on both\n", count, accepted);
    printf("%d passed, %d failed\n", accepted > count / 4, accepted <= count / 4);
    return accepted <= count / 4;
}
#endif
