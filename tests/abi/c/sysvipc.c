// System V shared memory, semaphores and message queues.
#include "abi.h"
#include <sys/ipc.h>
#include <sys/msg.h>
#include <sys/sem.h>
#include <sys/shm.h>

union arg {
    int val;
    struct semid_ds *buf;
    unsigned short *array;
};
enum { KEY = 0x58a1 };

static void memory(void)
{
    struct shmid_ds d;
    int id = shmget(IPC_PRIVATE, 10000, 0600);
    TRUE(id >= 0);
    char *p = shmat(id, NULL, 0), *q;
    TRUE(p != (void *)-1);
    strcpy(p, "shared");
    SHOW(shmctl(id, IPC_STAT, &d));
    printf("size %d nattch %d mode %o\n", (int)d.shm_segsz, (int)d.shm_nattch, d.shm_perm.mode);
    TRUE(d.shm_cpid == getpid() && d.shm_lpid == getpid() && d.shm_atime && !d.shm_dtime);
    fflush(stdout);
    if (!fork()) {
        printf("child sees %s\n", p);
        strcpy(p + 4097, "back");
        SHOW(shmctl(id, IPC_STAT, &d));
        printf("nattch %d\n", (int)d.shm_nattch);
        SHOW(shmdt(p));
        fflush(stdout);
        _exit(0);
    }
    wait(NULL);
    printf("parent sees %s\n", p + 4097);
    q = shmat(id, NULL, SHM_RDONLY);
    TRUE(q != (void *)-1 && q != p && !strcmp(q, "shared"));
    SHOW(shmctl(id, IPC_STAT, &d));
    printf("nattch %d\n", (int)d.shm_nattch);
    SHOW(shmctl(id, IPC_RMID, NULL));
    SHOW(shmctl(id, IPC_STAT, &d));
    printf("mode %o nattch %d\n", d.shm_perm.mode, (int)d.shm_nattch);
    char *again = shmat(id, NULL, 0);
    TRUE(again != (void *)-1 && !strcmp(again, "shared"));
    SHOW(shmdt(p));
    SHOW(shmdt(p));
    SHOW(shmdt(q));
    SHOW(shmdt(again + 1));
    SHOW(shmdt(again));
    SHOW(shmctl(id, IPC_STAT, &d));
    SHOW((long)shmat(id, NULL, 0));
    SHOW(shmget(KEY, 100, 0));
    id = shmget(KEY, 100, IPC_CREAT | 0640);
    TRUE(id >= 0 && shmget(KEY, 50, 0) == id && shmget(KEY, 0, 0) == id);
    SHOW(shmget(KEY, 5000, 0));
    SHOW(shmget(KEY, 100, IPC_CREAT | IPC_EXCL | 0600));
    SHOW(shmget(KEY + 1, 0, IPC_CREAT | 0600));
    SHOW((long)shmat(id, (void *)0x12345, 0));
    SHOW(shmctl(id, 77, &d));
    SHOW(shmctl(-1, IPC_STAT, &d));
    SHOW(shmctl(id, IPC_STAT, BAD));
    d.shm_perm.uid = 1000, d.shm_perm.gid = 1000, d.shm_perm.mode = 0644;
    SHOW(shmctl(id, IPC_SET, &d));
    fflush(stdout);
    if (!fork()) {
        if (syscall(SYS_setresuid, 1001, 1001, 1001))
            _exit(1);
        SHOW((long)shmat(id, NULL, 0));
        TRUE(shmat(id, NULL, SHM_RDONLY) != (void *)-1);
        SHOW(shmctl(id, IPC_RMID, NULL));
        SHOW(shmget(KEY, 0, 0600));
        fflush(stdout);
        _exit(0);
    }
    wait(NULL);
    SHOW(shmctl(id, IPC_RMID, NULL));
    SHOW(shmget(KEY, 100, 0));
}

static int op(int id, int num, int by, int flags)
{
    struct sembuf b = {num, by, flags};
    return semop(id, &b, 1);
}

static void semaphores(void)
{
    union arg a;
    unsigned short v[3] = {1, 2, 3}, got[3] = {0};
    struct semid_ds d;
    int status, id = semget(IPC_PRIVATE, 3, 0600);
    TRUE(id >= 0);
    a.array = v;
    SHOW(semctl(id, 0, SETALL, a));
    a.array = got;
    SHOW(semctl(id, 0, GETALL, a));
    printf("%d %d %d\n", got[0], got[1], got[2]);
    SHOW(op(id, 0, -1, 0));
    SHOW(op(id, 0, -1, IPC_NOWAIT));
    SHOW(op(id, 0, 0, 0));
    SHOW(op(id, 1, 0, IPC_NOWAIT));
    SHOW(op(id, 3, 1, 0));
    SHOW(op(id, 1, 32766, 0));
    struct sembuf both[2] = {{1, -1, 0}, {0, -1, IPC_NOWAIT}};
    SHOW(semop(id, both, 2)); // all or nothing
    SHOW(semctl(id, 1, GETVAL));
    SHOW(semop(id, both, 0));
    SHOW(semop(id, BAD, 1));
    SHOW(semop(-1, both, 1));
    SHOW(semtimedop(id, &(struct sembuf){0, -1, 0}, 1, &(struct timespec){0, 10000000}));
    a.val = 40000;
    SHOW(semctl(id, 0, SETVAL, a));
    a.val = 5;
    SHOW(semctl(id, 2, SETVAL, a));
    SHOW(semctl(id, 9, GETVAL));
    TRUE(semctl(id, 2, GETPID) == getpid());
    a.buf = &d;
    SHOW(semctl(id, 0, IPC_STAT, a));
    printf("n %d mode %o\n", (int)d.sem_nsems, d.sem_perm.mode);
    fflush(stdout);
    pid_t kid = fork();
    if (!kid) { // sleeps until the parent gives, holds with undo, dies
        if (op(id, 0, -1, SEM_UNDO) || op(id, 2, 3, SEM_UNDO))
            _exit(1);
        _exit(9);
    }
    while (semctl(id, 0, GETNCNT) != 1)
        usleep(1000);
    SHOW(op(id, 0, 1, 0));
    waitpid(kid, &status, 0);
    SHOW(WEXITSTATUS(status));
    SHOW(semctl(id, 0, GETVAL));
    SHOW(semctl(id, 2, GETVAL));
    SHOW(op(id, 0, -1, 0));
    kid = fork();
    if (!kid)
        _exit(op(id, 0, -1, 0) == -1 && errno == EIDRM ? 3 : 4);
    while (semctl(id, 0, GETNCNT) != 1)
        usleep(1000);
    SHOW(semctl(id, 0, IPC_RMID));
    waitpid(kid, &status, 0);
    SHOW(WEXITSTATUS(status));
    SHOW(semctl(id, 0, GETVAL));
    SHOW(semget(IPC_PRIVATE, 0, 0600));
    SHOW(semget(IPC_PRIVATE, 40000, 0600));
}

struct message {
    long type;
    char text[64];
};

static long receive(int id, long type, size_t room, int flags)
{
    struct message m = {0};
    long r = msgrcv(id, &m, room, type, flags);
    if (r >= 0)
        printf("type %ld: %s\n", m.type, m.text);
    return r;
}

static void messages(void)
{
    struct msqid_ds d;
    struct message m = {3, "three"};
    int status, id = msgget(IPC_PRIVATE, 0600);
    TRUE(id >= 0);
    SHOW(msgsnd(id, &m, 6, 0));
    m = (struct message){1, "one"};
    SHOW(msgsnd(id, &m, 4, 0));
    m = (struct message){2, "two"};
    SHOW(msgsnd(id, &m, 4, 0));
    SHOW(msgctl(id, IPC_STAT, &d));
    printf("n %d limit %d\n", (int)d.msg_qnum, (int)d.msg_qbytes);
    SHOW(receive(id, 2, 64, 0));
    SHOW(receive(id, -5, 64, 0));
    SHOW(receive(id, 9, 64, IPC_NOWAIT));
    SHOW(receive(id, 0, 2, 0));
    SHOW(receive(id, 0, 2, MSG_NOERROR));
    SHOW(receive(id, 0, 2, IPC_NOWAIT));
    m.type = 0;
    SHOW(msgsnd(id, &m, 4, 0));
    m.type = 1;
    SHOW(msgsnd(id, &m, 9000, 0));
    SHOW(msgsnd(id, BAD, 4, 0));
    SHOW(msgsnd(-1, &m, 4, 0));
    int n = 0;
    while (!msgsnd(id, &m, 64, IPC_NOWAIT))
        n++;
    printf("%d fit: %s\n", n, strerrorname(errno));
    fflush(stdout);
    pid_t kid = fork();
    if (!kid)
        _exit(msgsnd(id, &m, 64, 0) ? 1 : 2);
    usleep(1000);
    SHOW(receive(id, 0, 64, 0));
    waitpid(kid, &status, 0);
    SHOW(WEXITSTATUS(status));
    kid = fork();
    if (!kid)
        _exit(msgrcv(id, &m, 64, 99, 0) == -1 && errno == EIDRM ? 3 : 4);
    usleep(10000);
    SHOW(msgctl(id, IPC_RMID, NULL));
    waitpid(kid, &status, 0);
    TRUE(WEXITSTATUS(status) == 3 || WEXITSTATUS(status) == 4); // it may not have been there yet
    SHOW(msgctl(id, IPC_STAT, &d));
}

int main(void)
{
    child("memory", memory);
    child("semaphores", semaphores);
    child("messages", messages);
    return 0;
}
