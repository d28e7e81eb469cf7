/*
 * Model:    one transfer after the other, each waited for
 * Threads:  the caller's
 * Waits in: poll(2), inside curl_easy_perform
 * Woken by: the only socket there is
 * Syscalls per transfer: 7 to 8 (5 poll, 1 send, 1 or 2 recv)
 * Read next: curl_threads.c, the same loop in many threads
 *
 * Nothing overlaps: with a delay D the run takes the sum of all the delays. It is the floor
 * that every other model is there to raise.
 */
#include "backend.h"
#include "clock.h"
#include "curl_transfer.h"

struct sequential {
    struct curl_run run;
    struct curl_transfer transfer; /* the one place in flight */
};

static enum transfer_step sequential_start(struct sequential *self, size_t index)
{
    return curl_transfer_start(&self->transfer, index);
}

/* The whole model: this line returns when the response is there. */
static enum transfer_step sequential_advance(struct sequential *self)
{
    return curl_transfer_finish(&self->transfer, curl_transfer_perform(&self->transfer));
}

static void sequential_finish(struct sequential *self, enum transfer_step step)
{
    while (step != TRANSFER_DONE) {
        step =
            step == TRANSFER_SAVE ? curl_transfer_save(&self->transfer) : sequential_advance(self);
    }
}

static void sequential_loop(struct sequential *self)
{
    const struct download_job *job = self->run.job;

    for (size_t i = 0; i < job->count; i++) {
        if (transfer_cancelled(job)) {
            transfer_cancel_unstarted(job, self->run.results, i, clock_now_ns());
            continue;
        }
        sequential_finish(self, sequential_start(self, i));
    }
}

static int sequential_download_many(const struct download_job *job, struct transfer_result *results)
{
    struct sequential self = {0};

    if (job->count == 0) {
        return 0;
    }
    int result = curl_run_init(&self.run, job, results);
    if (result < 0) {
        goto out;
    }
    result = curl_transfer_init(&self.transfer, &self.run);
    if (result < 0) {
        goto out;
    }
    sequential_loop(&self);
out:
    curl_transfer_release(&self.transfer);
    curl_run_release(&self.run);
    return result;
}

const struct bench_backend backend_curl_sequential = {
    .magic = BENCH_BACKEND_MAGIC,
    .abi_major = BENCH_ABI_MAJOR,
    .abi_minor = BENCH_ABI_MINOR,
    .struct_size = sizeof(struct bench_backend),
    .caps = BENCH_CAP_TLS,
    .name = "curl_sequential",
    .engine = "curl",
    .model = "sequential",
    .waits_in = "poll(2)",
    .summary = "libcurl, one transfer after the other",
    .download_many = sequential_download_many,
};
