#define _GNU_SOURCE
#include <signal.h>
#include <ucontext.h>
#include "count.h"

enum { TRAP_FLAG = 0x100 };
static u64 text, text_end;
static volatile u64 steps;

// Before each instruction while the trap flag is set, which ends once the code has been left.
static void step(int signal, siginfo_t *info, void *context)
{
    (void)signal, (void)info;
    greg_t *r = ((ucontext_t *)context)->uc_mcontext.gregs;
    if ((u64)r[REG_RIP] >= text && (u64)r[REG_RIP] < text_end)
        steps++;
    else if (steps)
        r[REG_EFL] &= ~TRAP_FLAG;
}

u64 count_run(const struct code_program *program, const struct code_region *regions, u32 count, u64 fuel,
              struct code_frame *frame, struct code_result *result)
{
    struct sigaction action = {.sa_sigaction = step, .sa_flags = SA_SIGINFO}, before;
    text = (u64)program->text, text_end = text + program->size, steps = 0;
    sigaction(SIGTRAP, &action, &before);
    __asm__ volatile("pushfq; orq $0x100, (%%rsp); popfq" ::: "memory", "cc");
    *result = code_run(program, regions, count, fuel, frame);
    sigaction(SIGTRAP, &before, NULL);
    return steps;
}
