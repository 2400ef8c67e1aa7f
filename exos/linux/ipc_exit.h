// System V IPC at the end of a process.
#ifndef EXOS_LINUX_IPC_EXIT_H
#define EXOS_LINUX_IPC_EXIT_H
struct proc;
void sem_exit(struct proc *p); // SEM_UNDO
#endif
