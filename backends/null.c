/*
 * Model:    none: every transfer is over before it begins
 * Threads:  the caller's
 * Waits in: nothing
 * Woken by: nothing
 * Syscalls per transfer: 0
 * Read next: curl_sequential.c
 *
 * What remains when this runs is what the harness itself costs. It fills in what the request
 * expects, and says by BENCH_CAP_NO_TRANSFERS that it asked nobody.
 */
#include "backend.h"
#include "clock.h"

static int null_download_many(const struct download_job *job, struct transfer_result *results)
{
    for (size_t i = 0; i < job->count; i++) {
        results[i].started_ns = clock_now_ns();
        results[i].status = TRANSFER_OK;
        results[i].http_status = 200;
        results[i].body_bytes = job->requests[i].expected_bytes;
        results[i].body_xxh3 = job->requests[i].expected_xxh3;
        results[i].attempts = 1;
        results[i].first_byte_ns = clock_now_ns();
        results[i].finished_ns = clock_now_ns();
    }
    return 0;
}

const struct bench_backend backend_null = {
    .magic = BENCH_BACKEND_MAGIC,
    .abi_major = BENCH_ABI_MAJOR,
    .abi_minor = BENCH_ABI_MINOR,
    .struct_size = sizeof(struct bench_backend),
    .caps = BENCH_CAP_CONCURRENT | BENCH_CAP_LOOPS | BENCH_CAP_NO_TRANSFERS,
    .name = "null",
    .engine = "none",
    .model = "null",
    .waits_in = "nothing",
    .summary = "finishes at once: what the harness itself costs",
    .download_many = null_download_many,
};
