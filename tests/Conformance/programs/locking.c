#include "conformance.h"
#include <pthread.h>
#include <semaphore.h>

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;
static pthread_rwlock_t rwlock = PTHREAD_RWLOCK_INITIALIZER;
static sem_t semaphore;
static long counter;
static int queue[4], head, tail, done;

static void *count(void *argument)
{
    for (int i = 0; i < 3000; i++) {
        pthread_mutex_lock(&mutex);
        counter++;
        pthread_mutex_unlock(&mutex);
        if (argument != NULL && i == 1500)
            maybe_save();
    }
    return NULL;
}

static void *consume(void *argument)
{
    long *sum = argument;
    for (;;) {
        pthread_mutex_lock(&mutex);
        while (head == tail && !done)
            pthread_cond_wait(&changed, &mutex);
        if (head == tail) {
            pthread_mutex_unlock(&mutex);
            return NULL;
        }
        *sum += queue[head++ % 4];
        pthread_cond_broadcast(&changed);
        pthread_mutex_unlock(&mutex);
    }
}

static void *read_locked(void *argument)
{
    pthread_rwlock_rdlock(&rwlock);
    CHECK_EQ(counter, -1);
    pthread_rwlock_unlock(&rwlock);
    sem_wait(&semaphore);
    return argument;
}

int main(void)
{
    pthread_t t[4];
    for (intptr_t i = 0; i < 4; i++)
        pthread_create(&t[i], NULL, count, (void *)(intptr_t)(i == 2));
    for (int i = 0; i < 4; i++)
        pthread_join(t[i], NULL);
    CHECK_EQ(counter, 12000);
    ok("mutex");

    long sums[2] = {0, 0};
    for (int i = 0; i < 2; i++)
        pthread_create(&t[i], NULL, consume, &sums[i]);
    sleep_ms(20);
    maybe_save();
    for (int i = 1; i <= 500; i++) {
        pthread_mutex_lock(&mutex);
        while (tail - head == 4)
            pthread_cond_wait(&changed, &mutex);
        queue[tail++ % 4] = i;
        pthread_cond_broadcast(&changed);
        pthread_mutex_unlock(&mutex);
        if (i == 250)
            maybe_save();
    }
    pthread_mutex_lock(&mutex);
    done = 1;
    pthread_cond_broadcast(&changed);
    pthread_mutex_unlock(&mutex);
    for (int i = 0; i < 2; i++)
        pthread_join(t[i], NULL);
    CHECK_EQ(sums[0] + sums[1], 125250);
    ok("condition");

    struct timespec until;
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_nsec += 20000000;
    until.tv_sec += until.tv_nsec / 1000000000;
    until.tv_nsec %= 1000000000;
    pthread_mutex_lock(&mutex);
    CHECK_EQ(pthread_cond_timedwait(&changed, &mutex, &until), ETIMEDOUT);
    pthread_mutex_unlock(&mutex);
    ok("timeout");

    CHECK_EQ(sem_init(&semaphore, 0, 0), 0);
    pthread_rwlock_wrlock(&rwlock);
    for (int i = 0; i < 3; i++)
        pthread_create(&t[i], NULL, read_locked, NULL);
    sleep_ms(20);
    maybe_save();
    counter = -1;
    pthread_rwlock_unlock(&rwlock);
    for (int i = 0; i < 3; i++)
        sem_post(&semaphore);
    for (int i = 0; i < 3; i++)
        pthread_join(t[i], NULL);
    ok("rwlock and semaphore");
    return 0;
}
