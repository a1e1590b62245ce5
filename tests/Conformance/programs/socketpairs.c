#include "conformance.h"
#include <poll.h>
#include <sys/socket.h>

int main(void)
{
    int s[2], type;
    char b[64];
    socklen_t length = sizeof type;
    CHECK_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, s), 0);
    CHECK_EQ(send(s[0], "abc", 3, 0), 3);
    CHECK_EQ(write(s[0], "def", 3), 3);
    maybe_save();
    CHECK_EQ(recv(s[1], b, 4, MSG_PEEK), 4);
    CHECK_EQ(recv(s[1], b, 64, 0), 6);
    CHECK_EQ(memcmp(b, "abcdef", 6), 0);
    CHECK_ERRNO(recv(s[1], b, 1, MSG_DONTWAIT), EAGAIN);
    CHECK_EQ(getsockopt(s[0], SOL_SOCKET, SO_TYPE, &type, &length), 0);
    CHECK_EQ(type, SOCK_STREAM);
    CHECK_EQ(write(s[1], "back", 4), 4);
    CHECK_EQ(shutdown(s[0], SHUT_WR), 0);
    maybe_save();
    CHECK_EQ(read(s[1], b, 1), 0);
    CHECK_EQ(read(s[0], b, 64), 4);
    CHECK_ERRNO(send(s[0], "x", 1, MSG_NOSIGNAL), EPIPE);
    struct pollfd f = {s[1], POLLIN | POLLRDHUP, 0};
    CHECK_EQ(poll(&f, 1, 0), 1);
    CHECK_EQ(f.revents, POLLIN | POLLRDHUP);
    CHECK_EQ(close(s[1]), 0);
    f.fd = s[0];
    CHECK_EQ(poll(&f, 1, 0), 1);
    CHECK(f.revents & POLLHUP);
    CHECK_EQ(close(s[0]), 0);
    ok("stream");

    CHECK_EQ(socketpair(AF_UNIX, SOCK_DGRAM, 0, s), 0);
    CHECK_EQ(send(s[0], "first", 5, 0), 5);
    CHECK_EQ(send(s[0], "", 0, 0), 0);
    CHECK_EQ(send(s[0], "third", 5, 0), 5);
    maybe_save();
    CHECK_EQ(recv(s[1], b, 2, 0), 2);
    CHECK_EQ(recv(s[1], b, 64, 0), 0);
    CHECK_EQ(recv(s[1], b, 2, MSG_TRUNC), 5);
    ok("datagrams");
    close(s[0]);
    close(s[1]);

    CHECK_EQ(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, s), 0);
    CHECK_EQ(send(s[0], "one", 3, 0), 3);
    CHECK_EQ(send(s[0], "two", 3, 0), 3);
    CHECK_EQ(close(s[0]), 0);
    maybe_save();
    CHECK_EQ(recv(s[1], b, 64, 0), 3);
    CHECK_EQ(recv(s[1], b, 64, 0), 3);
    CHECK_EQ(recv(s[1], b, 64, 0), 0);
    close(s[1]);
    ok("packets");

    CHECK_EQ(socketpair(AF_UNIX, SOCK_STREAM, 0, s), 0);
    pid_t pid = fork_checked();
    if (pid == 0) {
        close(s[0]);
        sleep_ms(50);
        maybe_save();
        static char big[300000];
        for (size_t done = 0; done < sizeof big;) {
            ssize_t n = read(s[1], big + done, sizeof big - done);
            CHECK(n > 0);
            done += (size_t)n;
        }
        for (size_t i = 0; i < sizeof big; i++)
            CHECK_EQ(big[i], (char)(i * 13));
        CHECK_EQ(write(s[1], "y", 1), 1);
        _exit(0);
    }
    close(s[1]);
    static char out[300000];
    for (size_t i = 0; i < sizeof out; i++)
        out[i] = (char)(i * 13);
    CHECK_EQ(write(s[0], out, sizeof out), sizeof out);
    CHECK_EQ(read(s[0], b, 1), 1);
    reap(pid);
    ok("blocked");
    return 0;
}
