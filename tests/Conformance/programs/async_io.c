// Signals that tell of readiness: O_ASYNC, F_SETOWN, F_SETSIG, on sockets and pipes.
#include "inet.h"
#include <sys/ioctl.h>
#include <sys/signalfd.h>

static volatile sig_atomic_t count, last_code, last_fd, last_band;

static void on_signal(int number, siginfo_t *info, void *context)
{
    (void)number;
    (void)context;
    count++;
    last_code = info->si_code;
    last_fd = info->si_fd;
    last_band = (int)info->si_band;
}

static void expect(const char *what, int fd, int times)
{
    for (int i = 0; i < 100 && count < times; i++)
        sleep_ms(5);
    sleep_ms(10);
    printf("%s: %s", what, count > 0 ? "told" : "not told");
    if (count > 0 && last_code > 0 && last_code < 7)
        printf(", code %d, band %#x, %s", last_code, last_band, last_fd == fd ? "of it" : "of another");
    printf("\n");
    count = 0;
}

static void owners(int fd)
{
    CHECK_EQ(fcntl(fd, F_GETOWN), 0);
    CHECK_EQ(fcntl(fd, F_SETOWN, getpid()), 0);
    CHECK_EQ(fcntl(fd, F_GETOWN), getpid());
    struct f_owner_ex o = {F_OWNER_PGRP, getpgrp()};
    CHECK_EQ(fcntl(fd, F_SETOWN_EX, &o), 0);
    CHECK_EQ(fcntl(fd, F_GETSIG), 0);
    CHECK_ERRNO(fcntl(fd, F_SETSIG, 65), EINVAL);
    CHECK_EQ(fcntl(fd, F_SETSIG, SIGRTMIN), 0);
    maybe_save();
    CHECK_EQ(fcntl(fd, F_GETSIG), SIGRTMIN);
    memset(&o, 0, sizeof o);
    CHECK_EQ(fcntl(fd, F_GETOWN_EX, &o), 0);
    CHECK_EQ(o.type, F_OWNER_PGRP);
    CHECK_EQ(o.pid, getpgrp());
    o.type = 3;
    CHECK_ERRNO(fcntl(fd, F_SETOWN_EX, &o), EINVAL);
    CHECK_ERRNO(fcntl(fd, F_SETOWN, 999999), ESRCH);
    CHECK_EQ(fcntl(fd, F_SETOWN, getpid()), 0);
    CHECK_EQ(fcntl(fd, F_SETSIG, 0), 0);
}

int main(void)
{
    setvbuf(stdout, NULL, _IOLBF, 0);
    struct sigaction a = {.sa_sigaction = on_signal, .sa_flags = SA_SIGINFO | SA_RESTART};
    CHECK_EQ(sigaction(SIGIO, &a, NULL), 0);
    CHECK_EQ(sigaction(SIGRTMIN, &a, NULL), 0);
    char b[16];
    int p[2];
    tcp_pair(AF_INET, p);
    owners(p[0]);
    CHECK_EQ(write(p[1], "1", 1), 1);
    expect("without O_ASYNC", p[0], 0);
    CHECK_EQ(fcntl(p[0], F_SETFL, O_ASYNC), 0);
    CHECK_EQ(fcntl(p[0], F_GETFL) & O_ASYNC, O_ASYNC);
    CHECK_EQ(write(p[1], "2", 1), 1);
    expect("data", p[0], 1);
    maybe_save();
    CHECK_EQ(fcntl(p[0], F_SETSIG, SIGRTMIN), 0);
    CHECK_EQ(write(p[1], "3", 1), 1);
    expect("data with F_SETSIG", p[0], 1);
    CHECK_EQ(read(p[0], b, 16), 3);
    int off = 0;
    CHECK_EQ(ioctl(p[0], FIOASYNC, &off), 0);
    CHECK_EQ(write(p[1], "4", 1), 1);
    expect("turned off", p[0], 0);
    int on = 1;
    CHECK_EQ(ioctl(p[0], FIOASYNC, &on), 0);
    int pid = getpid(), back = 0;
    CHECK_EQ(ioctl(p[0], FIOSETOWN, &pid), 0);
    CHECK_EQ(ioctl(p[0], FIOGETOWN, &back), 0);
    CHECK_EQ(back, pid);
    CHECK_EQ(close(p[0]) | close(p[1]), 0);
    count = 0;

    int u = bound(AF_INET, SOCK_DGRAM), v = socket(AF_INET, SOCK_DGRAM, 0);
    CHECK_EQ(connect_to(v, AF_INET, port_of(u)), 0);
    CHECK_EQ(fcntl(u, F_SETOWN, getpid()), 0);
    CHECK_EQ(fcntl(u, F_SETSIG, SIGRTMIN), 0);
    CHECK_EQ(fcntl(u, F_SETFL, O_ASYNC | O_NONBLOCK), 0);
    maybe_save();
    CHECK_EQ(send(v, "x", 1, 0), 1);
    expect("datagram", u, 1);
    CHECK_EQ(close(u) | close(v), 0);

    int l = listener_of(AF_INET), c = socket(AF_INET, SOCK_STREAM, 0);
    CHECK_EQ(fcntl(l, F_SETOWN, getpid()), 0);
    CHECK_EQ(fcntl(l, F_SETSIG, SIGRTMIN), 0);
    CHECK_EQ(fcntl(l, F_SETFL, O_ASYNC), 0);
    CHECK_EQ(connect_to(c, AF_INET, port_of(l)), 0);
    expect("connection", l, 1);
    CHECK_EQ(close(l) | close(c), 0);

    CHECK_EQ(pipe(p), 0);
    CHECK_EQ(fcntl(p[0], F_SETOWN, getpid()), 0);
    CHECK_EQ(fcntl(p[0], F_SETSIG, SIGRTMIN), 0);
    CHECK_EQ(fcntl(p[0], F_SETFL, O_ASYNC), 0);
    maybe_save();
    CHECK_EQ(write(p[1], "x", 1), 1);
    expect("pipe", p[0], 1);
    CHECK_EQ(close(p[0]) | close(p[1]), 0);

    // A signalfd raises no signals of its own, which would be without end, and does not keep the flag.
    sigset_t all;
    sigfillset(&all);
    CHECK_EQ(sigprocmask(SIG_SETMASK, &all, NULL), 0);
    int s = signalfd(-1, &all, SFD_NONBLOCK);
    on = 1;
    CHECK_EQ(fcntl(s, F_SETOWN, getpid()), 0);
    CHECK_EQ(fcntl(s, F_SETSIG, SIGRTMIN), 0);
    CHECK_ERRNO(ioctl(s, FIOASYNC, &on), ENOTTY);
    CHECK_EQ(fcntl(s, F_SETFL, O_ASYNC | O_NONBLOCK), 0);
    CHECK_EQ(fcntl(s, F_GETFL) & O_ASYNC, 0);
    CHECK_EQ(kill(getpid(), SIGUSR1), 0);
    struct signalfd_siginfo info;
    CHECK_EQ(read(s, &info, sizeof info), (ssize_t)sizeof info);
    CHECK_EQ(info.ssi_signo, SIGUSR1);
    CHECK_ERRNO(read(s, &info, sizeof info), EAGAIN);
    CHECK_EQ(close(s), 0);
    return 0;
}
