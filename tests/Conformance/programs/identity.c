#include "conformance.h"
#include <sched.h>
#include <sys/sysinfo.h>
#include <sys/utsname.h>

int main(void)
{
    struct utsname u;
    pid_t pid = getpid(), parent = getppid();
    CHECK_EQ(uname(&u), 0);
    CHECK_EQ(strcmp(u.sysname, "Linux"), 0);
    CHECK_EQ(strcmp(u.machine, "x86_64"), 0);
    maybe_save();
    CHECK_EQ(getpid(), pid);
    CHECK_EQ(getppid(), parent);
    CHECK_EQ(syscall(SYS_gettid), pid);
    CHECK_EQ(getuid(), geteuid());
    cpu_set_t set;
    CHECK_EQ(sched_getaffinity(0, sizeof set, &set), 0);
    CHECK(CPU_COUNT(&set) >= 1);
    CHECK_EQ(sched_yield(), 0);
    struct sysinfo info;
    CHECK_EQ(sysinfo(&info), 0);
    CHECK(info.totalram > 0);
    gid_t groups[64];
    CHECK(getgroups(64, groups) >= 0);
    CHECK_ERRNO(syscall(999), ENOSYS);
    ok("identity");
    return 0;
}
