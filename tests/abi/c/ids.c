// Process ids, groups, sessions, credentials, capabilities.
#include "abi.h"
#include <grp.h>
#include <sys/fsuid.h>
#include <sys/prctl.h>

// As <linux/capability.h>, which musl's compiler does not find.
enum { CAPS_V3 = 0x20080522 };
struct header {
    uint32_t version;
    int pid;
};
struct data {
    uint32_t effective, permitted, inheritable;
};

static void show_ids(const char *what)
{
    uid_t r, e, s;
    gid_t rg, eg, sg;
    getresuid(&r, &e, &s);
    getresgid(&rg, &eg, &sg);
    printf("%s: uid %d %d %d fs %d gid %d %d %d fs %d\n", what, r, e, s, (int)syscall(SYS_setfsuid, -1), rg, eg, sg,
           (int)syscall(SYS_setfsgid, -1));
}

static void setuid_all(void)
{
    SHOW(syscall(SYS_setuid, 1000));
    show_ids("setuid 1000");
    SHOW(syscall(SYS_setuid, 0));
    SHOW(syscall(SYS_setuid, -1));
    SHOW(syscall(SYS_setgid, 5));
    SHOW(syscall(SYS_setgroups, 0, NULL));
    SHOW(syscall(SYS_setreuid, -1, 1000));
    SHOW(syscall(SYS_setreuid, 0, -1));
    SHOW(syscall(SYS_setresuid, 1000, 1000, 1000));
    SHOW(syscall(SYS_setresuid, 1000, 0, 1000));
    SHOW(syscall(SYS_kill, 1, 0));
}

static void effective(void)
{
    SHOW(syscall(SYS_setresuid, -1, 1000, -1));
    show_ids("euid 1000");
    SHOW(syscall(SYS_setuid, 0));
    show_ids("back");
    SHOW(syscall(SYS_setreuid, 1, 2));
    show_ids("setreuid 1 2");
    SHOW(syscall(SYS_setreuid, 2, 1));
    show_ids("setreuid 2 1");
    SHOW(syscall(SYS_setresuid, -1, 0, -1));
}

static void groups(void)
{
    gid_t list[4] = {7, 8, 9, 10}, got[8] = {0};
    SHOW(syscall(SYS_setresgid, 1, 2, 3));
    show_ids("gids");
    SHOW(syscall(SYS_setregid, 3, -1));
    show_ids("setregid");
    SHOW(syscall(SYS_setgroups, 4, list));
    SHOW(syscall(SYS_getgroups, 0, NULL));
    SHOW(syscall(SYS_getgroups, 8, got));
    for (int i = 0; i < 4; i++)
        printf("%d\n", got[i]);
    SHOW(syscall(SYS_getgroups, 3, got));
    SHOW(syscall(SYS_getgroups, -1, got));
    SHOW(syscall(SYS_setgroups, 2, BAD));
    SHOW(syscall(SYS_setgroups, 70000, list));
    SHOW(syscall(SYS_getresuid, BAD, BAD, BAD));
    SHOW(syscall(SYS_setfsuid, 44));
    SHOW(syscall(SYS_setfsuid, -1));
    SHOW(syscall(SYS_setfsgid, 45));
    SHOW(syscall(SYS_setfsgid, -1));
}

static void caps_tell(const char *what)
{
    struct header h = {CAPS_V3, 0};
    struct data d[2] = {0};
    SHOW(syscall(SYS_capget, &h, d));
    printf("%s: chown %d kill %d setuid %d inherit %d\n", what, d[0].effective & 1, d[0].effective >> 5 & 1,
           d[0].permitted >> 7 & 1, d[0].inheritable & 1);
}

static void caps(void)
{
    struct header h = {0, 0};
    struct data d[2] = {0};
    SHOW(syscall(SYS_capget, &h, NULL));
    TRUE(h.version == CAPS_V3);
    h.version = 1;
    SHOW(syscall(SYS_capget, &h, d));
    SHOW(syscall(SYS_capget, BAD, d));
    h = (struct header){CAPS_V3, -1};
    SHOW(syscall(SYS_capget, &h, d));
    h.pid = 999999;
    SHOW(syscall(SYS_capget, &h, d));
    SHOW(syscall(SYS_capset, &h, d));
    caps_tell("root");
    h.pid = 0;
    d[0].effective = d[0].permitted = 1 | 1 << 7;
    d[1].effective = d[1].permitted = 0;
    SHOW(syscall(SYS_capset, &h, d));
    caps_tell("two");
    d[0].permitted |= 1 << 5;
    SHOW(syscall(SYS_capset, &h, d));
    d[0].permitted = 1, d[0].effective = 1 << 7;
    SHOW(syscall(SYS_capset, &h, d));
    SHOW(prctl(PR_SET_KEEPCAPS, 1));
    SHOW(syscall(SYS_setuid, 1000));
    caps_tell("kept");
    SHOW(syscall(SYS_setuid, 0));
    SHOW(prctl(PR_GET_KEEPCAPS));
}

static void sessions(void)
{
    pid_t me = getpid();
    SHOW(syscall(SYS_getpgid, 0) == syscall(SYS_getpgrp));
    SHOW(syscall(SYS_getsid, 0) == syscall(SYS_getsid, me));
    SHOW(syscall(SYS_getpgid, -1));
    SHOW(syscall(SYS_getpgid, 999999));
    SHOW(syscall(SYS_getsid, 999999));
    SHOW(syscall(SYS_setpgid, 0, 0));
    SHOW(getpgrp() == me);
    SHOW(syscall(SYS_setsid));
    SHOW(syscall(SYS_setpgid, 0, -1));
    SHOW(syscall(SYS_setpgid, 999999, 0));
    SHOW(syscall(SYS_setpgid, 1, 0));
    SHOW(syscall(SYS_setpgid, 0, 999999));
    int status, pipes[2];
    if (pipe(pipes))
        exit(1);
    fflush(stdout);
    pid_t kid = fork();
    if (!kid) {
        SHOW(getpgrp() == me);
        SHOW(setsid() == getpid());
        SHOW(getsid(0) == getpid() && getpgrp() == getpid());
        SHOW(setsid());
        SHOW(setpgid(0, 0));
        fflush(stdout);
        if (write(pipes[1], "x", 1) != 1)
            _exit(1);
        pause();
    }
    char c;
    if (read(pipes[0], &c, 1) != 1)
        exit(1);
    SHOW(setpgid(kid, me));
    SHOW(getpgid(kid) == kid && getsid(kid) == kid);
    kill(kid, 9);
    waitpid(kid, &status, 0);
    SHOW(setpgid(kid, me));
    SHOW(gettid() == me);
    SHOW(syscall(SYS_tgkill, me, me, 0));
    SHOW(syscall(SYS_tgkill, me + 1, me, 0));
    SHOW(syscall(SYS_tgkill, -1, me, 0));
    SHOW(syscall(SYS_tkill, 0, 0));
    SHOW(syscall(SYS_kill, me, 65));
    SHOW(syscall(SYS_kill, 999999, 0));
}

int main(void)
{
    show_ids("start");
    child("setuid", setuid_all);
    child("effective", effective);
    child("groups", groups);
    child("caps", caps);
    child("sessions", sessions);
    return 0;
}
