/*
 * Model:    one lookup after the other, each waited for
 * Threads:  the caller's
 * Waits in: poll(2)
 * Woken by: the only socket there is, or the time limit
 * Syscalls per transfer: 4 (sendto, poll, 2 recvfrom: c-ares reads until EAGAIN)
 * Read next: dns_threads.c, the same loop in many threads
 *
 * Nothing overlaps: N names take N times as long as one. It is what a loop over getaddrinfo(3)
 * does.
 */
#include "backend.h"

#if defined(HAVE_CARES)

#include "clock.h"
#include "dns_blocking.h"

static enum transfer_step sequential_start(struct dns_channel *channel, size_t index)
{
    return dns_channel_start(channel, index, clock_now_ns());
}

/* The question is sent, and then nothing happens until there is an answer. */
static enum transfer_step sequential_advance(struct dns_channel *channel)
{
    enum transfer_step step = dns_channel_ask(channel);

    while (step == TRANSFER_MORE) {
        step = dns_blocking_wait(channel);
    }
    return step;
}

static void sequential_finish(struct dns_channel *channel, enum transfer_step step)
{
    while (step != TRANSFER_DONE) {
        step = sequential_advance(channel);
    }
}

static int dns_sequential_download_many(const struct download_job *job,
                                        struct transfer_result *results)
{
    struct job_run run;
    struct dns_channel channel; /* the one place in flight */
    size_t index = 0;

    int result = dns_engine_init();
    if (result < 0) {
        return result;
    }
    job_run_init(&run, job, results);
    dns_channel_init(&channel, &run, NULL, NULL);
    while (job_run_take(&run, &index, channel.now_ns)) {
        sequential_finish(&channel, sequential_start(&channel, index));
    }
    dns_channel_release(&channel);
    dns_engine_release();
    return 0;
}

#define UNAVAILABLE NULL

#else

#include <errno.h>

static int dns_sequential_download_many(const struct download_job *job,
                                        struct transfer_result *results)
{
    (void)job, (void)results;
    return -ENOSYS;
}

#define UNAVAILABLE "built without c-ares"

#endif

const struct bench_backend backend_dns_sequential = {
    .magic = BENCH_BACKEND_MAGIC,
    .abi_major = BENCH_ABI_MAJOR,
    .abi_minor = BENCH_ABI_MINOR,
    .struct_size = sizeof(struct bench_backend),
    .caps = BENCH_CAP_DNS,
    .name = "dns_sequential",
    .engine = "c-ares",
    .model = "sequential",
    .waits_in = "poll(2)",
    .summary = "c-ares, one lookup after the other",
    .unavailable = UNAVAILABLE,
    .download_many = dns_sequential_download_many,
};
