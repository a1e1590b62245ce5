// exit_group with threads in calls; the main thread ends before the others.
#include "conformance.h"
#include <pthread.h>

static void *read_forever(void *argument)
{
    char c;
    CHECK_EQ(read(*(int *)argument, &c, 1), 1);
    return NULL;
}

static void *last(void *argument)
{
    (void)argument;
    sleep_ms(40);
    maybe_save();
    exit(12);
}

int main(void)
{
    int p[2], status;
    pthread_t t;
    CHECK_EQ(pipe(p), 0);
    pid_t pid = fork_checked();
    if (pid == 0) {
        for (int i = 0; i < 5; i++)
            pthread_create(&t, NULL, read_forever, &p[0]);
        sleep_ms(20);
        maybe_save();
        _exit(11);
    }
    CHECK_EQ(waitpid(pid, &status, 0), pid);
    CHECK_EQ(WEXITSTATUS(status), 11);
    ok("exit_group");

    pid = fork_checked();
    if (pid == 0) {
        pthread_create(&t, NULL, last, NULL);
        pthread_exit(NULL);
    }
    CHECK_EQ(waitpid(pid, &status, 0), pid);
    CHECK(WIFEXITED(status));
    CHECK_EQ(WEXITSTATUS(status), 12);
    ok("main thread first");
    return 0;
}
