// seccomp(2): the modes, what filters answer, who inherits them; with ptrace(2), PTRACE_EVENT_SECCOMP and PTRACE_SYSEMU.
#include "conformance.h"
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <stddef.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/user.h>

enum { PROBE = SYS_getpgrp }; // takes no argument: what it is given is for filters alone

static long probe(long which)
{
    return syscall(PROBE, which);
}

// Every call is allowed but PROBE with this first argument.
static void filter_with(unsigned flags, unsigned first, unsigned answer, long expected)
{
    struct sock_filter code[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, arch)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, AUDIT_ARCH_X86_64, 1, 0),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS),
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, PROBE, 0, 3),
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, args[0])),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, first, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, answer),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog program = {sizeof code / sizeof *code, code};
    CHECK_EQ(syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, flags, &program), expected);
}

static void filter(unsigned first, unsigned answer)
{
    filter_with(0, first, answer, 0);
}

static int status_of(void (*body)(void))
{
    int status;
    pid_t pid = fork_checked();
    if (pid == 0) {
        body();
        _exit(100);
    }
    CHECK_EQ(waitpid(pid, &status, 0), pid);
    return status;
}

static void killed(void)
{
    filter(7, SECCOMP_RET_KILL_PROCESS);
    maybe_save();
    probe(7);
}

static void *dies(void *unused)
{
    (void)unused;
    probe(6);
    _exit(99);
}

static void killed_thread(void)
{
    filter(6, SECCOMP_RET_KILL_THREAD);
    pthread_t thread;
    CHECK_EQ(pthread_create(&thread, NULL, dies, NULL), 0);
    CHECK_EQ(pthread_join(thread, NULL), 0);
    maybe_save();
    syscall(SYS_exit, 42);
}

static void strict(void)
{
    CHECK_EQ(prctl(PR_SET_SECCOMP, SECCOMP_MODE_STRICT), 0);
    CHECK_EQ(syscall(SYS_write, 1, "", 0), 0);
    syscall(SYS_getpid);
}

static volatile sig_atomic_t trapped;

static void on_trap(int number, siginfo_t *info, void *context)
{
    ucontext_t *at = context;
    CHECK_EQ(number, SIGSYS);
    CHECK_EQ(info->si_code, 1);
    CHECK_EQ(info->si_errno, 77);
    CHECK_EQ(info->si_syscall, PROBE);
    CHECK_EQ(info->si_arch, AUDIT_ARCH_X86_64);
    CHECK_EQ((long)info->si_call_addr, at->uc_mcontext.gregs[REG_RIP]);
    CHECK_EQ(at->uc_mcontext.gregs[REG_RAX], PROBE);
    at->uc_mcontext.gregs[REG_RAX] = 4711;
    trapped++;
}

static void trap(void)
{
    struct sigaction action = {.sa_sigaction = on_trap, .sa_flags = SA_SIGINFO};
    CHECK_EQ(sigaction(SIGSYS, &action, NULL), 0);
    filter(5, SECCOMP_RET_TRAP | 77);
    maybe_save();
    CHECK_EQ(probe(5), 4711);
    CHECK_EQ(trapped, 1);
    signal(SIGSYS, SIG_IGN);
    probe(5);
}

static void *obeys(void *unused)
{
    (void)unused;
    CHECK_ERRNO(probe(3), EDOM);
    return NULL;
}

static void synchronised(void)
{
    pthread_barrier_t barrier;
    (void)barrier;
    filter_with(SECCOMP_FILTER_FLAG_TSYNC, 3, SECCOMP_RET_ERRNO | EDOM, 0);
    pthread_t thread;
    CHECK_EQ(pthread_create(&thread, NULL, obeys, NULL), 0);
    CHECK_EQ(pthread_join(thread, NULL), 0);
    _exit(0);
}

static void traced(void)
{
    CHECK_EQ(ptrace(PTRACE_TRACEME, 0, 0, 0), 0);
    raise(SIGSTOP);
    filter(2, SECCOMP_RET_TRACE | 99);
    CHECK_EQ(probe(2), getpgid(0));         // let through
    CHECK_EQ(probe(2), 1234);       // answered by the tracer
    CHECK_EQ(probe(2), getppid());  // made another call
    _exit(0);
}

static void await_stop(pid_t pid, int code)
{
    int status;
    CHECK_EQ(waitpid(pid, &status, 0), pid);
    CHECK_EQ(status, code << 8 | 0x7f);
}

static struct user_regs_struct registers_of(pid_t pid)
{
    struct user_regs_struct registers;
    CHECK_EQ(ptrace(PTRACE_GETREGS, pid, 0, &registers), 0);
    return registers;
}

static void filter_events(void)
{
    int status;
    unsigned long message;
    pid_t pid = fork_checked();
    if (pid == 0)
        traced();
    await_stop(pid, SIGSTOP);
    CHECK_EQ(ptrace(PTRACE_SETOPTIONS, pid, 0, PTRACE_O_TRACESECCOMP | PTRACE_O_TRACESYSGOOD), 0);
    for (int i = 0; i < 3; i++) {
        CHECK_EQ(ptrace(PTRACE_CONT, pid, 0, 0), 0);
        await_stop(pid, SIGTRAP | PTRACE_EVENT_SECCOMP << 8);
        maybe_save();
        CHECK_EQ(ptrace(PTRACE_GETEVENTMSG, pid, 0, &message), 0);
        CHECK_EQ(message, 99);
        struct user_regs_struct registers = registers_of(pid);
        CHECK_EQ(registers.orig_rax, PROBE);
        CHECK_EQ((long)registers.rax, -ENOSYS);
        CHECK_EQ(registers.rdi, 2);
        struct {
            uint8_t op, pad[3];
            uint32_t arch;
            uint64_t ip, sp, nr, args[6];
            uint32_t data;
        } info;
        CHECK_EQ(ptrace(0x420e, pid, sizeof info, &info), 84);
        CHECK_EQ(info.op, 3);
        CHECK_EQ(info.nr, PROBE);
        CHECK_EQ(info.data, 99);
        if (i == 0) {
            // Its exit, and no entry any more.
            CHECK_EQ(ptrace(PTRACE_SYSCALL, pid, 0, 0), 0);
            await_stop(pid, SIGTRAP | 0x80);
            CHECK_EQ(registers_of(pid).rax, getpgid(pid));
        } else if (i == 1) {
            registers.orig_rax = -1;
            registers.rax = 1234;
            CHECK_EQ(ptrace(PTRACE_SETREGS, pid, 0, &registers), 0);
        } else {
            registers.orig_rax = SYS_getppid;
            CHECK_EQ(ptrace(PTRACE_SETREGS, pid, 0, &registers), 0);
        }
    }
    CHECK_EQ(ptrace(PTRACE_CONT, pid, 0, 0), 0);
    CHECK_EQ(waitpid(pid, &status, 0), pid);
    CHECK_EQ(status, 0);
}

static void emulation(void)
{
    int status;
    pid_t pid = fork_checked();
    if (pid == 0) {
        CHECK_EQ(ptrace(PTRACE_TRACEME, 0, 0, 0), 0);
        raise(SIGSTOP);
        _exit(probe(0) == 555 && syscall(SYS_close, 1) == 0 && write(1, "", 0) == 0 ? 0 : 1);
    }
    await_stop(pid, SIGSTOP);
    CHECK_EQ(ptrace(PTRACE_SETOPTIONS, pid, 0, PTRACE_O_TRACESYSGOOD), 0);
    CHECK_EQ(ptrace(PTRACE_SYSEMU, pid, 0, 0), 0);
    for (int i = 0; i < 2; i++) {
        await_stop(pid, SIGTRAP | 0x80);
        struct user_regs_struct registers = registers_of(pid);
        CHECK_EQ(registers.orig_rax, i == 0 ? (long)PROBE : SYS_close);
        maybe_save();
        registers.rax = i == 0 ? 555 : 0; // the file stays open
        CHECK_EQ(ptrace(PTRACE_SETREGS, pid, 0, &registers), 0);
        CHECK_EQ(ptrace(i == 0 ? PTRACE_SYSEMU : PTRACE_CONT, pid, 0, 0), 0);
    }
    CHECK_EQ(waitpid(pid, &status, 0), pid);
    CHECK_EQ(status, 0);
}

int main(int argc, char **argv)
{
    (void)argv;
    if (argc > 1) {
        // Executed with a filter.
        CHECK_ERRNO(probe(1), EXDEV);
        CHECK_EQ(prctl(PR_GET_SECCOMP), SECCOMP_MODE_FILTER);
        CHECK_EQ(probe(0), getpgid(0));
        return 0;
    }
    CHECK_EQ(prctl(PR_GET_SECCOMP), 0);
    unsigned action = SECCOMP_RET_TRACE;
    CHECK_EQ(syscall(SYS_seccomp, SECCOMP_GET_ACTION_AVAIL, 0, &action), 0);
    action = 0x1230000;
    CHECK_ERRNO(syscall(SYS_seccomp, SECCOMP_GET_ACTION_AVAIL, 0, &action), EOPNOTSUPP);
    CHECK_EQ(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), 0);
    struct sock_filter bad[] = {BPF_STMT(BPF_LD | BPF_W | BPF_ABS, 64), BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW)};
    struct sock_fprog program = {2, bad};
    CHECK_ERRNO(prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program), EINVAL);
    bad[0] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JA, 1, 0, 0);
    CHECK_ERRNO(prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program), EINVAL);
    program.len = 0;
    CHECK_ERRNO(prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program), EINVAL);
    ok("refused");

    int status = status_of(killed);
    CHECK(WIFSIGNALED(status));
    CHECK_EQ(WTERMSIG(status), SIGSYS);
    CHECK_EQ(WEXITSTATUS(status_of(killed_thread)), 42);
    status = status_of(strict);
    CHECK(WIFSIGNALED(status));
    CHECK_EQ(WTERMSIG(status), SIGKILL);
    status = status_of(trap);
    CHECK(WIFSIGNALED(status));
    CHECK_EQ(WTERMSIG(status), SIGSYS);
    CHECK_EQ(status_of(synchronised), 0);
    ok("answers");

    filter_events();
    ok("events");
    emulation();
    ok("emulated calls");

    // The strictest of several wins, the newest of equals; without a tracer a call that it should decide on fails.
    filter(1, SECCOMP_RET_ERRNO | EXDEV);
    maybe_save();
    CHECK_ERRNO(probe(1), EXDEV);
    filter(1, SECCOMP_RET_LOG);
    CHECK_ERRNO(probe(1), EXDEV);
    filter(4, SECCOMP_RET_TRACE);
    CHECK_ERRNO(probe(4), ENOSYS);
    filter(8, SECCOMP_RET_ERRNO | 0);
    CHECK_EQ(probe(8), 0);
    CHECK_EQ(probe(0), getpgid(0));
    char text[4096] = "";
    int fd = open("/proc/self/status", O_RDONLY);
    CHECK(read(fd, text, sizeof text - 1) > 0);
    CHECK(strstr(text, "\nSeccomp:\t2\n") != NULL);
    CHECK(strstr(text, "\nSeccomp_filters:\t4\n") != NULL);
    pid_t pid = fork_checked();
    if (pid == 0) {
        CHECK_ERRNO(probe(1), EXDEV);
        maybe_save();
        execl("/proc/self/exe", "again", "executed", (char *)NULL);
        _exit(1);
    }
    reap(pid);
    ok("inherited");
    return 0;
}
