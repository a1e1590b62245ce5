// What a pidfd tells (PIDFD_GET_INFO), /proc/PID in its place, and the end of a pid namespace by reboot(2).
#include "conformance.h"
#include <linux/reboot.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/pidfd.h>

struct info {
    uint64_t mask, cgroup;
    uint32_t pid, tgid, ppid, ruid, rgid, euid, egid, suid, sgid, fsuid, fsgid;
    int32_t exit_code;
    uint32_t coredump_mask, coredump_signal;
};

#define INFO _IOWR(0xFF, 11, struct info)
#define INFO_PID 1
#define INFO_CREDS 2
#define INFO_EXIT 8

static void information(void)
{
    int go[2];
    CHECK_EQ(pipe(go), 0);
    pid_t child = fork();
    CHECK(child >= 0);
    if (child == 0) {
        char byte;
        CHECK_EQ(read(go[0], &byte, 1), 1);
        _exit(42);
    }
    int fd = pidfd_open(child, 0);
    CHECK(fd >= 0);
    struct info info = {.mask = INFO_EXIT};
    maybe_save();
    CHECK_EQ(ioctl(fd, INFO, &info), 0);
    CHECK_EQ(info.mask & (INFO_PID | INFO_CREDS | INFO_EXIT), INFO_PID | INFO_CREDS);
    CHECK_EQ(info.pid, child);
    CHECK_EQ(info.tgid, child);
    CHECK_EQ(info.ppid, getpid());
    CHECK_EQ(info.euid, geteuid());
    CHECK_EQ(info.fsgid, getegid());
    CHECK_ERRNO(ioctl(fd, INFO, NULL), EINVAL);
    CHECK_EQ(write(go[1], "x", 1), 1);
    CHECK_EQ(waitpid(child, NULL, 0), child);
    maybe_save();
    info = (struct info){.mask = INFO_EXIT};
    CHECK_EQ(ioctl(fd, INFO, &info), 0);
    CHECK_EQ(info.mask & INFO_EXIT, INFO_EXIT);
    CHECK_EQ(WEXITSTATUS(info.exit_code), 42);
    info = (struct info){.mask = 0};
    CHECK_ERRNO(ioctl(fd, INFO, &info), ESRCH);
    CHECK_EQ(close(fd), 0);
    ok("information");
}

static void by_proc(void)
{
    char path[64];
    pid_t child = fork();
    CHECK(child >= 0);
    if (child == 0) {
        for (;;)
            pause();
    }
    snprintf(path, sizeof path, "/proc/%d", child);
    int fd = open(path, O_DIRECTORY | O_RDONLY);
    CHECK(fd >= 0);
    int other = open("/", O_DIRECTORY | O_RDONLY);
    CHECK_ERRNO(syscall(SYS_pidfd_send_signal, other, 0, NULL, 0), EBADF);
    CHECK_EQ(syscall(SYS_pidfd_send_signal, fd, 0, NULL, 0), 0);
    maybe_save();
    CHECK_EQ(syscall(SYS_pidfd_send_signal, fd, SIGTERM, NULL, 0), 0);
    int status;
    CHECK_EQ(waitpid(child, &status, 0), child);
    CHECK_EQ(WTERMSIG(status), SIGTERM);
    CHECK_ERRNO(syscall(SYS_pidfd_send_signal, fd, 0, NULL, 0), ESRCH);
    ok("by /proc");
}

static int end_by_reboot(void *command)
{
    CHECK_ERRNO(syscall(SYS_reboot, 1, LINUX_REBOOT_MAGIC2, LINUX_REBOOT_CMD_HALT, NULL), EINVAL);
    CHECK_ERRNO(syscall(SYS_reboot, LINUX_REBOOT_MAGIC1, LINUX_REBOOT_MAGIC2, 1, NULL), EINVAL);
    pid_t child = fork();
    if (child == 0) {
        maybe_save();
        syscall(SYS_reboot, LINUX_REBOOT_MAGIC1, LINUX_REBOOT_MAGIC2, *(unsigned *)command, NULL);
        _exit(1);
    }
    for (;;)
        pause();
}

static void reboots(void)
{
    static char stack[65536] __attribute__((aligned(16)));
    unsigned commands[] = {LINUX_REBOOT_CMD_RESTART, LINUX_REBOOT_CMD_POWER_OFF};
    int signals[] = {SIGHUP, SIGINT};
    for (int i = 0; i < 2; i++) {
        pid_t child = clone(end_by_reboot, stack + sizeof stack, CLONE_NEWPID | SIGCHLD, &commands[i]);
        CHECK(child > 0);
        int status;
        CHECK_EQ(waitpid(child, &status, 0), child);
        CHECK(WIFSIGNALED(status));
        CHECK_EQ(WTERMSIG(status), signals[i]);
    }
    ok("reboots");
}

int main(void)
{
    information();
    by_proc();
    reboots();
    return 0;
}
