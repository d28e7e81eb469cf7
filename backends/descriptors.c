#include "descriptors.h"

#include <fcntl.h>
#include <limits.h>
#include <sys/resource.h>
#include <unistd.h>

uint64_t descriptors_raise_limit(void)
{
    struct rlimit limit;

    if (getrlimit(RLIMIT_NOFILE, &limit) != 0) {
        return 0;
    }
    if (limit.rlim_cur < limit.rlim_max) {
        limit.rlim_cur = limit.rlim_max;
        (void)setrlimit(RLIMIT_NOFILE, &limit);
        (void)getrlimit(RLIMIT_NOFILE, &limit);
    }
    return limit.rlim_cur;
}

void descriptors_reserve(uint64_t count)
{
    struct rlimit limit;

    if (getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur == 0) {
        return;
    }
    uint64_t last = count < limit.rlim_cur ? count : limit.rlim_cur - 1;
    int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
    int high_fd = fd < 0 || last > INT_MAX ? -1 : fcntl(fd, F_DUPFD_CLOEXEC, (int)last);
    if (high_fd >= 0) {
        (void)close(high_fd); /* the table stays as it is */
    }
    if (fd >= 0) {
        (void)close(fd);
    }
}
