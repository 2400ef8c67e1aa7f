        .section .rodata
        .balign 64
        .globl  vdso_image
vdso_image:
        .incbin "build/exos/vdso.so", 0, 4096
        .section .note.GNU-stack, "", @progbits
