/*
 * Model:    a pool of threads, each running one lookup after the other
 * Threads:  as many as may be in flight, the caller's among them
 * Waits in: poll(2), once in every thread
 * Woken by: the thread's own socket, or the time limit; the kernel schedules the threads
 * Syscalls per transfer: 4 (sendto, poll, 2 recvfrom), and the context switches
 * Read next: dns_epoll.c, where one thread watches all the sockets
 *
 * The lines of a lookup are those of dns_sequential.c. A channel of c-ares knows no locks before
 * 1.23, so each thread has its own.
 */
#include "backend.h"

#if defined(HAVE_CARES)

#include "clock.h"
#include "dns_blocking.h"

/* Addresses of an answer and a message lie on the stack of a lookup. */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define THREAD_STACK_BYTES JOB_RUN_STACK_DEFAULT
#else
#define THREAD_STACK_BYTES ((size_t)128 * 1024)
#endif

static enum transfer_step worker_start(struct dns_channel *channel, size_t index)
{
    return dns_channel_start(channel, index, clock_now_ns());
}

/* Blocks this thread until there is an answer; the others go on. */
static enum transfer_step worker_advance(struct dns_channel *channel)
{
    enum transfer_step step = dns_channel_ask(channel);

    while (step == TRANSFER_MORE) {
        step = dns_blocking_wait(channel);
    }
    return step;
}

static void worker_finish(struct dns_channel *channel, enum transfer_step step)
{
    while (step != TRANSFER_DONE) {
        step = worker_advance(channel);
    }
}

static void worker_main(struct job_run *run, uint32_t number)
{
    struct dns_channel channel; /* this thread's place in flight */
    size_t index = 0;

    (void)number;
    dns_channel_init(&channel, run, NULL, NULL);
    while (job_run_take(run, &index, channel.now_ns)) {
        worker_finish(&channel, worker_start(&channel, index));
    }
    dns_channel_release(&channel);
}

static int dns_threads_download_many(const struct download_job *job,
                                     struct transfer_result *results)
{
    struct job_run run;

    if (job->count == 0) {
        return 0;
    }
    int result = dns_engine_init();
    if (result < 0) {
        return result;
    }
    job_run_init(&run, job, results);
    result = job_run_threads(&run, run.place_count, THREAD_STACK_BYTES, worker_main);
    dns_engine_release();
    return result;
}

#define UNAVAILABLE NULL

#else

#include <errno.h>

static int dns_threads_download_many(const struct download_job *job,
                                     struct transfer_result *results)
{
    (void)job, (void)results;
    return -ENOSYS;
}

#define UNAVAILABLE "built without c-ares"

#endif

const struct bench_backend backend_dns_threads = {
    .magic = BENCH_BACKEND_MAGIC,
    .abi_major = BENCH_ABI_MAJOR,
    .abi_minor = BENCH_ABI_MINOR,
    .struct_size = sizeof(struct bench_backend),
    .caps = BENCH_CAP_CONCURRENT | BENCH_CAP_DNS,
    .name = "dns_threads",
    .engine = "c-ares",
    .model = "threads",
    .waits_in = "poll(2)",
    .summary = "c-ares, a pool of threads, one channel each",
    .unavailable = UNAVAILABLE,
    .download_many = dns_threads_download_many,
};
