// A read from an empty pipe and a write to a full one wait across a save.
#include "conformance.h"

int main(void)
{
    int p[2];
    char b[100000];
    CHECK_EQ(pipe(p), 0);
    pid_t pid = fork_checked();
    if (pid == 0) {
        sleep_ms(50);
        maybe_save();
        CHECK_EQ(write(p[1], "late", 4), 4);
        maybe_save();
        _exit(0);
    }
    CHECK_EQ(read(p[0], b, sizeof b), 4);
    CHECK_EQ(memcmp(b, "late", 4), 0);
    reap(pid);
    ok("reader");

    pid = fork_checked();
    if (pid == 0) {
        close(p[1]);
        sleep_ms(50);
        maybe_save();
        unsigned sum = 0, total = 0;
        for (ssize_t n; (n = read(p[0], b, 7000)) > 0;) {
            for (ssize_t i = 0; i < n; i++)
                sum += (unsigned char)b[i] * ((total + (unsigned)i) % 251);
            total += (unsigned)n;
            if (total % 70000 == 0)
                maybe_save();
        }
        unsigned expected = 0;
        for (unsigned i = 0; i < sizeof b; i++)
            expected += (i * 7 % 256) * (i % 251);
        CHECK_EQ(total, sizeof b);
        CHECK_EQ(sum, expected);
        _exit(0);
    }
    for (unsigned i = 0; i < sizeof b; i++)
        b[i] = (char)(i * 7);
    CHECK_EQ(write(p[1], b, sizeof b), sizeof b);
    CHECK_EQ(close(p[1]), 0);
    reap(pid);
    ok("writer");
    return 0;
}
