// Protected control transfer: a procedure call between environments (thesis 3.4).
//
// An environment that waits at its gate (pct_reply with nobody to reply to) is entered at entry[XOK_UP_PCT],
// on the upper end of its upcall stack's lower half, in its own address space, with its own FS and GS bases:
// atomically, and with every register of the caller as it was, but
//     rax = 0, r10 = the caller's id, rcx and r11 = garbage, rsp = the callee's, rflags = 0x202.
// Floating-point registers are part of the message, too. It ends with pct_reply, which takes its registers
// to the caller in the same way (rax = 0; rsp, rip and rflags are the caller's own), and waits again.
//
// pct_call is synchronous: the caller's slices, the present one and those to come, are the callee's until
// it replies; time is charged to the caller. pct_post gives what is left of this slice and expects no reply:
// the callee needs slots of its own to finish in if the slice does not suffice.
// Who may come in: pct_gate. Refusals leave all registers but rax, rcx and r11 as they were:
//     XOK_E_ENV no such environment, or it has died since it was called (other registers are then lost)
//     XOK_E_CAP its gate is closed for the caller's name, or it has no entry point
//     XOK_E_AGAIN it is not at its gate
//     XOK_E_FULL  XOK_PCT_DEPTH calls within each other
// Default library call: libxok/pct.h. Cost of a call with its reply: tests/guest/kernel/cost.c.
#ifndef XOK_PCT_H
#define XOK_PCT_H
#include "types.h"

#define XOK_PCT_CALL 128  // rax; r10 = target
#define XOK_PCT_REPLY 129 // rax
#define XOK_PCT_POST 130  // rax; r10 = target
#define XOK_PCT_DEPTH 8

// Message rings, for those who do not want to wait for each other: one page of the receiver's, pinned. The
// kernel fills slot `tail % XOK_RING_SLOTS` if its `from` is 0, wakes the receiver, and the receiver empties
// it by storing 0 in `from`.
#define XOK_RING_WORDS 7
#define XOK_RING_SLOTS 64
struct xok_message {
    u32 from; // sender's id; written last
    u32 name; // and the name that owns it
    u64 word[XOK_RING_WORDS];
};

#endif
