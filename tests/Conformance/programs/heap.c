#include "conformance.h"

int main(void)
{
    char *start = sbrk(0);
    CHECK(sbrk(100000) == start);
    memset(start, 'h', 100000);
    maybe_save();
    CHECK_EQ(start[99999], 'h');
    CHECK((char *)sbrk(-50000) == start + 100000);
    CHECK((char *)sbrk(0) == start + 50000);
    CHECK((char *)sbrk(50000) == start + 50000);
    CHECK_EQ(start[99999], 0);
    ok("brk");

    enum { count = 2000 };
    static unsigned char *blocks[count];
    static size_t sizes[count];
    unsigned seed = 1;
    for (int i = 0; i < 3 * count; i++) {
        seed = seed * 1103515245 + 12345;
        int n = (int)(seed >> 8) % count;
        if (n < 0)
            n = -n;
        for (size_t k = 0; k < sizes[n]; k++)
            CHECK_EQ(blocks[n][k], (unsigned char)(sizes[n] + k));
        free(blocks[n]);
        sizes[n] = (seed >> 4) % (i % 100 == 0 ? 300000 : 700) + 1;
        blocks[n] = malloc(sizes[n]);
        for (size_t k = 0; k < sizes[n]; k++)
            blocks[n][k] = (unsigned char)(sizes[n] + k);
        if (i % count == count / 2)
            maybe_save();
    }
    for (int n = 0; n < count; n++)
        for (size_t k = 0; k < sizes[n]; k++)
            CHECK_EQ(blocks[n][k], (unsigned char)(sizes[n] + k));
    ok("malloc");
    return 0;
}
