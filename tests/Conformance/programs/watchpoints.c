// Debug registers of a tracee (POKEUSER of u_debugreg): a watchpoint, a breakpoint, and both with single steps.
#include "conformance.h"
#include <stddef.h>
#include <sys/ptrace.h>
#include <sys/user.h>

static volatile int watched, other;

static __attribute__((noinline)) void marked(void)
{
    other++;
}

static void poke(pid_t pid, int index, unsigned long value)
{
    CHECK_EQ(ptrace(PTRACE_POKEUSER, pid, offsetof(struct user, u_debugreg) + index * sizeof(long), value), 0);
}

static unsigned long peek(pid_t pid, int index)
{
    return ptrace(PTRACE_PEEKUSER, pid, offsetof(struct user, u_debugreg) + index * sizeof(long), 0);
}

static siginfo_t await_trap(pid_t pid)
{
    int status;
    siginfo_t info;
    CHECK_EQ(waitpid(pid, &status, 0), pid);
    CHECK(WIFSTOPPED(status));
    CHECK_EQ(WSTOPSIG(status), SIGTRAP);
    CHECK_EQ(ptrace(PTRACE_GETSIGINFO, pid, 0, &info), 0);
    return info;
}

static int value_of(pid_t pid)
{
    return (int)ptrace(PTRACE_PEEKDATA, pid, &watched, 0);
}

int main(void)
{
    int status;
    pid_t pid = fork_checked();
    if (pid == 0) {
        CHECK_EQ(ptrace(PTRACE_TRACEME, 0, 0, 0), 0);
        raise(SIGSTOP);
        for (int i = 0; i < 50; i++)
            other += i;
        watched = 1;
        for (int i = 0; i < 50; i++)
            other += i;
        sleep_ms(1);
        watched = 2;
        marked();
        watched = 3;
        _exit(7);
    }
    CHECK_EQ(waitpid(pid, &status, 0), pid);
    errno = 0;
    CHECK_EQ(ptrace(PTRACE_POKEUSER, pid, offsetof(struct user, u_debugreg), ~0ul), -1);
    CHECK_EQ(errno, EINVAL);
    poke(pid, 0, (unsigned long)&watched);
    poke(pid, 7, 1 | 0xdul << 16); // four bytes, written
    CHECK_EQ(peek(pid, 0), (unsigned long)&watched);
    for (int i = 1; i <= 2; i++) {
        maybe_save();
        CHECK_EQ(ptrace(PTRACE_CONT, pid, 0, 0), 0);
        CHECK_EQ(await_trap(pid).si_code, 4);
        CHECK_EQ(value_of(pid), i);
        CHECK_EQ(peek(pid, 6) & 15, 1);
        poke(pid, 6, 0);
    }
    ok("watchpoint");

    poke(pid, 7, 0);
    poke(pid, 1, (unsigned long)marked);
    poke(pid, 7, 4);
    maybe_save();
    CHECK_EQ(ptrace(PTRACE_CONT, pid, 0, 0), 0);
    await_trap(pid);
    CHECK_EQ(peek(pid, 6) & 15, 2);
    struct user_regs_struct registers;
    CHECK_EQ(ptrace(PTRACE_GETREGS, pid, 0, &registers), 0);
    CHECK_EQ(registers.rip, (unsigned long)marked);
    poke(pid, 6, 0);
    ok("breakpoint");

    poke(pid, 7, 1 | 0xdul << 16);
    int steps = 0;
    while (value_of(pid) != 3) {
        CHECK_EQ(ptrace(PTRACE_SINGLESTEP, pid, 0, 0), 0);
        await_trap(pid);
        CHECK(++steps < 1000);
    }
    CHECK_EQ(peek(pid, 6) & 1, 1);
    maybe_save();
    CHECK_EQ(ptrace(PTRACE_CONT, pid, 0, 0), 0);
    CHECK_EQ(waitpid(pid, &status, 0), pid);
    CHECK(WIFEXITED(status));
    CHECK_EQ(WEXITSTATUS(status), 7);
    ok("steps");
    return 0;
}
