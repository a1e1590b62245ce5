// Makes random system calls, inside a sandbox only: workers with a seed each, killed and replaced, and a supervisor that says when one cannot be killed.
// usage: fuzz_calls SEED WORKERS CALLS    CALLS of each worker; SEED, SEED+1, … are the workers' seeds
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/inotify.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/timerfd.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

// What an argument is:  f descriptor, F path, b buffer, n its size, i small number, x flags, a address in a mapping, l length of one, s signal, p process,
// v iovec, o offset, S socket address, L pointer to a length, t timespec, e epoll_event, m msghdr, . anything.
struct call {
    long number;
    const char *arguments;
};

static const struct call known[] = {
    {SYS_read, "fbn"}, {SYS_write, "fbn"}, {SYS_open, "Fxi"}, {SYS_close, "f"}, {SYS_stat, "Fb"}, {SYS_fstat, "fb"}, {SYS_lstat, "Fb"}, {SYS_poll, "bii"},
    {SYS_lseek, "foi"}, {SYS_mmap, "alxxfo"}, {SYS_mprotect, "alx"}, {SYS_munmap, "al"}, {SYS_brk, "a"}, {SYS_rt_sigaction, "sbbi"},
    {SYS_rt_sigprocmask, "ibbi"}, {SYS_ioctl, "f.b"}, {SYS_pread64, "fbno"}, {SYS_pwrite64, "fbno"}, {SYS_readv, "fvi"}, {SYS_writev, "fvi"}, {SYS_access, "Fi"},
    {SYS_pipe, "b"}, {SYS_select, "ibbbt"}, {SYS_mremap, "allxa"}, {SYS_msync, "alx"}, {SYS_mincore, "alb"}, {SYS_madvise, "ali"}, {SYS_shmget, "inx"},
    {SYS_shmat, "iax"}, {SYS_shmctl, "iib"}, {SYS_dup, "f"}, {SYS_dup2, "ff"}, {SYS_nanosleep, "tb"}, {SYS_setitimer, "ibb"}, {SYS_sendfile, "ffbn"},
    {SYS_socket, "iii"}, {SYS_connect, "fSi"}, {SYS_accept, "fSL"}, {SYS_sendto, "fbnxSi"}, {SYS_recvfrom, "fbnxSL"}, {SYS_sendmsg, "fmx"}, {SYS_recvmsg, "fmx"},
    {SYS_shutdown, "fi"}, {SYS_bind, "fSi"}, {SYS_listen, "fi"}, {SYS_getsockname, "fSL"}, {SYS_getpeername, "fSL"}, {SYS_socketpair, "iiib"},
    {SYS_setsockopt, "fiibi"}, {SYS_getsockopt, "fiibL"}, {SYS_clone, "x...."}, {SYS_fork, ""}, {SYS_execve, "Fbb"}, {SYS_wait4, "pbib"}, {SYS_kill, "ps"},
    {SYS_semget, "iix"}, {SYS_semop, "ibi"}, {SYS_semctl, "iiib"}, {SYS_msgget, "ix"}, {SYS_msgsnd, "ibnx"}, {SYS_msgrcv, "ibnix"}, {SYS_msgctl, "iib"},
    {SYS_fcntl, "fib"}, {SYS_flock, "fi"}, {SYS_fsync, "f"}, {SYS_truncate, "Fo"}, {SYS_ftruncate, "fo"}, {SYS_getdents64, "fbn"}, {SYS_getcwd, "bn"}, {SYS_chdir, "F"},
    {SYS_fchdir, "f"}, {SYS_rename, "FF"}, {SYS_mkdir, "Fi"}, {SYS_rmdir, "F"}, {SYS_creat, "Fi"}, {SYS_link, "FF"}, {SYS_unlink, "F"}, {SYS_symlink, "FF"},
    {SYS_readlink, "Fbn"}, {SYS_chmod, "Fi"}, {SYS_fchmod, "fi"}, {SYS_chown, "Fii"}, {SYS_umask, "i"}, {SYS_getrlimit, "ib"}, {SYS_getrusage, "ib"},
    {SYS_ptrace, "ipab"}, {SYS_setpgid, "pp"}, {SYS_setsid, ""}, {SYS_rt_sigpending, "bi"}, {SYS_rt_sigtimedwait, "bbti"}, {SYS_rt_sigqueueinfo, "psb"},
    {SYS_sigaltstack, "bb"}, {SYS_mknod, "Fii"}, {SYS_statfs, "Fb"}, {SYS_fstatfs, "fb"}, {SYS_sched_setparam, "pb"}, {SYS_sched_setscheduler, "pib"}, {SYS_mlock, "al"},
    {SYS_munlock, "al"}, {SYS_mlockall, "x"}, {SYS_prctl, "i...."}, {SYS_arch_prctl, "ib"}, {SYS_chroot, "F"}, {SYS_mount, "FFFxb"}, {SYS_umount2, "Fx"},
    {SYS_readahead, "fon"}, {SYS_setxattr, "FFbnx"}, {SYS_fsetxattr, "fFbnx"}, {SYS_getxattr, "FFbn"}, {SYS_listxattr, "Fbn"}, {SYS_removexattr, "FF"},
    {SYS_futex, "aiitai"}, {SYS_sched_setaffinity, "pnb"}, {SYS_io_setup, "ib"}, {SYS_io_submit, "bib"}, {SYS_io_getevents, "biibt"}, {SYS_io_destroy, "b"},
    {SYS_remap_file_pages, "alxix"}, {SYS_timer_create, "ibb"}, {SYS_timer_settime, "iibb"}, {SYS_clock_settime, "it"}, {SYS_clock_nanosleep, "iitb"},
    {SYS_epoll_wait, "fbii"}, {SYS_epoll_ctl, "fife"}, {SYS_tgkill, "pps"}, {SYS_utimes, "Fb"}, {SYS_mbind, "alibix"}, {SYS_mq_open, "Fxib"},
    {SYS_mq_timedsend, "fbnit"}, {SYS_mq_timedreceive, "fbnbt"}, {SYS_mq_notify, "fb"}, {SYS_waitid, "ipbib"}, {SYS_inotify_add_watch, "fFx"}, {SYS_inotify_rm_watch, "fi"},
    {SYS_openat, "fFxi"}, {SYS_mkdirat, "fFi"}, {SYS_newfstatat, "fFbx"}, {SYS_unlinkat, "fFx"}, {SYS_renameat2, "fFfFx"}, {SYS_linkat, "fFfFx"}, {SYS_ppoll, "bitbi"},
    {SYS_unshare, "x"}, {SYS_set_robust_list, "bn"}, {SYS_splice, "fbfbnx"}, {SYS_tee, "ffnx"}, {SYS_sync_file_range, "foox"}, {SYS_vmsplice, "fvix"},
    {SYS_move_pages, "pibbbx"}, {SYS_utimensat, "fFbx"}, {SYS_epoll_pwait, "fbiibi"}, {SYS_signalfd4, "fbix"}, {SYS_timerfd_create, "ix"}, {SYS_eventfd2, "ix"},
    {SYS_fallocate, "fioo"}, {SYS_timerfd_settime, "fibb"}, {SYS_accept4, "fSLx"}, {SYS_epoll_create1, "x"}, {SYS_dup3, "ffx"}, {SYS_pipe2, "bx"}, {SYS_inotify_init1, "x"},
    {SYS_preadv2, "fvioox"}, {SYS_pwritev2, "fvioox"}, {SYS_recvmmsg, "fmixt"}, {SYS_prlimit64, "pibb"}, {SYS_name_to_handle_at, "fFbbx"}, {SYS_open_by_handle_at, "fbx"},
    {SYS_sendmmsg, "fmix"}, {SYS_setns, "fx"}, {SYS_process_vm_readv, "pvivix"}, {SYS_process_vm_writev, "pvivix"}, {SYS_kcmp, "ppiff"}, {SYS_seccomp, "ixb"},
    {SYS_getrandom, "bnx"}, {SYS_memfd_create, "Fx"}, {SYS_execveat, "fFbbx"}, {SYS_membarrier, "ixi"}, {SYS_copy_file_range, "fbfbnx"}, {SYS_pkey_mprotect, "alxi"},
    {SYS_statx, "fFxxb"}, {SYS_rseq, "bnxi"}, {SYS_pidfd_open, "px"}, {SYS_pidfd_send_signal, "fsbx"}, {SYS_clone3, "bn"}, {SYS_close_range, "ffx"}, {SYS_openat2, "fFbn"},
    {SYS_pidfd_getfd, "ffx"}, {SYS_faccessat2, "fFix"}, {SYS_epoll_pwait2, "fbitbi"}, {SYS_open_tree, "fFx"}, {SYS_move_mount, "fFfFx"}, {SYS_fsopen, "Fx"},
    {SYS_fsconfig, "fiFbi"}, {SYS_fsmount, "fxx"}, {SYS_mount_setattr, "fFxbn"}, {SYS_process_madvise, "fviix"},
};

#define KNOWN (sizeof known / sizeof *known)
#define LAST_CALL 461
#define PAGE 4096ul

static uint64_t state;

static uint64_t next(void)
{
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return state * 0x2545f4914f6cdd1dull;
}

static unsigned below(unsigned n)
{
    return (unsigned)(next() >> 33) % n;
}

static long *made; // calls of all workers, shared with the supervisor
static unsigned char *arena; // 64 pages, every eighth not mapped
static const char *const paths[] = {
    ".", "..", "/", "", "a", "b", "c/d", "c", "/tmp/fuzz", "/proc/self/fd/1", "/proc/self/maps", "/proc/1/stat", "/dev/null", "/dev/zero", "/dev/ptmx", "/dev/tty", "/dev/shm/q", "/proc/self/mem",
    "/etc/passwd", "/bin/true", "/proc/self/ns/net", "/sys/class/net/lo/mtu", "/proc/sys/kernel/hostname", "tmpfs", "user.x", "/q", "/proc/self/task", "/dev/full", "/proc/net/tcp", "/proc/self/comm",
};

static const uint64_t edges[] = {0, 1, 2, 7, 8, 16, 255, 4095, 4096, 4097, 65535, 65536, 0x7fffffff, 0x80000000, 0xffffffff, 0x100000000, 0x7fffffffffffffff, 0x8000000000000000, ~0ull, ~0ull - 4095};

static uint64_t edge(void)
{
    return edges[below(sizeof edges / sizeof *edges)] + (below(4) == 0 ? below(3) - 1 : 0);
}

static unsigned char *buffer(void)
{
    unsigned char *at = arena + below(63) * PAGE + (below(3) ? below(64) * 8 : PAGE - 1 - below(32));
    switch (below(24)) {
    case 0:
        return NULL;
    case 1:
        return (unsigned char *)edge();
    case 2:
        return (unsigned char *)0xffff800000000000ull;
    default:
        return at;
    }
}

static void fill(unsigned char *at, unsigned size)
{
    // Only what is mapped: every eighth page is not.
    for (unsigned i = 0; i + 8 <= size; i += 8) {
        size_t page = (size_t)(at + i + 7 - arena) / PAGE;
        if (at + i < arena || page >= 64 || page % 8 == 7 || (size_t)(at + i - arena) / PAGE % 8 == 7)
            return;
        uint64_t word = below(3) == 0 ? next() : below(2) ? below(8) : edge();
        if (below(8) == 0)
            word = (uint64_t)buffer();
        memcpy(at + i, &word, 8);
    }
}

static int descriptor(void)
{
    return below(20) == 0 ? (int)edge() : (int)below(48) - (below(16) == 0 ? 100 : 0);
}

static uint64_t argument(char kind)
{
    if (below(40) == 0)
        kind = '.';
    unsigned char *at;
    switch (kind) {
    case 'f':
        return (uint64_t)(int64_t)descriptor();
    case 'F':
        if (below(30) == 0)
            return (uint64_t)buffer();
        return (uint64_t)paths[below(sizeof paths / sizeof *paths)];
    case 'b':
    case 'L':
        at = buffer();
        fill(at, 128);
        return (uint64_t)at;
    case 'n':
    case 'l':
        return below(4) ? below(3 * PAGE) : below(8) ? PAGE * below(32) : edge();
    case 'i':
        return below(5) ? below(24) : edge();
    case 'x':
        return below(3) == 0 ? 0 : below(3) == 0 ? next() & 0xffffffff : 1ull << below(32) | (below(2) ? 1ull << below(32) : 0);
    case 'a':
        return below(6) ? (uint64_t)(arena + below(64) * PAGE + (below(3) ? 0 : below(PAGE))) : (uint64_t)buffer();
    case 's':
        return below(8) ? below(65) : edge();
    case 'p':
        return below(3) ? (uint64_t)getpid() : below(8) ? below(40) : (uint64_t)-(int64_t)below(40);
    case 'v': {
        at = buffer();
        if (at < arena || at > arena + 60 * PAGE)
            return (uint64_t)at;
        for (int i = 0; i < 4; i++) {
            struct iovec v = {(void *)argument('b'), argument('n')};
            size_t page = (size_t)(at - arena + 16 * i) / PAGE, end = (size_t)(at - arena + 16 * i + 15) / PAGE;
            if (page % 8 != 7 && end % 8 != 7)
                memcpy(at + 16 * i, &v, sizeof v);
        }
        return (uint64_t)at;
    }
    case 'o':
        return below(3) ? below(1 << 16) : edge();
    case 'S': {
        at = arena + below(6) * PAGE;
        fill(at, 128);
        *(uint16_t *)at = below(6) ? (uint16_t[]){1, 2, 10, 16, 17}[below(5)] : (uint16_t)next();
        if (at[0] == 2 && below(4))
            memcpy(at + 2, (unsigned char[]){0x30, (unsigned char)below(8), 127, 0, 0, 1}, 6);
        if (at[0] == 1)
            strcpy((char *)at + 2, below(2) ? "sock" : "");
        return (uint64_t)at;
    }
    case 't': {
        static struct timespec t;
        t.tv_sec = below(8) ? 0 : (time_t)edge();
        t.tv_nsec = below(8) ? below(1000000) : (long)edge();
        return below(10) ? (uint64_t)&t : 0;
    }
    case 'e': {
        static struct epoll_event e;
        e.events = below(2) ? EPOLLIN | EPOLLOUT : (uint32_t)next();
        e.data.u64 = next();
        return (uint64_t)&e;
    }
    case 'm': {
        static struct mmsghdr h[4];
        for (int i = 0; i < 4; i++) {
            h[i].msg_hdr.msg_name = (void *)(below(2) ? argument('S') : 0);
            h[i].msg_hdr.msg_namelen = (socklen_t)(below(4) ? 16 : argument('n'));
            h[i].msg_hdr.msg_iov = (void *)argument('v');
            h[i].msg_hdr.msg_iovlen = below(8) ? below(5) : argument('n');
            h[i].msg_hdr.msg_control = (void *)(below(2) ? argument('b') : 0);
            h[i].msg_hdr.msg_controllen = below(4) ? 64 : argument('n');
        }
        return (uint64_t)h;
    }
    default:
        return below(4) == 0 ? next() : below(2) ? edge() : argument("fFbniasp"[below(8)]);
    }
}

// Calls that end the worker, stop it for good, or forget its memory; the rest of the table is fair.
static int is_left_out(long number)
{
    return number == SYS_exit || number == SYS_exit_group || number == SYS_rt_sigreturn || number == SYS_pause || number == SYS_vfork || number == SYS_rt_sigsuspend || number == SYS_reboot;
}

static void one_call(void)
{
    const struct call *call = &known[below(KNOWN)];
    long number = call->number;
    const char *kinds = call->arguments;
    if (below(10) == 0) {
        number = below(LAST_CALL + 4);
        kinds = "......";
        if (is_left_out(number))
            return;
    }

    if ((number == SYS_clone || number == SYS_fork || number == SYS_clone3) && below(8))
        return;
    uint64_t a[6] = {0};
    for (int i = 0; kinds[i]; i++)
        a[i] = argument(kinds[i]);

    // The worker's own code, stack and lists stay: a call that unmaps or moves is for the arena, one that shares or threads gets no stack of ours.
    if (number == SYS_munmap || number == SYS_mprotect || number == SYS_pkey_mprotect || number == SYS_mremap || number == SYS_madvise || number == SYS_mmap || number == SYS_remap_file_pages) {
        if (a[0] < (uint64_t)arena || a[0] >= (uint64_t)arena + 64 * PAGE || a[1] > 16 * PAGE)
            a[0] = (uint64_t)arena + below(40) * PAGE, a[1] = PAGE * (1 + below(8));
        if (number == SYS_mremap)
            a[2] = PAGE * (1 + below(8)), a[4] = (uint64_t)arena + below(56) * PAGE;
    }
    if (number == SYS_clone)
        a[0] &= ~(uint64_t)(CLONE_VM | CLONE_VFORK);
    if (number == SYS_clone3)
        a[0] = 0;
    if (number == SYS_kill || number == SYS_tgkill || number == SYS_rt_sigqueueinfo) {
        if ((int64_t)a[0] <= 1)
            a[0] = (uint64_t)getpid();
        for (int i = 1; i < 3; i++)
            if (a[i] == SIGKILL)
                a[i] = SIGUSR1;
    }
    // A traced supervisor is a stopped one.
    if (number == SYS_ptrace && a[1] == 1)
        return;
    if (number == SYS_prctl && a[0] == PR_SET_SECCOMP)
        return;
    if (number == SYS_seccomp && a[0] != 2 + below(2))
        return;

    __atomic_add_fetch(made, 1, __ATOMIC_RELAXED);
    long result = syscall(number, a[0], a[1], a[2], a[3], a[4], a[5]);
    if (result == 0 && (number == SYS_fork || number == SYS_clone || number == SYS_clone3)) {
        // A child makes a few calls of its own and ends.
        for (int i = 0; i < 5; i++)
            syscall(known[below(40)].number, argument('f'), argument('b'), argument('n'), 0, 0, 0);
        _exit(0);
    }
}

static void open_things(void)
{
    int pair[2];
    open("/dev/zero", O_RDWR), open("a", O_RDWR | O_CREAT, 0644), open("/tmp", O_RDONLY | O_DIRECTORY), open("/proc/self/status", O_RDONLY), open("/dev/ptmx", O_RDWR | O_NOCTTY);
    pipe2(pair, O_NONBLOCK), pipe(pair), socketpair(AF_UNIX, SOCK_STREAM, 0, pair), socketpair(AF_UNIX, SOCK_DGRAM, 0, pair), socketpair(AF_UNIX, SOCK_SEQPACKET, 0, pair);
    socket(AF_INET, SOCK_STREAM, 0), socket(AF_INET, SOCK_DGRAM, 0), socket(AF_INET6, SOCK_STREAM | SOCK_NONBLOCK, 0), socket(AF_NETLINK, SOCK_RAW, 0), socket(AF_PACKET, SOCK_RAW, 0x300), socket(AF_INET, SOCK_RAW, 1);
    epoll_create1(0), eventfd(1, 0), timerfd_create(CLOCK_MONOTONIC, 0), inotify_init1(0);
    sigset_t all;
    sigfillset(&all);
    signalfd(-1, &all, 0), syscall(SYS_memfd_create, "m", 2), syscall(SYS_pidfd_open, getpid(), 0);
}

static __thread sigjmp_buf back;
static __thread volatile int may_jump;

// A blocked call is interrupted; a fault in what the fuzzer itself reads or writes is passed over.
static void on_signal(int signal)
{
    if ((signal == SIGSEGV || signal == SIGBUS) && may_jump)
        siglongjmp(back, 1);
}

static void set_signals(void)
{
    struct sigaction action = {.sa_handler = on_signal, .sa_flags = SA_NODEFER};
    for (int signal = 1; signal < 65; signal++)
        sigaction(signal, &action, NULL);
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    struct itimerval tick = {{0, 5000}, {0, 5000}};
    setitimer(ITIMER_REAL, &tick, NULL);
}

static void *make_calls(void *calls)
{
    volatile long i = 0;
    sigsetjmp(back, 0);
    may_jump = 1;
    while (i < (long)calls) {
        if (i++ % 32 == 0)
            set_signals();
        one_call();
    }
    may_jump = 0;
    return NULL;
}

static void worker(uint64_t seed, long calls)
{
    state = (seed + 1) * 0x9e3779b97f4a7c15ull;
    for (int i = 0; i < 8; i++)
        next();
    arena = mmap((void *)0x200000000000, 64 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
    for (int i = 7; i < 64; i += 8)
        munmap(arena + i * PAGE, PAGE);
    char folder[64];
    snprintf(folder, sizeof folder, "/tmp/fuzz-%llu", (unsigned long long)seed);
    mkdir(folder, 0755);
    chdir(folder);
    mkdir("c", 0755);

    // What it prints is not to be mixed with what the supervisor says.
    int null = open("/dev/null", O_RDWR);
    for (int i = 0; i < 3; i++)
        dup2(null, i);
    open_things();
    struct rlimit few = {1 << 22, 1 << 22};
    setrlimit(RLIMIT_FSIZE, &few);
    if (seed % 4 == 3) {
        pthread_t other;
        pthread_create(&other, NULL, make_calls, (void *)calls);
    }
    make_calls((void *)calls);
    _exit(0);
}

static int remove_one(const char *path, const struct stat *status, int kind, struct FTW *where)
{
    (void)status, (void)kind, (void)where;
    remove(path);
    return 0;
}

// The files of a worker are memory.
static void remove_files(uint64_t seed)
{
    char folder[64];
    snprintf(folder, sizeof folder, "/tmp/fuzz-%llu", (unsigned long long)seed);
    nftw(folder, remove_one, 8, FTW_DEPTH | FTW_PHYS);
    remove("/tmp/fuzz");
    remove("/dev/shm/q");
}

static double seconds(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

int main(int count, char **arguments)
{
    if (count != 4)
        return fprintf(stderr, "usage: fuzz_calls SEED WORKERS CALLS\n"), 2;
    if (getpid() != 1)
        return fprintf(stderr, "fuzz_calls: this is for a sandbox only, as its first program\n"), 2;
    uint64_t seed = strtoull(arguments[1], NULL, 10);
    long workers = atol(arguments[2]), calls = atol(arguments[3]), ended = 0, killed = 0;
    setvbuf(stdout, NULL, _IOLBF, 0);
    // The signals of the C library too, which sigaction() refuses.
    struct { void (*handler)(int); unsigned long flags; void *restorer; unsigned long mask; } ignored = {SIG_IGN, 0, NULL, 0};
    for (int i = 1; i < 65; i++)
        if (i != SIGCHLD)
            syscall(SYS_rt_sigaction, i, &ignored, NULL, 8);
    made = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    for (long i = 0; i < workers; i++) {
        pid_t child = fork();
        if (child < 0)
            return printf("fork: %s\n", strerror(errno)), 1;
        if (child == 0) {
            setpgid(0, 0);
            worker(seed + (uint64_t)i, calls);
        }

        // A worker may stop itself or wait for ever; then it is killed, and has to end at once.
        double start = seconds();
        int status, is_killed = 0;
        for (pid_t got; (got = waitpid(child, &status, WNOHANG)) != child;) {
            double waited = seconds() - start;
            kill(child, SIGCONT);
            if (waited > 5 && !is_killed)
                kill(child, SIGKILL), is_killed = 1;
            if (waited > 30)
                return printf("seed %llu: cannot be killed\n", (unsigned long long)(seed + (uint64_t)i)), 1;
            usleep(2000);
        }
        ended++;
        killed += is_killed;

        // What it left behind: children in its group, or in groups of their own.
        kill(-1, SIGKILL);
        while (waitpid(-1, &status, WNOHANG) > 0)
            continue;
        remove_files(seed + (uint64_t)i);
        printf("seed %llu %s\n", (unsigned long long)(seed + (uint64_t)i), is_killed ? "killed" : WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL ? "was killed by the sandbox" : WIFSIGNALED(status) ? "ended by a signal" : "ended");
    }
    printf("%ld workers ended, %ld of them killed; %ld calls\n", ended, killed, *made);
    return 0;
}
