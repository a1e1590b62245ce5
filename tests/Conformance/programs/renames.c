#include "conformance.h"

int main(void)
{
    enter_scratch();
    write_file("a", "A");
    write_file("b", "B");
    int fd = open("b", O_RDONLY);
    CHECK_EQ(rename("a", "b"), 0);
    check_file("b", "A");
    CHECK_ERRNO(access("a", F_OK), ENOENT);
    maybe_save();
    char c;
    CHECK_EQ(read(fd, &c, 1), 1);
    CHECK_EQ(c, 'B');
    CHECK_EQ(close(fd), 0);
    CHECK_ERRNO(rename("none", "x"), ENOENT);
    ok("over a file");

    CHECK_EQ(mkdir("d", 0755), 0);
    CHECK_EQ(mkdir("e", 0755), 0);
    write_file("d/f", "F");
    CHECK_ERRNO(rename("d", "b"), ENOTDIR);
    CHECK_ERRNO(rename("b", "d"), EISDIR);
    CHECK_ERRNO(rename("d", "d/g"), EINVAL);
    CHECK_EQ(rename("d", "e"), 0);
    check_file("e/f", "F");
    CHECK_EQ(mkdir("h", 0755), 0);
    CHECK_ERRNO(rename("h", "e"), ENOTEMPTY);
    maybe_save();
    CHECK_EQ(rename("e", "h/moved"), 0);
    check_file("h/moved/f", "F");
    ok("directories");

    write_file("a", "1");
    write_file("c", "2");
    CHECK_ERRNO(syscall(SYS_renameat2, AT_FDCWD, "a", AT_FDCWD, "c", 1), EEXIST);
    CHECK_EQ(syscall(SYS_renameat2, AT_FDCWD, "a", AT_FDCWD, "c", 2), 0);
    check_file("a", "2");
    check_file("c", "1");
    ok("renameat2");

    CHECK_EQ(unlink("a"), 0);
    CHECK_EQ(unlink("b"), 0);
    CHECK_EQ(unlink("c"), 0);
    CHECK_EQ(unlink("h/moved/f"), 0);
    CHECK_EQ(rmdir("h/moved"), 0);
    CHECK_EQ(rmdir("h"), 0);
    leave_scratch();
    return 0;
}
