#include "interrupt.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stddef.h>
#include <sys/signalfd.h>

static int signal_fd = -1;

static void interrupt_signals(sigset_t *set)
{
    (void)sigemptyset(set);
    (void)sigaddset(set, SIGINT);
    (void)sigaddset(set, SIGTERM);
    (void)sigaddset(set, SIGHUP);
}

int interrupt_init(void)
{
    sigset_t set;

    interrupt_signals(&set);
    if (sigprocmask(SIG_BLOCK, &set, NULL) != 0) {
        return -errno;
    }
    signal_fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
    if (signal_fd < 0) {
        return -errno;
    }
    /* A reader of our output may go away; that is an error of write, not a death. */
    (void)signal(SIGPIPE, SIG_IGN);
    return 0;
}

int interrupt_fd(void)
{
    return signal_fd;
}

bool interrupted(void)
{
    struct pollfd poll_fd = {.fd = signal_fd, .events = POLLIN};
    return signal_fd >= 0 && poll(&poll_fd, 1, 0) == 1;
}

void interrupt_reset_in_child(void)
{
    sigset_t set;

    interrupt_signals(&set);
    (void)sigprocmask(SIG_UNBLOCK, &set, NULL);
    (void)signal(SIGPIPE, SIG_DFL);
}
