// poll, select and epoll_wait wait across a save, with and without a deadline.
#include "conformance.h"
#include <poll.h>
#include <sys/epoll.h>
#include <sys/select.h>

static pid_t writer(int fd)
{
    pid_t pid = fork_checked();
    if (pid != 0)
        return pid;
    sleep_ms(50);
    maybe_save();
    sleep_ms(20);
    CHECK_EQ(write(fd, "x", 1), 1);
    _exit(0);
}

static pid_t saver(void)
{
    pid_t pid = fork_checked();
    if (pid != 0)
        return pid;
    sleep_ms(30);
    maybe_save();
    _exit(0);
}

int main(void)
{
    int p[2];
    char c;
    CHECK_EQ(pipe(p), 0);
    struct pollfd f = {p[0], POLLIN, 0};
    pid_t pid = writer(p[1]);
    CHECK_EQ(poll(&f, 1, -1), 1);
    CHECK_EQ(read(p[0], &c, 1), 1);
    reap(pid);
    pid = saver();
    int64_t start = now_ns();
    CHECK_EQ(poll(&f, 1, 150), 0);
    CHECK(now_ns() - start >= 150000000);
    reap(pid);
    ok("poll");

    fd_set r;
    FD_ZERO(&r);
    FD_SET(p[0], &r);
    pid = writer(p[1]);
    CHECK_EQ(select(p[0] + 1, &r, NULL, NULL, NULL), 1);
    CHECK(FD_ISSET(p[0], &r));
    CHECK_EQ(read(p[0], &c, 1), 1);
    reap(pid);
    ok("select");

    int e = epoll_create1(0);
    struct epoll_event event = {.events = EPOLLIN, .data.u64 = 0x1234567890};
    CHECK_EQ(epoll_ctl(e, EPOLL_CTL_ADD, p[0], &event), 0);
    pid = writer(p[1]);
    memset(&event, 0, sizeof event);
    CHECK_EQ(epoll_wait(e, &event, 1, -1), 1);
    CHECK_EQ(event.data.u64, 0x1234567890);
    CHECK_EQ(read(p[0], &c, 1), 1);
    reap(pid);
    pid = saver();
    start = now_ns();
    CHECK_EQ(epoll_wait(e, &event, 1, 120), 0);
    CHECK(now_ns() - start >= 120000000);
    reap(pid);
    ok("epoll");
    return 0;
}
