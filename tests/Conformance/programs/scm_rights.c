// Descriptors sent over a Unix socket, also while in flight during a save.
#include "conformance.h"
#include <sys/socket.h>

static void send_fds(int s, const int *fds, int count)
{
    char control[CMSG_SPACE(8 * sizeof(int))] = {0};
    struct iovec data = {"F", 1};
    struct msghdr m = {.msg_iov = &data, .msg_iovlen = 1, .msg_control = control, .msg_controllen = CMSG_SPACE((size_t)count * sizeof(int))};
    struct cmsghdr *c = CMSG_FIRSTHDR(&m);
    c->cmsg_level = SOL_SOCKET;
    c->cmsg_type = SCM_RIGHTS;
    c->cmsg_len = CMSG_LEN((size_t)count * sizeof(int));
    memcpy(CMSG_DATA(c), fds, (size_t)count * sizeof(int));
    CHECK_EQ(sendmsg(s, &m, 0), 1);
}

static int receive_fds(int s, int *fds, int room, int flags)
{
    char control[CMSG_SPACE(8 * sizeof(int))] = {0}, b;
    struct iovec data = {&b, 1};
    struct msghdr m = {.msg_iov = &data, .msg_iovlen = 1, .msg_control = control, .msg_controllen = CMSG_SPACE((size_t)room * sizeof(int))};
    CHECK_EQ(recvmsg(s, &m, flags), 1);
    struct cmsghdr *c = CMSG_FIRSTHDR(&m);
    if (c == NULL)
        return 0;
    CHECK_EQ(c->cmsg_type, SCM_RIGHTS);
    int count = (int)((c->cmsg_len - CMSG_LEN(0)) / sizeof(int));
    memcpy(fds, CMSG_DATA(c), (size_t)count * sizeof(int));
    return count;
}

int main(void)
{
    int s[2], p[2], got[8];
    char b[8];
    CHECK_EQ(socketpair(AF_UNIX, SOCK_STREAM, 0, s), 0);
    CHECK_EQ(pipe(p), 0);
    send_fds(s[0], p, 2);
    CHECK_EQ(close(p[0]), 0);
    CHECK_EQ(close(p[1]), 0);
    maybe_save();
    CHECK_EQ(receive_fds(s[1], got, 8, MSG_CMSG_CLOEXEC), 2);
    CHECK_EQ(fcntl(got[0], F_GETFD), FD_CLOEXEC);
    CHECK_EQ(write(got[1], "through", 7), 7);
    CHECK_EQ(read(got[0], b, 8), 7);
    ok("in flight");

    enter_scratch();
    int f = open("f", O_CREAT | O_RDWR, 0600);
    CHECK_EQ(write(f, "abcdef", 6), 6);
    CHECK_EQ(unlink("f"), 0);
    CHECK_EQ(lseek(f, 2, SEEK_SET), 2);
    pid_t pid = fork_checked();
    if (pid == 0) {
        int mine[8];
        CHECK_EQ(receive_fds(s[1], mine, 8, 0), 1);
        maybe_save();
        CHECK_EQ(read(mine[0], b, 2), 2);
        CHECK_EQ(memcmp(b, "cd", 2), 0);
        _exit(0);
    }
    sleep_ms(30);
    maybe_save();
    send_fds(s[0], &f, 1);
    reap(pid);
    CHECK_EQ(lseek(f, 0, SEEK_CUR), 4);
    leave_scratch();
    ok("shared offset");

    CHECK_EQ(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, p), 0);
    send_fds(s[0], p, 1);
    CHECK_EQ(close(p[0]), 0);
    maybe_save();
    CHECK_EQ(read(s[1], b, 1), 1);
    CHECK_ERRNO(send(p[1], "x", 1, MSG_NOSIGNAL), EPIPE);
    ok("dropped");
    return 0;
}
