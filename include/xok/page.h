// Physical pages: named by number, owned by access list, exposed (thesis 3.2).
#ifndef XOK_PAGE_H
#define XOK_PAGE_H
#include "types.h"

#define XOK_PAGE_ACL 4
#define XOK_PAGE_ANY (~0ul) // page_alloc: any free page

enum xok_page_type {
    XOK_PAGE_NONE,   // no RAM here, firmware, or a device
    XOK_PAGE_FREE,
    XOK_PAGE_USER,
    XOK_PAGE_PT1,    // page table whose entries are 4 KiB leaves
    XOK_PAGE_PT2,    // page directory
    XOK_PAGE_PT3,
    XOK_PAGE_PT4,    // root of an address space
    XOK_PAGE_KERNEL, // the kernel's own
    XOK_PAGE_CACHE,  // a cached block (disk.h); its payer is acl[0]'s name, each entry's rights are what XN granted
    XOK_PAGE_SEIZED, // is being taken from its owner (revoke.h): cannot be mapped any more
    XOK_PAGE_REGION, // holds protected regions (region.h)
};

enum xok_page_flag {
    XOK_PAGE_ZEROED = 1, // alloc result: content is zero (otherwise it is the same owner's old content,
                         // or harmless since boot); the kernel zeroes whenever the owner's name changes
    XOK_PAGE_KEPT = 2,   // of its owner's guaranteed set (revoke.h)
};

// 32 bytes a page. refs counts page-table entries that map (or link) the page.
struct xok_page_info {
    u32 acl[XOK_PAGE_ACL]; // XOK_ACL() entries; acl[0] is the allocating name, which pays the quota.
                           // Of a free page: the last owner, so that it may have it back unzeroed
    u32 refs;
    u16 pins; // DMA, rings, predicates, control pages: not freed while non-zero
    u8 type;
    u8 flags;
    u32 next, prev; // free-list links (page numbers). Of a page table: next = entries in use, which lie
                    // from prev & 0xffff to prev >> 16
};

#endif
