// Ancillary data both ways, and the error queue.
#include "inet.h"
#include <linux/errqueue.h>
#include <linux/net_tstamp.h>
#include <linux/sockios.h>
#include <netinet/udp.h>

static char control[1024], data[4096];
static struct sockaddr_storage from;
static struct iovec vector = {data, sizeof data};
static struct msghdr message;

static ssize_t receive(int s, int flags)
{
    message = (struct msghdr){.msg_name = &from, .msg_namelen = sizeof from, .msg_iov = &vector, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control};
    return recvmsg(s, &message, flags);
}

static void show_address(const char *what, int family, const void *address)
{
    char text[64];
    printf("  %s %s\n", what, inet_ntop(family, address, text, sizeof text));
}

static void show_control(void)
{
    for (struct cmsghdr *c = CMSG_FIRSTHDR(&message); c != NULL; c = CMSG_NXTHDR(&message, c)) {
        size_t n = c->cmsg_len - CMSG_LEN(0);
        if (c->cmsg_level == SOL_IP && c->cmsg_type == IP_PKTINFO) {
            struct in_pktinfo *i = (struct in_pktinfo *)CMSG_DATA(c);
            printf("  IP_PKTINFO (%zu) %d\n", n, i->ipi_ifindex);
            show_address("local", AF_INET, &i->ipi_spec_dst);
            show_address("to", AF_INET, &i->ipi_addr);
        } else if (c->cmsg_level == SOL_IPV6 && c->cmsg_type == IPV6_PKTINFO) {
            struct in6_pktinfo *i = (struct in6_pktinfo *)CMSG_DATA(c);
            printf("  IPV6_PKTINFO (%zu) %d\n", n, i->ipi6_ifindex);
            show_address("to", AF_INET6, &i->ipi6_addr);
        } else if ((c->cmsg_level == SOL_IP && c->cmsg_type == IP_RECVERR) || (c->cmsg_level == SOL_IPV6 && c->cmsg_type == IPV6_RECVERR)) {
            struct sock_extended_err *e = (struct sock_extended_err *)CMSG_DATA(c);
            printf("  error %s origin %d type %d code %d info %u (level %d, %zu)\n", strerrorname_np((int)e->ee_errno), e->ee_origin, e->ee_type, e->ee_code, e->ee_info, c->cmsg_level, n);
            struct sockaddr_in *o = (struct sockaddr_in *)SO_EE_OFFENDER(e);
            if (o->sin_family == AF_INET)
                show_address("offender", AF_INET, &o->sin_addr);
            else if (o->sin_family == AF_INET6)
                show_address("offender", AF_INET6, &((struct sockaddr_in6 *)o)->sin6_addr);
        } else if (c->cmsg_level == SOL_SOCKET && (c->cmsg_type == SCM_TIMESTAMP || c->cmsg_type == SCM_TIMESTAMPNS || c->cmsg_type == SCM_TIMESTAMPING)) {
            struct timespec now;
            CHECK_EQ(clock_gettime(CLOCK_REALTIME, &now), 0);
            long seconds = *(long *)CMSG_DATA(c);
            CHECK(now.tv_sec - seconds >= 0 && now.tv_sec - seconds < 10);
            printf("  stamp %d (%zu)\n", c->cmsg_type, n);
        } else if (n == 4) {
            printf("  level %d type %d: %d\n", c->cmsg_level, c->cmsg_type, *(int *)CMSG_DATA(c));
        } else if (n == 1) {
            printf("  level %d type %d: %d as a byte\n", c->cmsg_level, c->cmsg_type, *(uint8_t *)CMSG_DATA(c));
        } else {
            printf("  level %d type %d: %zu bytes\n", c->cmsg_level, c->cmsg_type, n);
        }
    }
}

static void received(int family)
{
    printf("received IPv%d\n", family == AF_INET ? 4 : 6);
    int a = bound(family, SOCK_DGRAM), c = socket(family, SOCK_DGRAM, 0);
    CHECK_EQ(connect_to(c, family, port_of(a)), 0);
    if (family == AF_INET) {
        set_int(a, SOL_IP, IP_PKTINFO, 1);
        set_int(a, SOL_IP, IP_RECVTTL, 1);
        set_int(a, SOL_IP, IP_RECVTOS, 1);
        set_int(a, SOL_IP, IP_RECVORIGDSTADDR, 1);
        set_int(c, SOL_IP, IP_TTL, 33);
        set_int(c, SOL_IP, IP_TOS, 0x28);
    } else {
        set_int(a, SOL_IPV6, IPV6_RECVPKTINFO, 1);
        set_int(a, SOL_IPV6, IPV6_RECVHOPLIMIT, 1);
        set_int(a, SOL_IPV6, IPV6_RECVTCLASS, 1);
        set_int(c, SOL_IPV6, IPV6_UNICAST_HOPS, 33);
        set_int(c, SOL_IPV6, IPV6_TCLASS, 0x28);
    }
    set_int(a, SOL_SOCKET, SO_TIMESTAMP, 1);
    CHECK_EQ(send(c, "one", 3, 0), 3);
    maybe_save();
    CHECK_EQ(receive(a, 0), 3);
    show_control();
    set_int(a, SOL_SOCKET, SO_TIMESTAMPNS, 1);
    CHECK_EQ(get_int(a, SOL_SOCKET, SO_TIMESTAMP), 0);
    set_int(a, SOL_SOCKET, SO_TIMESTAMPING, SOF_TIMESTAMPING_RX_SOFTWARE | SOF_TIMESTAMPING_SOFTWARE);
    CHECK_EQ(send(c, "two", 3, 0), 3);
    CHECK_EQ(receive(a, 0), 3);
    show_control();
    struct timeval stamp;
    CHECK_ERRNO(ioctl(a, SIOCGSTAMP, &stamp), ENOENT);
    set_int(a, SOL_SOCKET, SO_TIMESTAMPNS, 0);
    set_int(a, SOL_SOCKET, SO_TIMESTAMPING, 0);
    CHECK_EQ(send(c, "stamp", 5, 0), 5);
    CHECK_EQ(receive(a, 0), 5);
    show_control();
    CHECK_EQ(ioctl(a, SIOCGSTAMP, &stamp), 0);
    CHECK(stamp.tv_sec > 1600000000);

    // Too little room.
    CHECK_EQ(send(c, "three", 5, 0), 5);
    message = (struct msghdr){.msg_iov = &vector, .msg_iovlen = 1, .msg_control = control, .msg_controllen = 20};
    CHECK_EQ(recvmsg(a, &message, 0), 5);
    printf("  flags %#x, control %zu\n", message.msg_flags, message.msg_controllen);
    CHECK_EQ(close(a) | close(c), 0);
}

static ssize_t send_with(int s, int level, int type, const void *value, size_t size)
{
    struct iovec v = {"data", 4};
    char room[256] = {0};
    struct msghdr m = {.msg_iov = &v, .msg_iovlen = 1, .msg_control = room, .msg_controllen = CMSG_SPACE(size)};
    struct cmsghdr *c = CMSG_FIRSTHDR(&m);
    c->cmsg_level = level;
    c->cmsg_type = type;
    c->cmsg_len = CMSG_LEN(size);
    memcpy(CMSG_DATA(c), value, size);
    return sendmsg(s, &m, 0);
}

static void sent(void)
{
    printf("sent\n");
    int a = bound(AF_INET, SOCK_DGRAM), c = socket(AF_INET, SOCK_DGRAM, 0);
    struct sockaddr_in to = in4(INADDR_LOOPBACK, port_of(a));
    CHECK_EQ(connect(c, SA(to), sizeof to), 0);
    set_int(a, SOL_IP, IP_RECVTTL, 1);
    set_int(a, SOL_IP, IP_RECVTOS, 1);
    int ttl = 7, tos = 0x10, bad = 300;
    CHECK_EQ(send_with(c, SOL_IP, IP_TTL, &ttl, sizeof ttl), 4);
    CHECK_EQ(receive(a, 0), 4);
    show_control();
    CHECK_EQ(send_with(c, SOL_IP, IP_TOS, &tos, 1), 4);
    maybe_save();
    CHECK_EQ(receive(a, 0), 4);
    show_control();
    CHECK_ERRNO(send_with(c, SOL_IP, IP_TTL, &bad, sizeof bad), EINVAL);
    CHECK_ERRNO(send_with(c, SOL_IP, 99, &ttl, sizeof ttl), EINVAL);
    CHECK_EQ(send_with(c, 77, 1, &ttl, sizeof ttl), 4);
    CHECK_EQ(receive(a, 0), 4);

    // The source address of one datagram.
    CHECK_EQ(close(c), 0);
    c = socket(AF_INET, SOCK_DGRAM, 0);
    CHECK_EQ(connect(c, SA(to), sizeof to), 0);
    struct in_pktinfo info = {.ipi_spec_dst.s_addr = htonl(0x7f000009)};
    CHECK_EQ(send_with(c, SOL_IP, IP_PKTINFO, &info, sizeof info), 4);
    CHECK_EQ(receive(a, 0), 4);
    show_address("source", AF_INET, &((struct sockaddr_in *)&from)->sin_addr);
    info.ipi_spec_dst.s_addr = htonl(0x08080808);
    CHECK_EQ(send_with(c, SOL_IP, IP_PKTINFO, &info, sizeof info), -1);
    CHECK_EQ(close(a) | close(c), 0);

    a = bound(AF_INET6, SOCK_DGRAM);
    c = socket(AF_INET6, SOCK_DGRAM, 0);
    CHECK_EQ(connect_to(c, AF_INET6, port_of(a)), 0);
    set_int(a, SOL_IPV6, IPV6_RECVHOPLIMIT, 1);
    set_int(a, SOL_IPV6, IPV6_RECVTCLASS, 1);
    CHECK_EQ(send_with(c, SOL_IPV6, IPV6_HOPLIMIT, &ttl, sizeof ttl), 4);
    CHECK_EQ(receive(a, 0), 4);
    show_control();
    CHECK_EQ(send_with(c, SOL_IPV6, IPV6_TCLASS, &tos, sizeof tos), 4);
    CHECK_EQ(receive(a, 0), 4);
    show_control();
    CHECK_EQ(close(a) | close(c), 0);
}

static void errors(int family)
{
    printf("errors IPv%d\n", family == AF_INET ? 4 : 6);
    int dead = bound(family, SOCK_DGRAM);
    uint16_t port = port_of(dead);
    CHECK_EQ(close(dead), 0);
    int c = socket(family, SOCK_DGRAM, 0);
    set_int(c, family == AF_INET ? SOL_IP : SOL_IPV6, family == AF_INET ? IP_RECVERR : IPV6_RECVERR, 1);
    CHECK_EQ(connect_to(c, family, port), 0);
    CHECK_EQ(send(c, "lost words", 10, 0), 10);
    await(c, POLLERR);
    show_bits("  bits", poll_bits(c));
    maybe_save();
    CHECK_EQ(receive(c, MSG_ERRQUEUE), 10);
    CHECK_EQ(memcmp(data, "lost words", 10), 0);
    CHECK_EQ(ntohs(((struct sockaddr_in *)&from)->sin_port), port);
    printf("  flags %#x\n", message.msg_flags);
    show_control();
    CHECK_ERRNO(receive(c, MSG_ERRQUEUE), EAGAIN);
    printf("  SO_ERROR %d\n", get_int(c, SOL_SOCKET, SO_ERROR));
    show_bits("  bits", poll_bits(c));
    CHECK_EQ(close(c), 0);

    // A socket that is not connected hears of errors only so.
    c = socket(family, SOCK_DGRAM, 0);
    struct sockaddr_in to4 = in4(INADDR_LOOPBACK, port);
    struct sockaddr_in6 to6 = in6(&in6addr_loopback, port);
    if (family == AF_INET)
        CHECK_EQ(sendto(c, "x", 1, 0, SA(to4), sizeof to4), 1);
    else
        CHECK_EQ(sendto(c, "x", 1, 0, SA(to6), sizeof to6), 1);
    sleep_ms(20);
    CHECK_EQ(poll_bits(c) & POLLERR, 0);
    set_int(c, family == AF_INET ? SOL_IP : SOL_IPV6, family == AF_INET ? IP_RECVERR : IPV6_RECVERR, 1);
    if (family == AF_INET)
        CHECK_EQ(sendto(c, "y", 1, 0, SA(to4), sizeof to4), 1);
    else
        CHECK_EQ(sendto(c, "y", 1, 0, SA(to6), sizeof to6), 1);
    await(c, POLLERR);
    CHECK_ERRNO(recv(c, data, 1, MSG_DONTWAIT), ECONNREFUSED);
    CHECK_EQ(receive(c, MSG_ERRQUEUE), 1);
    show_control();
    CHECK_EQ(close(c), 0);
}

static void segments(void)
{
    printf("segments\n");
    int a = bound(AF_INET, SOCK_DGRAM), c = socket(AF_INET, SOCK_DGRAM, 0);
    CHECK_EQ(connect_to(c, AF_INET, port_of(a)), 0);
    uint16_t size = 100;
    struct iovec v = {data, 250};
    char room[CMSG_SPACE(2)] = {0};
    struct msghdr m = {.msg_iov = &v, .msg_iovlen = 1, .msg_control = room, .msg_controllen = sizeof room};
    struct cmsghdr *h = CMSG_FIRSTHDR(&m);
    h->cmsg_level = SOL_UDP;
    h->cmsg_type = UDP_SEGMENT;
    h->cmsg_len = CMSG_LEN(2);
    memcpy(CMSG_DATA(h), &size, 2);
    CHECK_EQ(sendmsg(c, &m, 0), 250);
    maybe_save();
    CHECK_EQ(recv(a, data, sizeof data, 0), 100);
    CHECK_EQ(recv(a, data, sizeof data, 0), 100);
    CHECK_EQ(recv(a, data, sizeof data, 0), 50);
    set_int(c, SOL_UDP, UDP_SEGMENT, 64);
    CHECK_EQ(send(c, data, 128, 0), 128);
    CHECK_EQ(recv(a, data, sizeof data, 0), 64);
    CHECK_EQ(recv(a, data, sizeof data, 0), 64);
    set_int(a, SOL_UDP, UDP_GRO, 1);
    CHECK_EQ(send(c, data, 192, 0), 192);
    CHECK_EQ(receive(a, 0), 192);
    show_control();
    CHECK_EQ(close(a) | close(c), 0);
}

int main(void)
{
    setvbuf(stdout, NULL, _IOFBF, 1 << 16);
    received(AF_INET);
    received(AF_INET6);
    sent();
    errors(AF_INET);
    errors(AF_INET6);
    segments();
    return 0;
}
