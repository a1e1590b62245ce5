#include "conformance.h"

static int global = 1;

int main(void)
{
    int local = 10, status, p[2];
    int *heap = malloc(sizeof *heap);
    *heap = 100;
    CHECK_EQ(pipe(p), 0);
    pid_t parent = getpid(), pid = fork_checked();
    if (pid == 0) {
        CHECK_EQ(getppid(), parent);
        CHECK(getpid() != parent);
        global++;
        local++;
        (*heap)++;
        maybe_save();
        CHECK_EQ(global + local + *heap, 114);
        CHECK_EQ(write(p[1], &global, sizeof global), sizeof global);
        _exit(7);
    }
    int theirs;
    CHECK_EQ(read(p[0], &theirs, sizeof theirs), sizeof theirs);
    CHECK_EQ(theirs, 2);
    maybe_save();
    CHECK_EQ(global + local + *heap, 111);
    CHECK_EQ(waitpid(pid, &status, 0), pid);
    CHECK(WIFEXITED(status));
    CHECK_EQ(WEXITSTATUS(status), 7);
    CHECK_ERRNO(waitpid(pid, &status, 0), ECHILD);
    CHECK_ERRNO(wait(NULL), ECHILD);
    ok("memory and exit status");

    pid = fork_checked();
    if (pid == 0) {
        for (;;)
            pause();
    }
    CHECK_EQ(waitpid(pid, &status, WNOHANG), 0);
    maybe_save();
    CHECK_EQ(kill(pid, SIGTERM), 0);
    siginfo_t info;
    CHECK_EQ(waitid(P_PID, (id_t)pid, &info, WEXITED | WNOWAIT), 0);
    CHECK_EQ(info.si_pid, pid);
    CHECK_EQ(info.si_code, CLD_KILLED);
    CHECK_EQ(info.si_status, SIGTERM);
    maybe_save();
    CHECK_EQ(waitpid(-1, &status, 0), pid);
    CHECK(WIFSIGNALED(status));
    CHECK_EQ(WTERMSIG(status), SIGTERM);
    ok("killed");

    pid_t pids[20];
    for (int i = 0; i < 20; i++) {
        pids[i] = fork_checked();
        if (pids[i] == 0) {
            sleep_ms(i % 5);
            _exit(i);
        }
    }
    maybe_save();
    for (int i = 19; i >= 0; i--) {
        CHECK_EQ(waitpid(pids[i], &status, 0), pids[i]);
        CHECK_EQ(WEXITSTATUS(status), i);
    }
    ok("many");

    pid = fork_checked();
    if (pid == 0) {
        pid_t deeper = fork();
        if (deeper == 0) {
            maybe_save();
            _exit(5);
        }
        CHECK_EQ(waitpid(deeper, &status, 0), deeper);
        _exit(WEXITSTATUS(status) + 1);
    }
    CHECK_EQ(waitpid(pid, &status, 0), pid);
    CHECK_EQ(WEXITSTATUS(status), 6);
    ok("grandchild");
    return 0;
}
