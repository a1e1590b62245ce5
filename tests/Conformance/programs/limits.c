#include "conformance.h"
#include <sys/resource.h>

static volatile sig_atomic_t seen;

static void on_cpu(int number)
{
    (void)number;
    seen++;
}

int main(void)
{
    struct rlimit l = {20, 30}, now;
    CHECK_EQ(setrlimit(RLIMIT_NOFILE, &l), 0);
    maybe_save();
    CHECK_EQ(getrlimit(RLIMIT_NOFILE, &now), 0);
    CHECK_EQ(now.rlim_cur, 20);
    CHECK_EQ(now.rlim_max, 30);
    int fd, last = -1;
    while ((fd = open("/dev/null", O_RDONLY)) >= 0)
        last = fd;
    CHECK_EQ(errno, EMFILE);
    CHECK_EQ(last, 19);
    CHECK_ERRNO(dup2(last, 20), EBADF);
    CHECK_ERRNO(fcntl(last, F_DUPFD, 20), EINVAL);
    l.rlim_cur = 40;
    CHECK_ERRNO(setrlimit(RLIMIT_NOFILE, &l), EINVAL);
    pid_t pid = fork_checked();
    if (pid == 0) {
        CHECK_EQ(getrlimit(RLIMIT_NOFILE, &now), 0);
        _exit(now.rlim_cur == 20 ? 0 : 1);
    }
    reap(pid);
    ok("open files");

    pid = fork_checked();
    if (pid == 0) {
        // RLIMIT_CPU: SIGXCPU at each second from the soft limit on, SIGKILL at the hard one.
        struct sigaction action = {.sa_handler = on_cpu};
        CHECK_EQ(sigaction(SIGXCPU, &action, NULL), 0);
        l = (struct rlimit){1, 3};
        CHECK_EQ(setrlimit(RLIMIT_CPU, &l), 0);
        maybe_save();
        while (seen < 2)
            ;
        CHECK_EQ(getrlimit(RLIMIT_CPU, &now), 0);
        CHECK_EQ(now.rlim_cur, 3);
        maybe_save();
        for (;;)
            ;
    }
    int status;
    CHECK_EQ(waitpid(pid, &status, 0), pid);
    CHECK(WIFSIGNALED(status));
    CHECK_EQ(WTERMSIG(status), SIGKILL);
    ok("processor time");

    struct rusage u;
    CHECK_EQ(getrusage(RUSAGE_SELF, &u), 0);
    CHECK_EQ(getpriority(PRIO_PROCESS, 0), 0);
    CHECK_EQ(setpriority(PRIO_PROCESS, 0, 5), 0);
    maybe_save();
    CHECK_EQ(getpriority(PRIO_PROCESS, 0), 5);
    ok("priority");
    return 0;
}
