// Shared page tables, between the files of exos/vm.
#ifndef EXOS_VM_TABLES_H
#define EXOS_VM_TABLES_H
#include "vm/vm.h"

#define TABLE_SPAN (1ul << 21) // what one page table maps
#define ROOT_SPAN (1ul << 39)  // what one entry of the root maps
// Fork copies tables with fewer entries: both sides are about to write to some of them.
#define TABLE_SHARE_MIN 32

bool table_linked(u64 va);         // the table that maps va is there, and perhaps others' too
volatile u64 *table_first(u64 va); // no entry before this one is used
u32 table_entries(u64 va);         // of the table that maps va, which is there
s64 table_link(u64 va, u32 env);   // env, a fresh space, sees the caller's table; neither writes through it
// Lets go of a table that others use too; how many entries it had. 0: it is the caller's alone, as it was.
u32 table_unlink(u64 va);
#endif
