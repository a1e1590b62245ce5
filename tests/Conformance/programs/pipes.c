#include "conformance.h"
#include <sys/ioctl.h>

static volatile int caught;

static void on_pipe(int signal)
{
    caught = signal;
}

int main(void)
{
    int p[2], n;
    char b[65536];
    struct stat st;
    CHECK_EQ(pipe2(p, O_CLOEXEC | O_NONBLOCK), 0);
    CHECK_EQ(fcntl(p[0], F_GETFD), FD_CLOEXEC);
    CHECK_EQ(fcntl(p[0], F_GETFL), O_RDONLY | O_NONBLOCK);
    CHECK_EQ(fcntl(p[1], F_GETFL), O_WRONLY | O_NONBLOCK);
    CHECK_EQ(fstat(p[0], &st), 0);
    CHECK(S_ISFIFO(st.st_mode));
    CHECK_ERRNO(read(p[0], b, 1), EAGAIN);
    CHECK_ERRNO(write(p[0], b, 1), EBADF);
    CHECK_ERRNO(lseek(p[0], 0, SEEK_SET), ESPIPE);
    CHECK_EQ(write(p[1], "hello world", 11), 11);
    maybe_save();
    CHECK_EQ(ioctl(p[0], FIONREAD, &n), 0);
    CHECK_EQ(n, 11);
    CHECK_EQ(read(p[0], b, 5), 5);
    CHECK_EQ(memcmp(b, "hello", 5), 0);
    maybe_save();
    CHECK_EQ(read(p[0], b, 100), 6);
    CHECK_EQ(memcmp(b, " world", 6), 0);
    ok("data");

    int capacity = fcntl(p[1], F_GETPIPE_SZ), filled = 0;
    CHECK_EQ(capacity, 65536);
    memset(b, 'x', sizeof b);
    for (ssize_t w; (w = write(p[1], b, 1000)) > 0;)
        filled += (int)w;
    CHECK_EQ(errno, EAGAIN);
    CHECK(filled >= 60000 && filled <= 65536);
    maybe_save();
    int drained = 0;
    for (ssize_t r; (r = read(p[0], b, sizeof b)) > 0;)
        drained += (int)r;
    CHECK_EQ(drained, filled);
    ok("capacity");

    CHECK_EQ(write(p[1], "z", 1), 1);
    CHECK_EQ(close(p[1]), 0);
    maybe_save();
    CHECK_EQ(read(p[0], b, 2), 1);
    CHECK_EQ(read(p[0], b, 2), 0);
    CHECK_EQ(close(p[0]), 0);
    CHECK_EQ(pipe(p), 0);
    CHECK_EQ(close(p[0]), 0);
    signal(SIGPIPE, on_pipe);
    CHECK_ERRNO(write(p[1], "a", 1), EPIPE);
    CHECK_EQ(caught, SIGPIPE);
    ok("ends");

    enter_scratch();
    CHECK_EQ(mkfifo("fifo", 0600), 0);
    CHECK_ERRNO(open("fifo", O_WRONLY | O_NONBLOCK), ENXIO);
    pid_t pid = fork_checked();
    if (pid == 0) {
        int fd = open("fifo", O_WRONLY);
        CHECK(fd >= 0);
        CHECK_EQ(write(fd, "fifo", 4), 4);
        _exit(0);
    }
    sleep_ms(30);
    maybe_save();
    int fd = open("fifo", O_RDONLY);
    CHECK(fd >= 0);
    CHECK_EQ(read(fd, b, 10), 4);
    CHECK_EQ(read(fd, b, 10), 0);
    reap(pid);
    CHECK_EQ(unlink("fifo"), 0);
    ok("fifo");

    // Many wait when the sandbox is saved; the last is met first, before its thread has come back to its open.
    enum { OPENERS = 12 };
    pid_t openers[OPENERS];
    char names[OPENERS][8];
    for (int i = 0; i < OPENERS; i++) {
        snprintf(names[i], sizeof names[i], "fifo%d", i);
        CHECK_EQ(mkfifo(names[i], 0600), 0);
        openers[i] = fork_checked();
        if (openers[i] == 0) {
            int end = open(names[i], O_WRONLY);
            CHECK(end >= 0);
            CHECK_EQ(write(end, "x", 1), 1);
            _exit(0);
        }
    }
    sleep_ms(30);
    maybe_save();
    for (int i = OPENERS - 1; i >= 0; i--) {
        int end = open(names[i], O_RDONLY);
        CHECK(end >= 0);
        CHECK_EQ(read(end, b, 10), 1);
        CHECK_EQ(read(end, b, 10), 0);
        CHECK_EQ(close(end), 0);
        reap(openers[i]);
        CHECK_EQ(unlink(names[i]), 0);
    }
    leave_scratch();
    ok("many fifos");
    return 0;
}
