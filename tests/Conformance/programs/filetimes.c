#include "conformance.h"

int main(void)
{
    struct stat st;
    enter_scratch();
    write_file("f", "x");
    struct timespec t[2] = {{1000, 5}, {2000, 999999999}};
    CHECK_EQ(utimensat(AT_FDCWD, "f", t, 0), 0);
    maybe_save();
    CHECK_EQ(stat("f", &st), 0);
    CHECK_EQ(st.st_atim.tv_sec, 1000);
    CHECK_EQ(st.st_mtim.tv_sec, 2000);
    CHECK_EQ(st.st_mtim.tv_nsec, 999999999);
    t[0].tv_nsec = UTIME_OMIT;
    t[1].tv_nsec = UTIME_NOW;
    CHECK_EQ(utimensat(AT_FDCWD, "f", t, 0), 0);
    CHECK_EQ(stat("f", &st), 0);
    CHECK_EQ(st.st_atim.tv_sec, 1000);
    CHECK(st.st_mtim.tv_sec > 1500000000);
    t[1] = (struct timespec){1, 0};
    int fd = open("f", O_WRONLY);
    CHECK_EQ(futimens(fd, t), 0);
    CHECK_EQ(write(fd, "y", 1), 1);
    CHECK_EQ(fstat(fd, &st), 0);
    CHECK(st.st_mtim.tv_sec > 1500000000);
    CHECK(st.st_ctim.tv_sec > 1500000000);
    CHECK_EQ(close(fd), 0);
    CHECK_EQ(unlink("f"), 0);
    leave_scratch();
    ok("times");
    return 0;
}
