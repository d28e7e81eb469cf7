#include "worker.h"

#include "exit_code.h"
#include "perf_counter.h"
#include "trial_memory.h"
#include "usage.h"

#include "backends/clock.h"
#include "backends/descriptors.h"
#include "backends/registry.h"

#include <errno.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

struct worker {
    struct trial_memory memory;
    int control_fd;
    const struct bench_backend *backend;
    struct transfer_request *requests;
    struct download_job job;
};

static int fail(struct worker *worker, int error, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

static int fail(struct worker *worker, int error, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    (void)vsnprintf(worker->memory.header->message, TRIAL_TEXT_BYTES, format, args);
    va_end(args);
    worker->memory.header->error = error;
    return error;
}

static int choose_backend(struct worker *worker)
{
    const struct trial_header *header = worker->memory.header;
    char reason[BACKEND_LOAD_REASON_BYTES];
    char why[BENCH_REASON_BYTES] = "";

    if (header->backend_path[0] == '\0') {
        worker->backend = backend_find(header->backend_name);
        (void)snprintf(reason, sizeof reason, "no such backend");
    } else {
        worker->backend = backend_load(header->backend_path, reason);
    }
    if (worker->backend == NULL) {
        return fail(worker, -ENOENT, "%.150s", reason);
    }
    int error = worker->backend->probe == NULL ? 0 : worker->backend->probe(why);
    return error == 0 ? 0 : fail(worker, error, "unavailable: %s", why);
}

static struct transfer_request request_at(const struct worker *worker, size_t index, bool warmup)
{
    const struct trial_memory *memory = &worker->memory;
    const struct trial_target *target =
        &trial_memory_targets(memory)[index % memory->header->targets_count];
    bool spare = warmup && target->warmup_url_offset != 0;

    return (struct transfer_request){
        .url = trial_memory_text(memory, spare ? target->warmup_url_offset : target->url_offset),
        .save_name = trial_memory_text(memory, target->save_name_offset),
        .expected_bytes = target->expected_bytes,
        .expected_xxh3 = target->expected_xxh3,
        .flags = (uint32_t)target->flags,
    };
}

static int prepare_job(struct worker *worker)
{
    const struct trial_header *header = worker->memory.header;

    descriptors_reserve(DESCRIPTORS_EACH_MAX * (uint64_t)header->concurrency + DESCRIPTORS_SPARE);
    worker->requests = calloc(header->count, sizeof worker->requests[0]);
    if (worker->requests == NULL) {
        return fail(worker, -ENOMEM, "no memory for %llu requests",
                    (unsigned long long)header->count);
    }
    for (size_t i = 0; i < header->count; i++) {
        worker->requests[i] = request_at(worker, i, false);
    }
    worker->job = (struct download_job){
        .struct_size = sizeof worker->job,
        .flags = header->job_flags,
        .requests = worker->requests,
        .count = header->count,
        .concurrency = header->concurrency,
        .loops = header->loops,
        .timeout_ns = header->timeout_ns,
        .body_bytes_max = header->body_bytes_max,
        .attempts_max = header->attempts_max,
        .redirects_max = header->redirects_max,
        .output_dir_fd = header->output_dir_fd,
        .run_mark = header->run_mark,
    };
    return 0;
}

/* A few transfers that load code and libraries into memory; their outcome does not count. */
static int warm_up(struct worker *worker)
{
    const struct trial_header *header = worker->memory.header;
    struct download_job job = worker->job;
    struct transfer_request *requests = calloc(header->warmup_count, sizeof requests[0]);
    struct transfer_result *results = calloc(header->warmup_count, sizeof results[0]);
    int error = -ENOMEM;

    if (requests != NULL && results != NULL) {
        for (size_t i = 0; i < header->warmup_count; i++) {
            requests[i] = request_at(worker, i, true);
        }
        job.requests = requests;
        job.count = header->warmup_count;
        error = worker->backend->download_many(&job, results);
    }
    free(requests);
    free(results);
    return error == 0 ? 0
                      : fail(worker, error, "the warm-up could not run: %s",
                             strerrordesc_np(error < 0 ? -error : error));
}

static int say_ready_and_wait(struct worker *worker)
{
    char byte = WORKER_READY;

    if (write(worker->control_fd, &byte, 1) != 1 || read(worker->control_fd, &byte, 1) != 1 ||
        byte != WORKER_GO) {
        return -EPIPE; /* the runner has gone */
    }
    return 0;
}

static int run_timed(struct worker *worker)
{
    struct trial_header *header = worker->memory.header;
    struct transfer_result *slots = trial_memory_slots(&worker->memory);
    struct usage_mark from;
    struct usage_mark to;

    char hint[PERF_COUNTER_HINT_BYTES];

    int64_t descriptors_before = usage_descriptors();
    int counter_fd = header->count_syscalls != 0 ? perf_counter_open(hint) : -1;
    if (counter_fd >= 0) {
        perf_counter_start(counter_fd);
    }
    usage_mark(&from);
    int error = worker->backend->download_many(&worker->job, slots);
    usage_mark(&to);
    header->usage.syscalls = counter_fd >= 0 ? perf_counter_finish(counter_fd) : -1;
    header->started_ns = from.now_ns;
    header->finished_ns = to.now_ns;
    usage_between(&from, &to, &header->usage);
    header->usage.max_rss_kib = usage_max_rss_kib();
    header->usage.leaked_descriptors = usage_descriptors() - descriptors_before;
    return error == 0 ? 0
                      : fail(worker, error, "the run could not proceed: %s",
                             strerrordesc_np(error < 0 ? -error : error));
}

static int run_trial(struct worker *worker)
{
    int error = choose_backend(worker);

    if (error == 0) {
        error = prepare_job(worker);
    }
    if (error == 0) {
        error = warm_up(worker);
    }
    if (error == 0) {
        error = say_ready_and_wait(worker);
    }
    if (error == 0) {
        error = run_timed(worker);
    }
    return error;
}

int worker_main(int argc, char **argv)
{
    struct worker worker = {.control_fd = -1};

    if (argc != 5) {
        return EXIT_USAGE_ERROR;
    }
    /* No worker outlives its runner. The runner may have died before this took effect. */
    (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != (pid_t)strtol(argv[4], NULL, 10)) {
        return EXIT_INTERNAL;
    }
    worker.control_fd = (int)strtol(argv[3], NULL, 10);
    if (trial_memory_attach(&worker.memory, (int)strtol(argv[2], NULL, 10)) != 0) {
        return EXIT_INTERNAL;
    }
    (void)descriptors_raise_limit();
    if (run_trial(&worker) != -EPIPE) {
        char byte = WORKER_DONE;
        (void)!write(worker.control_fd, &byte, 1);
    }
    free(worker.requests);
    trial_memory_release(&worker.memory);
    (void)close(worker.control_fd);
    return EXIT_FINE;
}
