// Is this frame for us? A predicate over a received frame: TCP over IPv4 to port 80 of 10.0.2.15.
//
// The comparison of `len` tells the verifier that the frame is long enough, so none of the loads is checked
// when it runs: it compiles to as many machine instructions as one would write by hand. Numbers of the
// network are compared as they lie in memory, which costs nothing, instead of being swapped.
#include "xok/bpf.h"

XOK_REGIONS(filter, XOK_IN(14, 1514));

XOK_PREDICATE u64 filter(const u8 *frame, u64 len)
{
    if (len < 54)
        return 0;
    if (*(const u16 *)(frame + 12) != xok_be16(0x0800)) // IPv4
        return 0;
    if (frame[23] != 6) // TCP
        return 0;
    if (*(const u16 *)(frame + 36) != xok_be16(80))
        return 0;
    return *(const u32 *)(frame + 30) == xok_be32(0x0a00020f);
}
