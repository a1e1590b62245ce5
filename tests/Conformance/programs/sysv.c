#include "conformance.h"
#include <sys/ipc.h>
#include <sys/msg.h>
#include <sys/sem.h>
#include <sys/shm.h>

union semun {
    int val;
    struct semid_ds *buf;
    unsigned short *array;
};

struct message {
    long type;
    char text[64];
};

static void segments(void)
{
    int id = shmget(IPC_PRIVATE, 10000, IPC_CREAT | 0600);
    CHECK(id >= 0);
    char *one = shmat(id, NULL, 0);
    char *two = shmat(id, NULL, SHM_RDONLY);
    CHECK(one != (void *)-1 && two != (void *)-1 && one != two);
    strcpy(one + 9000, "in the segment");
    maybe_save();
    CHECK(strcmp(two + 9000, "in the segment") == 0);
    struct shmid_ds status;
    CHECK_EQ(shmctl(id, IPC_STAT, &status), 0);
    CHECK_EQ(status.shm_nattch, 2);
    CHECK_EQ(status.shm_segsz, 10000);
    CHECK_EQ(status.shm_perm.mode & 0777, 0600);
    CHECK_EQ(shmdt(two), 0);
    CHECK_ERRNO(shmdt(two), EINVAL);
    pid_t pid = fork_checked();
    if (pid == 0) {
        CHECK_EQ(shmctl(id, IPC_STAT, &status), 0);
        CHECK_EQ(status.shm_nattch, 2);
        one[0] = 42;
        maybe_save();
        _exit(0);
    }
    reap(pid);
    CHECK_EQ(one[0], 42);
    CHECK_EQ(shmctl(id, IPC_RMID, NULL), 0);
    maybe_save();
    CHECK_EQ(shmctl(id, IPC_STAT, &status), 0);
    CHECK_EQ(status.shm_nattch, 1);
    CHECK_EQ(one[0], 42);
    CHECK_EQ(shmdt(one), 0);
    CHECK_ERRNO(shmctl(id, IPC_STAT, &status), EINVAL);
    ok("segments");
}

static void semaphores(void)
{
    int id = semget(IPC_PRIVATE, 3, IPC_CREAT | 0600);
    CHECK(id >= 0);
    union semun value = {.array = (unsigned short[]){1, 0, 5}};
    CHECK_EQ(semctl(id, 0, SETALL, value), 0);
    struct sembuf both[] = {{0, -1, 0}, {2, -6, IPC_NOWAIT}};
    CHECK_ERRNO(semop(id, both, 2), EAGAIN);
    CHECK_EQ(semctl(id, 0, GETVAL), 1);
    pid_t pid = fork_checked();
    if (pid == 0) {
        struct sembuf wait = {1, -2, SEM_UNDO};
        CHECK_EQ(semop(id, &wait, 1), 0);
        _exit(0);
    }
    while (semctl(id, 1, GETNCNT) != 1)
        sleep_ms(5);
    maybe_save();
    CHECK_EQ(semctl(id, 1, GETNCNT), 1);
    struct sembuf give = {1, 3, 0};
    CHECK_EQ(semop(id, &give, 1), 0);
    reap(pid);
    CHECK_EQ(semctl(id, 1, GETVAL), 3);
    CHECK_EQ(semctl(id, 1, GETPID), pid);

    pid = fork_checked();
    if (pid == 0) {
        struct sembuf zero = {1, 0, 0};
        CHECK_ERRNO(semop(id, &zero, 1), EIDRM);
        _exit(0);
    }
    while (semctl(id, 1, GETZCNT) != 1)
        sleep_ms(5);
    maybe_save();
    CHECK_EQ(semctl(id, 0, IPC_RMID), 0);
    reap(pid);
    ok("semaphores");
}

static void queues(void)
{
    key_t key = 0x1234567;
    int id = msgget(key, IPC_CREAT | IPC_EXCL | 0600);
    CHECK(id >= 0);
    CHECK_ERRNO(msgget(key, IPC_CREAT | IPC_EXCL | 0600), EEXIST);
    CHECK_EQ(msgget(key, 0), id);
    struct message m = {3, "three"};
    CHECK_EQ(msgsnd(id, &m, 6, 0), 0);
    m = (struct message){2, "two"};
    CHECK_EQ(msgsnd(id, &m, 4, 0), 0);
    maybe_save();
    CHECK_ERRNO(msgrcv(id, &m, 64, 9, IPC_NOWAIT), ENOMSG);
    CHECK_ERRNO(msgrcv(id, &m, 2, 3, 0), E2BIG);
    CHECK_EQ(msgrcv(id, &m, 64, -3, 0), 4);
    CHECK_EQ(m.type, 2);
    CHECK(strcmp(m.text, "two") == 0);
    CHECK_EQ(msgrcv(id, &m, 3, 3, MSG_NOERROR), 3);
    CHECK_EQ(m.type, 3);
    pid_t pid = fork_checked();
    if (pid == 0) {
        CHECK_EQ(msgrcv(id, &m, 64, 5, 0), 5);
        CHECK(strcmp(m.text, "five") == 0);
        CHECK_ERRNO(msgrcv(id, &m, 64, 6, 0), EIDRM);
        _exit(0);
    }
    sleep_ms(30);
    maybe_save();
    m = (struct message){5, "five"};
    CHECK_EQ(msgsnd(id, &m, 5, 0), 0);
    sleep_ms(30);
    struct msqid_ds status;
    CHECK_EQ(msgctl(id, IPC_STAT, &status), 0);
    CHECK_EQ(status.msg_qnum, 0);
    CHECK_EQ(msgctl(id, IPC_RMID, NULL), 0);
    reap(pid);
    ok("queues");
}

int main(void)
{
    segments();
    semaphores();
    queues();
    return 0;
}
