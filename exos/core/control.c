// The control port: messages from and to the host's xok (control.h).
#include "core/control.h"
#include "core/calls.h"
#include "core/start.h"
#include "core/thread.h"
#include "fs/console.h"
#include "fs/fs.h"
#include "proc/signal.h"

enum { WAIT_NS = 1000000 }; // between looks while the port is full

static struct lock send_lock;
static u8 *in;           // the message being received, header first
static u64 in_len, in_room;

static void send_bytes(const void *p, u64 n)
{
    const char *at = p;
    while (n) {
        s64 r = xok_con_write(FAMILY, CONTROL_PORT, at, MIN(n, 65536ul));
        if (r < 0)
            return; // there is no host
        at += r, n -= r;
        if (!r)
            xok_sleep(clock_mono_ns() + WAIT_NS, 0);
    }
}

void control_send2(u32 type, const void *head, u64 head_len, const void *payload, u64 len)
{
    struct control_header h = {type, head_len + len};
    lock_take(&send_lock);
    send_bytes(&h, sizeof h);
    send_bytes(head, head_len);
    send_bytes(payload, len);
    lock_drop(&send_lock);
}

void control_send(u32 type, const void *payload, u64 len)
{
    control_send2(type, payload, len, NULL, 0);
}

// Reads what has come; true when `in` holds a whole message.
static bool receive(void)
{
    for (;;) {
        u64 want = sizeof(struct control_header);
        if (in_len >= want) {
            struct control_header *h = (void *)in;
            if (h->length > CONTROL_MAX || h->length > (1 << 20) - PAGE)
                panic("control message of %u bytes: at most 1 MiB of arguments and environment can be taken", h->length);
            want += h->length;
            if (in_len == want)
                return true;
        }
        if (want > in_room) {
            u8 *bigger = heap_resize(in, want);
            if (!bigger)
                panic("no memory for the host's message");
            in = bigger;
            in_room = want;
        }
        s64 n = xok_con_read(FAMILY, CONTROL_PORT, in + in_len, MIN(want - in_len, 65536ul));
        if (n <= 0)
            return false;
        in_len += n;
    }
}

static void host_signal(u32 sig, bool group)
{
    if (sig < 1 || sig > 64)
        return;
    lock_take(&proc_lock);
    struct proc *p = proc_find(1);
    if (p && group)
        signal_group_locked(1, sig, NULL);
    else if (p)
        signal_proc(p, sig, NULL);
    lock_drop(&proc_lock);
}

static void handle(u32 type, const u8 *payload, u32 length)
{
    u64 total;
    u16 size[2];
    u32 word;
    switch (type) {
    case CONTROL_STDIN_EOF:
        if (length >= 8) {
            memcpy(&total, payload, 8);
            console_stdin_eof(total);
        }
        break;
    case CONTROL_WINCH:
        if (length >= 4) {
            memcpy(size, payload, 4);
            console_resize(size[0], size[1]);
        }
        break;
    case CONTROL_SIGNAL:
        if (length >= 4) {
            memcpy(&word, payload, 4);
            host_signal(word & ~CONTROL_SIGNAL_GROUP, word & CONTROL_SIGNAL_GROUP);
        }
        break;
    case CONTROL_HUP:
        if (length >= 4) {
            memcpy(&word, payload, 4);
            if (word == 1 || word == 2)
                console_hup(word);
        }
        break;
    }
}

void control_event(void)
{
    while (receive()) {
        struct control_header *h = (void *)in;
        handle(h->type, in + sizeof *h, h->length);
        in_len = 0;
    }
}

const struct control_config *control_config(u64 *length)
{
    struct control_header *h;
    for (;;) {
        while (!receive())
            xok_sleep(clock_mono_ns() + WAIT_NS, 0);
        h = (void *)in;
        if (h->type == CONTROL_CONFIG && h->length >= sizeof(struct control_config))
            break;
        in_len = 0;
    }
    // Kept: the strings stay where they are.
    *length = h->length;
    const struct control_config *c = (void *)(in + sizeof *h);
    in = NULL, in_len = in_room = 0;
    return c;
}
