#include "run.h"

#include "exit_code.h"
#include "export_csv.h"
#include "exports.h"
#include "interrupt.h"
#include "log.h"
#include "output_file.h"
#include "perf_counter.h"
#include "progress.h"
#include "random.h"
#include "steal.h"
#include "table.h"
#include "trial.h"
#include "usage.h"

#include "backends/clock.h"
#include "backends/registry.h"

#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

/* A result file that is written once, at the end. */
struct report_file {
    const char *option;
    char *path; /* NULL: not wanted */
    output_writer *writer;
};

#define REPORT_FILES 7

struct outputs {
    struct csv_file csv;
    struct report_file reports[REPORT_FILES];
    int save_dir_fd;
};

static char *path_with(const char *path, const char *ending)
{
    char *whole = NULL;

    return path != NULL && asprintf(&whole, "%s%s", path, ending) >= 0 ? whole : NULL;
}

static void name_reports(struct outputs *outputs, const struct options *options)
{
    const struct report_file reports[REPORT_FILES] = {
        {"--json", path_with(options->json, ""), export_json},
        {"--summary", path_with(options->summary, ""), export_summary},
        {"--markdown", path_with(options->markdown, ""), export_markdown},
        {"--bmf", path_with(options->bmf, ""), export_bmf},
        {"--gab", path_with(options->gab, "-smaller.json"), export_gab_smaller},
        {"--gab", path_with(options->gab, "-bigger.json"), export_gab_bigger},
        {"--hyperfine", path_with(options->hyperfine, ""), export_hyperfine},
    };

    memcpy(outputs->reports, reports, sizeof reports);
}

static void make_run_id(char run_id[RUN_ID_BYTES])
{
    struct timespec now;
    struct tm utc;
    size_t used;

    (void)clock_gettime(CLOCK_REALTIME, &now);
    used = strftime(run_id, RUN_ID_BYTES, "%Y%m%dT%H%M%SZ", gmtime_r(&now.tv_sec, &utc));
    (void)snprintf(run_id + used, RUN_ID_BYTES - used, "-%04lx",
                   ((unsigned long)now.tv_nsec ^ (unsigned long)getpid()) & 0xffff);
}

static int open_save_dir(const char *path)
{
    if (mkdir(path, 0755) != 0 && errno != EEXIST) {
        return -errno;
    }
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0) {
        return -errno;
    }
    if (faccessat(fd, ".", W_OK | X_OK, AT_EACCESS) != 0) {
        int error = -errno;
        (void)close(fd);
        return error;
    }
    return fd;
}

/* Everything that will be written is tried before anything is measured. */
static int outputs_open(struct outputs *outputs, const struct options *options)
{
    int error = csv_open(&outputs->csv, options->csv);

    outputs->save_dir_fd = -1;
    if (error != 0) {
        log_error("--csv '%s': cannot write: %s", options->csv, strerrordesc_np(-error));
        return EXIT_CANNOT_WRITE;
    }
    name_reports(outputs, options);
    for (size_t i = 0; i < REPORT_FILES; i++) {
        const struct report_file *report = &outputs->reports[i];
        error = report->path == NULL ? 0 : output_file_check(report->path);
        if (error != 0) {
            log_error("%s '%s': cannot write: %s", report->option, report->path,
                      strerrordesc_np(-error));
            return EXIT_CANNOT_WRITE;
        }
    }
    if (options->save_dir != NULL) {
        outputs->save_dir_fd = open_save_dir(options->save_dir);
        if (outputs->save_dir_fd < 0) {
            log_error("--save '%s': cannot write: %s", options->save_dir,
                      strerrordesc_np(-outputs->save_dir_fd));
            return EXIT_CANNOT_WRITE;
        }
    }
    return 0;
}

static int outputs_close(struct outputs *outputs)
{
    if (outputs->save_dir_fd >= 0) {
        (void)close(outputs->save_dir_fd);
    }
    for (size_t i = 0; i < REPORT_FILES; i++) {
        free(outputs->reports[i].path);
    }
    return csv_close(&outputs->csv);
}

static struct sample *next_sample(struct sample_list *list)
{
    if (list->count == list->capacity) {
        size_t capacity = list->capacity == 0 ? 64 : list->capacity * 2;
        struct sample *grown = reallocarray(list->samples, capacity, sizeof grown[0]);
        if (grown == NULL) {
            return NULL;
        }
        list->samples = grown;
        list->capacity = capacity;
    }
    list->samples[list->count] = (struct sample){.cell = 0};
    return &list->samples[list->count];
}

/* @return 0; -EINTR */
static int rest_ports(const struct run *run)
{
    uint64_t left_ns = port_rest_left_ns(&run->port_rest, clock_now_ns());
    struct pollfd stop = {.fd = interrupt_fd(), .events = POLLIN};

    return poll(&stop, 1, (int)(left_ns / NS_PER_MS)) > 0 ? -EINTR : 0;
}

/* One trial, once it finds the ports as the first one did. @return 0; -EINTR */
static int run_trial(struct run *run, const struct plan_cell *cell, const char *mark,
                     int save_dir_fd, bool count_syscalls, struct body_agreement *agreement,
                     struct sample *sample)
{
    int error = rest_ports(run);

    if (error == 0) {
        error = trial_run(cell, run->options, mark, save_dir_fd, &run->plan.placement,
                          count_syscalls, agreement, sample);
        port_rest_note(&run->port_rest, sample->connections_opened, clock_now_ns());
    }
    return error;
}

/* @return 0, -EINTR, or EXIT_CANNOT_WRITE and the like */
static int run_one(struct run *run, struct outputs *outputs, struct body_agreement *agreement,
                   size_t cell, uint32_t position)
{
    const struct plan_cell *planned = &run->plan.cells[cell];
    char mark[RUN_ID_BYTES + 24];
    struct sample *sample = next_sample(&run->samples);

    if (sample == NULL) {
        log_error("out of memory");
        return EXIT_INTERNAL;
    }
    sample->cell = cell;
    sample->round = run->rounds_begun;
    sample->position = position;
    progress_show(run->samples.count, (size_t)run->options->rounds * run->plan.cells_count,
                  run->rounds_begun, run->options->rounds, planned->label);
    (void)snprintf(mark, sizeof mark, "%s-%zu", run->run_id, run->samples.count + 1);
    if (run_trial(run, planned, mark, outputs->save_dir_fd, false, agreement, sample) != 0) {
        return -EINTR;
    }
    sample->syscalls = run->syscalls[cell];
    run->samples.count++;
    if (!sample->valid) {
        log_warn("%s, round %u: invalid: %s", planned->label, sample->round,
                 sample->invalid_reason);
    }
    int error = csv_write(&outputs->csv, run, sample);
    if (error != 0) {
        log_error("--csv '%s': %s", run->options->csv, strerrordesc_np(-error));
        return EXIT_CANNOT_WRITE;
    }
    return 0;
}

static int run_round(struct run *run, struct outputs *outputs, struct body_agreement *agreement,
                     struct random_source *random, size_t *order)
{
    struct steal_mark before;
    struct steal_mark after;
    int stop = 0;

    struct run_round *rounds =
        reallocarray(run->rounds, (size_t)run->rounds_begun + 1, sizeof rounds[0]);
    if (rounds == NULL) {
        log_error("out of memory");
        return EXIT_INTERNAL;
    }
    run->rounds = rounds;
    run->rounds_begun++;
    random_shuffle(random, order, run->plan.cells_count);
    steal_mark(&before);
    for (size_t i = 0; i < run->plan.cells_count && stop == 0; i++) {
        stop = run_one(run, outputs, agreement, order[i], (uint32_t)i + 1);
    }
    steal_mark(&after);
    double share = steal_share(&before, &after);
    run->rounds[run->rounds_begun - 1] =
        (struct run_round){.steal_share = share, .discarded = share > RUN_STEAL_LIMIT};
    run->rounds_discarded += share > RUN_STEAL_LIMIT;
    return stop;
}

/* One trial of each cell with its system calls counted, before any time is taken. */
static int gather_evidence(struct run *run, struct outputs *outputs,
                           struct body_agreement *agreement)
{
    char hint[PERF_COUNTER_HINT_BYTES];
    char mark[RUN_ID_BYTES + 24];
    int counter_fd = perf_counter_open(hint);

    for (size_t i = 0; i < run->plan.cells_count; i++) {
        run->syscalls[i] = -1;
    }
    if (counter_fd < 0) {
        (void)snprintf(run->hint, sizeof run->hint, "%s", hint);
        run->plan.warnings[run->plan.warnings_count++] = run->hint;
        return 0;
    }
    (void)close(counter_fd);
    for (size_t i = 0; i < run->plan.cells_count; i++) {
        struct sample sample = {.cell = i};
        if (run->plan.cells[i].is_copy) {
            run->syscalls[i] = run->syscalls[run->plan.cells[i].reference];
            continue;
        }
        progress_show(i, run->plan.cells_count, 0, run->options->rounds, run->plan.cells[i].label);
        (void)snprintf(mark, sizeof mark, "%s-e%zu", run->run_id, i);
        if (run_trial(run, &run->plan.cells[i], mark, outputs->save_dir_fd, true, agreement,
                      &sample) != 0) {
            return -EINTR;
        }
        run->syscalls[i] = sample.valid ? sample.syscalls : -1;
    }
    return 0;
}

/* What is left when nobody waits for anything: the harness's share of every figure. */
static int measure_harness(struct run *run, struct body_agreement *agreement)
{
    const struct plan_backend null = {.label = "null", .backend = backend_find("null")};
    struct plan_cell cell = run->plan.cells[0];
    struct sample sample = {.cell = 0};

    cell.backend = &null;
    cell.bound_s = NAN;
    run->harness_us = NAN;
    if (run_trial(run, &cell, "null", -1, false, agreement, &sample) != 0) {
        return -EINTR;
    }
    if (sample.valid) {
        run->harness_us = sample.wall_s * 1e6 / (double)cell.transfers;
    }
    return 0;
}

/* As many good rounds as asked for; discarded ones are made up for, up to the same number. */
static bool wants_another_round(struct run *run, uint64_t started_ns)
{
    const struct options *options = run->options;
    uint32_t good = run->rounds_begun - run->rounds_discarded;
    const char *reason = NULL;

    if (good >= options->rounds) {
        reason = "all rounds are done";
    } else if (run->rounds_discarded >= options->rounds) {
        reason = "too many rounds had to be discarded";
    } else if (options->time_limit_ns > 0 &&
               clock_now_ns() - started_ns >= options->time_limit_ns) {
        reason = "the time limit was reached";
    } else if (options->precision > 0 && good >= ANALYSIS_ROUNDS_FOR_PRECISION &&
               analysis_run(run, run->summaries) == 0 &&
               analysis_is_precise(run, options->precision)) {
        reason = "the precision asked for was reached";
    }
    if (reason != NULL) {
        (void)snprintf(run->stop_reason, sizeof run->stop_reason, "%s", reason);
    }
    return reason == NULL;
}

static int run_all(struct run *run, struct outputs *outputs, struct body_agreement *agreement,
                   size_t *order)
{
    struct random_source random = {.state = run->options->seed};
    uint64_t started_ns = clock_now_ns();

    for (size_t i = 0; i < run->plan.cells_count; i++) {
        order[i] = i;
    }
    int stop = measure_harness(run, agreement);
    if (stop == 0) {
        stop = gather_evidence(run, outputs, agreement);
    }
    while (stop == 0 && wants_another_round(run, started_ns)) {
        stop = run_round(run, outputs, agreement, &random, order);
    }
    progress_clear();
    return stop;
}

static int run_rounds(struct run *run, struct outputs *outputs)
{
    struct body_agreement agreement;
    size_t cells = run->plan.cells_count;
    int stop = EXIT_INTERNAL;

    size_t *order = calloc(cells, sizeof order[0]);
    run->syscalls = calloc(cells, sizeof run->syscalls[0]);
    run->summaries = calloc(cells, sizeof run->summaries[0]);
    bool ready = order != NULL && run->syscalls != NULL && run->summaries != NULL &&
                 body_agreement_init(&agreement, run->plan.sources[0].workloads[0].count) == 0;
    if (ready) {
        stop = run_all(run, outputs, &agreement, order);
        body_agreement_release(&agreement);
    } else {
        log_error("out of memory");
    }
    free(order);
    run->interrupted = stop == -EINTR;
    return stop == -EINTR ? 0 : stop;
}

static int verdict(const struct run *run)
{
    if (run->interrupted) {
        return EXIT_INTERRUPTED;
    }
    for (size_t i = 0; i < run->samples.count; i++) {
        if (!run->samples.samples[i].valid || run->samples.samples[i].unexplained_failures) {
            return EXIT_WRONG_DOWNLOADS;
        }
    }
    return EXIT_FINE;
}

/* Written even after an interrupt or a full disk: what has been measured is not lost. */
static int report(struct run *run, const struct outputs *outputs)
{
    int exit_code = 0;

    if (run->summaries == NULL || analysis_run(run, run->summaries) != 0) {
        log_error("out of memory");
        return EXIT_INTERNAL;
    }
    for (size_t i = 0; i < REPORT_FILES; i++) {
        const struct report_file *file = &outputs->reports[i];
        int error = file->path == NULL ? 0 : output_file_write(file->path, file->writer, run);
        if (error != 0) {
            log_error("%s '%s': %s", file->option, file->path, strerrordesc_np(-error));
            exit_code = EXIT_CANNOT_WRITE;
        }
    }
    if (run->samples.count > 0 && table_print_run(run) != 0) {
        log_error("cannot write the table to stdout");
        exit_code = EXIT_CANNOT_WRITE;
    }
    return exit_code;
}

static int measure_and_report(struct run *run, struct outputs *outputs)
{
    environment_read(&run->environment, run->plan.sources[0].workloads[0].corpus);
    if (!run->environment.trusted_build) {
        run->plan.warnings[run->plan.warnings_count++] =
            "untrusted_build: only the release preset makes figures to compare";
    }
    make_run_id(run->run_id);
    port_rest_init(&run->port_rest, usage_local_ports());
    int exit_code = run_rounds(run, outputs);
    int report_code = report(run, outputs);
    if (exit_code == 0) {
        exit_code = report_code;
    }
    return exit_code == 0 ? verdict(run) : exit_code;
}

int run_command(int argc, char **argv)
{
    struct options options;
    struct outputs outputs = {.save_dir_fd = -1};
    struct run run = {.options = &options};

    int exit_code = options_parse(argc, argv, &options);
    if (exit_code != 0) {
        return exit_code;
    }
    log_set_level(options.quiet ? LOG_ERROR : options.verbose ? LOG_INFO : LOG_WARN);
    progress_enable(!options.quiet);
    exit_code = plan_choose_backends(&run.plan, &options);
    if (exit_code == 0) {
        exit_code = outputs_open(&outputs, &options);
    }
    if (exit_code == 0) {
        exit_code = plan_build(&run.plan);
    }
    if (exit_code == 0) {
        exit_code = measure_and_report(&run, &outputs);
    }
    if (outputs_close(&outputs) != 0 && exit_code == 0) {
        exit_code = EXIT_CANNOT_WRITE;
    }
    plan_release(&run.plan);
    free(run.samples.samples);
    free(run.summaries);
    free(run.syscalls);
    free(run.rounds);
    return exit_code;
}
