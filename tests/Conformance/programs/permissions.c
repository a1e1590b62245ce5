#include "conformance.h"

int main(void)
{
    struct stat st;
    enter_scratch();
    CHECK_EQ(chmod(".", 0777), 0);
    umask(027);
    int fd = open("f", O_CREAT | O_WRONLY, 0666);
    CHECK_EQ(close(fd), 0);
    CHECK_EQ(stat("f", &st), 0);
    CHECK_EQ(st.st_mode & 07777, 0640);
    maybe_save();
    CHECK_EQ(umask(077), 027);
    CHECK_EQ(mkdir("d", 0777), 0);
    CHECK_EQ(stat("d", &st), 0);
    CHECK_EQ(st.st_mode & 07777, 0700);
    CHECK_EQ(chmod("f", 04711), 0);
    CHECK_EQ(stat("f", &st), 0);
    CHECK_EQ(st.st_mode & 07777, 04711);
    CHECK_EQ(access("f", R_OK | W_OK | X_OK), 0);
    ok("modes");

    if (geteuid() == 0) {
        CHECK_EQ(chown("f", 12, 34), 0);
        CHECK_EQ(stat("f", &st), 0);
        CHECK_EQ(st.st_uid, 12);
        CHECK_EQ(st.st_gid, 34);
        CHECK_EQ(st.st_mode & 07777, 0711);
        CHECK_EQ(chown("f", 0, 0), 0);
        CHECK_EQ(chmod("f", 0600), 0);
        pid_t pid = fork_checked();
        if (pid == 0) {
            CHECK_EQ(setgid(1000), 0);
            CHECK_EQ(setuid(1000), 0);
            maybe_save();
            CHECK_EQ(getuid(), 1000);
            CHECK_EQ(geteuid(), 1000);
            CHECK_EQ(getegid(), 1000);
            CHECK_ERRNO(setuid(0), EPERM);
            CHECK_ERRNO(open("f", O_RDONLY), EACCES);
            CHECK_ERRNO(access("f", R_OK), EACCES);
            CHECK_ERRNO(open("d/x", O_RDONLY), EACCES);
            CHECK_ERRNO(chmod("f", 0666), EPERM);
            CHECK_ERRNO(chown("f", 1000, 1000), EPERM);
            CHECK_ERRNO(kill(1, 0), EPERM);
            int mine = open("mine", O_CREAT | O_WRONLY, 0600);
            CHECK(mine >= 0);
            CHECK_EQ(fstat(mine, &st), 0);
            CHECK_EQ(st.st_uid, 1000);
            _exit(0);
        }
        reap(pid);
        CHECK_EQ(unlink("mine"), 0);
    }
    ok("owners");

    CHECK_EQ(unlink("f"), 0);
    CHECK_EQ(rmdir("d"), 0);
    leave_scratch();
    return 0;
}
