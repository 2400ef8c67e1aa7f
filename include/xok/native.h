// Programs of the exokernel itself: static ELF files that use its interface and no library OS, or one of
// their own. ExOS starts them beside its processes when their EI_OSABI byte is XOK_NATIVE_OSABI.
//
// A native program begins at its ELF entry, without a stack, its segments mapped, with the capability of a
// name of its own in slot 0 (quotas: XOK_NAMES), a slot of the processor, and in registers
//     rdi = the environment that started it, rsi = 0         (the first environment: info.h).
// It may write: ring_send to rdi, up to 56 bytes of text a message, puts them on the standard output of
// whoever started it. It ends by env_app(0, 0, XOK_NATIVE_EXIT + status), and sleeps: what it has is taken back.
#ifndef XOK_NATIVE_H
#define XOK_NATIVE_H

#define XOK_NATIVE_OSABI 0x58
#define XOK_NATIVE_EXIT 0x100ul

#endif
