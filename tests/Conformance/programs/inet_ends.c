// What is left of a TCP socket when its connection has ended: values of options, readiness, another connection from the same place.
#include "inet.h"
#include <fcntl.h>

static void await_bits(int s, short bits)
{
    for (int i = 0; i < 5000 && (poll_bits(s) & bits) != bits; i++)
        sleep_ms(1);
    CHECK_EQ(poll_bits(s) & bits, bits);
}

static void reset_of(int s)
{
    struct linger reset = {1, 0};
    CHECK_EQ(setsockopt(s, SOL_SOCKET, SO_LINGER, &reset, sizeof reset), 0);
    CHECK_EQ(close(s), 0);
}

// TCP_MAXSEG goes on telling a connection's segment size, not the default; queued bytes can be read before the error is told.
static void after_a_reset(void)
{
    int pair[2];
    char bytes[8];
    tcp_pair(AF_INET, pair);
    CHECK(get_int(pair[0], IPPROTO_TCP, TCP_MAXSEG) > 536);
    CHECK(get_int(pair[0], IPPROTO_TCP, TCP_WINDOW_CLAMP) > 0);
    CHECK_EQ(write(pair[1], "abc", 3), 3);
    await_bits(pair[0], POLLIN);
    maybe_save();
    reset_of(pair[1]);
    await_bits(pair[0], POLLHUP);
    CHECK(get_int(pair[0], IPPROTO_TCP, TCP_MAXSEG) > 536);
    CHECK_EQ(recv(pair[0], bytes, 2, 0), 2);
    maybe_save();
    CHECK_EQ(recv(pair[0], bytes, 2, 0), 1);
    CHECK_ERRNO(recv(pair[0], bytes, 2, 0), ECONNRESET);
    CHECK_EQ(recv(pair[0], bytes, 2, 0), 0);
    CHECK_EQ(get_int(pair[0], SOL_SOCKET, SO_ERROR), 0);
    CHECK_ERRNO(send(pair[0], "x", 1, MSG_NOSIGNAL), EPIPE);
    CHECK(get_int(pair[0], IPPROTO_TCP, TCP_MAXSEG) > 536);
    CHECK_EQ(close(pair[0]), 0);
    ok("after a reset");
}

// A connect(2) that tells of a failure makes the socket new: neither end is shut.
static void after_a_refusal(void)
{
    int l = bound(AF_INET, SOCK_STREAM), s = socket(AF_INET, SOCK_STREAM, 0);
    uint16_t port = port_of(l);
    CHECK_ERRNO(connect_to(s, AF_INET, port), ECONNREFUSED);
    CHECK_EQ(poll_bits(s) & (POLLIN | POLLRDHUP | POLLERR), 0);
    CHECK_EQ(poll_bits(s) & (POLLOUT | POLLHUP), POLLOUT | POLLHUP);
    CHECK_EQ(get_int(s, SOL_SOCKET, SO_ERROR), 0);
    maybe_save();
    CHECK_ERRNO(connect_to(s, AF_INET, port), ECONNREFUSED);
    CHECK_EQ(listen(l, 1), 0);
    CHECK_EQ(connect_to(s, AF_INET, port), 0);
    int t = accept(l, NULL, NULL);
    CHECK_EQ(write(t, "x", 1), 1);
    char byte;
    CHECK_EQ(read(s, &byte, 1), 1);
    CHECK_EQ(close(t), 0);
    CHECK_EQ(close(s), 0);

    // Without waiting the socket is shut until somebody asks.
    s = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    int refuses = bound(AF_INET, SOCK_STREAM);
    CHECK_ERRNO(connect_to(s, AF_INET, port_of(refuses)), EINPROGRESS);
    await_bits(s, POLLIN | POLLRDHUP | POLLERR | POLLHUP);
    CHECK_ERRNO(connect_to(s, AF_INET, port_of(refuses)), ECONNREFUSED);
    CHECK_EQ(poll_bits(s) & (POLLIN | POLLRDHUP | POLLERR), 0);
    CHECK_EQ(close(s), 0);
    CHECK_EQ(close(l), 0);
    CHECK_EQ(close(refuses), 0);
    ok("after a refusal");
}

// A bound port may be used for the same connection again while the old one is in TIME-WAIT: timestamps tell the two apart.
static void after_a_close(void)
{
    int l = listener_of(AF_INET), c = socket(AF_INET, SOCK_STREAM, 0);
    set_int(c, SOL_SOCKET, SO_REUSEADDR, 1);
    struct sockaddr_in own = in4(INADDR_LOOPBACK, 0);
    CHECK_EQ(bind(c, SA(own), sizeof own), 0);
    own.sin_port = htons(port_of(c));
    char byte;
    for (int round = 0; round < 3; round++) {
        CHECK_EQ(connect_to(c, AF_INET, port_of(l)), 0);
        int s = accept(l, NULL, NULL);
        CHECK(s >= 0);
        CHECK_EQ(write(c, "x", 1), 1);
        CHECK_EQ(read(s, &byte, 1), 1);
        CHECK_EQ(close(c), 0);
        CHECK_EQ(read(s, &byte, 1), 0);
        CHECK_EQ(close(s), 0);
        maybe_save();
        c = socket(AF_INET, SOCK_STREAM, 0);
        CHECK_ERRNO(bind(c, SA(own), sizeof own), EADDRINUSE);
        set_int(c, SOL_SOCKET, SO_REUSEADDR, 1);
        CHECK_EQ(bind(c, SA(own), sizeof own), 0);
    }
    CHECK_EQ(close(c), 0);
    CHECK_EQ(close(l), 0);
    ok("after a close");
}

static void lingering(void)
{
    int pair[2];
    tcp_pair(AF_INET, pair);
    struct linger l = {1, 5};
    socklen_t n = sizeof l;
    CHECK_EQ(setsockopt(pair[0], SOL_SOCKET, SO_LINGER, &l, n), 0);
    l = (struct linger){0, 7};
    CHECK_EQ(setsockopt(pair[0], SOL_SOCKET, SO_LINGER, &l, n), 0);
    maybe_save();
    CHECK_EQ(getsockopt(pair[0], SOL_SOCKET, SO_LINGER, &l, &n), 0);
    CHECK_EQ(l.l_onoff, 0);
    CHECK_EQ(l.l_linger, 5);
    CHECK_EQ(get_int(pair[0], IPPROTO_TCP, 27 /* TCP_SAVE_SYN */), 0);
    CHECK_EQ(get_int(pair[0], IPPROTO_TCP, 37 /* TCP_TX_DELAY */), 0);
    CHECK_EQ(close(pair[0]), 0);
    CHECK_EQ(close(pair[1]), 0);
    ok("lingering");
}

int main(void)
{
    after_a_reset();
    after_a_refusal();
    after_a_close();
    lingering();
    return 0;
}
