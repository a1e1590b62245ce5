#include "conformance.h"
#include <sys/prctl.h>

int main(void)
{
    int p[2], status;
    char c;
    CHECK_EQ(pipe(p), 0);
    pid_t pid = fork_checked();
    if (pid == 0) {
        CHECK_EQ(setpgid(0, 0), 0);
        CHECK_EQ(getpgrp(), getpid());
        pid_t second = fork();
        if (second == 0) {
            CHECK_EQ(getpgrp(), getppid());
            CHECK_EQ(write(p[1], "x", 1), 1);
            for (;;)
                pause();
        }
        maybe_save();
        CHECK_EQ(waitpid(second, &status, 0), second);
        _exit(1);
    }
    CHECK_EQ(read(p[0], &c, 1), 1);
    CHECK_EQ(getpgid(pid), pid);
    maybe_save();
    CHECK_EQ(kill(-pid, SIGKILL), 0);
    CHECK_EQ(waitpid(-pid, &status, 0), pid);
    CHECK(WIFSIGNALED(status));
    CHECK_EQ(WTERMSIG(status), SIGKILL);
    ok("group");

    pid = fork_checked();
    if (pid == 0) {
        pid_t session = setsid();
        CHECK_EQ(session, getpid());
        CHECK_EQ(getsid(0), session);
        CHECK_ERRNO(setsid(), EPERM);
        maybe_save();
        CHECK_EQ(getpgrp(), session);
        CHECK_ERRNO(setpgid(0, 0), EPERM);
        _exit(0);
    }
    reap(pid);
    ok("session");

    CHECK_EQ(prctl(PR_SET_CHILD_SUBREAPER, 1), 0);
    pid = fork_checked();
    if (pid == 0) {
        if (fork() == 0) {
            while (getppid() != 0) {
                sleep_ms(5);
                if (read(p[0], &c, 1) == 1)
                    break;
            }
            maybe_save();
            _exit(33);
        }
        _exit(0);
    }
    reap(pid);
    CHECK_EQ(write(p[1], "g", 1), 1);
    pid_t orphan;
    do {
        // As process 1 of a sandbox this program has also got the orphan of the killed group above.
        orphan = wait(&status);
        CHECK(orphan > 0 && orphan != pid);
    } while (WIFSIGNALED(status));
    CHECK_EQ(WEXITSTATUS(status), 33);
    ok("orphan");

    int death[2];
    CHECK_EQ(pipe(death), 0);
    pid = fork_checked();
    if (pid == 0) {
        pid_t child = fork();
        if (child == 0) {
            close(death[0]);
            CHECK_EQ(prctl(PR_SET_PDEATHSIG, SIGKILL), 0);
            CHECK_EQ(write(p[1], "r", 1), 1);
            for (;;)
                pause();
        }
        CHECK_EQ(read(p[0], &c, 1), 1);
        maybe_save();
        _exit(0);
    }
    close(death[1]);
    reap(pid);
    CHECK_EQ(read(death[0], &c, 1), 0);
    CHECK(wait(&status) > 0);
    CHECK(WIFSIGNALED(status));
    ok("death signal");
    return 0;
}
