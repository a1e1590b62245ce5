#include "conformance.h"
#include <poll.h>
#include <sys/inotify.h>

static int inotify;
static char events[4096];
static ssize_t have, at;

static struct inotify_event *next_event(void)
{
    if (at >= have) {
        have = read(inotify, events, sizeof events);
        CHECK(have > 0);
        at = 0;
    }
    struct inotify_event *e = (struct inotify_event *)(events + at);
    at += (ssize_t)(sizeof *e + e->len);
    return e;
}

static void expect(int wd, uint32_t mask, const char *name)
{
    struct inotify_event *e = next_event();
    CHECK_EQ(e->wd, wd);
    CHECK_EQ(e->mask, mask);
    CHECK(strcmp(e->len > 0 ? e->name : "", name) == 0);
}

static void expect_nothing(void)
{
    struct pollfd p = {inotify, POLLIN, 0};
    CHECK_EQ(at, have);
    CHECK_EQ(poll(&p, 1, 0), 0);
}

static void watches(void)
{
    inotify = inotify_init1(IN_CLOEXEC);
    CHECK(inotify >= 0);
    write_file("old", "x");
    int directory = inotify_add_watch(inotify, ".", IN_ALL_EVENTS & ~(IN_ACCESS | IN_OPEN | IN_CLOSE_NOWRITE | IN_ATTRIB));
    CHECK(directory > 0);
    int file = inotify_add_watch(inotify, "old", IN_ALL_EVENTS & ~IN_OPEN);
    CHECK_EQ(file, directory + 1);
    CHECK_ERRNO(inotify_add_watch(inotify, "old", IN_MASK_CREATE | IN_MODIFY), EEXIST);
    maybe_save();
    write_file("new", "text");
    expect(directory, IN_CREATE, "new");
    expect(directory, IN_MODIFY, "new");
    expect(directory, IN_CLOSE_WRITE, "new");
    CHECK_EQ(mkdir("folder", 0700), 0);
    expect(directory, IN_CREATE | IN_ISDIR, "folder");
    expect_nothing();
    ok("creation");

    CHECK_EQ(rename("new", "newer"), 0);
    maybe_save();
    struct inotify_event *e = next_event();
    CHECK_EQ(e->mask, IN_MOVED_FROM);
    uint32_t cookie = e->cookie;
    CHECK(cookie != 0);
    e = next_event();
    CHECK_EQ(e->mask, IN_MOVED_TO);
    CHECK_EQ(e->cookie, cookie);
    CHECK(strcmp(e->name, "newer") == 0);
    ok("renames");

    check_file("old", "x");
    expect(file, IN_ACCESS, "");
    expect(file, IN_CLOSE_NOWRITE, "");
    CHECK_EQ(chmod("old", 0600), 0);
    expect(file, IN_ATTRIB, "");
    CHECK_EQ(unlink("old"), 0);
    expect(file, IN_ATTRIB, "");
    expect(file, IN_DELETE_SELF, "");
    expect(file, IN_IGNORED, "");
    expect(directory, IN_DELETE, "old");
    CHECK_ERRNO(inotify_rm_watch(inotify, file), EINVAL);
    maybe_save();
    CHECK_EQ(inotify_rm_watch(inotify, directory), 0);
    expect(directory, IN_IGNORED, "");
    expect_nothing();
    CHECK_EQ(unlink("newer"), 0);
    CHECK_EQ(rmdir("folder"), 0);
    CHECK_EQ(close(inotify), 0);
    ok("deletion");
}

static void directory_notify(void)
{
    sigset_t set;
    siginfo_t info;
    int fd = open(".", O_RDONLY | O_DIRECTORY);
    CHECK(fd >= 0);
    sigemptyset(&set);
    sigaddset(&set, SIGRTMIN + 1);
    CHECK_EQ(sigprocmask(SIG_BLOCK, &set, NULL), 0);
    CHECK_EQ(fcntl(fd, F_SETSIG, SIGRTMIN + 1), 0);
    CHECK_EQ(fcntl(fd, F_NOTIFY, DN_CREATE), 0);
    maybe_save();
    write_file("noticed", "x");
    CHECK_EQ(sigwaitinfo(&set, &info), SIGRTMIN + 1);
    CHECK_EQ(info.si_fd, fd);
    CHECK_EQ(unlink("noticed"), 0);
    CHECK_EQ(close(fd), 0);
    ok("dnotify");
}

static void async_input(void)
{
    sigset_t set;
    siginfo_t info;
    int fds[2];
    CHECK_EQ(pipe(fds), 0);
    sigemptyset(&set);
    sigaddset(&set, SIGIO);
    CHECK_EQ(sigprocmask(SIG_BLOCK, &set, NULL), 0);
    CHECK_EQ(fcntl(fds[0], F_SETOWN, getpid()), 0);
    CHECK_EQ(fcntl(fds[0], F_GETOWN), getpid());
    CHECK_EQ(fcntl(fds[0], F_SETFL, O_ASYNC), 0);
    maybe_save();
    CHECK_EQ(write(fds[1], "x", 1), 1);
    CHECK_EQ(sigwaitinfo(&set, &info), SIGIO);
    CHECK_EQ(close(fds[0]), 0);
    CHECK_EQ(close(fds[1]), 0);
    ok("async");
}

static void leases(void)
{
    sigset_t set;
    write_file("leased", "x");
    int fd = open("leased", O_RDONLY);
    CHECK(fd >= 0);
    sigemptyset(&set);
    sigaddset(&set, SIGIO);
    CHECK_EQ(sigprocmask(SIG_BLOCK, &set, NULL), 0);
    CHECK_EQ(fcntl(fd, F_SETLEASE, F_RDLCK), 0);
    CHECK_EQ(fcntl(fd, F_GETLEASE), F_RDLCK);
    CHECK_ERRNO(open("leased", O_WRONLY | O_NONBLOCK), EWOULDBLOCK);
    pid_t pid = fork_checked();
    if (pid == 0) {
        int other = open("leased", O_WRONLY);
        CHECK(other >= 0);
        _exit(0);
    }
    CHECK_EQ(sigwaitinfo(&set, NULL), SIGIO);
    sleep_ms(30);
    maybe_save();
    CHECK_EQ(fcntl(fd, F_SETLEASE, F_UNLCK), 0);
    reap(pid);
    CHECK_EQ(fcntl(fd, F_GETLEASE), F_UNLCK);
    CHECK_EQ(close(fd), 0);
    CHECK_EQ(unlink("leased"), 0);
    ok("leases");
}

int main(void)
{
    enter_scratch();
    watches();
    directory_notify();
    async_input();
    leases();
    leave_scratch();
    return 0;
}
