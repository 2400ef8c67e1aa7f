// Scheduling: policies, priorities, affinity.
#include "abi.h"
#include <sched.h>
#include <sys/resource.h>

static void unprivileged(void)
{
    struct sched_param p = {10};
    SHOW(syscall(SYS_setresuid, 1000, 1000, 1000));
    SHOW(syscall(SYS_sched_setscheduler, 0, SCHED_FIFO, &p));
    SHOW(syscall(SYS_setpriority, PRIO_PROCESS, 0, 5));
    SHOW(syscall(SYS_getpriority, PRIO_PROCESS, 0));
    SHOW(syscall(SYS_setpriority, PRIO_PROCESS, 0, 4));
    SHOW(syscall(SYS_setpriority, PRIO_PROCESS, getppid(), 4));
    p.sched_priority = 0;
    SHOW(syscall(SYS_sched_setscheduler, getppid(), SCHED_BATCH, &p));
    SHOW(syscall(SYS_sched_setscheduler, 0, SCHED_BATCH, &p));
    SHOW(syscall(SYS_sched_getscheduler, 0));
}

int main(void)
{
    struct sched_param p = {0};
    for (int policy = -1; policy < 7; policy++) {
        printf("policy %d\n", policy);
        SHOW(syscall(SYS_sched_get_priority_max, policy));
        SHOW(syscall(SYS_sched_get_priority_min, policy));
    }
    SHOW(syscall(SYS_sched_yield));
    SHOW(syscall(SYS_sched_getscheduler, 0));
    SHOW(syscall(SYS_sched_getscheduler, -1));
    SHOW(syscall(SYS_sched_getscheduler, 999999));
    SHOW(syscall(SYS_sched_getparam, 0, &p));
    SHOW(p.sched_priority);
    SHOW(syscall(SYS_sched_getparam, 0, NULL));
    SHOW(syscall(SYS_sched_setparam, 0, &p));
    SHOW(syscall(SYS_sched_setscheduler, 0, SCHED_OTHER, &p));
    SHOW(syscall(SYS_sched_setscheduler, 0, -1, &p));
    SHOW(syscall(SYS_sched_setscheduler, 0, 77, &p));
    SHOW(syscall(SYS_sched_setscheduler, 0, SCHED_OTHER, NULL));
    SHOW(syscall(SYS_sched_setscheduler, 0, SCHED_OTHER, BAD));
    SHOW(syscall(SYS_sched_setscheduler, 999999, SCHED_OTHER, &p));
    p.sched_priority = 1;
    SHOW(syscall(SYS_sched_setscheduler, 0, SCHED_OTHER, &p));
    p.sched_priority = 100;
    SHOW(syscall(SYS_sched_setscheduler, 0, SCHED_FIFO, &p));
    p.sched_priority = 0;
    SHOW(syscall(SYS_sched_setscheduler, 0, SCHED_RR, &p));
    SHOW(syscall(SYS_sched_setscheduler, 0, SCHED_BATCH, &p));
    SHOW(syscall(SYS_sched_getscheduler, 0));
    SHOW(syscall(SYS_sched_setscheduler, 0, SCHED_OTHER, &p));
    struct timespec t;
    WORKS(syscall(SYS_sched_rr_get_interval, 0, &t));
    SHOW(syscall(SYS_sched_rr_get_interval, -1, &t));
    SHOW(syscall(SYS_sched_rr_get_interval, 0, BAD));

    SHOW(syscall(SYS_getpriority, PRIO_PROCESS, 0));
    SHOW(syscall(SYS_getpriority, PRIO_PGRP, 0));
    SHOW(syscall(SYS_getpriority, 3, 0));
    SHOW(syscall(SYS_getpriority, PRIO_PROCESS, 999999));
    SHOW(syscall(SYS_setpriority, 3, 0, 0));
    SHOW(syscall(SYS_setpriority, PRIO_PROCESS, 999999, 0));
    SHOW(syscall(SYS_setpriority, PRIO_PROCESS, 0, 100));
    SHOW(syscall(SYS_getpriority, PRIO_PROCESS, 0));
    child("unprivileged", unprivileged);

    cpu_set_t set;
    unsigned long mask[2] = {0};
    SHOW(syscall(SYS_sched_getaffinity, 0, 4, mask));
    SHOW(syscall(SYS_sched_getaffinity, 0, 12, mask));
    WORKS(syscall(SYS_sched_getaffinity, 0, sizeof mask, mask));
    TRUE(mask[0] & 1);
    SHOW(syscall(SYS_sched_getaffinity, 999999, sizeof mask, mask));
    SHOW(sched_getaffinity(0, sizeof set, &set));
    TRUE(CPU_ISSET(0, &set));
    mask[0] = 1, mask[1] = 0;
    SHOW(syscall(SYS_sched_setaffinity, 0, sizeof mask, mask));
    CPU_ZERO(&set);
    SHOW(sched_getaffinity(0, sizeof set, &set));
    printf("%d\n", CPU_COUNT(&set));
    SHOW(sched_getcpu());
    mask[0] = 0;
    SHOW(syscall(SYS_sched_setaffinity, 0, sizeof mask, mask));
    SHOW(syscall(SYS_sched_setaffinity, 0, 8, BAD));
    SHOW(syscall(SYS_sched_setaffinity, 999999, 8, mask));
    unsigned cpu = 9, node = 9;
    SHOW(syscall(SYS_getcpu, &cpu, &node, NULL));
    printf("%u %u\n", cpu, node);
    SHOW(syscall(SYS_getcpu, NULL, NULL, NULL));
    SHOW(syscall(SYS_getcpu, BAD, NULL, NULL));
    return 0;
}
