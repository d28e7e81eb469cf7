/**
 * One run of a job over one or more threads, for the raw and the dns models: who takes which
 * request, which number a connection gets, where it all connects to. Bookkeeping only: what a
 * thread does, and where it waits, is the model's.
 *
 * Threads: everything here may be used by all threads of a run.
 */
#ifndef BENCH_JOB_RUN_H
#define BENCH_JOB_RUN_H

#include "target.h"
#include "transfer.h"

#include <stdatomic.h>

struct job_run {
    const struct download_job *job;
    struct transfer_result *results;
    struct target_table targets; /* of HTTP; else empty */
    uint32_t place_count;        /* the most that can be in flight, over all threads */
    _Atomic size_t next;         /* request that nobody has taken */
    _Atomic uint32_t connections;
    _Atomic int error; /* the run cannot go on; -errno of the first thread that said so */
};

/** For an engine that connects by itself. Nothing to release. */
void job_run_init(struct job_run *run, const struct download_job *job,
                  struct transfer_result *results);

/** The same, and the hosts are resolved. @return 0 or -ENOMEM; job_run_release is fine either way
 */
int job_run_init_http(struct job_run *run, const struct download_job *job,
                      struct transfer_result *results);
void job_run_release(struct job_run *run);

/**
 * The next request that nobody has taken. Once the caller has asked to stop, those that are left
 * are answered here.
 * @return false when there is none
 */
bool job_run_take(struct job_run *run, size_t *index, uint64_t now_ns);

/** The number of a connection just made: 1, 2, ... in order of opening. */
static inline uint32_t job_run_connection(struct job_run *run)
{
    return atomic_fetch_add_explicit(&run->connections, 1, memory_order_relaxed) + 1;
}

/** Stop the run; only the first error counts. */
void job_run_fail(struct job_run *run, int error);

static inline bool job_run_goes_on(const struct job_run *run)
{
    return atomic_load_explicit(&run->error, memory_order_relaxed) == 0;
}

/** Does the caller want to be asked whether to stop? */
static inline bool job_run_is_watched(const struct job_run *run)
{
    return run->job->hooks != NULL && run->job->hooks->cancelled != NULL;
}

/** How many places thread `number` of `count` looks after: they add up to place_count. */
uint32_t job_run_share(const struct job_run *run, uint32_t number, uint32_t count);

/** How many loops the job gets: never one without a place. */
uint32_t job_run_loops(const struct job_run *run);

#define JOB_RUN_STACK_DEFAULT 0

/**
 * Run `thread_main` `count` times at once, number 0 on the calling thread; return when all have.
 * When a thread cannot be made the run is stopped.
 * @param stack_bytes  of the threads made; JOB_RUN_STACK_DEFAULT: the system's
 * @return 0 or run->error
 */
int job_run_threads(struct job_run *run, uint32_t count, size_t stack_bytes,
                    void (*thread_main)(struct job_run *run, uint32_t number));

#endif
