#include "conformance.h"
#include <sys/time.h>

static volatile int alarms, value;

static void on_alarm(int signal)
{
    (void)signal;
    alarms++;
}

static void on_timer(int signal, siginfo_t *info, void *context)
{
    (void)signal;
    (void)context;
    alarms++;
    value = info->si_value.sival_int;
    CHECK_EQ(info->si_code, SI_TIMER);
}

static void await(int count)
{
    for (int i = 0; alarms < count; i++) {
        CHECK(i < 1000);
        struct timespec t = {0, 5000000};
        nanosleep(&t, NULL);
    }
}

int main(void)
{
    signal(SIGALRM, on_alarm);
    struct itimerval it = {{0, 20000}, {0, 60000}}, left;
    CHECK_EQ(setitimer(ITIMER_REAL, &it, NULL), 0);
    CHECK_EQ(getitimer(ITIMER_REAL, &left), 0);
    CHECK(left.it_value.tv_usec > 0 && left.it_value.tv_usec <= 60000);
    CHECK_EQ(left.it_interval.tv_usec, 20000);
    maybe_save();
    await(3);
    it = (struct itimerval){{0, 0}, {0, 0}};
    CHECK_EQ(setitimer(ITIMER_REAL, &it, NULL), 0);
    alarms = 0;
    sleep_ms(40);
    CHECK_EQ(alarms, 0);
    CHECK_EQ(alarm(100), 0);
    maybe_save();
    unsigned seconds = alarm(0);
    CHECK(seconds == 100 || seconds == 99);
    ok("itimer");

    struct sigaction a = {.sa_sigaction = on_timer, .sa_flags = SA_SIGINFO};
    CHECK_EQ(sigaction(SIGRTMIN, &a, NULL), 0);
    struct sigevent e = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGRTMIN, .sigev_value.sival_int = 77};
    timer_t timer;
    CHECK_EQ(timer_create(CLOCK_MONOTONIC, &e, &timer), 0);
    struct itimerspec spec = {{0, 0}, {0, 50000000}}, now;
    CHECK_EQ(timer_settime(timer, 0, &spec, NULL), 0);
    maybe_save();
    await(1);
    CHECK_EQ(value, 77);
    spec = (struct itimerspec){{0, 15000000}, {0, 15000000}};
    CHECK_EQ(timer_settime(timer, 0, &spec, NULL), 0);
    await(3);
    CHECK_EQ(timer_gettime(timer, &now), 0);
    CHECK_EQ(now.it_interval.tv_nsec, 15000000);
    CHECK_EQ(timer_delete(timer), 0);
    ok("posix timer");
    return 0;
}
