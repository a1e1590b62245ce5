#include "conformance.h"
#include <linux/futex.h>
#include <pthread.h>
#include <sys/mman.h>

static uint32_t a, b;
static int woken;
static pid_t waiters[4];

static long futex(uint32_t *word, int op, uint32_t value, void *timeout, uint32_t *word2, uint32_t value3)
{
    return syscall(SYS_futex, word, op, value, timeout, word2, value3);
}

static void *wait_on_a(void *argument)
{
    __atomic_store_n(&waiters[(uintptr_t)argument], gettid(), __ATOMIC_SEQ_CST);
    CHECK_EQ(futex(&a, FUTEX_WAIT_PRIVATE, 0, NULL, NULL, 0), 0);
    __atomic_add_fetch(&woken, 1, __ATOMIC_SEQ_CST);
    return NULL;
}

static void *wait_bit(void *argument)
{
    __atomic_store_n(&waiters[(uintptr_t)argument], gettid(), __ATOMIC_SEQ_CST);
    CHECK_EQ(futex(&a, FUTEX_WAIT_BITSET_PRIVATE, 0, NULL, NULL, 1 + (uint32_t)(uintptr_t)argument), 0);
    __atomic_add_fetch(&woken, 1, __ATOMIC_SEQ_CST);
    return NULL;
}

static void await(int count)
{
    for (int i = 0; __atomic_load_n(&woken, __ATOMIC_SEQ_CST) < count; i++) {
        CHECK(i < 5000);
        sleep_ms(1);
    }
}

static void await_waiters(int count)
{
    for (int i = 0; i < count; i++) {
        while (__atomic_load_n(&waiters[i], __ATOMIC_SEQ_CST) == 0)
            sleep_ms(1);
        await_blocked(getpid(), waiters[i]);
    }
}

int main(void)
{
    pthread_t t[4];
    CHECK_ERRNO(futex(&a, FUTEX_WAIT, 1, NULL, NULL, 0), EAGAIN);
    CHECK_EQ(futex(&a, FUTEX_WAKE, 1, NULL, NULL, 0), 0);
    CHECK_ERRNO(futex((uint32_t *)((char *)&a + 1), FUTEX_WAIT, 0, NULL, NULL, 0), EINVAL);
    struct timespec ts = {0, 20000000};
    int64_t start = now_ns();
    CHECK_ERRNO(futex(&a, FUTEX_WAIT, 0, &ts, NULL, 0), ETIMEDOUT);
    CHECK(now_ns() - start >= 20000000);
    clock_gettime(CLOCK_MONOTONIC, &ts);
    ts.tv_sec--;
    CHECK_ERRNO(futex(&a, FUTEX_WAIT_BITSET, 0, &ts, NULL, FUTEX_BITSET_MATCH_ANY), ETIMEDOUT);
    ok("errors and timeouts");

    for (int i = 0; i < 4; i++)
        pthread_create(&t[i], NULL, wait_on_a, (void *)(uintptr_t)i);
    await_waiters(4);
    maybe_save();
    await_waiters(4);
    CHECK_EQ(futex(&a, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0), 1);
    await(1);
    CHECK_EQ(futex(&a, FUTEX_CMP_REQUEUE_PRIVATE, 1, (void *)1, &b, 0), 2);
    await(2);
    CHECK_ERRNO(futex(&a, FUTEX_CMP_REQUEUE_PRIVATE, 1, (void *)1, &b, 9), EAGAIN);
    CHECK_EQ(futex(&b, FUTEX_WAKE_PRIVATE, 100, NULL, NULL, 0), 1);
    CHECK_EQ(futex(&a, FUTEX_WAKE_PRIVATE, 100, NULL, NULL, 0), 1);
    for (int i = 0; i < 4; i++)
        pthread_join(t[i], NULL);
    CHECK_EQ(woken, 4);
    ok("wake and requeue");

    woken = 0;
    memset(waiters, 0, sizeof waiters);
    for (int i = 0; i < 2; i++)
        pthread_create(&t[i], NULL, wait_bit, (void *)(uintptr_t)i);
    await_waiters(2);
    maybe_save();
    await_waiters(2);
    CHECK_EQ(futex(&a, FUTEX_WAKE_BITSET_PRIVATE, 10, NULL, NULL, 4), 0);
    CHECK_EQ(futex(&a, FUTEX_WAKE_BITSET_PRIVATE, 10, NULL, NULL, 2), 1);
    CHECK_EQ(futex(&a, FUTEX_WAKE_PRIVATE, 10, NULL, NULL, 0), 1);
    pthread_join(t[0], NULL);
    pthread_join(t[1], NULL);
    ok("bit sets");

    uint32_t *shared = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    pid_t pid = fork_checked();
    if (pid == 0) {
        CHECK_EQ(futex(shared, FUTEX_WAIT, 0, NULL, NULL, 0), 0);
        _exit(0);
    }
    await_blocked(pid, pid);
    maybe_save();
    await_blocked(pid, pid);
    CHECK_EQ(futex(shared, FUTEX_WAKE, 1, NULL, NULL, 0), 1);
    reap(pid);
    ok("shared");
    return 0;
}
