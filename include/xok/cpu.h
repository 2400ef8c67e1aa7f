// Processor time: a vector of slots for each processor, exposed, allocated by position (thesis 3.3).
#ifndef XOK_CPU_H
#define XOK_CPU_H
#include "types.h"

#define XOK_CPU_MAX 16
#define XOK_SLOTS_PER_CPU 16384 // one for each environment and some to weight with; found by bitmap, not by scan
#define XOK_SLOT_ANY (~0u)
#define XOK_SLOT_NS 10000000ul  // length of a slot: 10 ms

// The end of a slice (thesis 3.3). An environment with an entry for XOK_UP_SLICE_END (and not XOK_ENV_KSAVE)
// is told, saves what it wants to keep, and yields; its next slice begins with XOK_UP_SLICE_BEGIN. One whose
// ctl->critical is non-zero is told by ctl->slice_over = 1 and yields when it leaves its critical section.
// Either has XOK_GRACE_NS for it; the time is charged (env_info.debt_ns): a whole slot of it is a slice
// forfeited. Who has not left then is saved by the kernel and goes on later where it was; the
// XOK_OVERRUN_MAX-th time in a row is its death. All others, and whoever masks upcalls, are saved by the kernel.
#define XOK_GRACE_NS 100000ul
#define XOK_OVERRUN_MAX 16

// Wakeup predicates: a sum of products over words. The predicate is true when any product is.
// A word is in a page the environment can read (pinned while the predicate stands), or in the
// exposed state. The kernel looks again when told (wake, pred_touch), when it changes the exposed
// word itself, and at slot boundaries of words marked by nobody: a sleeper costs others nothing.
enum xok_pred_op { XOK_PRED_EQ, XOK_PRED_NE, XOK_PRED_GE, XOK_PRED_LT, XOK_PRED_ANY /* word & value */ };
struct xok_pred_term {
    u64 addr;  // 8-byte aligned virtual address of the word
    u64 value;
    u8 op;
    u8 last;   // ends a product
    u16 pad;
    u32 tag;   // of the last term of a product: reported in ctl->pred_tag
};
#define XOK_PRED_MAX 32 // terms: a select over many descriptors is ExOS's own queues and one event word

#endif
