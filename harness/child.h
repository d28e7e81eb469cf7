/** Waiting for a child process with a deadline. */
#ifndef BENCH_CHILD_H
#define BENCH_CHILD_H

#include <stdint.h>
#include <sys/types.h>

/** Reap `pid`; SIGKILL to its process group once grace_ns has passed. @return wait status */
int child_reap(pid_t pid, uint64_t grace_ns);

/** Milliseconds from now to a CLOCK_MONOTONIC deadline for poll(2), rounded up, at least 0. */
int child_poll_ms(uint64_t deadline_ns);

/** The folder that this program lies in, into `out`. @return 0 or -errno */
int child_program_folder(char *out, size_t out_bytes);

#endif
