// exotop: the exposed state of the machine, live. An ordinary program: everything it shows it reads with plain
// loads from what the kernel maps into every address space (include/xok/info.h).
//   exotop [--json] [-n TIMES] [-d SECONDS]
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "xok/info.h"

enum { ROWS = 20 };
static const char *const entry_names[] = {"calls", "bounces", "faults", "timer", "device", "ipi", "other"};
static const char *const state_names[] = {"free", "new", "ready", "asleep", "dead", "gate", "calling"};
static const char *const type_names[] = {"none",   "free",   "user",  "pt1",    "pt2",   "pt3",
                                         "pt4",    "kernel", "cache", "seized", "region"};
static const char *const resource_names[] = {"pages",   "ptpages", "envs",   "slots", "names",
                                             "preds",   "filters", "rings",  "blocks", "kept"};
enum { TYPES = sizeof type_names / sizeof *type_names, STATES = sizeof state_names / sizeof *state_names };
_Static_assert(sizeof entry_names / sizeof *entry_names == XOK_ENTRY_COUNT, "a name each");

struct env_row {
    struct xok_env_info e;
    u64 ticks; // run since the last look
};
static struct look {
    u64 tsc, pages[TYPES];
    struct xok_cpu_info cpu[XOK_CPU_MAX];
    u32 envs, cpus;
    struct env_row *env;
} looks[2];
static u64 *last_run; // by index, with the id beside it
static u32 *last_id;

static u64 run_now(const struct xok_env_info *e, u64 tsc) { return e->run_tsc + (e->cpu != 0xffff ? tsc - e->run_since : 0); }

// A record that changes while it is read is read again.
static struct xok_env_info env_read(u32 i)
{
    struct xok_env_info a, b;
    do {
        memcpy(&a, (const void *)&XOK_ENVS[i], sizeof a);
        memcpy(&b, (const void *)&XOK_ENVS[i], sizeof b);
    } while (a.id != b.id || a.run_tsc != b.run_tsc || a.run_since != b.run_since);
    return a;
}

static int by_ticks(const void *a, const void *b)
{
    u64 x = ((const struct env_row *)a)->ticks, y = ((const struct env_row *)b)->ticks;
    return x < y ? 1 : x > y ? -1 : 0;
}

static void look(struct look *l)
{
    u32 high = XOK_INFO->env_high;
    l->tsc = __builtin_ia32_rdtsc();
    l->cpus = XOK_INFO->cpu_count;
    memcpy(l->cpu, (const void *)XOK_INFO->cpu, sizeof l->cpu);
    memset(l->pages, 0, sizeof l->pages);
    for (u64 p = 0; p < XOK_INFO->page_count; p++)
        l->pages[XOK_PAGES[p].type < TYPES ? XOK_PAGES[p].type : 0]++;
    free(l->env);
    l->env = calloc(high, sizeof *l->env);
    l->envs = 0;
    for (u32 i = 1; i < high; i++) {
        struct xok_env_info e = env_read(i);
        if (!e.id)
            continue;
        u64 run = run_now(&e, l->tsc), before = last_id[i] == e.id ? last_run[i] : 0;
        l->env[l->envs++] = (struct env_row){e, run > before ? run - before : 0};
        last_id[i] = e.id, last_run[i] = run;
    }
    qsort(l->env, l->envs, sizeof *l->env, by_ticks);
}

static const char *name_path(u32 name, char *to)
{
    u32 path[XOK_NAME_DEPTH], n = 0;
    for (; name && XOK_NAMES[name].parent && n < XOK_NAME_DEPTH; name = XOK_NAMES[name].parent)
        path[n++] = XOK_NAMES[name].component;
    int at = sprintf(to, "/");
    while (n--)
        at += sprintf(to + at, n ? "%x/" : "%x", path[n]);
    return to;
}

static double seconds(u64 ticks) { return ticks * (double)XOK_INFO->tsc_mult / 4294967296e9; }

static void show(const struct look *was, const struct look *l)
{
    char path[128];
    double s = was->tsc ? seconds(l->tsc - was->tsc) : seconds(l->tsc);
    printf("up %.1f s, %u processors, %u environments, %lu of %lu MiB free\n\n", seconds(l->tsc), l->cpus, l->envs,
           l->pages[XOK_PAGE_FREE] / 256, XOK_INFO->page_count / 256);
    printf("CPU  running   slot  ready  idle%%");
    for (int k = 0; k < XOK_ENTRY_COUNT - 1; k++)
        printf(" %8s/s", entry_names[k]);
    printf(" switches/s\n");
    for (u32 c = 0; c < l->cpus; c++) {
        const struct xok_cpu_info *i = &l->cpu[c], *b = &was->cpu[c];
        u64 idle = i->idle_tsc - b->idle_tsc;
        if (!i->env && i->switches == b->switches && was->tsc) // it counts when it wakes
            idle = l->tsc - was->tsc;
        printf("%3u %8x %6u %6u  %5.1f", c, i->env, i->slot, i->runnable, 100 * seconds(idle) / s);
        for (int k = 0; k < XOK_ENTRY_COUNT - 1; k++)
            printf(" %10.0f", (i->entries[k] - b->entries[k]) / s);
        printf(" %10.0f\n", (i->switches - b->switches) / s);
    }
    printf("\npages:");
    for (int t = 0; t < TYPES; t++)
        if (l->pages[t])
            printf(" %s %lu", type_names[t], l->pages[t]);
    printf("\n\n     ENV STATE    CPU  cpu%%   SLICES   FAULTS NAME\n");
    for (u32 i = 0; i < l->envs && i < ROWS; i++) {
        const struct xok_env_info *e = &l->env[i].e;
        printf("%8x %-8s %3d %5.1f %8u %8u %s\n", e->id, e->state < STATES ? state_names[e->state] : "?",
               e->cpu == 0xffff ? -1 : e->cpu, 100 * seconds(l->env[i].ticks) / s, e->slices, e->faults, name_path(e->name, path));
    }
    printf("\nNAME              pages/limit  ptpages   envs  slots\n");
    for (u32 n = 1, shown = 0; n < XOK_INFO->name_high && shown < ROWS; n++) {
        if (!XOK_NAMES[n].refs)
            continue;
        u32 limit = XOK_NAMES[n].limit[XOK_RES_PAGES];
        printf("%-16s %8u", name_path(n, path), XOK_NAMES[n].used[XOK_RES_PAGES]);
        limit == XOK_UNLIMITED ? printf("/-    ") : printf("/%-5u", limit);
        printf(" %8u %6u %6u\n", XOK_NAMES[n].used[XOK_RES_PTPAGES], XOK_NAMES[n].used[XOK_RES_ENVS],
               XOK_NAMES[n].used[XOK_RES_SLOTS]);
        shown++;
    }
}

static void json(const struct look *l)
{
    char path[128];
    printf("{\"version\": %u, \"uptime_ns\": %.0f, \"cpus\": [", XOK_INFO->version, seconds(l->tsc) * 1e9);
    for (u32 c = 0; c < l->cpus; c++) {
        printf("%s{\"env\": %u, \"slot\": %u, \"idle_ns\": %.0f, \"switches\": %lu, \"entries\": {", c ? ", " : "", l->cpu[c].env,
               l->cpu[c].slot, seconds(l->cpu[c].idle_tsc) * 1e9, l->cpu[c].switches);
        for (int k = 0; k < XOK_ENTRY_COUNT; k++)
            printf("%s\"%s\": %lu", k ? ", " : "", entry_names[k], l->cpu[c].entries[k]);
        printf("}}");
    }
    printf("], \"pages\": {");
    for (int t = 0; t < TYPES; t++)
        printf("%s\"%s\": %lu", t ? ", " : "", type_names[t], l->pages[t]);
    printf("}, \"envs\": [");
    for (u32 i = 0; i < l->envs; i++) {
        const struct xok_env_info *e = &l->env[i].e;
        printf("%s{\"id\": %u, \"state\": \"%s\", \"name\": \"%s\", \"run_ns\": %.0f, \"slices\": %u, \"faults\": %u}", i ? ", " : "",
               e->id, e->state < STATES ? state_names[e->state] : "?", name_path(e->name, path),
               seconds(run_now(e, l->tsc)) * 1e9, e->slices, e->faults);
    }
    printf("], \"names\": [");
    for (u32 n = 1, first = 1; n < XOK_INFO->name_high; n++) {
        if (!XOK_NAMES[n].refs)
            continue;
        printf("%s{\"name\": \"%s\"", first ? "" : ", ", name_path(n, path));
        for (int r = 0; r < XOK_RES_COUNT; r++)
            if ((u32)r < sizeof resource_names / sizeof *resource_names)
                printf(", \"%s\": %u", resource_names[r], XOK_NAMES[n].used[r]);
        printf("}");
        first = 0;
    }
    printf("]}\n");
}

int main(int argc, char **argv)
{
    int as_json = 0, times = -1, option;
    double delay = 1;
    for (int i = 1; i < argc; i++)
        if (!strcmp(argv[i], "--json"))
            as_json = 1, argv[i] = "-j";
    while ((option = getopt(argc, argv, "jn:d:")) > 0)
        if (option == 'n')
            times = atoi(optarg);
        else if (option == 'd')
            delay = atof(optarg);
        else if (option != 'j')
            return fprintf(stderr, "usage: exotop [--json] [-n TIMES] [-d SECONDS]\n"), 2;
    last_run = calloc(XOK_ENV_MAX, sizeof *last_run);
    last_id = calloc(XOK_ENV_MAX, sizeof *last_id);
    if (XOK_INFO->magic != XOK_INFO_MAGIC)
        return fprintf(stderr, "exotop: not an exokernel's state\n"), 1;
    if (as_json && times < 0)
        times = 1;
    for (int n = 0; times < 0 || n < times; n++) {
        if (n)
            usleep(delay * 1e6);
        look(&looks[n & 1]);
        if (as_json) {
            json(&looks[n & 1]);
        } else {
            if (isatty(1))
                printf("\033[H\033[J");
            show(&looks[~n & 1], &looks[n & 1]);
        }
        fflush(stdout);
    }
    return 0;
}
