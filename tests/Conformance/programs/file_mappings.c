#include "conformance.h"
#include <sys/mman.h>

int main(void)
{
    char b[8];
    enter_scratch();
    int fd = open("f", O_CREAT | O_RDWR, 0600);
    CHECK_EQ(ftruncate(fd, 3 * 4096), 0);
    CHECK_EQ(pwrite(fd, "first", 5, 0), 5);
    CHECK_EQ(pwrite(fd, "second", 6, 4096), 6);
    char *shared = mmap(NULL, 3 * 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    char *private = mmap(NULL, 2 * 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 4096);
    CHECK(shared != MAP_FAILED && private != MAP_FAILED);
    CHECK_EQ(memcmp(shared, "first", 5), 0);
    CHECK_EQ(memcmp(private, "second", 6), 0);
    shared[1] = 'I';
    private[0] = 'S';
    maybe_save();
    CHECK_EQ(pread(fd, b, 5, 0), 5);
    CHECK_EQ(memcmp(b, "fIrst", 5), 0);
    CHECK_EQ(shared[4096], 's');
    CHECK_EQ(private[0], 'S');
    CHECK_EQ(pwrite(fd, "w", 1, 2), 1);
    CHECK_EQ(shared[2], 'w');
    CHECK_EQ(pwrite(fd, "z", 1, 2 * 4096), 1);
    CHECK_EQ(shared[2 * 4096], 'z');
    ok("shared and private");

    pid_t pid = fork_checked();
    if (pid == 0) {
        shared[3] = 'C';
        private[1] = 'C';
        maybe_save();
        _exit(0);
    }
    reap(pid);
    CHECK_EQ(shared[3], 'C');
    CHECK_EQ(private[1], 'e');
    CHECK_EQ(msync(shared, 4096, MS_SYNC), 0);
    CHECK_EQ(close(fd), 0);
    CHECK_EQ(unlink("f"), 0);
    maybe_save();
    shared[0] = 'F';
    CHECK_EQ(memcmp(shared, "FIwCt", 5), 0);
    CHECK_EQ(munmap(shared, 3 * 4096), 0);
    CHECK_EQ(private[0], 'S');
    ok("fork and delete");

    int program = open("/proc/self/exe", O_RDONLY);
    unsigned char *text = mmap(NULL, 4096, PROT_READ, MAP_PRIVATE, program, 0);
    CHECK(text != MAP_FAILED);
    maybe_save();
    CHECK_EQ(memcmp(text, "\177ELF", 4), 0);
    CHECK_ERRNO((intptr_t)mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, program, 0), EACCES);
    leave_scratch();
    ok("program file");
    return 0;
}
