#include "conformance.h"
#include <arpa/inet.h>
#include <grp.h>
#include <net/if.h>
#include <poll.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/ipc.h>
#include <sys/prctl.h>
#include <sys/shm.h>
#include <sys/socket.h>
#include <sys/syscall.h>

#define NS_GET_USERNS 0xb701
#define NS_GET_PARENT 0xb702
#define NS_GET_NSTYPE 0xb703
#define NS_GET_OWNER_UID 0xb704

static void put(const char *path, const char *text)
{
    int fd = open(path, O_WRONLY);
    CHECK(fd >= 0);
    CHECK_EQ(write(fd, text, strlen(text)), (ssize_t)strlen(text));
    close(fd);
}

static void expect_end(pid_t child, int status)
{
    int got;
    CHECK_EQ(waitpid(child, &got, 0), child);
    CHECK_EQ(got, status);
}

static void uts(void)
{
    pid_t child = fork();
    CHECK(child >= 0);
    if (child == 0) {
        char old[64], name[64];
        CHECK_EQ(gethostname(old, sizeof old), 0);
        int outer = open("/proc/self/ns/uts", O_RDONLY);
        CHECK(outer >= 0);
        CHECK_EQ(ioctl(outer, NS_GET_NSTYPE), CLONE_NEWUTS);
        CHECK_EQ(unshare(CLONE_NEWUTS), 0);
        CHECK_EQ(gethostname(name, sizeof name), 0);
        CHECK_EQ(strcmp(name, old), 0);
        CHECK_EQ(sethostname("inner", 5), 0);
        int inner = open("/proc/self/ns/uts", O_RDONLY);
        maybe_save();
        CHECK_EQ(setns(outer, CLONE_NEWUTS), 0);
        CHECK_EQ(gethostname(name, sizeof name), 0);
        CHECK_EQ(strcmp(name, old), 0);
        maybe_save();
        CHECK_ERRNO(setns(inner, CLONE_NEWNET), EINVAL);
        CHECK_EQ(setns(inner, 0), 0);
        CHECK_EQ(gethostname(name, sizeof name), 0);
        CHECK_EQ(strcmp(name, "inner"), 0);
        struct stat a, b, c;
        CHECK_EQ(fstat(inner, &a), 0);
        CHECK_EQ(stat("/proc/self/ns/uts", &b), 0);
        CHECK_EQ(fstat(outer, &c), 0);
        CHECK_EQ(a.st_ino, b.st_ino);
        CHECK(a.st_ino != c.st_ino);
        _exit(0);
    }
    expect_end(child, 0);
    ok("host names");
}

static void users(void)
{
    int go[2];
    CHECK_EQ(pipe(go), 0);
    write_file("owned", "x");
    CHECK_EQ(chown("owned", 1001, 1002), 0);
    pid_t child = fork();
    CHECK(child >= 0);
    if (child == 0) {
        char c;
        struct stat s;
        CHECK_EQ(setgid(1000), 0);
        CHECK_EQ(setuid(1000), 0);
        // A change of ids makes /proc/self root's.
        CHECK_EQ(prctl(PR_SET_DUMPABLE, 1, 0, 0, 0), 0);
        CHECK_EQ(unshare(CLONE_NEWUSER), 0);
        CHECK_EQ(getuid(), 65534);
        CHECK_EQ(getegid(), 65534);
        maybe_save();
        put("/proc/self/setgroups", "deny");
        put("/proc/self/uid_map", "0 1000 1\n");
        put("/proc/self/gid_map", "0 1000 1\n");
        CHECK_EQ(getuid(), 0);
        CHECK_EQ(getgid(), 0);
        maybe_save();
        CHECK_EQ(stat("owned", &s), 0);
        CHECK_EQ(s.st_uid, 65534);
        CHECK_EQ(s.st_gid, 65534);
        CHECK_ERRNO(setuid(1), EINVAL);
        CHECK_ERRNO(setgroups(0, NULL), EPERM);
        // Capabilities count inside, not outside.
        CHECK_EQ(unshare(CLONE_NEWUTS), 0);
        CHECK_EQ(sethostname("mine", 4), 0);
        CHECK_ERRNO(chown("owned", 0, 0), EPERM);
        CHECK_ERRNO(chown("owned", 5, 0), EINVAL);
        int mine = open("/proc/self/ns/user", O_RDONLY), name = open("/proc/self/ns/uts", O_RDONLY), owner;
        uid_t uid;
        CHECK_EQ(ioctl(mine, NS_GET_OWNER_UID, &uid), 0);
        CHECK_EQ(uid, 0);
        CHECK_ERRNO(ioctl(mine, NS_GET_PARENT), EPERM);
        owner = ioctl(name, NS_GET_USERNS);
        CHECK(owner >= 0);
        struct stat t;
        CHECK_EQ(fstat(owner, &s), 0);
        CHECK_EQ(fstat(mine, &t), 0);
        CHECK_EQ(s.st_ino, t.st_ino);
        // One inside the other.
        pid_t inner = fork();
        CHECK(inner >= 0);
        if (inner == 0) {
            CHECK_EQ(unshare(CLONE_NEWUSER), 0);
            put("/proc/self/uid_map", "7 0 1\n");
            CHECK_EQ(getuid(), 7);
            maybe_save();
            check_file("/proc/self/uid_map", "         7          0          1\n");
            CHECK_ERRNO(unshare(CLONE_NEWUSER), EPERM); // no group
            _exit(0);
        }
        expect_end(inner, 0);
        CHECK_EQ(write(go[1], "x", 1), 1);
        CHECK(read(go[0], &c, 1) >= 0);
        _exit(0);
    }
    expect_end(child, 0);
    close(go[0]);
    close(go[1]);
    ok("users");
}

static void terminated(int signal)
{
    (void)signal;
}

// Process 1 of a namespace of its own.
static void first(int report)
{
    CHECK_EQ(getpid(), 1);
    CHECK_EQ(getppid(), 0);
    pid_t child = fork();
    CHECK(child >= 0);
    if (child == 0) {
        CHECK_EQ(getppid(), 1);
        // Its own child loses its father and falls to process 1.
        pid_t orphan = fork();
        CHECK(orphan >= 0);
        if (orphan == 0) {
            while (getppid() != 1)
                sleep_ms(1);
            maybe_save();
            CHECK_EQ(kill(1, SIGKILL), 0); // ignored from inside
            CHECK_EQ(kill(1, SIGTERM), 0);
            _exit(5);
        }
        _exit(orphan == 3 ? 0 : 1);
    }
    CHECK_EQ(child, 2);
    expect_end(child, 0);
    maybe_save();
    expect_end(3, 5 << 8);
    CHECK_ERRNO(kill(4, 0), ESRCH);
    signal(SIGUSR1, terminated);
    pid_t waits = fork();
    if (waits == 0)
        for (;;)
            pause();
    CHECK_EQ(write(report, &waits, sizeof waits), (ssize_t)sizeof waits);
    for (;;)
        pause();
}

static void processes(void)
{
    int report[2];
    CHECK_EQ(pipe(report), 0);
    int pidfd = -1;
    struct {
        uint64_t flags, pidfd, child_tid, parent_tid, exit_signal, stack, stack_size, tls;
    } arguments = {.flags = CLONE_NEWPID | 0x1000, .pidfd = (uintptr_t)&pidfd, .exit_signal = SIGCHLD};
    pid_t child = (pid_t)syscall(SYS_clone3, &arguments, sizeof arguments);
    CHECK(child >= 0);
    if (child == 0)
        first(report[1]);
    CHECK(pidfd >= 0);
    pid_t waits;
    close(report[1]);
    CHECK_EQ(read(report[0], &waits, sizeof waits), (ssize_t)sizeof waits);
    CHECK_EQ(waits, 4);
    char path[64], line[256];
    snprintf(path, sizeof path, "/proc/%d/status", child);
    FILE *status = fopen(path, "r");
    CHECK(status != NULL);
    int outer = 0, inner = 0;
    while (fgets(line, sizeof line, status) != NULL)
        if (sscanf(line, "NSpid: %d %d", &outer, &inner) == 2)
            break;
    fclose(status);
    CHECK_EQ(outer, child);
    CHECK_EQ(inner, 1);
    maybe_save();
    // Another process enters: its child gets the next number.
    pid_t enters = fork();
    CHECK(enters >= 0);
    if (enters == 0) {
        CHECK_EQ(setns(pidfd, CLONE_NEWPID), 0);
        pid_t own = getpid(), inside = fork();
        CHECK(inside >= 0);
        if (inside == 0) {
            CHECK_EQ(getpid(), 5);
            CHECK_EQ(getppid(), 0);
            CHECK_EQ(kill(4, 0), 0);
            _exit(0);
        }
        CHECK(inside > own || inside < own);
        expect_end(inside, 0);
        _exit(0);
    }
    expect_end(enters, 0);
    // With process 1 the others go; the pipe's last writer is one of them.
    CHECK_EQ(kill(child, SIGKILL), 0);
    char c;
    CHECK_EQ(read(report[0], &c, 1), 0);
    expect_end(child, SIGKILL);
    close(pidfd);
    close(report[0]);
    ok("processes");
}

static void other_kinds(void)
{
    pid_t child = fork();
    CHECK(child >= 0);
    if (child == 0) {
        int shared = shmget(0x5eed, 4096, IPC_CREAT | 0600);
        CHECK(shared >= 0);
        int outer = open("/proc/self/ns/ipc", O_RDONLY);
        CHECK_EQ(unshare(CLONE_NEWIPC | CLONE_NEWNET), 0);
        maybe_save();
        CHECK_ERRNO(shmget(0x5eed, 4096, 0600), ENOENT);
        int s = socket(AF_INET, SOCK_DGRAM, 0);
        CHECK(s >= 0);
        struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = 1000, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
        CHECK_ERRNO(sendto(s, "hello", 5, 0, (struct sockaddr *)&a, sizeof a), ENETUNREACH);
        a.sin_port = 0;
        struct ifreq r = {.ifr_name = "lo"};
        CHECK_EQ(ioctl(s, SIOCGIFFLAGS, &r), 0);
        CHECK_EQ(r.ifr_flags & IFF_UP, 0);
        r.ifr_flags |= IFF_UP;
        CHECK_EQ(ioctl(s, SIOCSIFFLAGS, &r), 0);
        maybe_save();
        CHECK_EQ(close(s), 0);
        s = socket(AF_INET, SOCK_DGRAM, 0);
        CHECK_EQ(bind(s, (struct sockaddr *)&a, sizeof a), 0);
        socklen_t length = sizeof a;
        CHECK_EQ(getsockname(s, (struct sockaddr *)&a, &length), 0);
        CHECK_EQ(sendto(s, "hello", 5, 0, (struct sockaddr *)&a, sizeof a), 5);
        char text[8];
        CHECK_EQ(recv(s, text, sizeof text, 0), 5);
        CHECK_EQ(setns(outer, CLONE_NEWIPC), 0);
        CHECK_EQ(shmget(0x5eed, 4096, 0600), shared);
        CHECK_EQ(shmctl(shared, IPC_RMID, NULL), 0);
        _exit(0);
    }
    expect_end(child, 0);
    ok("objects and networks");
}

static int64_t read_clock(clockid_t clock)
{
    struct timespec t;
    CHECK_EQ(clock_gettime(clock, &t), 0);
    return t.tv_sec * 1000000000LL + t.tv_nsec;
}

static void times_apart(void)
{
    pid_t child = fork();
    CHECK(child >= 0);
    if (child == 0) {
        int64_t before = read_clock(CLOCK_MONOTONIC), boot = read_clock(CLOCK_BOOTTIME);
        CHECK_EQ(unshare(CLONE_NEWTIME), 0);
        put("/proc/self/timens_offsets", "monotonic 1000 500\nboottime 5000 0\n");
        CHECK(read_clock(CLOCK_MONOTONIC) - before < 900000000000LL);
        maybe_save();
        pid_t inner = fork();
        CHECK(inner >= 0);
        if (inner == 0) {
            maybe_save();
            CHECK(read_clock(CLOCK_MONOTONIC) - before >= 1000000000500LL);
            CHECK(read_clock(CLOCK_BOOTTIME) - boot >= 5000000000000LL);
            struct timespec until = {0, 0};
            CHECK_EQ(clock_gettime(CLOCK_MONOTONIC, &until), 0);
            until.tv_nsec += 20000000;
            if (until.tv_nsec >= 1000000000) {
                until.tv_sec++;
                until.tv_nsec -= 1000000000;
            }
            CHECK_EQ(clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &until, NULL), 0);
            CHECK(read_clock(CLOCK_MONOTONIC) >= until.tv_sec * 1000000000LL + until.tv_nsec);
            _exit(0);
        }
        expect_end(inner, 0);
        int fd = open("/proc/self/timens_offsets", O_WRONLY);
        CHECK_ERRNO(write(fd, "monotonic 1 0", 13), EACCES);
        _exit(0);
    }
    expect_end(child, 0);
    ok("time");
}

int main(void)
{
    enter_scratch();
    CHECK_EQ(chmod(".", 0755), 0);
    uts();
    users();
    processes();
    other_kinds();
    times_apart();
    return 0;
}
