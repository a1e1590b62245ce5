// Sockets of AF_NETLINK: port ids, groups, acknowledgements, sizes, waiting (netlink(7)).
#include "netlink.h"
#include <sys/epoll.h>

static void port_ids(void)
{
    int a = nl_open(NETLINK_ROUTE), b = nl_open(NETLINK_ROUTE), c = nl_open(NETLINK_ROUTE), d = nl_open(NETLINK_GENERIC);
    CHECK_EQ(nl_name(a).nl_pid, 0);
    CHECK_EQ(nl_bind(a, 0, 0), 0);
    CHECK_EQ(nl_name(a).nl_pid, getpid());
    maybe_save();
    CHECK_EQ(nl_bind(b, 0, 0), 0);
    CHECK((int32_t)nl_name(b).nl_pid < 0);
    errno = 0;
    CHECK_ERRNO(nl_bind(c, getpid(), 0), EADDRINUSE);
    CHECK_EQ(nl_bind(d, getpid(), 0), 0);
    CHECK_EQ(nl_bind(c, 4711, 5), 0);
    CHECK_EQ(nl_name(c).nl_pid, 4711);
    CHECK_EQ(nl_name(c).nl_groups, 5);
    CHECK_ERRNO(nl_bind(c, 4712, 0), EINVAL);
    CHECK_EQ(nl_bind(c, 4711, 8), 0);
    CHECK_EQ(nl_name(c).nl_groups, 8);
    close(c);
    c = nl_open(NETLINK_ROUTE);
    CHECK_EQ(nl_bind(c, 4711, 0), 0);
    struct sockaddr_nl bad = {.nl_family = AF_INET};
    CHECK_ERRNO(bind(c, (struct sockaddr *)&bad, sizeof bad), EINVAL);
    bad.nl_family = AF_NETLINK;
    CHECK_ERRNO(bind(c, (struct sockaddr *)&bad, sizeof bad - 1), EINVAL);
    close(a), close(b), close(c), close(d);
    ok("port ids");
}

static void kinds(void)
{
    CHECK_ERRNO(socket(AF_NETLINK, SOCK_STREAM, NETLINK_ROUTE), ESOCKTNOSUPPORT);
    CHECK_ERRNO(socket(AF_NETLINK, SOCK_RAW, 31), EPROTONOSUPPORT);
    CHECK_ERRNO(socket(AF_NETLINK, SOCK_RAW, 99), EPROTONOSUPPORT);
    int s = nl_open(NETLINK_ROUTE), value;
    socklen_t n = sizeof value;
    CHECK_EQ(getsockopt(s, SOL_SOCKET, SO_PROTOCOL, &value, &n), 0);
    CHECK_EQ(value, NETLINK_ROUTE);
    CHECK_EQ(getsockopt(s, SOL_SOCKET, SO_DOMAIN, &value, &n), 0);
    CHECK_EQ(value, AF_NETLINK);
    CHECK_ERRNO(listen(s, 1), EOPNOTSUPP);
    CHECK_ERRNO(accept(s, NULL, NULL), EOPNOTSUPP);
    CHECK_ERRNO(shutdown(s, SHUT_RDWR), EOPNOTSUPP);
    CHECK_ERRNO(send(s, "", 0, 0), ENODATA);
    CHECK_ERRNO(send(s, "x", 1, MSG_OOB), EOPNOTSUPP);
    struct sockaddr_nl peer;
    n = sizeof peer;
    CHECK_EQ(getpeername(s, (struct sockaddr *)&peer, &n), 0);
    CHECK_EQ(peer.nl_pid, 0);
    close(s);
    ok("kinds and names");
}

static void options(void)
{
    static const int switches[] = {NETLINK_PKTINFO, NETLINK_BROADCAST_ERROR, NETLINK_NO_ENOBUFS, NETLINK_CAP_ACK, NETLINK_EXT_ACK, NETLINK_GET_STRICT_CHK};
    int s = nl_open(NETLINK_ROUTE);
    for (size_t i = 0; i < sizeof switches / sizeof *switches; i++) {
        int value = -1;
        socklen_t n = sizeof value;
        CHECK_EQ(getsockopt(s, SOL_NETLINK, switches[i], &value, &n), 0);
        CHECK_EQ(value, 0);
        CHECK_EQ(nl_set(s, switches[i], 1), 0);
        CHECK_EQ(getsockopt(s, SOL_NETLINK, switches[i], &value, &n), 0);
        CHECK_EQ(value, 1);
    }
    CHECK_ERRNO(nl_set(s, 77, 1), ENOPROTOOPT);
    CHECK_EQ(nl_set(s, NETLINK_ADD_MEMBERSHIP, RTNLGRP_LINK), 0);
    CHECK_EQ(nl_set(s, NETLINK_ADD_MEMBERSHIP, RTNLGRP_NEXTHOP), 0);
    CHECK_ERRNO(nl_set(s, NETLINK_ADD_MEMBERSHIP, 0), EINVAL);
    CHECK_ERRNO(nl_set(s, NETLINK_ADD_MEMBERSHIP, 5000), EINVAL);
    CHECK_EQ(nl_name(s).nl_groups, 1u | 1u << (RTNLGRP_NEXTHOP - 1));
    CHECK_EQ(nl_set(s, NETLINK_DROP_MEMBERSHIP, RTNLGRP_LINK), 0);
    CHECK_EQ(nl_name(s).nl_groups, 1u << (RTNLGRP_NEXTHOP - 1));
    maybe_save();
    uint32_t groups[16] = {0};
    socklen_t n = sizeof groups;
    CHECK_EQ(getsockopt(s, SOL_NETLINK, NETLINK_LIST_MEMBERSHIPS, groups, &n), 0);
    CHECK_EQ(groups[0], 1u << (RTNLGRP_NEXTHOP - 1));
    close(s);
    ok("options");
}

static void acknowledgements(void)
{
    int s = nl_open(NETLINK_ROUTE);
    CHECK_EQ(nl_bind(s, 0, 0), 0);
    struct request r;
    char buffer[1024];
    struct nlmsghdr *h = (struct nlmsghdr *)buffer;

    // Nothing to do: an acknowledgement of 36 bytes.
    nl_begin(&r, NLMSG_NOOP, NLM_F_ACK, "", 0);
    nl_send(s, &r);
    CHECK_EQ(recv(s, buffer, sizeof buffer, 0), 36);
    CHECK_EQ(h->nlmsg_type, NLMSG_ERROR);
    CHECK_EQ(h->nlmsg_flags, NLM_F_CAPPED);
    CHECK_EQ(h->nlmsg_pid, getpid());
    CHECK_EQ(((struct nlmsgerr *)NLMSG_DATA(h))->error, 0);

    // Not a request: nothing comes back.
    r.h.nlmsg_flags = 0;
    nl_send(s, &r);
    CHECK_ERRNO(recv(s, buffer, sizeof buffer, MSG_DONTWAIT), EAGAIN);

    // A refusal brings the request back, unless it is to be capped.
    struct ifinfomsg link = {.ifi_index = 4711};
    nl_begin(&r, RTM_GETLINK, 0, &link, sizeof link);
    nl_send(s, &r);
    maybe_save();
    CHECK_EQ(recv(s, buffer, sizeof buffer, 0), NLMSG_LENGTH(4) + r.h.nlmsg_len);
    CHECK_EQ(((struct nlmsgerr *)NLMSG_DATA(h))->error, -ENODEV);
    CHECK_EQ(((struct nlmsgerr *)NLMSG_DATA(h))->msg.nlmsg_type, RTM_GETLINK);
    CHECK_EQ(nl_set(s, NETLINK_CAP_ACK, 1), 0);
    nl_send(s, &r);
    CHECK_EQ(recv(s, buffer, sizeof buffer, 0), 36);

    // With an explanation: attributes behind it.
    CHECK_EQ(nl_set(s, NETLINK_EXT_ACK, 1), 0);
    struct ifaddrmsg address = {.ifa_family = AF_INET, .ifa_prefixlen = 33, .ifa_index = 1};
    nl_begin(&r, RTM_NEWADDR, NLM_F_CREATE, &address, sizeof address);
    nl_put(&r, IFA_LOCAL, "\x7f\x00\x00\x09", 4);
    nl_send(s, &r);
    CHECK(recv(s, buffer, sizeof buffer, 0) > 36);
    CHECK_EQ(h->nlmsg_flags & NLM_F_ACK_TLVS, NLM_F_ACK_TLVS);
    CHECK_EQ(((struct nlmsgerr *)NLMSG_DATA(h))->error, -EINVAL);
    struct rtattr *text = nl_find(h, sizeof(struct nlmsgerr), NLMSGERR_ATTR_MSG);
    CHECK(text != NULL);
    printf("%s\n", (char *)RTA_DATA(text));

    // Two requests at once are answered one after the other.
    struct {
        struct nlmsghdr first, second;
    } two = {{sizeof(struct nlmsghdr), NLMSG_NOOP, NLM_F_REQUEST | NLM_F_ACK, 1, 0}, {sizeof(struct nlmsghdr), NLMSG_NOOP, NLM_F_REQUEST | NLM_F_ACK, 2, 0}};
    CHECK_EQ(send(s, &two, sizeof two, 0), sizeof two);
    CHECK_EQ(recv(s, buffer, sizeof buffer, 0), 36);
    CHECK_EQ(h->nlmsg_seq, 1);
    CHECK_EQ(recv(s, buffer, sizeof buffer, 0), 36);
    CHECK_EQ(h->nlmsg_seq, 2);
    close(s);
    ok("acknowledgements");
}

static void sizes(void)
{
    int s = nl_open(NETLINK_ROUTE);
    struct request r;
    struct ifinfomsg link = {.ifi_index = 1};
    nl_begin(&r, RTM_GETLINK, 0, &link, sizeof link);
    nl_send(s, &r);
    CHECK_EQ(nl_name(s).nl_pid, getpid());
    struct iovec none = {0};
    struct sockaddr_nl from;
    struct msghdr m = {.msg_iov = &none, .msg_iovlen = 1, .msg_name = &from, .msg_namelen = sizeof from};
    int full = recvmsg(s, &m, MSG_PEEK | MSG_TRUNC);
    CHECK(full > 300);
    CHECK_EQ(m.msg_flags & MSG_TRUNC, MSG_TRUNC);
    CHECK_EQ(m.msg_namelen, sizeof from);
    CHECK_EQ(from.nl_pid, 0);
    maybe_save();
    char *buffer = malloc(full);
    CHECK_EQ(recv(s, buffer, 100, MSG_PEEK), 100);
    CHECK_EQ(recv(s, buffer, full, 0), full);
    CHECK_EQ(((struct nlmsghdr *)buffer)->nlmsg_len, full);
    nl_send(s, &r);
    CHECK_EQ(recv(s, buffer, 20, 0), 20);
    CHECK_ERRNO(recv(s, buffer, full, MSG_DONTWAIT), EAGAIN);
    free(buffer);
    close(s);
    ok("sizes");
}

static void between_programs(void)
{
    int a = nl_open(NETLINK_USERSOCK), b = nl_open(NETLINK_USERSOCK), c = nl_open(NETLINK_USERSOCK);
    CHECK_EQ(nl_bind(a, 100, 0), 0);
    CHECK_EQ(nl_bind(b, 200, 2), 0);
    CHECK_EQ(nl_bind(c, 300, 2), 0);
    int one = 1;
    CHECK_EQ(setsockopt(b, SOL_SOCKET, SO_PASSCRED, &one, sizeof one), 0);
    CHECK_EQ(nl_set(b, NETLINK_PKTINFO, 1), 0);
    struct sockaddr_nl to = {.nl_family = AF_NETLINK, .nl_pid = 200};
    CHECK_EQ(sendto(a, "one", 3, 0, (struct sockaddr *)&to, sizeof to), 3);
    maybe_save();
    char buffer[64], control[256];
    struct iovec v = {buffer, sizeof buffer};
    struct sockaddr_nl from;
    struct msghdr m = {.msg_iov = &v, .msg_iovlen = 1, .msg_name = &from, .msg_namelen = sizeof from, .msg_control = control, .msg_controllen = sizeof control};
    CHECK_EQ(recvmsg(b, &m, 0), 3);
    CHECK_EQ(from.nl_pid, 100);
    CHECK_EQ(from.nl_groups, 0);
    bool credentials = false, info = false;
    for (struct cmsghdr *k = CMSG_FIRSTHDR(&m); k; k = CMSG_NXTHDR(&m, k)) {
        if (k->cmsg_level == SOL_SOCKET && k->cmsg_type == SCM_CREDENTIALS)
            credentials = ((struct ucred *)CMSG_DATA(k))->pid == getpid();
        if (k->cmsg_level == SOL_NETLINK && k->cmsg_type == NETLINK_PKTINFO)
            info = *(uint32_t *)CMSG_DATA(k) == 0;
    }
    CHECK(credentials && info);

    // To a group: all members but the sender.
    struct sockaddr_nl group = {.nl_family = AF_NETLINK, .nl_groups = 2};
    CHECK_ERRNO(sendto(c, "four", 4, 0, (struct sockaddr *)&group, sizeof group), ECONNREFUSED);
    m.msg_controllen = sizeof control, m.msg_namelen = sizeof from;
    CHECK_EQ(recvmsg(b, &m, 0), 4);
    CHECK_EQ(from.nl_pid, 300);
    CHECK_EQ(from.nl_groups, 2);
    CHECK_ERRNO(recv(c, buffer, sizeof buffer, MSG_DONTWAIT), EAGAIN);

    // Connected: only the peer may send.
    to.nl_pid = 300;
    CHECK_EQ(connect(b, (struct sockaddr *)&to, sizeof to), 0);
    CHECK_EQ(send(b, "five5", 5, 0), 5);
    CHECK_EQ(recv(c, buffer, sizeof buffer, 0), 5);
    to.nl_pid = 200;
    CHECK_ERRNO(sendto(a, "x", 1, 0, (struct sockaddr *)&to, sizeof to), ECONNREFUSED);
    to.nl_pid = 12345;
    CHECK_ERRNO(sendto(a, "x", 1, 0, (struct sockaddr *)&to, sizeof to), ECONNREFUSED);
    close(a), close(b), close(c);
    ok("between programs");
}

static void waiting(void)
{
    int a = nl_open(NETLINK_USERSOCK), b = nl_open(NETLINK_USERSOCK), e = epoll_create1(0);
    CHECK_EQ(nl_bind(b, 200, 0), 0);
    struct epoll_event event = {.events = EPOLLIN | EPOLLOUT};
    CHECK_EQ(epoll_ctl(e, EPOLL_CTL_ADD, b, &event), 0);
    CHECK_EQ(epoll_wait(e, &event, 1, 0), 1);
    CHECK_EQ(event.events, EPOLLOUT);
    struct sockaddr_nl to = {.nl_family = AF_NETLINK, .nl_pid = 200};
    pid_t child = fork();
    if (child == 0) {
        char buffer[16];
        _exit(recv(b, buffer, sizeof buffer, 0) == 3 ? 0 : 1);
    }
    struct timespec soon = {0, 50000000};
    nanosleep(&soon, NULL);
    maybe_save();
    CHECK_EQ(sendto(a, "abc", 3, 0, (struct sockaddr *)&to, sizeof to), 3);
    int status;
    CHECK_EQ(waitpid(child, &status, 0), child);
    CHECK_EQ(status, 0);
    CHECK_EQ(sendto(a, "abc", 3, 0, (struct sockaddr *)&to, sizeof to), 3);
    CHECK_EQ(epoll_wait(e, &event, 1, -1), 1);
    CHECK_EQ(event.events, EPOLLIN | EPOLLOUT);
    struct timeval limit = {0, 50000};
    char buffer[16];
    CHECK_EQ(recv(b, buffer, sizeof buffer, 0), 3);
    CHECK_EQ(setsockopt(b, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit), 0);
    CHECK_ERRNO(recv(b, buffer, sizeof buffer, 0), EAGAIN);
    close(a), close(b), close(e);
    ok("waiting");
}

static void overrun(void)
{
    int a = nl_open(NETLINK_USERSOCK), b = nl_open(NETLINK_USERSOCK);
    CHECK_EQ(nl_bind(b, 200, 1), 0);
    int small = 4096;
    CHECK_EQ(setsockopt(b, SOL_SOCKET, SO_RCVBUF, &small, sizeof small), 0);
    struct sockaddr_nl group = {.nl_family = AF_NETLINK, .nl_groups = 1};
    char data[1000] = {0};
    for (int i = 0; i < 100; i++)
        sendto(a, data, sizeof data, 0, (struct sockaddr *)&group, sizeof group);
    struct pollfd p = {b, POLLIN, 0};
    CHECK_EQ(poll(&p, 1, 0), 1);
    CHECK_EQ(p.revents & POLLERR, POLLERR);
    maybe_save();
    CHECK_ERRNO(recv(b, data, sizeof data, 0), ENOBUFS);
    int count = 0;
    while (recv(b, data, sizeof data, MSG_DONTWAIT) > 0)
        count++;
    CHECK(count > 0 && count < 100);
    sendto(a, data, 10, 0, (struct sockaddr *)&group, sizeof group);
    CHECK_EQ(recv(b, data, sizeof data, 0), 10);
    close(a), close(b);
    ok("overrun");
}

int main(void)
{
    port_ids();
    kinds();
    options();
    acknowledgements();
    sizes();
    between_programs();
    waiting();
    overrun();
    return 0;
}
