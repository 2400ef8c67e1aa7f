// Protected control transfer, the short way: the callee waits at a gate that is open to all, the kernel's
// lock is free, nothing is pending. Anything else goes to env/pct.c with all registers.
//
// From entry.S: rsp = the running environment, rcx = rip, r11 = rflags, kernel GS. rax, rcx, r10, r11 are
// free; all other registers are the message.
#include "cpu/offsets.h"
#include "xok/layout.h"

// From the environment in rsp to the one in rcx. Agrees with env_move.
.macro MOVE
        mov     ENV_RUNNING_ON(%rsp), %eax
        movl    $0, ENV_RUNNING_ON(%rsp)
        mov     %eax, ENV_RUNNING_ON(%rcx)
        mov     %rcx, %gs:CPU_ENV
        mov     ENV_ID(%rcx), %eax
        mov     %gs:CPU_INFO, %r11
        mov     %eax, (%r11)
        mov     ENV_EXC_TOP(%rcx), %rax
        mov     %gs:CPU_IST_USER, %r11
        mov     %rax, (%r11)
        mov     ENV_SPACE(%rcx), %rax
        cmp     %gs:CPU_SPACE, %rax
        je      1f
        mov     %rax, %gs:CPU_SPACE
        mov     %rax, %cr3
1:      swapgs
        rdfsbase %rax
        mov     %rax, ENV_FSBASE(%rsp)
        mov     ENV_FSBASE(%rcx), %rax
        wrfsbase %rax
        rdgsbase %rax
        mov     %rax, ENV_GSBASE(%rsp)
        mov     ENV_GSBASE(%rcx), %rax
        wrgsbase %rax
.endm

.macro TRYLOCK busy
        mov     $1, %eax
        xchg    %eax, kernel_held(%rip)
        test    %eax, %eax
        jnz     \busy
.endm

        .text
        .globl  pct_entry
pct_entry:
        mov     %rcx, ENV_RIP(%rsp)
        mov     %r11, ENV_RFLAGS(%rsp)
        mov     %gs:CPU_USER_RSP, %rcx
        mov     %rcx, ENV_RSP(%rsp)
        cmp     $PCT_CALL, %rax
        jne     reply
        TRYLOCK call_slow
        mov     %r10d, %ecx
        and     $ENV_MAX - 1, %ecx      // the index is inside; the id must be right as a whole
        mov     envs(,%rcx,8), %rcx
        test    %rcx, %rcx
        jz      call_unlock
        mov     ENV_ID(%rcx), %eax
        cmp     %r10, %rax
        jne     call_unlock
        cmpb    $0, ENV_GATE(%rcx)
        je      call_unlock
        movzbl  ENV_DEPTH(%rsp), %eax
        inc     %eax
        cmp     $PCT_DEPTH, %eax
        jae     call_unlock
        mov     %al, ENV_DEPTH(%rcx)
        movb    $0, ENV_GATE(%rcx)
        mov     %rcx, ENV_CALLEE(%rsp)
        mov     %rsp, ENV_SERVING(%rcx)
        mov     ENV_INFO(%rsp), %rax
        movb    $STATE_CALLING, INFO_STATE(%rax)
        mov     ENV_INFO(%rcx), %rax
        movb    $STATE_READY, INFO_STATE(%rax)
        MOVE
        mov     ENV_ID(%rsp), %r10d
        mov     ENV_PCT_STACK(%rcx), %rsp
        mov     ENV_PCT_ENTRY(%rcx), %rcx
        mov     $0x202, %r11d
        xor     %eax, %eax
        movl    $0, kernel_held(%rip)
        sysretq
call_unlock:
        movl    $0, kernel_held(%rip)
call_slow:
        mov     $PCT_CALL, %eax
        jmp     slow

reply:
        cmp     $PCT_REPLY, %rax
        jne     slow
        TRYLOCK reply_slow
        mov     ENV_SERVING(%rsp), %rcx
        test    %rcx, %rcx
        jz      reply_unlock
        cmpq    $0, ENV_PENDING(%rcx)
        jne     reply_unlock
        cmpb    $0, ENV_GATE_OPEN(%rsp) // to all, so that calls may come in the short way
        je      reply_unlock
        movb    $1, ENV_GATE(%rsp)
        movb    $0, ENV_DEPTH(%rsp)
        movq    $0, ENV_CALLEE(%rcx)
        movq    $0, ENV_SERVING(%rsp)
        mov     ENV_INFO(%rsp), %rax
        movb    $STATE_GATE, INFO_STATE(%rax)
        mov     ENV_INFO(%rcx), %rax
        movb    $STATE_READY, INFO_STATE(%rax)
        MOVE
        mov     ENV_RSP(%rcx), %rsp
        mov     ENV_RFLAGS(%rcx), %r11
        mov     ENV_RIP(%rcx), %rcx
        xor     %eax, %eax
        movl    $0, kernel_held(%rip)
        sysretq
reply_unlock:
        movl    $0, kernel_held(%rip)
reply_slow:
        mov     $PCT_REPLY, %eax
slow:
        mov     %rsp, %rcx
        mov     %gs:CPU_STACK, %rsp
        push    $XOK_USER_SS
        push    ENV_RSP(%rcx)
        push    ENV_RFLAGS(%rcx)
        push    $XOK_USER_CS
        push    ENV_RIP(%rcx)
        push    $0
        push    $0
        push    %rdi
        push    %rsi
        push    %rdx
        push    $0
        push    %rax
        push    %r8
        push    %r9
        push    %r10
        push    $0
        push    %rbx
        push    %rbp
        push    %r12
        push    %r13
        push    %r14
        push    %r15
        mov     %rsp, %rdi
        call    pct_trap
        .section .note.GNU-stack, "", @progbits
