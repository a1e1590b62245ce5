// Pseudoterminals as devices: opening, locking, names, settings, sizes, what the ioctls answer.
#include "tty.h"
#include <sys/sysmacros.h>

static void show_termios(int fd)
{
    struct termios t;
    CHECK_EQ(tcgetattr(fd, &t), 0);
    printf("  %x %x %x %x line %d", t.c_iflag, t.c_oflag, t.c_cflag, t.c_lflag, t.c_line);
    for (int i = 0; i < 17; i++)
        printf(" %d", t.c_cc[i]);
    printf(" speeds %d %d\n", cfgetispeed(&t), cfgetospeed(&t));
}

int main(void)
{
    int m = open("/dev/ptmx", O_RDWR | O_NOCTTY), number, value;
    CHECK(m >= 0);
    char name[64];
    CHECK_EQ(ioctl(m, TIOCGPTN, &number), 0);
    snprintf(name, sizeof name, "/dev/pts/%d", number);
    CHECK_ERRNO(open(name, O_RDWR | O_NOCTTY), EIO);
    CHECK_EQ(ioctl(m, TIOCGPTLCK, &value), 0);
    CHECK_EQ(value, 1);
    CHECK_EQ(unlockpt(m), 0);
    CHECK_EQ(ioctl(m, TIOCGPTLCK, &value), 0);
    CHECK_EQ(value, 0);
    CHECK_EQ(strcmp(ptsname(m), name), 0);
    struct pollfd p = {m, POLLIN | POLLOUT, 0};
    CHECK_EQ(poll(&p, 1, 0), 1);
    CHECK_EQ(p.revents, POLLOUT);
    int s = open(name, O_RDWR | O_NOCTTY);
    CHECK(s >= 0);
    ok("open");

    struct stat st, by_name;
    CHECK_EQ(fstat(s, &st), 0);
    CHECK_EQ(stat(name, &by_name), 0);
    CHECK(S_ISCHR(st.st_mode));
    CHECK_EQ(major(st.st_rdev), 136);
    CHECK_EQ(minor(st.st_rdev), number);
    CHECK_EQ(st.st_ino, by_name.st_ino);
    CHECK_EQ(st.st_dev, by_name.st_dev);
    CHECK_EQ(st.st_uid, geteuid());
    CHECK_EQ(fchmod(s, 0600), 0);
    CHECK_EQ(stat(name, &by_name), 0);
    CHECK_EQ(by_name.st_mode & 07777, 0600);
    CHECK_EQ(fstat(m, &st), 0);
    CHECK_EQ(major(st.st_rdev), 5);
    CHECK_EQ(minor(st.st_rdev), 2);
    CHECK(isatty(s) && isatty(m));
    char tty[64];
    CHECK_EQ(ttyname_r(s, tty, sizeof tty), 0);
    CHECK_EQ(strcmp(tty, name), 0);
    CHECK_EQ(lseek(s, 0, SEEK_SET), -1);
    CHECK_EQ(errno, ESPIPE);
    maybe_save();
    CHECK_EQ(ttyname_r(s, tty, sizeof tty), 0);
    CHECK_EQ(strcmp(tty, name), 0);
    ok("stat");

    show_termios(s);
    show_termios(m);
    struct termios t;
    CHECK_EQ(tcgetattr(s, &t), 0);
    cfmakeraw(&t);
    cfsetispeed(&t, B9600);
    cfsetospeed(&t, B115200);
    t.c_cflag |= PARENB;
    t.c_cflag &= ~(unsigned)CSIZE;
    CHECK_EQ(tcsetattr(s, TCSADRAIN, &t), 0);
    show_termios(s);
    maybe_save();
    show_termios(m);
    CHECK_EQ(ioctl(s, TCGETS, 0), -1);
    CHECK_EQ(errno, EFAULT);
    ok("settings");

    struct winsize w = {0};
    CHECK_EQ(ioctl(s, TIOCGWINSZ, &w), 0);
    CHECK_EQ(w.ws_row + w.ws_col, 0);
    w = (struct winsize){24, 80, 640, 480};
    CHECK_EQ(ioctl(m, TIOCSWINSZ, &w), 0);
    w = (struct winsize){0};
    maybe_save();
    CHECK_EQ(ioctl(s, TIOCGWINSZ, &w), 0);
    printf("window %d %d %d %d\n", w.ws_row, w.ws_col, w.ws_xpixel, w.ws_ypixel);

    int peer = ioctl(m, TIOCGPTPEER, O_RDWR | O_NOCTTY | O_CLOEXEC);
    CHECK(peer >= 0);
    CHECK_EQ(fcntl(peer, F_GETFD), FD_CLOEXEC);
    CHECK_EQ(ttyname_r(peer, tty, sizeof tty), 0);
    CHECK_EQ(strcmp(tty, name), 0);
    CHECK_EQ(close(peer), 0);
    CHECK_ERRNO(ioctl(s, TIOCGPTPEER, O_RDWR), EIO);
    CHECK_ERRNO(ioctl(s, TIOCGPTN, &value), ENOTTY);
    CHECK_EQ(ioctl(s, TIOCGETD, &value), 0);
    CHECK_EQ(value, 0);
    CHECK_EQ(ioctl(s, TIOCOUTQ, &value), 0);
    CHECK_EQ(value, 0);
    CHECK_ERRNO(ioctl(s, TIOCGPGRP, &value), ENOTTY);
    CHECK_EQ(ioctl(m, TIOCGPGRP, &value), 0);
    CHECK_EQ(value, 0);
    CHECK_ERRNO(ioctl(m, TIOCGSID, &value), ENOTTY);
    CHECK_ERRNO(ioctl(s, TIOCNOTTY), ENOTTY);
    CHECK_ERRNO(ioctl(s, 0x5499, &value), ENOTTY);
    CHECK_ERRNO(ioctl(s, TCFLSH, 9), EINVAL);
    CHECK_ERRNO(ioctl(s, TCXONC, 9), EINVAL);
    CHECK_EQ(tcdrain(s), 0);
    CHECK_EQ(tcsendbreak(s, 0), 0);
    ok("ioctls");

    if (geteuid() != 0) {
        CHECK_EQ(ioctl(s, TIOCEXCL), 0);
        CHECK_ERRNO(open(name, O_RDWR | O_NOCTTY), EBUSY);
    }
    CHECK_EQ(close(s), 0);
    char c;
    CHECK_ERRNO(read(m, &c, 1), EIO);
    CHECK_EQ(poll(&p, 1, 0), 1);
    CHECK_EQ(p.revents, POLLOUT | POLLHUP);
    maybe_save();
    CHECK_ERRNO(read(m, &c, 1), EIO);
    s = open(name, O_RDWR | O_NOCTTY);
    CHECK(s >= 0);
    CHECK_EQ(poll(&p, 1, 0), 1);
    CHECK_EQ(p.revents, POLLOUT);
    CHECK_EQ(write(s, "last", 4), 4);
    CHECK_EQ(close(s), 0);
    char buffer[16];
    CHECK_EQ(read(m, buffer, sizeof buffer), 4);
    CHECK_ERRNO(read(m, &c, 1), EIO);
    s = open(name, O_RDWR | O_NOCTTY);
    CHECK_EQ(close(m), 0);
    CHECK_EQ(read(s, &c, 1), 0);
    CHECK_ERRNO(write(s, "x", 1), EIO);
    CHECK_ERRNO(tcgetattr(s, &t), EIO);
    p.fd = s;
    CHECK_EQ(poll(&p, 1, 0), 1);
    CHECK(p.revents & POLLHUP);
    CHECK_EQ(stat(name, &by_name), -1);
    CHECK_EQ(errno, ENOENT);
    maybe_save();
    CHECK_EQ(read(s, &c, 1), 0);
    CHECK_EQ(close(s), 0);
    ok("closing");
    return 0;
}
