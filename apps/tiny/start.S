# A native program begins here, without a stack.
        .section .text.start, "ax"
        .globl  _start
_start: lea     stack_top(%rip), %rsp
        xor     %ebp, %ebp
        call    tiny_begin
        ud2
        .bss
        .balign 4096
        .space  32768
stack_top:
        .section .note.GNU-stack, "", @progbits
