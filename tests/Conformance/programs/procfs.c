#include "conformance.h"
#include <dirent.h>
#include <sys/prctl.h>

static char text[65536];

static char *slurp(const char *path)
{
    int fd = open(path, O_RDONLY);
    CHECK(fd >= 0);
    size_t n = 0;
    for (ssize_t r; (r = read(fd, text + n, sizeof text - 1 - n)) > 0;)
        n += (size_t)r;
    text[n] = 0;
    CHECK_EQ(close(fd), 0);
    return text;
}

int main(int argc, char **argv)
{
    char link[4096], path[64], expected[64];
    (void)argc;
    CHECK_EQ(strcmp(slurp("/proc/self/cmdline"), argv[0]), 0);
    CHECK_EQ(prctl(PR_SET_NAME, "renamed"), 0);
    maybe_save();
    CHECK_EQ(strcmp(slurp("/proc/self/comm"), "renamed\n"), 0);
    CHECK(strstr(slurp("/proc/self/status"), "Name:\trenamed\n") != NULL);
    snprintf(expected, sizeof expected, "\nPid:\t%d\n", getpid());
    CHECK(strstr(text, expected) != NULL);
    snprintf(expected, sizeof expected, "%d (renamed) ", getpid());
    CHECK_EQ(strncmp(slurp("/proc/self/stat"), expected, strlen(expected)), 0);
    ok("status");

    CHECK(strstr(slurp("/proc/self/maps"), "[stack]") != NULL);
    CHECK(strstr(text, " r-xp ") != NULL);
    ssize_t n = readlink("/proc/self/exe", link, sizeof link - 1);
    CHECK(n > 0);
    link[n] = 0;
    CHECK(strstr(text, link) != NULL);
    n = readlink("/proc/self", link, sizeof link - 1);
    link[n] = 0;
    CHECK_EQ(atoi(link), getpid());
    ok("maps and links");

    enter_scratch();
    int fd = open("some-file", O_CREAT | O_RDWR, 0600), p[2];
    CHECK_EQ(write(fd, "via proc", 8), 8);
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    maybe_save();
    n = readlink(path, link, sizeof link - 1);
    link[n] = 0;
    CHECK(strstr(link, "/some-file") != NULL);
    check_file(path, "via proc");
    CHECK_EQ(pipe(p), 0);
    snprintf(path, sizeof path, "/proc/self/fd/%d", p[0]);
    n = readlink(path, link, sizeof link - 1);
    CHECK_EQ(strncmp(link, "pipe:[", 6), 0);
    int count = 0;
    DIR *d = opendir("/proc/self/fd");
    for (struct dirent *e; (e = readdir(d)) != NULL;)
        count += atoi(e->d_name) == fd || atoi(e->d_name) == p[0] || atoi(e->d_name) == p[1];
    closedir(d);
    CHECK_EQ(count, 3);
    CHECK_EQ(unlink("some-file"), 0);
    leave_scratch();
    ok("descriptors");

    CHECK(strstr(slurp("/proc/cpuinfo"), "processor") != NULL);
    CHECK(strstr(slurp("/proc/meminfo"), "MemTotal:") != NULL);
    CHECK(strstr(slurp("/proc/self/mounts"), " / ") != NULL);
    CHECK_EQ(access("/proc/999999999", F_OK), -1);
    ok("system");
    return 0;
}
