#include "run.h"

#include "exit_code.h"
#include "export_csv.h"
#include "export_json.h"
#include "interrupt.h"
#include "log.h"
#include "progress.h"
#include "random.h"
#include "table.h"
#include "trial.h"

#include "backends/clock.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

struct outputs {
    struct csv_file csv;
    int save_dir_fd;
};

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
    if (options->json != NULL) {
        error = json_check(options->json);
        if (error != 0) {
            log_error("--json '%s': cannot write: %s", options->json, strerrordesc_np(-error));
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

/* @return 0, -EINTR, or EXIT_CANNOT_WRITE and the like */
static int run_one(struct run *run, struct outputs *outputs, struct body_agreement *agreement,
                   size_t cell, uint32_t position)
{
    const struct plan_cell *planned = &run->plan.cells[cell];
    char mark[RUN_ID_BYTES + 16];
    struct sample *sample = next_sample(&run->samples);

    if (sample == NULL) {
        log_error("out of memory");
        return EXIT_INTERNAL;
    }
    sample->cell = cell;
    sample->round = run->rounds_begun;
    sample->position = position;
    progress_show(run->samples.count, (size_t)run->options->rounds * run->plan.cells_count,
                  run->rounds_begun, run->options->rounds, planned->backend->label);
    (void)snprintf(mark, sizeof mark, "%s-%zu", run->run_id, run->samples.count + 1);
    if (trial_run(planned, run->options, mark, outputs->save_dir_fd, agreement, sample) != 0) {
        return -EINTR;
    }
    run->samples.count++;
    if (!sample->valid) {
        log_warn("%s, round %u: invalid: %s", planned->backend->label, sample->round,
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
    int stop = 0;

    run->rounds_begun++;
    random_shuffle(random, order, run->plan.cells_count);
    for (size_t i = 0; i < run->plan.cells_count && stop == 0; i++) {
        stop = run_one(run, outputs, agreement, order[i], (uint32_t)i + 1);
    }
    return stop;
}

static int run_rounds(struct run *run, struct outputs *outputs)
{
    struct random_source random = {.state = run->options->seed};
    struct body_agreement agreement;
    uint64_t limit_ns = run->options->time_limit_ns;
    uint64_t started_ns = clock_now_ns();
    int stop = 0;

    size_t *order = calloc(run->plan.cells_count, sizeof order[0]);
    if (order == NULL ||
        body_agreement_init(&agreement, run->plan.sources[0].workloads[0].count) != 0) {
        free(order);
        log_error("out of memory");
        return EXIT_INTERNAL;
    }
    for (size_t i = 0; i < run->plan.cells_count; i++) {
        order[i] = i;
    }
    while (stop == 0 && run->rounds_begun < run->options->rounds &&
           (limit_ns == 0 || clock_now_ns() - started_ns < limit_ns)) {
        stop = run_round(run, outputs, &agreement, &random, order);
    }
    progress_clear();
    body_agreement_release(&agreement);
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
static int report(struct run *run)
{
    int exit_code = 0;

    run->summaries = calloc(run->plan.cells_count, sizeof run->summaries[0]);
    if (run->summaries == NULL || analysis_run(&run->plan, &run->samples, run->summaries) != 0) {
        log_error("out of memory");
        return EXIT_INTERNAL;
    }
    if (run->options->json != NULL) {
        int error = json_write(run->options->json, run);
        if (error != 0) {
            log_error("--json '%s': %s", run->options->json, strerrordesc_np(-error));
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
    int exit_code = run_rounds(run, outputs);
    int report_code = report(run);
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
    return exit_code;
}
