// epoll on sockets: edges, hang-ups, one-shot and exclusive items, listeners; the same bits as Linux at each step.
#include "inet.h"
#include <sys/epoll.h>

static int ep;

static void watch(int fd, uint32_t events)
{
    struct epoll_event e = {.events = events, .data.fd = fd};
    CHECK_EQ(epoll_ctl(ep, EPOLL_CTL_ADD, fd, &e), 0);
}

// The events of the one socket that is ready, 0 for none; waits up to a second when something is expected.
static uint32_t wait_one(int fd, int expected)
{
    struct epoll_event e[2];
    int n = epoll_wait(ep, e, 2, expected ? 1000 : 30);
    if (n == 0)
        return 0;
    CHECK_EQ(n, 1);
    CHECK_EQ(e[0].data.fd, fd);
    return e[0].events;
}

static void show_events(const char *what, uint32_t e)
{
    show_bits(what, (short)e);
}

static void edges(int family)
{
    int p[2];
    char b[16];
    tcp_pair(family, p);
    ep = epoll_create1(0);
    watch(p[0], EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET);
    show_events("at first", wait_one(p[0], 1));
    CHECK_EQ(wait_one(p[0], 0), 0);
    CHECK_EQ(write(p[1], "a", 1), 1);
    show_events("first byte", wait_one(p[0], 1));
    CHECK_EQ(wait_one(p[0], 0), 0);
    maybe_save();
    CHECK_EQ(write(p[1], "b", 1), 1);
    show_events("second byte, first unread", wait_one(p[0], 1));
    CHECK_EQ(read(p[0], b, 1), 1);
    CHECK_EQ(wait_one(p[0], 0), 0);
    CHECK_EQ(read(p[0], b, 16), 1);
    CHECK_EQ(wait_one(p[0], 0), 0);
    CHECK_EQ(shutdown(p[1], SHUT_WR), 0);
    show_events("peer shut", wait_one(p[0], 1));
    CHECK_EQ(wait_one(p[0], 0), 0);
    maybe_save();
    CHECK_EQ(read(p[0], b, 1), 0);
    CHECK_EQ(close(p[1]), 0);
    CHECK_EQ(wait_one(p[0], 0), 0);
    CHECK_EQ(close(p[0]) | close(ep), 0);
    printf("ok edges\n");
}

static void levels(void)
{
    int p[2];
    char b[16];
    tcp_pair(AF_INET, p);
    ep = epoll_create1(0);
    watch(p[0], EPOLLIN | EPOLLRDHUP);
    CHECK_EQ(wait_one(p[0], 0), 0);
    CHECK_EQ(write(p[1], "abc", 3), 3);
    show_events("level", wait_one(p[0], 1));
    show_events("level again", wait_one(p[0], 1));
    CHECK_EQ(read(p[0], b, 16), 3);
    CHECK_EQ(wait_one(p[0], 0), 0);
    struct linger l = {1, 0};
    CHECK_EQ(setsockopt(p[1], SOL_SOCKET, SO_LINGER, &l, sizeof l), 0);
    maybe_save();
    CHECK_EQ(close(p[1]), 0);
    show_events("reset", wait_one(p[0], 1));
    CHECK_EQ(get_int(p[0], SOL_SOCKET, SO_ERROR), ECONNRESET);
    show_events("reset and told", wait_one(p[0], 1));
    CHECK_EQ(close(p[0]) | close(ep), 0);

    tcp_pair(AF_INET, p);
    ep = epoll_create1(0);
    watch(p[0], EPOLLIN | EPOLLONESHOT);
    CHECK_EQ(write(p[1], "a", 1), 1);
    show_events("one shot", wait_one(p[0], 1));
    CHECK_EQ(write(p[1], "b", 1), 1);
    CHECK_EQ(wait_one(p[0], 0), 0);
    maybe_save();
    struct epoll_event e = {.events = EPOLLIN | EPOLLONESHOT, .data.fd = p[0]};
    CHECK_EQ(epoll_ctl(ep, EPOLL_CTL_MOD, p[0], &e), 0);
    show_events("armed again", wait_one(p[0], 1));
    CHECK_EQ(close(p[0]) | close(p[1]) | close(ep), 0);
    printf("ok levels\n");
}

// A writer that is full hears of room when the reader has made enough.
static void room(void)
{
    int p[2];
    static char b[1 << 16];
    tcp_pair(AF_INET, p);
    nonblocking(p[0]);
    nonblocking(p[1]);
    while (write(p[0], b, sizeof b) > 0)
        ;
    CHECK_EQ(errno, EAGAIN);
    ep = epoll_create1(0);
    watch(p[0], EPOLLOUT | EPOLLET);
    CHECK_EQ(wait_one(p[0], 0), 0);
    maybe_save();
    int told = 0;
    for (int i = 0; i < 1000 && !told; i++) {
        while (read(p[1], b, sizeof b) > 0)
            ;
        told = (wait_one(p[0], 0) & EPOLLOUT) != 0;
    }
    CHECK(told);
    CHECK(write(p[0], b, sizeof b) > 0);
    CHECK_EQ(close(p[0]) | close(p[1]) | close(ep), 0);
    printf("ok room\n");
}

static void listeners(void)
{
    int l = listener_of(AF_INET);
    nonblocking(l);
    uint16_t port = port_of(l);
    ep = epoll_create1(0);
    watch(l, EPOLLIN | EPOLLET);
    CHECK_EQ(wait_one(l, 0), 0);
    int a = socket(AF_INET, SOCK_STREAM, 0), c = socket(AF_INET, SOCK_STREAM, 0);
    CHECK_EQ(connect_to(a, AF_INET, port), 0);
    show_events("first connection", wait_one(l, 1));
    CHECK_EQ(connect_to(c, AF_INET, port), 0);
    show_events("second connection, none accepted", wait_one(l, 1));
    CHECK_EQ(wait_one(l, 0), 0);
    maybe_save();
    int s = accept(l, NULL, NULL);
    CHECK(s >= 0);
    CHECK_EQ(close(s), 0);
    s = accept(l, NULL, NULL);
    CHECK(s >= 0);
    CHECK_EQ(close(s), 0);
    CHECK_ERRNO(accept(l, NULL, NULL), EAGAIN);
    CHECK_EQ(close(a) | close(c) | close(ep), 0);

    // Several sets watch one listener: an exclusive wake-up reaches one of them at least, and only some.
    int sets[4];
    for (int i = 0; i < 4; i++) {
        sets[i] = ep = epoll_create1(0);
        watch(l, EPOLLIN | EPOLLEXCLUSIVE);
    }
    struct epoll_event e = {.events = EPOLLIN | EPOLLEXCLUSIVE, .data.fd = l};
    CHECK_ERRNO(epoll_ctl(ep, EPOLL_CTL_MOD, l, &e), EINVAL);
    maybe_save();
    a = socket(AF_INET, SOCK_STREAM, 0);
    CHECK_EQ(connect_to(a, AF_INET, port), 0);
    int ready = 0;
    for (int i = 0; i < 4; i++)
        ready += epoll_wait(sets[i], &e, 1, i == 0 ? 1000 : 0);
    CHECK(ready >= 1);
    for (int i = 0; i < 4; i++)
        CHECK_EQ(close(sets[i]), 0);
    CHECK_EQ(close(a) | close(l), 0);
    printf("ok listeners\n");
}

static void connects(void)
{
    int l = listener_of(AF_INET);
    uint16_t port = port_of(l);
    int s = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    ep = epoll_create1(0);
    watch(s, EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET);
    show_events("new", wait_one(s, 1));
    CHECK_EQ(wait_one(s, 0), 0);
    CHECK_ERRNO(connect_to(s, AF_INET, port), EINPROGRESS);
    show_events("connected", wait_one(s, 1));
    CHECK_EQ(get_int(s, SOL_SOCKET, SO_ERROR), 0);
    CHECK_EQ(close(s) | close(l), 0);
    s = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    CHECK_ERRNO(connect_to(s, AF_INET, port), EINPROGRESS);
    watch(s, EPOLLOUT);
    maybe_save();
    show_events("refused", wait_one(s, 1));
    CHECK_EQ(get_int(s, SOL_SOCKET, SO_ERROR), ECONNREFUSED);
    CHECK_EQ(close(s) | close(ep), 0);
    printf("ok connects\n");
}

static void datagrams(void)
{
    int a = bound(AF_INET, SOCK_DGRAM), c = socket(AF_INET, SOCK_DGRAM, 0);
    char b[4];
    CHECK_EQ(connect_to(c, AF_INET, port_of(a)), 0);
    ep = epoll_create1(0);
    watch(a, EPOLLIN | EPOLLET);
    CHECK_EQ(wait_one(a, 0), 0);
    CHECK_EQ(write(c, "1", 1), 1);
    show_events("datagram", wait_one(a, 1));
    CHECK_EQ(write(c, "2", 1), 1);
    show_events("another, the first unread", wait_one(a, 1));
    maybe_save();
    CHECK_EQ(read(a, b, 4), 1);
    CHECK_EQ(wait_one(a, 0), 0);
    CHECK_EQ(read(a, b, 4), 1);
    CHECK_EQ(close(a), 0);
    watch(c, EPOLLIN | EPOLLET);
    CHECK_EQ(write(c, "3", 1), 1);
    show_events("refused", wait_one(c, 1));
    CHECK_EQ(close(c) | close(ep), 0);
    printf("ok datagrams\n");
}

int main(void)
{
    setvbuf(stdout, NULL, _IOLBF, 0);
    edges(AF_INET);
    edges(AF_INET6);
    levels();
    room();
    listeners();
    connects();
    datagrams();
    return 0;
}
