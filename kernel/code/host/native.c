#define _GNU_SOURCE
#include <stdlib.h>
#include <sys/mman.h>
#include "native.h"

bool native_load(const struct code_abi *abi, const struct code_source *source, struct code_program *program,
                 struct code_error *error)
{
    u64 need = code_work_size(source);
    void *work = malloc(need + 1);
    bool ok = !code_load(abi, source, work, need, program, error);
    if (ok) {
        u64 size = program->size;
        // Near this program's text, so that helpers are in reach.
        u8 *text = mmap((void *)(((u64)native_load & ~0xffffful) + 0x10000000), size, PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        ok = text != MAP_FAILED && !code_emit(work, source, text, size, (u64)text, program, error) &&
             !mprotect(text, size, PROT_READ | PROT_EXEC);
    }
    free(work);
    program->origins = NULL;
    return ok;
}

void native_free(struct code_program *program)
{
    munmap((void *)program->text, program->size);
}
