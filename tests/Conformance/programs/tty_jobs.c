// Sessions, controlling terminals, job control and hang-ups.
#include "tty.h"

static volatile sig_atomic_t seen[65];

static void count(int signal)
{
    seen[signal]++;
}

static void catch(int signal, int flags)
{
    struct sigaction action = {.sa_handler = count, .sa_flags = flags};
    CHECK_EQ(sigaction(signal, &action, NULL), 0);
}

static void wait_for(int signal, int times)
{
    for (int i = 0; i < 500 && seen[signal] < times; i++)
        sleep_ms(10);
    CHECK_EQ(seen[signal], times);
}

static int stopped_by(pid_t pid)
{
    int status;
    CHECK_EQ(waitpid(pid, &status, WUNTRACED), pid);
    CHECK(WIFSTOPPED(status));
    return WSTOPSIG(status);
}

static int ended_by(pid_t pid)
{
    int status;
    CHECK_EQ(waitpid(pid, &status, 0), pid);
    return WIFSIGNALED(status) ? WTERMSIG(status) : -WEXITSTATUS(status);
}

static void in_background(pid_t pid)
{
    CHECK_EQ(setpgid(pid, pid), 0);
}

static void session(void)
{
    char buffer[256], name[64];
    int value;
    CHECK_EQ(setsid(), getpid());
    CHECK_ERRNO(open("/dev/tty", O_RDWR), ENXIO);
    CHECK_EQ(ptsname_r(master, name, sizeof name), 0);
    // Opening a terminal makes it the controlling one, but not with O_NOCTTY, and not for writing only.
    int other = open(name, O_WRONLY);
    CHECK(other >= 0);
    CHECK_ERRNO(open("/dev/tty", O_RDWR), ENXIO);
    CHECK_EQ(close(other), 0);
    other = open(name, O_RDWR);
    CHECK(other >= 0);
    int tty = open("/dev/tty", O_RDWR);
    CHECK(tty >= 0);
    CHECK_EQ(tcgetpgrp(tty), getpid());
    CHECK_EQ(tcgetsid(tty), getpid());
    CHECK_EQ(ioctl(master, TIOCGPGRP, &value), 0);
    CHECK_EQ(value, getpid());
    CHECK_EQ(ioctl(tty, TIOCSCTTY, 0), 0);
    CHECK_EQ(close(other), 0);
    maybe_save();
    CHECK_EQ(tcgetsid(tty), getpid());
    ok("controlling terminal");

    // The stat file shows it.
    FILE *file = fopen("/proc/self/stat", "r");
    CHECK(file != NULL);
    int pgrp, sid, nr, tpgid;
    CHECK_EQ(fscanf(file, "%*d (%*[^)]) %*c %*d %d %d %d %d", &pgrp, &sid, &nr, &tpgid), 4);
    fclose(file);
    struct stat st;
    CHECK_EQ(fstat(slave, &st), 0);
    CHECK(pgrp == getpid() && sid == getpid() && tpgid == getpid() && nr == (int)st.st_rdev);

    // Keys signal the foreground.
    catch(SIGINT, SA_RESTART);
    catch(SIGQUIT, SA_RESTART);
    catch(SIGTSTP, SA_RESTART);
    catch(SIGWINCH, SA_RESTART);
    TYPE("\x03");
    wait_for(SIGINT, 1);
    TYPE("\x1c");
    wait_for(SIGQUIT, 1);
    TYPE("\x1a");
    wait_for(SIGTSTP, 1);
    struct winsize w = {10, 20, 0, 0};
    CHECK_EQ(ioctl(tty, TIOCSWINSZ, &w), 0);
    wait_for(SIGWINCH, 1);
    CHECK_EQ(ioctl(tty, TIOCSWINSZ, &w), 0);
    CHECK_EQ(ioctl(master, TIOCSIG, SIGINT), 0);
    wait_for(SIGINT, 2);
    CHECK_EQ(seen[SIGWINCH], 1);
    drain(master, buffer, sizeof buffer);
    ok("keys");

    // A read that waits ends with EINTR, or begins again with SA_RESTART.
    pid_t pid = fork_checked();
    if (pid == 0) {
        catch(SIGINT, 0);
        CHECK_ERRNO(read(tty, buffer, sizeof buffer), EINTR);
        catch(SIGINT, SA_RESTART);
        CHECK_EQ(write(tty, "ready", 5), 5);
        CHECK_EQ(read(tty, buffer, sizeof buffer), 3);
        _exit(seen[SIGINT] == 4 ? 0 : 1);
    }
    sleep_ms(100);
    maybe_save();
    TYPE("\x03");
    while (drain(master, buffer, sizeof buffer) == 0 || memmem(buffer, sizeof buffer, "ready", 5) == NULL)
        ;
    sleep_ms(50);
    TYPE("\x03");
    sleep_ms(50);
    TYPE("ab\n");
    CHECK_EQ(ended_by(pid), -1 + 1);
    drain(master, buffer, sizeof buffer);
    ok("interrupted reads");

    // A background process that reads is stopped; when it is put into the foreground it reads on.
    pid = fork_checked();
    if (pid == 0) {
        in_background(0);
        CHECK_EQ(read(tty, buffer, sizeof buffer), 6);
        _exit(3);
    }
    in_background(pid);
    CHECK_EQ(stopped_by(pid), SIGTTIN);
    maybe_save();
    CHECK_EQ(tcsetpgrp(tty, pid), 0);
    CHECK_EQ(kill(pid, SIGCONT), 0);
    TYPE("hello\n");
    CHECK_EQ(ended_by(pid), -3);
    // Now this process is in the background. Its group is orphaned, so it is not stopped but refused, unless it ignores SIGTTOU.
    CHECK_ERRNO(tcsetpgrp(tty, getpid()), ENOTTY);
    signal(SIGTTOU, SIG_IGN);
    CHECK_EQ(tcsetpgrp(tty, getpid()), 0);
    signal(SIGTTOU, SIG_DFL);
    drain(master, buffer, sizeof buffer);
    ok("background read");

    // Ignored or blocked: EIO.
    pid = fork_checked();
    if (pid == 0) {
        in_background(0);
        signal(SIGTTIN, SIG_IGN);
        CHECK_ERRNO(read(tty, buffer, 1), EIO);
        signal(SIGTTIN, SIG_DFL);
        sigset_t set;
        sigemptyset(&set);
        sigaddset(&set, SIGTTIN);
        sigprocmask(SIG_BLOCK, &set, NULL);
        CHECK_ERRNO(read(tty, buffer, 1), EIO);
        // Writing is allowed without TOSTOP.
        CHECK_EQ(write(tty, "fine", 4), 4);
        _exit(0);
    }
    in_background(pid);
    CHECK_EQ(ended_by(pid), 0);
    pid = fork_checked();
    if (pid == 0) {
        in_background(0);
        CHECK_EQ(kill(getpid(), SIGSTOP), 0);
        CHECK_EQ(write(tty, "late", 4), 4);
        _exit(0);
    }
    in_background(pid);
    CHECK_EQ(stopped_by(pid), SIGSTOP);
    struct termios t;
    CHECK_EQ(tcgetattr(tty, &t), 0);
    t.c_lflag |= TOSTOP;
    CHECK_EQ(tcsetattr(tty, TCSANOW, &t), 0);
    CHECK_EQ(kill(pid, SIGCONT), 0);
    CHECK_EQ(stopped_by(pid), SIGTTOU);
    t.c_lflag &= ~(tcflag_t)TOSTOP;
    CHECK_EQ(tcsetattr(tty, TCSANOW, &t), 0);
    CHECK_EQ(kill(pid, SIGCONT), 0);
    CHECK_EQ(ended_by(pid), 0);
    // Setting modes from the background.
    pid = fork_checked();
    if (pid == 0) {
        in_background(0);
        CHECK_EQ(tcsetattr(tty, TCSANOW, &t), 0);
        _exit(0);
    }
    in_background(pid);
    CHECK_EQ(stopped_by(pid), SIGTTOU);
    CHECK_EQ(kill(pid, SIGKILL), 0);
    CHECK_EQ(ended_by(pid), SIGKILL);
    CHECK_ERRNO(tcsetpgrp(tty, 99999), ESRCH);
    drain(master, buffer, sizeof buffer);
    ok("background changes");

    // ^Z stops the foreground, not this process.
    pid = fork_checked();
    if (pid == 0) {
        signal(SIGTSTP, SIG_DFL);
        in_background(0);
        signal(SIGTTOU, SIG_IGN);
        CHECK_EQ(tcsetpgrp(tty, getpid()), 0);
        CHECK_EQ(read(tty, buffer, sizeof buffer), 4);
        _exit(0);
    }
    while (tcgetpgrp(tty) != pid)
        sleep_ms(5);
    sleep_ms(50);
    TYPE("\x1a");
    CHECK_EQ(stopped_by(pid), SIGTSTP);
    maybe_save();
    CHECK_EQ(kill(pid, SIGCONT), 0);
    TYPE("abc\n");
    CHECK_EQ(ended_by(pid), 0);
    signal(SIGTTOU, SIG_IGN);
    CHECK_EQ(tcsetpgrp(tty, getpid()), 0);
    ok("suspend");

    // A new session loses the terminal; a terminal that has a session can't be taken.
    pid = fork_checked();
    if (pid == 0) {
        CHECK_EQ(setsid(), getpid());
        CHECK_ERRNO(open("/dev/tty", O_RDWR), ENXIO);
        CHECK_ERRNO(ioctl(tty, TIOCSCTTY, 0), EPERM);
        CHECK_ERRNO(tcgetpgrp(tty), ENOTTY);
        _exit(0);
    }
    CHECK_EQ(ended_by(pid), 0);
    // A process that is no leader gives it up for itself.
    pid = fork_checked();
    if (pid == 0) {
        CHECK_EQ(ioctl(tty, TIOCNOTTY), 0);
        CHECK_ERRNO(open("/dev/tty", O_RDWR), ENXIO);
        _exit(0);
    }
    CHECK_EQ(ended_by(pid), 0);
    CHECK_EQ(tcgetsid(tty), getpid());
    ok("giving up");

    // The leader gives it up: everyone in the foreground gets SIGHUP and SIGCONT.
    catch(SIGHUP, 0);
    catch(SIGCONT, 0);
    CHECK_EQ(ioctl(tty, TIOCNOTTY), 0);
    CHECK_EQ(seen[SIGHUP], 1);
    CHECK_EQ(seen[SIGCONT], 1);
    CHECK_ERRNO(open("/dev/tty", O_RDWR), ENXIO);
    CHECK_EQ(ioctl(slave, TIOCSCTTY, 0), 0);
    CHECK_EQ(tcgetsid(tty), getpid());
    ok("giving up a session");

    // The end of the leader: the foreground gets SIGHUP.
    pid_t leader = fork_checked();
    if (leader == 0) {
        int unlock = 0;
        CHECK_EQ(setsid(), getpid());
        int m = open("/dev/ptmx", O_RDWR | O_NOCTTY);
        CHECK_EQ(ioctl(m, TIOCSPTLCK, &unlock), 0);
        int s = open(ptsname(m), O_RDWR);
        CHECK(s >= 0);
        pid_t child = fork_checked();
        if (child == 0) {
            signal(SIGHUP, SIG_DFL);
            in_background(0);
            signal(SIGTTOU, SIG_IGN);
            CHECK_EQ(tcsetpgrp(s, getpid()), 0);
            CHECK_EQ(write(master, "", 0), 0);
            for (;;)
                pause();
        }
        while (tcgetpgrp(s) != child)
            sleep_ms(5);
        // Another watches whether it dies of SIGHUP: it is not the leader's to wait for then.
        _exit(child & 0x7f);
    }
    int status;
    CHECK_EQ(waitpid(leader, &status, 0), leader);
    ok("leader's end");

    // vhangup: what is open is dead, and the leader is told.
    int before = seen[SIGHUP];
    if (geteuid() == 0)
        CHECK_EQ(syscall(SYS_vhangup), 0);
    else
        CHECK_EQ(close(master), 0);
    wait_for(SIGHUP, before + 1);
    CHECK_EQ(read(tty, buffer, 1), 0);
    CHECK_ERRNO(write(slave, "x", 1), EIO);
    CHECK_ERRNO(open("/dev/tty", O_RDWR), ENXIO);
    maybe_save();
    CHECK_ERRNO(write(tty, "x", 1), EIO);
    ok("hang-up");
}

int main(void)
{
    open_pty();
    pid_t pid = fork_checked();
    if (pid == 0) {
        session();
        _exit(0);
    }
    CHECK_EQ(ended_by(pid), 0);

    // Closing the master hangs up whoever has the terminal.
    open_pty();
    pid = fork_checked();
    if (pid == 0) {
        CHECK_EQ(close(master), 0);
        CHECK_EQ(setsid(), getpid());
        CHECK_EQ(ioctl(slave, TIOCSCTTY, 0), 0);
        char c;
        CHECK_EQ(write(slave, "r", 1), 1);
        signal(SIGHUP, SIG_DFL);
        while (read(slave, &c, 1) != 0)
            ;
        for (;;)
            pause();
    }
    char c;
    CHECK_EQ(read(master, &c, 1), 1);
    sleep_ms(20);
    CHECK_EQ(close(master), 0);
    CHECK_EQ(ended_by(pid), SIGHUP);
    ok("master closed");
    return 0;
}
