// The signal that a child's end raises, and at whom: clone(2), CLONE_PARENT.
#include "conformance.h"
#include <sched.h>
#include <signal.h>
#include <sys/syscall.h>
#include <sys/wait.h>

static volatile sig_atomic_t got[65];

static void on_signal(int number)
{
    got[number]++;
}

static pid_t clone_with(unsigned long flags)
{
    return (pid_t)syscall(SYS_clone, flags, 0, 0, 0, 0);
}

int main(void)
{
    struct sigaction action = {.sa_handler = on_signal};
    CHECK_EQ(sigaction(SIGUSR1, &action, NULL), 0);
    CHECK_EQ(sigaction(SIGUSR2, &action, NULL), 0);
    CHECK_EQ(sigaction(SIGCHLD, &action, NULL), 0);

    pid_t child = clone_with(SIGUSR1);
    if (child == 0)
        _exit(3);
    int status;
    CHECK_ERRNO(waitpid(child, &status, 0), ECHILD);
    maybe_save();
    CHECK_ERRNO(waitpid(-1, &status, WNOHANG), ECHILD);
    siginfo_t info;
    CHECK_ERRNO(waitid(P_ALL, 0, &info, WEXITED), ECHILD);
    while (waitpid(child, &status, __WALL) != child)
        CHECK_EQ(errno, EINTR);
    CHECK_EQ(WEXITSTATUS(status), 3);
    printf("a child's own signal: USR1 %d, CHLD %d\n", got[SIGUSR1], got[SIGCHLD]);

    // A child made for one's parent raises what oneself raises, whatever was asked for.
    got[SIGUSR1] = 0;
    child = clone_with(SIGUSR1);
    if (child == 0) {
        pid_t sibling = clone_with(CLONE_PARENT | SIGUSR2);
        if (sibling == 0) {
            usleep(20000);
            _exit(5);
        }
        _exit(sibling > 0 ? 4 : 1);
    }
    int sum = 0;
    for (int i = 0; i < 2; i++) {
        maybe_save();
        pid_t one;
        while ((one = waitpid(-1, &status, __WALL)) < 0)
            CHECK_EQ(errno, EINTR);
        sum += WEXITSTATUS(status);
    }
    printf("ends %d: USR1 %d, USR2 %d, CHLD %d\n", sum, got[SIGUSR1] > 0, got[SIGUSR2], got[SIGCHLD]);

    // Who is waited for how: one without a signal is waited for with __WCLONE, and like any other once it has executed a program.
    pid_t silent = clone_with(0), plain = clone_with(SIGCHLD);
    if (silent == 0 || plain == 0)
        _exit(6);
    maybe_save();
    while ((child = waitpid(-1, &status, __WCLONE)) < 0)
        CHECK_EQ(errno, EINTR);
    CHECK_EQ(child, silent);
    CHECK_ERRNO(waitpid(plain, &status, __WCLONE), ECHILD);
    while ((child = waitpid(-1, &status, 0)) < 0)
        CHECK_EQ(errno, EINTR);
    CHECK_EQ(child, plain);
    int gate[2];
    CHECK_EQ(pipe(gate), 0);
    child = clone_with(SIGUSR2);
    if (child == 0) {
        dup2(gate[1], 1);
        execl("/bin/sh", "sh", "-c", "echo up; exec sleep 60", (char *)NULL);
        _exit(1);
    }
    char text[4];
    CHECK_EQ(read(gate[0], text, 3), 3);
    maybe_save();
    CHECK_EQ(waitpid(child, &status, WNOHANG), 0);
    CHECK_ERRNO(waitpid(child, &status, WNOHANG | __WCLONE), ECHILD);
    CHECK_EQ(kill(child, SIGKILL), 0);
    while (waitpid(child, &status, 0) != child)
        CHECK_EQ(errno, EINTR);
    printf("waited for by their signals\n");
    return 0;
}
