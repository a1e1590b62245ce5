// Multicast on the loopback interface: joins, leaves, filters on sources, what is heard without joining.
#include "inet.h"

#define GROUP 0xefff0101u
#define OTHER 0xefff0102u

static uint16_t port;

static int sender(int ttl)
{
    int s = socket(AF_INET, SOCK_DGRAM, 0);
    struct ip_mreqn lo = {.imr_ifindex = (int)if_nametoindex("lo")};
    CHECK_EQ(setsockopt(s, IPPROTO_IP, IP_MULTICAST_IF, &lo, sizeof lo), 0);
    set_int(s, IPPROTO_IP, IP_MULTICAST_TTL, ttl);
    return s;
}

static int receiver(uint32_t address)
{
    int s = socket(AF_INET, SOCK_DGRAM, 0);
    set_int(s, SOL_SOCKET, SO_REUSEADDR, 1);
    struct sockaddr_in a = in4(address, port);
    CHECK_EQ(bind(s, SA(a), sizeof a), 0);
    if (port == 0)
        port = port_of(s);
    return s;
}

static int join(int s, uint32_t group, int name)
{
    struct ip_mreqn m = {.imr_multiaddr.s_addr = htonl(group), .imr_ifindex = (int)if_nametoindex("lo")};
    return setsockopt(s, IPPROTO_IP, name, &m, sizeof m);
}

static void say(int s, uint32_t group, const char *text)
{
    struct sockaddr_in a = in4(group, port);
    CHECK_EQ(sendto(s, text, strlen(text), 0, SA(a), sizeof a), strlen(text));
}

// What a socket has heard, all of it.
static void heard(const char *who, int s)
{
    char b[16];
    printf("%s heard", who);
    for (ssize_t n; (n = recv(s, b, sizeof b, MSG_DONTWAIT)) >= 0;)
        printf(" %.*s", (int)n, b);
    CHECK_EQ(errno, EAGAIN);
    printf("\n");
}

static int source(int s, int name, uint32_t from)
{
    struct ip_mreq_source m = {{htonl(GROUP)}, {htonl(INADDR_LOOPBACK)}, {htonl(from)}};
    return setsockopt(s, IPPROTO_IP, name, &m, sizeof m);
}

static void joining(void)
{
    int s = sender(1), a = receiver(INADDR_ANY), b = receiver(INADDR_ANY), g = receiver(GROUP);
    say(s, GROUP, "early");
    heard("a", a);
    CHECK_ERRNO(join(a, 0x0a000001, IP_ADD_MEMBERSHIP), EINVAL);
    CHECK_EQ(join(a, GROUP, IP_ADD_MEMBERSHIP), 0);
    CHECK_ERRNO(join(a, GROUP, IP_ADD_MEMBERSHIP), EADDRINUSE);
    CHECK_ERRNO(join(a, OTHER, IP_DROP_MEMBERSHIP), EADDRNOTAVAIL);
    struct ip_mreqn nowhere = {.imr_multiaddr.s_addr = htonl(OTHER), .imr_ifindex = 9999};
    CHECK_ERRNO(setsockopt(a, IPPROTO_IP, IP_ADD_MEMBERSHIP, &nowhere, sizeof nowhere), ENODEV);
    int t = socket(AF_INET, SOCK_STREAM, 0);
    CHECK_ERRNO(join(t, GROUP, IP_ADD_MEMBERSHIP), EPROTO);
    CHECK_EQ(close(t), 0);
    maybe_save();
    say(s, GROUP, "one");
    say(s, OTHER, "other");
    heard("a", a);
    heard("b, which has not joined,", b);
    heard("g, which is bound to the group,", g);
    set_int(b, IPPROTO_IP, IP_MULTICAST_ALL, 0);
    say(s, GROUP, "two");
    heard("a", a);
    heard("b without IP_MULTICAST_ALL", b);
    CHECK_EQ(join(b, GROUP, IP_ADD_MEMBERSHIP), 0);
    CHECK_EQ(join(a, GROUP, IP_DROP_MEMBERSHIP), 0);
    maybe_save();
    say(s, GROUP, "three");
    heard("a, which has left but hears all,", a);
    heard("b", b);
    CHECK_EQ(close(b), 0);
    say(s, GROUP, "four");
    heard("a, when nobody is in the group,", a);
    set_int(s, IPPROTO_IP, IP_MULTICAST_LOOP, 0);
    CHECK_EQ(join(a, GROUP, IP_ADD_MEMBERSHIP), 0);
    say(s, GROUP, "five");
    heard("a on the loopback interface without IP_MULTICAST_LOOP", a);
    CHECK_EQ(close(a) | close(g) | close(s), 0);
}

static void sources(void)
{
    int a = receiver(INADDR_ANY), s = sender(1), other = sender(1);
    struct sockaddr_in first = in4(INADDR_LOOPBACK, 0), second = in4(0x7f000002, 0);
    CHECK_EQ(bind(s, SA(first), sizeof first), 0);
    CHECK_EQ(bind(other, SA(second), sizeof second), 0);
    CHECK_ERRNO(source(a, IP_BLOCK_SOURCE, 0x7f000002), EINVAL);
    CHECK_EQ(join(a, GROUP, IP_ADD_MEMBERSHIP), 0);
    CHECK_EQ(source(a, IP_BLOCK_SOURCE, 0x7f000002), 0);
    CHECK_ERRNO(source(a, IP_BLOCK_SOURCE, 0x7f000002), EADDRNOTAVAIL);
    CHECK_ERRNO(source(a, IP_ADD_SOURCE_MEMBERSHIP, 0x7f000001), EINVAL);
    maybe_save();
    say(s, GROUP, "first");
    say(other, GROUP, "second");
    heard("all but the second", a);
    CHECK_EQ(source(a, IP_UNBLOCK_SOURCE, 0x7f000002), 0);
    say(other, GROUP, "second");
    heard("all", a);
    CHECK_EQ(join(a, GROUP, IP_DROP_MEMBERSHIP), 0);

    set_int(a, IPPROTO_IP, IP_MULTICAST_ALL, 0);
    CHECK_EQ(source(a, IP_ADD_SOURCE_MEMBERSHIP, 0x7f000002), 0);
    CHECK_ERRNO(source(a, IP_ADD_SOURCE_MEMBERSHIP, 0x7f000002), EADDRNOTAVAIL);
    maybe_save();
    say(s, GROUP, "first");
    say(other, GROUP, "second");
    heard("only the second", a);
    char room[IP_MSFILTER_SIZE(4)];
    struct ip_msfilter *f = (struct ip_msfilter *)room;
    *f = (struct ip_msfilter){.imsf_multiaddr.s_addr = htonl(GROUP), .imsf_interface.s_addr = htonl(INADDR_LOOPBACK), .imsf_numsrc = 4};
    socklen_t n = sizeof room;
    CHECK_EQ(getsockopt(a, IPPROTO_IP, 41 /* IP_MSFILTER */, room, &n), 0);
    printf("filter mode %u, %u sources, %u bytes\n", f->imsf_fmode, f->imsf_numsrc, n);
    CHECK_EQ(ntohl(f->imsf_slist[0].s_addr), 0x7f000002);
    *f = (struct ip_msfilter){.imsf_multiaddr.s_addr = htonl(GROUP), .imsf_interface.s_addr = htonl(INADDR_LOOPBACK), .imsf_numsrc = 1, .imsf_fmode = MCAST_EXCLUDE, .imsf_slist[0].s_addr = htonl(0x7f000001)};
    CHECK_EQ(setsockopt(a, IPPROTO_IP, 41, room, IP_MSFILTER_SIZE(1)), 0);
    say(s, GROUP, "first");
    say(other, GROUP, "second");
    heard("all but the first", a);
    CHECK_EQ(join(a, GROUP, IP_DROP_MEMBERSHIP), 0);
    CHECK_EQ(source(a, IP_ADD_SOURCE_MEMBERSHIP, 0x7f000002), 0);
    CHECK_EQ(source(a, IP_DROP_SOURCE_MEMBERSHIP, 0x7f000002), 0);
    CHECK_ERRNO(join(a, GROUP, IP_DROP_MEMBERSHIP), EADDRNOTAVAIL);

    // The names of RFC 3678.
    struct group_source_req q = {.gsr_interface = if_nametoindex("lo")};
    struct sockaddr_in group = in4(GROUP, 0);
    memcpy(&q.gsr_group, &group, sizeof group);
    memcpy(&q.gsr_source, &second, sizeof second);
    CHECK_EQ(setsockopt(a, IPPROTO_IP, MCAST_JOIN_SOURCE_GROUP, &q, sizeof q), 0);
    say(s, GROUP, "first");
    say(other, GROUP, "second");
    heard("only the second", a);
    CHECK_EQ(setsockopt(a, IPPROTO_IP, MCAST_LEAVE_SOURCE_GROUP, &q, sizeof q), 0);
    struct group_req r = {.gr_interface = if_nametoindex("lo")};
    memcpy(&r.gr_group, &group, sizeof group);
    CHECK_EQ(setsockopt(a, IPPROTO_IP, MCAST_JOIN_GROUP, &r, sizeof r), 0);
    say(s, GROUP, "joined");
    heard("all", a);
    CHECK_EQ(setsockopt(a, IPPROTO_IP, MCAST_LEAVE_GROUP, &r, sizeof r), 0);
    CHECK_EQ(close(a) | close(s) | close(other), 0);
}

static void six(void)
{
    int a = socket(AF_INET6, SOCK_DGRAM, 0), s = socket(AF_INET6, SOCK_DGRAM, 0);
    struct sockaddr_in6 any = in6(&in6addr_any, 0);
    CHECK_EQ(bind(a, SA(any), sizeof any), 0);
    struct ipv6_mreq m = {.ipv6mr_interface = if_nametoindex("lo")};
    CHECK_EQ(inet_pton(AF_INET6, "ff02::1234", &m.ipv6mr_multiaddr), 1);
    CHECK_EQ(setsockopt(a, IPPROTO_IPV6, IPV6_JOIN_GROUP, &m, sizeof m), 0);
    CHECK_ERRNO(setsockopt(a, IPPROTO_IPV6, IPV6_JOIN_GROUP, &m, sizeof m), EADDRINUSE);
    set_int(s, IPPROTO_IPV6, IPV6_MULTICAST_IF, (int)if_nametoindex("lo"));
    maybe_save();
    CHECK_EQ(setsockopt(a, IPPROTO_IPV6, IPV6_LEAVE_GROUP, &m, sizeof m), 0);
    CHECK_ERRNO(setsockopt(a, IPPROTO_IPV6, IPV6_LEAVE_GROUP, &m, sizeof m), EADDRNOTAVAIL);
    CHECK_EQ(close(a) | close(s), 0);
}

int main(void)
{
    setvbuf(stdout, NULL, _IOFBF, 1 << 16);
    joining();
    sources();
    six();
    ok("multicast");
    return 0;
}
