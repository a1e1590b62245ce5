// A connection that its peer resets before it is accepted: accept(2) gives it with the peer's name, and reading says what happened.
#include "inet.h"

int main(void)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)}, own, peer = {0};
    socklen_t n = sizeof a;
    int l = socket(AF_INET, SOCK_STREAM, 0), c = socket(AF_INET, SOCK_STREAM, 0);
    CHECK_EQ(bind(l, (struct sockaddr *)&a, sizeof a), 0);
    CHECK_EQ(listen(l, 5), 0);
    CHECK_EQ(getsockname(l, (struct sockaddr *)&a, &n), 0);
    CHECK_EQ(connect(c, (struct sockaddr *)&a, sizeof a), 0);
    CHECK_EQ(getsockname(c, (struct sockaddr *)&own, &n), 0);
    struct linger reset = {1, 0};
    CHECK_EQ(setsockopt(c, SOL_SOCKET, SO_LINGER, &reset, sizeof reset), 0);
    CHECK_EQ(close(c), 0);
    maybe_save();
    struct pollfd p = {l, POLLIN, 0};
    CHECK_EQ(poll(&p, 1, 10000), 1);
    n = sizeof peer;
    int t = accept(l, (struct sockaddr *)&peer, &n);
    CHECK(t >= 0);
    CHECK_EQ(n, sizeof peer);
    CHECK_EQ(peer.sin_port, own.sin_port);
    CHECK_EQ(peer.sin_addr.s_addr, htonl(INADDR_LOOPBACK));
    CHECK_ERRNO(getpeername(t, (struct sockaddr *)&peer, &n), ENOTCONN);
    char byte;
    CHECK_ERRNO(read(t, &byte, 1), ECONNRESET);
    CHECK_EQ(read(t, &byte, 1), 0);
    ok("accept of a reset connection");
    return 0;
}
