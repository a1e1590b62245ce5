#include "conformance.h"
#include <dirent.h>

int main(void)
{
    struct stat st;
    enter_scratch();
    CHECK_EQ(mkdir("d", 0755), 0);
    CHECK_ERRNO(mkdir("d", 0755), EEXIST);
    CHECK_ERRNO(mkdir("x/y", 0755), ENOENT);
    CHECK_EQ(stat("d", &st), 0);
    CHECK(S_ISDIR(st.st_mode));
    int d = open("d", O_RDONLY | O_DIRECTORY);
    CHECK(d >= 0);
    for (int i = 0; i < 100; i++) {
        char name[16];
        snprintf(name, sizeof name, "n%03d", i);
        int f = openat(d, name, O_CREAT | O_WRONLY, 0600);
        CHECK(f >= 0);
        close(f);
    }
    maybe_save();
    ok("create");

    char seen[100] = {0};
    int entries = 0, dots = 0;
    DIR *dir = fdopendir(d);
    CHECK(dir != NULL);
    for (struct dirent *e; (e = readdir(dir)) != NULL;) {
        if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0) {
            dots++;
            continue;
        }
        int n = atoi(e->d_name + 1);
        CHECK_EQ(seen[n], 0);
        seen[n] = 1;
        CHECK_EQ(e->d_type, DT_REG);
        if (++entries == 30)
            maybe_save();
    }
    CHECK_EQ(entries, 100);
    CHECK_EQ(dots, 2);
    rewinddir(dir);
    CHECK(readdir(dir) != NULL);
    ok("list");

    char was[4096], is[4096];
    CHECK(getcwd(was, sizeof was) != NULL);
    CHECK_EQ(fchdir(dirfd(dir)), 0);
    CHECK(getcwd(is, sizeof is) != NULL);
    CHECK_EQ(strcmp(is + strlen(was), "/d"), 0);
    maybe_save();
    CHECK_EQ(access("n000", F_OK), 0);
    CHECK_EQ(chdir(".."), 0);
    CHECK_ERRNO(getcwd(is, 2) == NULL ? -1 : 0, ERANGE);
    ok("working directory");

    CHECK_ERRNO(rmdir("d"), ENOTEMPTY);
    CHECK_ERRNO(unlink("d"), EISDIR);
    for (int i = 0; i < 100; i++) {
        char name[16];
        snprintf(name, sizeof name, "n%03d", i);
        CHECK_EQ(unlinkat(dirfd(dir), name, 0), 0);
    }
    CHECK_ERRNO(rmdir("d/."), EINVAL);
    CHECK_EQ(unlinkat(AT_FDCWD, "d", AT_REMOVEDIR), 0);
    CHECK_ERRNO(openat(dirfd(dir), "x", O_CREAT | O_WRONLY, 0600), ENOENT);
    closedir(dir);
    leave_scratch();
    ok("remove");
    return 0;
}
