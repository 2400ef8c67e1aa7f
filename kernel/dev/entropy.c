// Random bytes: a ChaCha20 generator (RFC 8439 block function) keyed from RDRAND where there is one and
// from timer jitter, rekeyed by its own output at each request.
#include "kernel.h"

static u32 key[8];
static u64 counter;

static u32 rotl(u32 v, int n) { return v << n | v >> (32 - n); }

static void quarter(u32 *s, int a, int b, int c, int d)
{
    s[a] += s[b], s[d] = rotl(s[d] ^ s[a], 16);
    s[c] += s[d], s[b] = rotl(s[b] ^ s[c], 12);
    s[a] += s[b], s[d] = rotl(s[d] ^ s[a], 8);
    s[c] += s[d], s[b] = rotl(s[b] ^ s[c], 7);
}

static void block(u32 out[16])
{
    u32 s[16] = {0x61707865, 0x3320646e, 0x79622d32, 0x6b206574};
    memcpy(s + 4, key, sizeof key);
    s[12] = counter, s[13] = counter >> 32, s[14] = s[15] = 0;
    counter++;
    memcpy(out, s, sizeof s);
    for (int i = 0; i < 10; i++) {
        for (int j = 0; j < 4; j++)
            quarter(out, j, j + 4, j + 8, j + 12);
        for (int j = 0; j < 4; j++)
            quarter(out, j, 4 + (j + 1) % 4, 8 + (j + 2) % 4, 12 + (j + 3) % 4);
    }
    for (int i = 0; i < 16; i++)
        out[i] += s[i];
}

static void stir(void)
{
    u64 r = rdtsc();
    for (int i = 0; i < 4; i++) {
        u8 ok = 0;
        for (int t = 0; info.cpu_features & XOK_CPU_RDRAND && !ok && t < 10; t++)
            __asm__ volatile("rdrand %0; setc %1" : "=r"(r), "=qm"(ok) : : "cc");
        r = r * 6364136223846793005ul + rdtsc();
        key[i * 2] ^= r;
        key[i * 2 + 1] ^= r >> 32;
    }
}

void entropy_init(void)
{
    stir();
}

void entropy_get(void *buf, u64 len)
{
    u8 *to = buf;
    u32 out[16];
    stir();
    while (len) {
        block(out);
        u64 n = MIN(len, sizeof out);
        memcpy(to, out, n);
        to += n, len -= n;
    }
    block(out);
    memcpy(key, out, sizeof key);
}
