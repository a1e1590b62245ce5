#include "conformance.h"
#include <poll.h>
#include <sys/select.h>

int main(void)
{
    int p[2];
    char c;
    CHECK_EQ(pipe(p), 0);
    struct pollfd f[3] = {{p[0], POLLIN, 0}, {p[1], POLLOUT, 0}, {-1, POLLIN, 7}};
    CHECK_EQ(poll(f, 3, 0), 1);
    CHECK_EQ(f[0].revents, 0);
    CHECK_EQ(f[1].revents, POLLOUT);
    CHECK_EQ(f[2].revents, 0);
    CHECK_EQ(write(p[1], "x", 1), 1);
    maybe_save();
    CHECK_EQ(poll(f, 2, -1), 2);
    CHECK_EQ(f[0].revents, POLLIN);
    f[2].fd = 999;
    CHECK_EQ(poll(f, 3, 0), 3);
    CHECK_EQ(f[2].revents, POLLNVAL);
    CHECK_EQ(read(p[0], &c, 1), 1);
    int64_t start = now_ns();
    CHECK_EQ(poll(f, 1, 40), 0);
    CHECK(now_ns() - start >= 40000000);
    maybe_save();
    ok("poll");

    fd_set r, w;
    FD_ZERO(&r);
    FD_ZERO(&w);
    FD_SET(p[0], &r);
    FD_SET(p[1], &w);
    struct timeval tv = {5, 0};
    CHECK_EQ(select(p[1] + 1, &r, &w, NULL, &tv), 1);
    CHECK(!FD_ISSET(p[0], &r));
    CHECK(FD_ISSET(p[1], &w));
    FD_SET(p[0], &r);
    tv = (struct timeval){0, 20000};
    start = now_ns();
    CHECK_EQ(select(p[0] + 1, &r, NULL, NULL, &tv), 0);
    CHECK(now_ns() - start >= 20000000);
    FD_SET(60, &r);
    CHECK_ERRNO(select(61, &r, NULL, NULL, NULL), EBADF);
    ok("select");

    CHECK_EQ(close(p[1]), 0);
    maybe_save();
    CHECK_EQ(poll(f, 1, -1), 1);
    CHECK_EQ(f[0].revents, POLLHUP);
    FD_ZERO(&r);
    FD_SET(p[0], &r);
    CHECK_EQ(select(p[0] + 1, &r, NULL, NULL, NULL), 1);
    struct timespec ts = {0, 1000000};
    sigset_t none;
    sigemptyset(&none);
    CHECK_EQ(ppoll(NULL, 0, &ts, &none), 0);
    ok("hang-up");
    return 0;
}
