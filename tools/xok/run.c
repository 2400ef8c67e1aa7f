// `xok run`: options, then one session.
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>
#include "run.h"

static const char usage[] =
    "usage: xok run [OPTION...] [--] PROGRAM [ARG...]\n"
    "  --rootfs FROM      the root: a directory, a tar archive (plain, gzip, xz, zstd) or an "
    "image;\n"
    "                     without it the built-in one\n"
    "  --memory SIZE      of the machine: 512M, 2G (default 1G)\n"
    "  --smp N            processors, 1 to 16 (default 1)\n"
    "  --env K=V          adds to the environment (PATH, HOME and TERM are always set)\n"
    "  --cwd DIR          where the program starts (default /)\n"
    "  --user U           NAME or UID, with :GROUP if wanted, as the root's /etc/passwd has it "
    "(default 0)\n"
    "  --publish P        [ADDR:]HOSTPORT:PORT[/udp]: a port of the host (127.0.0.1 unless told) "
    "leads\n"
    "                     to one of the machine; may be given several times\n"
    "  --network          a network without published ports\n"
    "  --tap NAME         the network is the host's tap interface NAME\n"
    "  --strace           every Linux call, on standard error\n"
    "  --verbose          the kernel's messages, on standard error\n"
    "  --gdb              waits for a debugger\n"
    "  --icount           deterministic: guest instructions are the clock\n"
    "  --stats FILE       writes counts as JSON\n"
    "  --profile FILE     counts where the instructions go: see xok profile --help\n"
    "  --timeout SECONDS  ends the machine after that long: status 124\n"
    "  --machine M        microvm (default) or q35\n"
    "  --cpu MODEL        as QEMU names it (default: all it can do)\n"
    "Exit status: the program's; 128+N if signal N ended it; 124 out of time; 125 xok itself "
    "failed;\n"
    "126 not executable; 127 no such program.\n";

// Linux takes at most a quarter of the stack limit for these, and never more than 6 MiB
// (execve(2)).
#define STRINGS_MAX (6ul << 20)
#define MEMORY_BESIDE_ROOT (18ul << 20) // below this not even an empty root boots
#define SMP_MAX 16

static void add_env(struct run *run, const char *text)
{
    if (!strchr(text, '=') || *text == '=')
        die("--env %s: K=V is wanted", text);
    run->env = grow(run->env, (run->env_count + 1) * sizeof *run->env);
    run->env[run->env_count++] = format("%s", text);
}

static bool add_publish(struct run *run, const char *text)
{
    char *forward = publish_parse(text);
    if (!forward)
        return false;
    run->publish = grow(run->publish, (run->publish_count + 1) * sizeof *run->publish);
    run->publish[run->publish_count++] = forward;
    return true;
}

static bool flag_option(struct run *run, const char *name)
{
    const struct {
        const char *name;
        bool *flag;
    } flags[] = {{"strace", &run->strace},
                 {"verbose", &run->verbose},
                 {"gdb", &run->gdb},
                 {"icount", &run->icount},
                 {"network", &run->network}};
    for (size_t i = 0; i < sizeof flags / sizeof *flags; i++)
        if (!strcmp(name, flags[i].name)) {
            *flags[i].flag = true;
            return true;
        }
    return false;
}

static const char **text_option(struct run *run, const char *name)
{
    const struct {
        const char *name;
        const char **value;
    } options[] = {{"rootfs", &run->rootfs},   {"cwd", &run->cwd},         {"user", &run->user},
                   {"stats", &run->stats},     {"machine", &run->machine}, {"cpu", &run->cpu},
                   {"profile", &run->profile}, {"tap", &run->tap}};
    for (size_t i = 0; i < sizeof options / sizeof *options; i++)
        if (!strcmp(name, options[i].name))
            return options[i].value;
    return NULL;
}

static void value_option(struct run *run, const char *name, const char *value)
{
    const char **text = text_option(run, name);
    bool valid = true;
    if (text)
        *text = value;
    else if (!strcmp(name, "env"))
        add_env(run, value);
    else if (!strcmp(name, "publish"))
        valid = add_publish(run, value);
    else if (!strcmp(name, "memory"))
        valid = parse_size(value, &run->memory);
    else if (!strcmp(name, "smp"))
        valid = parse_number(value, SMP_MAX, &run->smp) && run->smp;
    else if (!strcmp(name, "timeout"))
        valid = parse_number(value, 1u << 30, &run->timeout) && run->timeout;
    if (!valid)
        die("--%s %s: not a value that it can have", name, value);
}

static bool takes_value(struct run *run, const char *name)
{
    return text_option(run, name) || !strcmp(name, "env") || !strcmp(name, "publish") ||
           !strcmp(name, "memory") || !strcmp(name, "smp") || !strcmp(name, "timeout");
}

static void parse(struct run *run, int argc, char **argv)
{
    int i = 0;
    for (; i < argc && argv[i][0] == '-' && argv[i][1]; i++) {
        if (!strcmp(argv[i], "--")) {
            i++;
            break;
        }
        if (!strcmp(argv[i], "--help")) {
            fputs(usage, stdout);
            exit(0);
        }
        size_t len = strcspn(argv[i], "=");
        char *name = strncmp(argv[i], "--", 2) ? format("%s", argv[i])
                                               : format("%.*s", (int)len - 2, argv[i] + 2);
        const char *value = argv[i][len] ? argv[i] + len + 1 : NULL;
        if (takes_value(run, name)) {
            if (!value && ++i == argc)
                die("--%s needs a value", name);
            value_option(run, name, value ? value : argv[i]);
        } else if (value || !flag_option(run, name)) {
            die("unknown option %s; xok run --help lists them", argv[i]);
        }
        free(name);
    }
    run->argv = argv + i;
    run->argc = argc - i;
}

static void check_options(const struct run *run)
{
    if (!run->argc)
        die("no program to run; xok run --help");
    if (!*run->argv[0])
        die_status(STATUS_NOT_FOUND, "the program's name is empty");
    if (run->cwd[0] != '/')
        die("--cwd %s: an absolute path is wanted", run->cwd);
    if (strcmp(run->machine, "microvm") && strcmp(run->machine, "q35"))
        die("--machine %s: microvm or q35 is wanted", run->machine);
    if (run->tap && run->publish_count)
        die("--tap %s: ports are published by QEMU's own network only", run->tap);
    if (run->tap && (!*run->tap || strchr(run->tap, ',')))
        die("--tap %s: not an interface", run->tap);
    if (run->cpu && strchr(run->cpu, '\n'))
        die("--cpu: not a model");
    if (run->memory < MEMORY_BESIDE_ROOT)
        die("--memory: at least 18M is needed, and what the root takes");
}

struct config {
    char *data;
    size_t len, room;
};

static void config_add(struct config *c, const void *data, size_t len)
{
    if (c->len + len > c->room) {
        c->room = (c->len + len) * 2;
        c->data = grow(c->data, c->room);
    }
    memcpy(c->data + c->len, data, len);
    c->len += len;
}

static struct config make_config(const struct run *run, const struct identity *id, const char *path)
{
    struct config c = {0};
    struct control_config head = {
        .version = CONTROL_VERSION,
        .flags = (run->strace ? CONTROL_FLAG_STRACE : 0) | (run->stats ? CONTROL_FLAG_STATS : 0) |
                 (run->verbose ? CONTROL_FLAG_VERBOSE : 0),
        .tty_mask = terminal_mask(),
        .uid = id->uid,
        .gid = id->gid,
        .ngroups = id->ngroups,
        .argc = run->argc,
        .envc = run->env_count,
    };
    terminal_size(&head.rows, &head.cols);
    memcpy(head.groups, id->groups, sizeof head.groups);
    config_add(&c, &head, sizeof head);
    config_add(&c, path, strlen(path) + 1);
    config_add(&c, run->cwd, strlen(run->cwd) + 1);
    for (u32 i = 0; i < run->argc; i++)
        config_add(&c, run->argv[i], strlen(run->argv[i]) + 1);
    for (u32 i = 0; i < run->env_count; i++)
        config_add(&c, run->env[i], strlen(run->env[i]) + 1);
    if (c.len > STRINGS_MAX)
        die("the arguments and the environment are too long");
    return c;
}

// The boot image as a descriptor: the one that make has prepared, if it is there and up to date.
static int boot_open(struct root *root, const struct run *run)
{
    struct stat boot, exos, image;
    char *dir = program_dir();
    char *path = path_join(dir, "boot.img");
    bool fresh = !run->rootfs && stat(path, &boot) == 0 &&
                 stat(path_join(dir, "exos/exos.elf"), &exos) == 0 &&
                 stat(path_join(dir, "root.img"), &image) == 0 && boot.st_mtime > exos.st_mtime &&
                 boot.st_mtime > image.st_mtime;
    int fd = fresh ? open(path, O_RDONLY | O_CLOEXEC) : -1;
    return fd >= 0 ? fd : boot_image(root);
}

static void check_memory(const struct run *run, int boot)
{
    struct stat st;
    if (fstat(boot, &st) == 0 && (u64)st.st_size + MEMORY_BESIDE_ROOT > run->memory)
        die("out of guest memory: the root takes %lu MiB, the machine has %lu MiB; see --memory",
            (u64)st.st_size >> 20, run->memory >> 20);
}

static u64 now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1000000000ul + t.tv_nsec;
}

static void write_stats(const struct run *run, const struct machine *machine,
                        const struct session_end *end, u64 host_ns, u64 image_bytes, int status)
{
    FILE *f = fopen(run->stats, "we");
    if (!f) {
        complain("--stats %s: %s", run->stats, strerror(errno));
        return;
    }
    fprintf(
        f,
        "{\n\"exit_status\": %d,\n\"machine\": \"%s\",\n\"accelerator\": \"%s\",\n\"icount\": %s,\n"
        "\"smp\": %lu,\n\"memory_bytes\": %lu,\n\"root_image_bytes\": %lu,\n\"host_ns\": %lu",
        status, run->machine, machine->kvm ? "kvm" : "tcg", run->icount ? "true" : "false",
        run->smp, run->memory, image_bytes, host_ns);
    if (end->was_ready)
        fprintf(f, ",\n\"ready_ns\": %lu,\n\"ready_tsc\": %lu", end->ready.ns, end->ready.tsc);
    if (end->stats && *end->stats)
        fprintf(f, ",\n%s", end->stats);
    fputs("\n}\n", f);
    if (fclose(f))
        complain("--stats %s: %s", run->stats, strerror(errno));
}

// Descriptors 0 to 2 that the caller closed would else become something of ours.
static void fill_standard_descriptors(void)
{
    for (int fd = 0; fd < 3; fd++)
        if (fcntl(fd, F_GETFD) < 0)
            open("/dev/null", fd ? O_WRONLY : O_RDONLY); // the lowest free number: fd
}

int command_run(int argc, char **argv)
{
    struct run run = {.cwd = "/", .machine = "microvm", .memory = 1ul << 30, .smp = 1};
    struct root root;
    struct identity id;
    struct machine machine;
    struct session_end end = {0};
    fill_standard_descriptors();
    parse(&run, argc, argv);
    check_options(&run);
    root_open(&root, run.rootfs);
    identity_find(&root.image, run.user, &id);
    env_defaults(&run, &id, terminal_mask());
    char *path = program_find(&root.image, &run, &id);
    struct config config = make_config(&run, &id, path);
    int boot = boot_open(&root, &run);
    check_memory(&run, boot);
    if (run.gdb)
        complain("waiting for: gdb %s/kernel/xok.elf -ex 'target remote 127.0.0.1:1234'",
                 program_dir());
    u64 start = now_ns();
    machine_start(&machine, &run, boot);
    int status = session_run(&machine, &run, config.data, config.len, &end);
    if (run.stats)
        write_stats(&run, &machine, &end, now_ns() - start, root.image.size, status);
    return status;
}
