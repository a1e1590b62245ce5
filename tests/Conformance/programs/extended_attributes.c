#include "conformance.h"
#include <sys/xattr.h>

int main(void)
{
    char b[64];
    enter_scratch();
    write_file("f", "x");
    if (setxattr("f", "user.test", "value", 5, 0) != 0 && errno == EOPNOTSUPP) {
        // Not every file system under /tmp has user attributes.
        CHECK_EQ(unlink("f"), 0);
        leave_scratch();
        ok("attributes");
        return 0;
    }
    maybe_save();
    CHECK_EQ(getxattr("f", "user.test", b, 64), 5);
    CHECK_EQ(memcmp(b, "value", 5), 0);
    CHECK_ERRNO(setxattr("f", "user.test", "x", 1, XATTR_CREATE), EEXIST);
    CHECK_ERRNO(getxattr("f", "user.none", b, 64), ENODATA);
    CHECK_ERRNO(getxattr("f", "user.test", b, 2), ERANGE);
    CHECK_EQ(listxattr("f", b, 64), 10);
    CHECK_EQ(strcmp(b, "user.test"), 0);
    CHECK_EQ(removexattr("f", "user.test"), 0);
    CHECK_ERRNO(removexattr("f", "user.test"), ENODATA);
    CHECK_EQ(unlink("f"), 0);
    leave_scratch();
    ok("attributes");
    return 0;
}
