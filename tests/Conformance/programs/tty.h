// Pseudoterminals for conformance programs.
#ifndef TTY_H
#define TTY_H

#include "conformance.h"
#include <poll.h>
#include <sys/ioctl.h>
#include <termios.h>

#ifndef TIOCGPTPEER
#define TIOCGPTPEER _IO('T', 0x41)
#endif

static int master, slave;

static inline void open_pty(void)
{
    int unlock = 0, number;
    char name[64];
    master = open("/dev/ptmx", O_RDWR | O_NOCTTY);
    CHECK(master >= 0);
    CHECK_EQ(ioctl(master, TIOCSPTLCK, &unlock), 0);
    CHECK_EQ(ioctl(master, TIOCGPTN, &number), 0);
    snprintf(name, sizeof name, "/dev/pts/%d", number);
    slave = open(name, O_RDWR | O_NOCTTY);
    CHECK(slave >= 0);
}

static inline void close_pty(void)
{
    CHECK_EQ(close(slave), 0);
    CHECK_EQ(close(master), 0);
}

// Whether a descriptor becomes readable within a time.
static inline int readable(int fd, int ms)
{
    struct pollfd p = {fd, POLLIN, 0};
    int n;
    while ((n = poll(&p, 1, ms)) < 0)
        CHECK_EQ(errno, EINTR);
    return n > 0 && (p.revents & POLLIN);
}

// All that comes until nothing has come for a while.
static inline int drain(int fd, char *buffer, int size)
{
    int total = 0;
    while (total < size && readable(fd, 60)) {
        int n = (int)read(fd, buffer + total, (size_t)(size - total));
        if (n <= 0)
            break;
        total += n;
    }
    return total;
}

static inline void put_bytes(const char *what, const char *bytes, int n)
{
    printf("%s \"", what);
    for (int i = 0; i < n; i++) {
        unsigned char c = (unsigned char)bytes[i];
        if (c >= 0x20 && c < 0x7f && c != '"' && c != '\\')
            putchar(c);
        else
            printf("\\x%02x", c);
    }
    printf("\"\n");
    fflush(stdout);
}

// Linux gives what is typed to the line discipline by a worker; polling an empty terminal waits for it.
static inline void type(const char *bytes, int n)
{
    CHECK_EQ(write(master, bytes, (size_t)n), n);
    readable(slave, 0);
}

#define TYPE(text) type(text, sizeof text - 1)

// What has been echoed and what can be read.
static inline void show(const char *what)
{
    char buffer[16384];
    printf("%s\n", what);
    put_bytes("  shown", buffer, drain(master, buffer, sizeof buffer));
    for (;;) {
        if (!readable(slave, 40))
            break;
        int n = (int)read(slave, buffer, sizeof buffer);
        CHECK(n >= 0);
        put_bytes("  read", buffer, n);
    }
}

static inline void set_modes(tcflag_t input, tcflag_t output, tcflag_t local)
{
    struct termios t;
    CHECK_EQ(tcgetattr(slave, &t), 0);
    t.c_iflag = input;
    t.c_oflag = output;
    t.c_lflag = local;
    CHECK_EQ(tcsetattr(slave, TCSANOW, &t), 0);
}

#define USUAL_INPUT (ICRNL | IXON)
#define USUAL_OUTPUT (OPOST | ONLCR)
#define USUAL_LOCAL (ISIG | ICANON | ECHO | ECHOE | ECHOK | ECHOCTL | ECHOKE | IEXTEN)

#endif
