// What the TCP/IP stack (stack.h) needs of ExOS. No thread is its own: who calls does the work that waits,
// and when nobody does the keeper.
#include "net/family.h"
#include "core/thread.h"
#include "net/card.h"

struct net stack;
static struct lock lock;
enum { DHCP_PATIENCE_NS = 3000000000l };
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
    card_poll();
    if (wheel_next(&stack.wheel) <= net_ms(&stack))
        net_timers(&stack);
}

void stack_drop(void)
{
    net_leave(&stack);
    card_flush();
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

static void on_accept(void *owner) { waitq_wake(&((struct sock *)owner)->wait, 1, POLLIN); }

// ---- the network's address and its resolver, at the start
static struct waitq bound;
static bool has_card;

static void on_dhcp(struct dhcp *d)
{
    (void)d;
    waitq_wake(&bound, 1 << 30, 0);
}

static bool is_bound(void) { return card_dhcp.state == DHCP_BOUND; }

static void resolver_write(void)
{
    char text[256];
    int n = 0;
    struct file *f;
    u64 pos = 0;
    if (card_dhcp.domain[0])
        n += snprintf(text + n, sizeof text - n, "search %.63s\n", card_dhcp.domain);
    for (u32 i = 0; i < card_dhcp.ndns; i++) {
        const u8 *a = &card_dhcp.dns[i].b[12];
        n += snprintf(text + n, sizeof text - n, "nameserver %u.%u.%u.%u\n", a[0], a[1], a[2], a[3]);
    }
    if (!card_dhcp.ndns || open_path(AT_FDCWD, "/etc/resolv.conf", O_WRONLY | O_CREAT | O_TRUNC, 0644, 0, &f))
        return;
    thread_self()->arena_io = true;
    f->ops->write(f, (u64)text, n, &pos);
    thread_self()->arena_io = false;
    file_put(f);
}

void stack_ready(void)
{
    if (!has_card)
        return;
    static struct lock none;
    lock_take(&none);
    waitq_until(&bound, &none, is_bound(), clock_mono_ns() + DHCP_PATIENCE_NS, false);
    lock_drop(&none);
    if (is_bound())
        resolver_write();
    else
        debug("network: no DHCP server answers");
}

void stack_start(void)
{
    stack.tcp_event = on_tcp;
    stack.accept_event = on_accept;
    stack.udp_receive = udp_arrived;
    stack.udp_failed = udp_told;
    stack.icmp_echo_reply = ping_arrived;
    stack.wake_earlier = wake_earlier;
    if (!net_init(&stack))
        panic("no memory for the network");
    waitq_init(&bound);
    stack.dhcp_bound = on_dhcp;
    lock_take(&lock);
    net_enter(&stack);
    struct netif *card = card_start(&stack);
    if (card) {
        has_card = true;
        dhcp_start(card, &card_dhcp);
        nd_start(card);
    }
    stack_drop();
}
