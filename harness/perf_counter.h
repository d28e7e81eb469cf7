/**
 * System calls of this process, its threads and children, counted by the kernel's tracepoint
 * raw_syscalls:sys_enter (perf_event_open(2)). Counting makes every call a little slower, so it
 * is never done in a trial whose time counts.
 */
#ifndef BENCH_PERF_COUNTER_H
#define BENCH_PERF_COUNTER_H

#include <stdint.h>

#define PERF_COUNTER_HINT_BYTES 128

/**
 * Make a counter for the calling thread and all it starts from now on; it does not count yet.
 * @param hint  why there is none, and what would help, in one line
 * @return descriptor, or -errno
 */
int perf_counter_open(char hint[PERF_COUNTER_HINT_BYTES]);

/** Begin to count from zero. */
void perf_counter_start(int fd);

/** Stop, read, close. @return -1 when it could not be read */
int64_t perf_counter_finish(int fd);

#endif
