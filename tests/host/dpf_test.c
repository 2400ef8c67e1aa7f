// Packet filters against a matcher that tries every filter in turn: same frames, same answers, through
// insertions and removals; no theft; the mirror; fragments; the cost in instructions (dpf_cost.sh).
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <cmocka.h>

#include "net/dpf.h"

static struct dpf dpf;
static struct xok_filter_info infos[XOK_FILTER_MAX];
static u64 random_state = 88172645463325252;

static u32 pick(u32 n) // 0..n-1
{
    random_state ^= random_state << 13, random_state ^= random_state >> 7, random_state ^= random_state << 17;
    return (random_state >> 20) % n;
}

static bool grow(u32 i) { return i < XOK_FILTER_MAX; }

static u8 *text;
static u32 text_size = 1 << 18;

static void begin(void)
{
    if (!text)
        text = mmap(NULL, 1 << 18, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    memset(&dpf, 0, sizeof dpf);
    memset(infos, 0, sizeof infos);
    dpf_init(&dpf, infos, grow, 42, text, text, text_size);
}

// ---- names: 1 is the root, 2 and 3 its children, 4 a child of 2
static const u32 parent[] = {0, 0, 1, 1, 2};
static bool may(void *arg, u32 name)
{
    u32 me = *(u32 *)arg;
    while (name && name != me)
        name = parent[name];
    return name;
}

// ---- the plain matcher
static u64 big_endian(const u8 *p, u32 n)
{
    u64 v = 0;
    while (n--)
        v = v << 8 | *p++;
    return v;
}

struct where {
    u32 type, protocol, transport; // type 0: neither IP, or cut off
};

static struct where parse(const u8 *f, u32 len)
{
    struct where w = {0};
    u32 type = big_endian(f + 12, 2);
    if (type == 0x800 && len >= 34 && (f[14] & 15) >= 5) {
        w = (struct where){type, f[23], 14 + (f[14] & 15) * 4};
        if (big_endian(f + 20, 2) & 0x1fff)
            w.transport = 0;
    } else if (type == 0x86dd && len >= 54) {
        w = (struct where){type, f[20], 54};
        if (f[20] == 44 && len >= 62) {
            w.protocol = f[54];
            w.transport = big_endian(f + 56, 2) & 0xfff8 ? 0 : 62;
        }
    }
    return w;
}

static bool names_type(const struct xok_filter *f, u32 type)
{
    for (u32 i = 0; i < f->count; i++) {
        const struct xok_atom *a = &f->atom[i];
        if (a->base == XOK_ATOM_FRAME && a->offset == 12 && a->width == 2 && a->mask == 0xffff && a->value == type)
            return true;
    }
    return false;
}

static bool matches(const struct xok_filter *f, const u8 *frame, u32 len)
{
    struct where w = parse(frame, len);
    bool v6 = names_type(f, 0x86dd);
    if ((v6 || names_type(f, 0x800)) && !w.type)
        return false;
    for (u32 i = 0; i < f->count; i++) {
        const struct xok_atom *a = &f->atom[i];
        if (a->base == XOK_ATOM_TRANSPORT && !w.transport)
            return false;
        u32 at = a->offset + (a->base == XOK_ATOM_TRANSPORT ? w.transport : 0);
        u64 v = big_endian(frame + at, a->width);
        if (v6 && w.type == 0x86dd && a->base == XOK_ATOM_FRAME && at == 20 && a->width == 1 && a->mask == 0xff)
            v = w.protocol;
        // Only the bytes that the mask covers must be there.
        u32 need = at + a->width;
        for (u64 m = a->mask; !(m & 0xff); m >>= 8)
            need--;
        if (need > len || (v & a->mask) != a->value)
            return false;
    }
    return true;
}

static u32 bits_of(const struct xok_filter *f)
{
    u8 mask[DPF_BYTES] = {0};
    u32 n = 0;
    for (u32 i = 0; i < f->count; i++)
        for (u32 k = 0; k < f->atom[i].width; k++)
            mask[f->atom[i].base * DPF_FRAME + f->atom[i].offset + k] |=
                f->atom[i].mask >> 8 * (f->atom[i].width - 1 - k);
    for (u32 i = 0; i < sizeof mask; i++)
        n += __builtin_popcount(mask[i]);
    return n;
}

// ---- random filters and frames over few values, so that they meet
static void atom(struct xok_filter *f, u32 base, u32 offset, u32 width, u64 mask, u64 value)
{
    f->atom[f->count++] = (struct xok_atom){.base = base, .offset = offset, .width = width, .mask = mask,
                                            .value = value & mask};
}

static struct xok_filter random_filter(void)
{
    struct xok_filter f = {0};
    u32 kind = pick(10);
    if (kind == 0)
        return f;
    if (kind == 1) {
        atom(&f, 0, 12, 2, 0xffff, 0x0806);
        if (pick(2))
            atom(&f, 0, 38, 4, ~0u, 0x0a000000 + pick(3));
        return f;
    }
    if (kind == 2) { // anything anywhere
        for (u32 n = 1 + pick(3); n--;) {
            u32 width = 1 + pick(8);
            u64 all = width == 8 ? ~0ul : (1ul << width * 8) - 1;
            u64 mask = pick(2) ? all : random_state & all;
            if (mask)
                atom(&f, 0, pick(65 - width), width, mask, pick(2) ? 0 : pick(3));
        }
        return f;
    }
    bool v6 = kind > 7;
    if (pick(8))
        atom(&f, 0, 12, 2, 0xffff, v6 ? 0x86dd : 0x800);
    if (pick(4))
        atom(&f, 0, v6 ? 20 : 23, 1, 0xff, pick(2) ? 6 : 17);
    if (pick(2))
        atom(&f, 0, v6 ? 46 : 30, v6 ? 8 : 4, v6 ? ~0ul : ~0u, 0x0a000000 + pick(3));
    if (pick(3) == 0)
        atom(&f, 0, v6 ? 30 : 26, v6 ? 8 : 4, v6 ? ~0ul : 0xffffff00u << pick(2), 0x0a000000 + pick(3));
    if (pick(2))
        atom(&f, 1, 2, 2, pick(3) ? 0xffff : 0xfff0, 80 + pick(4));
    if (pick(4) == 0)
        atom(&f, 1, 0, 2, 0xffff, 1000 + pick(3));
    return f;
}

static void put(u8 *p, u32 n, u64 v)
{
    while (n--)
        p[n] = v, v >>= 8;
}

static u32 random_frame(u8 *f, bool fragments) // DPF_READ bytes; returns the length
{
    memset(f, 0, DPF_READ);
    if (pick(4) == 0)
        for (u32 i = 0; i < DPF_READ; i++)
            f[i] = pick(3) ? 0 : pick(3);
    u32 kind = pick(8), len = 64 + pick(64), t;
    if (kind == 0) {
        put(f + 12, 2, pick(2) ? 0x0806 : pick(65536));
        put(f + 38, 4, 0x0a000000 + pick(3));
        return len;
    }
    bool v6 = kind > 5;
    put(f + 12, 2, v6 ? 0x86dd : 0x800);
    f[14] = v6 ? 0x60 : 0x45 + (pick(3) ? 0 : pick(11));
    t = v6 ? 54 : 14 + (f[14] & 15) * 4;
    f[v6 ? 20 : 23] = pick(2) ? 6 : pick(4) ? 17 : 1;
    put(f + (v6 ? 30 : 26), v6 ? 8 : 4, 0x0a000000 + pick(3));
    put(f + (v6 ? 46 : 30), v6 ? 8 : 4, 0x0a000000 + pick(3));
    if (fragments && v6 && pick(2)) {
        f[54] = f[20], f[20] = 44, t = 62;
        put(f + 56, 2, pick(2) ? 1 : pick(65536));
        put(f + 58, 4, pick(4));
    }
    if (fragments && !v6 && pick(2)) {
        put(f + 20, 2, pick(2) ? 0x2000 : pick(16384));
        put(f + 18, 2, pick(4));
    }
    put(f + t, 2, 1000 + pick(3));
    put(f + t + 2, 2, 80 + pick(4));
    return pick(8) ? len : 14 + pick(len - 14);
}

static struct {
    struct xok_filter filter;
    u64 id;
    u32 bits, owner;
} model[512];
static u32 models;

static u32 model_of(u32 index)
{
    for (u32 i = 0; i < models; i++)
        if ((model[i].id & 0xffff) == index)
            return i;
    return ~0u;
}

static void check_frame(const u8 *frame, u32 len)
{
    u32 x = dpf_classify(&dpf, 1, frame, len, false), best = 0, any = 0;
    for (u32 i = 0; i < models; i++)
        if (matches(&model[i].filter, frame, len)) {
            best = model[i].bits > best ? model[i].bits : best;
            any = 1;
        }
    if (!x) {
        assert_int_equal(any, 0);
        return;
    }
    u32 m = model_of(x);
    assert_true(m != ~0u);
    assert_true(matches(&model[m].filter, frame, len));
    assert_int_equal(model[m].bits, best);
    assert_int_equal(infos[x].ring, m == ~0u ? 0 : model[m].filter.tag + 1);
}

enum { FRAMES = 24 };
static void agrees_with_plain_matcher_and_refuses_theft(void **state)
{
    (void)state;
    u32 refused = 0, taken = 0, full = 0, twice = 0;
    for (u32 round = 0; round < 40; round++) {
        text_size = round % 4 == 1 ? 0 : round % 4 == 2 ? pick(8192) : 1 << 18; // compiled, not, and in part
        begin();
        models = 0;
        for (u32 step = 0; step < 600; step++) {
            static u8 frame[FRAMES][DPF_READ];
            u32 len[FRAMES], was[FRAMES];
            for (u32 i = 0; i < FRAMES; i++) {
                len[i] = random_frame(frame[i], false);
                was[i] = dpf_classify(&dpf, 1, frame[i], len[i], false);
            }
            if (models && (pick(5) == 0 || models == 512)) {
                u32 i = pick(models);
                dpf_del(&dpf, dpf_find(&dpf, model[i].id));
                assert_int_equal(dpf_find(&dpf, model[i].id), 0);
                model[i] = model[--models];
            } else {
                struct xok_filter f = random_filter();
                u32 me = round % 4 ? 1 + pick(4) : 1, owner = me == 2 && pick(2) ? 4 : me;
                f.tag = step;
                s64 id = dpf_add(&dpf, 1, &f, step + 1, owner, may, &me);
                if (id == XOK_E_CAP)
                    refused++;
                else if (id == XOK_E_FULL)
                    full++;
                else if (id == XOK_E_BUSY)
                    twice++;
                if (id <= 0)
                    continue;
                taken++;
                model[models].filter = f, model[models].id = id, model[models].owner = owner;
                model[models++].bits = bits_of(&f);
                for (u32 i = 0; i < FRAMES; i++) {
                    u32 now = dpf_classify(&dpf, 1, frame[i], len[i], false);
                    if (now == was[i])
                        continue;
                    assert_int_equal(now, id & 0xffff);
                    if (was[i])
                        assert_true(may(&me, infos[was[i]].owner));
                    else // was nobody's: the root's, and only the root may take it
                        assert_int_equal(me, 1);
                }
            }
            for (u32 i = 0; i < FRAMES; i++)
                check_frame(frame[i], len[i]);
        }
        while (models)
            dpf_del(&dpf, dpf_find(&dpf, model[--models].id));
        assert_int_equal(dpf.count, 0);
    }
    text_size = 1 << 18;
    assert_true(refused > 100 && taken > 5000 && twice > 100);
    print_message("%u added, %u refused, %u there already, %u without room\n", taken, refused, twice, full);
}

static struct xok_filter tcp(u32 ip, u32 port, u32 peer, u32 peer_port)
{
    struct xok_filter f = {0};
    atom(&f, 0, 12, 2, 0xffff, 0x800);
    atom(&f, 0, 23, 1, 0xff, 6);
    if (ip)
        atom(&f, 0, 30, 4, ~0u, ip);
    if (port)
        atom(&f, 1, 2, 2, 0xffff, port);
    if (peer)
        atom(&f, 0, 26, 4, ~0u, peer);
    if (peer_port)
        atom(&f, 1, 0, 2, 0xffff, peer_port);
    return f;
}

static s64 add(u32 me, u32 owner, struct xok_filter f) { return dpf_add(&dpf, 0, &f, 1, owner, may, &me); }

static void theft(void **state)
{
    (void)state;
    begin();
    assert_int_equal(add(2, 2, tcp(1, 80, 0, 0)), XOK_E_CAP); // the root's
    s64 range = add(1, 2, tcp(1, 0, 0, 0));
    assert_true(range > 0);
    assert_true(add(2, 2, tcp(1, 80, 0, 0)) > 0);
    assert_int_equal(add(2, 2, tcp(1, 80, 0, 0)), XOK_E_BUSY);
    assert_int_equal(add(3, 3, tcp(1, 80, 0, 0)), XOK_E_CAP);
    assert_int_equal(add(3, 3, tcp(1, 80, 7, 0)), XOK_E_CAP);
    assert_int_equal(add(3, 3, tcp(1, 81, 0, 0)), XOK_E_CAP);
    assert_int_equal(add(3, 3, tcp(0, 80, 0, 0)), XOK_E_CAP);
    assert_true(add(2, 4, tcp(1, 90, 0, 0)) > 0); // handed to a child
    assert_true(add(4, 4, tcp(1, 90, 7, 0)) > 0);
    assert_int_equal(add(4, 4, tcp(1, 80, 7, 0)), XOK_E_CAP);
    assert_int_equal(add(4, 4, tcp(1, 91, 0, 0)), XOK_E_CAP);
    assert_true(add(1, 3, tcp(0, 80, 0, 0)) > 0); // crosses with 2's, but loses
    assert_int_equal(add(3, 3, tcp(0, 80, 7, 9)), XOK_E_CAP); // would win over 2's in what they share
    dpf_del(&dpf, dpf_find(&dpf, range));
    assert_int_equal(add(2, 2, tcp(1, 99, 0, 0)), XOK_E_CAP);
}

static void hostile_filters(void **state)
{
    (void)state;
    begin();
    struct xok_filter f = {.count = XOK_FILTER_ATOMS + 1};
    assert_int_equal(add(1, 1, f), XOK_E_ARG);
    static const struct xok_atom bad[] = {
        {.width = 0, .mask = 1},
        {.width = 9, .mask = 1},
        {.width = 2, .offset = 63, .mask = 1},
        {.width = 2, .offset = 0xffff, .mask = 1},
        {.width = 8, .offset = 65535, .mask = 1},
        {.width = 1, .mask = 0x100},
        {.width = 1, .mask = 1, .value = 2},
        {.width = 1, .mask = 0},
        {.base = 2, .width = 1, .mask = 1},
        {.base = 1, .width = 1, .mask = 1}, // of what protocol?
        {.base = 1, .width = 8, .offset = 9, .mask = 1},
    };
    for (u32 i = 0; i < sizeof bad / sizeof *bad; i++) {
        f = (struct xok_filter){.count = 1, .atom = {bad[i]}};
        assert_int_equal(add(1, 1, f), XOK_E_ARG);
    }
    f = tcp(1, 80, 0, 0);
    atom(&f, 0, 30, 4, ~0u, 2); // no frame is for both
    assert_int_equal(add(1, 1, f), XOK_E_ARG);
    f = (struct xok_filter){0};
    for (u32 i = 0; i < 8; i++)
        atom(&f, 0, i * 8, 1, 1, 0); // eight words
    assert_int_equal(add(1, 1, f), XOK_E_ARG);
    // more shapes than a class may have: refused, and what was there goes on
    assert_true(add(1, 1, tcp(1, 80, 0, 0)) > 0);
    s64 r = 1;
    u32 n = 0;
    for (u32 i = 0; i < 40 && r > 0; i++) {
        f = (struct xok_filter){0};
        atom(&f, 0, i, 1, 1, 1);
        n += (r = add(1, 1, f)) > 0;
    }
    assert_int_equal(r, XOK_E_FULL);
    assert_int_equal(n, DPF_PLAN - 1);
    u8 frame[DPF_READ] = {0};
    put(frame + 12, 2, 0x800), frame[14] = 0x45, frame[23] = 6, put(frame + 30, 4, 1), put(frame + 36, 2, 80);
    assert_int_equal(infos[dpf_classify(&dpf, 0, frame, 60, false)].hits, 0);
    assert_int_equal(dpf_classify(&dpf, 0, frame, 60, false), 1);
    assert_int_equal(dpf_classify(&dpf, 1, frame, 60, false), 0); // another link
}

static void all_filters(void **state)
{
    (void)state;
    begin();
    s64 r;
    u32 n = 0;
    while ((r = add(1, 1, tcp(1 + n, 80, 0, 0))) > 0)
        n++;
    assert_int_equal(r, XOK_E_FULL);
    assert_int_equal(n, XOK_FILTER_MAX - 1);
    u8 frame[DPF_READ] = {0};
    put(frame + 12, 2, 0x800), frame[14] = 0x45, frame[23] = 6, put(frame + 36, 2, 80);
    for (u32 i = 0; i < n; i++) {
        put(frame + 30, 4, 1 + i);
        assert_int_equal(dpf_classify(&dpf, 0, frame, 60, false), 1 + i);
    }
    for (u32 x = 1; x <= n; x += 2)
        dpf_del(&dpf, x);
    for (u32 i = 0; i < n; i++) {
        put(frame + 30, 4, 1 + i);
        assert_int_equal(dpf_classify(&dpf, 0, frame, 60, false), i & 1 ? 1 + i : 0);
    }
    u64 old = infos[2].id;
    dpf_del(&dpf, 2);
    assert_int_equal(add(1, 1, tcp(7, 7, 0, 0)) & 0xffff, 2);
    assert_int_equal(dpf_find(&dpf, old), 0); // an id is of one life
}

static void fragments_follow_the_first(void **state)
{
    (void)state;
    begin();
    s64 wide = add(1, 1, tcp(1, 0, 0, 0)), port = add(1, 2, tcp(1, 80, 0, 0));
    u8 first[DPF_READ] = {0}, later[DPF_READ];
    put(first + 12, 2, 0x800), first[14] = 0x45, first[23] = 6;
    put(first + 18, 2, 77), put(first + 20, 2, 0x2000), put(first + 30, 4, 1), put(first + 36, 2, 80);
    memcpy(later, first, sizeof later);
    put(later + 20, 2, 0x2010), put(later + 36, 2, 0);
    assert_int_equal(dpf_classify(&dpf, 0, later, 60, false), wide & 0xffff);
    assert_int_equal(dpf_classify(&dpf, 0, first, 60, false), port & 0xffff);
    assert_int_equal(dpf_classify(&dpf, 0, later, 60, false), port & 0xffff);
    assert_int_equal(dpf_classify(&dpf, 0, later, 60, true), wide & 0xffff); // the other way
    later[19]++;
    assert_int_equal(dpf_classify(&dpf, 0, later, 60, false), wide & 0xffff);
    later[19]--;
    dpf_del(&dpf, dpf_find(&dpf, port));
    assert_int_equal(dpf_classify(&dpf, 0, later, 60, false), wide & 0xffff);
}

// Fragments in any order, both ways: whoever gets one has a filter that matches it, or got its first fragment.
static void fragments_at_random(void **state)
{
    (void)state;
    begin();
    struct xok_filter f[64];
    s64 id[64];
    for (u32 i = 0; i < 64; i++) {
        f[i] = random_filter();
        id[i] = add(1, 1 + pick(4), f[i]);
    }
    u32 followed = 0;
    for (u32 n = 0; n < 200000; n++) {
        u8 frame[DPF_READ];
        u32 len = random_frame(frame, true), x = dpf_classify(&dpf, 0, frame, len, n & 1);
        struct where w = parse(frame, len);
        bool direct = false;
        for (u32 i = 0; i < 64 && x; i++)
            direct |= id[i] > 0 && (id[i] & 0xffff) == x && matches(&f[i], frame, len);
        followed += x && !direct;
        assert_true(!x || direct || (w.type && !w.transport));
        dpf_mirror(frame, len);
        dpf_classify(&dpf, 0, frame, len, !(n & 1));
    }
    assert_true(followed > 100);
}

static void mirror_twice_is_nothing(void **state)
{
    (void)state;
    for (u32 i = 0; i < 20000; i++) {
        u8 frame[DPF_READ], copy[DPF_READ];
        u32 len = random_frame(frame, true);
        memcpy(copy, frame, sizeof copy);
        dpf_mirror(frame, len);
        if (len >= 38 && frame[12] == 8 && frame[13] == 0 && frame[14] == 0x45) {
            assert_memory_equal(frame + 26, copy + 30, 4);
            if (frame[23] == 6 && !(big_endian(frame + 20, 2) & 0x1fff))
                assert_memory_equal(frame + 34, copy + 36, 2);
        }
        dpf_mirror(frame, len);
        assert_memory_equal(frame, copy, sizeof copy);
    }
}

// `dpf_test cost N`: N filters, then classifications that callgrind or a counter of steps looks at.
static int cost(u32 n)
{
    begin();
    u32 half = n / 2;
    add(1, 1, (struct xok_filter){0});
    for (u32 i = 0; i < half; i++)
        add(1, 1, tcp(0x0a000001, 1 + i, 0, 0));
    for (u32 i = 0; i < n - half; i++)
        add(1, 1, tcp(0x0a000001, 80, 0x0b000000 + i, 1024 + i));
    u8 frame[DPF_READ] = {0};
    put(frame + 12, 2, 0x800), frame[14] = 0x45, frame[23] = 6, put(frame + 30, 4, 0x0a000001);
    u32 sum = 0;
    for (u32 i = 0; i < 10000; i++) {
        u32 k = i % n;
        put(frame + 26, 4, k < half ? 5 : 0x0b000000 + k - half);
        put(frame + 34, 2, k < half ? 5 : 1024 + k - half);
        put(frame + 36, 2, k < half ? 1 + k : 80);
        sum += dpf_classify(&dpf, 0, frame, 60, false) == 2 + k;
    }
    return sum != 10000;
}

int main(int argc, char **argv)
{
    if (argc == 3 && !strcmp(argv[1], "cost"))
        return cost(atoi(argv[2]));
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(agrees_with_plain_matcher_and_refuses_theft),
        cmocka_unit_test(theft),
        cmocka_unit_test(hostile_filters),
        cmocka_unit_test(all_filters),
        cmocka_unit_test(fragments_follow_the_first),
        cmocka_unit_test(fragments_at_random),
        cmocka_unit_test(mirror_twice_is_nothing),
    };
    return cmocka_run_group_tests_name("packet filters", tests, NULL, NULL);
}
