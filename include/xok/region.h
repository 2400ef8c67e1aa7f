// Protected regions smaller than a page (thesis 3.5, "software regions"): memory that is read and written
// only through the kernel, each region of it by whom its access list names. The content cannot be mapped.
//
// An unmapped page becomes a page of regions (region_page); its owner describes up to XOK_REGIONS of them:
// offset and length inside the page, and the names that may read and write: a capability of that name, or
// of one above it, with R or W. Ranges are packed: offset << 16 | length.
#ifndef XOK_REGION_H
#define XOK_REGION_H
#include "types.h"

#define XOK_REGIONS 32
#define XOK_REGION_DATA 512 // first byte of a page of regions that may belong to one
#define XOK_RANGE(offset, length) ((u64)(offset) << 16 | (length))

#endif
