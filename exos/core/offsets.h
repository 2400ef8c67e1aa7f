// Where the entry code finds things; asserted against the C structures in thread.c.
#ifndef EXOS_OFFSETS_H
#define EXOS_OFFSETS_H
#define T_STACK 8
#define T_PID 16
#define T_CTL 24
#define T_EXC 32
#define T_REGS 64
#define T_TID 76
#define T_PENDING 96
#define CTL_BOUNCE_RIP 8
#define CTL_BOUNCE_RFLAGS 16
#define CTL_MASK 112
#define REGS_SIZE 168
#define REGS_R14 8
#define REGS_R13 16
#define REGS_R12 24
#define REGS_RBP 32
#define REGS_RBX 40
#define REGS_R11 48
#define REGS_R10 56
#define REGS_R9 64
#define REGS_R8 72
#define REGS_RAX 80
#define REGS_RCX 88
#define REGS_RDX 96
#define REGS_RSI 104
#define REGS_RDI 112
#define REGS_ORIG_RAX 120
#define REGS_RIP 128
#define REGS_RFLAGS 144
#define REGS_RSP 152
#define FRAME_ADDR 8
#define FRAME_ERROR 16
#define FRAME_RIP 24
#define FRAME_RFLAGS 40
#define FRAME_RSP 48
#define LINUX_CALLS 512
#endif
