// Packet sockets on the loopback interface: whole frames, cooked ones, filters, statistics, the ring.
#include "inet.h"
#include <linux/filter.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <sys/mman.h>

static struct sockaddr_ll link_address(int protocol)
{
    struct sockaddr_ll a = {.sll_family = AF_PACKET, .sll_protocol = htons((uint16_t)protocol), .sll_ifindex = (int)if_nametoindex("lo")};
    return a;
}

static int tap(int type, int protocol)
{
    int s = socket(AF_PACKET, type, 0);
    CHECK(s >= 0);
    struct sockaddr_ll a = link_address(protocol);
    CHECK_EQ(bind(s, SA(a), sizeof a), 0);
    return s;
}

static int u, v;

static void say(const char *text)
{
    char b[64];
    CHECK_EQ(send(v, text, strlen(text), 0), strlen(text));
    CHECK_EQ(recv(u, b, sizeof b, 0), strlen(text));
}

static int is_ours(const uint8_t *ip, ssize_t length)
{
    return length >= 28 && ip[9] == IPPROTO_UDP && (ip[22] << 8 | ip[23]) == port_of(u);
}

static void names(void)
{
    CHECK_ERRNO(socket(AF_PACKET, SOCK_STREAM, 0), ESOCKTNOSUPPORT);
    int s = socket(AF_PACKET, SOCK_RAW, htons(ETH_P_IP));
    struct sockaddr_ll a = link_address(ETH_P_IP), b;
    socklen_t n = sizeof b;
    CHECK_EQ(getsockname(s, SA(b), &n), 0);
    CHECK_EQ(n, 12);
    CHECK_EQ(b.sll_ifindex, 0);
    CHECK_EQ(ntohs(b.sll_protocol), ETH_P_IP);
    CHECK_ERRNO(bind(s, SA(a), 8), EINVAL);
    a.sll_ifindex = 9999;
    CHECK_ERRNO(bind(s, SA(a), sizeof a), ENODEV);
    a = link_address(ETH_P_ALL);
    CHECK_EQ(bind(s, SA(a), sizeof a), 0);
    maybe_save();
    n = sizeof b;
    CHECK_EQ(getsockname(s, SA(b), &n), 0);
    CHECK_EQ(n, 18);
    CHECK_EQ(b.sll_ifindex, a.sll_ifindex);
    CHECK_EQ(b.sll_hatype, 772);
    CHECK_ERRNO(connect(s, SA(a), sizeof a), EOPNOTSUPP);
    CHECK_ERRNO(getpeername(s, SA(b), &n), EOPNOTSUPP);
    CHECK_ERRNO(listen(s, 1), EOPNOTSUPP);
    CHECK_ERRNO(shutdown(s, SHUT_RD), EOPNOTSUPP);
    CHECK_EQ(close(s), 0);
    ok("names");
}

// A datagram over loopback is seen going out and coming in.
static void frames(int type)
{
    int s = tap(type, ETH_P_ALL), outgoing = 0, incoming = 0;
    uint8_t b[512];
    size_t header = type == SOCK_RAW ? 14 : 0;
    set_int(s, SOL_PACKET, PACKET_AUXDATA, 1);
    say("frame");
    maybe_save();
    sleep_ms(20);
    for (;;) {
        char control[128];
        struct sockaddr_ll from;
        struct iovec i = {b, sizeof b};
        struct msghdr m = {.msg_name = &from, .msg_namelen = sizeof from, .msg_iov = &i, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control};
        ssize_t n = recvmsg(s, &m, MSG_DONTWAIT);
        if (n < 0)
            break;
        if (ntohs(from.sll_protocol) != ETH_P_IP || !is_ours(b + header, n - (ssize_t)header))
            continue;
        CHECK_EQ(m.msg_namelen, sizeof from);
        CHECK_EQ(n, (ssize_t)header + 33);
        if (header != 0)
            CHECK_EQ(b[12] << 8 | b[13], ETH_P_IP);
        CHECK_EQ(from.sll_ifindex, (int)if_nametoindex("lo"));
        struct cmsghdr *c = CMSG_FIRSTHDR(&m);
        CHECK(c != NULL && c->cmsg_level == SOL_PACKET && c->cmsg_type == PACKET_AUXDATA);
        struct tpacket_auxdata *aux = (struct tpacket_auxdata *)CMSG_DATA(c);
        CHECK_EQ(aux->tp_len, n);
        CHECK_EQ(aux->tp_snaplen, n);
        CHECK_EQ(aux->tp_net, header);
        if (from.sll_pkttype == PACKET_OUTGOING)
            outgoing++;
        else
            incoming += from.sll_pkttype == PACKET_HOST;
    }
    CHECK_EQ(errno, EAGAIN);
    printf("out %d, in %d\n", outgoing, incoming);
    CHECK_EQ(close(s), 0);
    ok(type == SOCK_RAW ? "frames" : "cooked frames");
}

static void sending(void)
{
    int s = tap(SOCK_DGRAM, 0x88b5), w = socket(AF_PACKET, SOCK_DGRAM, 0), r = socket(AF_PACKET, SOCK_RAW, 0);
    char b[64];
    struct sockaddr_ll to = link_address(0x88b5), from;
    to.sll_halen = 6;
    CHECK_EQ(sendto(w, "cooked", 6, 0, SA(to), sizeof to), 6);
    await(s, POLLIN);
    maybe_save();
    socklen_t n = sizeof from;
    CHECK_EQ(recvfrom(s, b, sizeof b, 0, SA(from), &n), 6);
    CHECK_EQ(ntohs(from.sll_protocol), 0x88b5);
    uint8_t frame[20] = {[12] = 0x88, [13] = 0xb5, 'r', 'a', 'w', '!'};
    CHECK_EQ(sendto(r, frame, sizeof frame, 0, SA(to), sizeof to), sizeof frame);
    await(s, POLLIN);
    CHECK_EQ(recv(s, b, 4, MSG_TRUNC), 6);
    CHECK_EQ(memcmp(b, "raw!", 4), 0);
    CHECK_ERRNO(recv(s, b, 4, MSG_DONTWAIT), EAGAIN);
    CHECK_ERRNO(recv(s, b, 4, MSG_OOB), EINVAL);
    to.sll_ifindex = 9999;
    CHECK_ERRNO(sendto(w, "x", 1, 0, SA(to), sizeof to), ENXIO);
    CHECK_ERRNO(send(w, "x", 1, 0), ENXIO);
    CHECK_EQ(close(s) | close(w) | close(r), 0);
    ok("sending");
}

static void options(void)
{
    int s = tap(SOCK_RAW, ETH_P_IP);
    struct sock_filter none[] = {BPF_STMT(BPF_RET | BPF_K, 0)};
    struct sock_fprog program = {1, none};
    CHECK_EQ(setsockopt(s, SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof program), 0);
    struct tpacket_stats stats;
    socklen_t n = sizeof stats;
    CHECK_EQ(getsockopt(s, SOL_PACKET, PACKET_STATISTICS, &stats, &n), 0);
    say("unseen");
    maybe_save();
    sleep_ms(20);
    n = sizeof stats;
    CHECK_EQ(getsockopt(s, SOL_PACKET, PACKET_STATISTICS, &stats, &n), 0);
    CHECK_EQ(n, sizeof stats);
    CHECK_EQ(stats.tp_packets, 0);
    struct packet_mreq m = {.mr_ifindex = (int)if_nametoindex("lo"), .mr_type = PACKET_MR_PROMISC};
    CHECK_EQ(setsockopt(s, SOL_PACKET, PACKET_ADD_MEMBERSHIP, &m, sizeof m), 0);
    maybe_save();
    CHECK_EQ(setsockopt(s, SOL_PACKET, PACKET_DROP_MEMBERSHIP, &m, sizeof m), 0);
    CHECK_EQ(setsockopt(s, SOL_PACKET, PACKET_DROP_MEMBERSHIP, &m, sizeof m), 0);
    m.mr_ifindex = 9999;
    CHECK_ERRNO(setsockopt(s, SOL_PACKET, PACKET_ADD_MEMBERSHIP, &m, sizeof m), ENODEV);
    CHECK_ERRNO(setsockopt(s, SOL_PACKET, PACKET_ADD_MEMBERSHIP, &m, 8), EINVAL);
    CHECK_EQ(get_int(s, SOL_PACKET, PACKET_VERSION), TPACKET_V1);
    int version = TPACKET_V2;
    n = sizeof version;
    CHECK_EQ(getsockopt(s, SOL_PACKET, PACKET_HDRLEN, &version, &n), 0);
    CHECK_EQ(version, sizeof(struct tpacket2_hdr));
    CHECK_EQ(close(s), 0);
    ok("options");
}

// Frames in memory that is shared with the kernel (TPACKET_V2).
static void ring(void)
{
    int s = socket(AF_PACKET, SOCK_RAW, 0);
    set_int(s, SOL_PACKET, PACKET_VERSION, TPACKET_V2);
    struct tpacket_req q = {.tp_block_size = 8192, .tp_block_nr = 2, .tp_frame_size = 2048, .tp_frame_nr = 9};
    CHECK_ERRNO(setsockopt(s, SOL_PACKET, PACKET_RX_RING, &q, sizeof q), EINVAL);
    q.tp_frame_nr = 8;
    CHECK_EQ(setsockopt(s, SOL_PACKET, PACKET_RX_RING, &q, sizeof q), 0);
    uint8_t *map = mmap(NULL, 16384, PROT_READ | PROT_WRITE, MAP_SHARED, s, 0);
    CHECK(map != MAP_FAILED);
    struct sockaddr_ll a = link_address(ETH_P_ALL);
    CHECK_EQ(bind(s, SA(a), sizeof a), 0);
    CHECK_EQ(poll_bits(s) & POLLIN, 0);
    int found = 0, place = 0;
    for (int i = 0; i < 12; i++) {
        say("in the ring");
        if (i == 5)
            maybe_save();
        for (;;) {
            struct tpacket2_hdr *h = (struct tpacket2_hdr *)(map + place * 2048);
            if ((h->tp_status & TP_STATUS_USER) == 0)
                break;
            struct sockaddr_ll *from = (struct sockaddr_ll *)((uint8_t *)h + TPACKET_ALIGN(sizeof *h));
            uint8_t *ip = (uint8_t *)h + h->tp_net;
            if (from->sll_pkttype == PACKET_HOST && ntohs(from->sll_protocol) == ETH_P_IP && is_ours(ip, h->tp_snaplen - 14)) {
                CHECK_EQ(h->tp_len, 14 + 39);
                CHECK_EQ(h->tp_snaplen, h->tp_len);
                CHECK_EQ(h->tp_net - h->tp_mac, 14);
                CHECK_EQ(memcmp(ip + 28, "in the ring", 11), 0);
                CHECK(h->tp_sec > 1600000000);
                found++;
            }
            h->tp_status = TP_STATUS_KERNEL;
            place = (place + 1) % 8;
        }
    }
    CHECK_EQ(found, 12);

    // A ring that nobody empties loses what does not fit.
    struct tpacket_stats stats;
    socklen_t n = sizeof stats;
    CHECK_EQ(getsockopt(s, SOL_PACKET, PACKET_STATISTICS, &stats, &n), 0);
    for (int i = 0; i < 10; i++)
        say("in the ring");
    CHECK_EQ(poll_bits(s) & POLLIN, POLLIN);
    maybe_save();
    CHECK_EQ(getsockopt(s, SOL_PACKET, PACKET_STATISTICS, &stats, &n), 0);
    CHECK(stats.tp_drops > 0 && stats.tp_packets > stats.tp_drops);
    CHECK_EQ(munmap(map, 16384), 0);
    CHECK_EQ(close(s), 0);
    ok("ring");
}

int main(void)
{
    setvbuf(stdout, NULL, _IOLBF, 0);
    u = bound(AF_INET, SOCK_DGRAM);
    v = socket(AF_INET, SOCK_DGRAM, 0);
    CHECK_EQ(connect_to(v, AF_INET, port_of(u)), 0);
    names();
    frames(SOCK_RAW);
    frames(SOCK_DGRAM);
    sending();
    options();
    ring();
    return 0;
}
