// MSG_ZEROCOPY: the error queue says which calls' memory is the sender's own again. A splice ends before an urgent byte.
#include "inet.h"
#include <linux/errqueue.h>
#include <poll.h>

static int listener(struct sockaddr_in *a)
{
    socklen_t n = sizeof *a;
    int l = socket(AF_INET, SOCK_STREAM, 0);
    *a = (struct sockaddr_in){.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    CHECK_EQ(bind(l, (struct sockaddr *)a, sizeof *a), 0);
    CHECK_EQ(listen(l, 5), 0);
    CHECK_EQ(getsockname(l, (struct sockaddr *)a, &n), 0);
    return l;
}

// Takes notices until the number `last` is among them; they come in order and without a gap.
static void notices(int s, unsigned first, unsigned last)
{
    for (unsigned next = first; next <= last;) {
        struct pollfd p = {s, 0, 0};
        CHECK_EQ(poll(&p, 1, 10000), 1);
        CHECK_EQ(p.revents & POLLERR, POLLERR);
        char control[128];
        struct msghdr m = {.msg_control = control, .msg_controllen = sizeof control};
        CHECK_EQ(recvmsg(s, &m, MSG_ERRQUEUE), 0);
        CHECK_EQ(m.msg_flags, MSG_ERRQUEUE);
        struct cmsghdr *c = CMSG_FIRSTHDR(&m);
        CHECK(c != NULL);
        CHECK_EQ(c->cmsg_level, SOL_IP);
        CHECK_EQ(c->cmsg_type, IP_RECVERR);
        struct sock_extended_err *e = (struct sock_extended_err *)CMSG_DATA(c);
        CHECK_EQ(e->ee_errno, 0);
        CHECK_EQ(e->ee_origin, SO_EE_ORIGIN_ZEROCOPY);
        CHECK_EQ(e->ee_code, SO_EE_CODE_ZEROCOPY_COPIED);
        CHECK_EQ(e->ee_info, next);
        CHECK(e->ee_data >= next && e->ee_data <= last);
        next = e->ee_data + 1;
    }
    char none[64];
    struct msghdr m = {.msg_control = none, .msg_controllen = sizeof none};
    CHECK_ERRNO(recvmsg(s, &m, MSG_ERRQUEUE), EAGAIN);
}

static void drain(int s, size_t count)
{
    static char bytes[65536];
    while (count > 0) {
        ssize_t n = recv(s, bytes, count < sizeof bytes ? count : sizeof bytes, 0);
        CHECK(n > 0);
        count -= n;
    }
}

int main(void)
{
    static char data[100000];
    struct sockaddr_in a;
    int l = listener(&a), on = 1, value = -1, s = socket(AF_INET, SOCK_STREAM, 0);
    socklen_t n = sizeof value;
    CHECK_EQ(getsockopt(s, SOL_SOCKET, SO_ZEROCOPY, &value, &n), 0);
    CHECK_EQ(value, 0);
    int two = 2;
    CHECK_ERRNO(setsockopt(s, SOL_SOCKET, SO_ZEROCOPY, &two, sizeof two), EINVAL);
    int u = socket(AF_UNIX, SOCK_STREAM, 0);
    CHECK_ERRNO(setsockopt(u, SOL_SOCKET, SO_ZEROCOPY, &on, sizeof on), EOPNOTSUPP);
    CHECK_EQ(connect(s, (struct sockaddr *)&a, sizeof a), 0);
    int t = accept(l, NULL, NULL);
    CHECK(t >= 0);

    // Without the option the flag means nothing.
    CHECK_EQ(send(s, data, 1000, MSG_ZEROCOPY), 1000);
    drain(t, 1000);
    char none[64];
    struct msghdr m = {.msg_control = none, .msg_controllen = sizeof none};
    CHECK_ERRNO(recvmsg(s, &m, MSG_ERRQUEUE), EAGAIN);
    CHECK_EQ(setsockopt(s, SOL_SOCKET, SO_ZEROCOPY, &on, sizeof on), 0);
    CHECK_EQ(getsockopt(s, SOL_SOCKET, SO_ZEROCOPY, &value, &n), 0);
    CHECK_EQ(value, 1);
    ok("option");

    CHECK_EQ(send(s, data, 4000, MSG_ZEROCOPY), 4000);
    drain(t, 4000);
    notices(s, 0, 0);
    CHECK_EQ(send(s, data, 4000, MSG_ZEROCOPY), 4000);
    CHECK_EQ(send(s, data, 4000, 0), 4000);
    CHECK_EQ(send(s, data, sizeof data, MSG_ZEROCOPY), (ssize_t)sizeof data);
    drain(t, 8000 + sizeof data);
    maybe_save();
    notices(s, 1, 2);
    maybe_save();
    CHECK_EQ(send(s, data, 1, MSG_ZEROCOPY), 1);
    drain(t, 1);
    notices(s, 3, 3);
    ok("notices");

    int p[2];
    CHECK_EQ(pipe(p), 0);
    CHECK_EQ(send(s, data, 100, MSG_OOB), 100);
    struct pollfd urgent = {t, POLLPRI, 0};
    CHECK_EQ(poll(&urgent, 1, 10000), 1);
    size_t got = 0;
    while (got < 99) {
        ssize_t k = splice(t, NULL, p[1], NULL, 99 - got, 0);
        CHECK(k > 0);
        got += k;
    }
    maybe_save();
    CHECK_EQ(splice(t, NULL, p[1], NULL, 1, 0), 0);
    ok("splice before an urgent byte");

    // Datagrams: the same numbers, beside what ICMP says.
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int receiver = socket(AF_INET, SOCK_DGRAM, 0), sender = socket(AF_INET, SOCK_DGRAM, 0), raw = socket(AF_INET, SOCK_RAW, IPPROTO_UDP);
    n = sizeof to;
    CHECK_EQ(bind(receiver, (struct sockaddr *)&to, sizeof to), 0);
    CHECK_EQ(getsockname(receiver, (struct sockaddr *)&to, &n), 0);
    CHECK_EQ(connect(sender, (struct sockaddr *)&to, sizeof to), 0);
    if (raw >= 0)
        CHECK_ERRNO(setsockopt(raw, SOL_SOCKET, SO_ZEROCOPY, &on, sizeof on), EOPNOTSUPP);
    CHECK_EQ(send(sender, data, 100, MSG_ZEROCOPY), 100);
    CHECK_EQ(setsockopt(sender, SOL_SOCKET, SO_ZEROCOPY, &on, sizeof on), 0);
    for (int i = 0; i < 3; i++)
        CHECK_EQ(send(sender, data, 1000 + i, MSG_ZEROCOPY), 1000 + i);
    maybe_save();
    CHECK_EQ(recv(receiver, data, sizeof data, 0), 100);
    for (int i = 0; i < 3; i++)
        CHECK_EQ(recv(receiver, data, sizeof data, 0), 1000 + i);
    notices(sender, 0, 2);
    ok("datagrams");
    return 0;
}
