// Copies and fills. 32 bytes at a time where the processor has AVX (avx_ok), else 8. The program's vector
// registers are saved around: ExOS itself never uses them.
        .text
.macro SAVE_YMM
        push    %rbp
        mov     %rsp, %rbp
        sub     $128, %rsp
        vmovdqu %ymm0, -32(%rbp)
        vmovdqu %ymm1, -64(%rbp)
        vmovdqu %ymm2, -96(%rbp)
        vmovdqu %ymm3, -128(%rbp)
.endm
.macro LOAD_YMM
        vmovdqu -32(%rbp), %ymm0
        vmovdqu -64(%rbp), %ymm1
        vmovdqu -96(%rbp), %ymm2
        vmovdqu -128(%rbp), %ymm3
        leave
.endm
.macro MOVE128 at
        vmovdqu \at(%rsi,%rcx), %ymm0
        vmovdqu \at+32(%rsi,%rcx), %ymm1
        vmovdqu \at+64(%rsi,%rcx), %ymm2
        vmovdqu \at+96(%rsi,%rcx), %ymm3
        vmovdqu %ymm0, \at(%rdi,%rcx)
        vmovdqu %ymm1, \at+32(%rdi,%rcx)
        vmovdqu %ymm2, \at+64(%rdi,%rcx)
        vmovdqu %ymm3, \at+96(%rdi,%rcx)
.endm

// page_copy(to, from)
        .globl  page_copy
page_copy:
        cmpb    $0, avx_ok(%rip)
        je      1f
        SAVE_YMM
        add     $4096, %rdi
        add     $4096, %rsi
        mov     $-4096, %rcx
2:      MOVE128 0
        MOVE128 128
        MOVE128 256
        MOVE128 384
        add     $512, %rcx
        jnz     2b
        LOAD_YMM
        ret
1:      mov     $512, %ecx
        rep movsq
        ret

// page_zero(page)
        .globl  page_zero
page_zero:
        cmpb    $0, avx_ok(%rip)
        je      1f
        sub     $40, %rsp
        vmovdqu %ymm0, (%rsp)
        vpxor   %xmm0, %xmm0, %xmm0
        mov     $8, %ecx
2:
        .irp    at, 0,32,64,96,128,160,192,224,256,288,320,352,384,416,448,480
        vmovdqu %ymm0, \at(%rdi)
        .endr
        add     $512, %rdi
        dec     %ecx
        jnz     2b
        vmovdqu (%rsp), %ymm0
        add     $40, %rsp
        ret
1:      xor     %eax, %eax
        mov     $512, %ecx
        rep stosq
        ret

// vectors_copy(to, from, n), vectors_zero(to, n): n a multiple of 128, not 0; with AVX only
        .globl  vectors_copy
vectors_copy:
        SAVE_YMM
        add     %rdx, %rdi
        add     %rdx, %rsi
        neg     %rdx
        mov     %rdx, %rcx
2:      MOVE128 0
        sub     $-128, %rcx
        jnz     2b
        LOAD_YMM
        ret

        .globl  vectors_zero
vectors_zero:
        sub     $40, %rsp
        vmovdqu %ymm0, (%rsp)
        vpxor   %xmm0, %xmm0, %xmm0
        add     %rsi, %rdi
        neg     %rsi
2:      vmovdqu %ymm0, (%rdi,%rsi)
        vmovdqu %ymm0, 32(%rdi,%rsi)
        vmovdqu %ymm0, 64(%rdi,%rsi)
        vmovdqu %ymm0, 96(%rdi,%rsi)
        sub     $-128, %rsi
        jnz     2b
        vmovdqu (%rsp), %ymm0
        add     $40, %rsp
        ret

// Everything from here to uaccess_end may touch program memory; a fault that cannot be served goes to
// uaccess_fail with rsp as in the routine. r11 = 1 while vector registers are saved at rbp.
        .globl  uaccess_begin
uaccess_begin:
// uaccess_copy(to, from, n) -> 0 or -EFAULT
        .globl  uaccess_copy
uaccess_copy:
        xor     %r11d, %r11d
        cmp     $128, %rdx
        jb      3f
        cmpb    $0, avx_ok(%rip)
        je      3f
        SAVE_YMM
        mov     $1, %r11d
        mov     %rdx, %rcx
        and     $-512, %rcx
        jz      9f
        add     %rcx, %rdi
        add     %rcx, %rsi
        neg     %rcx
2:      MOVE128 0
        MOVE128 128
        MOVE128 256
        MOVE128 384
        add     $512, %rcx
        jnz     2b
9:      and     $511, %edx
        xor     %ecx, %ecx
        cmp     $128, %edx
        jb      8f
1:      MOVE128 0
        add     $128, %rdi
        add     $128, %rsi
        sub     $128, %edx
        cmp     $128, %edx
        jae     1b
8:      LOAD_YMM
        xor     %r11d, %r11d
3:      sub     $32, %rdx
        jb      4f
2:      mov     (%rsi), %rcx
        mov     8(%rsi), %rax
        mov     16(%rsi), %r8
        mov     24(%rsi), %r9
        mov     %rcx, (%rdi)
        mov     %rax, 8(%rdi)
        mov     %r8, 16(%rdi)
        mov     %r9, 24(%rdi)
        add     $32, %rsi
        add     $32, %rdi
        sub     $32, %rdx
        jae     2b
4:      add     $24, %rdx               // 24..-8: bytes left but 8
        js      5f
2:      mov     (%rsi), %rcx
        mov     %rcx, (%rdi)
        add     $8, %rsi
        add     $8, %rdi
        sub     $8, %rdx
        jns     2b
5:      add     $8, %rdx
        jz      7f
6:      mov     (%rsi), %cl
        mov     %cl, (%rdi)
        inc     %rsi
        inc     %rdi
        dec     %edx
        jnz     6b
7:      xor     %eax, %eax
        ret

// uaccess_zero(to, n)
        .globl  uaccess_zero
uaccess_zero:
        xor     %r11d, %r11d
        mov     %rsi, %rcx
        and     $7, %esi
        shr     $3, %rcx
        xor     %eax, %eax
        rep stosq
        mov     %esi, %ecx
        rep stosb
        ret

// uaccess_str(to, from, size) -> length without NUL, size if there is none, or -EFAULT
        .globl  uaccess_str
uaccess_str:
        xor     %r11d, %r11d
        xor     %eax, %eax
        sub     $8, %rdx
        jb      5f
        mov     $-0x0101010101010101, %r8
        mov     $0x8080808080808080, %r9
        // By words, which may reach past the end of the text but never past its page.
1:      lea     (%rsi,%rax), %rcx
        and     $4095, %ecx
        cmp     $4088, %ecx
        ja      5f
        cmp     %rdx, %rax
        ja      5f
        mov     (%rsi,%rax), %rcx
        mov     %rcx, (%rdi,%rax)
        lea     (%rcx,%r8), %r10
        not     %rcx
        and     %rcx, %r10
        and     %r9, %r10
        jnz     4f
        add     $8, %rax
        jmp     1b
4:      bsf     %r10, %r10
        shr     $3, %r10
        add     %r10, %rax
        ret
5:      add     $8, %rdx
1:      cmp     %rdx, %rax
        jae     2f
        mov     (%rsi,%rax), %cl
        mov     %cl, (%rdi,%rax)
        test    %cl, %cl
        jz      2f
        inc     %rax
        jmp     1b
2:      ret

// uaccess_cas(addr, old, new, seen) -> 0 or -EFAULT
        .globl  uaccess_cas
uaccess_cas:
        xor     %r11d, %r11d
        mov     %rcx, %r8
        mov     %esi, %eax
        lock cmpxchg %edx, (%rdi)
        mov     %eax, (%r8)
        xor     %eax, %eax
        ret
        .globl  uaccess_end
uaccess_end:
        .globl  uaccess_fail
uaccess_fail:
        test    %r11d, %r11d
        jz      1f
        LOAD_YMM
1:      mov     $-14, %rax
        ret
        .section .note.GNU-stack, "", @progbits
