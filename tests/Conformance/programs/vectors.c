#include "conformance.h"
#include <sys/sendfile.h>
#include <sys/uio.h>

int main(void)
{
    enter_scratch();
    char a[4] = {0}, b[8] = {0};
    struct iovec out[3] = {{"ab", 2}, {"", 0}, {"cdefg", 5}}, in[2] = {{a, 3}, {b, 8}};
    int fd = open("f", O_CREAT | O_RDWR, 0600);
    CHECK_EQ(writev(fd, out, 3), 7);
    CHECK_EQ(lseek(fd, 0, SEEK_SET), 0);
    maybe_save();
    CHECK_EQ(readv(fd, in, 2), 7);
    CHECK_EQ(strcmp(a, "abc"), 0);
    CHECK_EQ(strcmp(b, "defg"), 0);
    CHECK_EQ(pwritev(fd, out, 1, 7), 2);
    CHECK_EQ(preadv(fd, in, 2, 5), 4);
    CHECK_EQ(memcmp(a, "fga", 3), 0);
    CHECK_EQ(b[0], 'b');
    CHECK_EQ(lseek(fd, 0, SEEK_CUR), 7);
    CHECK_ERRNO(writev(fd, out, -1), EINVAL);
    CHECK_ERRNO(read(fd, (void *)8, 1), EFAULT);
    ok("vectors");

    int p[2];
    CHECK_EQ(pipe(p), 0);
    off_t offset = 1;
    CHECK_EQ(sendfile(p[1], fd, &offset, 3), 3);
    CHECK_EQ(offset, 4);
    CHECK_EQ(read(p[0], a, 3), 3);
    CHECK_EQ(memcmp(a, "bcd", 3), 0);
    ok("sendfile");

    int to = open("g", O_CREAT | O_RDWR, 0600);
    loff_t from = 0, at = 2;
    CHECK_EQ(copy_file_range(fd, &from, to, &at, 4, 0), 4);
    CHECK_EQ(pread(to, b, 8, 0), 6);
    CHECK_EQ(memcmp(b, "\0\0abcd", 6), 0);
    CHECK_EQ(unlink("f"), 0);
    CHECK_EQ(unlink("g"), 0);
    leave_scratch();
    ok("copy_file_range");
    return 0;
}
