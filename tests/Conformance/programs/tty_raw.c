// Noncanonical reads: MIN and TIME, and packet mode.
#include "tty.h"

static void set_raw(int min, int tenths)
{
    struct termios t;
    CHECK_EQ(tcgetattr(slave, &t), 0);
    cfmakeraw(&t);
    t.c_cc[VMIN] = (cc_t)min;
    t.c_cc[VTIME] = (cc_t)tenths;
    CHECK_EQ(tcsetattr(slave, TCSANOW, &t), 0);
}

// Reads while another process types bytes at certain times; shows what came and about how long it took.
static void timed(const char *what, int min, int tenths, size_t wanted, const char *typed, int gap_ms, int first_ms, int expected_ms)
{
    set_raw(min, tenths);
    pid_t pid = fork_checked();
    if (pid == 0) {
        sleep_ms(first_ms);
        for (; *typed; typed++) {
            CHECK_EQ(write(master, typed, 1), 1);
            sleep_ms(gap_ms);
        }
        _exit(0);
    }
    char buffer[64];
    int64_t start = now_ns();
    int n = (int)read(slave, buffer, wanted);
    CHECK(n >= 0);
    int64_t took = (now_ns() - start) / 1000000;
    printf("%s: %d bytes\n", what, n);
    CHECK(took >= expected_ms - 15 && took < expected_ms + 3000);
    reap(pid);
    tcflush(slave, TCIFLUSH);
}

int main(void)
{
    char buffer[512];
    int left;
    open_pty();
    timed("min 1", 1, 0, 10, "a", 0, 200, 200);
    timed("min 3", 3, 0, 10, "abc", 100, 100, 300);
    timed("min 5 of 2 wanted", 5, 0, 2, "abcde", 50, 50, 100);
    timed("time only, nothing", 0, 3, 10, "", 0, 0, 300);
    timed("time only, something", 0, 8, 10, "a", 0, 200, 200);
    timed("neither", 0, 0, 10, "", 0, 0, 0);
    timed("both, pause ends it", 9, 3, 10, "ab", 100, 300, 700);
    timed("both, all come", 3, 5, 10, "abc", 100, 200, 400);

    // A save while a read waits between two bytes.
    set_raw(4, 0);
    pid_t pid = fork_checked();
    if (pid == 0) {
        sleep_ms(50);
        CHECK_EQ(write(master, "ab", 2), 2);
        sleep_ms(100);
        maybe_save();
        CHECK_EQ(write(master, "cd", 2), 2);
        _exit(0);
    }
    CHECK_EQ(read(slave, buffer, 10), 4);
    reap(pid);
    ok("saved read");

    // poll waits for MIN bytes unless there is a TIME.
    set_raw(3, 0);
    TYPE("ab");
    CHECK(!readable(slave, 60));
    CHECK_EQ(ioctl(slave, FIONREAD, &left), 0);
    CHECK_EQ(left, 2);
    set_raw(3, 1);
    CHECK(readable(slave, 60));
    set_raw(3, 0);
    CHECK_EQ(fcntl(slave, F_SETFL, O_NONBLOCK), 0);
    CHECK_EQ(read(slave, buffer, 10), 2);
    CHECK_ERRNO(read(slave, buffer, 10), EAGAIN);
    CHECK_EQ(fcntl(slave, F_SETFL, 0), 0);
    ok("poll");

    // Packets.
    int on = 1;
    struct termios t;
    CHECK_EQ(ioctl(master, TIOCPKT, &on), 0);
    on = 0;
    CHECK_EQ(ioctl(master, TIOCGPKT, &on), 0);
    CHECK_EQ(on, 1);
    set_modes(USUAL_INPUT, USUAL_OUTPUT, USUAL_LOCAL);
    put_bytes("flow used", buffer, drain(master, buffer, sizeof buffer));
    CHECK_EQ(write(slave, "data", 4), 4);
    put_bytes("data", buffer, drain(master, buffer, sizeof buffer));
    CHECK_EQ(tcflush(slave, TCIFLUSH), 0);
    put_bytes("input flushed", buffer, drain(master, buffer, sizeof buffer));
    CHECK_EQ(tcflush(slave, TCOFLUSH), 0);
    put_bytes("output flushed", buffer, drain(master, buffer, sizeof buffer));
    CHECK_EQ(tcflow(slave, TCOOFF), 0);
    struct pollfd p = {master, POLLIN | POLLPRI, 0};
    CHECK_EQ(poll(&p, 1, 1000), 1);
    CHECK_EQ(p.revents, POLLIN | POLLPRI);
    maybe_save();
    put_bytes("stopped", buffer, drain(master, buffer, sizeof buffer));
    CHECK_EQ(tcflow(slave, TCOON), 0);
    put_bytes("started", buffer, drain(master, buffer, sizeof buffer));
    CHECK_EQ(tcgetattr(slave, &t), 0);
    t.c_iflag &= ~(tcflag_t)IXON;
    CHECK_EQ(tcsetattr(slave, TCSANOW, &t), 0);
    put_bytes("flow unused", buffer, drain(master, buffer, sizeof buffer));
    t.c_lflag |= EXTPROC;
    CHECK_EQ(tcsetattr(slave, TCSANOW, &t), 0);
    put_bytes("extproc", buffer, drain(master, buffer, sizeof buffer));
    t.c_lflag &= ~(tcflag_t)EXTPROC;
    CHECK_EQ(tcsetattr(slave, TCSANOW, &t), 0);
    put_bytes("no extproc", buffer, drain(master, buffer, sizeof buffer));
    CHECK_EQ(tcflow(slave, TCOOFF), 0);
    CHECK_EQ(tcflow(slave, TCOON), 0);
    put_bytes("both", buffer, drain(master, buffer, sizeof buffer));
    TYPE("a\x03" "b\n");
    put_bytes("interrupt", buffer, drain(master, buffer, sizeof buffer));
    on = 0;
    CHECK_EQ(ioctl(master, TIOCPKT, &on), 0);
    TYPE("c\n");
    put_bytes("no packets", buffer, drain(master, buffer, sizeof buffer));
    close_pty();
    return 0;
}
