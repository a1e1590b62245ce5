#include "conformance.h"
#include <stddef.h>
#include <sys/socket.h>
#include <sys/un.h>

static socklen_t address(struct sockaddr_un *a, const char *name)
{
    memset(a, 0, sizeof *a);
    a->sun_family = AF_UNIX;
    if (name[0] == '@')
        memcpy(a->sun_path + 1, name + 1, strlen(name) - 1);
    else
        strcpy(a->sun_path, name);
    return (socklen_t)(offsetof(struct sockaddr_un, sun_path) + strlen(name) + (name[0] != '@'));
}

static void serve(const char *name)
{
    struct sockaddr_un a, from;
    char b[16];
    socklen_t length = address(&a, name);
    int listener = socket(AF_UNIX, SOCK_STREAM, 0);
    CHECK_ERRNO(connect(listener, (struct sockaddr *)&a, length), name[0] == '@' ? ECONNREFUSED : ENOENT);
    CHECK_EQ(bind(listener, (struct sockaddr *)&a, length), 0);
    int second = socket(AF_UNIX, SOCK_STREAM, 0);
    CHECK_ERRNO(bind(second, (struct sockaddr *)&a, length), EADDRINUSE);
    CHECK_ERRNO(connect(second, (struct sockaddr *)&a, length), ECONNREFUSED);
    CHECK_EQ(listen(listener, 5), 0);
    maybe_save();
    pid_t pid = fork_checked();
    if (pid == 0) {
        sleep_ms(50);
        maybe_save();
        CHECK_EQ(connect(second, (struct sockaddr *)&a, length), 0);
        CHECK_EQ(write(second, "ping", 4), 4);
        CHECK_EQ(read(second, b, 16), 4);
        CHECK_EQ(memcmp(b, "pong", 4), 0);
        socklen_t n = sizeof from;
        CHECK_EQ(getpeername(second, (struct sockaddr *)&from, &n), 0);
        CHECK_EQ(n, length);
        CHECK_EQ(memcmp(&from, &a, n), 0);
        _exit(0);
    }
    CHECK_EQ(close(second), 0);
    socklen_t n = sizeof from;
    int s = accept4(listener, (struct sockaddr *)&from, &n, SOCK_CLOEXEC);
    CHECK(s >= 0);
    CHECK_EQ(n, sizeof(sa_family_t));
    CHECK_EQ(fcntl(s, F_GETFD), FD_CLOEXEC);
    CHECK_EQ(read(s, b, 16), 4);
    struct ucred peer;
    n = sizeof peer;
    CHECK_EQ(getsockopt(s, SOL_SOCKET, SO_PEERCRED, &peer, &n), 0);
    CHECK_EQ(peer.pid, pid);
    CHECK_EQ(peer.uid, getuid());
    maybe_save();
    CHECK_EQ(write(s, "pong", 4), 4);
    CHECK_EQ(read(s, b, 16), 0);
    reap(pid);
    CHECK_EQ(close(s), 0);
    CHECK_EQ(close(listener), 0);
}

int main(void)
{
    enter_scratch();
    serve("socket");
    struct stat st;
    CHECK_EQ(stat("socket", &st), 0);
    CHECK(S_ISSOCK(st.st_mode));
    CHECK_EQ(unlink("socket"), 0);
    ok("path");
    serve("@conformance-abstract");
    ok("abstract");

    struct sockaddr_un a, from;
    char b[8];
    int r = socket(AF_UNIX, SOCK_DGRAM, 0), w = socket(AF_UNIX, SOCK_DGRAM, 0);
    socklen_t length = address(&a, "datagrams");
    CHECK_EQ(bind(r, (struct sockaddr *)&a, length), 0);
    CHECK_EQ(sendto(w, "dg", 2, 0, (struct sockaddr *)&a, length), 2);
    maybe_save();
    socklen_t n = sizeof from;
    CHECK_EQ(recvfrom(r, b, 8, 0, (struct sockaddr *)&from, &n), 2);
    CHECK_EQ(unlink("datagrams"), 0);
    leave_scratch();
    ok("datagram");
    return 0;
}
