// What the keeper does for the network.
#ifndef EXOS_NET_KEEP_H
#define EXOS_NET_KEEP_H
#include "core/exos.h"
void stack_start(void);     // at the family's start
void stack_ready(void);     // before the first program: waits for an address, writes /etc/resolv.conf
const volatile u64 *card_word(void); // the keeper wakes when it changes; NULL: no card
u64 stack_keep(u64 now_ns); // does what is due; when it wants to be called again, 0 never
#endif
