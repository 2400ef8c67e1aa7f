// What `xok run` was asked for, and its parts.
#ifndef XOK_RUN_H
#define XOK_RUN_H
#include "xok.h"
#include "core/control.h"

enum port {
    PORT_STDIN,
    PORT_STDOUT,
    PORT_STDERR,
    PORT_CONTROL,
    PORT_LOG,
    PORTS
}; // LOG: the serial line

struct run {
    const char *rootfs, *cwd, *user, *stats, *machine, *cpu, *profile;
    u64 memory;       // bytes
    u64 smp, timeout; // timeout: seconds, 0 none
    bool strace, verbose, gdb, icount;
    bool network;    // a card with a network behind it
    const char *tap; // the host's interface that it is; NULL: QEMU's user network
    char **publish;  // ports, as QEMU wants them
    u32 publish_count;
    char **env;
    u32 env_count;
    char **argv;
    u32 argc;
};

// program.c: what the root image says about the program and the user, before anything boots
struct identity {
    u32 uid, gid, ngroups, groups[16];
    char *home, *name; // name: NULL if /etc/passwd does not know the number
};
void identity_find(const struct rootimg *image, const char *user, struct identity *id);
// The program's path; dies with 127, 126 or 125 and one line if it cannot be run.
char *program_find(const struct rootimg *image, const struct run *run, const struct identity *id);
void env_defaults(struct run *run, const struct identity *id, bool terminal);
const char *env_get(const struct run *run, const char *name); // NULL if not set

// publish.c
char *
publish_parse(const char *text); // [ADDR:]HOSTPORT:PORT[/udp] as QEMU wants it; NULL: malformed

// machine.c
struct machine {
    pid_t pid;
    int ports[PORTS]; // this side, non-blocking
    int errors;       // what QEMU itself says, non-blocking
    bool kvm;
};
void machine_start(struct machine *machine, const struct run *run, int boot_fd);
void machine_stop(struct machine *machine); // ends it at once; nothing if it has ended

// terminal.c
u32 terminal_mask(void);                  // bit n: descriptor n is a terminal
void terminal_size(u16 *rows, u16 *cols); // 0, 0 without one
void terminal_raw(void);                  // standard input, undone by every way out
void terminal_restore(void);
void terminal_suspend(void);                  // stops this process, terminal restored
void terminal_resume(void);                   // after SIGCONT: raw again if it was
void log_write(const char *text, size_t len); // to standard error, lines right in raw mode too

// session.c: moves bytes until the program has ended. Returns the exit status for the command.
struct session_end {
    char *stats; // members of a JSON object from the guest, NULL if it sent none
    struct control_ready ready;
    bool was_ready;
};
int session_run(struct machine *machine, const struct run *run, const void *config,
                size_t config_len, struct session_end *end);

#endif
