// /proc's files about the machine as a whole, from the kernel's exposed state.
#include "fs/procfs.h"
#include "linux/load.h"
#include "linux/system.h"
#include "vm/vm.h"

enum { TICK_NS = 10000000 };
#define NS 1000000000ul
#define SHOW(name) static s64 name##_show(struct text *t, const struct ref *r)

static u64 cpu_sum(u32 field) // of one kind of kernel entry, over all processors
{
    u64 n = 0;
    for (u32 i = 0; i < XOK_INFO->cpu_count; i++)
        n += XOK_INFO->cpu[i].entries[field];
    return n;
}

struct memory {
    u64 total, free, cached, shmem, anon, tables, stacks, committed;
};

static struct memory memory_get(void)
{
    struct memory m = {.total = pages_total() - XOK_INFO->module_pages, .free = pages_free()};
    lock_take(&ns_lock);
    list_for(it, &mounts) {
        struct mount *mnt = container_of(it, struct mount, link);
        m.cached += mnt->sb->flags & SUPER_SYNTHETIC ? 0 : mnt->sb->pages;
    }
    lock_drop(&ns_lock);
    m.shmem = m.cached; // every file that is not the root image's has no other place
    lock_take(&proc_lock);
    list_for(it, &proc_all) {
        struct proc *p = container_of(it, struct proc, all_link);
        if (p->ending || !p->vm)
            continue;
        m.anon += vm_rss_pages(p->vm);
        m.committed += vm_size_pages(p->vm);
        m.stacks += p->nthreads * 4;
    }
    lock_drop(&proc_lock);
    m.anon = MIN(m.anon, m.total - MIN(m.total, m.free + m.cached));
    return m;
}

SHOW(meminfo)
{
    (void)r;
    struct memory m = memory_get();
    const struct { const char *name; u64 pages; } rows[] = {
        {"MemTotal", m.total}, {"MemFree", m.free}, {"MemAvailable", m.free}, {"Buffers", 0}, {"Cached", m.cached},
        {"SwapCached", 0}, {"Active", m.anon + m.cached}, {"Inactive", 0}, {"Active(anon)", m.anon + m.cached},
        {"Inactive(anon)", 0}, {"Active(file)", 0}, {"Inactive(file)", 0}, {"Unevictable", 0}, {"Mlocked", 0},
        {"SwapTotal", 0}, {"SwapFree", 0}, {"Dirty", 0}, {"Writeback", 0}, {"AnonPages", m.anon}, {"Mapped", 0},
        {"Shmem", m.shmem}, {"KReclaimable", 0}, {"Slab", 0}, {"SReclaimable", 0}, {"SUnreclaim", 0},
        {"KernelStack", m.stacks}, {"PageTables", 0}, {"SecPageTables", 0}, {"NFS_Unstable", 0}, {"Bounce", 0},
        {"WritebackTmp", 0}, {"CommitLimit", m.total}, {"Committed_AS", m.committed},
    };
    for (u32 n = 0; n < countof(rows); n++)
        text_add(t, "%s:%*s%8lu kB\n", rows[n].name, (int)(15 - strlen(rows[n].name)), "", rows[n].pages * 4);
    text_add(t, "VmallocTotal:   34359738367 kB\nVmallocUsed:           0 kB\nVmallocChunk:          0 kB\n"
                "HugePages_Total:       0\nHugePages_Free:        0\nHugePages_Rsvd:        0\n"
                "HugePages_Surp:        0\nHugepagesize:       2048 kB\nHugetlb:               0 kB\n");
    return 0;
}

static void cpu_row(struct text *t, const char *name, u64 busy, u64 idle)
{
    text_add(t, "%s %lu 0 0 %lu 0 0 0 0 0 0\n", name, busy / TICK_NS, idle / TICK_NS);
}

SHOW(stat)
{
    (void)r;
    u64 now = clock_mono_ns(), idle = 0, switches = 0;
    u32 cpus = XOK_INFO->cpu_count, all;
    for (u32 i = 0; i < cpus; i++)
        idle += cpu_idle_ns(i), switches += XOK_INFO->cpu[i].switches;
    cpu_row(t, "cpu ", now * cpus - MIN(idle, now * cpus), idle);
    for (u32 i = 0; i < cpus; i++) {
        char name[16];
        u64 own = MIN(cpu_idle_ns(i), now);
        snprintf(name, sizeof name, "cpu%u", i);
        cpu_row(t, name, now - own, own);
    }
    text_add(t, "intr %lu\nctxt %lu\nbtime %lu\nprocesses %lu\nprocs_running %u\nprocs_blocked 0\n",
             cpu_sum(XOK_ENTRY_TIMER) + cpu_sum(XOK_ENTRY_DEVICE) + cpu_sum(XOK_ENTRY_IPI), switches,
             XOK_INFO->boot_epoch_ns / NS, proc_forks, threads_running(&all));
    text_add(t, "softirq 0 0 0 0 0 0 0 0 0 0 0\n");
    return 0;
}

SHOW(uptime)
{
    (void)r;
    u64 now = clock_mono_ns(), idle = 0;
    for (u32 i = 0; i < XOK_INFO->cpu_count; i++)
        idle += cpu_idle_ns(i);
    text_add(t, "%lu.%02lu %lu.%02lu\n", now / NS, now / TICK_NS % 100, idle / NS, idle / TICK_NS % 100);
    return 0;
}

SHOW(loadavg)
{
    (void)r;
    u64 load[3];
    u32 all, running = threads_running(&all);
    load_average(load);
    for (int n = 0; n < 3; n++) {
        u64 v = load[n] + 65536 / 200;
        text_add(t, "%lu.%02lu ", v >> 16, (v & 0xffff) * 100 >> 16);
    }
    lock_take(&proc_lock);
    u32 last = proc_last;
    lock_drop(&proc_lock);
    text_add(t, "%u/%u %u\n", running, all, last);
    return 0;
}

SHOW(version)
{
    (void)r;
    text_add(t, "%s version %s (xok) %s\n", linux_uts.sysname, linux_uts.release, linux_uts.version);
    return 0;
}

SHOW(cmdline)
{
    (void)r;
    text_add(t, "xok\n");
    return 0;
}

SHOW(filesystems)
{
    (void)r;
    static const char *const types[] = {"sysfs", "tmpfs", "proc", "devtmpfs", "pipefs", "sockfs", "ramfs", "devpts", "mqueue"};
    for (u32 n = 0; n < countof(types); n++)
        text_add(t, "nodev\t%s\n", types[n]);
    return 0;
}

SHOW(devices)
{
    (void)r;
    text_add(t, "Character devices:\n  1 mem\n  5 /dev/tty\n  5 /dev/console\n  5 /dev/ptmx\n136 pts\n\nBlock devices:\n");
    return 0;
}

SHOW(interrupts)
{
    (void)r;
    static const struct { const char *name, *what; u32 entry; } rows[] = {
        {"LOC", "Local timer interrupts", XOK_ENTRY_TIMER}, {"DEV", "Device interrupts", XOK_ENTRY_DEVICE},
        {"RES", "Rescheduling interrupts", XOK_ENTRY_IPI},
    };
    text_add(t, "     ");
    for (u32 i = 0; i < XOK_INFO->cpu_count; i++)
        text_add(t, "       CPU%-2u", i);
    text_add(t, "\n");
    for (u32 n = 0; n < countof(rows); n++) {
        text_add(t, "%s:", rows[n].name);
        for (u32 i = 0; i < XOK_INFO->cpu_count; i++)
            text_add(t, " %10lu ", XOK_INFO->cpu[i].entries[rows[n].entry]);
        text_add(t, "  %s\n", rows[n].what);
    }
    return 0;
}

SHOW(vmstat)
{
    (void)r;
    struct memory m = memory_get();
    u64 flushes = 0, shootdowns = 0;
    for (u32 i = 0; i < XOK_INFO->cpu_count; i++)
        flushes += XOK_INFO->cpu[i].tlb_flushes, shootdowns += XOK_INFO->cpu[i].shootdowns;
    text_add(t, "nr_free_pages %lu\nnr_anon_pages %lu\nnr_file_pages %lu\nnr_shmem %lu\nnr_dirty 0\nnr_writeback 0\n", m.free,
             m.anon, m.cached, m.shmem);
    text_add(t, "pgpgin 0\npgpgout 0\npswpin 0\npswpout 0\npgfault %lu\npgmajfault 0\nnr_tlb_remote_flush %lu\n"
                "nr_tlb_local_flush_all %lu\noom_kill 0\n", cpu_sum(XOK_ENTRY_FAULT), shootdowns, flushes);
    return 0;
}

SHOW(swaps)
{
    (void)r;
    text_add(t, "Filename\t\t\t\tType\t\tSize\t\tUsed\t\tPriority\n");
    return 0;
}

SHOW(partitions)
{
    (void)r;
    text_add(t, "major minor  #blocks  name\n\n");
    return 0;
}

SHOW(nothing)
{
    (void)t, (void)r;
    return 0;
}

// ---- cpuinfo: what CPUID says, by Linux's names
static void cpuid(u32 leaf, u32 sub, u32 v[4])
{
    __asm__ volatile("cpuid" : "=a"(v[0]), "=b"(v[1]), "=c"(v[2]), "=d"(v[3]) : "a"(leaf), "c"(sub));
}

static const struct { u32 leaf, reg; const char *names; } features[] = {
    {1, 3, "fpu vme de pse tsc msr pae mce cx8 apic - sep mtrr pge mca cmov pat pse36 pn clflush - dts acpi mmx fxsr sse sse2 "
           "ss ht tm ia64 pbe"},
    {0x80000001, 3, "- - - - - - - - - - - syscall - - - - - - - mp nx - mmxext - - fxsr_opt pdpe1gb rdtscp - lm 3dnowext 3dnow"},
    {1, 2, "pni pclmulqdq dtes64 monitor ds_cpl vmx smx est tm2 ssse3 cid sdbg fma cx16 xtpr pdcm - pcid dca sse4_1 sse4_2 "
           "x2apic movbe popcnt tsc_deadline_timer aes xsave - avx f16c rdrand hypervisor"},
    {0x80000001, 2, "lahf_lm cmp_legacy svm extapic cr8_legacy abm sse4a misalignsse 3dnowprefetch osvw ibs xop skinit wdt - "
                    "lwp fma4 tce - nodeid_msr - tbm topoext"},
    {7, 1, "fsgsbase tsc_adjust sgx bmi1 hle avx2 - smep bmi2 erms invpcid rtm cqm - mpx rdt_a avx512f avx512dq rdseed adx "
           "smap avx512ifma - clflushopt clwb intel_pt avx512pf avx512er avx512cd sha_ni avx512bw avx512vl"},
    {7, 2, "- avx512vbmi umip pku ospke waitpkg avx512_vbmi2 - gfni vaes vpclmulqdq avx512_vnni avx512_bitalg - avx512_vpopcntdq"},
};

static void flags_add(struct text *t)
{
    u32 top, v[4];
    cpuid(0, 0, v);
    top = v[0];
    for (u32 n = 0; n < countof(features); n++) {
        u32 leaf = features[n].leaf;
        if (leaf < 0x80000000 && leaf > top)
            continue;
        cpuid(leaf, 0, v);
        const char *at = features[n].names;
        for (u32 bit = 0; *at; bit++) {
            const char *end = at;
            while (*end && *end != ' ')
                end++;
            if (*at != '-' && v[features[n].reg] >> bit & 1) {
                text_add(t, " ");
                text_bytes(t, at, end - at);
            }
            at = *end ? end + 1 : end;
        }
    }
}

SHOW(cpuinfo)
{
    (void)r;
    u32 v[4], id[4], sizes[4] = {0}, cpus = XOK_INFO->cpu_count;
    char vendor[13] = "", model[49] = "";
    cpuid(0, 0, v);
    u32 top = v[0];
    memcpy(vendor, &v[1], 4), memcpy(vendor + 4, &v[3], 4), memcpy(vendor + 8, &v[2], 4);
    cpuid(1, 0, id);
    for (u32 n = 0; n < 3; n++)
        cpuid(0x80000002 + n, 0, (u32 *)(void *)(model + 16 * n));
    cpuid(0x80000008, 0, sizes);
    u32 family = id[0] >> 8 & 15, number = id[0] >> 4 & 15;
    if (family == 15 || family == 6)
        number |= id[0] >> 12 & 0xf0;
    if (family == 15)
        family += id[0] >> 20 & 0xff;
    char *name = model;
    while (*name == ' ')
        name++;
    u64 khz = (1000000ul << 32) / XOK_INFO->tsc_mult, line = (id[1] >> 8 & 0xff) * 8;
    for (u32 i = 0; i < cpus; i++) {
        text_add(t, "processor\t: %u\nvendor_id\t: %s\ncpu family\t: %u\nmodel\t\t: %u\nmodel name\t: %s\nstepping\t: %u\n", i,
                 vendor, family, number, name, id[0] & 15);
        text_add(t, "cpu MHz\t\t: %lu.%03lu\nphysical id\t: %u\nsiblings\t: 1\ncore id\t\t: 0\ncpu cores\t: 1\n", khz / 1000,
                 khz % 1000, i);
        text_add(t, "apicid\t\t: %u\ninitial apicid\t: %u\nfpu\t\t: yes\nfpu_exception\t: yes\ncpuid level\t: %u\nwp\t\t: yes\nflags\t\t:",
                 i, i, top);
        flags_add(t);
        text_add(t, "\nbugs\t\t:\nbogomips\t: %lu.%02lu\nclflush size\t: %lu\ncache_alignment\t: %lu\n", khz / 500, khz / 5 % 100,
                 line, line);
        text_add(t, "address sizes\t: %u bits physical, %u bits virtual\npower management:\n\n", sizes[0] & 0xff, sizes[0] >> 8 & 0xff);
    }
    return 0;
}

#define FILE(name) {#name, S_IFREG | 0444, .show = name##_show}
static const struct node files[] = {
    FILE(meminfo), FILE(stat), FILE(uptime), FILE(loadavg), FILE(version), FILE(cmdline), FILE(filesystems), FILE(devices),
    FILE(interrupts), FILE(vmstat), FILE(swaps), FILE(partitions), FILE(cpuinfo), {"diskstats", S_IFREG | 0444, .show = nothing_show},
    {"modules", S_IFREG | 0444, .show = nothing_show}, {"cgroups", S_IFREG | 0444, .show = nothing_show},
};

void procfs_system(struct dentry *root)
{
    synth_tree(root, files, countof(files));
}
