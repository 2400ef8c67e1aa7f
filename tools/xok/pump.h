// Bytes from one descriptor to another, with room for what the reader has not taken yet. Nothing is
// read while something is still to be written: that is the whole of the backpressure.
#ifndef XOK_PUMP_H
#define XOK_PUMP_H
#include <poll.h>
#include "xok.h"

struct pump {
    int from, to;   // from: -1 after its end; to: -1 once nobody takes what is written
    u64 taken;      // bytes read in all
    size_t chunk;   // most bytes of one write that a ready `to` takes without blocking
    size_t at, end; // what waits: data[at..end)
    char data[1 << 16];
};

void pump_init(struct pump *pump, int from, int to);
bool pump_empty(const struct pump *pump);
// The descriptor to wait for and its event; fd -1 if there is nothing to wait for.
struct pollfd pump_wait(const struct pump *pump);
// Moves bytes after poll() said that pump_wait's descriptor is ready. Sets from or to to -1 at an
// end.
void pump_move(struct pump *pump);

#endif
