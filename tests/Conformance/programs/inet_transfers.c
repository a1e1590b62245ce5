// sendfile, splice, tee and vmsplice with TCP sockets; MSG_MORE and TCP_CORK.
#include "inet.h"
#include <sys/mman.h>
#include <sys/sendfile.h>

#define SIZE (3u << 20)

static unsigned char pattern(size_t i)
{
    return (unsigned char)(i * 11 + (i >> 9));
}

static int make_file(void)
{
    int fd = memfd_create("data", 0);
    static unsigned char b[SIZE];
    for (size_t i = 0; i < SIZE; i++)
        b[i] = pattern(i);
    CHECK_EQ(write(fd, b, SIZE), SIZE);
    return fd;
}

static pid_t check_reader(int s, int other, size_t start, size_t total)
{
    pid_t pid = fork_checked();
    if (pid != 0)
        return pid;
    close(other);
    static unsigned char b[1 << 16];
    sleep_ms(50);
    maybe_save();
    size_t done = 0;
    for (ssize_t n; (n = read(s, b, sizeof b)) != 0; done += (size_t)n) {
        CHECK(n > 0);
        for (ssize_t i = 0; i < n; i++)
            CHECK_EQ(b[i], pattern(start + done + (size_t)i));
    }
    CHECK_EQ(done, total);
    _exit(0);
}

static void files(void)
{
    int f = make_file(), p[2];
    tcp_pair(AF_INET, p);
    pid_t pid = check_reader(p[1], p[0], 1000, SIZE - 1000);
    off_t at = 1000;
    while (at < SIZE)
        CHECK(sendfile(p[0], f, &at, SIZE) > 0);
    CHECK_EQ(sendfile(p[0], f, &at, 10), 0);
    CHECK_EQ(lseek(f, 0, SEEK_CUR), SIZE);
    CHECK_EQ(close(p[0]) | close(p[1]), 0);
    reap(pid);

    // The file may change once it has been sent.
    tcp_pair(AF_INET, p);
    CHECK_EQ(lseek(f, 0, SEEK_SET), 0);
    CHECK_EQ(sendfile(p[0], f, NULL, 5000), 5000);
    CHECK_EQ(lseek(f, 0, SEEK_CUR), 5000);
    maybe_save();
    unsigned char b[5000];
    CHECK_EQ(recv(p[1], b, 5000, MSG_WAITALL), 5000);
    CHECK_EQ(b[4999], pattern(4999));
    nonblocking(p[0]);
    size_t sent = 0;
    for (ssize_t n; (at = 0, n = sendfile(p[0], f, &at, SIZE)) > 0;)
        sent += (size_t)n;
    CHECK_EQ(errno, EAGAIN);
    CHECK(sent > 0);
    CHECK_EQ(close(p[1]), 0);
    signal(SIGPIPE, SIG_IGN);
    at = 0;
    await(p[0], POLLERR | POLLHUP);
    CHECK_EQ(sendfile(p[0], f, &at, 10), -1);
    CHECK(errno == ECONNRESET || errno == EPIPE);
    CHECK_EQ(close(p[0]) | close(f), 0);
    ok("sendfile");
}

static void splices(void)
{
    int f = make_file(), in[2], out[2], p[2], q[2];
    tcp_pair(AF_INET, in);
    tcp_pair(AF_INET, out);
    CHECK_EQ(pipe(p), 0);
    CHECK_EQ(pipe(q), 0);

    // File to pipe to socket to pipe to socket: a proxy's way.
    pid_t source = fork_checked();
    if (source == 0) {
        close(in[1]), close(out[0]), close(out[1]);
        loff_t at = 0;
        while (at < SIZE) {
            ssize_t n = splice(f, &at, p[1], NULL, 1 << 16, SPLICE_F_MORE);
            CHECK(n > 0);
            while (n > 0) {
                ssize_t m = splice(p[0], NULL, in[0], NULL, (size_t)n, 0);
                CHECK(m > 0);
                n -= m;
            }
        }
        _exit(0);
    }
    CHECK_EQ(close(in[0]), 0);
    pid_t sink = check_reader(out[1], out[0], 0, SIZE);
    CHECK_EQ(close(out[1]), 0);
    size_t total = 0;
    for (;;) {
        ssize_t n = splice(in[1], NULL, q[1], NULL, 1 << 16, 0);
        CHECK(n >= 0);
        if (n == 0)
            break;
        total += (size_t)n;
        while (n > 0) {
            ssize_t m = splice(q[0], NULL, out[0], NULL, (size_t)n, 0);
            CHECK(m > 0);
            n -= m;
        }
        if (total > SIZE / 2 && total < SIZE / 2 + 70000)
            maybe_save();
    }
    CHECK_EQ(total, SIZE);
    CHECK_EQ(close(out[0]), 0);
    reap(source);
    reap(sink);
    CHECK_EQ(close(in[1]), 0);

    // A socket without data.
    tcp_pair(AF_INET, in);
    nonblocking(in[1]);
    CHECK_ERRNO(splice(in[1], NULL, q[1], NULL, 100, 0), EAGAIN);
    CHECK_EQ(fcntl(in[1], F_SETFL, 0), 0);
    CHECK_ERRNO(splice(in[1], NULL, in[0], NULL, 100, 0), EINVAL);
    loff_t zero = 0;
    CHECK_ERRNO(splice(in[1], &zero, q[1], NULL, 100, 0), EINVAL);
    CHECK_EQ(write(in[0], "split", 5), 5);
    await(in[1], POLLIN);
    CHECK_EQ(splice(in[1], NULL, q[1], NULL, 2, 0), 2);
    maybe_save();
    CHECK_EQ(splice(in[1], NULL, q[1], NULL, 100, 0), 3);
    CHECK_EQ(tee(q[0], p[1], 100, 0), 5);
    CHECK_EQ(splice(q[0], NULL, in[0], NULL, 100, 0), 5);
    struct iovec v = {"vector", 6};
    CHECK_EQ(vmsplice(p[1], &v, 1, 0), 6);
    CHECK_EQ(splice(p[0], NULL, in[0], NULL, 100, SPLICE_F_MORE), 11);
    char b[16];
    CHECK_EQ(recv(in[1], b, 16, MSG_WAITALL), 16);
    CHECK_EQ(memcmp(b, "splitsplitvector", 16), 0);
    CHECK_EQ(close(in[0]), 0);
    CHECK_EQ(splice(in[1], NULL, q[1], NULL, 100, 0), 0);
    CHECK_EQ(close(in[1]) | close(f), 0);
    ok("splice");
}

static void corks(void)
{
    int p[2];
    char b[64];
    tcp_pair(AF_INET, p);
    CHECK_EQ(send(p[0], "head ", 5, MSG_MORE), 5);
    CHECK_EQ(send(p[0], "body", 4, 0), 4);
    CHECK_EQ(recv(p[1], b, 9, MSG_WAITALL), 9);
    set_int(p[0], IPPROTO_TCP, TCP_CORK, 1);
    CHECK_EQ(write(p[0], "held", 4), 4);
    int64_t start = now_ns();
    CHECK_EQ(recv(p[1], b, 64, 0), 4);
    CHECK(now_ns() - start > 100000000);
    CHECK_EQ(write(p[0], "held", 4), 4);
    start = now_ns();
    maybe_save();
    set_int(p[0], IPPROTO_TCP, TCP_CORK, 0);
    CHECK_EQ(recv(p[1], b, 64, 0), 4);
    set_int(p[0], IPPROTO_TCP, TCP_NODELAY, 1);
    CHECK_EQ(send(p[0], "record", 6, MSG_EOR), 6);
    CHECK_EQ(recv(p[1], b, 64, 0), 6);
    CHECK_EQ(close(p[0]) | close(p[1]), 0);
    ok("cork");
}

int main(void)
{
    setvbuf(stdout, NULL, _IOLBF, 0);
    files();
    splices();
    corks();
    return 0;
}
