// The machine: QEMU with five sockets to this process.
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>
#include "run.h"

struct command {
    char *words[96];
    int count;
};

static void add(struct command *c, const char *word)
{
    if (c->count == sizeof c->words / sizeof *c->words - 1)
        die("too long a command for QEMU");
    c->words[c->count++] = format("%s", word);
}

static void add2(struct command *c, const char *option, char *value)
{
    add(c, option);
    add(c, value);
    free(value);
}

// /dev/kvm may exist on a machine whose processor lacks virtualisation, and then it hangs.
static bool kvm_usable(void)
{
    static char text[1 << 16];
    int fd = open("/proc/cpuinfo", O_RDONLY | O_CLOEXEC);
    ssize_t n = fd < 0 ? 0 : read_some(fd, text, sizeof text - 1);
    if (fd >= 0)
        close(fd);
    text[n > 0 ? n : 0] = 0;
    const char *flags = strstr(text, "\nflags");
    if (!flags)
        return false;
    char *line = format(" %.*s ", (int)strcspn(flags + 1, "\n"), flags + 1);
    bool has = strstr(line, " vmx ") || strstr(line, " svm ");
    free(line);
    fd = has ? open("/dev/kvm", O_RDWR | O_CLOEXEC) : -1;
    if (fd >= 0)
        close(fd);
    return fd >= 0;
}

// TCG runs a `rep movsb` a byte at a time, and the C library prefers it where ERMS says that it is
// fast.
#define TCG_CPU "max,-erms,-fsrm,-la57"

static void add_machine(struct command *c, const struct run *run, bool kvm)
{
    bool microvm = !strcmp(run->machine, "microvm");
    // Interrupt controllers, timer and clock of a PC are wanted under KVM too, where "auto" leaves
    // some out.
    add2(c, "-M",
         format("%s%s", run->machine,
                microvm ? ",acpi=on,rtc=on,pit=on,pic=on,auto-kernel-cmdline=off" : ""));
    add2(c, "-accel", format("%s", kvm ? "kvm" : "tcg"));
    add2(c, "-cpu", format("%s", run->cpu ? run->cpu : kvm ? "host" : TCG_CPU));
    add2(c, "-m", format("%luK", run->memory >> 10));
    add2(c, "-smp", format("%lu", run->smp));
    if (run->icount) {
        // The same run twice: instructions are the clock, and neither date nor random numbers
        // change.
        add2(c, "-icount", format("shift=0,sleep=off"));
        add2(c, "-rtc", format("base=2024-01-01T00:00:00,clock=vm"));
        add2(c, "-seed", format("1"));
    }
    if (run->profile)
        add2(c, "-plugin",
             format("%s,to=%s", path_join(program_dir(), "profile.so"), run->profile));
    if (run->gdb) {
        add2(c, "-gdb", format("tcp:127.0.0.1:1234"));
        add(c, "-S");
    }
    // The modern register layout; QEMU's default for virtio-mmio is the one before virtio 1.0.
    if (microvm)
        add2(c, "-global", format("virtio-mmio.force-legacy=false"));
    add2(c, "-device", format("virtio-serial-%s", microvm ? "device" : "pci"));
}

static void add_network(struct command *c, const struct run *run)
{
    if (!run->network && !run->tap && !run->publish_count)
        return;
    char *net = run->tap ? format("tap,id=net,script=no,downscript=no,ifname=%s", run->tap)
                         : format("user,id=net");
    for (u32 i = 0; i < run->publish_count; i++)
        net = format("%s,hostfwd=%s", net, run->publish[i]);
    add2(c, "-netdev", net);
    add2(c, "-device",
         format("virtio-net-%s,netdev=net", strcmp(run->machine, "microvm") ? "pci" : "device"));
}

static void add_ports(struct command *c, const int *fds)
{
    static const char *const names[PORTS] = {"stdin", "stdout", "stderr", "control", "log"};
    for (int i = 0; i < PORTS; i++) {
        add2(c, "-chardev", format("socket,id=%s,fd=%d", names[i], fds[i]));
        if (i != PORT_LOG)
            add2(c, "-device",
                 format("virtserialport,nr=%d,chardev=%s,name=xok.%s", i + 1, names[i], names[i]));
    }
    add2(c, "-serial", format("chardev:log"));
}

static void exec_qemu(struct command *c, int error_fd, int report_fd, pid_t parent)
{
    // Keys and signals of the terminal are for the guest; and QEMU never outlives this process.
    setsid();
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent)
        _exit(127);
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    int null = open("/dev/null", O_RDWR);
    dup2(null, 0), dup2(null, 1), dup2(error_fd, 2);
    execvp(c->words[0], c->words);
    int error = errno;
    write_all(report_fd, &error, sizeof error);
    _exit(127);
}

static void keep_open_in_child(int fd)
{
    fcntl(fd, F_SETFD, 0);
}

void machine_start(struct machine *machine, const struct run *run, int boot_fd)
{
    struct command c = {0};
    int theirs[PORTS], errors[2], report[2], error;
    const char *qemu = getenv("XOK_QEMU");
    char *kernel = path_join(program_dir(), "kernel/xok.elf");
    if (access(kernel, R_OK) < 0)
        die("%s: %s; run make", kernel, strerror(errno));
    machine->kvm = !run->icount && kvm_usable();
    add(&c, qemu && *qemu ? qemu : "qemu-system-x86_64");
    add(&c, "-nodefaults"), add(&c, "-no-user-config"), add(&c, "-no-reboot");
    add2(&c, "-display", format("none"));
    add_machine(&c, run, machine->kvm);
    add_network(&c, run);
    add2(&c, "-kernel", kernel);
    add2(&c, "-initrd", format("/dev/fd/%d", boot_fd));
    add2(&c, "-device", format("isa-debug-exit,iobase=0xf4,iosize=4"));
    for (int i = 0; i < PORTS; i++) {
        int pair[2];
        if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0)
            die("socketpair: %s", strerror(errno));
        machine->ports[i] = pair[0], theirs[i] = pair[1];
        fcntl(pair[0], F_SETFL, O_NONBLOCK);
    }
    add_ports(&c, theirs);
    if (pipe2(errors, O_CLOEXEC) < 0 || pipe2(report, O_CLOEXEC) < 0)
        die("pipe: %s", strerror(errno));
    pid_t parent = getpid();
    machine->pid = fork();
    if (machine->pid < 0)
        die("fork: %s", strerror(errno));
    if (!machine->pid) {
        keep_open_in_child(boot_fd);
        for (int i = 0; i < PORTS; i++)
            keep_open_in_child(theirs[i]);
        exec_qemu(&c, errors[1], report[1], parent);
    }
    close(errors[1]), close(report[1]);
    for (int i = 0; i < PORTS; i++)
        close(theirs[i]);
    if (read_all(report[0], &error, sizeof error))
        die("%s: %s%s", c.words[0], strerror(error),
            error == ENOENT ? "; the Debian package qemu-system-x86 has it" : "");
    close(report[0]);
    machine->errors = errors[0];
    fcntl(machine->errors, F_SETFL, O_NONBLOCK);
}

void machine_stop(struct machine *machine)
{
    if (machine->pid <= 0)
        return;
    kill(machine->pid, SIGKILL);
    while (waitpid(machine->pid, NULL, 0) < 0 && errno == EINTR)
        ;
    machine->pid = 0;
}
