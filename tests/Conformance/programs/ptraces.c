// ptrace: stops of signals, calls, events, groups, single steps; registers and memory; attaching and letting go.
#include "conformance.h"
#include <elf.h>
#include <pthread.h>
#include <stddef.h>
#include <sys/ptrace.h>
#include <sys/uio.h>
#include <sys/user.h>

#ifndef PTRACE_EVENT_STOP
#define PTRACE_EVENT_STOP 128
#endif

static volatile long word = 1;
static volatile int handled;

static void handle(int signal)
{
    handled = signal;
}

static int wait_stop(pid_t pid)
{
    int status;
    CHECK_EQ(waitpid(pid, &status, __WALL), pid);
    CHECK(WIFSTOPPED(status));
    return status >> 8;
}

static void wait_exit(pid_t pid, int code)
{
    int status;
    CHECK_EQ(waitpid(pid, &status, __WALL), pid);
    CHECK(WIFEXITED(status));
    CHECK_EQ(WEXITSTATUS(status), code);
}

static pid_t traced(void (*run)(void))
{
    pid_t pid = fork_checked();
    if (pid == 0) {
        CHECK_EQ(ptrace(PTRACE_TRACEME, 0, 0, 0), 0);
        raise(SIGSTOP);
        run();
        _exit(7);
    }
    CHECK_EQ(wait_stop(pid), SIGSTOP);
    maybe_save();
    return pid;
}

static int gate[2];

static void run_signals(void)
{
    char byte;
    signal(SIGUSR1, handle);
    signal(SIGUSR2, handle);
    raise(SIGUSR1);
    CHECK_EQ(handled, 0);
    CHECK_EQ(read(gate[0], &byte, 1), 1);
    raise(SIGUSR1);
    CHECK_EQ(handled, SIGUSR2);
    raise(SIGCHLD);
}

static void signals(void)
{
    CHECK_EQ(pipe(gate), 0);
    pid_t pid = traced(run_signals);
    siginfo_t info;
    CHECK_EQ(ptrace(PTRACE_CONT, pid, 0, 0), 0);
    CHECK_EQ(wait_stop(pid), SIGUSR1);
    CHECK_EQ(ptrace(PTRACE_GETSIGINFO, pid, 0, &info), 0);
    CHECK_EQ(info.si_signo, SIGUSR1);
    CHECK_EQ(info.si_pid, pid);
    maybe_save();
    CHECK_EQ(ptrace(PTRACE_CONT, pid, 0, 0), 0);
    CHECK_ERRNO(ptrace(PTRACE_CONT, pid, 0, 1000), ESRCH); // it runs, or waits for the byte
    CHECK_EQ(write(gate[1], "x", 1), 1);
    CHECK_EQ(wait_stop(pid), SIGUSR1);
    maybe_save();
    CHECK_EQ(ptrace(PTRACE_CONT, pid, 0, SIGUSR2), 0);
    CHECK_EQ(wait_stop(pid), SIGCHLD);
    CHECK_EQ(ptrace(PTRACE_CONT, pid, 0, SIGCHLD), 0);
    wait_exit(pid, 7);
    ok("signals");
}

static void run_calls(void)
{
    char byte;
    int p[2];
    CHECK_EQ(syscall(SYS_getppid), 1234);
    CHECK_ERRNO(syscall(SYS_getppid), ENOSYS);
    CHECK_EQ(pipe(p), 0);
    CHECK_EQ(syscall(SYS_write, p[1], "x", 1), 1);
    CHECK_EQ(syscall(SYS_read, p[0], &byte, 1), 1);
    signal(SIGUSR1, handle);
    raise(SIGUSR1);
    CHECK_EQ(handled, SIGUSR1);
    syscall(SYS_getuid);
}

static long next_call(pid_t pid, struct user_regs_struct *regs)
{
    CHECK_EQ(ptrace(PTRACE_SYSCALL, pid, 0, 0), 0);
    CHECK_EQ(wait_stop(pid), SIGTRAP | 0x80);
    CHECK_EQ(ptrace(PTRACE_GETREGS, pid, 0, regs), 0);
    return (long)regs->orig_rax;
}

static void calls(void)
{
    struct user_regs_struct regs;
    pid_t pid = traced(run_calls);
    CHECK_EQ(ptrace(PTRACE_SETOPTIONS, pid, 0, PTRACE_O_TRACESYSGOOD), 0);
    while (next_call(pid, &regs) != SYS_getppid)
        ;
    CHECK_EQ((long)regs.rax, -ENOSYS);
    CHECK_EQ(ptrace(PTRACE_PEEKUSER, pid, offsetof(struct user, regs.orig_rax), 0), SYS_getppid);
    maybe_save();
    CHECK_EQ(next_call(pid, &regs), SYS_getppid);
    CHECK_EQ((long)regs.rax, getpid());
    regs.rax = 1234;
    CHECK_EQ(ptrace(PTRACE_SETREGS, pid, 0, &regs), 0);
    maybe_save();
    while (next_call(pid, &regs) != SYS_getppid)
        ;
    CHECK_EQ(ptrace(PTRACE_POKEUSER, pid, offsetof(struct user, regs.orig_rax), -1L), 0);
    next_call(pid, &regs);
    CHECK_EQ((long)regs.rax, -ENOSYS);
    while (next_call(pid, &regs) != SYS_read)
        ;
    CHECK_EQ(regs.rdx, 1);
    maybe_save();
    CHECK_EQ(next_call(pid, &regs), SYS_read);
    CHECK_EQ(regs.rax, 1);
    // The return from a handler has an entry and an exit like any call, so entries and exits still take turns behind it.
    int stops = 0, status;
    for (;; stops++) {
        CHECK_EQ(ptrace(PTRACE_SYSCALL, pid, 0, 0), 0);
        status = wait_stop(pid);
        if (status == SIGUSR1)
            break;
        CHECK_EQ(status, SIGTRAP | 0x80);
    }
    CHECK_EQ(stops % 2, 0);
    maybe_save();
    CHECK_EQ(ptrace(PTRACE_SYSCALL, pid, 0, SIGUSR1), 0);
    CHECK_EQ(wait_stop(pid), SIGTRAP | 0x80);
    CHECK_EQ(ptrace(PTRACE_GETREGS, pid, 0, &regs), 0);
    CHECK_EQ(regs.orig_rax, SYS_rt_sigreturn);
    maybe_save();
    CHECK_EQ((long)next_call(pid, &regs), -1);
    CHECK_EQ(next_call(pid, &regs), SYS_getuid);
    CHECK_EQ((long)regs.rax, -ENOSYS);
    CHECK_EQ(ptrace(PTRACE_DETACH, pid, 0, 0), 0);
    wait_exit(pid, 7);
    ok("calls");
}

static void run_word(void)
{
    CHECK_EQ(word, 42);
    __asm__ volatile("int3");
    word = 43;
    __asm__ volatile("nop\nnop\nnop\nint3");
}

static void memory_and_steps(void)
{
    pid_t pid = traced(run_word);
    struct user_regs_struct regs;
    CHECK_EQ(ptrace(PTRACE_PEEKDATA, pid, &word, 0), 1);
    CHECK_EQ(ptrace(PTRACE_POKEDATA, pid, &word, 42L), 0);
    // A function's code, which is not writable.
    long code = ptrace(PTRACE_PEEKTEXT, pid, (void *)run_signals, 0);
    CHECK_EQ(ptrace(PTRACE_POKETEXT, pid, (void *)run_signals, 0x1234567890L), 0);
    maybe_save();
    CHECK_EQ(ptrace(PTRACE_PEEKTEXT, pid, (void *)run_signals, 0), 0x1234567890L);
    CHECK_EQ(ptrace(PTRACE_POKETEXT, pid, (void *)run_signals, code), 0);
    CHECK_ERRNO(ptrace(PTRACE_PEEKDATA, pid, 8, 0), EIO);
    CHECK_EQ(ptrace(PTRACE_CONT, pid, 0, 0), 0);
    CHECK_EQ(wait_stop(pid), SIGTRAP);
    char path[64];
    snprintf(path, sizeof path, "/proc/%d/mem", pid);
    int fd = open(path, O_RDWR);
    CHECK(fd >= 0);
    long value = 0;
    CHECK_EQ(pread(fd, &value, sizeof value, (off_t)&word), sizeof value);
    CHECK_EQ(value, 42);
    struct iovec here = {&value, sizeof value}, there = {(void *)&word, sizeof word};
    value = 77;
    CHECK_EQ(process_vm_writev(pid, &here, 1, &there, 1, 0), sizeof value);
    CHECK_EQ(ptrace(PTRACE_PEEKDATA, pid, &word, 0), 77);
    CHECK_EQ(close(fd), 0);
    CHECK_EQ(ptrace(PTRACE_CONT, pid, 0, 0), 0);
    CHECK_EQ(wait_stop(pid), SIGTRAP);
    CHECK_EQ(ptrace(PTRACE_PEEKDATA, pid, &word, 0), 43);
    CHECK_EQ(ptrace(PTRACE_GETREGS, pid, 0, &regs), 0);
    // Back over the int3 and three nops: three steps lead to the int3.
    unsigned long long end = regs.rip - 1;
    regs.rip = end - 3;
    CHECK_EQ(ptrace(PTRACE_SETREGS, pid, 0, &regs), 0);
    for (int i = 0; i < 3; i++) {
        siginfo_t info;
        CHECK_EQ(ptrace(PTRACE_SINGLESTEP, pid, 0, 0), 0);
        CHECK_EQ(wait_stop(pid), SIGTRAP);
        CHECK_EQ(ptrace(PTRACE_GETREGS, pid, 0, &regs), 0);
        CHECK_EQ(regs.rip, end - 2 + (unsigned)i);
        CHECK_EQ(regs.eflags & 0x100, 0);
        CHECK_EQ(ptrace(PTRACE_GETSIGINFO, pid, 0, &info), 0);
        CHECK_EQ(info.si_code, TRAP_TRACE);
        if (i == 1)
            maybe_save();
    }
    regs.rip = end + 1;
    CHECK_EQ(ptrace(PTRACE_SETREGS, pid, 0, &regs), 0);
    struct user_regs_struct again;
    struct iovec set = {&again, sizeof again};
    CHECK_EQ(ptrace(PTRACE_GETREGSET, pid, NT_PRSTATUS, &set), 0);
    CHECK_EQ(set.iov_len, sizeof again);
    CHECK_EQ(memcmp(&again, &regs, sizeof again), 0);
    struct user_fpregs_struct fp;
    CHECK_EQ(ptrace(PTRACE_GETFPREGS, pid, 0, &fp), 0);
    fp.xmm_space[0] = 0x11223344;
    CHECK_EQ(ptrace(PTRACE_SETFPREGS, pid, 0, &fp), 0);
    maybe_save();
    CHECK_EQ(ptrace(PTRACE_GETFPREGS, pid, 0, &fp), 0);
    CHECK_EQ(fp.xmm_space[0], 0x11223344);
    CHECK_EQ(ptrace(PTRACE_CONT, pid, 0, 0), 0);
    wait_exit(pid, 7);
    ok("memory and single steps");
}

static void *in_thread(void *unused)
{
    return unused;
}

static void run_children(void)
{
    pthread_t thread;
    pid_t pid = fork();
    if (pid == 0)
        _exit(3);
    int status;
    CHECK_EQ(waitpid(pid, &status, 0), pid);
    CHECK_EQ(WEXITSTATUS(status), 3);
    pid = vfork();
    if (pid == 0)
        _exit(4);
    CHECK_EQ(waitpid(pid, &status, 0), pid);
    CHECK_EQ(WEXITSTATUS(status), 4);
    CHECK_EQ(pthread_create(&thread, NULL, in_thread, NULL), 0);
    CHECK_EQ(pthread_join(thread, NULL), 0);
    char *arguments[] = {"true", NULL};
    execv("/bin/true", arguments);
}

static void events(void)
{
    static const char *names[] = {"", "fork", "vfork", "clone", "exec", "vfork done", "exit"};
    pid_t pid = traced(run_children), child;
    int seen[7] = {0}, ended = 0, status, stops = 0;
    CHECK_EQ(ptrace(PTRACE_SETOPTIONS, pid, 0, PTRACE_O_TRACEFORK | PTRACE_O_TRACEVFORK | PTRACE_O_TRACECLONE | PTRACE_O_TRACEEXEC | PTRACE_O_TRACEVFORKDONE | PTRACE_O_TRACEEXIT), 0);
    CHECK_EQ(ptrace(PTRACE_CONT, pid, 0, 0), 0);
    while ((child = waitpid(-1, &status, __WALL)) > 0) {
        if (!WIFSTOPPED(status)) {
            ended++;
            continue;
        }
        int event = status >> 16, signal = WSTOPSIG(status);
        unsigned long message;
        CHECK_EQ(ptrace(PTRACE_GETEVENTMSG, child, 0, &message), 0);
        if (event != 0) {
            CHECK_EQ(signal, SIGTRAP);
            CHECK(event <= 6);
            seen[event]++;
            if (event == PTRACE_EVENT_FORK || event == PTRACE_EVENT_VFORK || event == PTRACE_EVENT_CLONE)
                CHECK(message > 0 && message != (unsigned long)pid);
            if (event == PTRACE_EVENT_EXIT && child == pid)
                CHECK_EQ(message, 0);
        }
        if (++stops % 4 == 0)
            maybe_save();
        CHECK_EQ(ptrace(PTRACE_CONT, child, 0, event == 0 && signal != SIGSTOP ? signal : 0), 0);
    }
    CHECK_EQ(errno, ECHILD);
    for (int i = 1; i <= 6; i++)
        printf("%s %d\n", names[i], seen[i]);
    CHECK_EQ(ended, 4);
    ok("events");
}

// Not pause(): a signal that comes while it starts again is handled before it, and it would wait for ever.
static void run_suspend(void)
{
    sigset_t usr1, others;
    sigemptyset(&usr1);
    sigaddset(&usr1, SIGUSR1);
    CHECK_EQ(sigprocmask(SIG_BLOCK, &usr1, &others), 0);
    signal(SIGUSR1, handle);
    sigsuspend(&others);
    CHECK_EQ(handled, SIGUSR1);
}

static void attached(void)
{
    pid_t pid = fork_checked();
    if (pid == 0) {
        run_suspend();
        _exit(7);
    }
    sleep_ms(50);
    CHECK_EQ(ptrace(PTRACE_ATTACH, pid, 0, 0), 0);
    CHECK_EQ(wait_stop(pid), SIGSTOP);
    maybe_save();
    CHECK_EQ(ptrace(PTRACE_DETACH, pid, 0, 0), 0);

    CHECK_EQ(ptrace(PTRACE_SEIZE, pid, 0, PTRACE_O_EXITKILL), 0);
    CHECK_EQ(ptrace(PTRACE_INTERRUPT, pid, 0, 0), 0);
    CHECK_EQ(wait_stop(pid), SIGTRAP | PTRACE_EVENT_STOP << 8);
    struct user_regs_struct regs;
    CHECK_EQ(ptrace(PTRACE_GETREGS, pid, 0, &regs), 0);
    CHECK_EQ(regs.orig_rax, SYS_rt_sigsuspend);
    maybe_save();
    // The call goes on as if nothing had been.
    CHECK_EQ(ptrace(PTRACE_CONT, pid, 0, 0), 0);

    CHECK_EQ(kill(pid, SIGSTOP), 0);
    CHECK_EQ(wait_stop(pid), SIGSTOP);
    CHECK_EQ(ptrace(PTRACE_CONT, pid, 0, SIGSTOP), 0);
    CHECK_EQ(wait_stop(pid), SIGSTOP | PTRACE_EVENT_STOP << 8);
    CHECK_EQ(ptrace(PTRACE_LISTEN, pid, 0, 0), 0);
    CHECK_ERRNO(ptrace(PTRACE_GETREGS, pid, 0, &regs), ESRCH);
    maybe_save();
    CHECK_EQ(kill(pid, SIGCONT), 0);
    CHECK_EQ(wait_stop(pid), SIGTRAP | PTRACE_EVENT_STOP << 8);
    CHECK_EQ(ptrace(PTRACE_CONT, pid, 0, 0), 0);
    CHECK_EQ(wait_stop(pid), SIGCONT);
    CHECK_EQ(ptrace(PTRACE_CONT, pid, 0, SIGCONT), 0);

    CHECK_EQ(kill(pid, SIGUSR1), 0);
    CHECK_EQ(wait_stop(pid), SIGUSR1);
    maybe_save();
    CHECK_EQ(ptrace(PTRACE_CONT, pid, 0, SIGUSR1), 0);
    wait_exit(pid, 7);
    CHECK_ERRNO(ptrace(PTRACE_CONT, pid, 0, 0), ESRCH);
    ok("attached and seized");
}

// A process whose tracer is not its parent: both hear of its end, the tracer first.
static void stranger(void)
{
    int p[2];
    CHECK_EQ(pipe(p), 0);
    pid_t pid = fork_checked();
    if (pid == 0) {
        pause();
        _exit(7);
    }
    pid_t tracer = fork_checked();
    if (tracer == 0) {
        int status;
        CHECK_EQ(ptrace(PTRACE_SEIZE, pid, 0, 0), 0);
        CHECK_EQ(write(p[1], "x", 1), 1);
        CHECK_EQ(waitpid(pid, &status, 0), pid);
        CHECK(WIFSIGNALED(status));
        maybe_save();
        _exit(WTERMSIG(status));
    }
    char byte;
    CHECK_EQ(read(p[0], &byte, 1), 1);
    CHECK_EQ(kill(pid, SIGKILL), 0);
    int status;
    CHECK_EQ(waitpid(pid, &status, 0), pid);
    CHECK(WIFSIGNALED(status));
    CHECK_EQ(WTERMSIG(status), SIGKILL);
    wait_exit(tracer, SIGKILL);

    // Its tracees go with a tracer that wished so.
    pid = fork_checked();
    if (pid == 0) {
        for (;;)
            pause();
    }
    tracer = fork_checked();
    if (tracer == 0) {
        CHECK_EQ(ptrace(PTRACE_SEIZE, pid, 0, PTRACE_O_EXITKILL), 0);
        _exit(0);
    }
    wait_exit(tracer, 0);
    CHECK_EQ(waitpid(pid, &status, 0), pid);
    CHECK(WIFSIGNALED(status));
    ok("another's child");
}

int main(void)
{
    CHECK_ERRNO(ptrace(PTRACE_ATTACH, getpid(), 0, 0), EPERM);
    CHECK_ERRNO(ptrace(PTRACE_CONT, getppid() == 0 ? getpid() : getppid(), 0, 0), ESRCH);
    signals();
    calls();
    memory_and_steps();
    events();
    attached();
    stranger();
    return 0;
}
