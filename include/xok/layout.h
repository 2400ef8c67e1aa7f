// The virtual addresses that the kernel fixes. Everything else below XOK_USER_END is the library's.
#ifndef XOK_LAYOUT_H
#define XOK_LAYOUT_H
#include "types.h"

#define XOK_USER_END 0x00007ffffffff000ul // first address an environment may not map

// Self-map: the page tables of the current address space, read-only. The PTE of va is at
// XOK_PTE(va), its PDE at XOK_PDE(va), and so on. Entries of absent tables fault: read top down.
#define XOK_SELFMAP_SLOT 191ul
#define XOK_SELFMAP (XOK_SELFMAP_SLOT << 39) // 0x5f8000000000
#define XOK_VA_BITS(va) ((u64)(va) & 0x0000fffffffffffful)
#define XOK_PTE(va) ((volatile u64 *)(XOK_SELFMAP + (XOK_VA_BITS(va) >> 12) * 8))
#define XOK_PDE(va) ((volatile u64 *)(XOK_SELFMAP + (XOK_SELFMAP >> 9) + (XOK_VA_BITS(va) >> 21) * 8))
#define XOK_PDPTE(va) \
    ((volatile u64 *)(XOK_SELFMAP + (XOK_SELFMAP >> 9) + (XOK_SELFMAP >> 18) + (XOK_VA_BITS(va) >> 30) * 8))
#define XOK_PML4E(va) \
    ((volatile u64 *)(XOK_SELFMAP + (XOK_SELFMAP >> 9) + (XOK_SELFMAP >> 18) + (XOK_SELFMAP >> 27) + \
                      (XOK_VA_BITS(va) >> 39) * 8))

// The user interrupt page. Exceptions other than page faults, and int $0x70..$0x7f, go straight to
// XOK_UIDT + vector * 32 in ring 3 on the environment's exception stack: no kernel instruction.
// Whatever the environment maps there handles them. (thesis ch. 3; architecture 3, Environments)
#define XOK_UIDT 0x0000600000000000ul
#define XOK_UIDT_STUB 32
#define XOK_INT_FIRST 0x70
#define XOK_INT_LAST 0x7f

// Exposed kernel state, read-only, not executable, the same in every address space. See info.h.
#define XOK_INFO_VA 0xffffc00000000000ul  // struct xok_info
#define XOK_ENVS_VA 0xffffc00010000000ul  // struct xok_env_info [XOK_ENV_MAX]; touch only below info->env_high
#define XOK_SLOTS_VA 0xffffc00020000000ul // u32 [cpu][XOK_SLOTS_PER_CPU]: environment id or 0
#define XOK_NAMES_VA 0xffffc00030000000ul // struct xok_name_info [XOK_NAME_MAX]; below info->name_high
#define XOK_PAGES_VA 0xffffc00040000000ul // struct xok_page_info [info->page_count]

// Selectors an upcall frame or an iretq in ring 3 uses.
#define XOK_USER_CS 0x33
#define XOK_USER_SS 0x2b

#endif
