// Taking pages back: first the owner is asked and chooses, then it is done by force, and recorded
// (thesis 3.2: visible revocation, the abort protocol). The kernel takes nothing by itself: whoever holds
// the right XOK_V above a name decides when, and what.
//
// 1. env_ask raises XOK_UP_REVOKE in the environment: frame.addr = how many, frame.error = which resource
//    (enum xok_resource). What to give is its choice; how long to wait is the asker's.
// 2. page_seize takes a page that the environment did not give: nobody can map it any more, its mappings go
//    table by table (the caller names ranges of page numbers; only page tables among them are looked at),
//    and when none is left, its content is copied to a page that the owner set aside (page_keep,
//    XOK_KEEP_SAVE), the loss is written into the owner's repossession vector (ctl->lost_pages), the page is
//    free, and XOK_UP_REVOKE with frame.addr = 0 says so. The environment loses pages, not its life.
// 3. Pages of the guaranteed set are never seized: those it keeps (page_keep; quota XOK_RES_KEPT, 64 for a
//    name by default), and those pinned by the kernel: control page, upcall stack, rings, predicates, DMA.
//
// page_strip is for an owner that has taken a name off a page's access list: mappings that the list no
// longer allows go, in the tables named. The library calls that walk all tables: libxok/revoke.h.
#ifndef XOK_REVOKE_H
#define XOK_REVOKE_H
#include "types.h"

#define XOK_STRIP_MAX 64    // pages looked at by one call
#define XOK_KEPT_DEFAULT 64 // quota of pages kept by a name below the root

enum xok_keep {
    XOK_KEEP_NOT,  // an ordinary page again
    XOK_KEEP_PAGE, // never seized
    XOK_KEEP_SAVE, // and takes the content of the next page that is seized from this environment
};

#endif
