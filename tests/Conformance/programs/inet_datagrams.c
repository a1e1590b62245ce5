// UDP over loopback: names, connections, lengths, errors.
#include "inet.h"

static void send_receive(int family)
{
    char b[64];
    int a = bound(family, SOCK_DGRAM), c = socket(family, SOCK_DGRAM, 0);
    uint16_t port = port_of(a);
    CHECK_EQ(port_of(c), 0);
    CHECK_ERRNO(send(c, "x", 1, 0), EDESTADDRREQ);
    CHECK_ERRNO(write(c, "x", 1), EDESTADDRREQ);
    CHECK_EQ(connect_to(c, family, port), 0);
    CHECK(port_of(c) != 0);
    CHECK_EQ(send(c, "hello", 5, 0), 5);
    CHECK_EQ(send(c, "", 0, 0), 0);
    CHECK_EQ(write(c, "third", 5), 5);
    maybe_save();
    int n;
    CHECK_EQ(ioctl(a, FIONREAD, &n), 0);
    CHECK_EQ(n, 5);
    struct sockaddr_storage from;
    socklen_t length = sizeof from;
    CHECK_EQ(recvfrom(a, b, 3, MSG_PEEK, SA(from), &length), 3);
    CHECK_EQ(length, family == AF_INET ? 16 : 28);
    CHECK_EQ(ntohs(((struct sockaddr_in *)&from)->sin_port), port_of(c));
    CHECK_EQ(recv(a, b, 2, MSG_PEEK | MSG_TRUNC), 5);
    struct iovec v[2] = {{b, 2}, {b + 10, 2}};
    struct msghdr m = {.msg_iov = v, .msg_iovlen = 2};
    CHECK_EQ(recvmsg(a, &m, 0), 4);
    CHECK_EQ(m.msg_flags, MSG_TRUNC);
    CHECK_EQ(memcmp(b, "he", 2), 0);
    CHECK_EQ(memcmp(b + 10, "ll", 2), 0);
    CHECK_EQ(recv(a, b, sizeof b, 0), 0);
    CHECK_EQ(read(a, b, sizeof b), 5);
    CHECK_EQ(memcmp(b, "third", 5), 0);
    CHECK_ERRNO(recv(a, b, sizeof b, MSG_DONTWAIT), EAGAIN);
    if (family == AF_INET)
        CHECK_ERRNO(send(c, b, 1, MSG_OOB), EOPNOTSUPP);

    // A connected socket hears its peer alone.
    int other = bound(family, SOCK_DGRAM);
    length = sizeof from;
    CHECK_EQ(getsockname(c, SA(from), &length), 0);
    CHECK_EQ(sendto(other, "no", 2, 0, SA(from), length), 2);
    CHECK_EQ(sendto(a, "yes", 3, 0, SA(from), length), 3);
    maybe_save();
    CHECK_EQ(recv(c, b, sizeof b, 0), 3);
    CHECK_ERRNO(recv(c, b, sizeof b, MSG_DONTWAIT), EAGAIN);

    length = sizeof from;
    CHECK_EQ(getpeername(c, SA(from), &length), 0);
    CHECK_EQ(ntohs(((struct sockaddr_in *)&from)->sin_port), port);
    CHECK_ERRNO(getpeername(a, SA(from), &length), ENOTCONN);
    struct sockaddr none = {.sa_family = AF_UNSPEC};
    CHECK_EQ(connect(c, &none, sizeof none), 0);
    CHECK_ERRNO(getpeername(c, SA(from), &length), ENOTCONN);
    CHECK_ERRNO(send(c, "x", 1, 0), EDESTADDRREQ);

    // Nobody there: told by the next call.
    int dead = bound(family, SOCK_DGRAM);
    uint16_t free_port = port_of(dead);
    CHECK_EQ(close(dead), 0);
    CHECK_EQ(connect_to(c, family, free_port), 0);
    CHECK_EQ(send(c, "x", 1, 0), 1);
    await(c, POLLERR);
    maybe_save();
    CHECK_ERRNO(recv(c, b, sizeof b, MSG_DONTWAIT), ECONNREFUSED);
    CHECK_ERRNO(recv(c, b, sizeof b, MSG_DONTWAIT), EAGAIN);
    CHECK_EQ(send(c, "x", 1, 0), 1);
    await(c, POLLERR);
    CHECK_EQ(get_int(c, SOL_SOCKET, SO_ERROR), ECONNREFUSED);
    CHECK_EQ(get_int(c, SOL_SOCKET, SO_ERROR), 0);

    static char large[70000];
    CHECK_ERRNO(send(c, large, 65536, 0), EMSGSIZE);
    CHECK_ERRNO(send(c, large, 65535, 0), EMSGSIZE);
    CHECK_EQ(connect_to(c, family, port), 0);
    CHECK_EQ(send(c, large, 65000, 0), 65000);
    CHECK_EQ(recv(a, large, sizeof large, 0), 65000);

    CHECK_ERRNO(listen(a, 1), EOPNOTSUPP);
    CHECK_ERRNO(accept(a, NULL, NULL), EOPNOTSUPP);
    CHECK_EQ(close(a) | close(c) | close(other), 0);
    printf("ok %s\n", family == AF_INET ? "IPv4" : "IPv6");
}

static void binding(void)
{
    int a = socket(AF_INET, SOCK_DGRAM, 0), b = socket(AF_INET, SOCK_DGRAM, 0);
    struct sockaddr_in any = in4(INADDR_ANY, 0), elsewhere = in4(0x08080808, 0);
    CHECK_ERRNO(bind(a, SA(any), 8), EINVAL);
    CHECK_ERRNO(bind(a, SA(elsewhere), sizeof elsewhere), EADDRNOTAVAIL);
    struct sockaddr_in wrong = any;
    wrong.sin_family = AF_INET6;
    CHECK_ERRNO(bind(a, SA(wrong), sizeof wrong), EAFNOSUPPORT);
    wrong.sin_family = AF_UNSPEC;
    CHECK_EQ(bind(a, SA(wrong), sizeof wrong), 0);
    CHECK_ERRNO(bind(a, SA(any), sizeof any), EINVAL);
    struct sockaddr_in same = in4(INADDR_LOOPBACK, port_of(a));
    CHECK_ERRNO(bind(b, SA(same), sizeof same), EADDRINUSE);
    set_int(b, SOL_SOCKET, SO_REUSEADDR, 1);
    CHECK_ERRNO(bind(b, SA(same), sizeof same), EADDRINUSE);
    set_int(a, SOL_SOCKET, SO_REUSEADDR, 1);
    maybe_save();
    CHECK_EQ(bind(b, SA(same), sizeof same), 0);

    // The more exact name wins.
    int c = socket(AF_INET, SOCK_DGRAM, 0);
    CHECK_EQ(sendto(c, "x", 1, 0, SA(same), sizeof same), 1);
    char byte;
    CHECK_EQ(recv(b, &byte, 1, MSG_DONTWAIT), 1);
    CHECK_ERRNO(recv(a, &byte, 1, MSG_DONTWAIT), EAGAIN);
    CHECK_EQ(close(b), 0);
    CHECK_EQ(sendto(c, "x", 1, 0, SA(same), sizeof same), 1);
    CHECK_EQ(recv(a, &byte, 1, MSG_DONTWAIT), 1);
    struct sockaddr_in broadcast = in4(0x7fffffff, 9);
    CHECK_ERRNO(sendto(c, "x", 1, 0, SA(broadcast), sizeof broadcast), EACCES);
    struct sockaddr_in zero = in4(INADDR_LOOPBACK, 0);
    CHECK_ERRNO(sendto(c, "x", 1, 0, SA(zero), sizeof zero), EINVAL);
    CHECK_EQ(close(a) | close(c), 0);
    ok("binding");
}

static void dual_stack(void)
{
    int six = socket(AF_INET6, SOCK_DGRAM, 0), four = socket(AF_INET, SOCK_DGRAM, 0);
    struct sockaddr_in6 any = in6(&in6addr_any, 0);
    CHECK_EQ(get_int(six, IPPROTO_IPV6, IPV6_V6ONLY), 0);
    CHECK_EQ(bind(six, SA(any), sizeof any), 0);
    CHECK_ERRNO(setsockopt(six, IPPROTO_IPV6, IPV6_V6ONLY, &(int){1}, sizeof(int)), EINVAL);
    struct sockaddr_in to = in4(INADDR_LOOPBACK, port_of(six));
    CHECK_EQ(sendto(four, "four", 4, 0, SA(to), sizeof to), 4);
    struct sockaddr_in6 from;
    socklen_t n = sizeof from;
    char b[16], text[64];
    CHECK_EQ(recvfrom(six, b, sizeof b, 0, SA(from), &n), 4);
    CHECK_EQ(from.sin6_family, AF_INET6);
    printf("from %s\n", inet_ntop(AF_INET6, &from.sin6_addr, text, sizeof text));
    maybe_save();
    CHECK_EQ(sendto(six, "back", 4, 0, SA(from), n), 4);
    CHECK_EQ(recv(four, b, sizeof b, 0), 4);
    struct sockaddr_in direct = in4(INADDR_LOOPBACK, port_of(four));
    CHECK_EQ(sendto(six, "in", 2, 0, SA(direct), sizeof direct), 2);
    CHECK_EQ(recv(four, b, sizeof b, 0), 2);

    int only = socket(AF_INET6, SOCK_DGRAM, 0);
    set_int(only, IPPROTO_IPV6, IPV6_V6ONLY, 1);
    CHECK_EQ(bind(only, SA(any), sizeof any), 0);
    to.sin_port = htons(port_of(only));
    CHECK_EQ(connect(four, SA(to), sizeof to), 0);
    CHECK_EQ(send(four, "x", 1, 0), 1);
    await(four, POLLERR);
    CHECK_ERRNO(recv(four, b, 1, MSG_DONTWAIT), ECONNREFUSED);
    CHECK_ERRNO(sendto(only, "x", 1, 0, SA(from), sizeof from), ENETUNREACH);
    CHECK_EQ(close(six) | close(four) | close(only), 0);
    ok("dual stack");
}

static void vectors(void)
{
    int a = bound(AF_INET, SOCK_DGRAM), c = socket(AF_INET, SOCK_DGRAM, 0);
    CHECK_EQ(connect_to(c, AF_INET, port_of(a)), 0);
    char text[3][8] = {"one", "two", "three"}, b[4][8];
    struct iovec v[4];
    struct mmsghdr m[4];
    memset(m, 0, sizeof m);
    for (int i = 0; i < 3; i++) {
        v[i] = (struct iovec){text[i], strlen(text[i])};
        m[i].msg_hdr = (struct msghdr){.msg_iov = &v[i], .msg_iovlen = 1};
    }
    CHECK_EQ(sendmmsg(c, m, 3, 0), 3);
    CHECK_EQ(m[2].msg_len, 5);
    maybe_save();
    struct sockaddr_in from[4];
    for (int i = 0; i < 4; i++) {
        v[i] = (struct iovec){b[i], sizeof b[i]};
        m[i].msg_hdr = (struct msghdr){.msg_iov = &v[i], .msg_iovlen = 1, .msg_name = &from[i], .msg_namelen = sizeof from[i]};
    }
    CHECK_EQ(recvmmsg(a, m, 4, MSG_WAITFORONE, NULL), 3);
    CHECK_EQ(m[0].msg_len, 3);
    CHECK_EQ(memcmp(b[2], "three", 5), 0);
    CHECK_EQ(m[1].msg_hdr.msg_namelen, 16);
    CHECK_EQ(ntohs(from[1].sin_port), port_of(c));
    struct timespec brief = {0, 50000000};
    CHECK_EQ(send(c, "y", 1, 0), 1);
    CHECK_EQ(recvmmsg(a, m, 1, 0, &brief), 1);
    CHECK_ERRNO(recvmmsg(a, m, 4, MSG_DONTWAIT, NULL), EAGAIN);

    // Pieces of one datagram.
    CHECK_EQ(send(c, "ab", 2, MSG_MORE), 2);
    CHECK_ERRNO(recv(a, b, 8, MSG_DONTWAIT), EAGAIN);
    maybe_save();
    CHECK_EQ(send(c, "cd", 2, 0), 2);
    CHECK_EQ(recv(a, b, 8, 0), 4);
    CHECK_EQ(memcmp(b, "abcd", 4), 0);
    set_int(c, IPPROTO_UDP, 1 /* UDP_CORK */, 1);
    CHECK_EQ(send(c, "12", 2, 0), 2);
    CHECK_EQ(send(c, "34", 2, 0), 2);
    CHECK_ERRNO(recv(a, b, 8, MSG_DONTWAIT), EAGAIN);
    set_int(c, IPPROTO_UDP, 1, 0);
    CHECK_EQ(recv(a, b, 8, 0), 4);
    CHECK_EQ(memcmp(b, "1234", 4), 0);

    CHECK_EQ(close(a) | close(c), 0);
    ok("vectors");
}

static void timeouts_and_shutdown(void)
{
    int a = bound(AF_INET, SOCK_DGRAM), c = socket(AF_INET, SOCK_DGRAM, 0);
    char b[8];
    struct timeval brief = {0, 50000};
    CHECK_EQ(setsockopt(a, SOL_SOCKET, SO_RCVTIMEO, &brief, sizeof brief), 0);
    int64_t start = now_ns();
    CHECK_ERRNO(recv(a, b, 8, 0), EAGAIN);
    CHECK_ERRNO(read(a, b, 8), EAGAIN);
    CHECK(now_ns() - start >= 100000000);
    brief.tv_usec = 0;
    CHECK_EQ(setsockopt(a, SOL_SOCKET, SO_RCVTIMEO, &brief, sizeof brief), 0);

    pid_t pid = fork_checked();
    if (pid == 0) {
        sleep_ms(50);
        maybe_save();
        CHECK_EQ(connect_to(c, AF_INET, port_of(a)), 0);
        CHECK_EQ(send(c, "wake", 4, 0), 4);
        _exit(0);
    }
    CHECK_EQ(recv(a, b, 8, 0), 4);
    reap(pid);

    CHECK_ERRNO(shutdown(a, SHUT_RD), ENOTCONN);
    CHECK_EQ(connect_to(c, AF_INET, port_of(a)), 0);
    show_bits("connected", poll_bits(c));
    CHECK_EQ(shutdown(c, SHUT_RD), 0);
    show_bits("shut for reading", poll_bits(c));
    CHECK_EQ(recv(c, b, 8, 0), 0);
    CHECK_EQ(shutdown(c, SHUT_WR), 0);
    show_bits("shut", poll_bits(c));
    signal(SIGPIPE, SIG_DFL);
    CHECK_ERRNO(send(c, "x", 1, 0), EPIPE);
    CHECK_ERRNO(write(c, "x", 1), EPIPE);
    CHECK_EQ(close(a) | close(c), 0);
    ok("timeouts and shutdown");
}

int main(void)
{
    send_receive(AF_INET);
    send_receive(AF_INET6);
    binding();
    dual_stack();
    vectors();
    timeouts_and_shutdown();
    CHECK_ERRNO(socket(AF_INET, SOCK_DGRAM, IPPROTO_TCP), EPROTONOSUPPORT);
    CHECK_ERRNO(socket(AF_INET, SOCK_STREAM, IPPROTO_UDP), EPROTONOSUPPORT);
    CHECK_ERRNO(socket(AF_INET, SOCK_SEQPACKET, 0), ESOCKTNOSUPPORT);
    CHECK_ERRNO(socket(AF_INET, SOCK_RAW, 0), EPROTONOSUPPORT);
    CHECK_ERRNO(socket(AF_INET, SOCK_STREAM, 1000), EINVAL);
    CHECK_ERRNO(socketpair(AF_INET, SOCK_DGRAM, 0, (int[2]){0, 0}), EOPNOTSUPP);
    ok("errors");
    return 0;
}
