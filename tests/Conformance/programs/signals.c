#include "conformance.h"
#include <ucontext.h>

static volatile int count, last, code, nested, depth;
static volatile pid_t sender;

static void handle(int signal, siginfo_t *info, void *context)
{
    CHECK(((ucontext_t *)context)->uc_mcontext.gregs[REG_RSP] != 0);
    count++;
    last = signal;
    code = info->si_code;
    sender = info->si_pid;
    maybe_save();
}

static void nest(int signal)
{
    depth++;
    if (signal == SIGUSR1) {
        raise(SIGUSR2);
        CHECK_EQ(nested, 0);
    } else {
        nested = depth;
    }
    depth--;
}

static void reset(int signal)
{
    last = signal;
}

int main(void)
{
    struct sigaction a = {.sa_sigaction = handle, .sa_flags = SA_SIGINFO}, was;
    CHECK_EQ(sigaction(SIGUSR1, &a, NULL), 0);
    CHECK_EQ(kill(getpid(), SIGUSR1), 0);
    CHECK_EQ(count, 1);
    CHECK_EQ(code, SI_USER);
    CHECK_EQ(sender, getpid());
    CHECK_EQ(raise(SIGUSR1), 0);
    CHECK_EQ(count, 2);
    CHECK_EQ(code, SI_TKILL);
    CHECK_EQ(sigaction(SIGUSR1, NULL, &was), 0);
    CHECK(was.sa_sigaction == handle);
    CHECK_ERRNO(sigaction(SIGKILL, &a, NULL), EINVAL);
    CHECK_ERRNO(kill(getpid(), 65), EINVAL);
    ok("handler");

    sigset_t set, old, pending;
    sigemptyset(&set);
    sigaddset(&set, SIGUSR1);
    CHECK_EQ(sigprocmask(SIG_BLOCK, &set, &old), 0);
    raise(SIGUSR1);
    raise(SIGUSR1);
    maybe_save();
    CHECK_EQ(count, 2);
    CHECK_EQ(sigpending(&pending), 0);
    CHECK_EQ(sigismember(&pending, SIGUSR1), 1);
    CHECK_ERRNO(sigsuspend(&old), EINTR);
    CHECK_EQ(count, 3);
    CHECK_EQ(sigprocmask(SIG_SETMASK, NULL, &pending), 0);
    CHECK_EQ(sigismember(&pending, SIGUSR1), 1);
    raise(SIGUSR1);
    CHECK_EQ(sigprocmask(SIG_SETMASK, &old, NULL), 0);
    CHECK_EQ(count, 4);
    ok("mask");

    a = (struct sigaction){.sa_handler = nest};
    sigaddset(&a.sa_mask, SIGUSR2);
    CHECK_EQ(sigaction(SIGUSR1, &a, NULL), 0);
    CHECK_EQ(sigaction(SIGUSR2, &a, NULL), 0);
    raise(SIGUSR1);
    CHECK_EQ(nested, 1);
    a = (struct sigaction){.sa_handler = reset, .sa_flags = (int)SA_RESETHAND};
    CHECK_EQ(sigaction(SIGUSR1, &a, NULL), 0);
    raise(SIGUSR1);
    CHECK_EQ(last, SIGUSR1);
    CHECK_EQ(sigaction(SIGUSR1, NULL, &was), 0);
    CHECK(was.sa_handler == SIG_DFL);
    ok("nesting and reset");

    siginfo_t info;
    CHECK_EQ(sigprocmask(SIG_BLOCK, &set, NULL), 0);
    pid_t parent = getpid(), pid = fork_checked();
    if (pid == 0) {
        sleep_ms(50);
        maybe_save();
        CHECK_EQ(kill(parent, SIGUSR1), 0);
        _exit(0);
    }
    CHECK_EQ(sigwaitinfo(&set, &info), SIGUSR1);
    CHECK_EQ(info.si_pid, pid);
    reap(pid);
    struct timespec ts = {0, 10000000};
    CHECK_ERRNO(sigtimedwait(&set, &info, &ts), EAGAIN);
    ok("sigwaitinfo");
    return 0;
}
