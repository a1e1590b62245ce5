#include "conformance.h"
#include <sys/prctl.h>

static volatile sig_atomic_t hung_up, over;

static void on_hup(int number)
{
    (void)number;
    hung_up++;
}

static void on_end(int number)
{
    (void)number;
    over = 1;
}

// A process group of two, made by a member that ends when told to: that one is the only tie to the rest of its session.
struct group {
    pid_t leader, members[2];
    int go, end;
};

static void make_group(struct group *made)
{
    int ready[2], go[2], end[2];
    char c;
    CHECK_EQ(pipe(ready), 0);
    CHECK_EQ(pipe(go), 0);
    CHECK_EQ(pipe(end), 0);
    made->leader = fork_checked();
    if (made->leader == 0) {
        CHECK(setsid() > 0);
        pid_t first = fork_checked();
        if (first == 0) {
            CHECK_EQ(setpgid(0, 0), 0);
            for (int i = 0; i < 2; i++) {
                pid_t member = fork_checked();
                if (member == 0 && i == 0) {
                    while (!over)
                        sleep_ms(2);
                    _exit(hung_up);
                }
                if (member == 0) {
                    CHECK_EQ(read(end[0], &c, 1), 1);
                    _exit(20);
                }
                CHECK_EQ(write(ready[1], &member, sizeof member), sizeof member);
            }
            CHECK_EQ(read(go[0], &c, 1), 1);
            _exit(0);
        }
        reap(first);
        for (;;)
            pause();
    }
    for (int i = 0; i < 2; i++)
        CHECK_EQ(read(ready[0], made->members + i, sizeof(pid_t)), sizeof(pid_t));
    made->go = go[1];
    made->end = end[1];
}

// The group's first member ends, and the others become ours.
static void orphan(struct group *group)
{
    CHECK_EQ(write(group->go, "g", 1), 1);
    for (int i = 0; i < 2; i++)
        while (waitpid(group->members[i], NULL, WNOHANG) < 0)
            sleep_ms(2);
}

static void end_group(struct group *group, int hang_ups)
{
    int status;
    maybe_save();
    CHECK_EQ(kill(group->members[0], SIGCONT), 0);
    CHECK_EQ(kill(group->members[0], SIGTERM), 0);
    CHECK_EQ(waitpid(group->members[0], &status, 0), group->members[0]);
    CHECK_EQ(WEXITSTATUS(status), hang_ups);
    CHECK_EQ(kill(group->leader, SIGKILL), 0);
    CHECK_EQ(waitpid(group->leader, &status, 0), group->leader);
}

static int is_stopped(pid_t pid)
{
    char path[64], text[256] = "";
    snprintf(path, sizeof path, "/proc/%d/stat", pid);
    int fd = open(path, O_RDONLY);
    CHECK(fd >= 0 && read(fd, text, sizeof text - 1) > 0);
    CHECK_EQ(close(fd), 0);
    return strstr(text, ") T ") != NULL;
}

// A stopped member of a process group hears of the moment in which nobody is left who could continue it, and of nothing after it (setpgid(2)).
static void hang_ups(void)
{
    int status;
    struct group group;
    signal(SIGHUP, on_hup);
    signal(SIGTERM, on_end);
    make_group(&group);
    CHECK_EQ(kill(group.members[0], SIGSTOP), 0);
    while (!is_stopped(group.members[0]))
        sleep_ms(2);
    maybe_save();
    orphan(&group);
    CHECK_EQ(write(group.end, "e", 1), 1);
    CHECK_EQ(waitpid(group.members[1], &status, 0), group.members[1]);
    end_group(&group, 1);

    make_group(&group);
    orphan(&group);
    CHECK_EQ(kill(group.members[0], SIGSTOP), 0);
    CHECK_EQ(waitpid(group.members[0], &status, WUNTRACED), group.members[0]);
    CHECK(WIFSTOPPED(status));
    maybe_save();
    CHECK_EQ(write(group.end, "e", 1), 1);
    CHECK_EQ(waitpid(group.members[1], &status, 0), group.members[1]);
    CHECK_EQ(WEXITSTATUS(status), 20);
    CHECK_EQ(waitpid(group.members[0], &status, WNOHANG | WCONTINUED), 0);
    end_group(&group, 0);
    ok("hang-ups");
}

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

    hang_ups();
    return 0;
}
