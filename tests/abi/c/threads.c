// Threads: mutexes, conditions, local storage, exits, fork and exec among threads, robust mutexes.
#include "abi.h"
#include <fcntl.h>
#include <pthread.h>
#include <semaphore.h>
#include <sys/mman.h>

enum { FUTEX_WAIT, FUTEX_WAKE, FUTEX_CMP_REQUEUE = 4, FUTEX_WAKE_BITSET = 10 };
enum { THREADS = 8, ROUNDS = 5000 };
static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t cond = PTHREAD_COND_INITIALIZER;
static long counter, turn;
static __thread long own = 5;

static void *counts(void *arg)
{
    for (int i = 0; i < ROUNDS; i++) {
        pthread_mutex_lock(&mutex);
        counter++;
        pthread_mutex_unlock(&mutex);
        own++;
    }
    return (void *)(own + (long)arg);
}

static void mutexes(void)
{
    pthread_t t[THREADS];
    long sum = 0;
    for (long i = 0; i < THREADS; i++)
        pthread_create(&t[i], NULL, counts, (void *)i);
    for (int i = 0; i < THREADS; i++) {
        void *r;
        pthread_join(t[i], &r);
        sum += (long)r;
    }
    printf("%ld %ld %ld\n", counter, sum, own);
}

static void *takes_turns(void *arg)
{
    long me = (long)arg;
    for (int i = 0; i < 200; i++) {
        pthread_mutex_lock(&mutex);
        while (turn % THREADS != me)
            pthread_cond_wait(&cond, &mutex);
        turn++;
        pthread_cond_broadcast(&cond);
        pthread_mutex_unlock(&mutex);
    }
    return NULL;
}

static void conditions(void)
{
    pthread_t t[THREADS];
    for (long i = 0; i < THREADS; i++)
        pthread_create(&t[i], NULL, takes_turns, (void *)i);
    for (int i = 0; i < THREADS; i++)
        pthread_join(t[i], NULL);
    printf("%ld\n", turn);
    struct timespec at;
    clock_gettime(CLOCK_REALTIME, &at);
    at.tv_nsec += 20000000;
    if (at.tv_nsec >= 1000000000)
        at.tv_sec++, at.tv_nsec -= 1000000000;
    pthread_mutex_lock(&mutex);
    printf("%s\n", strerrorname(pthread_cond_timedwait(&cond, &mutex, &at)));
    printf("%d\n", pthread_mutex_trylock(&mutex) == EBUSY);
    pthread_mutex_unlock(&mutex);
    pthread_barrier_t b;
    pthread_barrier_init(&b, NULL, 1);
    printf("%d\n", pthread_barrier_wait(&b) == PTHREAD_BARRIER_SERIAL_THREAD);
}

static void *sleeps(void *arg)
{
    (void)arg;
    for (;;)
        pause();
    return NULL;
}
static volatile int handled;
static pthread_t target;
static void note(int s)
{
    (void)s;
    handled = pthread_equal(pthread_self(), target) ? 1 : 2;
}

static void directed(void)
{
    signal(SIGUSR1, note);
    pthread_create(&target, NULL, sleeps, NULL);
    usleep(10000);
    pthread_kill(target, SIGUSR1);
    while (!handled)
        usleep(1000);
    printf("handled by %d\n", handled);
    pthread_cancel(target);
    void *r;
    pthread_join(target, &r);
    printf("cancelled %d\n", r == PTHREAD_CANCELED);
    // To the process: whoever does not block it.
    sigset_t m;
    sigemptyset(&m), sigaddset(&m, SIGUSR1);
    pthread_create(&target, NULL, sleeps, NULL);
    pthread_sigmask(SIG_BLOCK, &m, NULL);
    handled = 0;
    kill(getpid(), SIGUSR1);
    while (!handled)
        usleep(1000);
    printf("handled by %d\n", handled);
    TRUE(syscall(SYS_gettid) == getpid());
}

static void *forks(void *arg)
{
    (void)arg;
    pid_t p = fork();
    if (!p)
        _exit(syscall(SYS_gettid) == getpid() ? 4 : 5);
    int status;
    waitpid(p, &status, 0);
    return (void *)(long)WEXITSTATUS(status);
}

static void forked(void)
{
    pthread_t t, u;
    void *r;
    pthread_create(&u, NULL, sleeps, NULL);
    pthread_create(&t, NULL, forks, NULL);
    pthread_join(t, &r);
    printf("%ld\n", (long)r);
}

static void *ends_process(void *arg) { (void)arg; usleep(10000); _exit(9); return NULL; }
static void ended(void)
{
    pthread_t t;
    pthread_create(&t, NULL, sleeps, NULL);
    pthread_create(&t, NULL, ends_process, NULL);
    sleeps(NULL);
}

static void *runs_program(void *arg)
{
    (void)arg;
    execl("/bin/sh", "sh", "-c", "read a b c d </proc/self/stat; ls /proc/self/task | wc -l; exit 6", NULL);
    return NULL;
}
static void replaced(void)
{
    pthread_t t;
    pthread_create(&t, NULL, sleeps, NULL);
    pthread_create(&t, NULL, runs_program, NULL);
    sleeps(NULL);
}

static void *leaves(void *arg) { (void)arg; usleep(20000); printf("after the first\n"); exit(3); return NULL; }
static void first_leaves(void)
{
    pthread_t t;
    pthread_create(&t, NULL, leaves, NULL);
    pthread_exit(NULL);
}

static void *dies(void *arg)
{
    pthread_mutex_lock(arg);
    return NULL;
}

static void robust(void)
{
    pthread_mutexattr_t a;
    pthread_mutexattr_init(&a);
    pthread_mutexattr_setrobust(&a, PTHREAD_MUTEX_ROBUST);
    pthread_mutexattr_setpshared(&a, PTHREAD_PROCESS_SHARED);
    pthread_mutex_t *m = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    pthread_mutex_init(m, &a);
    pthread_t t;
    pthread_create(&t, NULL, dies, m);
    pthread_join(t, NULL);
    printf("%d\n", pthread_mutex_lock(m) == EOWNERDEAD);
    printf("%d\n", pthread_mutex_consistent(m));
    printf("%d\n", pthread_mutex_unlock(m));
    if (!fork()) {
        pthread_mutex_lock(m);
        _exit(0);
    }
    wait(NULL);
    printf("%d\n", pthread_mutex_lock(m) == EOWNERDEAD);
    pthread_mutex_unlock(m);
    printf("%d\n", pthread_mutex_lock(m) == ENOTRECOVERABLE);
}

static void futexes(void)
{
    static unsigned f = 5;
    struct timespec t = {0, 1000000}, bad = {0, 2000000000};
    SHOW(syscall(SYS_futex, &f, FUTEX_WAIT, 4, NULL, NULL, 0));
    SHOW(syscall(SYS_futex, &f, FUTEX_WAIT, 5, &t, NULL, 0));
    SHOW(syscall(SYS_futex, &f, FUTEX_WAIT, 5, &bad, NULL, 0));
    SHOW(syscall(SYS_futex, (char *)&f + 1, FUTEX_WAIT, 5, NULL, NULL, 0));
    SHOW(syscall(SYS_futex, BAD, FUTEX_WAIT, 5, NULL, NULL, 0));
    SHOW(syscall(SYS_futex, &f, FUTEX_WAKE, 1, NULL, NULL, 0));
    SHOW(syscall(SYS_futex, &f, FUTEX_WAKE_BITSET, 1, NULL, NULL, 0));
    SHOW(syscall(SYS_futex, &f, FUTEX_CMP_REQUEUE, 1, 1, &f + 1, 4));
    SHOW(syscall(SYS_futex, &f, 99, 1, 1, &f, 4));
    sem_t *s = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    sem_init(s, 1, 0);
    sem_init(s + 1, 1, 0);
    fflush(stdout);
    if (!fork()) {
        for (int i = 0; i < 500; i++)
            sem_wait(s), sem_post(s + 1);
        _exit(0);
    }
    for (int i = 0; i < 500; i++)
        sem_post(s), sem_wait(s + 1);
    int status;
    wait(&status);
    printf("%d\n", status);
}

static void *nothing(void *arg) { return arg; }
static void many(void)
{
    long sum = 0;
    for (int n = 0; n < 300; n++) {
        pthread_t t;
        void *r;
        if (pthread_create(&t, NULL, nothing, (void *)1l))
            break;
        pthread_join(t, &r);
        sum += (long)r;
    }
    pthread_t all[100];
    pthread_attr_t a;
    pthread_attr_init(&a);
    pthread_attr_setstacksize(&a, 65536);
    int n;
    for (n = 0; n < 100 && !pthread_create(&all[n], &a, sleeps, NULL); n++)
        ;
    printf("%ld %d\n", sum, n);
}

int main(void)
{
    child("mutexes", mutexes);
    child("conditions", conditions);
    child("directed", directed);
    child("forked", forked);
    child("ended", ended);
    child("replaced", replaced);
    child("first leaves", first_leaves);
    child("robust", robust);
    child("futexes", futexes);
    child("many", many);
}
