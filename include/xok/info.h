// Exposed kernel state (thesis 2.2 "expose information"; architecture 3). Read-only, by plain loads.
#ifndef XOK_INFO_H
#define XOK_INFO_H
#include "cap.h"
#include "cpu.h"
#include "env.h"
#include "layout.h"
#include "page.h"

#define XOK_INFO_MAGIC 0x313030304b4f58ul // "XOK0001"

enum xok_entry_cause { // counts of kernel entries
    XOK_ENTRY_CALL,    // system calls of the kernel
    XOK_ENTRY_BOUNCE,  // syscall instructions sent back to the library
    XOK_ENTRY_FAULT,   // page faults delivered
    XOK_ENTRY_TIMER,
    XOK_ENTRY_DEVICE,
    XOK_ENTRY_IPI,
    XOK_ENTRY_OTHER,
    XOK_ENTRY_COUNT,
};

struct xok_cpu_info {
    u32 env;        // running environment, 0 when idle
    u32 slot;       // position in the slot vector
    u32 runnable;   // slots whose environment could run now, besides the one that runs
    u32 pad;
    u64 idle_tsc;   // ticks spent halted, before this time
    u64 idle_since; // TSC when it halted, 0 while it works
    u64 entries[XOK_ENTRY_COUNT];
    u64 upcalls[XOK_UP_COUNT];
    u64 switches;   // environment switches
    u64 space_switches; // loads of CR3
    u64 tlb_flushes;    // entries or all, local
    u64 shootdowns;     // sent to other processors
};

// A console port: bytes between the machine and its keeper (docs/console.md).
#define XOK_CON_PORTS 4 // 0 standard input, 1 standard output, 2 standard error, 3 control
struct xok_con_info {
    u64 rx_seq;   // grows when bytes have arrived, or the host end changed
    u64 tx_seq;   // grows when room has become free
    u32 rx_bytes; // waiting to be read
    u32 tx_room;  // free for con_write
    u32 open;     // host end is open
    u32 pad;
};

struct xok_info {
    u64 magic;
    u32 version;      // 1
    u32 cpu_count;
    u64 page_count;   // entries at XOK_PAGES_VA
    u64 pages_free;
    u64 pages_peak;   // most pages in use since boot
    u32 free_head;    // first free page (list through page_info.next), 0 if none
    u32 env_high;     // env infos at and above this index were never used
    u32 name_high;
    u32 env_count;
    // Clock: nanoseconds since machine start = ((u128)(rdtsc) * tsc_mult) >> 32.
    u64 tsc_mult;
    u64 boot_epoch_ns; // CLOCK_REALTIME at TSC 0
    u64 cpu_features;  // XOK_CPU_*
    u64 xsave_size;    // bytes of a full XSAVE area; 512 without XSAVE
    u64 module_ppn, module_pages; // the boot module
    struct xok_con_info con[XOK_CON_PORTS];
    struct xok_cpu_info cpu[XOK_CPU_MAX];
};

#define XOK_CPU_FSGSBASE 1ul // rdfsbase and friends work in ring 3
#define XOK_CPU_AVX 2ul      // AVX state enabled in XCR0
#define XOK_CPU_XSAVE 4ul
#define XOK_CPU_PKU 8ul
#define XOK_CPU_GB_PAGES 16ul
#define XOK_CPU_AVX2 32ul
#define XOK_CPU_SMEP 64ul
#define XOK_CPU_SMAP 128ul
#define XOK_CPU_RDRAND 256ul
#define XOK_CPU_ERMS 512ul
#define XOK_CPU_AVX512 1024ul

#define XOK_INFO ((const volatile struct xok_info *)XOK_INFO_VA)
#define XOK_ENVS ((const volatile struct xok_env_info *)XOK_ENVS_VA)
#define XOK_PAGES ((const volatile struct xok_page_info *)XOK_PAGES_VA)
#define XOK_NAMES ((const volatile struct xok_name_info *)XOK_NAMES_VA)

// The boot module handed over by the machine's loader: one page of header, then page-aligned parts.
#define XOK_BOOT_MAGIC 0x31544f4f424b4f58ul // "XOKBOOT1"
struct xok_boot_header {
    u64 magic;
    u64 exec_off, exec_size; // ELF64 of the first environment; segments page-aligned
    u64 data_off, data_size; // for the first environment; the kernel does not look
};
// The first environment starts at its ELF entry with rdi = module_ppn, rsi = module_pages,
// rsp = 0, capability slot 0 = the root with all rights, slots on processor 0. Its ELF segments
// and nothing else are mapped (text and rodata straight from the module, writable ones copied).

#endif
