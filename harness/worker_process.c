#include "worker_process.h"

#include "child.h"
#include "interrupt.h"
#include "placement.h"
#include "worker.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

/* After fork, before exec: only async-signal-safe calls (signal-safety(7)). */
static void become_worker(const char *const *argv, int memory_fd, int control_fd, int output_dir_fd,
                          const struct placement *placement)
{
    (void)setpgid(0, 0); /* a Ctrl-C at the terminal is the runner's to handle */
    interrupt_reset_in_child();
    placement_apply_client(placement);
    /* stdout is for results: what a backend prints goes where chatter goes. */
    (void)dup2(STDERR_FILENO, STDOUT_FILENO);
    (void)fcntl(memory_fd, F_SETFD, 0);
    (void)fcntl(control_fd, F_SETFD, 0);
    if (output_dir_fd >= 0) {
        (void)fcntl(output_dir_fd, F_SETFD, 0);
    }
    (void)execv("/proc/self/exe", (char *const *)argv);
    _exit(127);
}

int worker_process_start(struct worker_process *worker, int memory_fd, int output_dir_fd,
                         const struct placement *placement)
{
    int ends[2];
    char memory_text[16];
    char control_text[16];
    char parent_text[16];

    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) != 0) {
        return -errno;
    }
    (void)snprintf(memory_text, sizeof memory_text, "%d", memory_fd);
    (void)snprintf(control_text, sizeof control_text, "%d", ends[1]);
    (void)snprintf(parent_text, sizeof parent_text, "%d", (int)getpid());
    const char *const argv[] = {"bench",      WORKER_COMMAND, memory_text,
                                control_text, parent_text,    NULL};

    pid_t pid = fork();
    if (pid == 0) {
        become_worker(argv, memory_fd, ends[1], output_dir_fd, placement);
    }
    int error = pid < 0 ? -errno : 0;
    (void)close(ends[1]);
    if (error != 0) {
        (void)close(ends[0]);
        return error;
    }
    (void)setpgid(pid, pid); /* whoever comes first */
    *worker = (struct worker_process){.pid = pid, .control_fd = ends[0]};
    return 0;
}

enum worker_event worker_process_wait(struct worker_process *worker, uint64_t deadline_ns,
                                      char *said)
{
    struct pollfd fds[] = {
        {.fd = worker->control_fd, .events = POLLIN},
        {.fd = interrupt_fd(), .events = POLLIN},
    };

    for (;;) {
        int ready = poll(fds, 2, child_poll_ms(deadline_ns));
        if (ready < 0 && errno == EINTR) {
            continue;
        }
        if (ready <= 0) {
            return WORKER_LATE;
        }
        if (fds[1].revents != 0) {
            return WORKER_INTERRUPTED;
        }
        return read(worker->control_fd, said, 1) == 1 ? WORKER_SAID : WORKER_GONE;
    }
}

int worker_process_tell(struct worker_process *worker, char byte)
{
    return send(worker->control_fd, &byte, 1, MSG_NOSIGNAL) == 1 ? 0 : -EPIPE;
}

int worker_process_stop(struct worker_process *worker, uint64_t grace_ns)
{
    (void)close(worker->control_fd);
    worker->control_fd = -1;
    return child_reap(worker->pid, grace_ns);
}
