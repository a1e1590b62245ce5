#include "conformance.h"
#include <sys/time.h>

static int64_t ns_of(struct timespec t) { return t.tv_sec * 1000000000LL + t.tv_nsec; }

// By the vDSO, and by the call itself.
static int64_t fast(int clock)
{
    struct timespec t;
    CHECK_EQ(clock_gettime(clock, &t), 0);
    CHECK(t.tv_nsec >= 0 && t.tv_nsec < 1000000000);
    return ns_of(t);
}

static int64_t slow(int clock)
{
    struct timespec t;
    CHECK_EQ(syscall(SYS_clock_gettime, clock, &t), 0);
    return ns_of(t);
}

static void check_order(int clock)
{
    int64_t last = 0;
    for (int i = 0; i < 20000; i++) {
        int64_t now = i % 50 == 0 ? slow(clock) : fast(clock);
        CHECK(now >= last);
        last = now;
    }
}

int main(void)
{
    // Both ways tell one time, whatever comes between.
    for (int round = 0; round < 3; round++) {
        check_order(CLOCK_MONOTONIC);
        check_order(CLOCK_MONOTONIC_RAW);
        check_order(CLOCK_BOOTTIME);
        check_order(CLOCK_REALTIME);
        maybe_save();
    }
    ok("order");

    // It goes on at its rate while the program computes.
    int64_t start = slow(CLOCK_MONOTONIC), end = start + 600000000, last = start;
    long reads = 0;
    while (last < end) {
        int64_t now = fast(CLOCK_MONOTONIC);
        CHECK(now >= last);
        last = now;
        reads++;
    }
    CHECK(slow(CLOCK_MONOTONIC) >= last && slow(CLOCK_MONOTONIC) - last < 500000000);
    CHECK(reads > 1000);
    ok("pace");

    int64_t before = fast(CLOCK_MONOTONIC);
    maybe_save();
    int64_t after = fast(CLOCK_MONOTONIC);
    CHECK(after >= before && after - before < 10000000000);
    CHECK(slow(CLOCK_MONOTONIC) >= after);
    ok("across a save");

    struct timeval day;
    CHECK_EQ(gettimeofday(&day, NULL), 0);
    int64_t micro = day.tv_sec * 1000000LL + day.tv_usec, wall = slow(CLOCK_REALTIME);
    CHECK(day.tv_usec >= 0 && day.tv_usec < 1000000);
    CHECK(wall / 1000 >= micro && wall / 1000 - micro < 5000000);
    time_t stored, told = time(&stored);
    CHECK_EQ(stored, told);
    CHECK(told >= day.tv_sec - 1 && told - day.tv_sec < 5); // it is told by the tick, which may be a little behind
    struct timezone zone = {1, 1};
    CHECK_EQ(gettimeofday(&day, &zone), 0);
    CHECK_EQ(zone.tz_minuteswest, 0);
    ok("wall clock");

    CHECK(fast(CLOCK_PROCESS_CPUTIME_ID) > 0);
    CHECK(fast(CLOCK_THREAD_CPUTIME_ID) > 0);
    struct timespec t;
    CHECK_ERRNO(clock_gettime(12, &t), EINVAL);
    CHECK_ERRNO(clock_gettime(10, &t), EINVAL);
    CHECK_ERRNO(clock_gettime(0x7fffffff, &t), EINVAL);
    ok("others");
    return 0;
}
