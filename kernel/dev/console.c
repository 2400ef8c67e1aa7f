// Four byte streams to the host: virtio-console with multiple ports (virtio 1.2, 5.3). Port p of ours is
// port p + 1 of the device; its port 0 is reserved for a console and stays unused.
#include "kernel.h"
#include "dev/virtio.h"

enum { F_MULTIPORT = 1, CONTROL_RX = 2, CONTROL_TX = 3 };
enum { DEVICE_READY, DEVICE_ADD, DEVICE_REMOVE, PORT_READY, CONSOLE_PORT, RESIZE, PORT_OPEN, PORT_NAME };
enum { BUFFERS = 16, CONTROL_BUFFERS = 16, CONTROL_SIZE = 256 }; // 64 KiB each way and port

struct control {
    u32 id;
    u16 event, value;
};

static struct virtio device;
static struct virtq control_rx, control_tx;
static bool present;

static struct port {
    struct virtq rx, tx;
    u64 rx_page[BUFFERS], tx_page[BUFFERS];
    // Buffers that arrived and wait to be read, oldest first.
    struct {
        u8 buffer;
        u16 at, end;
    } fifo[BUFFERS];
    u32 fifo_head, fifo_count;
    u8 tx_free[BUFFERS];
    u32 tx_free_count;
} ports[XOK_CON_PORTS];

static void exposed_update(u32 p)
{
    struct port *port = &ports[p];
    u32 bytes = 0;
    for (u32 i = 0; i < port->fifo_count; i++) {
        u32 at = (port->fifo_head + i) % BUFFERS;
        bytes += port->fifo[at].end - port->fifo[at].at;
    }
    info.con[p].rx_bytes = bytes;
    info.con[p].tx_room = port->tx_free_count * XOK_PAGE_SIZE;
}

static void control_send(u32 id, u16 event, u16 value)
{
    static u64 page;
    static u32 next;
    u64 cookie;
    u32 len;
    while (virtq_pop(&control_tx, &cookie, &len))
        ;
    if (!page)
        page = kpage_alloc();
    u64 pa = page + next++ % VIRTQ_SIZE * sizeof(struct control);
    *(struct control *)phys_to_virt(pa) = (struct control){id, event, value};
    virtq_add(&control_tx, pa, sizeof(struct control), false, 0);
    virtq_kick(&control_tx);
}

static void rx_post(struct port *p, u32 buffer)
{
    virtq_add(&p->rx, p->rx_page[buffer], XOK_PAGE_SIZE, true, buffer);
}

static void control_handle(const struct control *m)
{
    u32 p = m->id - 1;
    if (m->event == DEVICE_ADD && m->value) {
        control_send(m->id, PORT_READY, 1);
        if (p < XOK_CON_PORTS)
            control_send(m->id, PORT_OPEN, 1);
    } else if (m->event == PORT_OPEN && p < XOK_CON_PORTS) {
        info.con[p].open = m->value;
        info.con[p].rx_seq++;
        pred_touch_info(&info.con[p].rx_seq);
    }
}

static void port_poll(u32 n)
{
    struct port *p = &ports[n];
    u64 cookie;
    u32 len;
    bool rx = false, tx = false, was_full = !p->tx_free_count;
    while (virtq_pop(&p->rx, &cookie, &len)) {
        u32 at = (p->fifo_head + p->fifo_count) % BUFFERS;
        if (cookie >= BUFFERS || p->fifo_count >= BUFFERS)
            continue;
        p->fifo[at].buffer = cookie, p->fifo[at].at = 0, p->fifo[at].end = MIN(len, (u32)XOK_PAGE_SIZE);
        p->fifo_count++;
        rx = true;
    }
    while (virtq_pop(&p->tx, &cookie, &len))
        if (cookie < BUFFERS && p->tx_free_count < BUFFERS) {
            p->tx_free[p->tx_free_count++] = cookie;
            tx = true;
        }
    exposed_update(n);
    if (rx) {
        info.con[n].rx_seq++;
        pred_touch_info(&info.con[n].rx_seq);
    }
    if (tx && was_full) {
        virtq_interrupts(&p->tx, false);
        info.con[n].tx_seq++;
        pred_touch_info(&info.con[n].tx_seq);
    }
}

static void console_interrupt(void *arg)
{
    u64 cookie;
    u32 len;
    (void)arg;
    virtio_ack(&device);
    while (virtq_pop(&control_rx, &cookie, &len)) {
        if (len >= sizeof(struct control))
            control_handle(phys_to_virt(cookie));
        virtq_add(&control_rx, cookie, CONTROL_SIZE, true, cookie);
    }
    virtq_kick(&control_rx);
    for (u32 n = 0; n < XOK_CON_PORTS; n++)
        port_poll(n);
}

static bool port_init(u32 n)
{
    struct port *p = &ports[n];
    if (!virtq_init(&p->rx, &device, 4 + 2 * n) || !virtq_init(&p->tx, &device, 5 + 2 * n))
        return false;
    virtq_interrupts(&p->tx, false); // finished buffers are collected by the next write
    for (u32 i = 0; i < BUFFERS; i++) {
        p->rx_page[i] = kpage_alloc();
        p->tx_page[i] = kpage_alloc();
        if (!p->rx_page[i] || !p->tx_page[i])
            return false;
        p->tx_free[p->tx_free_count++] = i;
        rx_post(p, i);
    }
    exposed_update(n);
    return true;
}

void console_init(void)
{
    u64 have;
    if (!virtio_find(&device, VIRTIO_CONSOLE, 0, 1ul << F_MULTIPORT, &have, console_interrupt, NULL) ||
        !(have >> F_MULTIPORT & 1) || virtio_config32(&device, 4) < XOK_CON_PORTS + 1)
        return;
    bool ok = virtq_init(&control_rx, &device, CONTROL_RX) && virtq_init(&control_tx, &device, CONTROL_TX);
    u64 page = ok ? kpage_alloc() : 0;
    ok = page;
    for (u32 i = 0; ok && i < CONTROL_BUFFERS; i++)
        virtq_add(&control_rx, page + i * CONTROL_SIZE, CONTROL_SIZE, true, page + i * CONTROL_SIZE);
    for (u32 n = 0; ok && n < XOK_CON_PORTS; n++)
        ok = port_init(n);
    if (!ok)
        return;
    virtio_ready(&device);
    virtq_kick(&control_rx);
    for (u32 n = 0; n < XOK_CON_PORTS; n++)
        virtq_kick(&ports[n].rx);
    control_send(~0u, DEVICE_READY, 1);
    present = true;
}

s64 console_write(u32 n, u64 user, u64 len)
{
    struct port *p = &ports[n];
    u64 done = 0;
    if (!present)
        return XOK_E_AGAIN;
    port_poll(n);
    while (done < len && p->tx_free_count) {
        u32 buffer = p->tx_free[p->tx_free_count - 1], part = MIN(len - done, XOK_PAGE_SIZE);
        if (copy_in(phys_to_virt(p->tx_page[buffer]), user + done, part))
            break;
        p->tx_free_count--;
        virtq_add(&p->tx, p->tx_page[buffer], part, false, buffer);
        done += part;
    }
    if (!p->tx_free_count) {
        virtq_interrupts(&p->tx, true); // somebody will wait
        port_poll(n);
    }
    if (done)
        virtq_kick(&p->tx);
    exposed_update(n);
    return done || p->tx_free_count == 0 || !len ? (s64)done : XOK_E_FAULT;
}

s64 console_read(u32 n, u64 user, u64 len)
{
    struct port *p = &ports[n];
    u64 done = 0;
    bool posted = false;
    if (!present)
        return XOK_E_AGAIN;
    while (done < len && p->fifo_count) {
        u32 head = p->fifo_head, buffer = p->fifo[head].buffer;
        u32 part = MIN(len - done, (u64)(p->fifo[head].end - p->fifo[head].at));
        if (copy_out(user + done, (u8 *)phys_to_virt(p->rx_page[buffer]) + p->fifo[head].at, part)) {
            if (!done)
                return XOK_E_FAULT;
            break;
        }
        done += part;
        p->fifo[head].at += part;
        if (p->fifo[head].at < p->fifo[head].end)
            break;
        p->fifo_head = (head + 1) % BUFFERS;
        p->fifo_count--;
        rx_post(p, buffer);
        posted = true;
    }
    if (posted)
        virtq_kick(&p->rx);
    exposed_update(n);
    return done;
}

void console_drain(void)
{
    // The device takes buffers as fast as the host reads; a host that stopped must not keep the machine.
    u64 until = clock_ns() + 5000000000ul;
    for (u32 n = 0; present && n < XOK_CON_PORTS; n++)
        while (ports[n].tx_free_count < BUFFERS && clock_ns() < until) {
            port_poll(n);
            __builtin_ia32_pause();
        }
}
