// Power-of-two blocks of contiguous pages, for the heap and thread stacks. ppn; 0: out of memory.
#ifndef EXOS_PAGES_H
#define EXOS_PAGES_H
#include "core/exos.h"
#define BLOCK_ORDER_MAX 8 // 1 MiB: the largest object; bigger tables are built as trees of blocks
u64 block_get(int order);
void block_put(u64 ppn, int order);
void pages_start(void), heap_start(void);
#endif
