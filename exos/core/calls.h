// libxok, and the one capability slot that ExOS uses: the family's.
#ifndef EXOS_CALLS_H
#define EXOS_CALLS_H
#include "xok/calls.h"
#define FAMILY 0
#endif
