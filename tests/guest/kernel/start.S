# A test begins here, as the first environment: rdi, rsi describe the boot module, there is no stack yet.
        .section .text.start, "ax"
        .globl  _start
_start: lea     test_stack_top(%rip), %rsp
        call    test_begin
        ud2
        .bss
        .balign 4096
        .space  65536
test_stack_top:
        .section .note.GNU-stack, "", @progbits
