// Files that have no name any more live as long as they are open, across a save too.
#include "conformance.h"

int main(void)
{
    struct stat st;
    char b[8];
    enter_scratch();
    int fd = open("f", O_CREAT | O_RDWR, 0600);
    CHECK_EQ(write(fd, "deleted", 7), 7);
    CHECK_EQ(unlink("f"), 0);
    write_file("f", "another");
    CHECK_EQ(mkdir("d", 0700), 0);
    int dir = open("d", O_RDONLY | O_DIRECTORY);
    CHECK_EQ(rmdir("d"), 0);
    maybe_save();
    CHECK_EQ(fstat(fd, &st), 0);
    CHECK_EQ(st.st_nlink, 0);
    CHECK_EQ(st.st_size, 7);
    CHECK_EQ(pread(fd, b, 8, 0), 7);
    CHECK_EQ(memcmp(b, "deleted", 7), 0);
    CHECK_EQ(write(fd, "!", 1), 1);
    maybe_save();
    CHECK_EQ(pread(fd, b, 8, 0), 8);
    CHECK_EQ(b[7], '!');
    check_file("f", "another");
    CHECK_EQ(fstat(dir, &st), 0);
    CHECK(S_ISDIR(st.st_mode));
    CHECK_EQ(unlink("f"), 0);
    ok("deleted files");
    leave_scratch();
    return 0;
}
