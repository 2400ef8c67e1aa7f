// The scalar types of every Xok interface: exact widths, no libc needed on either side.
#ifndef XOK_TYPES_H
#define XOK_TYPES_H

#ifndef __ASSEMBLER__
typedef unsigned char u8;
typedef unsigned short u16;
typedef unsigned int u32;
typedef unsigned long u64;
typedef signed char s8;
typedef short s16;
typedef int s32;
typedef long s64;
#endif

#define XOK_PAGE_SHIFT 12
#define XOK_PAGE_SIZE 4096ul
#define XOK_HUGE_PAGES 512ul // 4 KiB pages in a 2 MiB leaf

#endif
