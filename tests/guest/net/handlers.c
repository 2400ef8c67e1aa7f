// Handlers of the tests. UDP over IPv4; state: u64 words: [0] frames seen, [1] where the next message goes.
#include "xok/bpf.h"

struct ports {
    u8 eth[14];
    u8 ip[20];
    u16 from, to, len, sum;
} __attribute__((packed));

struct state {
    u64 seen, at;
    u8 log[4080];
};

// Sends the datagram back to where it came from.
XOK_HANDLER u64 echo(const u8 *frame, u64 len, struct state *s, u64 state_len, const struct xok_table *t)
{
    u8 *out = (u8 *)t->region[2].address;
    s->seen++;
    if (len > 496 || len < 42 || len < 14u + xok_be16(*(const u16 *)(frame + 16)))
        return 0; // too long, or not all of it is here
    for (u64 i = 0; i < 6; i++)
        out[i] = frame[6 + i], out[6 + i] = frame[i];
    *(u64 *)(out + 12) = *(const u64 *)(frame + 12);
    *(u32 *)(out + 20) = *(const u32 *)(frame + 20);
    *(u16 *)(out + 24) = *(const u16 *)(frame + 24);
    *(u32 *)(out + 26) = *(const u32 *)(frame + 30);
    *(u32 *)(out + 30) = *(const u32 *)(frame + 26);
    *(u16 *)(out + 34) = *(const u16 *)(frame + 36);
    *(u16 *)(out + 36) = *(const u16 *)(frame + 34);
    *(u16 *)(out + 38) = *(const u16 *)(frame + 38);
    *(u16 *)(out + 40) = 0; // no checksum
    u64 i = 42;
    for (; i + 8 <= len; i += 8)
        *(u64 *)(out + i) = *(const u64 *)(frame + i);
    for (; i < len; i++)
        out[i] = frame[i];
    return 2 | len << 16;
}

// Puts the payload where the state says it goes next; what does not fit is declined.
XOK_HANDLER u64 vector(const u8 *frame, u64 len, struct state *s, u64 state_len, const struct xok_table *t)
{
    u64 n = len - 42, at = s->at;
    if (len < 42 || at > sizeof s->log || n > sizeof s->log - at)
        return 0;
    for (u64 i = 0; i < n; i++)
        s->log[at + i] = frame[42 + i];
    s->at = at + n;
    s->seen++;
    return 1 | 4;
}

// Answers in somebody else's name.
XOK_HANDLER u64 forge(const u8 *frame, u64 len, struct state *s, u64 state_len, const struct xok_table *t)
{
    u64 v = echo(frame, len, s, state_len, t);
    ((u8 *)t->region[2].address)[29] ^= 1;
    return v;
}

// Writes where it may not, for ever.
XOK_HANDLER u64 wild(const u8 *frame, u64 len, struct state *s, u64 state_len, const struct xok_table *t)
{
    u8 *p = (u8 *)s;
    for (u64 i = 0;; i += 64)
        p[i] = 1;
    return 1;
}

#define REGIONS(f) XOK_REGIONS(f, XOK_IN(14, 4096), XOK_INOUT(4096, 1048576), XOK_INOUT(496, 496))
REGIONS(echo);
REGIONS(vector);
REGIONS(forge);
REGIONS(wild);
