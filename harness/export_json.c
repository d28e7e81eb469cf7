#include "export_json.h"

#include "backends/transfer.h"

#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* JSON has no NaN: what was not measured is null. */
static json_t *number(double value)
{
    return isfinite(value) ? json_real(value) : json_null();
}

static json_t *count_or_null(int64_t value)
{
    return value >= 0 ? json_integer(value) : json_null();
}

/* A name or message from outside need not be UTF-8; JSON has to be. */
static json_t *text(const char *value)
{
    char clean[512];
    size_t used = 0;

    json_t *string = value == NULL ? json_null() : json_string(value);
    if (string != NULL) {
        return string;
    }
    for (; *value != '\0' && used + 1 < sizeof clean; value++) {
        clean[used++] = (char)((unsigned char)*value < 0x80 ? *value : '?');
    }
    clean[used] = '\0';
    return json_string(clean);
}

static void set(json_t *object, const char *name, json_t *value)
{
    /* A failed allocation shows as a missing member, and as -ENOMEM at the end. */
    (void)json_object_set_new(object, name, value);
}

static json_t *environment_json(const struct environment *environment)
{
    json_t *object = json_object();

    set(object, "bench_version", text(environment->bench_version));
    set(object, "build_type", text(environment->build_type));
    set(object, "compiler", text(environment->compiler));
    set(object, "untrusted_build", json_boolean(!environment->trusted_build));
    set(object, "kernel", text(environment->kernel));
    set(object, "arch", text(environment->arch));
    set(object, "cpu_model", text(environment->cpu_model));
    set(object, "cores", json_integer(environment->cores));
    set(object, "load_1min", number(environment->load_1min));
    set(object, "libcurl", text(environment->libcurl));
    set(object, "corpus", environment->corpus[0] == '\0' ? json_null() : text(environment->corpus));
    return object;
}

static json_t *texts_json(const struct option_texts *list)
{
    json_t *array = json_array();

    for (size_t i = 0; i < list->count; i++) {
        (void)json_array_append_new(array, text(list->texts[i]));
    }
    return array;
}

static json_t *numbers_json(const struct option_numbers *list)
{
    json_t *array = json_array();

    for (size_t i = 0; i < list->count; i++) {
        (void)json_array_append_new(array, json_integer(list->values[i]));
    }
    return array;
}

static json_t *options_json(const struct options *options)
{
    json_t *object = json_object();

    set(object, "scenario", text(options->scenario));
    set(object, "transfers", json_integer(options->transfers));
    set(object, "concurrency", numbers_json(&options->concurrency));
    set(object, "loops", numbers_json(&options->loops));
    set(object, "rounds", json_integer(options->rounds));
    set(object, "delay", texts_json(&options->delays));
    set(object, "fault", texts_json(&options->faults));
    set(object, "rate", text(options->rate));
    set(object, "flags", text(options->flags_dir));
    set(object, "save", text(options->save_dir));
    set(object, "save_mode", text(options->save_atomic ? "atomic" : "direct"));
    set(object, "timeout_s", number((double)options->timeout_ns / 1e9));
    set(object, "retries", json_integer(options->retries));
    set(object, "connections", text(options->fresh_connections ? "fresh" : "reuse"));
    set(object, "server", text(options->server));
    set(object, "urls", text(options->urls));
    set(object, "seed", json_integer((json_int_t)options->seed));
    return object;
}

static json_t *outcomes_json(const uint64_t outcomes[TRANSFER_STATUS_COUNT])
{
    json_t *object = json_object();

    for (int status = 0; status < TRANSFER_STATUS_COUNT; status++) {
        if (outcomes[status] > 0) {
            set(object, transfer_status_name((enum transfer_status)status),
                json_integer((json_int_t)outcomes[status]));
        }
    }
    return object;
}

static void set_cell(json_t *object, const struct run *run, size_t index)
{
    const struct plan_cell *cell = &run->plan.cells[index];

    set(object, "backend", text(cell->backend->label));
    set(object, "engine", text(cell->backend->backend->engine));
    set(object, "model", text(cell->backend->backend->model));
    set(object, "concurrency", json_integer(cell->concurrency));
    set(object, "loops", json_integer(cell->loops));
    set(object, "transfers", json_integer((json_int_t)cell->transfers));
    set(object, "delay", text(cell->source->delay));
    set(object, "fault", text(run->plan.fault));
    set(object, "size", text(cell->size));
    set(object, "connections", text(run->options->fresh_connections ? "fresh" : "reuse"));
}

static json_t *sample_json(const struct run *run, const struct sample *sample)
{
    json_t *object = json_object();

    set(object, "utc", text(sample->utc));
    set(object, "round", json_integer(sample->round));
    set(object, "position", json_integer(sample->position));
    set_cell(object, run, sample->cell);
    set(object, "wall_s", number(sample->wall_s));
    set(object, "cpu_user_s", number(sample->cpu_user_s));
    set(object, "cpu_sys_s", number(sample->cpu_sys_s));
    set(object, "cpu_us_per_transfer", number(sample_cpu_us_per_transfer(sample)));
    set(object, "transfers_per_s", number(sample_transfers_per_s(sample)));
    set(object, "body_mb_per_s", number(sample_body_mb_per_s(sample)));
    set(object, "ok", json_integer((json_int_t)sample_ok(sample)));
    set(object, "failed", json_integer((json_int_t)sample_failed(sample)));
    set(object, "body_bytes", json_integer((json_int_t)sample->body_bytes));
    set(object, "latency_p50_ms", number(sample->latency_p50_ms));
    set(object, "latency_p90_ms", number(sample->latency_p90_ms));
    set(object, "latency_p99_ms", number(sample->latency_p99_ms));
    set(object, "latency_max_ms", number(sample->latency_max_ms));
    set(object, "first_byte_p50_ms", number(sample->first_byte_p50_ms));
    set(object, "voluntary_switches", count_or_null(sample->voluntary_switches));
    set(object, "involuntary_switches", count_or_null(sample->involuntary_switches));
    set(object, "syscalls", count_or_null(sample->syscalls));
    set(object, "max_rss_kib", count_or_null(sample->max_rss_kib));
    set(object, "connections_opened", count_or_null(sample->connections_opened));
    set(object, "server_max_in_flight", count_or_null(sample->server_max_in_flight));
    set(object, "server_cpu_s", number(sample->server_cpu_s));
    set(object, "bound_s", number(sample->bound_s));
    set(object, "efficiency", number(sample_efficiency(sample)));
    set(object, "valid", json_boolean(sample->valid));
    set(object, "invalid_reason", sample->valid ? json_null() : text(sample->invalid_reason));
    set(object, "outcomes", outcomes_json(sample->outcomes));
    return object;
}

static json_t *cell_json(const struct run *run, size_t index)
{
    const struct cell_summary *summary = &run->summaries[index];
    bool is_reference = run->plan.cells[index].reference == index;
    json_t *object = json_object();
    json_t *metrics = json_object();

    set_cell(object, run, index);
    set(object, "rounds", json_integer((json_int_t)summary->rounds));
    set(object, "invalid", json_integer((json_int_t)summary->invalid));
    set(object, "efficiency", number(summary->efficiency));
    set(object, "outcomes", outcomes_json(summary->outcomes));
    for (enum metric metric = 0; metric < METRIC_COUNT; metric++) {
        json_t *estimate = json_object();
        set(estimate, "median", number(summary->metrics[metric].median));
        set(estimate, "ratio", number(summary->metrics[metric].ratio));
        set(estimate, "verdict", is_reference ? text("reference") : json_null());
        set(metrics, metric_name(metric), estimate);
    }
    set(object, "metrics", metrics);
    return object;
}

static json_t *run_json(const struct run *run)
{
    json_t *root = json_object();
    json_t *warnings = json_array();
    json_t *samples = json_array();
    json_t *cells = json_array();

    set(root, "schema", json_integer(JSON_SCHEMA));
    set(root, "run_id", text(run->run_id));
    set(root, "environment", environment_json(&run->environment));
    set(root, "options", options_json(run->options));
    set(root, "reference", text(run->plan.backends[run->plan.reference].label));
    set(root, "interrupted", json_boolean(run->interrupted));
    for (size_t i = 0; i < run->plan.warnings_count; i++) {
        (void)json_array_append_new(warnings, text(run->plan.warnings[i]));
    }
    for (size_t i = 0; i < run->samples.count; i++) {
        (void)json_array_append_new(samples, sample_json(run, &run->samples.samples[i]));
    }
    for (size_t i = 0; i < run->plan.cells_count; i++) {
        (void)json_array_append_new(cells, cell_json(run, i));
    }
    set(root, "warnings", warnings);
    set(root, "samples", samples);
    set(root, "cells", cells);
    return root;
}

int json_check(const char *path)
{
    struct stat info;
    bool existed = stat(path, &info) == 0;
    int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC | O_NONBLOCK, 0644);

    if (fd < 0) {
        return -errno;
    }
    (void)close(fd);
    if (!existed) {
        (void)unlink(path);
    }
    return 0;
}

static int write_to(FILE *file, const struct run *run)
{
    json_t *root = run_json(run);
    int error = root == NULL ? -ENOMEM : 0;

    if (error == 0 && (json_dumpf(root, file, JSON_INDENT(1) | JSON_REAL_PRECISION(9)) != 0 ||
                       fputc('\n', file) == EOF)) {
        error = -EIO;
    }
    json_decref(root);
    return error;
}

/* A device or a pipe takes the text itself: there is nothing to keep whole. */
static int write_plain(const char *path, const struct run *run)
{
    FILE *file = fopen(path, "we");

    if (file == NULL) {
        return -errno;
    }
    int error = write_to(file, run);
    if (fclose(file) != 0 && error == 0) {
        error = -EIO;
    }
    return error;
}

static int write_renamed(const char *path, const struct run *run)
{
    char *temporary = NULL;

    if (asprintf(&temporary, "%s.%d.part", path, (int)getpid()) < 0) {
        return -ENOMEM;
    }
    int error = write_plain(temporary, run);
    if (error == 0 && rename(temporary, path) != 0) {
        error = -errno;
    }
    if (error != 0) {
        (void)unlink(temporary);
    }
    free(temporary);
    return error;
}

int json_write(const char *path, const struct run *run)
{
    struct stat info;
    bool special = lstat(path, &info) == 0 && !S_ISREG(info.st_mode);

    return special ? write_plain(path, run) : write_renamed(path, run);
}
