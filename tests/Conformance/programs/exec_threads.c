// execve from one thread of several ends the others and keeps the process id.
#include "conformance.h"
#include <pthread.h>

static char self[4096];

static void *wait_forever(void *argument)
{
    for (;;)
        pause();
    return argument;
}

static void *exec_self(void *argument)
{
    char number[16];
    (void)argument;
    snprintf(number, sizeof number, "%d", getpid());
    execl(self, self, number, NULL);
    return NULL;
}

int main(int argc, char **argv)
{
    if (argc > 1) {
        CHECK_EQ(getpid(), atoi(argv[1]));
        CHECK_EQ(syscall(SYS_gettid), getpid());
        maybe_save();
        ok("exec");
        return 0;
    }
    pthread_t t;
    CHECK(readlink("/proc/self/exe", self, sizeof self - 1) > 0);
    for (int i = 0; i < 3; i++)
        pthread_create(&t, NULL, wait_forever, NULL);
    maybe_save();
    pthread_create(&t, NULL, exec_self, NULL);
    wait_forever(NULL);
}
