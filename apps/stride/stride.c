// A proportional-share scheduler above the kernel (thesis 3.3, Waldspurger's stride scheduling): it has two
// places of the processor's vector, its own and another, which it gives to the client whose pass is least,
// slice by slice. Clients are ordinary environments that never yield.
#include "apps/tiny/tiny.h"

enum { CLIENTS = 3, SLOTS = 100, STRIDE1 = 60 };

static struct client {
    u32 env, tickets, slices;
    u64 pass, stride, work;
} client[CLIENTS] = {{.tickets = 3}, {.tickets = 2}, {.tickets = 1}};

static void works(u64 c)
{
    for (;;)
        ((volatile struct client *)c)->work++;
}

static struct client *least(void)
{
    struct client *best = client;
    for (struct client *c = client; c < client + CLIENTS; c++)
        if (c->pass < best->pass)
            best = c;
    return best;
}

void tiny_main(void)
{
    for (struct client *c = client; c < client + CLIENTS; c++) {
        c->stride = STRIDE1 / c->tickets;
        c->pass = c->stride;
        c->env = tiny_spawn(works, (u64)c);
        if (!c->env)
            tiny_exit(0);
    }
    for (u32 n = 0; n < SLOTS; n++) {
        struct client *c = least();
        c->pass += c->stride;
        s64 place = xok_slot_alloc(TINY_CAP, c->env, tiny_ctl.cpu, XOK_SLOT_ANY);
        if (place < 0)
            tiny_exit(0);
        xok_yield(0); // its slice, to the end
        xok_slot_free(TINY_CAP, tiny_ctl.cpu, place);
    }
    u32 tickets = 0, got = 0;
    for (struct client *c = client; c < client + CLIENTS; c++)
        tickets += c->tickets, got += c->slices = XOK_ENVS[XOK_ENV_INDEX(c->env)].slices;
    tiny_say(got == SLOTS ? "ok slices" : "not ok slices", got, SLOTS);
    for (struct client *c = client; c < client + CLIENTS; c++) {
        s64 off = (s64)(c->slices * tickets) - (s64)(SLOTS * c->tickets); // in 1 / (SLOTS * tickets)
        int near = (off < 0 ? -off : off) * 50 <= SLOTS * tickets; // within 2 % of all slots
        tiny_say(near ? "ok share: slices, tickets" : "not ok share: slices, tickets", c->slices, c->tickets);
    }
    u64 total = client[0].work + client[1].work + client[2].work;
    tiny_say(client[0].work * 200 / total >= 98 && client[0].work * 200 / total <= 102 ? "ok work done, in 1000ths" : "not ok work",
             client[0].work * 1000 / total, client[1].work * 1000 / total);
}
