#include "conformance.h"
#include <sys/resource.h>

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

    struct rusage u;
    CHECK_EQ(getrusage(RUSAGE_SELF, &u), 0);
    CHECK_EQ(getpriority(PRIO_PROCESS, 0), 0);
    CHECK_EQ(setpriority(PRIO_PROCESS, 0, 5), 0);
    maybe_save();
    CHECK_EQ(getpriority(PRIO_PROCESS, 0), 5);
    ok("priority");
    return 0;
}
