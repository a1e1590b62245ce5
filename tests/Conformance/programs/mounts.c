#include "conformance.h"
#include <sched.h>
#include <sys/mount.h>
#include <sys/statfs.h>
#include <sys/statvfs.h>

static void expect_end(pid_t child)
{
    int status;
    CHECK_EQ(waitpid(child, &status, 0), child);
    CHECK_EQ(status, 0);
}

// The line of /proc/self/mountinfo of the topmost mount at a path; 0 without one.
static int find_mount(const char *path, char *line, int size)
{
    char buffer[1024];
    int found = 0;
    FILE *f = fopen("/proc/self/mountinfo", "r");
    CHECK(f != NULL);
    while (fgets(buffer, sizeof buffer, f) != NULL) {
        char at[512];
        CHECK_EQ(sscanf(buffer, "%*d %*d %*s %*s %511s", at), 1);
        if (strcmp(at, path) == 0) {
            snprintf(line, (size_t)size, "%s", buffer);
            found++;
        }
    }
    fclose(f);
    return found;
}

static char base[256], line[1024];

static const char *at(const char *name)
{
    static char paths[4][512];
    static int next;
    char *path = paths[next++ % 4];
    snprintf(path, sizeof paths[0], "%s/%s", base, name);
    return path;
}

static void tree(void)
{
    CHECK_EQ(mkdir("a", 0755), 0);
    CHECK_EQ(mkdir("b", 0755), 0);
    write_file("a/under", "hidden");
    CHECK_EQ(mount("memory", "a", "tmpfs", MS_NOSUID | MS_NODEV, "size=64k,mode=700"), 0);
    maybe_save();
    CHECK_ERRNO(open("a/under", O_RDONLY), ENOENT);
    struct stat s, t;
    CHECK_EQ(stat("a", &s), 0);
    CHECK_EQ(s.st_mode & 07777, 0700);
    struct statvfs v;
    CHECK_EQ(statvfs("a", &v), 0);
    CHECK(v.f_flag & ST_NOSUID);
    CHECK(v.f_flag & ST_NODEV);
    CHECK_EQ(v.f_blocks * v.f_frsize, 65536);
    CHECK_EQ(find_mount(at("a"), line, sizeof line), 1);
    CHECK(strstr(line, " - tmpfs memory ") != NULL);
    CHECK(strstr(line, " rw,nosuid,nodev") != NULL);
    // It is full after 64 KiB.
    int fd = open("a/big", O_CREAT | O_RDWR, 0600);
    char block[4096] = {1};
    for (int i = 0; i < 16; i++) {
        ssize_t n = write(fd, block, sizeof block);
        if (n < 0)
            break;
    }
    CHECK_ERRNO(write(fd, block, sizeof block), ENOSPC);
    CHECK_EQ(ftruncate(fd, 0), 0);
    CHECK_EQ(write(fd, block, sizeof block), (ssize_t)sizeof block);
    CHECK_ERRNO(umount("a"), EBUSY);
    close(fd);
    ok("a tmpfs of a size");

    CHECK_EQ(mkdir("a/inner", 0755), 0);
    CHECK_EQ(mount("a/inner", "b", NULL, MS_BIND, NULL), 0);
    write_file("b/seen", "text");
    maybe_save();
    check_file("a/inner/seen", "text");
    CHECK_EQ(stat("a/inner", &s), 0);
    CHECK_EQ(stat("b", &t), 0);
    CHECK_EQ(s.st_ino, t.st_ino);
    CHECK_EQ(s.st_dev, t.st_dev);
    CHECK_EQ(find_mount(at("b"), line, sizeof line), 1);
    CHECK(strstr(line, " /inner ") != NULL);
    CHECK_ERRNO(rename("a/inner", "b/inner"), EXDEV);
    CHECK_ERRNO(link("a/inner/seen", "b/linked"), EXDEV);
    CHECK_ERRNO(rmdir("b"), EBUSY);
    // Flags are a mount's own.
    CHECK_EQ(mount(NULL, "b", NULL, MS_REMOUNT | MS_BIND | MS_RDONLY, NULL), 0);
    maybe_save();
    CHECK_ERRNO(open("b/other", O_CREAT | O_WRONLY, 0600), EROFS);
    CHECK_ERRNO(chmod("b/seen", 0600), EROFS);
    write_file("a/inner/other", "still");
    check_file("b/other", "still");
    CHECK_EQ(umount("b"), 0);
    CHECK_ERRNO(umount("b"), EINVAL);
    ok("binding");

    // The file system read-only: not while a file is open for writing.
    fd = open("a/open", O_CREAT | O_WRONLY, 0600);
    CHECK_ERRNO(mount(NULL, "a", NULL, MS_REMOUNT | MS_RDONLY, NULL), EBUSY);
    close(fd);
    CHECK_EQ(mount(NULL, "a", NULL, MS_REMOUNT | MS_RDONLY, NULL), 0);
    CHECK_ERRNO(mkdir("a/more", 0700), EROFS);
    CHECK_EQ(mount(NULL, "a", NULL, MS_REMOUNT, NULL), 0);
    CHECK_EQ(mkdir("a/more", 0700), 0);
    // Gone from the tree, there for those who are in it.
    int in = open("a/inner", O_RDONLY | O_DIRECTORY);
    CHECK_EQ(umount2("a", MNT_DETACH), 0);
    maybe_save();
    check_file("a/under", "hidden");
    fd = openat(in, "seen", O_RDONLY);
    CHECK(fd >= 0);
    CHECK_EQ(read(fd, block, sizeof block), 4);
    close(fd);
    close(in);
    ok("detaching");
}

static int is_shared(const char *name)
{
    CHECK_EQ(find_mount(at(name), line, sizeof line), 1);
    return strstr(line, " shared:") != NULL;
}

static void propagation(void)
{
    CHECK_EQ(mkdir("s", 0755), 0);
    CHECK_EQ(mkdir("p", 0755), 0);
    CHECK_EQ(mkdir("l", 0755), 0);
    CHECK_EQ(mount("shared", "s", "tmpfs", 0, NULL), 0);
    CHECK_EQ(mkdir("s/x", 0755), 0);
    CHECK_EQ(mkdir("s/y", 0755), 0);
    CHECK(!is_shared("s"));
    CHECK_EQ(mount(NULL, "s", NULL, MS_SHARED, NULL), 0);
    CHECK(is_shared("s"));
    CHECK_EQ(mount("s", "p", NULL, MS_BIND, NULL), 0);
    CHECK(is_shared("p"));
    CHECK_EQ(mount("s", "l", NULL, MS_BIND, NULL), 0);
    CHECK_EQ(mount(NULL, "l", NULL, MS_SLAVE, NULL), 0);
    CHECK(!is_shared("l"));
    CHECK(strstr(line, " master:") != NULL);
    maybe_save();
    CHECK_EQ(mount("new", "p/x", "tmpfs", 0, NULL), 0);
    CHECK_EQ(find_mount(at("s/x"), line, sizeof line), 1);
    CHECK_EQ(find_mount(at("l/x"), line, sizeof line), 1);
    write_file("s/x/file", "there");
    check_file("l/x/file", "there");
    CHECK_EQ(mount("own", "l/y", "tmpfs", 0, NULL), 0);
    CHECK_EQ(find_mount(at("s/y"), line, sizeof line), 0);
    maybe_save();
    // Into itself: the copy is its peer at once, but gets no copy of itself.
    CHECK_EQ(mount("s", "s/y", NULL, MS_BIND, NULL), 0);
    CHECK_EQ(find_mount(at("p/y"), line, sizeof line), 1);
    CHECK_EQ(umount("s/y"), 0);
    CHECK_EQ(find_mount(at("p/y"), line, sizeof line), 0);
    CHECK_EQ(umount("s/x"), 0);
    CHECK_EQ(find_mount(at("p/x"), line, sizeof line), 0);
    CHECK_EQ(find_mount(at("l/x"), line, sizeof line), 0);
    // Another namespace is a peer: what is mounted there is seen here, unless it made itself private.
    pid_t child = fork_checked();
    if (child == 0) {
        CHECK_EQ(unshare(CLONE_NEWNS), 0);
        CHECK_EQ(mount("far", "s/x", "tmpfs", 0, NULL), 0);
        CHECK_EQ(mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL), 0);
        CHECK_EQ(mount("far", "s/y", "tmpfs", 0, NULL), 0);
        maybe_save();
        _exit(0);
    }
    expect_end(child);
    CHECK_EQ(find_mount(at("s/x"), line, sizeof line), 1);
    CHECK_EQ(find_mount(at("p/x"), line, sizeof line), 1);
    CHECK_EQ(find_mount(at("s/y"), line, sizeof line), 0);
    // What cannot be bound.
    CHECK_EQ(mount(NULL, "p", NULL, MS_UNBINDABLE, NULL), 0);
    CHECK_ERRNO(mount("p", "b", NULL, MS_BIND, NULL), EINVAL);
    CHECK_EQ(umount2("s", MNT_DETACH), 0);
    CHECK_EQ(umount2("p", MNT_DETACH), 0);
    CHECK_EQ(umount2("l", MNT_DETACH), 0);
    ok("propagation");
}

static void moves(void)
{
    CHECK_EQ(mkdir("m", 0755), 0);
    CHECK_EQ(mkdir("n", 0755), 0);
    CHECK_EQ(mount("moved", "m", "tmpfs", 0, NULL), 0);
    CHECK_EQ(mkdir("m/sub", 0755), 0);
    CHECK_EQ(mount("sub", "m/sub", "tmpfs", 0, NULL), 0);
    write_file("m/sub/f", "deep");
    CHECK_EQ(mount("m", "n", NULL, MS_MOVE, NULL), 0);
    maybe_save();
    check_file("n/sub/f", "deep");
    CHECK_EQ(find_mount(at("m"), line, sizeof line), 0);
    CHECK_EQ(find_mount(at("n/sub"), line, sizeof line), 1);
    CHECK_EQ(mount("n", "m", NULL, MS_BIND | MS_REC, NULL), 0);
    check_file("m/sub/f", "deep");
    CHECK_ERRNO(umount("n"), EBUSY);
    CHECK_EQ(umount2("m", MNT_DETACH), 0);
    CHECK_ERRNO(umount2("n/sub", MNT_EXPIRE), EAGAIN);
    CHECK_EQ(umount2("n/sub", MNT_EXPIRE), 0);
    CHECK_EQ(umount("n"), 0);
    ok("moving");
}

static void roots(void)
{
    pid_t child = fork_checked();
    if (child == 0) {
        CHECK_EQ(mkdir("root", 0755), 0);
        CHECK_EQ(unshare(CLONE_NEWNS), 0);
        CHECK_EQ(mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL), 0);
        CHECK_ERRNO(syscall(SYS_pivot_root, "root", "root"), EBUSY);
        CHECK_EQ(mount("root", "root", "tmpfs", 0, NULL), 0);
        CHECK_EQ(mkdir("root/old", 0755), 0);
        CHECK_EQ(mkdir("root/proc", 0755), 0);
        CHECK_EQ(mount("proc", "root/proc", "proc", MS_NOEXEC, NULL), 0);
        CHECK_EQ(syscall(SYS_pivot_root, "root", "root/old"), 0);
        maybe_save();
        CHECK_EQ(chdir("/"), 0);
        struct stat s;
        CHECK_EQ(stat("/old/usr", &s), 0);
        CHECK_EQ(find_mount("/", line, sizeof line), 1);
        CHECK(strstr(line, " - tmpfs root ") != NULL);
        CHECK_EQ(umount2("/old", MNT_DETACH), 0);
        CHECK_ERRNO(stat("/old/usr", &s), ENOENT);
        maybe_save();
        FILE *f = fopen("/proc/self/mounts", "r");
        CHECK(f != NULL);
        int lines = 0;
        while (fgets(line, sizeof line, f) != NULL)
            lines++;
        CHECK_EQ(lines, 2);
        _exit(0);
    }
    expect_end(child);
    CHECK_EQ(find_mount(at("root"), line, sizeof line), 0);
    ok("another root");
}

static void refusals(void)
{
    CHECK_ERRNO(mount("x", "b", "no such file system", 0, NULL), ENODEV);
    CHECK_ERRNO(mount("x", "none", "tmpfs", 0, NULL), ENOENT);
    CHECK_ERRNO(mount("x", "b", "tmpfs", 0, "nonsense=1"), EINVAL);
    CHECK_ERRNO(mount("b", "a", NULL, MS_MOVE, NULL), EINVAL);
    CHECK_ERRNO(umount2("b", 0x100), EINVAL);
    write_file("f", "x");
    CHECK_ERRNO(mount("x", "f", "tmpfs", 0, NULL), ENOTDIR);
    CHECK_ERRNO(mount("f", "b", NULL, MS_BIND, NULL), ENOTDIR);
    // A file over a file.
    write_file("g", "y");
    CHECK_EQ(mount("f", "g", NULL, MS_BIND, NULL), 0);
    maybe_save();
    check_file("g", "x");
    CHECK_ERRNO(unlink("g"), EBUSY);
    CHECK_EQ(umount("g"), 0);
    check_file("g", "y");
    pid_t child = fork_checked();
    if (child == 0) {
        CHECK_EQ(setuid(1000), 0);
        CHECK_ERRNO(mount("x", "b", "tmpfs", 0, NULL), EPERM);
        CHECK_ERRNO(umount("/proc"), EPERM);
        CHECK_ERRNO(unshare(CLONE_NEWNS), EPERM);
        // With a user namespace it may, but may not take off what it came with.
        CHECK_EQ(unshare(CLONE_NEWUSER | CLONE_NEWNS), 0);
        CHECK_EQ(mount("x", "b", "tmpfs", 0, NULL), 0);
        maybe_save();
        CHECK_ERRNO(umount("/proc"), EINVAL);
        CHECK_ERRNO(mount("/", "b", NULL, MS_BIND, NULL), EINVAL);
        CHECK_ERRNO(mount("/proc", "b", NULL, MS_MOVE, NULL), EINVAL);
        CHECK_EQ(umount("b"), 0);
        _exit(0);
    }
    expect_end(child);
    ok("refusals");
}

int main(void)
{
    enter_scratch();
    CHECK_EQ(chmod(".", 0755), 0);
    CHECK(getcwd(base, sizeof base) != NULL);
    CHECK_EQ(unshare(CLONE_NEWNS), 0);
    CHECK_EQ(mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL), 0);
    tree();
    propagation();
    moves();
    roots();
    refusals();
    return 0;
}
