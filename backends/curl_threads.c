/*
 * Model:    a pool of threads, each running one transfer after the other
 * Threads:  as many as may be in flight
 * Waits in: poll(2), inside curl_easy_perform, once in every thread
 * Woken by: the thread's own socket; the kernel schedules the threads
 * Syscalls per transfer: 7 to 8 (5 poll, 1 send, 1 or 2 recv), and the context switches
 * Read next: curl_libuv.c, where one thread watches all the sockets
 *
 * The code of a transfer is that of curl_sequential.c. What is new: who takes which request
 * (a counter), and that each thread has its own handle, hence its own kept connection.
 */
#include "backend.h"
#include "clock.h"
#include "curl_transfer.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

#define THREAD_STACK_BYTES ((size_t)256 * 1024) /* libcurl stays below half of that */

struct pool {
    struct curl_run run;
    _Atomic size_t next; /* request that nobody has taken yet */
    _Atomic int error;   /* -errno of a thread that could not work; 0: none */
};

/* One thread and its place in flight. */
struct worker {
    struct pool *pool;
    pthread_t thread;
    struct curl_transfer transfer;
};

static enum transfer_step worker_start(struct worker *self, size_t index)
{
    return curl_transfer_start(&self->transfer, index);
}

/* Blocks this thread until the response is there; the others go on. */
static enum transfer_step worker_advance(struct worker *self)
{
    return curl_transfer_finish(&self->transfer, curl_transfer_perform(&self->transfer));
}

static void worker_finish(struct worker *self, enum transfer_step step)
{
    while (step != TRANSFER_DONE) {
        step = step == TRANSFER_SAVE ? curl_transfer_save(&self->transfer) : worker_advance(self);
    }
}

static void worker_loop(struct worker *self)
{
    struct pool *pool = self->pool;
    const struct download_job *job = pool->run.job;

    while (atomic_load(&pool->error) == 0) {
        size_t index = atomic_fetch_add(&pool->next, 1);
        if (index >= job->count) {
            break;
        }
        if (transfer_cancelled(job)) {
            transfer_cancel_unstarted(job, pool->run.results, index, clock_now_ns());
            continue;
        }
        worker_finish(self, worker_start(self, index));
    }
}

static void *worker_main(void *user)
{
    struct worker *self = user;

    /* Made here, so that the handles are set up side by side as well. */
    int result = curl_transfer_init(&self->transfer, &self->pool->run);
    if (result < 0) {
        atomic_store(&self->pool->error, result);
    } else {
        worker_loop(self);
    }
    curl_transfer_release(&self->transfer);
    return NULL;
}

/* @return how many threads run; pool->error is set when that is not all of them */
static size_t pool_start(struct pool *self, struct worker *workers, size_t count)
{
    pthread_attr_t attributes;
    size_t started = 0;

    int result = pthread_attr_init(&attributes);
    if (result != 0) {
        atomic_store(&self->error, -result);
        return 0;
    }
    (void)pthread_attr_setstacksize(&attributes, THREAD_STACK_BYTES); /* else the default */
    while (started < count && atomic_load(&self->error) == 0) {
        struct worker *worker = &workers[started];
        worker->pool = self;
        result = pthread_create(&worker->thread, &attributes, worker_main, worker);
        if (result != 0) {
            atomic_store(&self->error, -result);
            break;
        }
        started++;
    }
    (void)pthread_attr_destroy(&attributes);
    return started;
}

static int threads_download_many(const struct download_job *job, struct transfer_result *results)
{
    struct pool self = {0};
    struct worker *workers = NULL;
    size_t count = curl_run_places(job);

    if (job->count == 0) {
        return 0;
    }
    int result = curl_run_init(&self.run, job, results);
    if (result < 0) {
        goto out;
    }
    workers = calloc(count, sizeof workers[0]);
    if (workers == NULL) {
        result = -ENOMEM;
        goto out;
    }
    size_t started = pool_start(&self, workers, count);
    for (size_t i = 0; i < started; i++) {
        (void)pthread_join(workers[i].thread, NULL);
    }
    result = atomic_load(&self.error);
out:
    free(workers);
    curl_run_release(&self.run);
    return result;
}

const struct bench_backend backend_curl_threads = {
    .magic = BENCH_BACKEND_MAGIC,
    .abi_major = BENCH_ABI_MAJOR,
    .abi_minor = BENCH_ABI_MINOR,
    .struct_size = sizeof(struct bench_backend),
    .caps = BENCH_CAP_CONCURRENT | BENCH_CAP_TLS,
    .name = "curl_threads",
    .engine = "curl",
    .model = "threads",
    .waits_in = "poll(2)",
    .summary = "libcurl, a pool of threads, one handle each",
    .download_many = threads_download_many,
};
