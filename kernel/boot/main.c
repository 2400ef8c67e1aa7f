// From the loader to the first environment.
#include "kernel.h"
#include "boot/start_info.h"

static struct xok_info info_page __attribute__((aligned(4096)));
extern struct xok_info info __attribute__((alias("info_page")));
_Static_assert(sizeof(struct xok_info) <= 2 * XOK_PAGE_SIZE, "exposed below");

extern u64 boot_pml4[512];
extern u8 ap_start[], ap_end[];
extern u64 ap_cr3, ap_stack, ap_entry, ap_index;
static char command_line[1024];
enum { STACK_SIZE = 16384, AP_PAGE = 8, AP_WAIT_US = 5000000 };
static u8 stacks[XOK_CPU_MAX][STACK_SIZE] __attribute__((aligned(4096)));
static volatile bool ap_up;

const char *boot_option(const char *name)
{
    u64 n = strlen(name);
    for (const char *s = command_line; *s;) {
        while (*s == ' ')
            s++;
        if (!memcmp(s, name, n) && (s[n] == ' ' || s[n] == '=' || !s[n]))
            return s[n] == '=' ? s + n + 1 : "";
        while (*s && *s != ' ')
            s++;
    }
    return NULL;
}

static void command_line_copy(u64 pa)
{
    const char *s = pa ? phys_to_virt(pa) : "";
    for (u32 i = 0; i < sizeof command_line - 1 && s[i]; i++)
        command_line[i] = s[i];
}

static void ap_main(u64 index)
{
    cpu_init(index, apic_id(), (u64)stacks[index] + STACK_SIZE);
    apic_init_ap();
    kernel_lock();
    ap_up = true;
    schedule();
}

// Starts the other processors one after the other; one that does not answer is left out.
static void processors_start(void)
{
    memcpy(phys_to_virt(AP_PAGE * XOK_PAGE_SIZE), ap_start, ap_end - ap_start);
    u64 there = DIRECT + AP_PAGE * XOK_PAGE_SIZE - (u64)ap_start;
    for (u32 i = 0; i < acpi_cpu_count && info.cpu_count < XOK_CPU_MAX; i++) {
        if (acpi_apic_id[i] == cpus[0].apic_id)
            continue;
        u32 index = info.cpu_count;
        struct cpu *c = &cpus[index];
        c->index = index;
        c->info = &info.cpu[index];
        sched_init(c);
        *(u64 *)((u64)&ap_cr3 + there) = virt_to_phys(boot_pml4);
        *(u64 *)((u64)&ap_stack + there) = (u64)stacks[index] + STACK_SIZE;
        *(u64 *)((u64)&ap_entry + there) = (u64)ap_main;
        *(u64 *)((u64)&ap_index + there) = index;
        ap_up = false;
        apic_start(acpi_apic_id[i], AP_PAGE);
        // It waits for the lock that this processor holds; drop it until it says that it is up.
        info.cpu_count++;
        kernel_unlock();
        for (u32 us = 0; us < AP_WAIT_US && !ap_up; us += 10)
            delay_us(10);
        kernel_lock();
        if (!ap_up) {
            info.cpu_count--;
            klog("processor %u does not start", acpi_apic_id[i]);
        }
    }
}

void kernel_main(u64 start_pa)
{
    serial_init();
    struct start_info *s = phys_to_virt(start_pa);
    if (s->magic != START_INFO_MAGIC || s->version < 1)
        panic("not started by a PVH loader");
    command_line_copy(s->cmdline);
    cpu_init(0, 0, (u64)stacks[0] + STACK_SIZE);
    kernel_lock();
    u64 rsdp = s->rsdp;
    struct start_module module = {0};
    if (s->modules)
        module = *(struct start_module *)phys_to_virt(s->module_list);
    page_init(start_pa);
    kernel_space = virt_to_phys(boot_pml4);
    text_init();
    info.magic = XOK_INFO_MAGIC;
    info.version = 1;
    info.cpu_count = 1;
    for (u64 at = 0; at < sizeof info_page; at += XOK_PAGE_SIZE)
        expose(XOK_INFO_VA + at, virt_to_phys(&info_page) + at);
    name_init();
    acpi_init(rsdp);
    apic_init_bsp();
    cpus[0].apic_id = apic_id();
    clock_init();
    sched_init(&cpus[0]);
    entropy_init();
    console_init();
    net_init();
    disk_init();
    if (kernel_selftest)
        kernel_selftest();
    env_boot(module.addr, module.size);
    processors_start();
    klog("xok: %u processors, %lu MiB free", info.cpu_count, info.pages_free / 256);
    schedule();
}
