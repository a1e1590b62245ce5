#include "conformance.h"
#include <sys/prctl.h>
#include <spawn.h>

extern char **environ;

static int child(int argc, char **argv)
{
    maybe_save();
    CHECK_EQ(argc, 5);
    CHECK_EQ(strcmp(argv[2], "two words"), 0);
    CHECK_EQ(strcmp(argv[3], ""), 0);
    CHECK_EQ(fcntl(atoi(argv[4]), F_GETFD), 0);
    CHECK_ERRNO(fcntl(atoi(argv[4]) + 1, F_GETFD), EBADF);
    CHECK_EQ(strcmp(getenv("CONFORMANCE"), "yes"), 0);
    CHECK(getenv("PATH") == NULL);
    struct sigaction a;
    CHECK_EQ(sigaction(SIGUSR1, NULL, &a), 0);
    CHECK(a.sa_handler == SIG_DFL);
    CHECK_EQ(sigaction(SIGUSR2, NULL, &a), 0);
    CHECK(a.sa_handler == SIG_IGN);
    sigset_t mask;
    CHECK_EQ(sigprocmask(SIG_SETMASK, NULL, &mask), 0);
    CHECK_EQ(sigismember(&mask, SIGHUP), 1);
    char name[16];
    CHECK_EQ(prctl(PR_GET_NAME, name), 0);
    CHECK(strstr(name, "execs") != NULL);
    return 9;
}

static void on_signal(int signal)
{
    (void)signal;
}

int main(int argc, char **argv)
{
    if (argc > 1)
        return strcmp(argv[1], "child") == 0 ? child(argc, argv) : 4;
    char self[4096], number[16];
    ssize_t n = readlink("/proc/self/exe", self, sizeof self - 1);
    CHECK(n > 0);
    self[n] = 0;
    signal(SIGUSR1, on_signal);
    signal(SIGUSR2, SIG_IGN);
    int keep = open("/dev/null", O_RDONLY), close_it = open("/dev/null", O_RDONLY | O_CLOEXEC), status;
    CHECK_EQ(close_it, keep + 1);
    snprintf(number, sizeof number, "%d", keep);
    char *args[] = {"execs", "child", "two words", "", number, NULL}, *env[] = {"CONFORMANCE=yes", NULL};
    pid_t pid = fork_checked();
    if (pid == 0) {
        sigset_t mask;
        sigemptyset(&mask);
        sigaddset(&mask, SIGHUP);
        sigprocmask(SIG_SETMASK, &mask, NULL);
        execve(self, args, env);
        _exit(1);
    }
    CHECK_EQ(waitpid(pid, &status, 0), pid);
    CHECK(WIFEXITED(status));
    CHECK_EQ(WEXITSTATUS(status), 9);
    ok("fork and exec");

    volatile int shared = 0;
    pid = vfork();
    if (pid == 0) {
        shared = 5;
        _exit(3);
    }
    CHECK_EQ(shared, 5);
    maybe_save();
    CHECK_EQ(waitpid(pid, &status, 0), pid);
    CHECK_EQ(WEXITSTATUS(status), 3);
    char *simple[] = {"execs", "other", NULL};
    pid = vfork();
    if (pid == 0) {
        execve(self, simple, env);
        _exit(1);
    }
    CHECK_EQ(waitpid(pid, &status, 0), pid);
    CHECK_EQ(WEXITSTATUS(status), 4);
    ok("vfork");

    CHECK_EQ(posix_spawn(&pid, self, NULL, NULL, simple, environ), 0);
    maybe_save();
    CHECK_EQ(waitpid(pid, &status, 0), pid);
    CHECK_EQ(WEXITSTATUS(status), 4);
    ok("posix_spawn");

    enter_scratch();
    CHECK_ERRNO(execve("none", simple, env), ENOENT);
    write_file("plain", "text");
    CHECK_ERRNO(execve("plain", simple, env), EACCES);
    write_file("script", "#!/bin/sh\nexit $(($# + 10))\n");
    CHECK_EQ(chmod("script", 0755), 0);
    pid = fork_checked();
    if (pid == 0) {
        char *script[] = {"script", "a", "b", NULL};
        execve("./script", script, environ);
        _exit(1);
    }
    CHECK_EQ(waitpid(pid, &status, 0), pid);
    CHECK_EQ(WEXITSTATUS(status), 12);
    CHECK_EQ(chmod("plain", 0755), 0);
    CHECK_ERRNO(execve("./plain", simple, env), ENOEXEC);
    CHECK_EQ(unlink("plain"), 0);
    CHECK_EQ(unlink("script"), 0);
    leave_scratch();
    ok("errors and scripts");
    return 0;
}
