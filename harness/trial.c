#include "trial.h"

#include "server_stats.h"
#include "steal.h"
#include "trial_memory.h"
#include "worker.h"
#include "worker_process.h"

#include "backends/clock.h"

#include <errno.h>
#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>

#define WARMUP_TRANSFERS_MAX 8
#define WARMUP_LOOKUPS_MAX 2 /* the server delays these, too */
#define WARMUP_NS (30 * NS_PER_S)
#define EXIT_GRACE_NS (10 * NS_PER_S)
#define BODY_BYTES_MAX (UINT64_C(64) << 20)
#define REDIRECTS_MAX 5

struct trial {
    const struct plan_cell *cell;
    const struct options *options;
    const char *run_mark;
    struct trial_memory memory;
    struct sample *sample;
    double server_cpu_before_s;
};

static bool sequential(const struct plan_cell *cell)
{
    return (cell->backend->backend->caps & BENCH_CAP_CONCURRENT) == 0;
}

/*
 * When a backend counts as hung: well past anything that slow answers can explain. Transfers
 * one after another (per place in flight) at four times the expected delay, a millisecond of
 * work each, and the full time-out for up to 40 of them.
 */
static uint64_t hang_limit_ns(const struct plan_cell *cell, const struct options *options)
{
    uint64_t places = sequential(cell) ? 1 : cell->concurrency;
    uint64_t in_turn = (cell->transfers + places - 1) / places;
    uint64_t timeouts = (in_turn < 40 ? in_turn : 40) * (options->retries + UINT64_C(1));
    double bound_s = isnan(cell->bound_s) ? 0 : cell->bound_s;
    double expected_s = sequential(cell) ? bound_s * cell->concurrency : bound_s;

    return 10 * NS_PER_S + timeouts * options->timeout_ns + cell->transfers * NS_PER_MS +
           (uint64_t)(4 * expected_s * 1e9);
}

static int create_memory(struct trial *trial, int output_dir_fd, bool count_syscalls)
{
    const struct plan_cell *cell = trial->cell;
    const struct options *options = trial->options;
    uint64_t warmup_max =
        options->workload == WORKLOAD_DNS ? WARMUP_LOOKUPS_MAX : WARMUP_TRANSFERS_MAX;
    uint64_t warmup = cell->transfers < warmup_max ? cell->transfers : warmup_max;

    struct trial_spec spec = {
        .workload = cell->workload,
        .backend_name = cell->backend->backend->name,
        .backend_path = cell->backend->path,
        .run_mark = trial->run_mark,
        .count = cell->transfers,
        .warmup_count = warmup,
        .timeout_ns = options->timeout_ns,
        .body_bytes_max = BODY_BYTES_MAX,
        .job_flags = (options->fresh_connections ? DOWNLOAD_FRESH_CONNECTIONS : 0) |
                     (options->save_atomic ? DOWNLOAD_SAVE_ATOMIC : 0),
        .concurrency = cell->concurrency,
        .loops = cell->loops,
        .attempts_max = options->retries + 1,
        .redirects_max = REDIRECTS_MAX,
        .output_dir_fd = output_dir_fd,
        .count_syscalls = count_syscalls,
    };
    return trial_memory_create(&trial->memory, &spec);
}

/* The counters start at zero only once the warm-up is over. */
static void zero_server(struct trial *trial)
{
    const struct server *server = &trial->cell->source->server;
    struct server_stats stats;

    if (server->admin_url == NULL) {
        return;
    }
    if (server_reset(server, trial->run_mark) != 0 || server_read_stats(server, &stats) != 0) {
        sample_invalidate(trial->sample, "the server's counters could not be set to zero");
        return;
    }
    trial->server_cpu_before_s = stats.cpu_s;
    server_stats_release(&stats);
}

/* @return 0; -EINTR */
static int attend(struct trial *trial, struct worker_process *worker)
{
    uint64_t deadline_ns = clock_now_ns() + WARMUP_NS + hang_limit_ns(trial->cell, trial->options);
    char said = '\0';
    const char *stage = "the warm-up";

    for (;;) {
        switch (worker_process_wait(worker, deadline_ns, &said)) {
        case WORKER_INTERRUPTED:
            return -EINTR;
        case WORKER_LATE:
            sample_invalidate(trial->sample, "hung in %s; stopped after %.0f s", stage,
                              (double)(clock_now_ns() - deadline_ns +
                                       hang_limit_ns(trial->cell, trial->options)) /
                                  1e9);
            return 0;
        case WORKER_GONE:
            sample_invalidate(trial->sample, "ended in %s", stage);
            return 0;
        case WORKER_SAID:
            break;
        }
        if (said == WORKER_DONE) {
            return 0;
        }
        stage = "the run";
        zero_server(trial);
        deadline_ns = clock_now_ns() + hang_limit_ns(trial->cell, trial->options);
        if (worker_process_tell(worker, WORKER_GO) != 0) {
            sample_invalidate(trial->sample, "ended after the warm-up");
            return 0;
        }
    }
}

/* The way it ended says more than that it ended: replaces a reason given by attend. */
static void note_exit(struct sample *sample, int status, bool finished)
{
    if (!WIFSIGNALED(status) && WIFEXITED(status) && WEXITSTATUS(status) == 0) {
        return;
    }
    bool hung = strncmp(sample->invalid_reason, "hung", 4) == 0;
    if (hung) {
        return;
    }
    sample->valid = true;
    if (WIFSIGNALED(status)) {
        sample_invalidate(sample, "crashed%s: %s", finished ? " after the run" : "",
                          sigdescr_np(WTERMSIG(status)));
    } else {
        sample_invalidate(sample, "its process ended with exit code %d%s", WEXITSTATUS(status),
                          finished ? " after the run" : "");
    }
}

static void take_usage(struct sample *sample, const struct trial_usage *usage)
{
    sample->wall_s = (double)usage->wall_ns / 1e9;
    sample->cpu_user_s = (double)usage->user_ns / 1e9;
    sample->cpu_sys_s = (double)usage->system_ns / 1e9;
    sample->voluntary_switches = usage->voluntary_switches;
    sample->involuntary_switches = usage->involuntary_switches;
    sample->max_rss_kib = usage->max_rss_kib;
    sample->minor_faults = usage->minor_faults;
    sample->major_faults = usage->major_faults;
    sample->syscalls = usage->syscalls;
}

static void judge(struct trial *trial, struct body_agreement *agreement)
{
    const struct trial_header *header = trial->memory.header;
    const struct server *server = &trial->cell->source->server;
    struct server_stats stats = {.requests = 0};
    bool has_stats = false;

    if (!trial->sample->valid) {
        return;
    }
    if (header->error != 0) {
        sample_invalidate(trial->sample, "%s", header->message);
        return;
    }
    if (header->finished_ns == 0) {
        sample_invalidate(trial->sample, "ended without a result");
        return;
    }
    take_usage(trial->sample, &header->usage);
    if (server->admin_url != NULL) {
        has_stats = server_read_stats(server, &stats) == 0;
        if (has_stats) {
            trial->sample->server_cpu_s = stats.cpu_s - trial->server_cpu_before_s;
        } else {
            sample_invalidate(trial->sample, "the server did not answer afterwards");
        }
    }
    verify_trial(trial->sample, trial->cell, trial->options, &trial->memory,
                 has_stats ? &stats : NULL, agreement);
    server_stats_release(&stats);
}

static void begin_sample(struct sample *sample, const struct plan_cell *cell)
{
    time_t now = time(NULL);
    struct tm utc;

    sample->valid = true;
    sample->wall_s = sample->cpu_user_s = sample->cpu_sys_s = NAN;
    sample->latency_p50_ms = sample->latency_p90_ms = sample->latency_p99_ms = NAN;
    sample->latency_max_ms = sample->first_byte_p50_ms = NAN;
    sample->server_cpu_s = NAN;
    sample->voluntary_switches = sample->involuntary_switches = -1;
    sample->syscalls = sample->max_rss_kib = sample->connections_opened = -1;
    sample->server_max_in_flight = -1;
    sample->minor_faults = sample->major_faults = -1;
    sample->steal_share = NAN;
    sample->bound_s = cell->bound_s;
    (void)strftime(sample->utc, sizeof sample->utc, "%Y-%m-%dT%H:%M:%SZ", gmtime_r(&now, &utc));
}

int trial_run(const struct plan_cell *cell, const struct options *options, const char *run_mark,
              int output_dir_fd, const struct placement *placement, bool count_syscalls,
              struct body_agreement *agreement, struct sample *sample)
{
    struct trial trial = {.cell = cell, .options = options, .run_mark = run_mark, .sample = sample};
    struct worker_process worker;
    struct steal_mark before;
    struct steal_mark after;

    begin_sample(sample, cell);
    sample->lookups = options->workload == WORKLOAD_DNS;
    int error = create_memory(&trial, output_dir_fd, count_syscalls);
    if (error != 0) {
        sample_invalidate(sample, "no shared memory: %s", strerrordesc_np(-error));
        return 0;
    }
    error = worker_process_start(&worker, trial.memory.fd, output_dir_fd, placement);
    if (error != 0) {
        sample_invalidate(sample, "no worker process: %s", strerrordesc_np(-error));
        trial_memory_release(&trial.memory);
        return 0;
    }
    steal_mark(&before);
    int stopped = attend(&trial, &worker);
    steal_mark(&after);
    sample->steal_share = steal_share(&before, &after);
    bool finished = trial.memory.header->finished_ns != 0;
    bool patient = stopped == 0 && sample->valid;
    int status = worker_process_stop(&worker, patient ? EXIT_GRACE_NS : NS_PER_S / 5);
    if (stopped == 0) {
        note_exit(sample, status, finished);
        judge(&trial, agreement);
    }
    trial_memory_release(&trial.memory);
    return stopped;
}
