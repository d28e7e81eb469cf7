#include "perf_counter.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/perf_event.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/syscall.h>
#include <unistd.h>

#define EVENT "events/raw_syscalls/sys_enter/id"

static int read_id(int folder_fd, const char *path)
{
    char text[32] = "";
    int fd = openat(folder_fd, path, O_RDONLY | O_CLOEXEC);

    if (fd < 0) {
        return -errno;
    }
    ssize_t bytes = read(fd, text, sizeof text - 1);
    (void)close(fd);
    return bytes > 0 ? (int)strtol(text, NULL, 10) : -EIO;
}

/* Where tracefs is not mounted, root can look into one that is mounted nowhere: nothing changes
 * for anybody else (fsopen(2), fsmount(2)). */
static int read_id_unmounted(void)
{
    int id = -ENOENT;
    int context_fd = fsopen("tracefs", FSOPEN_CLOEXEC);

    if (context_fd < 0) {
        return -errno;
    }
    if (fsconfig(context_fd, FSCONFIG_CMD_CREATE, NULL, NULL, 0) == 0) {
        int folder_fd = fsmount(context_fd, FSMOUNT_CLOEXEC, 0);
        if (folder_fd >= 0) {
            id = read_id(folder_fd, EVENT);
            (void)close(folder_fd);
        }
    }
    (void)close(context_fd);
    return id;
}

static int event_id(void)
{
    int id = read_id(AT_FDCWD, "/sys/kernel/tracing/" EVENT);

    if (id < 0) {
        id = read_id(AT_FDCWD, "/sys/kernel/debug/tracing/" EVENT);
    }
    return id < 0 ? read_id_unmounted() : id;
}

int perf_counter_open(char hint[PERF_COUNTER_HINT_BYTES])
{
    struct perf_event_attr attributes = {
        .type = PERF_TYPE_TRACEPOINT,
        .size = sizeof attributes,
        .disabled = 1,
        .inherit = 1,
    };
    int id = event_id();

    if (id < 0) {
        (void)snprintf(hint, PERF_COUNTER_HINT_BYTES,
                       "system calls are not counted: no tracepoint (%s; run as root, or mount "
                       "tracefs readable)",
                       strerrordesc_np(-id));
        return id;
    }
    attributes.config = (uint64_t)id;
    long fd = syscall(SYS_perf_event_open, &attributes, 0, -1, -1, PERF_FLAG_FD_CLOEXEC);
    if (fd < 0) {
        int error = -errno;
        (void)snprintf(hint, PERF_COUNTER_HINT_BYTES,
                       "system calls are not counted: perf_event_open: %s (root, CAP_PERFMON or "
                       "kernel.perf_event_paranoid = -1)",
                       strerrordesc_np(-error));
        return error;
    }
    return (int)fd;
}

void perf_counter_start(int fd)
{
    (void)ioctl(fd, PERF_EVENT_IOC_RESET, 0);
    (void)ioctl(fd, PERF_EVENT_IOC_ENABLE, 0);
}

int64_t perf_counter_finish(int fd)
{
    uint64_t count = 0;

    (void)ioctl(fd, PERF_EVENT_IOC_DISABLE, 0);
    ssize_t bytes = read(fd, &count, sizeof count);
    (void)close(fd);
    return bytes == (ssize_t)sizeof count ? (int64_t)count : -1;
}
