#include "conformance.h"
#include <poll.h>
#include <sys/eventfd.h>

int main(void)
{
    uint64_t v = 5;
    int e = eventfd(3, EFD_NONBLOCK);
    CHECK(e >= 0);
    CHECK_EQ(write(e, &v, 8), 8);
    maybe_save();
    CHECK_EQ(read(e, &v, 8), 8);
    CHECK_EQ(v, 8);
    CHECK_ERRNO(read(e, &v, 8), EAGAIN);
    CHECK_ERRNO(read(e, &v, 4), EINVAL);
    v = UINT64_MAX;
    CHECK_ERRNO(write(e, &v, 8), EINVAL);
    v = UINT64_MAX - 1;
    CHECK_EQ(write(e, &v, 8), 8);
    v = 1;
    CHECK_ERRNO(write(e, &v, 8), EAGAIN);
    struct pollfd f = {e, POLLIN | POLLOUT, 0};
    CHECK_EQ(poll(&f, 1, 0), 1);
    CHECK_EQ(f.revents, POLLIN);
    ok("counter");

    int s = eventfd(2, EFD_SEMAPHORE | EFD_NONBLOCK);
    CHECK_EQ(read(s, &v, 8), 8);
    CHECK_EQ(v, 1);
    maybe_save();
    CHECK_EQ(read(s, &v, 8), 8);
    CHECK_ERRNO(read(s, &v, 8), EAGAIN);
    ok("semaphore");

    int b = eventfd(0, 0);
    pid_t pid = fork_checked();
    if (pid == 0) {
        sleep_ms(50);
        maybe_save();
        v = 42;
        CHECK_EQ(write(b, &v, 8), 8);
        _exit(0);
    }
    CHECK_EQ(read(b, &v, 8), 8);
    CHECK_EQ(v, 42);
    reap(pid);
    ok("blocked");
    return 0;
}
