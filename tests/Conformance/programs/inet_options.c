// Options of SOL_SOCKET, SOL_IP, SOL_IPV6 and SOL_TCP: defaults, limits, what is given back.
#include "inet.h"

#define NAMED(level, name) {level, name, #name}

struct option {
    int level, name;
    const char *text;
};

static const struct option sockets[] = {
    NAMED(SOL_SOCKET, SO_DEBUG), NAMED(SOL_SOCKET, SO_REUSEADDR), NAMED(SOL_SOCKET, SO_TYPE), NAMED(SOL_SOCKET, SO_ERROR), NAMED(SOL_SOCKET, SO_DONTROUTE),
    NAMED(SOL_SOCKET, SO_BROADCAST), NAMED(SOL_SOCKET, SO_SNDBUF), NAMED(SOL_SOCKET, SO_RCVBUF), NAMED(SOL_SOCKET, SO_KEEPALIVE), NAMED(SOL_SOCKET, SO_OOBINLINE),
    NAMED(SOL_SOCKET, SO_NO_CHECK), NAMED(SOL_SOCKET, SO_PRIORITY), NAMED(SOL_SOCKET, SO_REUSEPORT), NAMED(SOL_SOCKET, SO_RCVLOWAT),
    NAMED(SOL_SOCKET, SO_SNDLOWAT), NAMED(SOL_SOCKET, SO_TIMESTAMP), NAMED(SOL_SOCKET, SO_ACCEPTCONN), NAMED(SOL_SOCKET, SO_TIMESTAMPNS),
    NAMED(SOL_SOCKET, SO_MARK), NAMED(SOL_SOCKET, SO_TIMESTAMPING), NAMED(SOL_SOCKET, SO_PROTOCOL), NAMED(SOL_SOCKET, SO_DOMAIN), NAMED(SOL_SOCKET, SO_RXQ_OVFL),
    NAMED(SOL_SOCKET, SO_PEEK_OFF), NAMED(SOL_SOCKET, SO_LOCK_FILTER), NAMED(SOL_SOCKET, SO_SELECT_ERR_QUEUE), NAMED(SOL_SOCKET, SO_BUSY_POLL), NAMED(SOL_SOCKET, SO_BPF_EXTENSIONS),
    NAMED(SOL_SOCKET, SO_INCOMING_CPU), NAMED(SOL_SOCKET, SO_ZEROCOPY), NAMED(SOL_SOCKET, SO_BINDTOIFINDEX),
};

static const struct option v4[] = {
    NAMED(IPPROTO_IP, IP_TOS), NAMED(IPPROTO_IP, IP_TTL), NAMED(IPPROTO_IP, IP_HDRINCL), NAMED(IPPROTO_IP, IP_PKTINFO), NAMED(IPPROTO_IP, IP_MTU_DISCOVER),
    NAMED(IPPROTO_IP, IP_RECVERR), NAMED(IPPROTO_IP, IP_RECVTTL), NAMED(IPPROTO_IP, IP_RECVTOS), NAMED(IPPROTO_IP, IP_MTU), NAMED(IPPROTO_IP, IP_FREEBIND),
    NAMED(IPPROTO_IP, IP_TRANSPARENT), NAMED(IPPROTO_IP, IP_RECVORIGDSTADDR), NAMED(IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT), NAMED(IPPROTO_IP, IP_MULTICAST_TTL),
    NAMED(IPPROTO_IP, IP_MULTICAST_LOOP), NAMED(IPPROTO_IP, IP_MULTICAST_ALL), NAMED(IPPROTO_IP, IP_UNICAST_IF),
};

static const struct option v6[] = {
    NAMED(IPPROTO_IPV6, IPV6_UNICAST_HOPS), NAMED(IPPROTO_IPV6, IPV6_MULTICAST_IF), NAMED(IPPROTO_IPV6, IPV6_MULTICAST_HOPS), NAMED(IPPROTO_IPV6, IPV6_MULTICAST_LOOP),
    NAMED(IPPROTO_IPV6, IPV6_MTU_DISCOVER), NAMED(IPPROTO_IPV6, IPV6_MTU), NAMED(IPPROTO_IPV6, IPV6_RECVERR), NAMED(IPPROTO_IPV6, IPV6_V6ONLY),
    NAMED(IPPROTO_IPV6, IPV6_RECVPKTINFO), NAMED(IPPROTO_IPV6, IPV6_RECVHOPLIMIT), NAMED(IPPROTO_IPV6, IPV6_RECVTCLASS), NAMED(IPPROTO_IPV6, IPV6_TCLASS),
    NAMED(IPPROTO_IPV6, IPV6_DONTFRAG), NAMED(IPPROTO_IPV6, IPV6_AUTOFLOWLABEL), NAMED(IPPROTO_IPV6, IPV6_MULTICAST_ALL),
};

static const struct option tcp[] = {
    NAMED(IPPROTO_TCP, TCP_NODELAY), NAMED(IPPROTO_TCP, TCP_MAXSEG), NAMED(IPPROTO_TCP, TCP_CORK), NAMED(IPPROTO_TCP, TCP_KEEPIDLE), NAMED(IPPROTO_TCP, TCP_KEEPINTVL),
    NAMED(IPPROTO_TCP, TCP_KEEPCNT), NAMED(IPPROTO_TCP, TCP_SYNCNT), NAMED(IPPROTO_TCP, TCP_LINGER2), NAMED(IPPROTO_TCP, TCP_DEFER_ACCEPT),
    NAMED(IPPROTO_TCP, TCP_WINDOW_CLAMP), NAMED(IPPROTO_TCP, TCP_QUICKACK), NAMED(IPPROTO_TCP, TCP_USER_TIMEOUT), NAMED(IPPROTO_TCP, TCP_REPAIR),
    NAMED(IPPROTO_TCP, TCP_FASTOPEN), NAMED(IPPROTO_TCP, TCP_FASTOPEN_CONNECT), NAMED(IPPROTO_TCP, TCP_INQ), {IPPROTO_TCP, 200, "200"}, {77, 1, "another level"},
};

static void show(int s, const struct option *options, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        int value[4] = {-1, -1, -1, -1};
        socklen_t n = sizeof value;
        if (getsockopt(s, options[i].level, options[i].name, value, &n) == 0)
            printf("  %s %d (%u)\n", options[i].text, value[0], n);
        else
            printf("  %s %s\n", options[i].text, strerrorname_np(errno));
    }
}

#define COUNT(a) (sizeof(a) / sizeof(a)[0])

static void try_int(int s, int level, int name, const char *text, int value)
{
    if (setsockopt(s, level, name, &value, sizeof value) != 0) {
        printf("  %s=%d %s\n", text, value, strerrorname_np(errno));
        return;
    }
    int back = -1;
    socklen_t n = sizeof back;
    CHECK_EQ(getsockopt(s, level, name, &back, &n), 0);
    printf("  %s=%d gives %d\n", text, value, back);
}

#define TRY(s, level, name, value) try_int(s, level, name, #name, value)

int main(void)
{
    setvbuf(stdout, NULL, _IOFBF, 1 << 16);
    int t4 = socket(AF_INET, SOCK_STREAM, 0), u4 = socket(AF_INET, SOCK_DGRAM, 0), t6 = socket(AF_INET6, SOCK_STREAM, 0), u6 = socket(AF_INET6, SOCK_DGRAM, 0);
    printf("tcp\n");
    show(t4, sockets, COUNT(sockets));
    show(t4, v4, COUNT(v4));
    show(t4, tcp, COUNT(tcp));
    printf("tcp6\n");
    show(t6, v6, COUNT(v6));
    printf("udp\n");
    show(u4, sockets, COUNT(sockets));
    show(u4, v4, COUNT(v4));
    show(u4, tcp, COUNT(tcp));
    printf("udp6\n");
    show(u6, v6, COUNT(v6));
    show(u6, v4, 3);
    maybe_save();

    TRY(t4, SOL_SOCKET, SO_REUSEADDR, 7);
    TRY(t4, SOL_SOCKET, SO_SNDBUF, 10000);
    TRY(t4, SOL_SOCKET, SO_SNDBUF, 1);
    TRY(t4, SOL_SOCKET, SO_RCVBUF, 50000);
    TRY(t4, SOL_SOCKET, SO_RCVBUF, 0);
    TRY(u4, SOL_SOCKET, SO_PRIORITY, 6);
    TRY(u4, SOL_SOCKET, SO_RCVLOWAT, 0);
    TRY(u4, SOL_SOCKET, SO_RCVLOWAT, -1);
    TRY(u4, SOL_SOCKET, SO_PEEK_OFF, 3);
    TRY(u4, SOL_SOCKET, SO_TYPE, 1);
    TRY(u4, SOL_SOCKET, SO_ERROR, 1);
    TRY(u4, SOL_SOCKET, SO_PROTOCOL, 1);
    TRY(u4, SOL_SOCKET, 250, 1);
    TRY(t4, IPPROTO_IP, IP_TOS, 0xff);
    TRY(u4, IPPROTO_IP, IP_TOS, 0xff);
    TRY(u4, IPPROTO_IP, IP_TTL, 0);
    TRY(u4, IPPROTO_IP, IP_TTL, 256);
    TRY(u4, IPPROTO_IP, IP_TTL, 9);
    TRY(u4, IPPROTO_IP, IP_TTL, -1);
    TRY(u4, IPPROTO_IP, IP_MTU_DISCOVER, 5);
    TRY(u4, IPPROTO_IP, IP_MTU_DISCOVER, 6);
    TRY(u4, IPPROTO_IP, IP_MULTICAST_TTL, 255);
    TRY(u4, IPPROTO_IP, IP_MULTICAST_TTL, -1);
    TRY(u4, IPPROTO_IP, IP_MULTICAST_TTL, 256);
    TRY(t4, IPPROTO_IP, IP_MULTICAST_TTL, 1);
    TRY(u4, IPPROTO_IP, IP_MULTICAST_ALL, 2);
    TRY(u4, IPPROTO_IP, IP_HDRINCL, 1);
    TRY(u6, IPPROTO_IPV6, IPV6_UNICAST_HOPS, 256);
    TRY(u6, IPPROTO_IPV6, IPV6_UNICAST_HOPS, 12);
    TRY(u6, IPPROTO_IPV6, IPV6_MULTICAST_HOPS, -1);
    TRY(u6, IPPROTO_IPV6, IPV6_MULTICAST_IF, 1);
    TRY(u6, IPPROTO_IPV6, IPV6_MULTICAST_IF, 9999);
    TRY(u6, IPPROTO_IPV6, IPV6_TCLASS, 256);
    TRY(u6, IPPROTO_IPV6, IPV6_TCLASS, 200);
    TRY(u6, IPPROTO_IPV6, IPV6_V6ONLY, 1);
    TRY(t4, IPPROTO_TCP, TCP_NODELAY, 2);
    TRY(t4, IPPROTO_TCP, TCP_MAXSEG, 50);
    TRY(t4, IPPROTO_TCP, TCP_MAXSEG, 1000);
    TRY(t4, IPPROTO_TCP, TCP_KEEPIDLE, 0);
    TRY(t4, IPPROTO_TCP, TCP_KEEPIDLE, 32768);
    TRY(t4, IPPROTO_TCP, TCP_KEEPIDLE, 60);
    TRY(t4, IPPROTO_TCP, TCP_KEEPINTVL, 11);
    TRY(t4, IPPROTO_TCP, TCP_KEEPCNT, 128);
    TRY(t4, IPPROTO_TCP, TCP_KEEPCNT, 3);
    TRY(t4, IPPROTO_TCP, TCP_SYNCNT, 4);
    TRY(t4, IPPROTO_TCP, TCP_LINGER2, 500);
    TRY(t4, IPPROTO_TCP, TCP_LINGER2, -5);
    TRY(t4, IPPROTO_TCP, TCP_DEFER_ACCEPT, 1);
    TRY(t4, IPPROTO_TCP, TCP_DEFER_ACCEPT, 5);
    TRY(t4, IPPROTO_TCP, TCP_USER_TIMEOUT, -1);
    TRY(t4, IPPROTO_TCP, TCP_USER_TIMEOUT, 1500);
    TRY(t4, IPPROTO_TCP, TCP_NOTSENT_LOWAT, 4096);
    TRY(t4, IPPROTO_TCP, TCP_INQ, 2);
    TRY(t4, IPPROTO_TCP, TCP_INQ, 1);
    maybe_save();
    printf("after\n");
    show(t4, tcp, COUNT(tcp));
    show(u4, v4, COUNT(v4));

    // Lengths.
    struct linger l = {1, 7};
    CHECK_EQ(setsockopt(t4, SOL_SOCKET, SO_LINGER, &l, sizeof l), 0);
    CHECK_ERRNO(setsockopt(t4, SOL_SOCKET, SO_LINGER, &l, 4), EINVAL);
    socklen_t n = 100;
    struct linger back[20];
    CHECK_EQ(getsockopt(t4, SOL_SOCKET, SO_LINGER, back, &n), 0);
    CHECK_EQ(n, 8);
    CHECK_EQ(back[0].l_linger, 7);
    char c = 30;
    CHECK_EQ(setsockopt(u4, IPPROTO_IP, IP_TTL, &c, 1), 0);
    n = 1;
    CHECK_EQ(getsockopt(u4, IPPROTO_IP, IP_TTL, &c, &n), 0);
    printf("ttl %d in %u\n", c, n);
    CHECK_ERRNO(setsockopt(t4, SOL_SOCKET, SO_KEEPALIVE, &c, 1), EINVAL);
    CHECK_ERRNO(setsockopt(t4, IPPROTO_TCP, TCP_NODELAY, &c, 1), EINVAL);
    CHECK_ERRNO(setsockopt(t4, IPPROTO_TCP, TCP_NODELAY, NULL, 4), EFAULT);
    CHECK_ERRNO(setsockopt(t4, IPPROTO_TCP, TCP_NODELAY, &c, -1), EINVAL);
    n = (socklen_t)-1;
    CHECK_ERRNO(getsockopt(t4, IPPROTO_TCP, TCP_NODELAY, &c, &n), EINVAL);
    struct timeval t = {0, 1000000};
    CHECK_ERRNO(setsockopt(t4, SOL_SOCKET, SO_RCVTIMEO, &t, sizeof t), EDOM);
    t = (struct timeval){3, 200000};
    CHECK_EQ(setsockopt(t4, SOL_SOCKET, SO_RCVTIMEO, &t, sizeof t), 0);
    maybe_save();
    n = sizeof t;
    CHECK_EQ(getsockopt(t4, SOL_SOCKET, SO_RCVTIMEO, &t, &n), 0);
    printf("timeout %ld.%06ld\n", t.tv_sec, t.tv_usec);

    char name[32] = "";
    n = sizeof name;
    CHECK_EQ(getsockopt(t4, IPPROTO_TCP, TCP_CONGESTION, name, &n), 0);
    CHECK_EQ(n, 16);
    CHECK_EQ(setsockopt(t4, IPPROTO_TCP, TCP_CONGESTION, "reno", 4), 0);
    CHECK_ERRNO(setsockopt(t4, IPPROTO_TCP, TCP_CONGESTION, "nonesuch", 8), ENOENT);
    maybe_save();
    n = sizeof name;
    CHECK_EQ(getsockopt(t4, IPPROTO_TCP, TCP_CONGESTION, name, &n), 0);
    printf("congestion control %s\n", name);
    n = sizeof name;
    CHECK_EQ(getsockopt(u4, SOL_SOCKET, SO_BINDTODEVICE, name, &n), 0);
    CHECK_EQ(n, 0);
    CHECK_EQ(setsockopt(u4, SOL_SOCKET, SO_BINDTODEVICE, "lo", 2), 0);
    CHECK_ERRNO(setsockopt(u4, SOL_SOCKET, SO_BINDTODEVICE, "nonesuch0", 9), ENODEV);
    maybe_save();
    n = sizeof name;
    CHECK_EQ(getsockopt(u4, SOL_SOCKET, SO_BINDTODEVICE, name, &n), 0);
    printf("bound to %s (%u)\n", name, n);

    // What a listener has its connections have.
    int li = listener_of(AF_INET);
    set_int(li, SOL_SOCKET, SO_KEEPALIVE, 1);
    set_int(li, IPPROTO_TCP, TCP_NODELAY, 1);
    set_int(li, IPPROTO_IP, IP_TOS, 16);
    set_int(li, SOL_SOCKET, SO_RCVBUF, 20000);
    CHECK_EQ(setsockopt(li, SOL_SOCKET, SO_RCVTIMEO, &t, sizeof t), 0);
    int client = socket(AF_INET, SOCK_STREAM, 0);
    CHECK_EQ(connect_to(client, AF_INET, port_of(li)), 0);
    int s = accept(li, NULL, NULL);
    maybe_save();
    n = sizeof t;
    CHECK_EQ(getsockopt(s, SOL_SOCKET, SO_RCVTIMEO, &t, &n), 0);
    printf("accepted: %d %d %d %d %ld\n", get_int(s, SOL_SOCKET, SO_KEEPALIVE), get_int(s, IPPROTO_TCP, TCP_NODELAY), get_int(s, IPPROTO_IP, IP_TOS), get_int(s, SOL_SOCKET, SO_RCVBUF), t.tv_sec);

    // struct tcp_info of a connection that has moved some bytes.
    CHECK_EQ(write(client, "12345", 5), 5);
    char b[8];
    CHECK_EQ(read(s, b, 8), 5);
    struct tcp_info info;
    n = sizeof info;
    CHECK_EQ(getsockopt(client, IPPROTO_TCP, TCP_INFO, &info, &n), 0);
    CHECK_EQ(n, sizeof info);
    CHECK(info.tcpi_snd_mss > 500 && info.tcpi_snd_cwnd > 0);
    printf("info: state %d, options %d\n", info.tcpi_state, info.tcpi_options & 7);
    int mss = (int)info.tcpi_snd_mss;
    n = 1;
    CHECK_EQ(getsockopt(li, IPPROTO_TCP, TCP_INFO, &info, &n), 0);
    printf("info of a listener: state %d\n", info.tcpi_state);
    CHECK_EQ(get_int(client, IPPROTO_TCP, TCP_MAXSEG), mss);
    uint64_t cookie = 0, again = 1;
    n = sizeof cookie;
    CHECK_EQ(getsockopt(client, SOL_SOCKET, SO_COOKIE, &cookie, &n), 0);
    maybe_save();
    CHECK_EQ(getsockopt(client, SOL_SOCKET, SO_COOKIE, &again, &n), 0);
    CHECK(cookie == again && cookie != 0);
    return 0;
}
