/** The runner's hold on one worker: start it, talk to it, and be sure that it is gone. */
#ifndef BENCH_WORKER_PROCESS_H
#define BENCH_WORKER_PROCESS_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct placement;

struct worker_process {
    pid_t pid;
    int control_fd;
};

enum worker_event {
    WORKER_SAID,        /* the byte is in *said */
    WORKER_GONE,        /* its end of the control socket is closed */
    WORKER_LATE,        /* the deadline passed */
    WORKER_INTERRUPTED, /* the user wants to stop */
};

/** @param output_dir_fd handed down when not -1. @return 0 or -errno */
int worker_process_start(struct worker_process *worker, int memory_fd, int output_dir_fd,
                         const struct placement *placement);

/** Wait until it says something, ends, or deadline_ns (CLOCK_MONOTONIC) passes. */
enum worker_event worker_process_wait(struct worker_process *worker, uint64_t deadline_ns,
                                      char *said);

/** Tell it one byte. @return 0 or -errno */
int worker_process_tell(struct worker_process *worker, char byte);

/**
 * Reap it, with all it started. It is killed when it has not ended within grace_ns.
 * @return wait status as of waitpid(2)
 */
int worker_process_stop(struct worker_process *worker, uint64_t grace_ns);

#endif
