// Downloaded code on the host: compiled into memory that is executable.
#include <sys/mman.h>
#include <stdlib.h>
#include <string.h>
#include "xok/error.h"
#include "code/code.h"

s64 code_install(const struct code_abi *abi, const struct code_source *source,
                 struct code_program *program, struct code_error *error)
{
    u64 need = code_work_size(source);
    void *work = need ? aligned_alloc(16, (need + 15) & ~15ul) : NULL;
    s32 r = work ? code_load(abi, source, work, need, program, error) : -1;
    program->text = NULL;
    if (!r) {
        u32 size = program->size;
        void *text = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (code_emit(work, source, text, size, (u64)text, program, error))
            abort();
        mprotect(text, size, PROT_READ | PROT_EXEC);
        program->text = text;
    }
    free(work);
    return r ? XOK_E_ARG : 0;
}

void code_remove(struct code_program *program)
{
    munmap((void *)program->text, program->size);
    program->text = NULL;
}

struct code_result code_call(const struct code_program *program, const struct code_region *regions,
                             u32 count, u64 fuel)
{
    static struct code_frame frame;
    return code_run(program, regions, count, fuel, &frame);
}
