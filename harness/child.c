#include "child.h"

#include "backends/clock.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/wait.h>
#include <unistd.h>

int child_poll_ms(uint64_t deadline_ns)
{
    uint64_t now_ns = clock_now_ns();

    if (now_ns >= deadline_ns) {
        return 0;
    }
    uint64_t ms = (deadline_ns - now_ns + NS_PER_MS - 1) / NS_PER_MS;
    return ms > INT_MAX ? INT_MAX : (int)ms;
}

int child_reap(pid_t pid, uint64_t grace_ns)
{
    struct pollfd ended = {.fd = pidfd_open(pid, 0), .events = POLLIN};
    uint64_t deadline_ns = clock_now_ns() + grace_ns;
    int status = 0;
    int ready = 0;

    if (ended.fd >= 0) {
        do {
            ready = poll(&ended, 1, child_poll_ms(deadline_ns));
        } while (ready < 0 && errno == EINTR);
        (void)close(ended.fd);
    }
    /* The group is its own: whatever it forked and left behind goes with it. */
    (void)kill(-pid, SIGKILL);
    if (ready != 1) {
        (void)kill(pid, SIGKILL);
    }
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR) {
    }
    return status;
}

int child_program_folder(char *out, size_t out_bytes)
{
    ssize_t bytes = readlink("/proc/self/exe", out, out_bytes - 1);

    if (bytes < 0) {
        return -errno;
    }
    if ((size_t)bytes == out_bytes - 1) {
        return -ENAMETOOLONG;
    }
    out[bytes] = '\0';
    *strrchr(out, '/') = '\0';
    return 0;
}
