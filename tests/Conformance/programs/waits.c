// wait4 blocked across a save; stopped and continued children.
#include "conformance.h"

int main(void)
{
    int status;
    pid_t pid = fork_checked();
    if (pid == 0) {
        sleep_ms(50);
        maybe_save();
        sleep_ms(10);
        _exit(21);
    }
    CHECK_EQ(waitpid(pid, &status, 0), pid);
    CHECK_EQ(WEXITSTATUS(status), 21);
    ok("blocked");

    pid = fork_checked();
    if (pid == 0) {
        raise(SIGSTOP);
        maybe_save();
        raise(SIGSTOP);
        _exit(0);
    }
    CHECK_EQ(waitpid(pid, &status, WUNTRACED), pid);
    CHECK(WIFSTOPPED(status));
    CHECK_EQ(WSTOPSIG(status), SIGSTOP);
    maybe_save();
    CHECK_EQ(kill(pid, SIGCONT), 0);
    CHECK_EQ(waitpid(pid, &status, WCONTINUED | WUNTRACED), pid); // it may have stopped again already, and that ends what WCONTINUED sees
    if (WIFCONTINUED(status)) {
        CHECK_EQ(waitpid(pid, &status, WUNTRACED), pid);
    }
    CHECK(WIFSTOPPED(status));
    CHECK_EQ(kill(pid, SIGCONT), 0);
    CHECK_EQ(waitpid(pid, &status, 0), pid);
    CHECK(WIFEXITED(status));
    ok("stopped");

    signal(SIGCHLD, SIG_IGN);
    pid = fork_checked();
    if (pid == 0) {
        maybe_save();
        _exit(1);
    }
    CHECK_ERRNO(waitpid(pid, &status, 0), ECHILD);
    ok("ignored");
    return 0;
}
