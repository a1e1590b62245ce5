// Sockets of AF_INET in flight over a Unix socket, through fork and exec's eyes: /proc/self/fd, fstat.
#include "inet.h"
#include <limits.h>

static void send_fd(int over, int fd)
{
    char room[CMSG_SPACE(sizeof fd)] = {0};
    struct iovec v = {"x", 1};
    struct msghdr m = {.msg_iov = &v, .msg_iovlen = 1, .msg_control = room, .msg_controllen = sizeof room};
    struct cmsghdr *c = CMSG_FIRSTHDR(&m);
    c->cmsg_level = SOL_SOCKET;
    c->cmsg_type = SCM_RIGHTS;
    c->cmsg_len = CMSG_LEN(sizeof fd);
    memcpy(CMSG_DATA(c), &fd, sizeof fd);
    CHECK_EQ(sendmsg(over, &m, 0), 1);
}

static int receive_fd(int over)
{
    char room[CMSG_SPACE(sizeof(int))], b;
    struct iovec v = {&b, 1};
    struct msghdr m = {.msg_iov = &v, .msg_iovlen = 1, .msg_control = room, .msg_controllen = sizeof room};
    CHECK_EQ(recvmsg(over, &m, 0), 1);
    int fd;
    memcpy(&fd, CMSG_DATA(CMSG_FIRSTHDR(&m)), sizeof fd);
    return fd;
}

int main(void)
{
    int over[2], p[2];
    char b[64], link[PATH_MAX];
    CHECK_EQ(socketpair(AF_UNIX, SOCK_STREAM, 0, over), 0);
    tcp_pair(AF_INET, p);
    int l = listener_of(AF_INET6), u = bound(AF_INET, SOCK_DGRAM);
    struct stat st, other;
    CHECK_EQ(fstat(p[0], &st), 0);
    CHECK(S_ISSOCK(st.st_mode));
    CHECK_EQ(st.st_mode & 0777, 0777);
    CHECK_EQ(st.st_size, 0);
    CHECK_EQ(fstat(u, &other), 0);
    CHECK(st.st_ino != other.st_ino);
    snprintf(b, sizeof b, "/proc/self/fd/%d", p[0]);
    ssize_t n = readlink(b, link, sizeof link - 1);
    CHECK(n > 0);
    link[n] = 0;
    snprintf(b, sizeof b, "socket:[%lu]", (unsigned long)st.st_ino);
    CHECK_EQ(strcmp(link, b), 0);
    CHECK_ERRNO(lseek(p[0], 0, SEEK_SET), ESPIPE);
    CHECK_ERRNO(pread(p[0], b, 1, 0), ESPIPE);
    CHECK_ERRNO(ftruncate(p[0], 0), EINVAL);
    CHECK_ERRNO(fsync(p[0]), EINVAL);
    CHECK_ERRNO(bind(0, NULL, 0), ENOTSOCK);
    CHECK_ERRNO(connect(-1, NULL, 0), EBADF);
    ok("files");

    uint16_t port = port_of(l), udp = port_of(u);
    send_fd(over[0], p[1]);
    send_fd(over[0], l);
    send_fd(over[0], u);
    CHECK_EQ(close(p[1]) | close(l) | close(u), 0);
    maybe_save();
    CHECK_EQ(write(p[0], "in flight", 9), 9);
    int c = socket(AF_INET6, SOCK_STREAM, 0), v = socket(AF_INET, SOCK_DGRAM, 0);
    CHECK_EQ(connect_to(c, AF_INET6, port), 0);
    CHECK_EQ(connect_to(v, AF_INET, udp), 0);
    CHECK_EQ(write(v, "datagram", 8), 8);
    maybe_save();
    pid_t pid = fork_checked();
    if (pid == 0) {
        close(over[0]), close(p[0]), close(c), close(v);
        int s = receive_fd(over[1]), k = receive_fd(over[1]), w = receive_fd(over[1]);
        CHECK_EQ(read(s, b, 64), 9);
        CHECK_EQ(write(s, "arrived", 7), 7);
        CHECK_EQ(read(w, b, 64), 8);
        int a = accept(k, NULL, NULL);
        CHECK(a >= 0);
        maybe_save();
        CHECK_EQ(write(a, "accepted", 8), 8);
        _exit(0);
    }
    CHECK_EQ(close(over[1]), 0);
    CHECK_EQ(recv(p[0], b, 7, MSG_WAITALL), 7);
    CHECK_EQ(recv(c, b, 8, MSG_WAITALL), 8);
    reap(pid);
    CHECK_EQ(close(over[0]), 0);

    // The last holder was a message in flight that nobody read.
    CHECK_EQ(socketpair(AF_UNIX, SOCK_STREAM, 0, over), 0);
    tcp_pair(AF_INET, p);
    send_fd(over[0], p[1]);
    CHECK_EQ(close(p[1]), 0);
    maybe_save();
    CHECK_EQ(close(over[0]) | close(over[1]), 0);
    CHECK_EQ(read(p[0], b, 1), 0);
    ok("rights");
    return 0;
}
