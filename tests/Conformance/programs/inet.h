// Helpers of the programs about sockets of AF_INET and AF_INET6.
#ifndef INET_H
#define INET_H

#include "conformance.h"
#include <arpa/inet.h>
#include <net/if.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/uio.h>

static inline struct sockaddr_in in4(uint32_t address, uint16_t port)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(address)};
    return a;
}

static inline struct sockaddr_in6 in6(const struct in6_addr *address, uint16_t port)
{
    struct sockaddr_in6 a = {.sin6_family = AF_INET6, .sin6_port = htons(port), .sin6_addr = *address};
    return a;
}

#define SA(a) ((struct sockaddr *)&(a))

static inline uint16_t port_of(int s)
{
    struct sockaddr_storage a;
    socklen_t n = sizeof a;
    CHECK_EQ(getsockname(s, SA(a), &n), 0);
    return ntohs(((struct sockaddr_in *)&a)->sin_port);
}

// A socket bound to the loopback address of its family.
static inline int bound(int family, int type)
{
    int s = socket(family, type, 0);
    CHECK(s >= 0);
    struct sockaddr_in a = in4(INADDR_LOOPBACK, 0);
    struct sockaddr_in6 b = in6(&in6addr_loopback, 0);
    CHECK_EQ(family == AF_INET ? bind(s, SA(a), sizeof a) : bind(s, SA(b), sizeof b), 0);
    return s;
}

static inline int connect_to(int s, int family, uint16_t port)
{
    struct sockaddr_in a = in4(INADDR_LOOPBACK, port);
    struct sockaddr_in6 b = in6(&in6addr_loopback, port);
    return family == AF_INET ? connect(s, SA(a), sizeof a) : connect(s, SA(b), sizeof b);
}

static inline int listener_of(int family)
{
    int s = bound(family, SOCK_STREAM);
    CHECK_EQ(listen(s, 8), 0);
    return s;
}

// A connection over loopback.
static inline void tcp_pair(int family, int pair[2])
{
    int l = listener_of(family);
    pair[0] = socket(family, SOCK_STREAM, 0);
    CHECK_EQ(connect_to(pair[0], family, port_of(l)), 0);
    pair[1] = accept(l, NULL, NULL);
    CHECK(pair[1] >= 0);
    CHECK_EQ(close(l), 0);
}

static inline int get_int(int s, int level, int name)
{
    int value = -1;
    socklen_t n = sizeof value;
    CHECK_EQ(getsockopt(s, level, name, &value, &n), 0);
    return value;
}

static inline void set_int(int s, int level, int name, int value)
{
    CHECK_EQ(setsockopt(s, level, name, &value, sizeof value), 0);
}

static inline short poll_bits(int s)
{
    struct pollfd p = {s, POLLIN | POLLOUT | POLLPRI | POLLRDHUP | POLLRDNORM | POLLWRNORM | POLLRDBAND | POLLWRBAND, 0};
    CHECK(poll(&p, 1, 0) >= 0);
    return p.revents;
}

// Waits until a socket has these bits, for at most two seconds.
static inline void await(int s, short bits)
{
    struct pollfd p = {s, bits, 0};
    CHECK_EQ(poll(&p, 1, 2000), 1);
    CHECK((p.revents & bits) != 0);
}

static inline void nonblocking(int s)
{
    CHECK_EQ(fcntl(s, F_SETFL, fcntl(s, F_GETFL) | O_NONBLOCK), 0);
}

static inline void show_bits(const char *what, short bits)
{
    printf("%s:%s%s%s%s%s%s%s%s%s%s\n", what, bits & POLLIN ? " IN" : "", bits & POLLPRI ? " PRI" : "", bits & POLLOUT ? " OUT" : "",
           bits & POLLERR ? " ERR" : "", bits & POLLHUP ? " HUP" : "", bits & POLLRDNORM ? " RDNORM" : "", bits & POLLRDBAND ? " RDBAND" : "",
           bits & POLLWRNORM ? " WRNORM" : "", bits & POLLWRBAND ? " WRBAND" : "", bits & POLLRDHUP ? " RDHUP" : "");
    fflush(stdout);
}

#endif
