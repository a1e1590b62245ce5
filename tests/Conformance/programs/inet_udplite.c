// UDP-Lite (RFC 3828): checksums over a part of a datagram, and receivers that want more of it.
#include "inet.h"

#define UDPLITE 136
#define SEND_CSCOV 10
#define RECV_CSCOV 11

static int option(int s, int name)
{
    int value = -1;
    socklen_t n = sizeof value;
    CHECK_EQ(getsockopt(s, UDPLITE, name, &value, &n), 0);
    return value;
}

static void set_option(int s, int name, int value)
{
    CHECK_EQ(setsockopt(s, UDPLITE, name, &value, sizeof value), 0);
}

static void pass(int from, int to, size_t size, int arrives)
{
    static char sent[9000], got[9000];
    for (size_t i = 0; i < size; i++)
        sent[i] = (char)(i * 7 + size);
    CHECK_EQ(send(from, sent, size, 0), (ssize_t)size);
    if (!arrives) {
        CHECK_ERRNO(recv(to, got, sizeof got, MSG_DONTWAIT), EAGAIN);
        return;
    }
    CHECK_EQ(recv(to, got, sizeof got, 0), (ssize_t)size);
    CHECK_EQ(memcmp(sent, got, size), 0);
}

static void family(int domain)
{
    struct sockaddr_storage storage = {.ss_family = domain};
    struct sockaddr *a = (struct sockaddr *)&storage;
    socklen_t n = domain == AF_INET ? sizeof(struct sockaddr_in) : sizeof(struct sockaddr_in6);
    if (domain == AF_INET)
        ((struct sockaddr_in *)a)->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    else
        ((struct sockaddr_in6 *)a)->sin6_addr = in6addr_loopback;
    int to = socket(domain, SOCK_DGRAM, UDPLITE), from = socket(domain, SOCK_DGRAM, UDPLITE), other = socket(domain, SOCK_DGRAM, 0);
    CHECK(to >= 0 && from >= 0);
    CHECK_EQ(bind(to, a, n), 0);
    CHECK_EQ(getsockname(to, a, &n), 0);
    CHECK_EQ(bind(other, a, n), 0); // the same port of UDP is another's
    CHECK_EQ(connect(from, a, n), 0);
    int protocol = 0;
    socklen_t size = sizeof protocol;
    CHECK_EQ(getsockopt(to, SOL_SOCKET, SO_PROTOCOL, &protocol, &size), 0);
    CHECK_EQ(protocol, UDPLITE);
    CHECK_EQ(option(from, SEND_CSCOV), 0);
    pass(from, to, 100, 1);
    set_option(from, SEND_CSCOV, 3);
    CHECK_EQ(option(from, SEND_CSCOV), 8);
    pass(from, to, 100, 1);
    set_option(from, SEND_CSCOV, 21);
    pass(from, to, 100, 1);
    pass(from, to, 5, 1);
    pass(from, to, 8000, 1);
    maybe_save();
    CHECK_EQ(option(from, SEND_CSCOV), 21);
    set_option(to, RECV_CSCOV, 20);
    pass(from, to, 100, 1);
    set_option(to, RECV_CSCOV, 22);
    CHECK_EQ(option(to, RECV_CSCOV), 22);
    maybe_save();
    pass(from, to, 100, 0);
    pass(from, to, 13, 1); // covered whole
    set_option(to, RECV_CSCOV, 0);
    pass(from, to, 100, 0);
    set_option(from, SEND_CSCOV, 0);
    pass(from, to, 100, 1);
    CHECK_ERRNO(setsockopt(other, IPPROTO_UDP, SEND_CSCOV, &protocol, sizeof protocol), ENOPROTOOPT);

    // Nobody is there any more.
    CHECK_EQ(close(to), 0);
    CHECK_EQ(send(from, "x", 1, 0), 1);
    CHECK_ERRNO(recv(from, &protocol, sizeof protocol, 0), ECONNREFUSED);
    CHECK_EQ(close(from), 0);
    CHECK_EQ(close(other), 0);
}

int main(void)
{
    family(AF_INET);
    ok("IPv4");
    family(AF_INET6);
    ok("IPv6");
    return 0;
}
