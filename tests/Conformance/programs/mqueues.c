#include "conformance.h"
#include <mqueue.h>
#include <poll.h>

int main(void)
{
    // A queue of its own: the tests run side by side.
    char name[32];
    snprintf(name, sizeof name, "/conformance-%d", getpid());
    char buffer[64];
    unsigned priority;
    struct mq_attr attributes = {.mq_maxmsg = 3, .mq_msgsize = 64};
    mq_unlink(name);
    CHECK_ERRNO(mq_open(name, O_RDWR), ENOENT);
    mqd_t q = mq_open(name, O_RDWR | O_CREAT | O_EXCL, 0600, &attributes);
    CHECK(q >= 0);
    CHECK_ERRNO(mq_open(name, O_RDWR | O_CREAT | O_EXCL, 0600, &attributes), EEXIST);
    CHECK_EQ(mq_send(q, "low", 4, 1), 0);
    CHECK_EQ(mq_send(q, "high", 5, 9), 0);
    CHECK_EQ(mq_send(q, "low too", 8, 1), 0);
    struct timespec past = {1, 0};
    CHECK_ERRNO(mq_timedsend(q, "x", 2, 0, &past), ETIMEDOUT);
    maybe_save();
    CHECK_EQ(mq_getattr(q, &attributes), 0);
    CHECK_EQ(attributes.mq_curmsgs, 3);
    CHECK_ERRNO(mq_receive(q, buffer, 10, &priority), EMSGSIZE);
    CHECK_EQ(mq_receive(q, buffer, 64, &priority), 5);
    CHECK_EQ(priority, 9);
    CHECK_EQ(mq_receive(q, buffer, 64, &priority), 4);
    CHECK_EQ(mq_receive(q, buffer, 64, &priority), 8);
    CHECK(strcmp(buffer, "low too") == 0);
    struct pollfd p = {q, POLLIN | POLLOUT, 0};
    CHECK_EQ(poll(&p, 1, 0), 1);
    CHECK_EQ(p.revents, POLLOUT);
    ok("priorities");

    pid_t pid = fork_checked();
    if (pid == 0) {
        sleep_ms(50);
        maybe_save();
        CHECK_EQ(mq_send(q, "late", 5, 0), 0);
        _exit(0);
    }
    CHECK_EQ(mq_receive(q, buffer, 64, NULL), 5);
    reap(pid);
    ok("blocked");

    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGUSR1);
    sigprocmask(SIG_BLOCK, &set, NULL);
    struct sigevent event = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGUSR1, .sigev_value.sival_int = 77};
    CHECK_EQ(mq_notify(q, &event), 0);
    CHECK_ERRNO(mq_notify(q, &event), EBUSY);
    maybe_save();
    CHECK_EQ(mq_send(q, "news", 5, 0), 0);
    siginfo_t info;
    CHECK_EQ(sigwaitinfo(&set, &info), SIGUSR1);
    CHECK_EQ(info.si_code, SI_MESGQ);
    CHECK_EQ(info.si_value.sival_int, 77);
    CHECK_EQ(mq_unlink(name), 0);
    maybe_save();
    CHECK_EQ(mq_receive(q, buffer, 64, NULL), 5);
    CHECK_EQ(mq_close(q), 0);
    ok("notification");
    return 0;
}
