#include "job_run.h"

#include <assert.h>
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>

struct thread {
    pthread_t id;
    struct job_run *run;
    uint32_t number;
    void (*main)(struct job_run *run, uint32_t number);
};

void job_run_init(struct job_run *run, const struct download_job *job,
                  struct transfer_result *results)
{
    *run = (struct job_run){.job = job, .results = results};
    run->place_count = job->count < job->concurrency ? (uint32_t)job->count : job->concurrency;
}

int job_run_init_http(struct job_run *run, const struct download_job *job,
                      struct transfer_result *results)
{
    job_run_init(run, job, results);
    return target_table_init(&run->targets, job);
}

void job_run_release(struct job_run *run)
{
    target_table_release(&run->targets);
}

bool job_run_take(struct job_run *run, size_t *index, uint64_t now_ns)
{
    const struct download_job *job = run->job;

    /* The counter orders nothing: what a thread reads of the job was written before it began. */
    while (job_run_goes_on(run)) {
        *index = atomic_fetch_add_explicit(&run->next, 1, memory_order_relaxed);
        if (*index >= job->count) {
            return false;
        }
        if (!transfer_cancelled(job)) {
            return true;
        }
        transfer_cancel_unstarted(job, run->results, *index, now_ns);
    }
    return false;
}

void job_run_fail(struct job_run *run, int error)
{
    int none = 0;

    assert(error < 0);
    (void)atomic_compare_exchange_strong(&run->error, &none, error);
}

uint32_t job_run_share(const struct job_run *run, uint32_t number, uint32_t count)
{
    assert(number < count);
    return run->place_count / count + (number < run->place_count % count);
}

uint32_t job_run_loops(const struct job_run *run)
{
    return run->job->loops < run->place_count ? run->job->loops : run->place_count;
}

static void *thread_start(void *user)
{
    struct thread *self = user;

    self->main(self->run, self->number);
    return NULL;
}

/* @return how many were made; the run is stopped when that is not all of them */
static uint32_t threads_start(struct job_run *run, struct thread *threads, uint32_t count,
                              size_t stack_bytes)
{
    pthread_attr_t attributes;
    uint32_t started = 0;

    int result = pthread_attr_init(&attributes);
    if (result != 0) {
        job_run_fail(run, -result);
        return 0;
    }
    if (stack_bytes != JOB_RUN_STACK_DEFAULT) {
        (void)pthread_attr_setstacksize(&attributes, stack_bytes); /* else the default */
    }
    while (started < count && job_run_goes_on(run)) {
        struct thread *thread = &threads[started];
        result = pthread_create(&thread->id, &attributes, thread_start, thread);
        if (result != 0) {
            job_run_fail(run, -result);
            break;
        }
        started++;
    }
    (void)pthread_attr_destroy(&attributes);
    return started;
}

int job_run_threads(struct job_run *run, uint32_t count, size_t stack_bytes,
                    void (*thread_main)(struct job_run *run, uint32_t number))
{
    struct thread *threads = NULL;
    uint32_t started = 0;

    assert(count > 0);
    if (count > 1) {
        threads = calloc(count - 1, sizeof threads[0]);
        if (threads == NULL) {
            return -ENOMEM;
        }
        for (uint32_t i = 0; i < count - 1; i++) {
            threads[i] = (struct thread){.run = run, .number = i + 1, .main = thread_main};
        }
        started = threads_start(run, threads, count - 1, stack_bytes);
    }
    if (job_run_goes_on(run)) {
        thread_main(run, 0);
    }
    for (uint32_t i = 0; i < started; i++) {
        (void)pthread_join(threads[i].id, NULL);
    }
    free(threads);
    return atomic_load(&run->error);
}
