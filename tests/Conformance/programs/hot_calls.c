// Calls made so often that a kernel may find a shorter way for them: results, errors, identities and signals stay what they are.
#include "conformance.h"
#include <poll.h>
#include <pthread.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <ucontext.h>

#define TIMES 300

static struct { uintptr_t start, end; } text[256];
static int texts;
static volatile int alarms, strays;

static void read_maps(void)
{
    FILE *maps = fopen("/proc/self/maps", "r");
    CHECK(maps != NULL);
    char line[512], access[8];
    while (fgets(line, sizeof line, maps) && texts < 256) {
        unsigned long start, end;
        CHECK_EQ(sscanf(line, "%lx-%lx %4s", &start, &end, access), 3);
        if (access[2] == 'x') {
            text[texts].start = start;
            text[texts++].end = end;
        }
    }
    fclose(maps);
}

// Wherever a signal comes, the program is in its own text, and what it returns to there is an instruction of its own.
static void on_alarm(int signal, siginfo_t *info, void *context)
{
    (void)signal, (void)info;
    uintptr_t at = (uintptr_t)((ucontext_t *)context)->uc_mcontext.gregs[REG_RIP];
    int inside = 0;
    for (int i = 0; i < texts; i++)
        inside |= at >= text[i].start && at < text[i].end;
    // Free room at the end of a text is no instruction: zeros.
    static const unsigned char none[8];
    strays += !inside || memcmp((void *)at, none, sizeof none) == 0;
    alarms++;
    struct stat s;
    if (stat("/", &s) != 0 || !S_ISDIR(s.st_mode) || getppid() < 0)
        strays++;
}

static void files(void)
{
    struct stat s, first;
    CHECK_EQ(stat("/etc/passwd", &first), 0);
    char buffer[256], path[64], link[64];
    int zero = open("/dev/zero", O_RDONLY);
    CHECK(zero >= 0);
    CHECK_EQ(symlink("target", "link"), 0);
    for (int i = 0; i < TIMES; i++) {
        memset(buffer, 'x', sizeof buffer);
        CHECK_EQ(read(zero, buffer, 1 + i % 100), 1 + i % 100);
        CHECK(buffer[0] == 0 && buffer[i % 100] == 0 && buffer[1 + i % 100] == 'x');
        CHECK_EQ(stat("/etc/passwd", &s), 0);
        CHECK(s.st_ino == first.st_ino && s.st_size == first.st_size);
        CHECK_EQ(lstat("link", &s), 0);
        CHECK(S_ISLNK(s.st_mode));
        CHECK_EQ(readlink("link", link, sizeof link), 6);
        CHECK(memcmp(link, "target", 6) == 0);
        CHECK_EQ(access("/no/such", F_OK), -1);
        CHECK_EQ(errno, ENOENT);
        snprintf(path, sizeof path, "file-%d", i % 7);
        int fd = open(path, O_CREAT | O_RDWR, 0600);
        CHECK(fd >= 0);
        CHECK_EQ(pwrite(fd, path, strlen(path), i), strlen(path));
        CHECK_EQ(pread(fd, buffer, strlen(path), i), strlen(path));
        CHECK(memcmp(path, buffer, strlen(path)) == 0);
        CHECK_EQ(fstat(fd, &s), 0);
        CHECK(s.st_size >= i);
        CHECK_EQ(lseek(fd, 0, SEEK_END), s.st_size);
        CHECK_EQ(close(fd), 0);
        CHECK(getcwd(buffer, sizeof buffer) != NULL && strncmp(buffer, "/tmp/", 5) == 0);
        if (i == TIMES / 2)
            maybe_save();
    }
    close(zero);
    CHECK_EQ(unlink("link"), 0);
    for (int i = 0; i < 7; i++) {
        snprintf(path, sizeof path, "file-%d", i);
        CHECK_EQ(unlink(path), 0);
    }
    ok("files");
}

static void transfers(void)
{
    int a[2], s[2], ep = epoll_create1(0);
    char big[20000], back[20000];
    CHECK_EQ(pipe(a), 0);
    CHECK_EQ(socketpair(AF_UNIX, SOCK_STREAM, 0, s), 0);
    for (int i = 0; i < (int)sizeof big; i++)
        big[i] = (char)(i * 7);
    struct epoll_event event = {.events = EPOLLIN, .data.u64 = 0x123456789abcdef};
    CHECK_EQ(epoll_ctl(ep, EPOLL_CTL_ADD, s[0], &event), 0);
    for (int i = 0; i < TIMES; i++) {
        size_t n = 1 + (size_t)i * 67 % sizeof big;
        CHECK_EQ(write(a[1], big, n), n);
        struct pollfd p[2] = {{.fd = a[0], .events = POLLIN}, {.fd = a[1], .events = POLLIN}};
        CHECK_EQ(poll(p, 2, -1), 1);
        CHECK(p[0].revents == POLLIN && p[1].revents == 0);
        memset(back, 0, n);
        CHECK_EQ(read(a[0], back, n), n);
        CHECK(memcmp(big, back, n) == 0);
        struct iovec out[3] = {{big, 5}, {big + 100, 50}, {big + 1000, 1500}}, in[2] = {{back, 55}, {back + 5000, 2000}};
        CHECK_EQ(writev(s[1], out, 3), 1555);
        struct epoll_event found[4];
        CHECK_EQ(epoll_wait(ep, found, 4, 1000), 1);
        CHECK(found[0].events == EPOLLIN && found[0].data.u64 == 0x123456789abcdef);
        CHECK_EQ(readv(s[0], in, 2), 1555);
        CHECK(memcmp(back, big, 5) == 0 && memcmp(back + 5, big + 100, 50) == 0 && memcmp(back + 5000, big + 1000, 1500) == 0);
        CHECK_EQ(send(s[1], big, 30, 0), 30);
        CHECK_EQ(recv(s[0], back, 100, 0), 30);
        CHECK_EQ(recv(s[0], back, 100, MSG_DONTWAIT), -1);
        CHECK_EQ(errno, EAGAIN);
        struct timespec none = {0, 0};
        CHECK_EQ(nanosleep(&none, NULL), 0);
        sigset_t set, old;
        sigemptyset(&set);
        sigaddset(&set, i % 2 ? SIGUSR1 : SIGUSR2);
        CHECK_EQ(sigprocmask(SIG_SETMASK, &set, &old), 0);
        CHECK(i == 0 || sigismember(&old, i % 2 ? SIGUSR2 : SIGUSR1));
        if (i == TIMES / 2)
            maybe_save();
    }
    sigset_t empty;
    sigemptyset(&empty);
    CHECK_EQ(sigprocmask(SIG_SETMASK, &empty, NULL), 0);
    close(a[0]), close(a[1]), close(s[0]), close(s[1]), close(ep);
    ok("transfers");
}

// A blocked call of each kind, saved while it waits.
static void blocked(void)
{
    int a[2];
    CHECK_EQ(pipe(a), 0);
    for (int i = 0; i < 3; i++) {
        pid_t pid = fork_checked();
        if (pid == 0) {
            sleep_ms(20);
            maybe_save();
            CHECK_EQ(write(a[1], "late", 4), 4);
            _exit(0);
        }
        char buffer[8] = "xxxxxxx";
        if (i == 1) {
            struct pollfd p = {.fd = a[0], .events = POLLIN};
            CHECK_EQ(poll(&p, 1, -1), 1);
            CHECK_EQ(p.revents, POLLIN);
        }
        CHECK_EQ(read(a[0], buffer, sizeof buffer), 4);
        CHECK(memcmp(buffer, "latexxx", 8) == 0);
        reap(pid);
    }
    close(a[0]), close(a[1]);
    ok("blocked");
}

static void bad_memory(void)
{
    char *page = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    CHECK(page != MAP_FAILED);
    CHECK_EQ(mprotect(page + 4096, 4096, PROT_NONE), 0);
    int zero = open("/dev/zero", O_RDONLY), a[2];
    CHECK_EQ(pipe(a), 0);
    for (int i = 0; i < 60; i++) {
        CHECK_ERRNO(stat((char *)8, (struct stat *)page), EFAULT);
        CHECK_ERRNO(stat("/", (struct stat *)(page + 4096)), EFAULT);
        CHECK_ERRNO(stat("/", (struct stat *)8), EFAULT);
        strcpy(page + 4096 - 5, "/etc");
        struct stat s;
        CHECK_EQ(stat(page + 4096 - 5, &s), 0);
        memset(page + 4096 - 5, '/', 5);
        CHECK_ERRNO(stat(page + 4096 - 5, &s), EFAULT);
        CHECK_ERRNO(read(zero, page + 4096, 1), EFAULT);
        CHECK_ERRNO(write(a[1], page + 4096, 1), EFAULT);
        CHECK_EQ(write(a[1], page + 4096 - 3, 3), 3);
        CHECK_EQ(read(a[0], page, 3), 3);
        CHECK_ERRNO(poll((struct pollfd *)(page + 4096), 1, 0), EFAULT);
    }
    // Read-only memory stays as it is.
    memset(page, 'r', 4096);
    CHECK_EQ(mprotect(page, 4096, PROT_READ), 0);
    CHECK_ERRNO(read(zero, page, 1), EFAULT);
    CHECK_EQ(page[0], 'r');
    CHECK_EQ(mprotect(page, 4096, PROT_READ | PROT_WRITE), 0);
    CHECK_EQ(read(zero, page, 1), 1);
    CHECK_EQ(page[0], 0);
    close(zero), close(a[0]), close(a[1]);
    munmap(page, 8192);
    ok("bad memory");
}

static void *identify(void *result)
{
    pid_t first = (pid_t)syscall(SYS_gettid);
    for (int i = 0; i < TIMES; i++) {
        CHECK_EQ(syscall(SYS_gettid), first);
        CHECK_EQ(getpid(), *(pid_t *)result);
        CHECK_EQ(syscall(SYS_getpid), *(pid_t *)result);
    }
    *(pid_t *)result = first;
    return NULL;
}

static void identities(void)
{
    pid_t self = getpid(), parent = getppid();
    for (int i = 0; i < TIMES; i++) {
        CHECK_EQ(syscall(SYS_getpid), self);
        CHECK_EQ(getppid(), parent);
        CHECK(getuid() == geteuid() && getgid() == getegid());
    }
    maybe_save();
    CHECK(syscall(SYS_getpid) == self && getppid() == parent);

    pid_t found[4];
    pthread_t threads[4];
    for (int i = 0; i < 4; i++) {
        found[i] = self;
        CHECK_EQ(pthread_create(&threads[i], NULL, identify, &found[i]), 0);
    }
    for (int i = 0; i < 4; i++) {
        CHECK_EQ(pthread_join(threads[i], NULL), 0);
        CHECK(found[i] != self);
        for (int k = 0; k < i; k++)
            CHECK(found[i] != found[k]);
    }

    // A child is another; its own child outlives it and has another parent then.
    int told[2], seen[2];
    char x;
    CHECK_EQ(pipe(told), 0);
    CHECK_EQ(pipe(seen), 0);
    pid_t pid = fork_checked();
    if (pid == 0) {
        pid_t child = (pid_t)syscall(SYS_getpid);
        CHECK(child != self && getppid() == self);
        if (fork_checked() == 0) {
            for (int i = 0; i < 200; i++)
                CHECK_EQ(getppid(), child);
            CHECK_EQ(write(seen[1], "x", 1), 1);
            while (getppid() == child)
                sleep_ms(1);
            CHECK(write(told[1], "x", 1) == 1);
            _exit(0);
        }
        CHECK_EQ(read(seen[0], &x, 1), 1);
        maybe_save();
        _exit(0);
    }
    reap(pid);
    CHECK_EQ(read(told[0], &x, 1), 1);
    close(told[0]), close(told[1]), close(seen[0]), close(seen[1]);

    if (geteuid() == 0) {
        pid = fork_checked();
        if (pid == 0) {
            for (int i = 0; i < TIMES; i++)
                CHECK(getuid() == 0 && getegid() == 0);
            CHECK_EQ(syscall(SYS_setresgid, 7, 8, 9), 0);
            CHECK_EQ(syscall(SYS_setresuid, 1000, 1001, 1002), 0);
            for (int i = 0; i < TIMES; i++)
                CHECK(getuid() == 1000 && geteuid() == 1001 && getgid() == 7 && getegid() == 8);
            maybe_save();
            CHECK(getuid() == 1000 && geteuid() == 1001);
            _exit(0);
        }
        reap(pid);
    }
    ok("identities");
}

static void interrupted(void)
{
    struct sigaction action = {.sa_sigaction = on_alarm, .sa_flags = SA_SIGINFO | SA_RESTART};
    CHECK_EQ(sigaction(SIGALRM, &action, NULL), 0);
    struct itimerval every = {{0, 700}, {0, 700}}, never = {{0, 0}, {0, 0}};
    CHECK_EQ(setitimer(ITIMER_REAL, &every, NULL), 0);
    char buffer[512];
    struct stat s;
    int a[2];
    CHECK_EQ(pipe(a), 0);
    for (int i = 0; alarms < 300; i++) {
        memset(buffer, 'x', sizeof buffer);
        int n = 1 + i % 400;
        CHECK_EQ(write(a[1], buffer, n), n);
        memset(buffer, 0, sizeof buffer);
        CHECK_EQ(read(a[0], buffer, sizeof buffer), n);
        CHECK(buffer[0] == 'x' && buffer[n - 1] == 'x' && buffer[n] == 0);
        CHECK_EQ(stat("/etc", &s), 0);
        CHECK(S_ISDIR(s.st_mode));
        CHECK(getppid() >= 0);
        if (i == 200)
            maybe_save();
    }
    CHECK_EQ(setitimer(ITIMER_REAL, &never, NULL), 0);
    CHECK_EQ(strays, 0);
    close(a[0]), close(a[1]);
    ok("interrupted");
}

int main(int argc, char **argv)
{
    if (argc > 1) {
        // After an exec: the same process, another program.
        for (int i = 0; i < TIMES; i++)
            CHECK_EQ(syscall(SYS_getpid), atoi(argv[1]));
        return 0;
    }
    read_maps();
    enter_scratch();
    for (int round = 0; round < 2; round++) {
        files();
        transfers();
        blocked();
        bad_memory();
        identities();
    }
    interrupted();
    pid_t pid = fork_checked();
    if (pid == 0) {
        char text[16];
        snprintf(text, sizeof text, "%d", (int)syscall(SYS_getpid));
        execl("/proc/self/exe", argv[0], text, NULL);
        _exit(9);
    }
    reap(pid);
    ok("exec");
    leave_scratch();
    return 0;
}
