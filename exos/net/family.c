// What the TCP/IP stack (stack.h) needs of ExOS. No thread is its own: who calls does the work that waits,
// and when nobody does the keeper.
#include "net/family.h"
#include "core/thread.h"

struct net stack;
static struct lock lock;
static u64 keeper_due = ~0ul; // ms: the keeper sleeps until then at most

u64 net_clock(void) { return clock_mono_ns(); }
void *net_alloc(size_t size) { return heap_alloc(size); }
void net_free(void *p) { heap_free(p); }

void *net_page_get(void)
{
    u64 ppn = page_get();
    return ppn ? page_va(ppn) : NULL;
}

// The root image's pages are never freed: they need no count.
static bool counted(const void *in) { return (u64)in >= WINDOW_VA && (u64)in < ARENA_END; }
void net_page_ref(void *in)
{
    if (counted(in))
        page_ref(page_of(in));
}
void net_page_put(void *in)
{
    if (counted(in))
        page_put(page_of(in));
}
void net_random(void *to, size_t n) { random_bytes(to, n); }

void stack_take(void)
{
    lock_take(&lock);
    net_enter(&stack);
    if (wheel_next(&stack.wheel) <= net_ms(&stack))
        net_timers(&stack);
}

void stack_drop(void)
{
    net_leave(&stack);
    lock_drop(&lock);
}

static void wake_earlier(struct net *net, u64 ms)
{
    (void)net;
    if (ms >= keeper_due)
        return;
    keeper_due = ms;
    keeper_kick();
}

u64 stack_keep(u64 now_ns)
{
    (void)now_ns;
    stack_take();
    net_timers(&stack);
    u64 next = net_next_ns(&stack);
    keeper_due = next == ~0ul ? next : next / 1000000;
    stack_drop();
    return next == ~0ul ? 0 : next;
}

// A connection's state has changed: whoever waits for it looks again.
static void on_tcp(void *owner, u32 events)
{
    struct sock *s = owner;
    if (events == TCP_EV_WRITE && tcp_room(s->tcp) < s->tcp->sndbuf / 3)
        return;
    waitq_wake(&s->wait, 1 << 30, POLLIN | POLLOUT);
}

static void on_accept(void *owner) { waitq_wake(&((struct sock *)owner)->wait, 1 << 30, POLLIN); }

void stack_start(void)
{
    stack.tcp_event = on_tcp;
    stack.accept_event = on_accept;
    stack.udp_receive = udp_arrived;
    stack.udp_failed = udp_told;
    stack.wake_earlier = wake_earlier;
    if (!net_init(&stack))
        panic("no memory for the network");
}
