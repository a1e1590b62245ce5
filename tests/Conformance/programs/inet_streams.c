// TCP over loopback: connections, half-close, resets, errors, lengths.
#include "inet.h"
#include <pthread.h>

static void *shut_down(void *s)
{
    sleep_ms(60);
    maybe_save();
    CHECK_EQ(shutdown(*(int *)s, SHUT_RD), 0);
    return NULL;
}

static void *connect_later(void *port)
{
    sleep_ms(60);
    maybe_save();
    int s = socket(AF_INET, SOCK_STREAM, 0);
    CHECK_EQ(connect_to(s, AF_INET, *(uint16_t *)port), 0);
    CHECK_EQ(close(s), 0);
    return NULL;
}

static void listening(void)
{
    int l = socket(AF_INET, SOCK_STREAM, 0);
    struct sockaddr_in a = in4(INADDR_LOOPBACK, 0), peer;
    socklen_t n = sizeof peer;
    CHECK_ERRNO(accept(l, NULL, NULL), EINVAL);
    CHECK_EQ(get_int(l, SOL_SOCKET, SO_ACCEPTCONN), 0);
    CHECK_EQ(listen(l, 4), 0);
    CHECK_EQ(get_int(l, SOL_SOCKET, SO_ACCEPTCONN), 1);
    CHECK(port_of(l) != 0);
    CHECK_ERRNO(bind(l, SA(a), sizeof a), EINVAL);
    CHECK_EQ(listen(l, 8), 0);
    CHECK_ERRNO(connect(l, SA(a), sizeof a), EISCONN);
    CHECK_ERRNO(getpeername(l, SA(peer), &n), ENOTCONN);
    char b;
    CHECK_ERRNO(recv(l, &b, 1, 0), ENOTCONN);
    int q;
    CHECK_ERRNO(ioctl(l, FIONREAD, &q), EINVAL);
    int second = socket(AF_INET, SOCK_STREAM, 0);
    struct sockaddr_in same = in4(INADDR_LOOPBACK, port_of(l));
    CHECK_ERRNO(bind(second, SA(same), sizeof same), EADDRINUSE);
    CHECK_EQ(close(second), 0);
    nonblocking(l);
    CHECK_ERRNO(accept(l, NULL, NULL), EAGAIN);
    maybe_save();
    int c = socket(AF_INET, SOCK_STREAM, 0);
    CHECK_EQ(connect(c, SA(same), sizeof same), 0);
    show_bits("listener", poll_bits(l));
    int s = accept4(l, SA(peer), &n, SOCK_CLOEXEC | SOCK_NONBLOCK);
    CHECK(s >= 0);
    CHECK_EQ(n, sizeof peer);
    CHECK_EQ(ntohs(peer.sin_port), port_of(c));
    CHECK_EQ(fcntl(s, F_GETFD), FD_CLOEXEC);
    CHECK_EQ(fcntl(s, F_GETFL) & O_NONBLOCK, O_NONBLOCK);
    CHECK_EQ(close(s) | close(c), 0);
    CHECK_EQ(fcntl(l, F_SETFL, 0), 0);

    struct timeval brief = {0, 50000};
    CHECK_EQ(setsockopt(l, SOL_SOCKET, SO_RCVTIMEO, &brief, sizeof brief), 0);
    CHECK_ERRNO(accept(l, NULL, NULL), EAGAIN);
    brief.tv_usec = 0;
    CHECK_EQ(setsockopt(l, SOL_SOCKET, SO_RCVTIMEO, &brief, sizeof brief), 0);

    pthread_t t;
    uint16_t port = port_of(l);
    CHECK_EQ(pthread_create(&t, NULL, connect_later, &port), 0);
    s = accept(l, NULL, NULL);
    CHECK(s >= 0);
    CHECK_EQ(pthread_join(t, NULL), 0);
    CHECK_EQ(read(s, &b, 1), 0);
    CHECK_EQ(close(s), 0);
    CHECK_EQ(pthread_create(&t, NULL, shut_down, &l), 0);
    CHECK_ERRNO(accept(l, NULL, NULL), EINVAL);
    CHECK_EQ(pthread_join(t, NULL), 0);
    CHECK_EQ(listen(l, 1), 0);
    CHECK_EQ(close(l), 0);
    ok("listening");
}

static void connecting(void)
{
    int c = socket(AF_INET, SOCK_STREAM, 0);
    show_bits("new", poll_bits(c));
    char b;
    CHECK_ERRNO(recv(c, &b, 1, 0), ENOTCONN);
    CHECK_ERRNO(send(c, "x", 1, MSG_NOSIGNAL), EPIPE);
    CHECK_ERRNO(shutdown(c, SHUT_WR), ENOTCONN);
    int l = listener_of(AF_INET);
    uint16_t port = port_of(l);
    struct sockaddr_in to = in4(INADDR_LOOPBACK, port);
    CHECK_ERRNO(connect(c, SA(to), 4), EINVAL);
    to.sin_family = AF_INET6;
    CHECK_ERRNO(connect(c, SA(to), sizeof to), EAFNOSUPPORT);
    to.sin_family = AF_INET;
    nonblocking(c);
    CHECK_ERRNO(connect(c, SA(to), sizeof to), EINPROGRESS);
    await(c, POLLOUT);
    CHECK_EQ(get_int(c, SOL_SOCKET, SO_ERROR), 0);
    maybe_save();
    CHECK_EQ(connect(c, SA(to), sizeof to), 0);
    CHECK_ERRNO(connect(c, SA(to), sizeof to), EISCONN);
    CHECK_ERRNO(listen(c, 1), EINVAL);
    show_bits("connected", poll_bits(c));
    CHECK_EQ(close(c), 0);

    // Nobody listens.
    CHECK_EQ(close(l), 0);
    c = socket(AF_INET, SOCK_STREAM, 0);
    CHECK_ERRNO(connect(c, SA(to), sizeof to), ECONNREFUSED);
    CHECK_ERRNO(connect(c, SA(to), sizeof to), ECONNREFUSED);
    nonblocking(c);
    CHECK_ERRNO(connect(c, SA(to), sizeof to), EINPROGRESS);
    await(c, POLLERR);
    show_bits("refused", poll_bits(c));
    maybe_save();
    CHECK_EQ(get_int(c, SOL_SOCKET, SO_ERROR), ECONNREFUSED);
    show_bits("refused and told", poll_bits(c));
    CHECK_EQ(close(c), 0);

    struct sockaddr_in many = in4(0xe0000001, 80);
    c = socket(AF_INET, SOCK_STREAM, 0);
    CHECK_ERRNO(connect(c, SA(many), sizeof many), ENETUNREACH);
    CHECK_EQ(close(c), 0);

    // connect to an unspecified address is connect to this host.
    l = listener_of(AF_INET);
    to = in4(INADDR_ANY, port_of(l));
    c = socket(AF_INET, SOCK_STREAM, 0);
    CHECK_EQ(connect(c, SA(to), sizeof to), 0);
    struct sockaddr none = {.sa_family = AF_UNSPEC};
    CHECK_EQ(connect(c, &none, sizeof none), 0);
    CHECK_ERRNO(send(c, "x", 1, MSG_NOSIGNAL), ECONNRESET);
    CHECK_ERRNO(send(c, "x", 1, MSG_NOSIGNAL), EPIPE);
    int s = accept(l, NULL, NULL);
    CHECK_ERRNO(read(s, &b, 1), ECONNRESET);
    CHECK_EQ(read(s, &b, 1), 0);
    CHECK_EQ(connect(c, SA(to), sizeof to), 0);
    CHECK_EQ(close(s) | close(c) | close(l), 0);
    ok("connecting");
}

static void bytes(int family)
{
    int p[2];
    char b[64];
    tcp_pair(family, p);
    CHECK_EQ(send(p[0], "hello world", 11, 0), 11);
    await(p[1], POLLIN);
    maybe_save();
    CHECK_EQ(recv(p[1], b, 5, MSG_PEEK), 5);
    CHECK_EQ(recv(p[1], b, 6, MSG_TRUNC), 6);
    int n;
    CHECK_EQ(ioctl(p[1], FIONREAD, &n), 0);
    CHECK_EQ(n, 5);
    CHECK_EQ(recv(p[1], b, sizeof b, 0), 5);
    CHECK_EQ(memcmp(b, "world", 5), 0);
    CHECK_ERRNO(recv(p[1], b, 1, MSG_DONTWAIT), EAGAIN);
    CHECK_ERRNO(recv(p[1], b, 0, MSG_DONTWAIT), EAGAIN);
    CHECK_EQ(read(p[1], b, 0), 0);
    struct sockaddr_storage from;
    socklen_t length = sizeof from;
    CHECK_EQ(write(p[0], "x", 1), 1);
    CHECK_EQ(recvfrom(p[1], b, 1, 0, SA(from), &length), 1);
    CHECK_EQ(length, 0);

    pid_t pid = fork_checked();
    if (pid == 0) {
        CHECK_EQ(write(p[0], "part", 4), 4);
        sleep_ms(40);
        maybe_save();
        sleep_ms(40);
        CHECK_EQ(write(p[0], "whole", 5), 5);
        _exit(0);
    }
    CHECK_EQ(recv(p[1], b, 9, MSG_WAITALL), 9);
    CHECK_EQ(memcmp(b, "partwhole", 9), 0);
    reap(pid);

    set_int(p[1], SOL_SOCKET, SO_RCVLOWAT, 4);
    CHECK_EQ(write(p[0], "ab", 2), 2);
    sleep_ms(20);
    show_bits("below the low-water mark", poll_bits(p[1]));
    pid = fork_checked();
    if (pid == 0) {
        sleep_ms(40);
        maybe_save();
        CHECK_EQ(write(p[0], "cdef", 4), 4);
        _exit(0);
    }
    CHECK_EQ(read(p[1], b, sizeof b), 6);
    reap(pid);
    set_int(p[1], SOL_SOCKET, SO_RCVLOWAT, 1);

    // Half-close: what was sent before still comes, and the other way stays open.
    CHECK_EQ(write(p[0], "last", 4), 4);
    CHECK_EQ(shutdown(p[0], SHUT_WR), 0);
    CHECK_ERRNO(send(p[0], "x", 1, MSG_NOSIGNAL), EPIPE);
    await(p[1], POLLRDHUP);
    show_bits("peer shut", poll_bits(p[1]));
    show_bits("shut", poll_bits(p[0]));
    maybe_save();
    CHECK_EQ(recv(p[1], b, 20, MSG_WAITALL), 4);
    CHECK_EQ(read(p[1], b, 20), 0);
    CHECK_EQ(write(p[1], "answer", 6), 6);
    CHECK_EQ(recv(p[0], b, 6, MSG_WAITALL), 6);
    CHECK_EQ(shutdown(p[1], SHUT_WR), 0);
    await(p[0], POLLHUP);
    show_bits("both shut", poll_bits(p[0]));
    CHECK_EQ(read(p[0], b, 1), 0);
    CHECK_EQ(close(p[0]) | close(p[1]), 0);
    printf("ok bytes %s\n", family == AF_INET ? "IPv4" : "IPv6");
}

static volatile sig_atomic_t pipes;

static void on_pipe(int signal)
{
    (void)signal;
    pipes++;
}

static void resets(void)
{
    int p[2];
    char b[64];
    // Closing with unread bytes, or with SO_LINGER 0, resets.
    tcp_pair(AF_INET, p);
    CHECK_EQ(write(p[0], "unread", 6), 6);
    await(p[1], POLLIN);
    CHECK_EQ(close(p[1]), 0);
    await(p[0], POLLERR);
    show_bits("reset", poll_bits(p[0]));
    maybe_save();
    CHECK_EQ(get_int(p[0], SOL_SOCKET, SO_ERROR), ECONNRESET);
    CHECK_EQ(read(p[0], b, 1), 0);
    CHECK_ERRNO(send(p[0], "x", 1, MSG_NOSIGNAL), EPIPE);
    CHECK_EQ(close(p[0]), 0);

    tcp_pair(AF_INET, p);
    struct linger l = {1, 0};
    CHECK_EQ(setsockopt(p[1], SOL_SOCKET, SO_LINGER, &l, sizeof l), 0);
    CHECK_EQ(close(p[1]), 0);
    CHECK_ERRNO(read(p[0], b, 1), ECONNRESET);
    CHECK_EQ(read(p[0], b, 1), 0);
    CHECK_EQ(close(p[0]), 0);

    // Writing to a closed peer: the first is taken, then EPIPE with SIGPIPE.
    signal(SIGPIPE, on_pipe);
    tcp_pair(AF_INET, p);
    CHECK_EQ(close(p[1]), 0);
    CHECK_EQ(write(p[0], "x", 1), 1);
    await(p[0], POLLERR | POLLHUP);
    maybe_save();
    CHECK_ERRNO(write(p[0], "x", 1), EPIPE);
    CHECK_EQ(pipes, 1);
    CHECK_ERRNO(send(p[0], "x", 1, MSG_NOSIGNAL), EPIPE);
    CHECK_EQ(pipes, 1);
    CHECK_ERRNO(send(p[0], "x", 1, 0), EPIPE);
    CHECK_EQ(pipes, 2);
    signal(SIGPIPE, SIG_DFL);
    CHECK_EQ(close(p[0]), 0);

    // A linger that waits for nothing returns at once.
    tcp_pair(AF_INET, p);
    l = (struct linger){1, 5};
    CHECK_EQ(setsockopt(p[0], SOL_SOCKET, SO_LINGER, &l, sizeof l), 0);
    CHECK_EQ(write(p[0], "all", 3), 3);
    int64_t start = now_ns();
    CHECK_EQ(close(p[0]), 0);
    CHECK(now_ns() - start < 1000000000);
    CHECK_EQ(recv(p[1], b, 4, MSG_WAITALL), 3);
    CHECK_EQ(close(p[1]), 0);
    ok("resets");
}

static unsigned char pattern(size_t i)
{
    return (unsigned char)(i * 7 + (i >> 8) * 13);
}

// More than the buffers hold, so that the writer waits, in pieces of odd sizes, with saves on the way.
static void transfer(int family, size_t total)
{
    int p[2];
    tcp_pair(family, p);
    static unsigned char b[1 << 17];
    pid_t pid = fork_checked();
    if (pid == 0) {
        CHECK_EQ(close(p[1]), 0);
        for (size_t done = 0; done < total;) {
            size_t n = 1 + done % 100003;
            if (n > total - done)
                n = total - done;
            for (size_t i = 0; i < n; i++)
                b[i] = pattern(done + i);
            CHECK_EQ(write(p[0], b, n), n);
            done += n;
        }
        _exit(0);
    }
    CHECK_EQ(close(p[0]), 0);
    sleep_ms(100);
    maybe_save();
    size_t done = 0;
    for (ssize_t n; (n = read(p[1], b, 1 + done % 70001)) != 0; done += (size_t)n) {
        CHECK(n > 0);
        for (ssize_t i = 0; i < n; i++)
            CHECK_EQ(b[i], pattern(done + (size_t)i));
        if (done < total / 2 && done + (size_t)n >= total / 2)
            maybe_save();
    }
    CHECK_EQ(done, total);
    reap(pid);
    CHECK_EQ(close(p[1]), 0);
    ok("transfer");
}

static void full(void)
{
    int p[2];
    tcp_pair(AF_INET, p);
    static char b[1 << 16];
    nonblocking(p[0]);
    size_t sent = 0;

    // The peer's last acknowledgement may be late, and makes room once more.
    for (size_t before = 1; before != sent;) {
        before = sent;
        for (ssize_t n; (n = write(p[0], b, sizeof b)) > 0;)
            sent += (size_t)n;
        CHECK_EQ(errno, EAGAIN);
        sleep_ms(250);
    }
    show_bits("full", poll_bits(p[0]));
    int queued;
    CHECK_EQ(ioctl(p[0], TIOCOUTQ, &queued), 0);
    CHECK(queued > 0);
    struct timeval brief = {0, 50000};
    CHECK_EQ(fcntl(p[0], F_SETFL, 0), 0);
    CHECK_EQ(setsockopt(p[0], SOL_SOCKET, SO_SNDTIMEO, &brief, sizeof brief), 0);
    int64_t start = now_ns();
    CHECK_ERRNO(write(p[0], b, 1), EAGAIN);
    CHECK(now_ns() - start >= 50000000);
    maybe_save();
    size_t got = 0;
    while (got < sent) {
        ssize_t n = read(p[1], b, sizeof b);
        CHECK(n > 0);
        got += (size_t)n;
    }
    await(p[0], POLLOUT);
    CHECK_EQ(write(p[0], b, 1), 1);
    CHECK_EQ(read(p[1], b, sizeof b), 1);
    CHECK_EQ(close(p[0]) | close(p[1]), 0);
    ok("full");
}

static void reuse(void)
{
    int a = bound(AF_INET, SOCK_STREAM), b = socket(AF_INET, SOCK_STREAM, 0);
    struct sockaddr_in same = in4(INADDR_LOOPBACK, port_of(a));
    set_int(b, SOL_SOCKET, SO_REUSEADDR, 1);
    CHECK_ERRNO(bind(b, SA(same), sizeof same), EADDRINUSE);
    set_int(a, SOL_SOCKET, SO_REUSEADDR, 1);
    CHECK_EQ(bind(b, SA(same), sizeof same), 0);
    CHECK_EQ(listen(a, 1), 0);
    CHECK_ERRNO(listen(b, 1), EADDRINUSE);
    CHECK_EQ(close(a) | close(b), 0);

    // Two listeners of one port share what comes.
    a = socket(AF_INET, SOCK_STREAM, 0);
    b = socket(AF_INET, SOCK_STREAM, 0);
    set_int(a, SOL_SOCKET, SO_REUSEPORT, 1);
    set_int(b, SOL_SOCKET, SO_REUSEPORT, 1);
    same.sin_port = 0;
    CHECK_EQ(bind(a, SA(same), sizeof same), 0);
    same.sin_port = htons(port_of(a));
    CHECK_EQ(bind(b, SA(same), sizeof same), 0);
    CHECK_EQ(listen(a, 64) | listen(b, 64), 0);
    maybe_save();
    int clients[32], counts[2] = {0, 0};
    for (int i = 0; i < 32; i++) {
        clients[i] = socket(AF_INET, SOCK_STREAM, 0);
        CHECK_EQ(connect(clients[i], SA(same), sizeof same), 0);
    }
    nonblocking(a);
    nonblocking(b);
    for (int s; (s = accept(a, NULL, NULL)) >= 0; counts[0]++)
        CHECK_EQ(close(s), 0);
    for (int s; (s = accept(b, NULL, NULL)) >= 0; counts[1]++)
        CHECK_EQ(close(s), 0);
    CHECK_EQ(counts[0] + counts[1], 32);
    CHECK(counts[0] > 0 && counts[1] > 0);
    for (int i = 0; i < 32; i++)
        CHECK_EQ(close(clients[i]), 0);
    CHECK_EQ(close(a) | close(b), 0);
    ok("reuse");
}

int main(void)
{
    setvbuf(stdout, NULL, _IOLBF, 0);
    listening();
    connecting();
    bytes(AF_INET);
    bytes(AF_INET6);
    resets();
    transfer(AF_INET, 12 << 20);
    transfer(AF_INET6, 3 << 20);
    full();
    reuse();
    return 0;
}
