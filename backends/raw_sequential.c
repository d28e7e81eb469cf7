/*
 * Model:    one transfer after the other, each waited for
 * Threads:  the caller's
 * Waits in: recv(2)
 * Woken by: the only socket there is; its SO_RCVTIMEO
 * Syscalls per transfer: 2 (send, recv)
 * Read next: raw_threads.c, the same lines in many threads
 *
 * What every textbook begins with: connect, send, receive until it is all there. Nothing
 * overlaps: with a delay D the run takes the sum of all the delays. Without one it still waits
 * more than it works: the processor falls asleep and is woken for every single answer.
 */
#include "backend.h"
#include "job_run.h"
#include "raw_blocking.h"

static enum transfer_step place_start(struct blocking_place *place, size_t index)
{
    return blocking_start(place, index);
}

/* The whole model: each of these returns when it is over. */
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

static int raw_sequential_download_many(const struct download_job *job,
                                        struct transfer_result *results)
{
    struct job_run run;

    if (job->count == 0) {
        return 0;
    }
    int result = job_run_init_http(&run, job, results);
    if (result == 0) {
        struct blocking_place place; /* the one place in flight */
        result = blocking_place_init(&place, &run);
        if (result == 0) {
            place_loop(&place);
        }
        blocking_place_release(&place);
    }
    job_run_release(&run);
    return result;
}

const struct bench_backend backend_raw_sequential = {
    .magic = BENCH_BACKEND_MAGIC,
    .abi_major = BENCH_ABI_MAJOR,
    .abi_minor = BENCH_ABI_MINOR,
    .struct_size = sizeof(struct bench_backend),
    .caps = 0,
    .name = "raw_sequential",
    .engine = "raw",
    .model = "sequential",
    .waits_in = "recv(2)",
    .summary = "one blocking socket, one transfer after the other",
    .download_many = raw_sequential_download_many,
};
