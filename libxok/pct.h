// Calls of other environments by protected control transfer (include/xok/pct.h).
//
//     s64 r = pct_call(server, m);       // m[0..5] go there and come back
//
// A server opens its gate (xok_pct_gate), has `pct_entry` as its entry[XOK_UP_PCT] and calls pct_serve();
// from then on it exists as pct_method(caller, m), run on the upcall stack once for every call.
#ifndef LIBXOK_PCT_H
#define LIBXOK_PCT_H
#include "xok/pct.h"

// Everything but the stack pointer may come back changed: the callee is not trusted to keep registers.
static inline s64 pct_transfer(u64 number, u32 target, u64 m[6])
{
    register u64 nr __asm__("rax") = number;
    register u64 r10 __asm__("r10") = target;
    register u64 a __asm__("rdi") = m[0], b __asm__("rsi") = m[1], c __asm__("rdx") = m[2];
    register u64 d __asm__("r8") = m[3], e __asm__("r9") = m[4], f __asm__("r12") = m[5];
    __asm__ volatile("lea -128(%%rsp), %%rsp\n" // past a red zone
                     "push %%rbx\n push %%rbp\n"
                     "syscall\n"
                     "pop %%rbp\n pop %%rbx\n"
                     "lea 128(%%rsp), %%rsp"
                     : "+r"(nr), "+r"(r10), "+r"(a), "+r"(b), "+r"(c), "+r"(d), "+r"(e), "+r"(f)
                     : : "rcx", "r11", "r13", "r14", "r15", "memory", "cc");
    m[0] = a, m[1] = b, m[2] = c, m[3] = d, m[4] = e, m[5] = f;
    return nr;
}

static inline s64 pct_call(u32 target, u64 m[6]) { return pct_transfer(XOK_PCT_CALL, target, m); }
static inline s64 pct_post(u32 target, u64 m[6]) { return pct_transfer(XOK_PCT_POST, target, m); }

// To the gate. Returns only where an upcall came meanwhile (XOK_E_AGAIN): call it again.
static inline s64 pct_serve(void)
{
    s64 r;
    __asm__ volatile("syscall" : "=a"(r) : "0"((u64)XOK_PCT_REPLY) : "rcx", "r11", "r10", "memory");
    return r;
}

#ifdef PCT_METHOD // defines pct_entry for `void PCT_METHOD(u64 caller, u64 m[6])`
extern u8 pct_entry[];
#define PCT_STR(x) #x
#define PCT_NAME(x) PCT_STR(x)
__asm__("pct_entry:\n" // on a stack of its own, nothing to keep
        "  push %r12\n  push %r9\n  push %r8\n  push %rdx\n  push %rsi\n  push %rdi\n"
        "  mov %r10, %rdi\n"
        "  mov %rsp, %rsi\n"
        "  and $~15, %rsp\n"
        "  mov %rsi, %rbx\n"
        "  cld\n"
        "  call " PCT_NAME(PCT_METHOD) "\n"
        "  mov %rbx, %rsp\n"
        "  pop %rdi\n  pop %rsi\n  pop %rdx\n  pop %r8\n  pop %r9\n  pop %r12\n"
        "1: mov $129, %eax\n"
        "  syscall\n"
        "  jmp 1b\n");
#endif
#endif
