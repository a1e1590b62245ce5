#include "conformance.h"
#include <sys/mman.h>
#include <sys/resource.h>

#ifndef MADV_WIPEONFORK
#define MADV_WIPEONFORK 18
#endif

static long locked_kb(void)
{
    char line[256];
    long kb = -1;
    FILE *f = fopen("/proc/self/status", "r");
    CHECK(f != NULL);
    while (fgets(line, sizeof line, f) != NULL)
        sscanf(line, "VmLck: %ld", &kb);
    CHECK_EQ(fclose(f), 0);
    return kb;
}

int main(void)
{
    const size_t page = 4096, size = 16 * page;
    char *p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    CHECK(p != MAP_FAILED);
    unsigned char resident[16];
    p[0] = p[5 * page] = 1;
    CHECK_EQ(mincore(p, size, resident), 0);
    CHECK(resident[0] & 1);
    CHECK(resident[5] & 1);
    CHECK(!(resident[9] & 1));
    ok("mincore");

    long before = locked_kb();
    CHECK_EQ(mlock(p, 4 * page), 0);
    CHECK_EQ(locked_kb() - before, 16);
    CHECK_ERRNO(madvise(p, page, MADV_DONTNEED), EINVAL);
    CHECK_ERRNO(msync(p, page, MS_INVALIDATE), EBUSY);
    maybe_save();
    CHECK_EQ(locked_kb() - before, 16);
    CHECK_EQ(munlock(p, 2 * page), 0);
    CHECK_EQ(locked_kb() - before, 8);
    CHECK_EQ(munlockall(), 0);
    CHECK_EQ(locked_kb(), 0);
    ok("locks");

    strcpy(p, "parent");
    strcpy(p + page, "parent");
    CHECK_EQ(madvise(p, page, MADV_WIPEONFORK), 0);
    CHECK_EQ(madvise(p + 2 * page, page, MADV_DONTFORK), 0);
    maybe_save();
    pid_t pid = fork_checked();
    if (pid == 0) {
        CHECK_EQ(p[0], 0);
        CHECK(strcmp(p + page, "parent") == 0);
        CHECK_ERRNO(mprotect(p + 2 * page, page, PROT_READ), ENOMEM);
        _exit(0);
    }
    reap(pid);
    CHECK(strcmp(p, "parent") == 0);
    ok("fork advice");

    char *moved = mremap(p, page, page, MREMAP_MAYMOVE | 4, NULL);
    CHECK(moved != MAP_FAILED && moved != p);
    CHECK(strcmp(moved, "parent") == 0);
    CHECK_EQ(p[0], 0);
    maybe_save();
    CHECK(strcmp(moved, "parent") == 0);
    ok("move");

    int fd = (int)syscall(SYS_memfd_create, "advice", 0);
    CHECK(fd >= 0);
    CHECK_EQ(ftruncate(fd, (off_t)size), 0);
    char *shared = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    CHECK(shared != MAP_FAILED);
    memset(shared, 7, size);
    CHECK_EQ(madvise(shared + page, page, MADV_REMOVE), 0);
    CHECK_EQ(shared[page], 0);
    CHECK_EQ(shared[2 * page], 7);
    ok("remove");

    volatile char *stack = mmap(NULL, 64 * page, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    CHECK(stack != MAP_FAILED);
    CHECK_EQ(munmap((void *)stack, 64 * page), 0);
    volatile char *top = mmap((void *)(stack + 60 * page), 4 * page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED | MAP_GROWSDOWN, -1, 0);
    CHECK(top != MAP_FAILED);
    top[-1] = 5;
    maybe_save();
    CHECK_EQ(top[-1], 5);
    ok("grows down");
    // Advice for a range with a hole in it is taken where there is memory, and the hole is told (madvise(2)).
    char *h = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    CHECK(h != MAP_FAILED);
    memset(h, 7, size);
    CHECK_EQ(munmap(h + 4 * page, page), 0);
    CHECK_ERRNO(madvise(h, size, MADV_NOHUGEPAGE), ENOMEM);
    CHECK_ERRNO(madvise(h, size, MADV_DONTNEED), ENOMEM);
    CHECK_EQ(h[0], 0);
    CHECK_EQ(h[size - 1], 0);
    CHECK_EQ(munmap(h, size), 0);
    ok("advice with a hole");
    return 0;
}
