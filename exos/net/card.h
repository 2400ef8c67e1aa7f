// The card as an interface of the stack. The stack's lock is held.
#ifndef EXOS_NET_CARD_H
#define EXOS_NET_CARD_H
#include "core/exos.h"
#include "net/stack.h"

struct netif *card_start(struct net *net); // NULL: there is none
void card_poll(void);                      // takes in what has arrived
void card_flush(void);                     // what was sent leaves
extern struct dhcp card_dhcp;
#endif
