// What a PVH loader hands over (Xen's start_info ABI, version 1).
#ifndef XOK_START_INFO_H
#define XOK_START_INFO_H
#include "xok/types.h"
#define START_INFO_MAGIC 0x336ec578u
struct start_info {
    u32 magic, version, flags, modules;
    u64 module_list, cmdline, rsdp, memmap;
    u32 memmap_entries, reserved;
};
struct start_module {
    u64 addr, size, cmdline, reserved;
};
struct start_memory {
    u64 addr, size;
    u32 type, reserved; // type 1: RAM
};
#endif
