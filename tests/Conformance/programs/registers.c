// Everything a thread's context holds lives through a save: integer, flags, x87, SSE and AVX registers, MXCSR, FS base.
#include "conformance.h"
#include <immintrin.h>
#include <fenv.h>
#include <sys/auxv.h>

static __thread int tls = 1234;

static void integers(void)
{
    uint64_t r[8];
    __asm__ volatile(
        "mov $0x1111111111111111, %%rbx\n\tmov $0x2222222222222222, %%r12\n\tmov $0x3333333333333333, %%r13\n\t"
        "mov $0x4444444444444444, %%r14\n\tmov $0x5555555555555555, %%r15\n\tmov $0x6666666666666666, %%r8\n\t"
        "mov $0x7777777777777777, %%rdi\n\tmov $0x8888888888888888, %%rsi\n\tmov $1000, %%eax\n\tsyscall\n\t"
        "mov %%rbx, 0(%0)\n\tmov %%r12, 8(%0)\n\tmov %%r13, 16(%0)\n\tmov %%r14, 24(%0)\n\t"
        "mov %%r15, 32(%0)\n\tmov %%r8, 40(%0)\n\tmov %%rdi, 48(%0)\n\tmov %%rsi, 56(%0)\n\t"
        : : "d"(r) : "rax", "rbx", "rcx", "r11", "r12", "r13", "r14", "r15", "r8", "rdi", "rsi", "memory");
    for (uint64_t i = 0; i < 8; i++)
        CHECK_EQ(r[i], (i + 1) * 0x1111111111111111);
}

static void sse(void)
{
    double in[2] = {1.25, -3.5}, out[2];
    __asm__ volatile("movupd (%1), %%xmm5\n\tmovupd (%1), %%xmm15\n\tmov $1000, %%eax\n\tsyscall\n\taddpd %%xmm15, %%xmm5\n\tmovupd %%xmm5, (%0)"
                     : : "d"(out), "b"(in) : "rax", "rcx", "r11", "xmm5", "xmm15", "memory");
    CHECK(out[0] == 2.5 && out[1] == -7);
}

static void avx(void)
{
    float in[8] = {1, 2, 3, 4, 5, 6, 7, 8}, out[8] = {0};
    __asm__ volatile("vmovups (%1), %%ymm7\n\tmov $1000, %%eax\n\tsyscall\n\tvmovups %%ymm7, (%0)\n\tvzeroupper"
                     : : "d"(out), "b"(in) : "rax", "rcx", "r11", "xmm7", "memory");
    CHECK_EQ(memcmp(in, out, sizeof in), 0);
}

static void x87(void)
{
    double out;
    __asm__ volatile("fldpi\n\tfld1\n\tmov $1000, %%eax\n\tsyscall\n\tfaddp\n\tfstpl %0" : "=m"(out) : : "rax", "rcx", "r11", "memory");
    CHECK(out > 4.14159 && out < 4.14160);
}

int main(void)
{
    integers();
    ok("integer registers");
    sse();
    x87();
    if (__builtin_cpu_supports("avx"))
        avx();
    ok("vector registers");
    CHECK_EQ(fesetround(FE_UPWARD), 0);
    unsigned mxcsr = _mm_getcsr();
    maybe_save();
    CHECK_EQ(fegetround(), FE_UPWARD);
    CHECK_EQ(_mm_getcsr(), mxcsr);
    fesetround(FE_TONEAREST);
    tls++;
    maybe_save();
    CHECK_EQ(tls, 1235);
    CHECK(getauxval(AT_PAGESZ) == 4096);
    CHECK(getauxval(AT_RANDOM) != 0);
    ok("control state");
    return 0;
}
