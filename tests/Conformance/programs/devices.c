#include "conformance.h"
#include <sys/random.h>

int main(void)
{
    char b[64], zero[64] = {0};
    int null = open("/dev/null", O_RDWR), z = open("/dev/zero", O_RDWR), full = open("/dev/full", O_RDWR), random = open("/dev/urandom", O_RDONLY);
    CHECK(null >= 0 && z >= 0 && full >= 0 && random >= 0);
    maybe_save();
    CHECK_EQ(write(null, b, 64), 64);
    CHECK_EQ(read(null, b, 64), 0);
    memset(b, 1, 64);
    CHECK_EQ(read(z, b, 64), 64);
    CHECK_EQ(memcmp(b, zero, 64), 0);
    CHECK_ERRNO(write(full, b, 1), ENOSPC);
    CHECK_EQ(read(random, b, 64), 64);
    CHECK(memcmp(b, zero, 64) != 0);
    CHECK_EQ(getrandom(b, 32, 0), 32);
    CHECK(memcmp(b, b + 32, 32) != 0);
    struct stat st;
    CHECK_EQ(fstat(null, &st), 0);
    CHECK(S_ISCHR(st.st_mode));
    CHECK_EQ(st.st_rdev, 0x103);
    CHECK_EQ(isatty(null), 0);
    ok("devices");
    return 0;
}
