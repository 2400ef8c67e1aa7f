// What uname(2) tells: also for /proc.
#ifndef EXOS_LINUX_SYSTEM_H
#define EXOS_LINUX_SYSTEM_H
#define UTS_LEN 65
struct utsname_native {
    char sysname[UTS_LEN], nodename[UTS_LEN], release[UTS_LEN], version[UTS_LEN], machine[UTS_LEN], domainname[UTS_LEN];
};
extern struct utsname_native linux_uts;
#endif
