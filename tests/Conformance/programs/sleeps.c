#include "conformance.h"

static pid_t saver(int ms)
{
    pid_t pid = fork_checked();
    if (pid != 0)
        return pid;
    sleep_ms(ms);
    maybe_save();
    _exit(0);
}

int main(void)
{
    pid_t pid = saver(30);
    int64_t start = now_ns();
    struct timespec t = {0, 120000000};
    CHECK_EQ(nanosleep(&t, NULL), 0);
    CHECK(now_ns() - start >= 120000000);
    reap(pid);
    ok("nanosleep");

    pid = saver(20);
    CHECK_EQ(clock_gettime(CLOCK_MONOTONIC, &t), 0);
    int64_t until = t.tv_sec * 1000000000LL + t.tv_nsec + 80000000;
    t.tv_sec = until / 1000000000;
    t.tv_nsec = until % 1000000000;
    CHECK_EQ(clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &t, NULL), 0);
    CHECK(now_ns() >= until);
    CHECK_EQ(clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &t, NULL), 0);
    t.tv_nsec = 1000000000;
    CHECK_EQ(clock_nanosleep(CLOCK_MONOTONIC, 0, &t, NULL), EINVAL);
    reap(pid);
    ok("clock_nanosleep");

    struct timespec a, b;
    for (int i = 0; i < 3; i++) {
        CHECK_EQ(clock_gettime(CLOCK_MONOTONIC, &a), 0);
        maybe_save();
        CHECK_EQ(clock_gettime(CLOCK_MONOTONIC, &b), 0);
        int64_t passed = (b.tv_sec - a.tv_sec) * 1000000000LL + b.tv_nsec - a.tv_nsec;
        CHECK(passed >= 0 && passed < 5000000000);
    }
    CHECK_EQ(clock_getres(CLOCK_MONOTONIC, &a), 0);
    CHECK(a.tv_sec == 0 && a.tv_nsec >= 1);
    CHECK_ERRNO(clock_gettime(99, &a), EINVAL);
    CHECK(time(NULL) > 1500000000);
    ok("monotonic clock");
    return 0;
}
