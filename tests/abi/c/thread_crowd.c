// 32 threads: mutex, condition variable, barrier, thread-local storage; fork from among them; exit of one.
#include "abi.h"
#include <pthread.h>

enum { THREADS = 32, TURNS = 200 };
static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t turned = PTHREAD_COND_INITIALIZER;
static pthread_barrier_t barrier;
static int turn, counter, wrong;
static __thread long own;

static void count(void)
{
    pthread_mutex_lock(&mutex);
    counter++;
    pthread_mutex_unlock(&mutex);
}

static void *work(void *arg)
{
    long me = (long)arg;
    own = me * 1000;
    pthread_barrier_wait(&barrier);
    for (int i = 0; i < TURNS; i++) {
        count();
        own++;
    }
    // In turn: thread n goes when n-1 has gone.
    pthread_mutex_lock(&mutex);
    while (turn != me)
        pthread_cond_wait(&turned, &mutex);
    turn++;
    pthread_cond_broadcast(&turned);
    pthread_mutex_unlock(&mutex);
    pthread_barrier_wait(&barrier);
    if (own != me * 1000 + TURNS) {
        pthread_mutex_lock(&mutex);
        wrong++;
        pthread_mutex_unlock(&mutex);
    }
    if (me == 7) {
        pid_t p = fork();
        if (!p)
            _exit(own == 7 * 1000 + TURNS ? 21 : 22);
        int status;
        waitpid(p, &status, 0);
        printf("fork from a thread: %x\n", status);
    }
    return (void *)own;
}

static void *spin(void *arg)
{
    for (;;)
        count();
    return arg;
}

int main(void)
{
    pthread_t t[THREADS];
    long sum = 0;
    setvbuf(stdout, NULL, _IONBF, 0);
    for (int round = 0; round < 5; round++) {
        turn = counter = 0, sum = 0;
        pthread_barrier_init(&barrier, NULL, THREADS);
        for (long i = 0; i < THREADS; i++)
            if (pthread_create(&t[i], NULL, work, (void *)i))
                return 1;
        for (int i = 0; i < THREADS; i++) {
            void *r;
            pthread_join(t[i], &r);
            sum += (long)r;
        }
        printf("round %d: counter %d, turn %d, wrong %d, sum %ld\n", round, counter, turn, wrong, sum);
        pthread_barrier_destroy(&barrier);
    }
    // exit ends threads that run.
    for (int i = 0; i < 8; i++)
        pthread_create(&t[i], NULL, spin, NULL);
    return 3;
}
