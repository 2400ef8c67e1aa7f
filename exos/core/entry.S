// Every way into ExOS and out of it: the user interrupt page, bounced and patched system calls, upcalls.
//
// All ways in build a struct uregs at the top of the thread's ExOS stack. The way out reads that frame
// and nothing else, so an upcall that arrives between `exit_begin` and `exit_end` simply starts it again.
#include "core/offsets.h"
#include "xok/layout.h"

// ---- the user interrupt page: 32 bytes a vector, at XOK_UIDT -------------------------------------
        .section .uidt, "ax"
        .globl  uidt
uidt:
        .set    vector, 0
        .rept   128
        .balign 32
        .if     vector == 0x7e
        jmp     int_entry
        .else
        // Exceptions with an error code push one themselves; give the others a zero.
        .if     !(vector == 8 || (vector >= 10 && vector <= 14) || vector == 17)
        push    $0
        .endif
        push    $vector
        jmp     exception_entry
        .endif
        .set    vector, vector + 1
        .endr
        .balign 4096

// ---- fast calls: no frame, nothing held; an upcall treats them as the program's own code -----------
        .section .text.fast, "ax"
        .globl  fast_getpid
fast_getpid:
        mov     %gs:T_PID, %eax
        jmp     *%rcx

        .text
        .globl  exos_text_begin
exos_text_begin:

.macro PUSH_REGS rcx=%rcx, r11=%r11
        push    %rdi
        push    %rsi
        push    %rdx
        push    \rcx
        push    %rax
        push    %r8
        push    %r9
        push    %r10
        push    \r11
        push    %rbx
        push    %rbp
        push    %r12
        push    %r13
        push    %r14
        push    %r15
.endm

// ---- int $0x7e at a patched site: the frame is on the exception stack --------------------------------
int_entry:
        mov     %rsp, %r11
        mov     %gs:T_STACK, %rsp
        push    $XOK_USER_SS
        push    24(%r11)
        push    16(%r11)
        push    $XOK_USER_CS
        push    (%r11)
        mov     %eax, %ecx
        push    %rcx
        PUSH_REGS (%r11), 16(%r11)
        jmp     call_linux

// ---- a jump from a patched site's stub: rcx is the return address ----------------------------------------
        .globl  jump_entry
jump_entry:
        mov     %rsp, %gs:T_SCRATCH
        mov     %gs:T_STACK, %rsp
        push    $XOK_USER_SS
        push    %gs:T_SCRATCH
        pushf
        push    $XOK_USER_CS
        push    %rcx
        push    %rax
        PUSH_REGS
        jmp     call_linux

// ---- a syscall instruction that the kernel sent back --------------------------------------------------------
        .globl  bounce_entry
bounce_entry:
        mov     %rsp, %gs:T_SCRATCH
        mov     %gs:T_STACK, %rsp
        mov     %gs:T_CTL, %r11
        push    $XOK_USER_SS
        push    %gs:T_SCRATCH
        push    CTL_BOUNCE_RFLAGS(%r11)
        push    $XOK_USER_CS
        push    CTL_BOUNCE_RIP(%r11)
        mov     %eax, %ecx
        push    %rcx
        PUSH_REGS CTL_BOUNCE_RIP(%r11), CTL_BOUNCE_RFLAGS(%r11)
        cld
        mov     %rsp, %gs:T_REGS
        mov     %rsp, %rdi
        call    linux_bounce            // counts, traces, may patch the site
        jmp     1f

call_linux:
        cld
        mov     %rsp, %gs:T_REGS
        cmpb    $0, linux_slow(%rip)    // --strace
        jne     2f
        cmp     $LINUX_CALLS, %eax
        jae     2f
        mov     %eax, %eax
        lea     linux_table(%rip), %r11
        mov     (%r11,%rax,8), %rax
        test    %rax, %rax
        jz      2f
        incq    linux_direct(%rip)
        mov     %r10, %rcx
        call    *%rax
        mov     %rax, REGS_RAX(%rsp)
1:
        .globl  exit_begin
exit_begin:
exit_call:
        cmpl    $0, %gs:T_PENDING
        jne     exit_work
        pop     %r15
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
        add     $8, %rsp                // rcx becomes the return address, as after a syscall instruction
        pop     %rdx
        pop     %rsi
        pop     %rdi
        add     $8, %rsp
        pop     %rcx
        add     $8, %rsp
        popf
        pop     %rsp
        jmp     *%rcx
exit_call_end:

2:      mov     %rsp, %rdi
        call    linux_call
        jmp     exit_call

exit_work:
        mov     %rsp, %rdi
        call    thread_return_work
exit_full:
        cmpl    $0, %gs:T_PENDING
        jne     exit_work
        .globl  exit_full
        pop     %r15
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
        add     $8, %rsp
        iretq
exit_full_end:

// ---- upcall: page fault. rsp -> struct xok_frame on the upcall stack -------------------------------------------
        .globl  fault_entry
fault_entry:
        push    %rax
        push    %rcx
        mov     16+FRAME_RIP(%rsp), %rax
        lea     exos_text_begin(%rip), %rcx
        sub     %rcx, %rax
        lea     16(%rsp), %rcx                  // the frame
        cmp     $exos_text_size, %rax
        jb      fault_inside
        mov     %rcx, %gs:T_SCRATCH
        mov     %gs:T_STACK, %rsp
        push    $XOK_USER_SS
        push    FRAME_RSP(%rcx)
        push    FRAME_RFLAGS(%rcx)
        push    $XOK_USER_CS
        push    FRAME_RIP(%rcx)
        push    $-1
        mov     -8(%rcx), %rax
        PUSH_REGS -16(%rcx)
        mov     %rsp, %gs:T_REGS
        cld
        mov     %rsp, %rdi
        mov     FRAME_ADDR(%rcx), %rsi
        mov     FRAME_ERROR(%rcx), %rdx
        call    fault_program
        jmp     exit_full

// ExOS itself touched program memory (or is wrong): handled on the stack it was using.
fault_inside:
        mov     FRAME_RSP(%rcx), %rsp
        sub     $128, %rsp
        and     $-16, %rsp
        push    $XOK_USER_SS
        push    FRAME_RSP(%rcx)
        push    FRAME_RFLAGS(%rcx)
        push    $XOK_USER_CS
        push    FRAME_RIP(%rcx)
        push    $-1
        mov     -8(%rcx), %rax
        PUSH_REGS -16(%rcx)
        cld
        mov     %rsp, %rdi
        mov     FRAME_ADDR(%rcx), %rsi
        mov     FRAME_ERROR(%rcx), %rdx
        mov     %rsp, %rbp
        and     $-16, %rsp
        call    fault_library
        mov     %rbp, %rsp
        pop     %r15
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
        add     $8, %rsp
        iretq

// ---- upcall: somebody set thread->pending --------------------------------------------------------------------------
        .globl  notify_entry
notify_entry:
        push    %rax
        push    %rcx
        mov     16+FRAME_RIP(%rsp), %rax
        lea     exos_text_begin(%rip), %rcx
        sub     %rcx, %rax
        cmp     $exos_text_size, %rax
        jae     notify_program
        // In ExOS: the exit path will look. If it has already looked, let it look again.
        mov     16+FRAME_RIP(%rsp), %rax
        lea     exit_begin(%rip), %rcx
        cmp     %rcx, %rax
        jb      1f
        lea     exit_call_end(%rip), %rcx
        cmp     %rcx, %rax
        jae     3f
        lea     exit_call(%rip), %rcx
        jmp     4f
3:      lea     exit_full(%rip), %rcx
        cmp     %rcx, %rax
        jb      1f
        lea     exit_full_end(%rip), %rcx
        cmp     %rcx, %rax
        jae     1f
        lea     exit_full(%rip), %rcx
4:      mov     %rcx, 16+FRAME_RIP(%rsp)
        mov     %gs:T_STACK, %rcx
        sub     $REGS_SIZE, %rcx
        mov     %rcx, 16+FRAME_RSP(%rsp)
1:      mov     %gs:T_CTL, %rcx
        movq    $0, CTL_MASK(%rcx)
        pop     %rcx
        pop     %rax
        lea     FRAME_RIP(%rsp), %rsp
        iretq

notify_program:
        lea     16(%rsp), %rcx
        mov     %gs:T_STACK, %rsp
        push    $XOK_USER_SS
        push    FRAME_RSP(%rcx)
        push    FRAME_RFLAGS(%rcx)
        push    $XOK_USER_CS
        push    FRAME_RIP(%rcx)
        push    $-1
        mov     -8(%rcx), %rax
        PUSH_REGS -16(%rcx)
        mov     %rsp, %gs:T_REGS
        mov     %gs:T_CTL, %rcx
        movq    $0, CTL_MASK(%rcx)      // the frame has been read: the next one may come
        cld
        jmp     exit_full

// ---- exceptions: exception stack holds vector, error code, rip, cs, rflags, rsp, ss -------------------------------------
exception_entry:
        push    %rax
        push    %rcx
        mov     32(%rsp), %rax
        lea     exos_text_begin(%rip), %rcx
        sub     %rcx, %rax
        lea     16(%rsp), %rcx
        cmp     $exos_text_size, %rax
        jb      exception_inside
        mov     %gs:T_STACK, %rsp
        push    $XOK_USER_SS
        push    40(%rcx)
        push    32(%rcx)
        push    $XOK_USER_CS
        push    16(%rcx)
        push    $-1
        mov     -8(%rcx), %rax
        PUSH_REGS -16(%rcx)
        mov     %rsp, %gs:T_REGS
        cld
        mov     %rsp, %rdi
        mov     (%rcx), %rsi
        mov     8(%rcx), %rdx
        call    exception_program
        jmp     exit_full

exception_inside:
        mov     (%rcx), %rdi
        mov     16(%rcx), %rsi
        mov     40(%rcx), %rdx
        and     $-16, %rsp
        call    exception_library

// ---- a new thread begins at its program's registers -----------------------------------------------------------------------
        .globl  thread_first
thread_first:
        mov     %gs:T_STACK, %rsp
        sub     $REGS_SIZE, %rsp
        mov     %gs:0, %rdi
        call    thread_fpu_first
        jmp     exit_full

// ---- thread_full_return(regs): leave with every register as in *regs, which is the thread's own frame
        .globl  thread_full_return
thread_full_return:
        mov     %rdi, %rsp
        jmp     exit_full

// ---- the first environment -----------------------------------------------------------------------------------------------------
        .globl  exos_entry
exos_entry:
        lea     boot_stack_top(%rip), %rsp
        call    exos_start

        .globl  exos_text_mark
exos_text_mark:

        .bss
        .balign 4096
        .space  32768
        .globl  boot_stack_top
boot_stack_top:
