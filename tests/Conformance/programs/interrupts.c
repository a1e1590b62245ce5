// What signals do to calls that wait: SA_RESTART, EINTR, partial results.
#include "conformance.h"
#include <poll.h>

static volatile int caught;

static void handle(int signal)
{
    (void)signal;
    caught++;
}

static void install(int flags)
{
    struct sigaction a = {.sa_handler = handle, .sa_flags = flags};
    CHECK_EQ(sigaction(SIGUSR1, &a, NULL), 0);
    caught = 0;
}

// Sends a signal to the parent while it waits, then writes to the pipe.
static pid_t helper(int fd, int saves)
{
    pid_t parent = getpid(), pid = fork_checked();
    if (pid != 0)
        return pid;
    sleep_ms(40);
    if (saves)
        maybe_save();
    CHECK_EQ(kill(parent, SIGUSR1), 0);
    sleep_ms(40);
    if (saves)
        maybe_save();
    if (fd >= 0)
        CHECK_EQ(write(fd, "x", 1), 1);
    _exit(0);
}

int main(void)
{
    int p[2], status;
    char c;
    CHECK_EQ(pipe(p), 0);
    for (int saves = 0; saves < 2; saves++) {
        install(SA_RESTART);
        pid_t pid = helper(p[1], saves);
        CHECK_EQ(read(p[0], &c, 1), 1);
        CHECK_EQ(caught, 1);
        reap(pid);

        install(0);
        pid = helper(p[1], saves);
        CHECK_ERRNO(read(p[0], &c, 1), EINTR);
        CHECK_EQ(caught, 1);
        CHECK_EQ(read(p[0], &c, 1), 1);
        reap(pid);

        install(SA_RESTART);
        struct pollfd f = {p[0], POLLIN, 0};
        pid = helper(p[1], saves);
        CHECK_ERRNO(poll(&f, 1, -1), EINTR);
        CHECK_EQ(read(p[0], &c, 1), 1);
        reap(pid);

        pid = helper(-1, saves);
        struct timespec t = {10, 0}, left;
        CHECK_ERRNO(nanosleep(&t, &left), EINTR);
        CHECK(left.tv_sec == 9);
        reap(pid);

        pid = helper(-1, saves);
        CHECK_EQ(waitpid(pid, &status, 0), pid);
        CHECK_EQ(WEXITSTATUS(status), 0);

        install(0);
        pid = helper(-1, saves);
        CHECK_ERRNO(waitpid(pid, &status, 0), EINTR);
        CHECK_EQ(waitpid(pid, &status, 0), pid);

        pid = helper(-1, saves);
        CHECK_ERRNO(pause(), EINTR);
        reap(pid);
        ok(saves ? "with a save" : "plain");
    }

    signal(SIGUSR1, SIG_IGN);
    pid_t pid = helper(p[1], 1);
    CHECK_EQ(read(p[0], &c, 1), 1);
    reap(pid);
    ok("ignored");

    install(0);
    static char big[200000];
    pid = fork_checked();
    if (pid == 0) {
        sleep_ms(40);
        maybe_save();
        CHECK_EQ(kill(getppid(), SIGUSR1), 0);
        sleep_ms(40);
        close(p[1]);
        while (read(p[0], big, sizeof big) > 0)
            ;
        _exit(0);
    }
    ssize_t n = write(p[1], big, sizeof big);
    CHECK_EQ(n, 65536);
    CHECK_EQ(caught, 1);
    CHECK_EQ(close(p[1]), 0);
    reap(pid);
    ok("partial write");
    return 0;
}
