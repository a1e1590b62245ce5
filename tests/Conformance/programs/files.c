#include "conformance.h"

int main(void)
{
    char b[16];
    struct stat st;
    enter_scratch();

    CHECK_ERRNO(open("none", O_RDONLY), ENOENT);
    int fd = open("f", O_CREAT | O_EXCL | O_RDWR, 0640);
    CHECK(fd >= 0);
    CHECK_ERRNO(open("f", O_CREAT | O_EXCL | O_RDWR, 0640), EEXIST);
    CHECK_EQ(write(fd, "0123456789", 10), 10);
    CHECK_EQ(lseek(fd, 0, SEEK_CUR), 10);
    CHECK_EQ(lseek(fd, 2, SEEK_SET), 2);
    maybe_save();
    CHECK_EQ(read(fd, b, 3), 3);
    CHECK_EQ(memcmp(b, "234", 3), 0);
    CHECK_EQ(pread(fd, b, 2, 8), 2);
    CHECK_EQ(memcmp(b, "89", 2), 0);
    CHECK_EQ(lseek(fd, 0, SEEK_CUR), 5);
    CHECK_EQ(pwrite(fd, "xy", 2, 12), 2);
    CHECK_EQ(fstat(fd, &st), 0);
    CHECK_EQ(st.st_size, 14);
    CHECK_EQ(st.st_mode, S_IFREG | 0640);
    CHECK_EQ(st.st_nlink, 1);
    CHECK_EQ(pread(fd, b, 4, 10), 4);
    CHECK_EQ(memcmp(b, "\0\0xy", 4), 0);
    CHECK_EQ(lseek(fd, -1, SEEK_END), 13);
    CHECK_ERRNO(lseek(fd, -1, SEEK_SET), EINVAL);
    CHECK_EQ(read(fd, b, 16), 1);
    CHECK_EQ(read(fd, b, 16), 0);
    ok("read, write, seek");

    CHECK_EQ(ftruncate(fd, 3), 0);
    CHECK_EQ(ftruncate(fd, 5), 0);
    CHECK_EQ(pread(fd, b, 16, 0), 5);
    CHECK_EQ(memcmp(b, "012\0\0", 5), 0);
    CHECK_EQ(truncate("f", 1), 0);
    CHECK_EQ(fstat(fd, &st), 0);
    CHECK_EQ(st.st_size, 1);
    ok("truncate");

    int copy = dup(fd);
    CHECK(copy > fd);
    CHECK_EQ(lseek(fd, 7, SEEK_SET), 7);
    maybe_save();
    CHECK_EQ(lseek(copy, 0, SEEK_CUR), 7);
    CHECK_EQ(dup2(fd, 50), 50);
    CHECK_EQ(dup2(fd, fd), fd);
    CHECK_ERRNO(dup2(999, 50), EBADF);
    CHECK_ERRNO(dup3(fd, fd, 0), EINVAL);
    CHECK_EQ(fcntl(50, F_GETFD), 0);
    CHECK_EQ(fcntl(50, F_SETFD, FD_CLOEXEC), 0);
    CHECK_EQ(fcntl(50, F_GETFD), FD_CLOEXEC);
    CHECK_EQ(fcntl(fd, F_DUPFD_CLOEXEC, 60), 60);
    CHECK_EQ(fcntl(60, F_GETFD), FD_CLOEXEC);
    CHECK_EQ(fcntl(fd, F_GETFL) & O_ACCMODE, O_RDWR);
    CHECK_EQ(close(copy), 0);
    CHECK_ERRNO(close(copy), EBADF);
    CHECK_EQ(close(50), 0);
    CHECK_EQ(close(60), 0);
    ok("descriptors");

    int append = open("f", O_WRONLY | O_APPEND);
    CHECK_EQ(write(append, "A", 1), 1);
    CHECK_EQ(pwrite(fd, "0B", 2, 0), 2);
    maybe_save();
    CHECK_EQ(write(append, "C", 1), 1);
    check_file("f", "0BC");
    CHECK_ERRNO(read(append, b, 1), EBADF);
    CHECK_EQ(close(append), 0);
    int readonly = open("f", O_RDONLY);
    CHECK_ERRNO(write(readonly, b, 1), EBADF);
    CHECK_EQ(close(readonly), 0);
    int truncated = open("f", O_WRONLY | O_TRUNC);
    CHECK_EQ(fstat(truncated, &st), 0);
    CHECK_EQ(st.st_size, 0);
    CHECK_EQ(close(truncated), 0);
    CHECK_EQ(close(fd), 0);
    CHECK_ERRNO(open("f/x", O_RDONLY), ENOTDIR);
    CHECK_ERRNO(open("f", O_RDONLY | O_DIRECTORY), ENOTDIR);
    CHECK_ERRNO(open(".", O_WRONLY), EISDIR);
    CHECK_EQ(unlink("f"), 0);
    CHECK_ERRNO(unlink("f"), ENOENT);
    ok("flags");

    leave_scratch();
    return 0;
}
