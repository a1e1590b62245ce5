#include "conformance.h"

int main(void)
{
    struct stat a, b;
    char target[64];
    enter_scratch();
    write_file("f", "text");
    CHECK_EQ(link("f", "g"), 0);
    CHECK_ERRNO(link("f", "g"), EEXIST);
    maybe_save();
    CHECK_EQ(stat("f", &a), 0);
    CHECK_EQ(stat("g", &b), 0);
    CHECK_EQ(a.st_ino, b.st_ino);
    CHECK_EQ(a.st_nlink, 2);
    CHECK_EQ(unlink("f"), 0);
    check_file("g", "text");
    CHECK_EQ(stat("g", &a), 0);
    CHECK_EQ(a.st_nlink, 1);
    ok("hard links");

    CHECK_EQ(symlink("g", "s"), 0);
    check_file("s", "text");
    CHECK_EQ(readlink("s", target, sizeof target), 1);
    CHECK_EQ(target[0], 'g');
    CHECK_EQ(lstat("s", &a), 0);
    CHECK(S_ISLNK(a.st_mode));
    CHECK_EQ(a.st_size, 1);
    CHECK_ERRNO(readlink("g", target, sizeof target), EINVAL);
    CHECK_ERRNO(open("s", O_RDONLY | O_NOFOLLOW), ELOOP);
    CHECK_EQ(symlink("loop", "loop"), 0);
    CHECK_ERRNO(open("loop", O_RDONLY), ELOOP);
    CHECK_EQ(symlink("nowhere", "dangling"), 0);
    CHECK_ERRNO(open("dangling", O_RDONLY), ENOENT);
    int fd = open("dangling", O_CREAT | O_WRONLY, 0600);
    CHECK(fd >= 0);
    close(fd);
    CHECK_EQ(access("nowhere", F_OK), 0);
    maybe_save();
    CHECK_EQ(mkdir("dir", 0700), 0);
    CHECK_EQ(symlink("dir/../dir", "to-dir"), 0);
    write_file("to-dir/x", "deep");
    check_file("dir/x", "deep");
    ok("symbolic links");

    CHECK_EQ(unlink("dir/x"), 0);
    CHECK_EQ(unlink("to-dir"), 0);
    CHECK_EQ(rmdir("dir"), 0);
    CHECK_EQ(unlink("loop"), 0);
    CHECK_EQ(unlink("dangling"), 0);
    CHECK_EQ(unlink("nowhere"), 0);
    CHECK_EQ(unlink("s"), 0);
    CHECK_EQ(unlink("g"), 0);
    leave_scratch();
    return 0;
}
