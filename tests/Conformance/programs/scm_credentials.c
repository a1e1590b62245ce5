#include "conformance.h"
#include <sys/socket.h>

int main(void)
{
    int s[2], on = 1;
    CHECK_EQ(socketpair(AF_UNIX, SOCK_DGRAM, 0, s), 0);
    CHECK_EQ(setsockopt(s[1], SOL_SOCKET, SO_PASSCRED, &on, sizeof on), 0);
    pid_t pid = fork_checked();
    if (pid == 0) {
        CHECK_EQ(write(s[0], "x", 1), 1);
        _exit(0);
    }
    reap(pid);
    maybe_save();
    char control[CMSG_SPACE(sizeof(struct ucred))], b[4];
    struct iovec data = {b, 4};
    struct msghdr m = {.msg_iov = &data, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control};
    CHECK_EQ(recvmsg(s[1], &m, 0), 1);
    struct cmsghdr *c = CMSG_FIRSTHDR(&m);
    CHECK(c != NULL);
    CHECK_EQ(c->cmsg_type, SCM_CREDENTIALS);
    struct ucred from;
    memcpy(&from, CMSG_DATA(c), sizeof from);
    CHECK_EQ(from.pid, pid);
    CHECK_EQ(from.uid, getuid());
    CHECK_EQ(from.gid, getgid());
    ok("credentials");
    return 0;
}
