// Other processors start in real mode at a page below 1 MiB, where this is copied; from there to long
// mode on the kernel's tables, then to ap_main(index) on a stack of their own. One starts at a time.
#define HERE(x) ((x) - ap_start + 0x8000)

        .section .rodata
        .code16
        .globl  ap_start, ap_end
ap_start:
        cli
        cld
        xor     %ax, %ax
        mov     %ax, %ds
        lgdtl   HERE(gdt_pointer)
        mov     %cr0, %eax
        or      $1, %eax
        mov     %eax, %cr0
        ljmpl   $0x18, $HERE(ap32)
        .code32
ap32:
        mov     $0x10, %ax
        mov     %ax, %ds
        mov     %ax, %ss
        mov     %cr4, %eax
        or      $0x20, %eax
        mov     %eax, %cr4
        mov     HERE(ap_cr3), %eax
        mov     %eax, %cr3
        mov     $0xc0000080, %ecx
        rdmsr
        or      $0x901, %eax
        wrmsr
        mov     $0x80050033, %eax
        mov     %eax, %cr0
        ljmp    $0x08, $HERE(ap64)
        .code64
ap64:
        mov     HERE(ap_stack), %rsp
        mov     HERE(ap_index), %edi
        mov     HERE(ap_entry), %rax
        xor     %ebp, %ebp
        call    *%rax
1:      hlt
        jmp     1b
        .balign 16
gdt:    .quad   0
        .quad   0x00af9a000000ffff
        .quad   0x00cf92000000ffff
        .quad   0x00cf9a000000ffff
gdt_pointer:
        .word   31
        .long   HERE(gdt)
        .balign 8
        .globl  ap_cr3, ap_stack, ap_index, ap_entry
ap_cr3:         .quad 0
ap_stack:       .quad 0
ap_entry:       .quad 0
ap_index:       .quad 0
ap_end:
