// /sys (sysfs(5)) as far as programs look: processors, memory policy, network interfaces.
#include "fs/synth.h"

enum { SYSFS_MAGIC = 0x62656572 };

static s64 cpus_show(struct text *t, const struct ref *r)
{
    u32 n = XOK_INFO->cpu_count;
    (void)r;
    text_add(t, n > 1 ? "0-%u\n" : "0\n", n - 1);
    return 0;
}

static s64 cpumap_show(struct text *t, const struct ref *r)
{
    (void)r;
    text_add(t, "%lx\n", (1ul << XOK_INFO->cpu_count) - 1);
    return 0;
}

static s64 text_show(struct text *t, const struct ref *r)
{
    text_add(t, "%s\n", (const char *)r->node->arg);
    return 0;
}

static s64 cpu_number_show(struct text *t, const struct ref *r)
{
    text_add(t, "%lu\n", r->n);
    return 0;
}

static s64 cpu_mask_show(struct text *t, const struct ref *r)
{
    text_add(t, "%x\n", 1u << r->n);
    return 0;
}

#define FIXED(name, text) {name, S_IFREG | 0444, .show = text_show, .arg = text}
static const struct node topology_names[] = {
    {"core_id", S_IFREG | 0444, .show = text_show, .arg = "0"},
    {"physical_package_id", S_IFREG | 0444, .show = cpu_number_show},
    {"core_cpus", S_IFREG | 0444, .show = cpu_mask_show}, {"core_cpus_list", S_IFREG | 0444, .show = cpu_number_show},
    {"core_siblings", S_IFREG | 0444, .show = cpu_mask_show}, {"core_siblings_list", S_IFREG | 0444, .show = cpu_number_show},
    {"package_cpus", S_IFREG | 0444, .show = cpu_mask_show}, {"package_cpus_list", S_IFREG | 0444, .show = cpu_number_show},
    {"thread_siblings", S_IFREG | 0444, .show = cpu_mask_show}, {"thread_siblings_list", S_IFREG | 0444, .show = cpu_number_show},
};
static const struct node cpu_names[] = {
    FIXED("online", "1"),
    {"topology", S_IFDIR | 0555, .sub = topology_names, .subs = countof(topology_names)},
};
static const struct node cpu_node = {.mode = S_IFDIR | 0555, .sub = cpu_names, .subs = countof(cpu_names)};

static s64 cpu_find(const struct ref *r, const char *name, u32 len, struct ref *to)
{
    (void)r;
    if (len < 4 || memcmp(name, "cpu", 3) || !number_parse(name + 3, len - 3, &to->n) || to->n >= XOK_INFO->cpu_count)
        return -ENOENT;
    to->node = &cpu_node;
    return 0;
}

static const struct node *cpu_next(const struct ref *r, u64 *n, char *name, struct ref *to)
{
    (void)r;
    if (*n >= XOK_INFO->cpu_count)
        return NULL;
    to->n = *n;
    snprintf(name, NAME_MAX + 1, "cpu%lu", (*n)++);
    return &cpu_node;
}

static const struct node cpus_names[] = {
    {"online", S_IFREG | 0444, .show = cpus_show}, {"possible", S_IFREG | 0444, .show = cpus_show}, {"present", S_IFREG | 0444, .show = cpus_show},
    FIXED("offline", ""), FIXED("kernel_max", "15"),
};

static const struct node nodes[] = {
    {"devices/system/cpu", S_IFDIR | 0755, .sub = cpus_names, .subs = countof(cpus_names), .find = cpu_find, .next = cpu_next},
    {"devices/system/node/online", S_IFREG | 0444, .show = text_show, .arg = "0"},
    {"devices/system/node/possible", S_IFREG | 0444, .show = text_show, .arg = "0"},
    {"devices/system/node/node0/cpulist", S_IFREG | 0444, .show = cpus_show},
    {"devices/system/node/node0/cpumap", S_IFREG | 0444, .show = cpumap_show},
    FIXED("kernel/mm/transparent_hugepage/enabled", "always madvise [never]"),
    FIXED("kernel/mm/transparent_hugepage/defrag", "always defer defer+madvise madvise [never]"),
    FIXED("kernel/mm/transparent_hugepage/hpage_pmd_size", "2097152"),
    FIXED("class/net/lo/address", "00:00:00:00:00:00"), FIXED("class/net/lo/mtu", "65536"),
    FIXED("class/net/lo/operstate", "unknown"), FIXED("class/net/lo/flags", "0x9"), FIXED("class/net/lo/type", "772"),
    FIXED("class/net/lo/ifindex", "1"),
};

void sysfs_start(struct mount *root, struct dentry *dir)
{
    static const char *const dirs[] = {"block", "bus", "class", "dev", "devices", "firmware", "fs/cgroup", "kernel", "module", "power"};
    struct dentry *top = synth_root(synth_mount(root, dir, "sysfs", SYSFS_MAGIC));
    for (u32 n = 0; n < countof(dirs); n++)
        synth_dir(top, dirs[n]);
    synth_tree(top, nodes, countof(nodes));
}
