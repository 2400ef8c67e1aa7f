// The ways into the kernel and out of it.
#include "cpu/offsets.h"
#include "xok/layout.h"

        .text
// ---- syscall: a call of the kernel, or a Linux call to be sent back to the library -----------------
        .globl  syscall_entry
syscall_entry:
        swapgs
        mov     %rsp, %gs:CPU_USER_RSP
        mov     %gs:CPU_ENV, %rsp
        cmp     ENV_TEXT_LO(%rsp), %rcx
        jbe     bounce
        cmp     ENV_TEXT_HI(%rsp), %rcx
        ja      bounce
        cmp     $CALL_MAX, %rax
        jae     pct_entry               // not of the table: a transfer with all registers, or nothing
        // What a call that gives up the processor must find: everything else is lost by convention.
        mov     %rcx, ENV_RIP(%rsp)
        mov     %r11, ENV_RFLAGS(%rsp)
        mov     %rbx, ENV_RBX(%rsp)
        mov     %rbp, ENV_RBP(%rsp)
        mov     %r12, ENV_R12(%rsp)
        mov     %r13, ENV_R13(%rsp)
        mov     %r14, ENV_R14(%rsp)
        mov     %r15, ENV_R15(%rsp)
        mov     %gs:CPU_USER_RSP, %rcx
        mov     %rcx, ENV_RSP(%rsp)
        mov     %gs:CPU_STACK, %rsp
        mov     %r10, %rcx
        lea     call_table(%rip), %r10
        mov     (%r10,%rax,8), %rax
        test    %rax, %rax
        jz      1f
        call    *%rax
2:      mov     %gs:CPU_ENV, %rdx
call_return:
        mov     ENV_RIP(%rdx), %rcx
        mov     %rcx, %r11
        shr     $47, %r11
        jnz     3f
        mov     ENV_RFLAGS(%rdx), %r11
        mov     ENV_RSP(%rdx), %rsp
        xor     %edx, %edx              // nothing of the kernel's leaves in a register
        xor     %esi, %esi
        xor     %edi, %edi
        xor     %r8d, %r8d
        xor     %r9d, %r9d
        xor     %r10d, %r10d
        swapgs
        sysretq
1:      mov     $-1, %rax               // XOK_E_CALL
        jmp     2b
3:      call    bad_return              // non-canonical rip: sysret would fault in ring 0

bounce:
        mov     ENV_CTL(%rsp), %rsp
        test    %rsp, %rsp
        jz      4f
        mov     %rcx, CTL_BOUNCE_RIP(%rsp)
        mov     %r11, CTL_BOUNCE_RFLAGS(%rsp)
        mov     %gs:CPU_ENV, %rsp
        mov     ENV_BOUNCE(%rsp), %rcx  // checked canonical and user by env_setup
        mov     %gs:CPU_USER_RSP, %rsp
        incq    %gs:CPU_BOUNCES
        swapgs
        sysretq
4:      mov     %gs:CPU_STACK, %rsp     // no library to send it to
        call    bad_bounce

// ---- exceptions and interrupts ------------------------------------------------------------------------
.macro VECTOR n
        .balign 16
        .if     !(\n == 8 || (\n >= 10 && \n <= 14) || \n == 17 || \n == 21 || \n == 29 || \n == 30)
        push    $0
        .endif
        push    $\n
        jmp     trap_common
.endm
        .balign 16
        .globl  vectors
vectors:
        .set    i, 0
        .rept   256
        VECTOR  i
        .set    i, i + 1
        .endr

trap_common:
        push    %rdi
        push    %rsi
        push    %rdx
        push    %rcx
        push    %rax
        push    %r8
        push    %r9
        push    %r10
        push    %r11
        push    %rbx
        push    %rbp
        push    %r12
        push    %r13
        push    %r14
        push    %r15
        cld
        testb   $3, 144(%rsp)           // cs
        jz      1f
        swapgs
1:      mov     %rsp, %rdi
        call    trap
        .globl  trap_return
trap_return:
        testb   $3, 144(%rsp)
        jz      1f
        // A stub that runs on the exception stack may have a null ss, with which iretq would fault here.
        movq    $XOK_USER_SS, 168(%rsp)
        swapgs
1:      pop     %r15
        pop     %r14
        pop     %r13
        pop     %r12
        pop     %rbp
        pop     %rbx
        pop     %r11
        pop     %r10
        pop     %r9
        pop     %r8
        pop     %rax
        pop     %rcx
        pop     %rdx
        pop     %rsi
        pop     %rdi
        add     $16, %rsp
        iretq

// call_resume(env): returns from the call that gave up the processor, or to the upcall pushed on its state.
        .globl  call_resume
call_resume:
        mov     %rdi, %rdx
        mov     ENV_RBX(%rdi), %rbx
        mov     ENV_RBP(%rdi), %rbp
        mov     ENV_R12(%rdi), %r12
        mov     ENV_R13(%rdi), %r13
        mov     ENV_R14(%rdi), %r14
        mov     ENV_R15(%rdi), %r15
        mov     ENV_RAX(%rdi), %rax
        jmp     call_return

// trap_resume(frame): leaves the kernel through a trap frame built by C.
        .globl  trap_resume
trap_resume:
        mov     %rdi, %rsp
        jmp     trap_return

// schedule(): what called it is over, so the next environment starts on an empty stack.
        .globl  schedule
schedule:
        mov     %gs:CPU_STACK, %rsp
        xor     %ebp, %ebp
        call    schedule_next

// ---- idle: waits for an interrupt on this processor's stack, with the lock released by the caller
        .globl  idle_wait
idle_wait:
        sti
        hlt
        cli
        ret

// ---- copies to and from user memory: a fault between begin and end returns -1 ---------------------------
        .globl  user_copy, user_copy_end, user_copy_fail
user_copy:                              // rdi to, rsi from, rdx bytes
        mov     %rdx, %rcx
        shr     $3, %rcx
        rep movsq
        mov     %edx, %ecx
        and     $7, %ecx
        rep movsb
user_copy_end:
        xor     %eax, %eax
        ret
user_copy_fail:
        mov     $-1, %rax
        ret
        .section .note.GNU-stack, "", @progbits
