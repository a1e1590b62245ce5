#include "conformance.h"
#include <pthread.h>

static char stack[65536];
static volatile int inside;

static void on_stack(int signal)
{
    char here;
    stack_t now;
    (void)signal;
    inside = &here >= stack && &here < stack + sizeof stack;
    CHECK_EQ(sigaltstack(NULL, &now), 0);
    CHECK_EQ(now.ss_flags, SS_ONSTACK);
    CHECK_ERRNO(sigaltstack(&now, NULL), EPERM);
    maybe_save();
    CHECK_EQ(sigaltstack(NULL, &now), 0);
    CHECK_EQ(now.ss_flags, SS_ONSTACK);
}

static int overflow(int n)
{
    volatile char big[4096];
    big[0] = (char)n;
    return n == 1 << 30 ? 0 : overflow(n + 1) + big[0];
}

static void on_overflow(int signal)
{
    (void)signal;
    maybe_save();
    _exit(17);
}

/* A thread begins without its creator's stack (sigaltstack(2), Notes). */
static void *in_thread(void *unused)
{
    stack_t now;
    CHECK_EQ(sigaltstack(NULL, &now), 0);
    CHECK_EQ(now.ss_flags, SS_DISABLE);
    maybe_save();
    CHECK_EQ(sigaltstack(NULL, &now), 0);
    CHECK_EQ(now.ss_flags, SS_DISABLE);
    return unused;
}

int main(void)
{
    stack_t s = {.ss_sp = stack, .ss_size = sizeof stack}, was;
    CHECK_EQ(sigaltstack(&s, NULL), 0);
    maybe_save();
    CHECK_EQ(sigaltstack(NULL, &was), 0);
    CHECK(was.ss_sp == stack);
    CHECK_EQ(was.ss_flags, 0);
    struct sigaction a = {.sa_handler = on_stack, .sa_flags = SA_ONSTACK};
    CHECK_EQ(sigaction(SIGUSR1, &a, NULL), 0);
    raise(SIGUSR1);
    CHECK_EQ(inside, 1);
    a.sa_flags = 0;
    a.sa_handler = SIG_IGN;
    CHECK_EQ(sigaction(SIGUSR1, &a, NULL), 0);
    ok("alternate stack");

    pthread_t thread;
    CHECK_EQ(pthread_create(&thread, NULL, in_thread, NULL), 0);
    CHECK_EQ(pthread_join(thread, NULL), 0);
    pid_t copy = fork_checked();
    if (copy == 0) {
        CHECK_EQ(sigaltstack(NULL, &was), 0);
        _exit(was.ss_sp == stack && was.ss_flags == 0 ? 0 : 1);
    }
    int left;
    CHECK_EQ(waitpid(copy, &left, 0), copy);
    CHECK_EQ(left, 0);
    ok("threads have none, a copy has it");

    pid_t pid = fork_checked();
    if (pid == 0) {
        a = (struct sigaction){.sa_handler = on_overflow, .sa_flags = SA_ONSTACK};
        CHECK_EQ(sigaction(SIGSEGV, &a, NULL), 0);
        _exit(overflow(0) & 1);
    }
    int status;
    CHECK_EQ(waitpid(pid, &status, 0), pid);
    CHECK(WIFEXITED(status));
    CHECK_EQ(WEXITSTATUS(status), 17);
    ok("stack overflow");
    return 0;
}
