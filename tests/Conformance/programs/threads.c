#include "conformance.h"
#include <pthread.h>

static __thread int local = 5;
static pthread_barrier_t barrier;
static int tids[8];

static void *run(void *argument)
{
    int n = (int)(intptr_t)argument;
    local += n;
    tids[n] = (int)syscall(SYS_gettid);
    pthread_barrier_wait(&barrier);
    if (n == 3)
        maybe_save();
    pthread_barrier_wait(&barrier);
    CHECK_EQ(local, 5 + n);
    CHECK_EQ(tids[n], syscall(SYS_gettid));
    return (void *)(intptr_t)(n * n);
}

static void *detached(void *argument)
{
    CHECK_EQ(write(*(int *)argument, "d", 1), 1);
    return NULL;
}

int main(void)
{
    pthread_t threads[8];
    CHECK_EQ(pthread_barrier_init(&barrier, NULL, 9), 0);
    for (intptr_t i = 0; i < 8; i++)
        CHECK_EQ(pthread_create(&threads[i], NULL, run, (void *)i), 0);
    pthread_barrier_wait(&barrier);
    for (int i = 0; i < 8; i++) {
        CHECK(tids[i] != getpid());
        for (int j = 0; j < i; j++)
            CHECK(tids[i] != tids[j]);
    }
    pthread_barrier_wait(&barrier);
    maybe_save();
    for (int i = 0; i < 8; i++) {
        void *result;
        CHECK_EQ(pthread_join(threads[i], &result), 0);
        CHECK_EQ((intptr_t)result, i * i);
    }
    CHECK_EQ(local, 5);
    ok("create and join");

    int p[2];
    char c;
    CHECK_EQ(pipe(p), 0);
    pthread_attr_t attributes;
    pthread_attr_init(&attributes);
    pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
    CHECK_EQ(pthread_create(&threads[0], &attributes, detached, &p[1]), 0);
    CHECK_EQ(read(p[0], &c, 1), 1);
    ok("detached");

    pid_t pid = fork_checked();
    if (pid == 0) {
        CHECK_EQ(getpid(), syscall(SYS_gettid));
        maybe_save();
        pthread_t t;
        CHECK_EQ(pthread_create(&t, NULL, detached, &p[1]), 0);
        CHECK_EQ(pthread_join(t, NULL), 0);
        exit(0);
    }
    reap(pid);
    ok("fork");
    return 0;
}
