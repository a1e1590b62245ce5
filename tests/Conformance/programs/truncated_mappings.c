// What is left of mappings when their file is truncated below them: nothing, private copies included.
#include "conformance.h"
#include <setjmp.h>
#include <sys/mman.h>

enum { PAGE = 4096 };
static sigjmp_buf back;

static void on_bus(int signal)
{
    siglongjmp(back, signal);
}

// The signal that touching a byte raises; 0 for none.
static int touch(volatile char *at)
{
    int got = sigsetjmp(back, 1);
    if (got == 0)
        *at = 't';
    return got;
}

static char *map(int fd, int protection, int flags)
{
    char *at = mmap(NULL, 4 * PAGE, protection, flags, fd, 0);
    CHECK(at != MAP_FAILED);
    return at;
}

int main(void)
{
    struct sigaction action = {.sa_handler = on_bus};
    CHECK_EQ(sigaction(SIGBUS, &action, NULL), 0);
    CHECK_EQ(sigaction(SIGSEGV, &action, NULL), 0);
    enter_scratch();
    int fd = open("f", O_CREAT | O_RDWR, 0600);
    CHECK_EQ(unlink("f"), 0);
    CHECK_EQ(ftruncate(fd, 4 * PAGE), 0);
    char *shared = map(fd, PROT_READ | PROT_WRITE, MAP_SHARED), *private = map(fd, PROT_READ | PROT_WRITE, MAP_PRIVATE);
    for (int i = 0; i < 4; i++) {
        CHECK_EQ(touch(shared + i * PAGE), 0);
        CHECK_EQ(touch(private + i * PAGE), 0);
        private[i * PAGE + 100] = 'p';
    }

    maybe_save();
    CHECK_EQ(ftruncate(fd, PAGE + 50), 0);
    CHECK_EQ(private[PAGE + 100], 'p'); // the last page stays, with what was written behind the end
    for (int i = 0; i < 4; i++) {
        CHECK_EQ(touch(shared + i * PAGE), i < 2 ? 0 : SIGBUS);
        CHECK_EQ(touch(private + i * PAGE), i < 2 ? 0 : SIGBUS);
    }
    maybe_save();
    CHECK_EQ(touch(private + 3 * PAGE), SIGBUS);
    ok("cut");

    CHECK_EQ(ftruncate(fd, 4 * PAGE), 0);
    maybe_save();
    CHECK_EQ(private[2 * PAGE + 100], 0);
    CHECK_EQ(shared[2 * PAGE], 0);
    CHECK_EQ(touch(shared + 3 * PAGE), 0);
    CHECK_EQ(private[3 * PAGE], 't');
    ok("longer again");

    // Another process's pages go as well: one that waits, and one that runs.
    for (int waits = 0; waits < 2; waits++) {
        int begin[2], go[2];
        CHECK_EQ(pipe(begin), 0);
        CHECK_EQ(pipe(go), 0);
        volatile int *told = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
        CHECK_EQ(touch(private + 3 * PAGE), 0);
        pid_t pid = fork_checked();
        if (pid == 0) {
            char b;
            CHECK_EQ(touch(private + 2 * PAGE), 0);
            CHECK_EQ(write(begin[1], "b", 1), 1);
            if (waits)
                CHECK_EQ(read(go[0], &b, 1), 1);
            else
                while (!*told)
                    ;
            for (int i = 0; i < 4; i++) {
                CHECK_EQ(touch(private + i * PAGE), i < 2 ? 0 : SIGBUS);
                CHECK_EQ(touch(shared + i * PAGE), i < 2 ? 0 : SIGBUS);
            }
            _exit(0);
        }
        char b;
        CHECK_EQ(read(begin[0], &b, 1), 1);
        if (waits)
            sleep_ms(20);
        maybe_save();
        CHECK_EQ(ftruncate(fd, 2 * PAGE), 0);
        *told = 1;
        CHECK_EQ(write(go[1], "g", 1), 1);
        reap(pid);
        CHECK_EQ(touch(private + 3 * PAGE), SIGBUS);
        CHECK_EQ(ftruncate(fd, 4 * PAGE), 0);
        CHECK_EQ(touch(private + 3 * PAGE), 0);
    }
    ok("other processes");

    // Protection says nothing of where the file ends.
    CHECK_EQ(ftruncate(fd, PAGE), 0);
    char *fresh = map(fd, PROT_NONE, MAP_PRIVATE);
    CHECK_EQ(mprotect(fresh, 4 * PAGE, PROT_READ | PROT_WRITE), 0);
    CHECK_EQ(touch(fresh), 0);
    CHECK_EQ(touch(fresh + PAGE), SIGBUS);
    maybe_save();
    CHECK_EQ(touch(fresh + PAGE), SIGBUS);
    CHECK_EQ(mprotect(private, 4 * PAGE, PROT_READ), 0);
    CHECK_EQ(mprotect(private, 4 * PAGE, PROT_READ | PROT_WRITE), 0);
    CHECK_EQ(touch(private + PAGE), SIGBUS);
    CHECK_EQ(mprotect(private, 4 * PAGE, PROT_NONE), 0);
    CHECK_EQ(touch(private + PAGE), SIGSEGV);
    ok("protection");
    leave_scratch();
    return 0;
}
