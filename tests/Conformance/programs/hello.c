#include "conformance.h"

int main(int argc, char **argv)
{
    CHECK_EQ(argc, 1);
    CHECK(strstr(argv[0], "hello") != NULL);
    CHECK(getenv("PATH") != NULL);
    maybe_save();
    printf("hello\n");
    maybe_save();
    return 0;
}
