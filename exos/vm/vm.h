// Address spaces: areas, and how a page of one comes to be mapped. Inner to exos/vm.
#ifndef EXOS_VM_H
#define EXOS_VM_H
#include "core/exos.h"

#define PROT_READ 1u
#define PROT_WRITE 2u
#define PROT_EXEC 4u
#define PROT_ALL 7u
#define MAP_SHARED 1u
#define MAP_PRIVATE 2u
#define MAP_SHARED_VALIDATE 3u
#define MAP_FIXED 0x10u
#define MAP_ANONYMOUS 0x20u
#define MAP_32BIT 0x40u
#define MAP_GROWSDOWN 0x100u
#define MAP_LOCKED 0x2000u
#define MAP_NORESERVE 0x4000u
#define MAP_POPULATE 0x8000u
#define MAP_STACK 0x20000u
#define MAP_FIXED_NOREPLACE 0x100000u
#define AREA_STUBS 0x40000000u // ours: a gap for system-call stubs behind an image
#define AREA_STACK 0x20000000u // ours: [stack]
#define AREA_HEAP 0x10000000u  // ours: [heap]

#define PTE_TEXT 0x800ul // software bit: the page is a file's text, perhaps an older version (patch.c), not a changed copy
#define PTE_HELD 0x400ul // software bit of an absent entry: it holds a page (mprotect PROT_NONE)
#define STUB_GAP 0x10000ul // bytes left free behind a mapped image for system-call stubs
#define PTE_COW 0x200ul // software bit: write means copy (or take over, if nobody else has the page)

// A range with one set of rights and one source. Kept sorted by start in vm->area[].
struct area {
    u64 start, end; // page-aligned, end exclusive
    u32 prot, flags;
    struct file *file; // NULL: anonymous
    u64 index;         // page of the file at start
};

struct vm {
    struct lock lock;
    struct area *area;
    u32 count, room;
    u32 last;       // area of the last fault: most faults are near it
    u32 users;      // processes sharing the space (vfork, CLONE_VM)
    u64 brk_start, brk, brk_area_end;
    u64 mmap_top;   // new mappings go below
    u64 stack_top, stack_limit;
    u64 pages;      // mapped by areas, for RLIMIT_AS and statm
    u64 rss;
    bool stale;      // a mapped file has become shorter
    u64 peak, peak_rss; // most of both that anybody has seen
    // For /proc: where the program's parts lie.
    u64 code_start, code_end, data_start, data_end, arg_start, arg_end, env_start, env_end, entry;
};

// area.c: pure bookkeeping, also compiled for the host's tests. Indices are into vm->area.
u32 area_after(const struct vm *vm, u64 addr); // first area whose end is above addr; count if none
struct area *area_at(struct vm *vm, u64 addr);
bool area_insert(struct vm *vm, const struct area *a); // over nothing; merges with its neighbours. false: memory
bool area_cut(struct vm *vm, u64 start, u64 end);      // removes the range, splitting at its ends. false: memory
bool area_protect(struct vm *vm, u64 start, u64 end, u32 prot); // range is covered. false: memory
bool area_covered(const struct vm *vm, u64 start, u64 end);
u64 area_gap(const struct vm *vm, u64 low, u64 high, u64 len); // highest free range in [low, high), or 0
bool area_split(struct vm *vm, u64 at);

// fault.c
u64 pte_get(u64 va); // of the running space; 0 where tables are missing
static inline bool pte_holds(u64 pte) { return pte & (XOK_PTE_P | PTE_HELD); } // a page is behind it
s64 pte_put(u64 va, u64 pte);
s64 table_own(u64 va); // whoever changes an entry calls this first: fork leaves page tables shared (tables.c)
u64 prot_bits(u32 prot);
void shared_anon_on_release(struct file *f, void (*gone)(void *), void *owner); // gone may not take vm->lock
void *shared_anon_owner(struct file *f, void (*gone)(void *)); // NULL: another's, or none
struct file *shared_anon_new(void); // the object behind MAP_SHARED | MAP_ANONYMOUS
void range_drop(struct vm *vm, u64 start, u64 end); // unmap what is mapped and give the pages back
u64 table_next(u64 va, u64 end); // next address whose page table is present; end if none
void *page_contents(u64 ppn);    // where ExOS can read it: the window, or the boot module
#endif
