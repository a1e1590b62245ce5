#include "conformance.h"
#include <sys/epoll.h>
#include <sys/eventfd.h>

int main(void)
{
    struct epoll_event e = {.events = EPOLLIN, .data.u32 = 1}, got[4];
    int ep = epoll_create1(EPOLL_CLOEXEC), ev = eventfd(0, EFD_NONBLOCK), p[2];
    uint64_t one = 1;
    CHECK(ep >= 0);
    CHECK_EQ(epoll_ctl(ep, EPOLL_CTL_ADD, ev, &e), 0);
    CHECK_ERRNO(epoll_ctl(ep, EPOLL_CTL_ADD, ev, &e), EEXIST);
    CHECK_ERRNO(epoll_ctl(ep, EPOLL_CTL_DEL, 0x7fff, &e), EBADF);
    CHECK_ERRNO(epoll_ctl(ep, EPOLL_CTL_ADD, ep, &e), EINVAL);
    CHECK_EQ(epoll_wait(ep, got, 4, 0), 0);
    CHECK_EQ(write(ev, &one, 8), 8);
    maybe_save();
    CHECK_EQ(epoll_wait(ep, got, 4, 0), 1);
    CHECK_EQ(got[0].data.u32, 1);
    CHECK_EQ(got[0].events, EPOLLIN);
    CHECK_EQ(epoll_wait(ep, got, 4, 0), 1);
    ok("level");

    e.events = EPOLLIN | EPOLLET;
    e.data.u32 = 2;
    CHECK_EQ(epoll_ctl(ep, EPOLL_CTL_MOD, ev, &e), 0);
    CHECK_EQ(epoll_wait(ep, got, 4, 0), 1);
    CHECK_EQ(got[0].data.u32, 2);
    CHECK_EQ(epoll_wait(ep, got, 4, 0), 0);
    maybe_save();
    CHECK_EQ(epoll_wait(ep, got, 4, 0), 0);
    CHECK_EQ(write(ev, &one, 8), 8);
    CHECK_EQ(epoll_wait(ep, got, 4, 0), 1);
    CHECK_EQ(epoll_wait(ep, got, 4, 0), 0);
    ok("edge");

    e.events = EPOLLIN | EPOLLONESHOT;
    e.data.u32 = 3;
    CHECK_EQ(epoll_ctl(ep, EPOLL_CTL_MOD, ev, &e), 0);
    CHECK_EQ(epoll_wait(ep, got, 4, 0), 1);
    maybe_save();
    CHECK_EQ(epoll_wait(ep, got, 4, 0), 0);
    CHECK_EQ(write(ev, &one, 8), 8);
    CHECK_EQ(epoll_wait(ep, got, 4, 0), 0);
    CHECK_EQ(epoll_ctl(ep, EPOLL_CTL_MOD, ev, &e), 0);
    CHECK_EQ(epoll_wait(ep, got, 4, 0), 1);
    ok("one shot");

    CHECK_EQ(pipe(p), 0);
    int outer = epoll_create1(0);
    e.events = EPOLLIN;
    e.data.u32 = 4;
    CHECK_EQ(epoll_ctl(outer, EPOLL_CTL_ADD, ep, &e), 0);
    CHECK_EQ(epoll_wait(outer, got, 4, 0), 0);
    CHECK_EQ(epoll_ctl(ep, EPOLL_CTL_DEL, ev, NULL), 0);
    CHECK_EQ(epoll_ctl(ep, EPOLL_CTL_ADD, p[0], &e), 0);
    maybe_save();
    CHECK_EQ(write(p[1], "x", 1), 1);
    CHECK_EQ(epoll_wait(outer, got, 4, -1), 1);
    CHECK_EQ(got[0].data.u32, 4);
    CHECK_EQ(close(p[1]), 0);
    CHECK_EQ(epoll_wait(ep, got, 4, -1), 1);
    CHECK_EQ(got[0].events, EPOLLIN | EPOLLHUP);
    int copy = dup(p[0]);
    CHECK_EQ(close(p[0]), 0);
    CHECK_EQ(epoll_wait(ep, got, 4, 0), 1);
    CHECK_EQ(close(copy), 0);
    maybe_save();
    CHECK_EQ(epoll_wait(ep, got, 4, 0), 0);
    enter_scratch();
    int file = open("f", O_CREAT | O_RDWR, 0600);
    CHECK_ERRNO(epoll_ctl(ep, EPOLL_CTL_ADD, file, &e), EPERM);
    CHECK_EQ(unlink("f"), 0);
    leave_scratch();
    ok("nested and closed");
    return 0;
}
