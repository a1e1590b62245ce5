#include "conformance.h"
#include <sys/file.h>

static struct flock range(short type, off_t start, off_t length)
{
    return (struct flock){.l_type = type, .l_whence = SEEK_SET, .l_start = start, .l_len = length};
}

int main(void)
{
    enter_scratch();
    int fd = open("f", O_CREAT | O_RDWR, 0600), other = open("f", O_RDWR);
    CHECK_EQ(flock(fd, LOCK_EX), 0);
    maybe_save();
    CHECK_ERRNO(flock(other, LOCK_SH | LOCK_NB), EWOULDBLOCK);
    CHECK_EQ(flock(fd, LOCK_SH), 0);
    CHECK_EQ(flock(other, LOCK_SH | LOCK_NB), 0);
    CHECK_EQ(flock(fd, LOCK_UN), 0);
    CHECK_EQ(flock(other, LOCK_UN), 0);
    ok("flock");

    struct flock lock = range(F_WRLCK, 10, 10);
    CHECK_EQ(fcntl(fd, F_SETLK, &lock), 0);
    maybe_save();
    pid_t parent = getpid(), pid = fork_checked();
    if (pid == 0) {
        struct flock wanted = range(F_RDLCK, 15, 1);
        CHECK_ERRNO(fcntl(fd, F_SETLK, &wanted), EAGAIN);
        CHECK_EQ(fcntl(fd, F_GETLK, &wanted), 0);
        CHECK_EQ(wanted.l_type, F_WRLCK);
        CHECK_EQ(wanted.l_start, 10);
        CHECK_EQ(wanted.l_len, 10);
        CHECK_EQ(wanted.l_pid, parent);
        wanted = range(F_WRLCK, 0, 10);
        CHECK_EQ(fcntl(fd, F_SETLK, &wanted), 0);
        wanted = range(F_WRLCK, 20, 0);
        CHECK_EQ(fcntl(fd, F_SETLK, &wanted), 0);
        _exit(0);
    }
    reap(pid);
    lock = range(F_WRLCK, 0, 0);
    CHECK_EQ(fcntl(fd, F_SETLK, &lock), 0);
    close(other);
    other = open("f", O_RDWR);
    pid = fork_checked();
    if (pid == 0) {
        struct flock wanted = range(F_WRLCK, 0, 1);
        CHECK_EQ(fcntl(fd, F_SETLKW, &wanted), 0);
        _exit(0);
    }
    sleep_ms(30);
    maybe_save();
    lock = range(F_UNLCK, 0, 0);
    CHECK_EQ(fcntl(fd, F_SETLK, &lock), 0);
    reap(pid);
    ok("record locks");
    CHECK_EQ(unlink("f"), 0);
    leave_scratch();
    return 0;
}
