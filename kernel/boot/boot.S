// Entry from the PVH loader: 32-bit, flat, paging off, ebx = physical address of hvm_start_info.
// Builds identity, direct and kernel maps of the first GiB and goes to 64-bit C.
#define PHYS(x) ((x) - 0xffffffff80000000)

        .section .note.pvh, "a"
        .balign 4
        .long   4, 8, 18                // name size, desc size, XEN_ELFNOTE_PHYS32_ENTRY
        .asciz  "Xen"
        .quad   PHYS(pvh_start)

        .section .boot, "ax"
        .code32
        .globl  pvh_start
pvh_start:
        cld
        mov     $PHYS(boot_pd), %edi    // 512 leaves of 2 MiB
        mov     $0x83, %eax
1:      mov     %eax, (%edi)
        movl    $0, 4(%edi)
        add     $0x200000, %eax
        add     $8, %edi
        cmp     $PHYS(boot_pd) + 4096, %edi
        jb      1b
        movl    $PHYS(boot_pd) + 3, PHYS(boot_pdpt_low)
        movl    $PHYS(boot_pd) + 3, PHYS(boot_pdpt_high) + 510 * 8
        movl    $PHYS(boot_pdpt_low) + 3, PHYS(boot_pml4)
        movl    $PHYS(boot_pdpt_low) + 3, PHYS(boot_pml4) + 256 * 8
        movl    $PHYS(boot_pdpt_high) + 3, PHYS(boot_pml4) + 511 * 8
        mov     $PHYS(boot_stack_top), %esp
        call    enter_long
        // does not return here: enter_long leaves for long_bsp through the far jump below

// Turns on long mode with the tables at boot_pml4. Shared with the other processors' trampoline.
        .globl  enter_long
enter_long:
        mov     %cr4, %eax
        or      $0x20, %eax             // PAE
        mov     %eax, %cr4
        mov     $PHYS(boot_pml4), %eax
        mov     %eax, %cr3
        mov     $0xc0000080, %ecx       // EFER: SCE, LME, NXE
        rdmsr
        or      $0x901, %eax
        wrmsr
        mov     $0x80050033, %eax       // PG AM WP NE ET MP PE
        mov     %eax, %cr0
        lgdt    PHYS(boot_gdt_pointer)
        ljmp    $0x08, $PHYS(long_bsp)

        .code64
long_bsp:
        movabs  $boot_stack_top, %rsp
        xor     %eax, %eax
        mov     %eax, %ds
        mov     %eax, %es
        mov     %eax, %ss
        mov     %eax, %fs
        mov     %eax, %gs
        mov     %ebx, %edi
        movabs  $kernel_main, %rax
        xor     %ebp, %ebp
        call    *%rax
1:      hlt
        jmp     1b

        .balign 16
        .globl  boot_gdt
boot_gdt:
        .quad   0
        .quad   0x00af9a000000ffff      // 64-bit code
        .quad   0x00cf92000000ffff      // data
boot_gdt_pointer:
        .word   23
        .long   PHYS(boot_gdt)

        .bss
        .balign 4096
        .globl  boot_pml4, boot_pdpt_low
boot_pml4:      .space 4096
boot_pdpt_low:  .space 4096
boot_pdpt_high: .space 4096
boot_pd:        .space 4096
        .space  16384
        .globl  boot_stack_top
boot_stack_top:
