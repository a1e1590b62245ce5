/* Times single system calls and hand-overs from inside: the same binary runs natively and in the sandbox.
   usage: micro [NAME]...   prints "NAME MEDIAN_NS" for each, the median of 9 rounds. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <linux/futex.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define ROUNDS 9

static int64_t now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1000000000LL + t.tv_nsec;
}

static void getppid_loop(int n) { while (n--) syscall(SYS_getppid); }

static void read_zero(int n)
{
    int fd = open("/dev/zero", O_RDONLY);
    char c;
    while (n--) if (read(fd, &c, 1) != 1) abort();
    close(fd);
}

static void stat_file(int n)
{
    struct stat s;
    while (n--) if (stat("/etc/passwd", &s)) abort();
}

static void open_close(int n) { while (n--) close(open("/etc/passwd", O_RDONLY)); }

static void map_touch(int n)
{
    while (n--) {
        char *p = mmap(0, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        *p = 1;
        munmap(p, 4096);
    }
}

static void fork_wait(int n)
{
    while (n--) {
        pid_t p = fork();
        if (!p) _exit(0);
        if (waitpid(p, 0, 0) != p) abort();
    }
}

static void spawn_wait(int n)
{
    while (n--) {
        pid_t p = vfork();
        if (!p) { execl("/bin/busybox", "busybox", "true", (char *)0); _exit(127); }
        int s;
        if (waitpid(p, &s, 0) != p || s) abort();
    }
}

static void pipe_pingpong(int n)
{
    int a[2], b[2];
    char c = 0;
    if (pipe(a) || pipe(b)) abort();
    pid_t p = fork();
    if (!p) {
        for (int i = 0; i < n; i++) if (read(a[0], &c, 1) != 1 || write(b[1], &c, 1) != 1) _exit(1);
        _exit(0);
    }
    for (int i = 0; i < n; i++) if (write(a[1], &c, 1) != 1 || read(b[0], &c, 1) != 1) abort();
    waitpid(p, 0, 0);
    close(a[0]); close(a[1]); close(b[0]); close(b[1]);
}

static int turn, rounds;

static void pass(int mine)
{
    for (int i = 0; i < rounds; i++) {
        while (__atomic_load_n(&turn, __ATOMIC_ACQUIRE) != mine) syscall(SYS_futex, &turn, FUTEX_WAIT_PRIVATE, !mine, 0, 0, 0);
        __atomic_store_n(&turn, !mine, __ATOMIC_RELEASE);
        syscall(SYS_futex, &turn, FUTEX_WAKE_PRIVATE, 1, 0, 0, 0);
    }
}

static void *other(void *unused) { pass(1); return unused; }

static void futex_pingpong(int n)
{
    pthread_t t;
    turn = 0;
    rounds = n;
    pthread_create(&t, 0, other, 0);
    pass(0);
    pthread_join(t, 0);
}

static const struct { const char *name; void (*run)(int); int n; } cases[] = {
    {"getppid", getppid_loop, 50000}, {"read-zero", read_zero, 20000}, {"stat", stat_file, 10000}, {"open-close", open_close, 5000},
    {"mmap-touch-munmap", map_touch, 5000}, {"fork-wait", fork_wait, 200}, {"vfork-exec-wait", spawn_wait, 50}, {"pipe-pingpong", pipe_pingpong, 3000},
    {"futex-pingpong", futex_pingpong, 3000},
};

static int ascending(const void *a, const void *b) { return *(int64_t *)a < *(int64_t *)b ? -1 : *(int64_t *)a > *(int64_t *)b; }

int main(int argc, char **argv)
{
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        int wanted = argc < 2;
        for (int j = 1; j < argc; j++) wanted |= !strcmp(argv[j], cases[i].name);
        if (!wanted) continue;
        int64_t t[ROUNDS];
        cases[i].run(cases[i].n / 10 + 1);
        for (int r = 0; r < ROUNDS; r++) {
            int64_t t0 = now();
            cases[i].run(cases[i].n);
            t[r] = (now() - t0) / cases[i].n;
        }
        qsort(t, ROUNDS, sizeof *t, ascending);
        printf("%s %lld\n", cases[i].name, (long long)t[ROUNDS / 2]);
        fflush(stdout);
    }
    return 0;
}
