// Errors of the Xok kernel: negative results of a call. Each call documents which it returns.
#ifndef XOK_ERROR_H
#define XOK_ERROR_H

enum xok_error {
    XOK_OK = 0,
    XOK_E_CALL = -1,   // no such call
    XOK_E_CAP = -2,    // the named slot is empty, or its capability does not dominate the resource
    XOK_E_ARG = -3,    // an argument is out of range, unaligned or non-canonical
    XOK_E_FAULT = -4,  // a user address given cannot be read or written
    XOK_E_QUOTA = -5,  // the name's quota (or an ancestor's) is used up
    XOK_E_NOMEM = -6,  // no free page, or the requested page is not free
    XOK_E_BUSY = -7,   // the resource is referenced, pinned or in use
    XOK_E_ENV = -8,    // no such environment, or it is dead
    XOK_E_FULL = -9,   // a bounded table or queue is full
    XOK_E_NOTABLE = -10, // a page table on the way is missing and creation was not asked for
    XOK_E_AGAIN = -11, // the callee's gate is closed, or the device is not ready
    XOK_E_TAINT = -12, // disk: another block must be written first (ordering rules)
    XOK_E_OWNS = -13,  // disk: the template's functions do not confirm the claim
    XOK_E_CACHE = -14, // disk: a block that is named is not in the registry, or not yet read
    XOK_E_IO = -15,    // disk: the device failed, or what is on the disk is damaged
};

#endif
