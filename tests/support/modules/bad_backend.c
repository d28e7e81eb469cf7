/*
 * Backends that break the contract, each in one way; BAD_KIND chooses which. The harness has to
 * find them out, name the reason, and go on with the rest of the run.
 *
 * All but the plainest download for real, with libcurl, and then do their one wrong thing.
 */
#include "backends/backend.h"
#include "backends/clock.h"
#include "backends/curl_transfer.h"

#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define LIES 1    /* claims ok without asking the server */
#define MIXES 2   /* returns another flag's bytes for every flag */
#define CRASHES 3 /* ends by a signal */
#define HANGS 4   /* never returns */
#define LEAKS 5   /* leaves a descriptor open */
#define EXCEEDS 6 /* more in flight than allowed */
#define FORGETS 7 /* leaves a slot unanswered */
#define REFUSES 8 /* says that it cannot proceed */
#define EXITS 9   /* ends the process */

extern const struct bench_backend backend_curl_sequential;
extern const struct bench_backend backend_curl_threads;

/* The warm-up is a small job; misbehave only in the one that counts. */
static int is_warm_up(const struct download_job *job)
{
    return job->count <= 8;
}

static void claim_ok(const struct download_job *job, struct transfer_result *results)
{
    for (size_t i = 0; i < job->count; i++) {
        uint64_t now_ns = clock_now_ns();
        results[i] = (struct transfer_result){
            .status = TRANSFER_OK,
            .http_status = 200,
            .attempts = 1,
            .connection = 1,
            .body_bytes = job->requests[i].expected_bytes,
            .body_xxh3 = job->requests[i].expected_xxh3,
            .started_ns = now_ns,
            .first_byte_ns = now_ns,
            .finished_ns = now_ns,
        };
    }
}

/* One flag for all: asks for the first again and again, and claims what each should be. */
static int download_mixed(const struct download_job *job, struct transfer_result *results)
{
    struct download_job wrong = *job;
    struct transfer_request *requests = calloc(job->count, sizeof requests[0]);

    for (size_t i = 0; i < job->count; i++) {
        requests[i] = job->requests[0];
    }
    wrong.requests = requests;
    int error = backend_curl_sequential.download_many(&wrong, results);
    free(requests);
    for (size_t i = 0; i < job->count; i++) {
        results[i].body_bytes = job->requests[i].expected_bytes;
        results[i].body_xxh3 = job->requests[i].expected_xxh3;
    }
    return error;
}

static int download_too_many(const struct download_job *job, struct transfer_result *results)
{
    struct download_job wrong = *job;

    wrong.concurrency = job->concurrency * 3;
    return backend_curl_threads.download_many(&wrong, results);
}

static int bad_download_many(const struct download_job *job, struct transfer_result *results)
{
    if (is_warm_up(job)) {
        return backend_curl_sequential.download_many(job, results);
    }
    switch (BAD_KIND) {
    case LIES:
        claim_ok(job, results);
        return 0;
    case MIXES:
        return download_mixed(job, results);
    case CRASHES:
        abort();
    case HANGS:
        for (;;) {
            (void)pause();
        }
    case EXCEEDS:
        return download_too_many(job, results);
    case REFUSES:
        return -28; /* ENOSPC */
    case EXITS:
        exit(3);
    default:
        break;
    }
    int error = backend_curl_sequential.download_many(job, results);
    if (BAD_KIND == LEAKS) {
        (void)open("/dev/null", O_RDONLY);
    } else if (BAD_KIND == FORGETS) {
        memset(&results[job->count / 2], 0, sizeof results[0]);
    }
    return error;
}

static const struct bench_backend backend_bad = {
    .magic = BENCH_BACKEND_MAGIC,
    .abi_major = BENCH_ABI_MAJOR,
    .abi_minor = BENCH_ABI_MINOR,
    .struct_size = sizeof(struct bench_backend),
    .caps = BENCH_CAP_CONCURRENT,
    .name = "bad",
    .engine = "curl",
    .model = "bad",
    .waits_in = "poll(2)",
    .summary = "breaks the contract on purpose",
    .download_many = bad_download_many,
};

const struct bench_backend *bench_backend_v1(void)
{
    return &backend_bad;
}
