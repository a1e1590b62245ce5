// Links, addresses, routes and neighbours by rtnetlink(7), and hearing of their changes.
#include "netlink.h"
#include <linux/if_link.h>
#include <linux/if_addr.h>
#include <linux/neighbour.h>
#include <linux/veth.h>

static int s, monitor;

// Linux sees to changes of carrier, and to local routes of IPv6, up to a second later.
static void settle(void)
{
    struct timespec t = {1, 200000000};
    while (nanosleep(&t, &t) != 0)
        ;
}

static void hear(const char *what)
{
    // What came since the last time: kinds of messages in order, equal ones once.
    char buffer[32768];
    int n, last = 0;
    printf("%s:", what);
    while ((n = recv(monitor, buffer, sizeof buffer, MSG_DONTWAIT)) > 0) {
        for (struct nlmsghdr *h = (struct nlmsghdr *)buffer; NLMSG_OK(h, (unsigned)n); h = NLMSG_NEXT(h, n)) {
            if (h->nlmsg_type != last)
                printf(" %d", h->nlmsg_type);
            last = h->nlmsg_type;
        }
    }
    printf("\n");
}

static void make_pair(void)
{
    static const unsigned char mac_a[6] = {2, 0, 0, 0, 0, 10}, mac_b[6] = {2, 0, 0, 0, 0, 11};
    struct request r;
    struct ifinfomsg link = {0};
    nl_begin(&r, RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL, &link, sizeof link);
    nl_put(&r, IFLA_IFNAME, "a", 2);
    nl_put(&r, IFLA_ADDRESS, mac_a, 6);
    nl_put(&r, IFLA_MTU, &(uint32_t){1400}, 4);
    struct rtattr *info = nl_put(&r, IFLA_LINKINFO, NULL, 0);
    nl_put(&r, IFLA_INFO_KIND, "veth", 5);
    struct rtattr *data = nl_put(&r, IFLA_INFO_DATA, NULL, 0);
    struct rtattr *peer = nl_put(&r, VETH_INFO_PEER, &link, sizeof link);
    nl_put(&r, IFLA_IFNAME, "b", 2);
    nl_put(&r, IFLA_ADDRESS, mac_b, 6);
    nl_end(&r, peer);
    nl_end(&r, data);
    nl_end(&r, info);
    CHECK_EQ(nl_ask(s, &r), 0);
    CHECK_EQ(nl_ask(s, &r), EEXIST);
    CHECK_EQ(if_nametoindex("b"), 2);
    CHECK_EQ(if_nametoindex("a"), 3);
    ok("a pair of links");
}

static int set_link(int index, unsigned flags, unsigned change)
{
    struct request r;
    struct ifinfomsg link = {.ifi_index = index, .ifi_flags = flags, .ifi_change = change};
    nl_begin(&r, RTM_NEWLINK, 0, &link, sizeof link);
    return nl_ask(s, &r);
}

static void print_link(struct nlmsghdr *h, void *context)
{
    struct ifinfomsg *link = NLMSG_DATA(h);
    (void)context;
    struct rtattr *name = nl_find(h, sizeof *link, IFLA_IFNAME), *mtu = nl_find(h, sizeof *link, IFLA_MTU), *mac = nl_find(h, sizeof *link, IFLA_ADDRESS),
                  *state = nl_find(h, sizeof *link, IFLA_OPERSTATE), *peer = nl_find(h, sizeof *link, IFLA_LINK), *carrier = nl_find(h, sizeof *link, IFLA_CARRIER),
                  *stats = nl_find(h, sizeof *link, IFLA_STATS64);
    unsigned char *m = RTA_DATA(mac);
    CHECK(stats != NULL && RTA_PAYLOAD(stats) >= 24 * 8);
    printf("%d %s type %d flags %x mtu %u mac %02x:%02x:%02x:%02x:%02x:%02x state %d carrier %d peer %d\n", link->ifi_index, (char *)RTA_DATA(name), link->ifi_type, link->ifi_flags,
           *(uint32_t *)RTA_DATA(mtu), m[0], m[1], m[2], m[3], m[4], m[5], *(uint8_t *)RTA_DATA(state), *(uint8_t *)RTA_DATA(carrier), peer ? *(int *)RTA_DATA(peer) : 0);
}

static void list_links(size_t room)
{
    struct request r;
    struct ifinfomsg link = {0};
    nl_begin(&r, RTM_GETLINK, 0, &link, sizeof link);
    nl_dump(s, &r, room, print_link, NULL);
}

static int address(int type, int flags, int index, const char *text, int prefix)
{
    struct request r;
    unsigned char bytes[16];
    int family = strchr(text, ':') ? AF_INET6 : AF_INET, size = family == AF_INET ? 4 : 16;
    CHECK_EQ(inet_pton(family, text, bytes), 1);
    struct ifaddrmsg head = {.ifa_family = family, .ifa_prefixlen = prefix, .ifa_index = index, .ifa_flags = family == AF_INET6 ? IFA_F_NODAD : 0};
    nl_begin(&r, type, flags, &head, sizeof head);
    nl_put(&r, IFA_LOCAL, bytes, size);
    nl_put(&r, IFA_ADDRESS, bytes, size);
    return nl_ask(s, &r);
}

static void print_address(struct nlmsghdr *h, void *context)
{
    struct ifaddrmsg *a = NLMSG_DATA(h);
    char text[64];
    (void)context;
    struct rtattr *address = nl_find(h, sizeof *a, IFA_ADDRESS), *label = nl_find(h, sizeof *a, IFA_LABEL), *info = nl_find(h, sizeof *a, IFA_CACHEINFO), *flags = nl_find(h, sizeof *a, IFA_FLAGS);
    CHECK(info != NULL && flags != NULL);
    inet_ntop(a->ifa_family, RTA_DATA(address), text, sizeof text);
    if (strncmp(text, "fe80", 4) != 0)
        printf("%d %s/%d scope %d flags %x label %s forever %d\n", a->ifa_index, text, a->ifa_prefixlen, a->ifa_scope, *(uint32_t *)RTA_DATA(flags), label ? (char *)RTA_DATA(label) : "-",
               ((struct ifa_cacheinfo *)RTA_DATA(info))->ifa_valid == 0xffffffff);
}

static int route(int type, int flags, const char *to, int prefix, const char *gateway, int index, uint32_t metric)
{
    struct request r;
    unsigned char bytes[16];
    int family = strchr(to, ':') ? AF_INET6 : AF_INET, size = family == AF_INET ? 4 : 16;
    struct rtmsg head = {.rtm_family = family, .rtm_dst_len = prefix, .rtm_table = RT_TABLE_MAIN, .rtm_protocol = RTPROT_STATIC, .rtm_type = RTN_UNICAST,
                         .rtm_scope = gateway ? RT_SCOPE_UNIVERSE : RT_SCOPE_LINK};
    if (type == RTM_DELROUTE) {
        head.rtm_scope = RT_SCOPE_NOWHERE;
        head.rtm_type = head.rtm_protocol = 0;
    }
    nl_begin(&r, type, flags, &head, sizeof head);
    CHECK_EQ(inet_pton(family, to, bytes), 1);
    nl_put(&r, RTA_DST, bytes, size);
    if (gateway) {
        CHECK_EQ(inet_pton(family, gateway, bytes), 1);
        nl_put(&r, RTA_GATEWAY, bytes, size);
    }
    if (index)
        nl_put(&r, RTA_OIF, &index, 4);
    if (metric)
        nl_put(&r, RTA_PRIORITY, &metric, 4);
    return nl_ask(s, &r);
}

static void print_route(struct nlmsghdr *h, void *context)
{
    struct rtmsg *r = NLMSG_DATA(h);
    char to[64] = "default", gateway[64] = "-";
    (void)context;
    struct rtattr *table = nl_find(h, sizeof *r, RTA_TABLE), *dst = nl_find(h, sizeof *r, RTA_DST), *gw = nl_find(h, sizeof *r, RTA_GATEWAY), *oif = nl_find(h, sizeof *r, RTA_OIF),
                  *metric = nl_find(h, sizeof *r, RTA_PRIORITY);
    if (dst)
        inet_ntop(r->rtm_family, RTA_DATA(dst), to, sizeof to);
    if (gw)
        inet_ntop(r->rtm_family, RTA_DATA(gw), gateway, sizeof gateway);
    if (strncmp(to, "fe80", 4) != 0 && strncmp(to, "ff00", 4) != 0)
        printf("%s/%d table %u type %d scope %d protocol %d via %s dev %d metric %u\n", to, r->rtm_dst_len, *(uint32_t *)RTA_DATA(table), r->rtm_type, r->rtm_scope, r->rtm_protocol, gateway,
               oif ? *(int *)RTA_DATA(oif) : 0, metric ? *(uint32_t *)RTA_DATA(metric) : 0);
}

static void lookup(const char *to)
{
    struct request r;
    unsigned char bytes[16];
    char buffer[2048];
    int family = strchr(to, ':') ? AF_INET6 : AF_INET, size = family == AF_INET ? 4 : 16;
    struct rtmsg head = {.rtm_family = family, .rtm_dst_len = size * 8};
    nl_begin(&r, RTM_GETROUTE, 0, &head, sizeof head);
    CHECK_EQ(inet_pton(family, to, bytes), 1);
    nl_put(&r, RTA_DST, bytes, size);
    nl_send(s, &r);
    CHECK(recv(s, buffer, sizeof buffer, 0) > 0);
    struct nlmsghdr *h = (struct nlmsghdr *)buffer;
    if (h->nlmsg_type == NLMSG_ERROR) {
        printf("%s: %s\n", to, strerror(-((struct nlmsgerr *)NLMSG_DATA(h))->error));
        return;
    }
    char source[64] = "-", gateway[64] = "-";
    struct rtattr *src = nl_find(h, sizeof head, RTA_PREFSRC), *gw = nl_find(h, sizeof head, RTA_GATEWAY);
    if (src)
        inet_ntop(family, RTA_DATA(src), source, sizeof source);
    if (gw)
        inet_ntop(family, RTA_DATA(gw), gateway, sizeof gateway);
    printf("%s: type %d dev %d via %s from %s\n", to, ((struct rtmsg *)NLMSG_DATA(h))->rtm_type, *(int *)RTA_DATA(nl_find(h, sizeof head, RTA_OIF)), gateway, source);
}

static void neighbours(void)
{
    static const unsigned char mac[6] = {2, 0, 0, 0, 0, 77};
    struct request r;
    struct ndmsg head = {.ndm_family = AF_INET, .ndm_ifindex = 3, .ndm_state = NUD_PERMANENT};
    nl_begin(&r, RTM_NEWNEIGH, NLM_F_CREATE | NLM_F_EXCL, &head, sizeof head);
    nl_put(&r, NDA_DST, "\x0a\x01\x00\x4d", 4);
    nl_put(&r, NDA_LLADDR, mac, 6);
    CHECK_EQ(nl_ask(s, &r), 0);
    CHECK_EQ(nl_ask(s, &r), EEXIST);
    maybe_save();
    r.h.nlmsg_type = RTM_DELNEIGH;
    r.h.nlmsg_flags = NLM_F_REQUEST;
    CHECK_EQ(nl_ask(s, &r), 0);
    CHECK_EQ(nl_ask(s, &r), ENOENT);
    head.ndm_ifindex = 99;
    nl_begin(&r, RTM_NEWNEIGH, NLM_F_CREATE, &head, sizeof head);
    nl_put(&r, NDA_DST, "\x0a\x01\x00\x4d", 4);
    CHECK_EQ(nl_ask(s, &r), ENODEV);
    ok("neighbours");
}

static void unprivileged(void)
{
    pid_t child = fork();
    if (child == 0) {
        CHECK_EQ(setresuid(1000, 1000, 1000), 0);

        // The socket was opened by root, but who asks now is not.
        CHECK_EQ(set_link(3, 0, IFF_UP), EPERM);
        int own = nl_open(NETLINK_ROUTE);
        s = own;
        CHECK_EQ(set_link(3, 0, IFF_UP), EPERM);
        CHECK_EQ(route(RTM_NEWROUTE, NLM_F_CREATE, "1.0.0.0", 8, NULL, 3, 0), EPERM);
        struct request r;
        struct ifinfomsg link = {0};
        nl_begin(&r, RTM_GETLINK, 0, &link, sizeof link);
        CHECK_EQ(nl_dump(own, &r, 16384, NULL, NULL), 3);
        _exit(0);
    }
    int status;
    CHECK_EQ(waitpid(child, &status, 0), child);
    CHECK_EQ(status, 0);
    ok("anybody may look, root may change");
}

int main(void)
{
    setvbuf(stdout, NULL, _IOLBF, 0);
    s = nl_open(NETLINK_ROUTE);
    monitor = nl_open(NETLINK_ROUTE);
    make_pair();
    list_links(16384);
    CHECK_EQ(nl_bind(monitor, 0, RTMGRP_LINK | RTMGRP_IPV4_IFADDR | RTMGRP_IPV4_ROUTE), 0);
    CHECK_EQ(set_link(3, IFF_UP, IFF_UP), 0);
    hear("a goes up");
    CHECK_EQ(set_link(2, IFF_UP, IFF_UP), 0);
    maybe_save();
    settle();
    hear("b goes up");
    list_links(4096);

    CHECK_EQ(address(RTM_NEWADDR, NLM_F_CREATE | NLM_F_EXCL, 3, "10.1.0.1", 24), 0);
    hear("an address comes");
    CHECK_EQ(address(RTM_NEWADDR, NLM_F_CREATE | NLM_F_EXCL, 3, "10.1.0.1", 24), EEXIST);
    CHECK_EQ(address(RTM_NEWADDR, NLM_F_CREATE | NLM_F_EXCL, 3, "10.1.0.2", 24), 0);
    CHECK_EQ(address(RTM_NEWADDR, NLM_F_CREATE | NLM_F_EXCL, 3, "fd00::1", 64), 0);
    CHECK_EQ(address(RTM_NEWADDR, NLM_F_CREATE | NLM_F_EXCL, 99, "10.1.0.2", 24), ENODEV);
    struct request r;
    struct ifaddrmsg every = {0};
    nl_begin(&r, RTM_GETADDR, 0, &every, sizeof every);
    nl_dump(s, &r, 8192, print_address, NULL);

    CHECK_EQ(route(RTM_NEWROUTE, NLM_F_CREATE | NLM_F_EXCL, "0.0.0.0", 0, "10.1.0.254", 0, 0), 0);
    CHECK_EQ(route(RTM_NEWROUTE, NLM_F_CREATE | NLM_F_EXCL, "10.9.0.0", 16, "10.1.0.7", 0, 0), 0);
    CHECK_EQ(route(RTM_NEWROUTE, NLM_F_CREATE | NLM_F_EXCL, "10.9.0.0", 16, "10.1.0.8", 0, 0), EEXIST);
    CHECK_EQ(route(RTM_NEWROUTE, NLM_F_CREATE | NLM_F_REPLACE, "10.9.0.0", 16, "10.1.0.8", 0, 0), 0);
    CHECK_EQ(route(RTM_NEWROUTE, NLM_F_REPLACE, "10.10.0.0", 16, "10.1.0.8", 0, 0), ENOENT);
    CHECK_EQ(route(RTM_NEWROUTE, NLM_F_CREATE, "10.10.0.0", 16, "99.0.0.1", 0, 0), ENETUNREACH);
    CHECK_EQ(route(RTM_NEWROUTE, NLM_F_CREATE, "10.10.0.1", 16, "10.1.0.8", 0, 0), EINVAL);
    CHECK_EQ(route(RTM_NEWROUTE, NLM_F_CREATE, "10.10.0.0", 16, NULL, 99, 0), ENODEV);
    CHECK_EQ(route(RTM_NEWROUTE, NLM_F_CREATE, "10.11.0.0", 16, NULL, 3, 5), 0);
    CHECK_EQ(route(RTM_NEWROUTE, NLM_F_CREATE, "fd05::", 64, "fd00::9", 0, 0), 0);
    maybe_save();
    settle();
    hear("routes come");
    struct rtmsg all = {0};
    nl_begin(&r, RTM_GETROUTE, 0, &all, sizeof all);
    nl_dump(s, &r, 4096, print_route, NULL);
    lookup("10.9.1.1");
    lookup("10.1.0.2");
    lookup("10.1.0.255");
    lookup("10.1.0.44");
    lookup("8.8.8.8");
    lookup("127.0.0.1");
    lookup("fd05::7");
    lookup("::1");
    lookup("2001::1");
    CHECK_EQ(route(RTM_DELROUTE, 0, "10.9.0.0", 16, NULL, 0, 0), 0);
    CHECK_EQ(route(RTM_DELROUTE, 0, "10.9.0.0", 16, NULL, 0, 0), ESRCH);
    hear("a route goes");
    neighbours();
    unprivileged();

    CHECK_EQ(address(RTM_DELADDR, 0, 3, "10.1.0.1", 24), 0);
    CHECK_EQ(address(RTM_DELADDR, 0, 3, "10.1.0.1", 24), EADDRNOTAVAIL);
    hear("addresses go");
    CHECK_EQ(set_link(2, 0, IFF_UP), 0);
    settle();
    list_links(16384);
    struct ifinfomsg link = {.ifi_index = 3};
    hear("b goes down");
    nl_begin(&r, RTM_DELLINK, 0, &link, sizeof link);
    CHECK_EQ(nl_ask(s, &r), 0);
    CHECK_EQ(nl_ask(s, &r), ENODEV);
    link.ifi_index = 1;
    nl_begin(&r, RTM_DELLINK, 0, &link, sizeof link);
    CHECK_EQ(nl_ask(s, &r), EOPNOTSUPP);
    list_links(16384);
    return 0;
}
