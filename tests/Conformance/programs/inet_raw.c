// Raw sockets on the loopback interface: ICMP by hand, whole IP packets, filters.
#include "inet.h"
#include <linux/filter.h>
#include <netinet/icmp6.h>
#include <netinet/ip.h>
#include <netinet/ip_icmp.h>
#include <netinet/udp.h>

static uint16_t checksum(const void *data, size_t length)
{
    const uint8_t *p = data;
    uint32_t sum = 0;
    for (size_t i = 0; i + 1 < length; i += 2)
        sum += (uint32_t)(p[i] << 8 | p[i + 1]);
    if (length & 1)
        sum += (uint32_t)(p[length - 1] << 8);
    while (sum >> 16)
        sum = (sum & 0xffff) + (sum >> 16);
    return htons((uint16_t)~sum);
}

// The next ICMP message of a type for this identifier, behind its IP header.
static size_t next_icmp(int s, int type, uint16_t id, uint8_t *b, size_t size)
{
    for (;;) {
        await(s, POLLIN);
        ssize_t n = recv(s, b, size, 0);
        CHECK(n >= 28);
        struct icmphdr *h = (struct icmphdr *)(b + (b[0] & 15) * 4);
        if (h->type == type && h->un.echo.id == htons(id))
            return (size_t)n;
    }
}

static void echo(void)
{
    uint8_t b[256], packet[24] = {ICMP_ECHO, 0, 0, 0, 0x12, 0x34, 0, 1, 'd', 'a', 't', 'a'};
    int s = socket(AF_INET, SOCK_RAW, IPPROTO_ICMP);
    CHECK(s >= 0);
    struct sockaddr_in to = in4(INADDR_LOOPBACK, 0), from;
    *(uint16_t *)(packet + 2) = checksum(packet, sizeof packet);
    CHECK_EQ(sendto(s, packet, sizeof packet, 0, SA(to), sizeof to), sizeof packet);
    maybe_save();
    CHECK_EQ(next_icmp(s, ICMP_ECHOREPLY, 0x1234, b, sizeof b), 44);
    struct iphdr *ip = (struct iphdr *)b;
    CHECK_EQ(ip->version, 4);
    CHECK_EQ(ip->ihl, 5);
    CHECK_EQ(ntohs(ip->tot_len), 44);
    CHECK_EQ(ip->protocol, IPPROTO_ICMP);
    CHECK_EQ(ntohl(ip->saddr), INADDR_LOOPBACK);
    CHECK_EQ(checksum(b, 20), 0);
    CHECK_EQ(memcmp(b + 28, "data", 4), 0);

    // Of what is filtered nothing is seen.
    uint32_t mask = ~(1u << ICMP_ECHOREPLY);
    CHECK_EQ(setsockopt(s, SOL_RAW, 1 /* ICMP_FILTER */, &mask, sizeof mask), 0);
    maybe_save();
    packet[7] = 2;
    *(uint16_t *)(packet + 2) = 0;
    *(uint16_t *)(packet + 2) = checksum(packet, sizeof packet);
    while (recv(s, b, sizeof b, MSG_DONTWAIT) > 0)
        ;
    CHECK_EQ(connect(s, SA(to), sizeof to), 0);
    CHECK_EQ(send(s, packet, sizeof packet, 0), sizeof packet);
    await(s, POLLIN);
    socklen_t n = sizeof from;
    CHECK_EQ(recvfrom(s, b, sizeof b, 0, SA(from), &n), 44);
    CHECK_EQ(b[20], ICMP_ECHOREPLY);
    CHECK_EQ(from.sin_port, 0);
    CHECK_ERRNO(recv(s, b, sizeof b, MSG_DONTWAIT), EAGAIN);
    uint32_t back = 0;
    n = sizeof back;
    CHECK_EQ(getsockopt(s, SOL_RAW, 1 /* ICMP_FILTER */, &back, &n), 0);
    CHECK_EQ(back, mask);
    CHECK_EQ(close(s), 0);
    ok("echo");
}

static void filter(void)
{
    // A classic filter that takes echo replies with one identifier alone, as ping has it.
    struct sock_filter code[] = {
        BPF_STMT(BPF_LDX | BPF_B | BPF_MSH, 0),
        BPF_STMT(BPF_LD | BPF_H | BPF_IND, 4),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 0x4444, 0, 3),
        BPF_STMT(BPF_LD | BPF_B | BPF_IND, 0),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, ICMP_ECHOREPLY, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, 0xffff),
        BPF_STMT(BPF_RET | BPF_K, 0),
    };
    struct sock_fprog program = {sizeof code / sizeof code[0], code};
    int s = socket(AF_INET, SOCK_RAW, IPPROTO_ICMP);
    CHECK_EQ(setsockopt(s, SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof program), 0);
    CHECK_ERRNO(setsockopt(s, SOL_SOCKET, SO_ATTACH_FILTER, &program, 4), EINVAL);
    struct sockaddr_in to = in4(INADDR_LOOPBACK, 0);
    uint8_t b[256];
    for (int id = 0x4443; id <= 0x4445; id++) {
        uint8_t packet[16] = {ICMP_ECHO, 0, 0, 0, (uint8_t)(id >> 8), (uint8_t)id};
        *(uint16_t *)(packet + 2) = checksum(packet, sizeof packet);
        CHECK_EQ(sendto(s, packet, sizeof packet, 0, SA(to), sizeof to), sizeof packet);
        maybe_save();
    }
    sleep_ms(20);
    CHECK_EQ(recv(s, b, sizeof b, MSG_DONTWAIT), 36);
    CHECK_EQ(b[25], 0x44);
    CHECK_ERRNO(recv(s, b, sizeof b, MSG_DONTWAIT), EAGAIN);
    CHECK_EQ(setsockopt(s, SOL_SOCKET, SO_DETACH_FILTER, &(int){0}, sizeof(int)), 0);
    CHECK_ERRNO(setsockopt(s, SOL_SOCKET, SO_DETACH_FILTER, &(int){0}, sizeof(int)), ENOENT);
    CHECK_EQ(close(s), 0);
    ok("filter");
}

// A UDP packet with an IP header of our own making.
static void whole(void)
{
    int u = bound(AF_INET, SOCK_DGRAM), s = socket(AF_INET, SOCK_RAW, IPPROTO_RAW);
    CHECK_EQ(get_int(s, IPPROTO_IP, IP_HDRINCL), 1);
    char b[64];
    CHECK_ERRNO(recv(s, b, sizeof b, MSG_DONTWAIT), EAGAIN);
    struct {
        struct iphdr ip;
        struct udphdr udp;
        char text[5];
    } __attribute__((packed)) p = {
        .ip = {.version = 4, .ihl = 5, .ttl = 3, .protocol = IPPROTO_UDP, .saddr = htonl(0x7f000005), .daddr = htonl(INADDR_LOOPBACK)},
        .udp = {.source = htons(4000), .dest = htons(port_of(u)), .len = htons(13)},
        .text = "made",
    };
    struct sockaddr_in to = in4(INADDR_LOOPBACK, 0), from;
    CHECK_EQ(sendto(s, &p, sizeof p, 0, SA(to), sizeof to), sizeof p);
    maybe_save();
    socklen_t n = sizeof from;
    CHECK_EQ(recvfrom(u, b, sizeof b, 0, SA(from), &n), 5);
    CHECK_EQ(ntohl(from.sin_addr.s_addr), 0x7f000005);
    CHECK_EQ(ntohs(from.sin_port), 4000);
    CHECK_EQ(strcmp(b, "made"), 0);
    CHECK_ERRNO(sendto(s, &p, 10, 0, SA(to), sizeof to), EINVAL);

    // A raw socket of another protocol sees what it is sent.
    int r = socket(AF_INET, SOCK_RAW, 200), w = socket(AF_INET, SOCK_RAW, 200);
    CHECK_EQ(bind(r, SA(to), sizeof to), 0);
    CHECK_EQ(sendto(w, "hi", 2, 0, SA(to), sizeof to), 2);
    CHECK_EQ(recv(r, b, sizeof b, 0), 22);
    CHECK_EQ(memcmp(b + 20, "hi", 2), 0);
    CHECK_EQ((uint8_t)b[9], 200);
    CHECK_EQ(close(u) | close(s) | close(r) | close(w), 0);
    ok("whole packets");
}

static void six(void)
{
    int s = socket(AF_INET6, SOCK_RAW, IPPROTO_ICMPV6);
    struct icmp6_filter f;
    ICMP6_FILTER_SETBLOCKALL(&f);
    ICMP6_FILTER_SETPASS(ICMP6_ECHO_REPLY, &f);
    CHECK_EQ(setsockopt(s, IPPROTO_ICMPV6, ICMP6_FILTER, &f, sizeof f), 0);
    struct icmp6_hdr h = {.icmp6_type = ICMP6_ECHO_REQUEST, .icmp6_id = htons(0x6666), .icmp6_seq = htons(1)};
    struct sockaddr_in6 to = in6(&in6addr_loopback, 0);
    CHECK_EQ(sendto(s, &h, sizeof h, 0, SA(to), sizeof to), sizeof h);
    maybe_save();
    char b[64];
    await(s, POLLIN);
    CHECK_EQ(recv(s, b, sizeof b, 0), sizeof h);
    CHECK_EQ((uint8_t)b[0], ICMP6_ECHO_REPLY);
    CHECK_ERRNO(recv(s, b, sizeof b, MSG_DONTWAIT), EAGAIN);
    CHECK_EQ(close(s), 0);
    ok("IPv6");
}

static void privileges(void)
{
    CHECK_ERRNO(socket(AF_INET, SOCK_RAW, 0), EPROTONOSUPPORT);
    pid_t pid = fork_checked();
    if (pid == 0) {
        CHECK_EQ(setuid(65534), 0);
        CHECK_ERRNO(socket(AF_INET, SOCK_RAW, IPPROTO_ICMP), EPERM);
        CHECK_ERRNO(socket(AF_INET6, SOCK_RAW, IPPROTO_ICMPV6), EPERM);
        int s = socket(AF_INET, SOCK_DGRAM, 0);
        struct sockaddr_in a = in4(INADDR_LOOPBACK, 99);
        CHECK_ERRNO(bind(s, SA(a), sizeof a), EACCES);
        CHECK_ERRNO(setsockopt(s, SOL_SOCKET, SO_MARK, &(int){1}, 4), EPERM);
        CHECK_ERRNO(setsockopt(s, SOL_SOCKET, SO_PRIORITY, &(int){7}, 4), EPERM);
        CHECK_ERRNO(setsockopt(s, SOL_SOCKET, SO_RCVBUFFORCE, &(int){7}, 4), EPERM);
        CHECK_ERRNO(setsockopt(s, IPPROTO_IP, IP_TRANSPARENT, &(int){1}, 4), EPERM);
        _exit(0);
    }
    reap(pid);
    ok("privileges");
}

int main(void)
{
    setvbuf(stdout, NULL, _IOLBF, 0);
    echo();
    filter();
    whole();
    six();
    privileges();
    return 0;
}
