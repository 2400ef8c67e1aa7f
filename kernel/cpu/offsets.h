// Where entry.S finds fields; asserted in cpu.c.
#ifndef XOK_OFFSETS_H
#define XOK_OFFSETS_H
#define CPU_STACK 8
#define CPU_USER_RSP 16
#define CPU_ENV 24
#define CPU_BOUNCES 32
#define ENV_TEXT_LO 0
#define ENV_TEXT_HI 8
#define ENV_BOUNCE 16
#define ENV_CTL 24
#define ENV_REGS 32
#define ENV_RAX (ENV_REGS + 0)
#define ENV_RBX (ENV_REGS + 8)
#define ENV_RBP (ENV_REGS + 48)
#define ENV_RSP (ENV_REGS + 56)
#define ENV_R12 (ENV_REGS + 96)
#define ENV_R13 (ENV_REGS + 104)
#define ENV_R14 (ENV_REGS + 112)
#define ENV_R15 (ENV_REGS + 120)
#define ENV_RIP (ENV_REGS + 128)
#define ENV_RFLAGS (ENV_REGS + 136)
#define CTL_BOUNCE_RIP 8
#define CTL_BOUNCE_RFLAGS 16
#define CALL_MAX 64
#endif
