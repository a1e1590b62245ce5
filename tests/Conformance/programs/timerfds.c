#include "conformance.h"
#include <poll.h>
#include <sys/timerfd.h>

int main(void)
{
    uint64_t n;
    int t = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK);
    CHECK(t >= 0);
    CHECK_ERRNO(read(t, &n, 8), EAGAIN);
    struct itimerspec when = {{0, 0}, {0, 80000000}}, left;
    int64_t start = now_ns();
    CHECK_EQ(timerfd_settime(t, 0, &when, NULL), 0);
    CHECK_EQ(timerfd_gettime(t, &left), 0);
    CHECK(left.it_value.tv_nsec > 0 && left.it_value.tv_nsec <= 80000000);
    maybe_save();
    struct pollfd f = {t, POLLIN, 0};
    CHECK_EQ(poll(&f, 1, -1), 1);
    CHECK(now_ns() - start >= 80000000);
    CHECK_EQ(read(t, &n, 8), 8);
    CHECK_EQ(n, 1);
    CHECK_EQ(timerfd_gettime(t, &left), 0);
    CHECK_EQ(left.it_value.tv_nsec, 0);
    ok("one shot");

    int p = timerfd_create(CLOCK_MONOTONIC, 0);
    when = (struct itimerspec){{0, 20000000}, {0, 20000000}};
    CHECK_EQ(timerfd_settime(p, 0, &when, NULL), 0);
    CHECK_EQ(read(p, &n, 8), 8);
    CHECK(n >= 1);
    sleep_ms(70);
    maybe_save();
    CHECK_EQ(read(p, &n, 8), 8);
    CHECK(n >= 3);
    CHECK_EQ(read(p, &n, 8), 8);
    CHECK(n >= 1);
    CHECK_EQ(timerfd_gettime(p, &left), 0);
    CHECK_EQ(left.it_interval.tv_nsec, 20000000);
    when = (struct itimerspec){{0, 0}, {0, 0}};
    CHECK_EQ(timerfd_settime(p, 0, &when, NULL), 0);
    ok("periodic");

    struct timespec now;
    CHECK_EQ(clock_gettime(CLOCK_REALTIME, &now), 0);
    int r = timerfd_create(CLOCK_REALTIME, 0);
    when = (struct itimerspec){{0, 0}, {now.tv_sec, now.tv_nsec}};
    when.it_value.tv_nsec += 30000000;
    if (when.it_value.tv_nsec >= 1000000000) {
        when.it_value.tv_nsec -= 1000000000;
        when.it_value.tv_sec++;
    }
    CHECK_EQ(timerfd_settime(r, TFD_TIMER_ABSTIME, &when, NULL), 0);
    maybe_save();
    CHECK_EQ(read(r, &n, 8), 8);
    CHECK_EQ(n, 1);
    ok("absolute");

    // Hundreds of timers with a period that no kernel can keep to: what is counted is not lost, and everyone else goes on.
    enum { Many = 400 };
    int flood[Many];
    when = (struct itimerspec){{0, 1000}, {0, 1000}};
    for (int i = 0; i < Many; i++) {
        flood[i] = timerfd_create(CLOCK_MONOTONIC, 0);
        CHECK(flood[i] >= 0);
        CHECK_EQ(timerfd_settime(flood[i], 0, &when, NULL), 0);
    }
    sleep_ms(20);
    maybe_save();
    for (int i = 0; i < Many; i++) {
        CHECK_EQ(read(flood[i], &n, 8), 8);
        CHECK(n >= 10000);
        CHECK_EQ(close(flood[i]), 0);
    }
    ok("a flood");
    return 0;
}
