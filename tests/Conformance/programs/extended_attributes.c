#include "conformance.h"
#include <sys/xattr.h>

int main(void)
{
    char value[64], list[256];
    enter_scratch();
    write_file("file", "text");
    CHECK_EQ(symlink("file", "link"), 0);
    CHECK_ERRNO(getxattr("file", "user.none", value, sizeof value), ENODATA);
    CHECK_EQ(setxattr("file", "user.one", "first", 5, XATTR_CREATE), 0);
    CHECK_ERRNO(setxattr("file", "user.one", "again", 5, XATTR_CREATE), EEXIST);
    CHECK_ERRNO(setxattr("file", "user.two", "second", 6, XATTR_REPLACE), ENODATA);
    CHECK_EQ(setxattr("link", "user.two", "second", 6, 0), 0);
    CHECK_ERRNO(setxattr("file", "nonsense.one", "x", 1, 0), EOPNOTSUPP);
    CHECK_ERRNO(lsetxattr("link", "user.three", "x", 1, 0), EPERM);
    maybe_save();
    CHECK_EQ(getxattr("file", "user.two", value, sizeof value), 6);
    CHECK_EQ(memcmp(value, "second", 6), 0);
    CHECK_EQ(getxattr("file", "user.two", NULL, 0), 6);
    CHECK_ERRNO(getxattr("file", "user.two", value, 3), ERANGE);
    ok("values");

    int fd = open("file", O_RDWR);
    CHECK(fd >= 0);
    ssize_t length = flistxattr(fd, list, sizeof list);
    CHECK_EQ(length, 18);
    CHECK(memcmp(list, "user.one", 9) == 0 || memcmp(list, "user.two", 9) == 0);
    CHECK_EQ(rename("file", "renamed"), 0);
    maybe_save();
    CHECK_EQ(fgetxattr(fd, "user.one", value, sizeof value), 5);
    CHECK_EQ(fremovexattr(fd, "user.one"), 0);
    CHECK_ERRNO(removexattr("renamed", "user.one"), ENODATA);
    CHECK_EQ(listxattr("renamed", NULL, 0), 9);
    CHECK_EQ(close(fd), 0);
    ok("names");

    CHECK_EQ(unlink("renamed"), 0);
    CHECK_EQ(unlink("link"), 0);
    leave_scratch();
    return 0;
}
