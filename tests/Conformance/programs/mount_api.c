#include "conformance.h"
#include <linux/mount.h>
#include <sched.h>

// <sys/mount.h> and <linux/mount.h> do not go together everywhere.
extern int mount(const char *, const char *, const char *, unsigned long, const void *);
extern int umount2(const char *, int);
#define DETACH 2
#define RECURSIVE_PRIVATE (16384 | (1 << 18))

#define NR_open_tree 428
#define NR_move_mount 429
#define NR_fsopen 430
#define NR_fsconfig 431
#define NR_fsmount 432
#define NR_fspick 433
#define NR_mount_setattr 442
#define NR_statmount 457
#define NR_listmount 458

static int fsopen_(const char *type)
{
    return (int)syscall(NR_fsopen, type, FSOPEN_CLOEXEC);
}

static int set(int fs, unsigned command, const char *key, const char *value)
{
    return (int)syscall(NR_fsconfig, fs, command, key, value, 0);
}

static int attach(int mount, const char *to)
{
    return (int)syscall(NR_move_mount, mount, "", AT_FDCWD, to, MOVE_MOUNT_F_EMPTY_PATH);
}

static void making(void)
{
    CHECK_EQ(mkdir("a", 0755), 0);
    CHECK_ERRNO(fsopen_("no such file system"), ENODEV);
    int fs = fsopen_("tmpfs");
    CHECK(fs >= 0);
    CHECK_EQ(set(fs, FSCONFIG_SET_STRING, "source", "made"), 0);
    CHECK_EQ(set(fs, FSCONFIG_SET_STRING, "size", "1m"), 0);
    CHECK_ERRNO(syscall(NR_fsmount, fs, 0, 0), EINVAL);
    maybe_save();
    CHECK_EQ(set(fs, FSCONFIG_CMD_CREATE, NULL, NULL), 0);
    int mount = (int)syscall(NR_fsmount, fs, FSMOUNT_CLOEXEC, MOUNT_ATTR_NOSUID | MOUNT_ATTR_NOEXEC);
    CHECK(mount >= 0);
    close(fs);
    // Usable before it has a place.
    int file = openat(mount, "early", O_CREAT | O_RDWR, 0644);
    CHECK(file >= 0);
    CHECK_EQ(write(file, "text", 4), 4);
    close(file);
    maybe_save();
    CHECK_EQ(attach(mount, "a"), 0);
    check_file("a/early", "text");
    CHECK_ERRNO(attach(mount, "nowhere"), ENOENT);
    close(mount);
    ok("a new file system");
}

static void trees(void)
{
    CHECK_EQ(mkdir("b", 0755), 0);
    int tree = (int)syscall(NR_open_tree, AT_FDCWD, "a", OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC);
    CHECK(tree >= 0);
    struct mount_attr attr = {.attr_set = MOUNT_ATTR_RDONLY, .attr_clr = MOUNT_ATTR_NOEXEC};
    CHECK_EQ(syscall(NR_mount_setattr, tree, "", AT_EMPTY_PATH, &attr, sizeof attr), 0);
    maybe_save();
    CHECK_ERRNO(openat(tree, "x", O_CREAT | O_WRONLY, 0600), EROFS);
    CHECK_EQ(attach(tree, "b"), 0);
    check_file("b/early", "text");
    CHECK_ERRNO(open("b/x", O_CREAT | O_WRONLY, 0600), EROFS);
    write_file("a/x", "y");
    close(tree);
    attr = (struct mount_attr){.attr_clr = MOUNT_ATTR_RDONLY};
    CHECK_EQ(syscall(NR_mount_setattr, AT_FDCWD, "b", 0, &attr, sizeof attr), 0);
    write_file("b/x", "z");
    attr = (struct mount_attr){.attr_set = 1 << 30};
    CHECK_ERRNO(syscall(NR_mount_setattr, AT_FDCWD, "b", 0, &attr, sizeof attr), EINVAL);
    // Without a copy it is a path, like O_PATH.
    tree = (int)syscall(NR_open_tree, AT_FDCWD, "b", 0);
    CHECK(tree >= 0);
    char c;
    CHECK_ERRNO(read(tree, &c, 1), EBADF);
    CHECK_EQ(mkdir("c", 0755), 0);
    CHECK_EQ(attach(tree, "c"), 0);
    close(tree);
    check_file("c/x", "z");
    CHECK_ERRNO(open("b/x", O_RDONLY), ENOENT);
    // A copy nobody attaches goes with its descriptor.
    tree = (int)syscall(NR_open_tree, AT_FDCWD, "c", OPEN_TREE_CLONE);
    maybe_save();
    CHECK_EQ(close(tree), 0);
    CHECK_EQ(umount2("c", 0), 0);
    ok("copies of trees");
}

static void picking(void)
{
    int fs = (int)syscall(NR_fspick, AT_FDCWD, "a", FSPICK_CLOEXEC);
    CHECK(fs >= 0);
    CHECK_EQ(set(fs, FSCONFIG_SET_FLAG, "ro", NULL), 0);
    maybe_save();
    CHECK_EQ(set(fs, FSCONFIG_CMD_RECONFIGURE, NULL, NULL), 0);
    CHECK_ERRNO(open("a/new", O_CREAT | O_WRONLY, 0600), EROFS);
    CHECK_EQ(set(fs, FSCONFIG_SET_FLAG, "rw", NULL), 0);
    CHECK_EQ(set(fs, FSCONFIG_CMD_RECONFIGURE, NULL, NULL), 0);
    close(fs);
    write_file("a/new", "w");
    ok("changing one");
}

struct request {
    uint32_t size, spare;
    uint64_t mount, parameter;
};

static void asking(void)
{
    struct statx s;
    CHECK_EQ(statx(AT_FDCWD, "a", 0, 0x4000, &s), 0);
    CHECK(s.stx_mask & 0x4000);
    uint64_t id;
    memcpy(&id, (char *)&s + 0x90, sizeof id); // stx_mnt_id
    char buffer[4096];
    struct request request = {24, 0, id, 1 | 2 | 4 | 8 | 16 | 32};
    maybe_save();
    CHECK_EQ(syscall(NR_statmount, &request, buffer, sizeof buffer, 0), 0);
    uint64_t got, magic;
    memcpy(&got, buffer + 40, 8);
    memcpy(&magic, buffer + 24, 8);
    CHECK_EQ(got, id);
    CHECK_EQ(magic, 0x01021994);
    uint32_t type;
    memcpy(&type, buffer + 36, 4);
    CHECK_EQ(strcmp(buffer + 512 + type, "tmpfs"), 0);
    // Those below the root are many; the one is among them.
    uint64_t ids[512];
    request = (struct request){24, 0, UINT64_MAX, 0};
    long count = syscall(NR_listmount, &request, ids, 512, 0);
    CHECK(count > 0);
    int seen = 0;
    for (long i = 0; i < count; i++)
        seen += ids[i] == id;
    CHECK_EQ(seen, 1);
    request.mount = id + (1 << 20);
    CHECK_ERRNO(syscall(NR_statmount, &request, buffer, sizeof buffer, 0), ENOENT);
    CHECK_EQ(umount2("a", DETACH), 0);
    ok("asking");
}

int main(void)
{
    enter_scratch();
    CHECK_EQ(unshare(CLONE_NEWNS), 0);
    CHECK_EQ(mount(NULL, "/", NULL, RECURSIVE_PRIVATE, NULL), 0);
    making();
    trees();
    picking();
    asking();
    return 0;
}
