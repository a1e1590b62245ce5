// Helpers of the programs about sockets of AF_NETLINK. Natively they run in a network namespace of their own, with loopback up.
#ifndef NETLINK_H
#define NETLINK_H

#include "conformance.h"
#include <arpa/inet.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <poll.h>
#include <stdbool.h>
#include <sys/socket.h>

#ifndef SOL_NETLINK
#define SOL_NETLINK 270
#endif

struct request {
    struct nlmsghdr h;
    char body[4096];
};

static inline int nl_open(int protocol)
{
    int s = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, protocol);
    CHECK(s >= 0);
    return s;
}

static inline int nl_bind(int s, uint32_t port, uint32_t groups)
{
    struct sockaddr_nl a = {.nl_family = AF_NETLINK, .nl_pid = port, .nl_groups = groups};
    return bind(s, (struct sockaddr *)&a, sizeof a);
}

static inline struct sockaddr_nl nl_name(int s)
{
    struct sockaddr_nl a;
    socklen_t n = sizeof a;
    CHECK_EQ(getsockname(s, (struct sockaddr *)&a, &n), 0);
    CHECK_EQ(n, sizeof a);
    CHECK_EQ(a.nl_family, AF_NETLINK);
    return a;
}

static inline int nl_set(int s, int option, int value)
{
    return setsockopt(s, SOL_NETLINK, option, &value, sizeof value);
}

static inline void nl_begin(struct request *r, int type, int flags, const void *head, size_t size)
{
    memset(r, 0, sizeof *r);
    r->h.nlmsg_type = type;
    r->h.nlmsg_flags = NLM_F_REQUEST | flags;
    r->h.nlmsg_seq = 7;
    r->h.nlmsg_len = NLMSG_LENGTH(size);
    memcpy(NLMSG_DATA(&r->h), head, size);
}

static inline struct rtattr *nl_put(struct request *r, int type, const void *data, size_t size)
{
    struct rtattr *a = (struct rtattr *)((char *)r + NLMSG_ALIGN(r->h.nlmsg_len));
    a->rta_type = type;
    a->rta_len = RTA_LENGTH(size);
    if (size > 0)
        memcpy(RTA_DATA(a), data, size);
    r->h.nlmsg_len = NLMSG_ALIGN(r->h.nlmsg_len) + RTA_ALIGN(a->rta_len);
    return a;
}

static inline void nl_end(struct request *r, struct rtattr *nest)
{
    nest->rta_len = (char *)r + r->h.nlmsg_len - (char *)nest;
}

static inline void nl_send(int s, const struct request *r)
{
    CHECK_EQ(send(s, r, r->h.nlmsg_len, 0), r->h.nlmsg_len);
}

// Sends a request that is acknowledged; what the acknowledgement says, as an errno.
static inline int nl_ask(int s, struct request *r)
{
    char buffer[16384];
    r->h.nlmsg_flags |= NLM_F_ACK;
    nl_send(s, r);
    for (;;) {
        int n = recv(s, buffer, sizeof buffer, 0);
        CHECK(n > 0);
        struct nlmsghdr *h = (struct nlmsghdr *)buffer;
        if (h->nlmsg_type != NLMSG_ERROR)
            continue;
        CHECK_EQ(h->nlmsg_seq, r->h.nlmsg_seq);
        return -((struct nlmsgerr *)NLMSG_DATA(h))->error;
    }
}

// Calls a function for each message of a list.
typedef void (*nl_each)(struct nlmsghdr *h, void *context);

static inline int nl_dump(int s, struct request *r, size_t room, nl_each each, void *context)
{
    char *buffer = malloc(room);
    int count = 0;
    r->h.nlmsg_flags |= NLM_F_DUMP;
    nl_send(s, r);
    for (;;) {
        int n = recv(s, buffer, room, 0);
        CHECK(n > 0);
        for (struct nlmsghdr *h = (struct nlmsghdr *)buffer; NLMSG_OK(h, (unsigned)n); h = NLMSG_NEXT(h, n)) {
            CHECK_EQ(h->nlmsg_seq, r->h.nlmsg_seq);
            CHECK_EQ(h->nlmsg_flags & NLM_F_MULTI, NLM_F_MULTI);
            if (h->nlmsg_type == NLMSG_DONE) {
                CHECK_EQ(*(int *)NLMSG_DATA(h), 0);
                free(buffer);
                return count;
            }
            CHECK(h->nlmsg_type != NLMSG_ERROR);
            count++;
            if (each)
                each(h, context);
        }
        maybe_save();
    }
}

// An attribute behind a fixed part; NULL when it is not there.
static inline struct rtattr *nl_find(struct nlmsghdr *h, size_t size, int type)
{
    int left = h->nlmsg_len - NLMSG_SPACE(size);
    for (struct rtattr *a = (struct rtattr *)((char *)h + NLMSG_SPACE(size)); RTA_OK(a, left); a = RTA_NEXT(a, left)) {
        if ((a->rta_type & 0x7fff) == type)
            return a;
    }
    return NULL;
}

#endif
