/*
 * Model:    a pool of threads, each running one transfer after the other
 * Threads:  as many as may be in flight, the caller's among them
 * Waits in: recv(2), once in every thread
 * Woken by: the thread's own socket or its SO_RCVTIMEO; the kernel schedules the threads
 * Syscalls per transfer: 2 (send, recv), and the context switches
 * Read next: raw_epoll.c, where one thread watches all the sockets
 *
 * The lines of a transfer are those of raw_sequential.c; the scheduler is the event loop. What
 * is new: who takes which request (a counter), and that each thread has its own connection,
 * stack and buffer, which is also what this model costs: the answers of all places lie in as many
 * stretches of memory, and waking a thread takes longer than serving it.
 */
#include "backend.h"
#include "job_run.h"
#include "raw_blocking.h"

/* A transfer needs less than 16 KiB, the buffer is not on the stack, and the rest is for hooks.
 * Sanitizers make frames several times as large. */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define THREAD_STACK_BYTES JOB_RUN_STACK_DEFAULT
#else
#define THREAD_STACK_BYTES ((size_t)64 * 1024)
#endif

static enum transfer_step place_start(struct blocking_place *place, size_t index)
{
    return blocking_start(place, index);
}

/* Each of these blocks this thread until it is over; the others go on. */
static enum transfer_step place_advance(struct blocking_place *place)
{
    enum transfer_step step = blocking_connect(place);

    if (step == TRANSFER_MORE) {
        step = blocking_send(place);
    }
    while (step == TRANSFER_MORE) {
        step = blocking_receive(place);
    }
    return step;
}

static void place_finish(struct blocking_place *place, enum transfer_step step)
{
    while (step != TRANSFER_DONE) {
        step = step == TRANSFER_SAVE ? blocking_save(place) : place_advance(place);
    }
}

static void place_loop(struct blocking_place *place)
{
    size_t index = 0;

    while (job_run_take(place->run, &index, place->now_ns)) {
        place_finish(place, place_start(place, index));
    }
}

static void worker_main(struct job_run *run, uint32_t number)
{
    struct blocking_place place; /* this thread's place in flight */

    (void)number;
    int result = blocking_place_init(&place, run);
    if (result < 0) {
        job_run_fail(run, result);
    } else {
        place_loop(&place);
    }
    blocking_place_release(&place);
}

static int raw_threads_download_many(const struct download_job *job,
                                     struct transfer_result *results)
{
    struct job_run run;

    if (job->count == 0) {
        return 0;
    }
    int result = job_run_init_http(&run, job, results);
    if (result == 0) {
        result = job_run_threads(&run, run.place_count, THREAD_STACK_BYTES, worker_main);
    }
    job_run_release(&run);
    return result;
}

const struct bench_backend backend_raw_threads = {
    .magic = BENCH_BACKEND_MAGIC,
    .abi_major = BENCH_ABI_MAJOR,
    .abi_minor = BENCH_ABI_MINOR,
    .struct_size = sizeof(struct bench_backend),
    .caps = BENCH_CAP_CONCURRENT,
    .name = "raw_threads",
    .engine = "raw",
    .model = "threads",
    .waits_in = "recv(2)",
    .summary = "a pool of threads, one blocking socket each",
    .download_many = raw_threads_download_many,
};
