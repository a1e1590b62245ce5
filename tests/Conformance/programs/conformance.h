// What every conformance program uses. A program checks itself, prints the same lines on every run, and exits with 0 on success.
#ifndef CONFORMANCE_H
#define CONFORMANCE_H

#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define CHECK(condition)                                                                              \
    do {                                                                                              \
        if (!(condition)) {                                                                           \
            int error_ = errno;                                                                       \
            fprintf(stderr, "%s:%d: %s (errno %d: %s)\n", __FILE__, __LINE__, #condition, error_,     \
                    strerror(error_));                                                                \
            _exit(1);                                                                                 \
        }                                                                                             \
    } while (0)

#define CHECK_EQ(actual, expected)                                                                    \
    do {                                                                                              \
        long long actual_ = (long long)(actual), expected_ = (long long)(expected);                   \
        if (actual_ != expected_) {                                                                   \
            int error_ = errno;                                                                       \
            fprintf(stderr, "%s:%d: %s is %lld, expected %lld (errno %d: %s)\n", __FILE__, __LINE__,  \
                    #actual, actual_, expected_, error_, strerror(error_));                           \
            _exit(1);                                                                                 \
        }                                                                                             \
    } while (0)

// The call must fail, with this error.
#define CHECK_ERRNO(call, error)                                                                      \
    do {                                                                                              \
        errno = 0;                                                                                    \
        CHECK_EQ((long long)(call), -1);                                                              \
        CHECK_EQ(errno, error);                                                                       \
    } while (0)

// A call that no kernel has. Natively it fails; the test run may checkpoint and restore the sandbox here.
static inline void maybe_save(void)
{
    int before = errno;
    syscall(1000);
    errno = before;
}

static inline void ok(const char *what)
{
    printf("ok %s\n", what);
    fflush(stdout);
}

static inline int64_t now_ns(void)
{
    struct timespec t;
    CHECK_EQ(clock_gettime(CLOCK_MONOTONIC, &t), 0);
    return t.tv_sec * 1000000000LL + t.tv_nsec;
}

static inline void sleep_ms(int ms)
{
    struct timespec t = {ms / 1000, ms % 1000 * 1000000L};
    while (nanosleep(&t, &t) != 0)
        ;
}

// A new directory, which becomes the working directory.
static inline void enter_scratch(void)
{
    static char path[] = "/tmp/conformance-XXXXXX";
    CHECK(mkdtemp(path) != NULL);
    CHECK_EQ(chdir(path), 0);
}

// Removes the working directory, which must be empty.
static inline void leave_scratch(void)
{
    char path[4096];
    CHECK(getcwd(path, sizeof path) != NULL);
    CHECK_EQ(chdir("/"), 0);
    CHECK_EQ(rmdir(path), 0);
}

static inline void write_file(const char *path, const char *text)
{
    int fd = open(path, O_CREAT | O_TRUNC | O_WRONLY, 0644);
    CHECK(fd >= 0);
    CHECK_EQ(write(fd, text, strlen(text)), strlen(text));
    CHECK_EQ(close(fd), 0);
}

static inline void check_file(const char *path, const char *text)
{
    char buffer[4096];
    int fd = open(path, O_RDONLY);
    CHECK(fd >= 0);
    ssize_t n = read(fd, buffer, sizeof buffer);
    CHECK_EQ(n, strlen(text));
    CHECK_EQ(memcmp(buffer, text, (size_t)n), 0);
    CHECK_EQ(close(fd), 0);
}

static inline void reap(pid_t pid)
{
    int status;
    CHECK_EQ(waitpid(pid, &status, 0), pid);
    CHECK(WIFEXITED(status));
    CHECK_EQ(WEXITSTATUS(status), 0);
}

// Waits until a thread sleeps in a call; it must not have slept between saying its id and that call. A test that sleeps for a time instead fails on a busy machine.
static inline void await_blocked(pid_t pid, pid_t tid)
{
    char path[64], text[512], *state;
    snprintf(path, sizeof path, "/proc/%d/task/%d/stat", pid, tid);
    for (int i = 0;; i++) {
        int fd = open(path, O_RDONLY);
        CHECK(fd >= 0);
        ssize_t n = read(fd, text, sizeof text - 1);
        CHECK(n > 0);
        CHECK_EQ(close(fd), 0);
        text[n] = 0;
        state = strrchr(text, ')');
        CHECK(state != NULL);
        if (state[2] == 'S')
            return;
        CHECK(i < 5000);
        sleep_ms(1);
    }
}

static inline pid_t fork_checked(void)
{
    fflush(stdout);
    pid_t pid = fork();
    CHECK(pid >= 0);
    return pid;
}

#endif
