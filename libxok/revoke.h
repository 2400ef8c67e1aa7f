// Taking pages back and unsharing them: the walks over all page tables (include/xok/revoke.h).
#ifndef LIBXOK_REVOKE_H
#define LIBXOK_REVOKE_H
#include "xok/calls.h"
#include "xok/error.h"
#include "xok/info.h"
#include "xok/revoke.h"

// The next run of at most XOK_STRIP_MAX pages, from *at on, that begins with a page table; 0: no more.
static inline u64 revoke_next(u64 *at)
{
    u64 n = XOK_INFO->page_count;
    while (*at < n && !(XOK_PAGES[*at].type >= XOK_PAGE_PT1 && XOK_PAGES[*at].type <= XOK_PAGE_PT3))
        ++*at;
    return n - *at < XOK_STRIP_MAX ? n - *at : XOK_STRIP_MAX;
}

// Takes from every table the mappings of ppn that its access list no longer allows. How many others are
// left, or an error.
static inline s64 revoke_unshare(u64 slot, u64 ppn)
{
    s64 left = xok_page_strip(slot, ppn, 0, 0);
    for (u64 at = 0, n; left > 0 && (n = revoke_next(&at)); at += n)
        left = xok_page_strip(slot, ppn, at, n);
    return left;
}

// Takes page ppn from environment target, wherever it is mapped. 0: the page is free.
static inline s64 revoke_seize(u64 slot, u32 target, u64 ppn)
{
    s64 left = xok_page_seize(slot, target, ppn, 0, 0);
    for (u64 at = 0, n; left > 0 && (n = revoke_next(&at)); at += n)
        left = xok_page_seize(slot, target, ppn, at, n);
    return left;
}

#endif
