#include "conformance.h"
#include <setjmp.h>
#include <sys/mman.h>
#include <ucontext.h>

static char *page;
static volatile int faults, code;
static void *volatile address;
static sigjmp_buf escape;

static void repair(int signal, siginfo_t *info, void *context)
{
    (void)context;
    CHECK_EQ(signal, SIGSEGV);
    faults++;
    code = info->si_code;
    address = info->si_addr;
    maybe_save();
    CHECK_EQ(mprotect(page, 4096, PROT_READ | PROT_WRITE), 0);
}

static void jump(int signal, siginfo_t *info, void *context)
{
    (void)context;
    code = info->si_code;
    address = info->si_addr;
    siglongjmp(escape, signal);
}

static void skip(int signal, siginfo_t *info, void *context)
{
    (void)signal;
    (void)info;
    ((ucontext_t *)context)->uc_mcontext.gregs[REG_RIP] += 2;
    faults++;
    maybe_save();
}

int main(void)
{
    page = mmap(NULL, 8192, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    CHECK(page != MAP_FAILED);
    struct sigaction a = {.sa_sigaction = repair, .sa_flags = SA_SIGINFO};
    CHECK_EQ(sigaction(SIGSEGV, &a, NULL), 0);
    page[100] = 'x';
    CHECK_EQ(faults, 1);
    CHECK_EQ(code, SEGV_ACCERR);
    CHECK(address == page + 100);
    CHECK_EQ(page[100], 'x');
    ok("mprotect");

    a.sa_sigaction = jump;
    for (int s = 0; s < 3; s++)
        CHECK_EQ(sigaction((int[]){SIGSEGV, SIGBUS, SIGFPE}[s], &a, NULL), 0);
    int signal = sigsetjmp(escape, 1);
    if (signal == 0)
        *(volatile int *)16 = 1;
    CHECK_EQ(signal, SIGSEGV);
    CHECK_EQ(code, SEGV_MAPERR);
    CHECK(address == (void *)16);
    maybe_save();
    signal = sigsetjmp(escape, 1);
    if (signal == 0) {
        __asm__ volatile("xor %%edx, %%edx\n\tmov $1, %%eax\n\txor %%ecx, %%ecx\n\tidivl %%ecx" ::: "eax", "ecx", "edx", "memory");
    }
    CHECK_EQ(signal, SIGFPE);
    CHECK_EQ(code, FPE_INTDIV);
    enter_scratch();
    int fd = open("f", O_CREAT | O_RDWR, 0600);
    CHECK_EQ(ftruncate(fd, 4096), 0);
    volatile char *mapped = mmap(NULL, 8192, PROT_READ, MAP_SHARED, fd, 0);
    CHECK_EQ(mapped[4095], 0);
    signal = sigsetjmp(escape, 1);
    if (signal == 0)
        (void)mapped[4096];
    CHECK_EQ(signal, SIGBUS);
    CHECK_EQ(unlink("f"), 0);
    leave_scratch();
    ok("segv, fpe, bus");

    a.sa_sigaction = skip;
    CHECK_EQ(sigaction(SIGILL, &a, NULL), 0);
    faults = 0;
    __asm__ volatile("ud2" ::: "memory");
    CHECK_EQ(faults, 1);
    ok("ill");

    pid_t pid = fork_checked();
    if (pid == 0) {
        a.sa_handler = SIG_DFL;
        a.sa_flags = 0;
        sigaction(SIGSEGV, &a, NULL);
        *(volatile int *)16 = 1;
        _exit(0);
    }
    int status;
    CHECK_EQ(waitpid(pid, &status, 0), pid);
    CHECK(WIFSIGNALED(status));
    CHECK_EQ(WTERMSIG(status), SIGSEGV);
    ok("default");
    return 0;
}
