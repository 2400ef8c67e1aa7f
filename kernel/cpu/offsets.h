// Where entry.S finds fields; asserted in cpu.c.
#ifndef XOK_OFFSETS_H
#define XOK_OFFSETS_H
#define CPU_STACK 8
#define CPU_USER_RSP 16
#define CPU_ENV 24
#define CPU_BOUNCES 32
#define CPU_INFO 40
#define CPU_SPACE 48
#define CPU_IST_USER 56
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
#define ENV_FSBASE (ENV_REGS + 144)
#define ENV_GSBASE (ENV_REGS + 152)
#define ENV_CALLEE 192
#define ENV_SERVING 200
#define ENV_PCT_ENTRY 208
#define ENV_PCT_STACK 216
#define ENV_GATE 224
#define ENV_DEPTH 225
#define ENV_GATE_OPEN 226
#define ENV_ID 228
#define ENV_INFO 232
#define ENV_SPACE 240
#define ENV_EXC_TOP 248
#define ENV_RUNNING_ON 256
#define ENV_PENDING 264
#define INFO_STATE 4
#define CTL_BOUNCE_RIP 8
#define CTL_BOUNCE_RFLAGS 16
#define CALL_MAX 128
#define PCT_CALL 128 // these do not go through the table: all registers are the message
#define PCT_REPLY 129
#define PCT_POST 130
#define ENV_MAX 16384
#define PCT_DEPTH 8 // XOK_PCT_DEPTH
#define STATE_READY 2
#define STATE_CALLING 6
#define STATE_GATE 5
#endif
