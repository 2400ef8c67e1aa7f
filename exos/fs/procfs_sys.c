// /proc/sys: what may be asked and set of the whole family (sysctl(8)).
#include "core/calls.h"
#include "fs/pipe.h"
#include "fs/procfs.h"
#include "linux/system.h"

enum { FS_LIMIT_FILES = 1 << 20 };

// A number that can be set between two bounds, one that cannot, a text.
struct number {
    s64 *value, low, high;
};
static s64 overcommit, swappiness = 60, max_map_count = 65530, core_uses_pid, panic_after, somaxconn = 4096, ip_forward,
    dmesg_restrict = 1, kptr_restrict = 2, perf_paranoid = 3, protected_hardlinks = 1, protected_symlinks = 1, suid_dumpable,
    msgmax = 8192, msgmnb = 16384, msgmni = 32000, shmmni = 4096, sched_autogroup, lease_break = 45, ptrace_scope = 1,
    overcommit_ratio = 50, min_free = 0, dirty_ratio = 20, dirty_background = 10, syncookies = 1, unpriv_ports = 1024,
    bindv6only, randomize = 2, printk_level = 4;
static char core_pattern[128] = "core";
static char boot_id[37];

static s64 number_show(struct text *t, const struct ref *r)
{
    const struct number *n = r->node->arg;
    text_add(t, "%ld\n", *n->value);
    return 0;
}

static s64 number_set(const struct ref *r, char *text, u64 len)
{
    const struct number *n = r->node->arg;
    (void)len;
    return number_store(text, n->low, n->high, n->value);
}

static s64 text_show(struct text *t, const struct ref *r)
{
    text_add(t, "%s\n", (const char *)r->node->arg);
    return 0;
}

static s64 text_set(const struct ref *r, char *text, u64 len, u64 room)
{
    if (len && text[len - 1] == '\n')
        len--;
    len = MIN(len, room - 1);
    char *to = (char *)r->node->arg;
    memcpy(to, text, len);
    memset(to + len, 0, room - len);
    return 0;
}
static s64 host_set(const struct ref *r, char *text, u64 len) { return text_set(r, text, len, UTS_LEN); }
static s64 core_set(const struct ref *r, char *text, u64 len) { return text_set(r, text, len, sizeof core_pattern); }

static void uuid_make(char *out)
{
    u8 b[16];
    xok_entropy(b, sizeof b);
    b[6] = (b[6] & 0x0f) | 0x40, b[8] = (b[8] & 0x3f) | 0x80; // RFC 9562: version 4
    for (u32 n = 0; n < 16; n++) {
        out += snprintf(out, 3, "%02x", b[n]);
        if (n == 3 || n == 5 || n == 7 || n == 9)
            *out++ = '-';
    }
    *out = 0;
}

static s64 uuid_show(struct text *t, const struct ref *r)
{
    char text[37];
    (void)r;
    uuid_make(text);
    text_add(t, "%s\n", text);
    return 0;
}

static s64 file_nr_show(struct text *t, const struct ref *r)
{
    u64 open = 0;
    (void)r;
    lock_take(&proc_lock);
    list_for(it, &proc_all) {
        struct proc *p = container_of(it, struct proc, all_link);
        for (s64 fd = p->ending || !p->files ? -1 : files_next(p->files, 0); fd >= 0; fd = files_next(p->files, fd + 1))
            open++;
    }
    lock_drop(&proc_lock);
    text_add(t, "%lu\t0\t%u\n", open, FS_LIMIT_FILES);
    return 0;
}

static s64 threads_max_show(struct text *t, const struct ref *r)
{
    (void)r;
    text_add(t, "%u\n", XOK_ENV_MAX - 1);
    return 0;
}

#define RW(path, var, low, high) \
    {path, S_IFREG | 0644, .show = number_show, .store = number_set, .arg = &(const struct number){&(var), low, high}}
#define RO(path, text) {path, S_IFREG | 0444, .show = text_show, .arg = text}
#define INT_MAX 0x7fffffff
static const struct node nodes[] = {
    {"kernel/hostname", S_IFREG | 0644, .show = text_show, .store = host_set, .arg = linux_uts.nodename},
    {"kernel/domainname", S_IFREG | 0644, .show = text_show, .store = host_set, .arg = linux_uts.domainname},
    {"kernel/core_pattern", S_IFREG | 0644, .show = text_show, .store = core_set, .arg = core_pattern},
    RO("kernel/ostype", linux_uts.sysname), RO("kernel/osrelease", linux_uts.release), RO("kernel/version", linux_uts.version),
    RO("kernel/arch", linux_uts.machine), RO("kernel/pid_max", "32768"), RO("kernel/ngroups_max", "32"), RO("kernel/cap_last_cap", "40"),
    {"kernel/threads-max", S_IFREG | 0444, .show = threads_max_show},
    {"kernel/random/boot_id", S_IFREG | 0444, .show = text_show, .arg = boot_id},
    {"kernel/random/uuid", S_IFREG | 0444, .show = uuid_show},
    RO("kernel/random/entropy_avail", "256"), RO("kernel/random/poolsize", "256"),
    RO("kernel/overflowuid", "65534"), RO("kernel/overflowgid", "65534"), RO("kernel/tainted", "0"),
    RO("kernel/sem", "32000\t1024000000\t500\t32000"), RO("kernel/shmmax", "18446744073692774399"),
    RO("kernel/shmall", "18446744073692774399"), RO("kernel/unprivileged_userns_clone", "0"),
    RW("kernel/shmmni", shmmni, 0, INT_MAX), RW("kernel/msgmax", msgmax, 0, INT_MAX), RW("kernel/msgmnb", msgmnb, 0, INT_MAX),
    RW("kernel/msgmni", msgmni, 0, INT_MAX), RW("kernel/core_uses_pid", core_uses_pid, 0, 1), RW("kernel/panic", panic_after, -INT_MAX, INT_MAX),
    RW("kernel/dmesg_restrict", dmesg_restrict, 0, 1), RW("kernel/kptr_restrict", kptr_restrict, 0, 2),
    RW("kernel/perf_event_paranoid", perf_paranoid, -1, 4), RW("kernel/sched_autogroup_enabled", sched_autogroup, 0, 1),
    RW("kernel/yama/ptrace_scope", ptrace_scope, 0, 3), RW("kernel/randomize_va_space", randomize, 0, 2),
    RW("kernel/printk", printk_level, 0, 10),
    RW("vm/overcommit_memory", overcommit, 0, 2), RW("vm/overcommit_ratio", overcommit_ratio, 0, INT_MAX),
    RW("vm/max_map_count", max_map_count, 0, INT_MAX), RW("vm/swappiness", swappiness, 0, 200),
    RW("vm/min_free_kbytes", min_free, 0, INT_MAX), RW("vm/dirty_ratio", dirty_ratio, 0, 100),
    RW("vm/dirty_background_ratio", dirty_background, 0, 100), RO("vm/mmap_min_addr", "65536"), RO("vm/nr_hugepages", "0"),
    RO("fs/file-max", "1048576"), RO("fs/nr_open", "65536"), {"fs/file-nr", S_IFREG | 0444, .show = file_nr_show},
    RO("fs/pipe-max-size", "1048576"), RO("fs/pipe-user-pages-soft", "0"), RO("fs/pipe-user-pages-hard", "0"),
    RO("fs/inotify/max_user_watches", "65536"), RO("fs/inotify/max_user_instances", "1024"), RO("fs/inotify/max_queued_events", "16384"),
    RO("fs/epoll/max_user_watches", "1048576"), RO("fs/aio-max-nr", "65536"), RO("fs/aio-nr", "0"), RO("fs/mount-max", "100000"),
    RW("fs/protected_hardlinks", protected_hardlinks, 0, 1), RW("fs/protected_symlinks", protected_symlinks, 0, 1),
    RW("fs/suid_dumpable", suid_dumpable, 0, 2), RW("fs/lease-break-time", lease_break, 0, INT_MAX),
    RW("net/core/somaxconn", somaxconn, 0, 65535), RO("net/core/rmem_max", "212992"), RO("net/core/wmem_max", "212992"),
    RO("net/core/rmem_default", "212992"), RO("net/core/wmem_default", "212992"),
    RO("net/ipv4/ip_local_port_range", "32768\t60999"), RW("net/ipv4/ip_forward", ip_forward, 0, 1),
    RW("net/ipv4/tcp_syncookies", syncookies, 0, 2), RW("net/ipv4/ip_unprivileged_port_start", unpriv_ports, 0, 65535),
    RO("net/ipv4/tcp_rmem", "4096\t131072\t6291456"), RO("net/ipv4/tcp_wmem", "4096\t16384\t4194304"),
    RO("net/ipv4/tcp_available_congestion_control", "cubic"), RO("net/ipv4/tcp_congestion_control", "cubic"),
    RO("net/ipv4/tcp_fin_timeout", "60"), RO("net/ipv4/tcp_keepalive_time", "7200"), RO("net/ipv4/tcp_keepalive_intvl", "75"),
    RO("net/ipv4/tcp_keepalive_probes", "9"), RO("net/unix/max_dgram_qlen", "10"),
    RW("net/ipv6/bindv6only", bindv6only, 0, 1), RO("net/ipv6/conf/all/disable_ipv6", "0"),
};

void procfs_sys(struct dentry *root)
{
    uuid_make(boot_id);
    synth_tree(synth_dir(root, "sys"), nodes, countof(nodes));
}
