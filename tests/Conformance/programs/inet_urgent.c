// Urgent data (MSG_OOB): the byte aside and inline, the mark, SIGURG, poll and select.
#include "inet.h"
#include <sys/select.h>

static volatile sig_atomic_t urgent;

static void on_urgent(int signal)
{
    (void)signal;
    urgent++;
}

static int at_mark(int s)
{
    int mark;
    CHECK_EQ(ioctl(s, SIOCATMARK, &mark), 0);
    return mark;
}

static void aside(void)
{
    int p[2];
    char b[16];
    tcp_pair(AF_INET, p);
    CHECK_ERRNO(recv(p[1], b, 1, MSG_OOB), EINVAL);
    CHECK_EQ(fcntl(p[1], F_SETOWN, getpid()), 0);
    CHECK_EQ(send(p[0], "ab", 2, 0), 2);
    CHECK_EQ(send(p[0], "cX", 2, MSG_OOB), 2);
    CHECK_EQ(send(p[0], "de", 2, 0), 2);
    await(p[1], POLLPRI);
    sleep_ms(20);
    CHECK_EQ(urgent, 1);
    show_bits("urgent", poll_bits(p[1]));
    fd_set e;
    FD_ZERO(&e);
    FD_SET(p[1], &e);
    CHECK_EQ(select(p[1] + 1, NULL, NULL, &e, NULL), 1);
    CHECK_EQ(at_mark(p[1]), 0);
    int n;
    CHECK_EQ(ioctl(p[1], FIONREAD, &n), 0);
    printf("readable %d\n", n);
    maybe_save();
    CHECK_EQ(recv(p[1], b, 1, MSG_OOB | MSG_PEEK), 1);
    struct msghdr m = {.msg_iov = &(struct iovec){b, 4}, .msg_iovlen = 1};
    CHECK_EQ(recvmsg(p[1], &m, MSG_OOB), 1);
    CHECK_EQ(b[0], 'X');
    CHECK_EQ(m.msg_flags & MSG_OOB, MSG_OOB);
    show_bits("read aside", poll_bits(p[1]));
    CHECK_ERRNO(recv(p[1], b, 1, MSG_OOB), EINVAL);

    // Reads stop at the mark.
    CHECK_EQ(read(p[1], b, 16), 3);
    CHECK_EQ(memcmp(b, "abc", 3), 0);
    CHECK_EQ(at_mark(p[1]), 1);
    maybe_save();
    CHECK_EQ(read(p[1], b, 16), 2);
    CHECK_EQ(memcmp(b, "de", 2), 0);
    CHECK_EQ(at_mark(p[1]), 0);
    CHECK_EQ(close(p[0]) | close(p[1]), 0);
    ok("aside");
}

static void inlined(void)
{
    int p[2];
    char b[16];
    tcp_pair(AF_INET6, p);
    set_int(p[1], SOL_SOCKET, SO_OOBINLINE, 1);
    CHECK_EQ(send(p[0], "ab", 2, 0), 2);
    CHECK_EQ(send(p[0], "X", 1, MSG_OOB), 1);
    CHECK_EQ(send(p[0], "cd", 2, 0), 2);
    await(p[1], POLLPRI);
    sleep_ms(20);
    CHECK_ERRNO(recv(p[1], b, 1, MSG_OOB), EINVAL);
    show_bits("inline", poll_bits(p[1]));
    maybe_save();
    CHECK_EQ(read(p[1], b, 16), 2);
    CHECK_EQ(at_mark(p[1]), 1);
    show_bits("at the mark", poll_bits(p[1]));
    CHECK_EQ(read(p[1], b, 16), 3);
    CHECK_EQ(memcmp(b, "Xcd", 3), 0);
    show_bits("past it", poll_bits(p[1]));
    CHECK_EQ(close(p[0]) | close(p[1]), 0);
    ok("inline");
}

static void several(void)
{
    int p[2];
    char b[16];
    tcp_pair(AF_INET, p);

    // A second urgent byte takes the place of the first, which stays in the stream.
    CHECK_EQ(send(p[0], "1A", 2, MSG_OOB), 2);
    CHECK_EQ(send(p[0], "2B", 2, MSG_OOB), 2);
    await(p[1], POLLPRI);
    sleep_ms(20);
    maybe_save();
    CHECK_EQ(recv(p[1], b, 16, MSG_OOB), 1);
    CHECK_EQ(b[0], 'B');
    CHECK_EQ(read(p[1], b, 16), 3);
    CHECK_EQ(memcmp(b, "1A2", 3), 0);
    CHECK_ERRNO(recv(p[1], b, 1, MSG_DONTWAIT), EAGAIN);
    CHECK_EQ(close(p[0]), 0);
    CHECK_EQ(read(p[1], b, 1), 0);
    CHECK_EQ(close(p[1]), 0);
    ok("several");
}

int main(void)
{
    setvbuf(stdout, NULL, _IOLBF, 0);
    signal(SIGURG, on_urgent);
    aside();
    inlined();
    several();
    return 0;
}
