// A ping answered where the frame lies: a handler that turns an ICMP echo request into its reply. It returns
// the length to send, or 0 to leave the frame to its owner.
//
// It shows a loop whose end depends on the frame (the verifier lets it through, the compiled code counts
// fuel), a function of its own, and writes to a region: until the handler has succeeded the frame is scratch.
#include "xok/bpf.h"

XOK_REGIONS(echo, XOK_INOUT(14, 1514));

// The Internet checksum of an even number of bytes (RFC 1071), as it goes into the packet.
static __attribute__((noinline)) u16 checksum(const u8 *p, u64 len)
{
    u32 sum = 0;
    for (u64 i = 0; i + 1 < len; i += 2)
        sum += *(const u16 *)(p + i);
    sum = (sum & 0xffff) + (sum >> 16);
    return (u16) ~(sum + (sum >> 16));
}

static void swap(u8 *a, u8 *b, u32 n)
{
    for (u32 i = 0; i < n; i++) {
        u8 t = a[i];
        a[i] = b[i];
        b[i] = t;
    }
}

XOK_HANDLER u64 echo(u8 *frame, u64 len)
{
    if (len < 42 || *(u16 *)(frame + 12) != xok_be16(0x0800) || frame[14] != 0x45 || frame[23] != 1 ||
        frame[34] != 8)
        return 0;
    u64 total = xok_be16(*(u16 *)(frame + 16)); // of the IP packet; Ethernet may have padded it
    if (total < 28 || total > len - 14 || total & 1)
        return 0;
    if (checksum(frame + 34, total - 20))
        return 0;
    swap(frame, frame + 6, 6);
    swap(frame + 26, frame + 30, 4);
    frame[34] = 0; // echo reply
    *(u16 *)(frame + 36) = 0;
    *(u16 *)(frame + 36) = checksum(frame + 34, total - 20);
    return total + 14;
}
