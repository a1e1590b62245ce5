#include "conformance.h"
#include <linux/aio_abi.h>
#include <sys/eventfd.h>

static int submit(aio_context_t context, struct iocb *control)
{
    return (int)syscall(SYS_io_submit, context, 1L, &control);
}

static int get(aio_context_t context, long least, long most, struct io_event *events, struct timespec *timeout)
{
    return (int)syscall(SYS_io_getevents, context, least, most, events, timeout);
}

int main(void)
{
    aio_context_t context = 0;
    struct io_event events[4];
    char buffer[16] = {0};
    CHECK_EQ(syscall(SYS_io_setup, 8, &context), 0);
    CHECK(context != 0);
    enter_scratch();
    int fd = open("file", O_CREAT | O_RDWR, 0600), counter = eventfd(0, 0);
    CHECK(fd >= 0 && counter >= 0);
    struct iocb write_it = {.aio_data = 1, .aio_lio_opcode = IOCB_CMD_PWRITE, .aio_fildes = (uint32_t)fd, .aio_buf = (uintptr_t)"aio bytes", .aio_nbytes = 9,
                            .aio_flags = IOCB_FLAG_RESFD, .aio_resfd = (uint32_t)counter};
    CHECK_EQ(submit(context, &write_it), 1);
    CHECK_EQ(get(context, 1, 4, events, NULL), 1);
    CHECK_EQ(events[0].data, 1);
    CHECK_EQ(events[0].res, 9);
    CHECK_EQ(events[0].obj, (uintptr_t)&write_it);
    uint64_t count;
    CHECK_EQ(read(counter, &count, 8), 8);
    CHECK_EQ(count, 1);
    struct iocb read_it = {.aio_data = 2, .aio_lio_opcode = IOCB_CMD_PREAD, .aio_fildes = (uint32_t)fd, .aio_buf = (uintptr_t)buffer, .aio_nbytes = 9};
    CHECK_EQ(submit(context, &read_it), 1);
    maybe_save();
    CHECK_EQ(get(context, 1, 4, events, NULL), 1);
    CHECK_EQ(events[0].res, 9);
    CHECK(strcmp(buffer, "aio bytes") == 0);
    ok("file");

    int fds[2];
    CHECK_EQ(pipe(fds), 0);
    struct iocb poll_it = {.aio_data = 3, .aio_lio_opcode = 5, .aio_fildes = (uint32_t)fds[0], .aio_buf = 1};
    CHECK_EQ(submit(context, &poll_it), 1);
    struct timespec soon = {0, 10000000};
    CHECK_EQ(get(context, 1, 4, events, &soon), 0);
    maybe_save();
    pid_t pid = fork_checked();
    if (pid == 0) {
        sleep_ms(30);
        maybe_save();
        CHECK_EQ(write(fds[1], "x", 1), 1);
        _exit(0);
    }
    CHECK_EQ(get(context, 1, 4, events, NULL), 1);
    CHECK_EQ(events[0].data, 3);
    CHECK(events[0].res & 1);
    reap(pid);
    ok("poll");

    CHECK_EQ(syscall(SYS_io_destroy, context), 0);
    CHECK_ERRNO(syscall(SYS_io_destroy, context), EINVAL);
    CHECK_EQ(unlink("file"), 0);
    leave_scratch();
    ok("destroy");
    return 0;
}
