#include "conformance.h"
#include <sys/mman.h>

int main(void)
{
    int *shared = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    CHECK(shared != MAP_FAILED);
    shared[0] = 1;
    pid_t pids[4];
    for (int i = 0; i < 4; i++) {
        pids[i] = fork_checked();
        if (pids[i] == 0) {
            for (int n = 0; n < 1000; n++)
                __atomic_add_fetch(&shared[1], 1, __ATOMIC_SEQ_CST);
            if (i == 0)
                maybe_save();
            shared[10 + i] = i * i;
            _exit(0);
        }
    }
    for (int i = 0; i < 4; i++)
        reap(pids[i]);
    maybe_save();
    CHECK_EQ(shared[0], 1);
    CHECK_EQ(shared[1], 4000);
    CHECK_EQ(shared[13], 9);
    ok("anonymous");

    int fd = memfd_create("memory", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    CHECK(fd >= 0);
    CHECK_EQ(ftruncate(fd, 8192), 0);
    char *a = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0), *b = mmap(NULL, 4096, PROT_READ, MAP_SHARED, fd, 4096), c;
    a[4096] = 'm';
    maybe_save();
    CHECK_EQ(b[0], 'm');
    a[4097] = 'n';
    CHECK_EQ(b[1], 'n');
    CHECK_EQ(pread(fd, &c, 1, 4097), 1);
    CHECK_EQ(c, 'n');
    CHECK_EQ(fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW), 0);
    maybe_save();
    CHECK_EQ(fcntl(fd, F_GET_SEALS), F_SEAL_SHRINK | F_SEAL_GROW);
    CHECK_ERRNO(ftruncate(fd, 4096), EPERM);
    CHECK_ERRNO(ftruncate(fd, 16384), EPERM);
    // Nobody may be able to write when it is sealed against that; only then are holes refused too.
    CHECK_ERRNO(fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE), EBUSY);
    CHECK_EQ(munmap(a, 8192), 0);
    CHECK_ERRNO(fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE), EBUSY);
    CHECK_EQ(munmap(b, 4096), 0);
    CHECK_EQ(fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE), 0);
    CHECK_ERRNO(write(fd, "x", 1), EPERM);
    CHECK_EQ(fallocate(fd, 0, 0, 8192), 0);
    CHECK_ERRNO(fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, 4096), EPERM);
    ok("memfd");
    return 0;
}
