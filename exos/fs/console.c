// The console: the family's standard streams, each a stream or the terminal, and what the host says
// about them. The terminal's input is port 0; its output is the first of ports 1 and 2 that is one.
#include "core/calls.h"
#include "fs/console.h"
#include "fs/stream.h"
#include "fs/tty.h"

enum { OUT_SIZE = 32768, PULL = 1024 };
static struct tty console;
static u8 out[OUT_SIZE];
static bool exists, has_input;
static int out_port; // 0: nobody would see it
static u64 pulled, end = ~0ul; // bytes taken from port 0; how many there are in all

struct tty *console_tty(void) { return exists ? &console : NULL; }

static void console_flush(struct tty *t)
{
    while (!t->stopped && tty_out_bytes(t)) {
        u32 at = t->out_tail % t->out_size;
        u32 n = MIN(tty_out_bytes(t), t->out_size - at);
        s64 took = out_port ? stream_offer(out_port, (char *)t->out + at, n) : n;
        if (!took)
            return; // console_event() comes when there is room
        t->out_tail += took > 0 ? took : n; // nobody reads any more
        waitq_wake(&t->wr, 1 << 30, POLLOUT);
    }
}

static void console_pull(struct tty *t)
{
    u8 bytes[PULL];
    while (has_input) {
        u32 room = ntty_room(t);
        s64 n = room ? xok_con_read(FAMILY, 0, bytes, MIN(room, PULL)) : 0;
        if (n <= 0)
            break;
        pulled += n;
        ntty_receive(t, bytes, n);
    }
    if (pulled >= end && !t->eof) {
        t->eof = true;
        waitq_wake(&t->rd, 1 << 30, POLLIN | POLLHUP);
    }
}

static void look(void)
{
    lock_take(&console.lock);
    console_flush(&console);
    console_pull(&console);
    tty_drop(&console);
}

void console_event(int port)
{
    stream_event(port);
    if (exists)
        look();
}

void console_stdin_eof(u64 total)
{
    stream_eof(total);
    if (!has_input)
        return;
    end = total;
    look();
    if (out_port) // a raw terminal ends only by going away
        tty_hangup(&console);
}

void console_hup(int port)
{
    stream_hup(port);
    if (exists)
        look();
}

void console_resize(u32 rows, u32 cols)
{
    struct winsize_native ws = {.rows = rows, .cols = cols};
    if (exists)
        tty_resize(&console, &ws);
}

// Asked when the family ends: first everything goes.
u64 console_out_bytes(int port)
{
    if (exists && port == out_port) {
        lock_take(&console.lock);
        console.stopped = false;
        waitq_until(&console.wr, &console.lock, (console_flush(&console), !tty_out_bytes(&console)), 0, false);
        lock_drop(&console.lock);
    }
    return stream_given(port);
}

// The terminal as an open file: /dev/console, which the program's user then owns.
static struct file *terminal_file(void)
{
    struct path p;
    struct file *f = NULL;
    if (path_lookup(AT_FDCWD, "/dev/console", 0, &p))
        return NULL;
    if (!S_ISCHR(p.d->inode->mode)) {
        path_put(&p);
        return NULL;
    }
    p.d->inode->uid = proc_self()->fsuid;
    p.d->inode->gid = 5; // tty
    p.d->inode->mode = S_IFCHR | 0620;
    return open_inode(&p, O_RDWR, true, &f) ? NULL : f;
}

s64 fs_console_files(struct files *fs, u32 tty_mask, u32 rows, u32 cols)
{
    struct file *terminal = NULL;
    if (tty_mask & 7) {
        console.dev = MKDEV(5, 1);
        console.flush = console_flush;
        console.more = console_pull;
        console.ws = (struct winsize_native){.rows = rows, .cols = cols};
        tty_init(&console, out, OUT_SIZE);
        out_port = tty_mask & 2 ? 1 : tty_mask & 4 ? 2 : 0;
        has_input = tty_mask & 1;
        exists = true;
        terminal = terminal_file();
        if (!terminal)
            return -ENOENT;
    }
    for (int n = 0; n < 3; n++) {
        struct file *f = tty_mask >> n & 1 ? file_get(terminal) : stream_file(n);
        if (!f)
            return -ENOMEM;
        lock_take(&fs->lock);
        fs->table[n] = f;
        fs->open[0] |= 1ul << n;
        lock_drop(&fs->lock);
    }
    if (terminal) {
        file_put(terminal);
        look();
    }
    return 0;
}
