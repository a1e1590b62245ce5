// The requests of netdevice(7) on the loopback interface.
#include "inet.h"
#include <linux/ethtool.h>
#include <linux/sockios.h>
#include <net/if_arp.h>
#include <net/route.h>

static int s;

static struct ifreq ask(unsigned long request, const char *name)
{
    struct ifreq r;
    memset(&r, 0, sizeof r);
    strncpy(r.ifr_name, name, IFNAMSIZ - 1);
    CHECK_EQ(ioctl(s, request, &r), 0);
    return r;
}

static int fails(unsigned long request, const char *name)
{
    struct ifreq r;
    memset(&r, 0, sizeof r);
    strncpy(r.ifr_name, name, IFNAMSIZ - 1);
    errno = 0;
    CHECK_EQ(ioctl(s, request, &r), -1);
    return errno;
}

static void show(const char *what, const struct sockaddr *a)
{
    char text[64];
    CHECK_EQ(a->sa_family, AF_INET);
    printf("%s %s\n", what, inet_ntop(AF_INET, &((const struct sockaddr_in *)a)->sin_addr, text, sizeof text));
}

static void look(void)
{
    struct ifreq r = ask(SIOCGIFINDEX, "lo");
    printf("index %d\n", r.ifr_ifindex);
    CHECK_EQ(ioctl(s, SIOCGIFNAME, &r), 0);
    printf("name %s\n", r.ifr_name);
    printf("flags %#x\n", ask(SIOCGIFFLAGS, "lo").ifr_flags & 0xffff);
    r = ask(SIOCGIFADDR, "lo");
    show("address", &r.ifr_addr);
    r = ask(SIOCGIFNETMASK, "lo");
    show("mask", &r.ifr_netmask);
    r = ask(SIOCGIFBRDADDR, "lo");
    show("broadcast", &r.ifr_broadaddr);
    r = ask(SIOCGIFDSTADDR, "lo");
    show("destination", &r.ifr_dstaddr);
    printf("mtu %d\n", ask(SIOCGIFMTU, "lo").ifr_mtu);
    printf("metric %d\n", ask(SIOCGIFMETRIC, "lo").ifr_metric);
    printf("queue %d\n", ask(SIOCGIFTXQLEN, "lo").ifr_qlen);
    r = ask(SIOCGIFHWADDR, "lo");
    printf("hardware %d %02x\n", r.ifr_hwaddr.sa_family, r.ifr_hwaddr.sa_data[0]);
    maybe_save();
    printf("%s %s\n", strerrorname_np(fails(SIOCGIFINDEX, "nonesuch0")), strerrorname_np(fails(SIOCGIFADDR, "nonesuch0")));
    r.ifr_ifindex = 9999;
    CHECK_ERRNO(ioctl(s, SIOCGIFNAME, &r), ENODEV);
    CHECK_ERRNO(ioctl(s, SIOCGIFFLAGS, NULL), EFAULT);
    CHECK_ERRNO(ioctl(s, 0x8999, &r), ENOTTY);
    CHECK_EQ(if_nametoindex("lo"), 1);

    struct ifconf c = {.ifc_len = 0, .ifc_buf = NULL};
    CHECK_EQ(ioctl(s, SIOCGIFCONF, &c), 0);
    CHECK(c.ifc_len >= (int)sizeof(struct ifreq));
    struct ifreq list[64];
    c = (struct ifconf){.ifc_len = sizeof list, .ifc_req = list};
    CHECK_EQ(ioctl(s, SIOCGIFCONF, &c), 0);
    int found = 0;
    for (int i = 0; i < c.ifc_len / (int)sizeof list[0]; i++)
        found += strcmp(list[i].ifr_name, "lo") == 0;
    printf("listed %d\n", found);
    c = (struct ifconf){.ifc_len = sizeof list[0] - 1, .ifc_req = list};
    CHECK_EQ(ioctl(s, SIOCGIFCONF, &c), 0);
    CHECK_EQ(c.ifc_len, 0);

    struct ethtool_value v = {.cmd = ETHTOOL_GLINK};
    strcpy(r.ifr_name, "lo");
    r.ifr_data = (void *)&v;
    CHECK_EQ(ioctl(s, SIOCETHTOOL, &r), 0);
    printf("link %u\n", v.data);
    struct ethtool_cmd g = {.cmd = ETHTOOL_GSET};
    r.ifr_data = (void *)&g;
    CHECK_ERRNO(ioctl(s, SIOCETHTOOL, &r), EOPNOTSUPP);
}

// A second address, given and taken by label; the machine is left as it was.
static void change(void)
{
    struct ifreq r;
    memset(&r, 0, sizeof r);
    strcpy(r.ifr_name, "lo:7");
    struct sockaddr_in a = in4(0x0afe0901, 0);
    memcpy(&r.ifr_addr, &a, sizeof a);
    CHECK_EQ(fails(SIOCGIFADDR, "lo:7"), EADDRNOTAVAIL);
    CHECK_EQ(ioctl(s, SIOCSIFADDR, &r), 0);
    maybe_save();
    struct ifreq got = ask(SIOCGIFADDR, "lo:7");
    show("address", &got.ifr_addr);
    got = ask(SIOCGIFNETMASK, "lo:7");
    show("mask", &got.ifr_netmask);
    a = in4(0xffffff00, 0);
    memcpy(&r.ifr_netmask, &a, sizeof a);
    CHECK_EQ(ioctl(s, SIOCSIFNETMASK, &r), 0);
    got = ask(SIOCGIFNETMASK, "lo:7");
    show("mask", &got.ifr_netmask);
    int t = socket(AF_INET, SOCK_DGRAM, 0);
    a = in4(0x0afe0901, 0);
    CHECK_EQ(bind(t, SA(a), sizeof a), 0);
    CHECK_EQ(close(t), 0);
    a = in4(0, 0);
    memcpy(&r.ifr_addr, &a, sizeof a);
    CHECK_EQ(ioctl(s, SIOCSIFADDR, &r), 0);
    CHECK_EQ(fails(SIOCGIFADDR, "lo:7"), EADDRNOTAVAIL);
    got = ask(SIOCGIFADDR, "lo");
    show("address", &got.ifr_addr);
    r.ifr_mtu = 10;
    strcpy(r.ifr_name, "lo");

    // A route, added and taken away.
    struct rtentry e;
    memset(&e, 0, sizeof e);
    a = in4(0x0afe0a00, 0);
    memcpy(&e.rt_dst, &a, sizeof a);
    a = in4(0xffffff00, 0);
    memcpy(&e.rt_genmask, &a, sizeof a);
    e.rt_flags = RTF_UP;
    e.rt_dev = "lo";
    CHECK_EQ(ioctl(s, SIOCADDRT, &e), 0);
    CHECK_ERRNO(ioctl(s, SIOCADDRT, &e), EEXIST);
    maybe_save();
    CHECK_EQ(ioctl(s, SIOCDELRT, &e), 0);
    CHECK_ERRNO(ioctl(s, SIOCDELRT, &e), ESRCH);
    e.rt_dev = "nonesuch0";
    CHECK_ERRNO(ioctl(s, SIOCADDRT, &e), ENODEV);

    struct arpreq q;
    memset(&q, 0, sizeof q);
    a = in4(0x0afe0a05, 0);
    memcpy(&q.arp_pa, &a, sizeof a);
    strcpy(q.arp_dev, "lo");
    CHECK_ERRNO(ioctl(s, SIOCGARP, &q), ENXIO);
}

static void unprivileged(void)
{
    pid_t pid = fork_checked();
    if (pid == 0) {
        CHECK_EQ(setuid(65534), 0);
        CHECK_EQ(fails(SIOCSIFFLAGS, "lo"), EPERM);
        CHECK_EQ(fails(SIOCSIFADDR, "lo"), EPERM);
        CHECK_EQ(fails(SIOCSIFMTU, "lo"), EPERM);
        struct rtentry e = {.rt_flags = RTF_UP};
        CHECK_ERRNO(ioctl(s, SIOCADDRT, &e), EPERM);
        ask(SIOCGIFFLAGS, "lo");
        _exit(0);
    }
    reap(pid);
}

int main(void)
{
    setvbuf(stdout, NULL, _IOLBF, 0);
    s = socket(AF_INET, SOCK_DGRAM, 0);
    look();
    change();
    unprivileged();
    CHECK_EQ(close(s), 0);
    s = socket(AF_UNIX, SOCK_STREAM, 0);
    printf("by a Unix socket %#x\n", ask(SIOCGIFFLAGS, "lo").ifr_flags & 0xffff);
    return 0;
}
