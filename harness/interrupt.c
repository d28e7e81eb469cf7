#include "interrupt.h"

#include "exit_code.h"

#include "backends/clock.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/signalfd.h>
#include <unistd.h>

/* It is asked before each transfer: a system call each time would show in the time of one. */
#define LOOK_INTERVAL_NS NS_PER_MS

static const int numbers[] = {SIGINT, SIGTERM, SIGHUP};
static int signal_fd = -1;

static void interrupt_signals(sigset_t *set)
{
    (void)sigemptyset(set);
    for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++) {
        (void)sigaddset(set, numbers[i]);
    }
}

static void set_handlers(void (*handler)(int))
{
    for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++) {
        (void)signal(numbers[i], handler);
    }
}

/* Runs between interrupt_act and interrupt_hold only. */
static void end_process(int number)
{
    (void)number;
    _exit(EXIT_INTERRUPTED);
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
    set_handlers(end_process);
    /* A reader of our output may go away; that is an error of write, not a death. */
    (void)signal(SIGPIPE, SIG_IGN);
    return 0;
}

int interrupt_fd(void)
{
    return signal_fd;
}

static bool is_pending(void)
{
    struct pollfd poll_fd = {.fd = signal_fd, .events = POLLIN};
    return signal_fd >= 0 && poll(&poll_fd, 1, 0) == 1;
}

bool interrupted(void)
{
    static atomic_bool seen;
    static _Atomic uint64_t looked_ns;
    const uint64_t now_ns = clock_now_ns();

    if (now_ns - atomic_load_explicit(&looked_ns, memory_order_relaxed) >= LOOK_INTERVAL_NS) {
        atomic_store_explicit(&looked_ns, now_ns, memory_order_relaxed);
        if (is_pending()) {
            atomic_store(&seen, true);
        }
    }
    return atomic_load(&seen);
}

void interrupt_act(void)
{
    sigset_t set;

    interrupt_signals(&set);
    (void)sigprocmask(SIG_UNBLOCK, &set, NULL);
}

void interrupt_hold(void)
{
    sigset_t set;

    interrupt_signals(&set);
    (void)sigprocmask(SIG_BLOCK, &set, NULL);
}

void interrupt_reset_in_child(void)
{
    set_handlers(SIG_DFL);
    interrupt_act();
    (void)signal(SIGPIPE, SIG_DFL);
}
