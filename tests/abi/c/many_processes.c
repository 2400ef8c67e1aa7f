// A thousand processes alive at once, each with a signal to come; then ten thousand one after the other.
#include "abi.h"

enum { ALIVE = 1000, SEQUENCE = 10000 };
static volatile sig_atomic_t got;

static void on_signal(int sig)
{
    got = sig;
}

static long pages_used(void)
{
    char line[128];
    long total = 0, left = 0;
    FILE *f = fopen("/proc/meminfo", "r");
    while (f && fgets(line, sizeof line, f)) {
        sscanf(line, "MemTotal: %ld", &total);
        sscanf(line, "MemFree: %ld", &left);
    }
    if (f)
        fclose(f);
    return (total - left) / 4;
}

// With an argument, also whether memory in use has grown: on a machine where nobody else uses any.
int main(int argc, char **argv)
{
    static pid_t child[ALIVE];
    int status, ready[2], bad = 0;
    char c;
    sigset_t usr1, old;
    setvbuf(stdout, NULL, _IONBF, 0);
    if (pipe(ready))
        return 1;
    sigemptyset(&usr1);
    sigaddset(&usr1, SIGUSR1);
    sigprocmask(SIG_BLOCK, &usr1, &old);
    signal(SIGUSR1, on_signal);
    for (int i = 0; i < ALIVE; i++)
        if (!(child[i] = fork())) {
            bad = write(ready[1], "r", 1) != 1;
            while (!got)
                sigsuspend(&old);
            _exit(bad ? 1 : i % 200);
        }
    for (int i = 0; i < ALIVE; i++)
        bad += read(ready[0], &c, 1) != 1;
    for (int i = 0; i < ALIVE; i++)
        bad += kill(child[i], SIGUSR1) != 0;
    for (int i = 0; i < ALIVE; i++)
        bad += waitpid(child[i], &status, 0) != child[i] || status != (i % 200) << 8;
    printf("%d alive at once: %d bad\n", ALIVE, bad);
    long before = 0;
    for (int i = 0; i < SEQUENCE; i++) {
        if (i == SEQUENCE / 10)
            before = pages_used();
        pid_t p = fork();
        if (!p)
            _exit(i % 100);
        bad += waitpid(p, &status, 0) != p || status != (i % 100) << 8;
    }
    long more = pages_used() - before;
    printf("%d in sequence: %d bad\n", SEQUENCE, bad);
    if (argc > 1)
        printf("%s: memory %s\n", argv[1], more < 256 ? "as before" : "grew");
    return 0;
}
