// The console: the family's standard streams, and what the host says about them.
#include "fs/console.h"
#include "fs/stream.h"
#include "fs/vfs.h"

void console_event(int port)
{
    if (port < 3)
        stream_event(port);
}

void console_stdin_eof(u64 total)
{
    stream_eof(total);
}

void console_hup(int port)
{
    stream_hup(port);
}

void console_resize(u32 rows, u32 cols)
{
    (void)rows, (void)cols;
}

s64 terminal_open(u64 rdev, struct file *f)
{
    (void)rdev, (void)f;
    return -ENXIO;
}

s64 fs_console_files(struct files *fs, u32 tty_mask, u32 rows, u32 cols)
{
    (void)tty_mask, (void)rows, (void)cols;
    for (int n = 0; n < 3; n++) {
        struct file *f = stream_file(n);
        if (!f)
            return -ENOMEM;
        lock_take(&fs->lock);
        fs->table[n] = f;
        fs->open[0] |= 1ul << n;
        lock_drop(&fs->lock);
    }
    return 0;
}
