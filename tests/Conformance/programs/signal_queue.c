// Real-time signals queue in order with their values; across a save too.
#include "conformance.h"

static volatile int values[16], signals[16], n;

static void handle(int signal, siginfo_t *info, void *context)
{
    (void)context;
    signals[n] = signal - SIGRTMIN;
    values[n++] = info->si_value.sival_int;
    CHECK_EQ(info->si_code, SI_QUEUE);
    CHECK_EQ(info->si_pid, getpid());
}

int main(void)
{
    struct sigaction a = {.sa_sigaction = handle, .sa_flags = SA_SIGINFO};
    sigset_t set;
    sigemptyset(&set);
    for (int i = 0; i < 3; i++) {
        sigaddset(&set, SIGRTMIN + i);
        CHECK_EQ(sigaction(SIGRTMIN + i, &a, NULL), 0);
        sigaddset(&a.sa_mask, SIGRTMIN + i);
    }
    for (int i = 0; i < 3; i++) {
        sigfillset(&a.sa_mask);
        CHECK_EQ(sigaction(SIGRTMIN + i, &a, NULL), 0);
    }
    CHECK_EQ(sigprocmask(SIG_BLOCK, &set, NULL), 0);
    for (int i = 0; i < 9; i++)
        CHECK_EQ(sigqueue(getpid(), SIGRTMIN + 2 - i % 3, (union sigval){.sival_int = i}), 0);
    maybe_save();
    CHECK_EQ(n, 0);
    CHECK_EQ(sigprocmask(SIG_UNBLOCK, &set, NULL), 0);
    CHECK_EQ(n, 9);
    for (int i = 0; i < 9; i++)
        printf("signal %d value %d\n", signals[i], values[i]);
    ok("queue");
    return 0;
}
