// Calls on sockets that wait across a save: accept, connect, read, write, poll, a close that lingers; connections that are queued, half closed, full.
#include "inet.h"
#include <sys/epoll.h>

static pid_t saver(int ms)
{
    pid_t pid = fork_checked();
    if (pid != 0)
        return pid;
    sleep_ms(ms);
    maybe_save();
    _exit(0);
}

static void waits(int family)
{
    int l = listener_of(family), p[2];
    uint16_t port = port_of(l);
    pid_t pid = fork_checked();
    if (pid == 0) {
        sleep_ms(60);
        maybe_save();
        sleep_ms(20);
        int s = socket(family, SOCK_STREAM, 0);
        CHECK_EQ(connect_to(s, family, port), 0);
        sleep_ms(60);
        maybe_save();
        CHECK_EQ(write(s, "hello", 5), 5);
        char b[8];
        CHECK_EQ(read(s, b, 8), 2);
        _exit(0);
    }
    int s = accept(l, NULL, NULL);
    CHECK(s >= 0);
    char b[16];
    CHECK_EQ(read(s, b, 16), 5);
    pid_t other = saver(30);
    struct pollfd f = {s, POLLIN, 0};
    CHECK_EQ(poll(&f, 1, 100), 0);
    reap(other);
    CHECK_EQ(write(s, "ok", 2), 2);
    reap(pid);
    CHECK_EQ(read(s, b, 16), 0);
    CHECK_EQ(close(s) | close(l), 0);

    // A timeout goes on from where it was.
    tcp_pair(family, p);
    struct timeval t = {0, 200000};
    CHECK_EQ(setsockopt(p[0], SOL_SOCKET, SO_RCVTIMEO, &t, sizeof t), 0);
    pid = saver(60);
    int64_t start = now_ns();
    CHECK_ERRNO(read(p[0], b, 1), EAGAIN);
    CHECK(now_ns() - start >= 200000000);
    reap(pid);
    CHECK_EQ(close(p[0]) | close(p[1]), 0);
    ok("waits");
}

// A writer that is full in the middle of a large write.
static void full(void)
{
    enum { SIZE = 16 << 20 };
    int p[2];
    tcp_pair(AF_INET, p);
    char *b = calloc(1, SIZE);
    CHECK(b != NULL);
    pid_t pid = fork_checked();
    if (pid == 0) {
        close(p[1]);
        for (int i = 0; i < SIZE; i += 4096)
            b[i] = (char)(i >> 12);
        CHECK_EQ(send(p[0], b, SIZE, 0), SIZE);
        CHECK_EQ(shutdown(p[0], SHUT_WR), 0);
        CHECK_EQ(read(p[0], b, 1), 1);
        _exit(0);
    }
    close(p[0]);
    sleep_ms(80);
    maybe_save();
    CHECK_EQ(recv(p[1], b, SIZE / 2, MSG_WAITALL), SIZE / 2);
    sleep_ms(30);
    maybe_save();
    CHECK_EQ(recv(p[1], b + SIZE / 2, SIZE, MSG_WAITALL), SIZE / 2);
    for (int i = 0; i < SIZE; i += 4096)
        CHECK_EQ(b[i], (char)(i >> 12));
    maybe_save();
    CHECK_EQ(write(p[1], "x", 1), 1);
    reap(pid);
    CHECK_EQ(close(p[1]), 0);
    ok("full");
}

// Connections that nobody has accepted, with data, and one whose client is gone.
static void queued(void)
{
    int l = listener_of(AF_INET), c[3];
    uint16_t port = port_of(l);
    for (int i = 0; i < 3; i++) {
        c[i] = socket(AF_INET, SOCK_STREAM, 0);
        CHECK_EQ(connect_to(c[i], AF_INET, port), 0);
        CHECK_EQ(write(c[i], "0123" + i, 1), 1);
    }
    CHECK_EQ(close(c[2]), 0);
    maybe_save();
    char b[8];
    for (int i = 0; i < 3; i++) {
        int s = accept(l, NULL, NULL);
        CHECK(s >= 0);
        CHECK_EQ(read(s, b, 8), 1);
        CHECK_EQ(b[0], '0' + i);
        if (i == 2)
            CHECK_EQ(read(s, b, 8), 0);
        else
            CHECK_EQ(write(s, "r", 1), 1);
        CHECK_EQ(close(s), 0);
    }
    maybe_save();
    for (int i = 0; i < 2; i++) {
        CHECK_EQ(read(c[i], b, 8), 1);
        CHECK_EQ(read(c[i], b, 8), 0);
        CHECK_EQ(close(c[i]), 0);
    }
    CHECK_EQ(close(l), 0);
    ok("queued");
}

static void sets(void)
{
    int p[2], u = bound(AF_INET, SOCK_DGRAM);
    tcp_pair(AF_INET, p);
    int e = epoll_create1(0);
    struct epoll_event event = {.events = EPOLLIN | EPOLLET, .data.fd = p[0]};
    CHECK_EQ(epoll_ctl(e, EPOLL_CTL_ADD, p[0], &event), 0);
    event.data.fd = u;
    CHECK_EQ(epoll_ctl(e, EPOLL_CTL_ADD, u, &event), 0);
    for (int i = 0; i < 2; i++) {
        pid_t pid = fork_checked();
        if (pid == 0) {
            sleep_ms(50);
            maybe_save();
            if (i == 0) {
                CHECK_EQ(write(p[1], "x", 1), 1);
            } else {
                int v = socket(AF_INET, SOCK_DGRAM, 0);
                CHECK_EQ(connect_to(v, AF_INET, port_of(u)), 0);
                CHECK_EQ(write(v, "x", 1), 1);
            }
            _exit(0);
        }
        CHECK_EQ(epoll_wait(e, &event, 1, -1), 1);
        CHECK_EQ(event.data.fd, i == 0 ? p[0] : u);
        reap(pid);
    }
    CHECK_EQ(close(p[0]) | close(p[1]) | close(u) | close(e), 0);
    ok("sets");
}

// Nobody answers a SYN to a listener whose queue is full: connect waits for its timeout.
static void connects(void)
{
    int l = bound(AF_INET, SOCK_STREAM);
    CHECK_EQ(listen(l, 0), 0);
    uint16_t port = port_of(l);
    int first = socket(AF_INET, SOCK_STREAM, 0);
    CHECK_EQ(connect_to(first, AF_INET, port), 0);
    int s = socket(AF_INET, SOCK_STREAM, 0);
    struct timeval t = {0, 300000};
    CHECK_EQ(setsockopt(s, SOL_SOCKET, SO_SNDTIMEO, &t, sizeof t), 0);
    pid_t pid = saver(60);
    int64_t start = now_ns();
    CHECK_ERRNO(connect_to(s, AF_INET, port), EINPROGRESS);
    CHECK(now_ns() - start >= 300000000);
    reap(pid);
    nonblocking(s);
    CHECK_ERRNO(connect_to(s, AF_INET, port), EALREADY);
    show_bits("connecting", poll_bits(s));
    int a = accept(l, NULL, NULL);
    CHECK(a >= 0);
    maybe_save();
    struct pollfd f = {s, POLLOUT, 0};
    CHECK_EQ(poll(&f, 1, 5000), 1);
    CHECK_EQ(get_int(s, SOL_SOCKET, SO_ERROR), 0);
    int b = accept(l, NULL, NULL);
    CHECK(b >= 0);
    CHECK_EQ(close(a) | close(b) | close(s) | close(first) | close(l), 0);
    ok("connects");
}

// SO_LINGER: close waits for the peer to take what is queued.
static void lingers(void)
{
    int p[2];
    static char b[1 << 16];
    pid_t pid = saver(200);
    tcp_pair(AF_INET, p);
    nonblocking(p[0]);
    size_t sent = 0;
    for (ssize_t n; (n = write(p[0], b, sizeof b)) > 0;)
        sent += (size_t)n;
    struct linger g = {1, 1};
    CHECK_EQ(setsockopt(p[0], SOL_SOCKET, SO_LINGER, &g, sizeof g), 0);
    int64_t start = now_ns();
    CHECK_EQ(close(p[0]), 0);
    CHECK(now_ns() - start >= 1000000000);
    reap(pid);
    for (ssize_t n; (n = read(p[1], b, sizeof b)) != 0; sent -= (size_t)n)
        CHECK(n > 0);
    CHECK_EQ(sent, 0);
    CHECK_EQ(close(p[1]), 0);
    ok("lingers");
}

int main(void)
{
    setvbuf(stdout, NULL, _IOLBF, 0);
    waits(AF_INET);
    waits(AF_INET6);
    full();
    queued();
    sets();
    connects();
    lingers();
    return 0;
}
