#include "conformance.h"
#include <sys/mman.h>

static void fill(char *p, size_t length, int seed)
{
    for (size_t i = 0; i < length; i++)
        p[i] = (char)(i * 31 + (size_t)seed + i / 4096);
}

static void check(const char *p, size_t length, int seed)
{
    for (size_t i = 0; i < length; i++)
        if (p[i] != (char)(i * 31 + (size_t)seed + i / 4096))
            CHECK_EQ(i, -1);
}

int main(void)
{
    const size_t size = 64 * 4096;
    char *p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    CHECK(p != MAP_FAILED);
    fill(p, size, 1);
    maybe_save();
    check(p, size, 1);
    CHECK_EQ(munmap(p + 8 * 4096, 4096), 0);
    CHECK_ERRNO(msync(p + 8 * 4096, 4096, MS_ASYNC), ENOMEM);
    CHECK_ERRNO(mprotect(p + 8 * 4096, 4096, PROT_READ), ENOMEM);
    check(p, 8 * 4096, 1);
    char *q = mmap(p + 8 * 4096, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
    CHECK(q == p + 8 * 4096);
    CHECK_EQ(q[0], 0);
    CHECK_ERRNO((intptr_t)mmap(p, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0), EEXIST);
    CHECK(mmap(p, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) == p);
    CHECK_EQ(p[5], 0);
    CHECK_ERRNO((intptr_t)mmap(NULL, 0, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0), EINVAL);
    CHECK_ERRNO((intptr_t)mmap(NULL, 4096, PROT_READ, MAP_PRIVATE, 999, 0), EBADF);
    CHECK_EQ(munmap(p, size), 0);
    ok("map and unmap");

    p = mmap(NULL, 16 * 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    fill(p, 16 * 4096, 2);
    p = mremap(p, 16 * 4096, 1024 * 4096, MREMAP_MAYMOVE);
    CHECK(p != MAP_FAILED);
    check(p, 16 * 4096, 2);
    CHECK_EQ(p[1024 * 4096 - 1], 0);
    maybe_save();
    p[1024 * 4096 - 1] = 1;
    check(p, 16 * 4096, 2);
    CHECK(mremap(p, 1024 * 4096, 4 * 4096, 0) == p);
    char *target = mmap(NULL, 4 * 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    CHECK(mremap(p, 4 * 4096, 4 * 4096, MREMAP_MAYMOVE | MREMAP_FIXED, target) == target);
    check(target, 4 * 4096, 2);
    maybe_save();
    check(target, 4 * 4096, 2);
    ok("remap");

    CHECK_EQ(madvise(target, 4096, MADV_DONTNEED), 0);
    CHECK_EQ(target[1], 0);
    CHECK_EQ(mprotect(target, 4096, PROT_NONE), 0);
    maybe_save();
    int pipe_ends[2];
    CHECK_EQ(pipe(pipe_ends), 0);
    CHECK_ERRNO(write(pipe_ends[1], target, 1), EFAULT);
    CHECK_EQ(mprotect(target, 4096, PROT_READ | PROT_WRITE), 0);
    target[0] = 7;
    ok("protect and advise");

    unsigned char code[] = {0xb8, 42, 0, 0, 0, 0xc3};
    char *x = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    memcpy(x, code, sizeof code);
    CHECK_EQ(mprotect(x, 4096, PROT_READ | PROT_EXEC), 0);
    maybe_save();
    int (*function)(void);
    memcpy(&function, &x, sizeof function);
    CHECK_EQ(function(), 42);
    ok("execute");
    return 0;
}
