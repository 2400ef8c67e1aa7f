// Page tables: the hardware's own, readable through the self-map, changed by checked batches.
#ifndef XOK_PT_H
#define XOK_PT_H
#include "types.h"

// Hardware bits of an x86-64 page-table entry (Intel SDM vol. 3, 4.5).
#define XOK_PTE_P 0x001ul
#define XOK_PTE_W 0x002ul
#define XOK_PTE_U 0x004ul // the kernel sets it on every present user entry
#define XOK_PTE_PWT 0x008ul
#define XOK_PTE_PCD 0x010ul
#define XOK_PTE_A 0x020ul
#define XOK_PTE_D 0x040ul
#define XOK_PTE_PS 0x080ul // huge leaf (level 2 and 3)
#define XOK_PTE_SOFT 0x0e00ul // bits 9-11: the library's; bits 52-58 too
#define XOK_PTE_SOFT_HI 0x07f0000000000000ul
#define XOK_PTE_NX 0x8000000000000000ul
#define XOK_PTE_ADDR 0x000ffffffffff000ul
#define XOK_PTE_PPN(pte) (((pte) & XOK_PTE_ADDR) >> 12)

// One step of a batch. It covers `count` consecutive entries of `level` starting at va.
// A page may be mapped when the presented capability dominates its access list with R, or with W
// when XOK_PTE_W is set. An entry that is not present keeps any value whose bit 0 is clear.
enum xok_pt_kind {
    XOK_PT_SET,   // write pte, pte+1 page, ... (present: ppn advances by one leaf; absent: same value)
    XOK_PT_CLEAR, // write 0; missing tables are skipped, tables that become empty are freed
    XOK_PT_MOD,   // present entries: (old & ~clear) | set, bits W, NX, A, D, PWT, PCD, soft only; W needs the right
    XOK_PT_COPY,  // copy entries of the caller's space [va..] to the target space, same va, giving both
                  // (old & ~clear) | set where the old entry is present and writable or soft-writable is
                  // the library's matter; absent entries are copied as they are; zero ones skipped.
                  // One call does fork's copy-on-write for a range.
    XOK_PT_LINK,  // share the caller's table that covers va at `level` (2: a PT, 3: a PD, 4: a PDPT) with
                  // the target: its entry of that level points at the same table. pte & W: writable link
    XOK_PT_UNLINK, // drop such a link
    XOK_PT_OWN     // give the target's entry of `level` 2 at va a page table that nobody else links, writable.
                   // One that is linked elsewhere is copied into a new one: present entries of both become
                   // (old & ~clear) | pte, as in COPY, absent ones are copied as they are
};

#define XOK_PT_CREATE 1u // flags: make missing page tables, charged to the presented name
#define XOK_PT_DEMOTE 2u // LINK: the caller's own entry loses W, so that nobody writes through the table

struct xok_pt_op {
    u64 va;
    u64 pte;   // SET: first entry. MOD, COPY, OWN: bits to set
    u64 clear; // MOD, COPY, OWN: bits to clear
    u32 count; // 1 .. XOK_PT_OP_MAX
    u8 kind;
    u8 level; // 1: 4 KiB, 2: 2 MiB, 3: 1 GiB leaves (LINK: see above)
    u8 flags;
    u8 pad;
};

#define XOK_PT_OP_MAX 4096   // entries an op may cover: 16 MiB of 4 KiB pages, the bound of one step
#define XOK_PT_BATCH_MAX 64  // ops a call may carry; together at most XOK_PT_OP_MAX entries

#endif
