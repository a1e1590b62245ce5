// Robust mutexes whose owner dies, as a thread and as a process; shared mutexes.
#include "conformance.h"
#include <pthread.h>
#include <sys/mman.h>

static void *lock_and_die(void *mutex)
{
    CHECK_EQ(pthread_mutex_lock(mutex), 0);
    maybe_save();
    return NULL;
}

int main(void)
{
    pthread_mutexattr_t a;
    pthread_mutexattr_init(&a);
    pthread_mutexattr_setrobust(&a, PTHREAD_MUTEX_ROBUST);
    pthread_mutexattr_setpshared(&a, PTHREAD_PROCESS_SHARED);
    pthread_mutex_t *m = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    CHECK(m != MAP_FAILED);
    CHECK_EQ(pthread_mutex_init(m, &a), 0);
    pthread_t t;
    pthread_create(&t, NULL, lock_and_die, m);
    pthread_join(t, NULL);
    CHECK_EQ(pthread_mutex_lock(m), EOWNERDEAD);
    CHECK_EQ(pthread_mutex_consistent(m), 0);
    CHECK_EQ(pthread_mutex_unlock(m), 0);
    ok("thread");

    pid_t pid = fork_checked();
    if (pid == 0) {
        CHECK_EQ(pthread_mutex_lock(m), 0);
        sleep_ms(60);
        maybe_save();
        raise(SIGKILL);
    }
    sleep_ms(30);
    CHECK_EQ(pthread_mutex_lock(m), EOWNERDEAD);
    maybe_save();
    CHECK_EQ(pthread_mutex_consistent(m), 0);
    CHECK_EQ(pthread_mutex_unlock(m), 0);
    CHECK_EQ(waitpid(pid, NULL, 0), pid);
    ok("process");

    pid = fork_checked();
    if (pid == 0) {
        sleep_ms(40);
        CHECK_EQ(pthread_mutex_lock(m), 0);
        CHECK_EQ(pthread_mutex_unlock(m), 0);
        _exit(0);
    }
    CHECK_EQ(pthread_mutex_lock(m), 0);
    sleep_ms(80);
    maybe_save();
    CHECK_EQ(pthread_mutex_unlock(m), 0);
    reap(pid);
    ok("shared");
    return 0;
}
