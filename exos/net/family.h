// The family's one TCP/IP stack, and the lock that its callers hold.
//
// Lock order: net_lock > sock->lock > the stack's > a waitq's, the page pool and the heap. Program memory is
// never touched while it is held.
#ifndef EXOS_NET_FAMILY_H
#define EXOS_NET_FAMILY_H
#include "net/sock.h"
#include "net/tcp.h"
#include "net/keep.h"

extern struct net stack;
void stack_take(void); // and looks at the clock, and at what has arrived
void stack_drop(void);
#endif
