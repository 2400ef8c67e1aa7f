// Every way into ExOS and out of it: the user interrupt page, bounced and patched system calls, upcalls.
//
// A program's registers lie in a struct uregs at the top of the thread's ExOS stack (%gs:T_REGS); each way in
// fills what it must. A way out reads that frame (and the processor's own on the exception stack) and changes
// neither, so an upcall that arrives between its label and its `_end` simply starts it again.
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

// ---- the program's registers, at the top of the thread's ExOS stack: rsp points to struct uregs ----------
        .text
        .globl  exos_text_begin
        .set    exos_text_begin, uidt   // who is in a stub there is on the way in

// What a C function may change. A call or a fault that no signal follows needs no more.
.macro SAVE_ARGS
        mov     %rdi, REGS_RDI(%rsp)
        mov     %rsi, REGS_RSI(%rsp)
        mov     %rdx, REGS_RDX(%rsp)
        mov     %r10, REGS_R10(%rsp)
        mov     %r8, REGS_R8(%rsp)
        mov     %r9, REGS_R9(%rsp)
.endm
.macro LOAD_ARGS
        mov     REGS_RDI(%rsp), %rdi
        mov     REGS_RSI(%rsp), %rsi
        mov     REGS_RDX(%rsp), %rdx
        mov     REGS_R10(%rsp), %r10
        mov     REGS_R8(%rsp), %r8
        mov     REGS_R9(%rsp), %r9
.endm
// What C functions keep: still the program's when they have returned.
.macro SAVE_KEPT
        mov     %rbx, REGS_RBX(%rsp)
        mov     %rbp, REGS_RBP(%rsp)
        mov     %r12, REGS_R12(%rsp)
        mov     %r13, REGS_R13(%rsp)
        mov     %r14, REGS_R14(%rsp)
        mov     %r15, 0(%rsp)
.endm
// Where the program goes on, from a frame as the processor pushes it at rip(reg).
.macro SAVE_PLACE reg, at=0, by=%rax
        mov     \at(\reg), \by
        mov     \by, REGS_RIP(%rsp)
        mov     16+\at(\reg), \by
        mov     \by, REGS_RFLAGS(%rsp)
        mov     24+\at(\reg), \by
        mov     \by, REGS_RSP(%rsp)
.endm
// After a syscall instruction rcx and r11 hold these.
.macro SAVE_SYSCALL_LOSS
        mov     REGS_RIP(%rsp), %rcx
        mov     %rcx, REGS_RCX(%rsp)
        mov     REGS_RFLAGS(%rsp), %rcx
        mov     %rcx, REGS_R11(%rsp)
.endm

// ---- int $0x7e at a patched site: the frame stays on the exception stack, which nothing uses meanwhile ------
int_entry:
        mov     %eax, %eax
        cmp     $LINUX_CALLS, %eax
        jae     int_call
        lea     linux_leaf(%rip), %rcx
        jmp     *(%rcx,%rax,8)          // int_call, but for the calls whose answer lies ready

        .globl  int_call, leaf_getpid, leaf_gettid
leaf_gettid:
        mov     %gs:T_TID, %eax
        incq    linux_direct(%rip)
        jmp     leaf_return
leaf_getpid:
        mov     %gs:T_PID, %eax
        incq    linux_direct(%rip)
leaf_return:
        cmpl    $0, %gs:T_PENDING
        jne     leaf_work
        mov     %gs:T_EXC, %rsp
        mov     (%rsp), %rcx
        mov     16(%rsp), %r11
        iretq
leaf_return_end:

int_call:
        mov     %gs:T_REGS, %rsp
        SAVE_ARGS
        mov     %rax, REGS_ORIG_RAX(%rsp)
        cld
        cmp     $LINUX_CALLS, %eax
        jae     1f
        lea     linux_fast(%rip), %r11
        mov     %r10, %rcx
        incq    linux_direct(%rip)
        call    *(%r11,%rax,8)          // what looks at the registers, or is not there, is linux_full
int_return:
        cmpl    $0, %gs:T_PENDING
        jne     int_work
        LOAD_ARGS
        mov     %gs:T_EXC, %rsp
        mov     (%rsp), %rcx
        mov     16(%rsp), %r11
        iretq
int_return_end:
1:      lea     int_return(%rip), %r11
        push    %r11
        jmp     linux_full

leaf_work:
        mov     %gs:T_REGS, %rsp
        SAVE_ARGS
        movq    $-1, REGS_ORIG_RAX(%rsp)
int_work:
        SAVE_KEPT
        mov     %rax, REGS_RAX(%rsp)
        mov     %gs:T_EXC, %rcx
        SAVE_PLACE %rcx
        SAVE_SYSCALL_LOSS
        jmp     exit_work

// A call by the long way: every register in its place. The stack holds where the short way would go back to.
        .globl  linux_full
linux_full:
        pop     %rcx
        SAVE_KEPT
        mov     %gs:T_EXC, %rcx
        SAVE_PLACE %rcx
        SAVE_SYSCALL_LOSS
        mov     %rsp, %rdi
        call    linux_call
        jmp     exit_full

// ---- a syscall instruction that the kernel sent back --------------------------------------------------------
        .globl  bounce_entry
bounce_entry:
        mov     %rsp, %r11
        mov     %gs:T_REGS, %rsp
        SAVE_ARGS
        SAVE_KEPT
        mov     %r11, REGS_RSP(%rsp)
        mov     %eax, %eax
        mov     %rax, REGS_ORIG_RAX(%rsp)
        mov     %gs:T_CTL, %r11
        mov     CTL_BOUNCE_RIP(%r11), %rcx
        mov     %rcx, REGS_RIP(%rsp)
        mov     CTL_BOUNCE_RFLAGS(%r11), %rcx
        mov     %rcx, REGS_RFLAGS(%rsp)
        SAVE_SYSCALL_LOSS
        cld
        mov     %rsp, %rdi
        call    linux_bounce            // counts, traces, may patch the site
        jmp     exit_full

exit_work:
        mov     %rsp, %rdi
        call    thread_return_work
        .globl  exit_full
exit_full:
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
        mov     %gs:T_REGS, %rsp
        SAVE_ARGS
        mov     %r11, REGS_R11(%rsp)
        mov     -8(%rcx), %rax
        mov     %rax, REGS_RAX(%rsp)
        mov     -16(%rcx), %rax
        mov     %rax, REGS_RCX(%rsp)
        SAVE_PLACE %rcx, FRAME_RIP
        movq    $-1, REGS_ORIG_RAX(%rsp)
        cld
        mov     %rsp, %rdi
        mov     FRAME_ADDR(%rcx), %rsi
        mov     FRAME_ERROR(%rcx), %rdx
        call    fault_program
fault_return:
        cmpl    $0, %gs:T_PENDING
        jne     fault_work
        LOAD_ARGS
        mov     REGS_R11(%rsp), %r11
        mov     REGS_RCX(%rsp), %rcx
        mov     REGS_RAX(%rsp), %rax
        add     $REGS_RIP, %rsp
        iretq
fault_return_end:
fault_work:
        SAVE_KEPT
        jmp     exit_work

.macro PUSH_REGS rcx=%rcx
        push    %rdi
        push    %rsi
        push    %rdx
        push    \rcx
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
.endm

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
// A way out that has already looked at `pending` looks again: rax is rip, 16(%rsp) the frame.
.macro AGAIN from, to
        lea     \from(%rip), %rcx
        cmp     %rcx, %rax
        jb      9f
        lea     \to(%rip), %rcx
        cmp     %rcx, %rax
        jae     9f
        lea     \from(%rip), %rcx
        jmp     notify_again
9:
.endm
        .globl  notify_entry
notify_entry:
        push    %rax
        push    %rcx
        mov     16+FRAME_RIP(%rsp), %rax
        lea     exos_text_begin(%rip), %rcx
        sub     %rcx, %rax
        cmp     $exos_text_size, %rax
        jae     notify_program
        mov     16+FRAME_RIP(%rsp), %rax
        AGAIN   int_return, int_return_end
        AGAIN   leaf_return, leaf_return_end
        AGAIN   exit_full, exit_full_end
        AGAIN   fault_return, fault_return_end
        jmp     1f
notify_again:
        mov     %rcx, 16+FRAME_RIP(%rsp)
        mov     %gs:T_REGS, %rcx
        mov     %rcx, 16+FRAME_RSP(%rsp)
1:      mov     %gs:T_CTL, %rcx
        movq    $0, CTL_MASK(%rcx)
        pop     %rcx
        pop     %rax
        lea     FRAME_RIP(%rsp), %rsp
        iretq

notify_program:
        lea     16(%rsp), %rcx
        mov     %gs:T_REGS, %rsp
        SAVE_ARGS
        SAVE_KEPT
        mov     %r11, REGS_R11(%rsp)
        mov     -8(%rcx), %rax
        mov     %rax, REGS_RAX(%rsp)
        mov     -16(%rcx), %rax
        mov     %rax, REGS_RCX(%rsp)
        SAVE_PLACE %rcx, FRAME_RIP
        movq    $-1, REGS_ORIG_RAX(%rsp)
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
        mov     %gs:T_REGS, %rsp
        SAVE_ARGS
        SAVE_KEPT
        mov     %r11, REGS_R11(%rsp)
        mov     -8(%rcx), %rax
        mov     %rax, REGS_RAX(%rsp)
        mov     -16(%rcx), %rax
        mov     %rax, REGS_RCX(%rsp)
        SAVE_PLACE %rcx, 16
        movq    $-1, REGS_ORIG_RAX(%rsp)
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
        mov     %gs:T_REGS, %rsp
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
