#include "cell_name.h"
#include "environment_json.h"
#include "exports.h"
#include "json_value.h"
#include "run.h"

#include "backends/transfer.h"

#define JSON_SCHEMA 1

static json_t *outcomes_json(const uint64_t outcomes[TRANSFER_STATUS_COUNT])
{
    json_t *object = json_object();

    for (int status = 0; status < TRANSFER_STATUS_COUNT; status++) {
        if (outcomes[status] > 0) {
            json_value_set(object, transfer_status_name((enum transfer_status)status),
                           json_integer((json_int_t)outcomes[status]));
        }
    }
    return object;
}

static void set_cell(json_t *object, const struct run *run, size_t index)
{
    const struct plan_cell *cell = &run->plan.cells[index];

    json_value_set(object, "backend", json_value_text(cell->label));
    json_value_set(object, "copy", json_boolean(cell->is_copy));
    json_value_set(object, "engine", json_value_text(cell->backend->backend->engine));
    json_value_set(object, "model", json_value_text(cell->backend->backend->model));
    json_value_set(object, "concurrency", json_integer(cell->concurrency));
    json_value_set(object, "loops", json_integer(cell->loops));
    json_value_set(object, "transfers", json_integer((json_int_t)cell->transfers));
    json_value_set(object, "delay", json_value_text(cell->source->delay));
    json_value_set(object, "fault", json_value_text(run->plan.fault));
    json_value_set(object, "size", json_value_text(cell->size));
    json_value_set(object, "connections",
                   json_value_text(run->options->fresh_connections ? "fresh" : "reuse"));
}

static json_t *sample_json(const struct run *run, const struct sample *sample)
{
    json_t *object = json_object();

    json_value_set(object, "utc", json_value_text(sample->utc));
    json_value_set(object, "round", json_integer(sample->round));
    json_value_set(object, "position", json_integer(sample->position));
    set_cell(object, run, sample->cell);
    json_value_set(object, "wall_s", json_value_number(sample->wall_s));
    json_value_set(object, "cpu_user_s", json_value_number(sample->cpu_user_s));
    json_value_set(object, "cpu_sys_s", json_value_number(sample->cpu_sys_s));
    json_value_set(object, "cpu_us_per_transfer",
                   json_value_number(sample_cpu_us_per_transfer(sample)));
    json_value_set(object, "transfers_per_s", json_value_number(sample_transfers_per_s(sample)));
    json_value_set(object, "body_mb_per_s", json_value_number(sample_body_mb_per_s(sample)));
    json_value_set(object, "ok", json_integer((json_int_t)sample_ok(sample)));
    json_value_set(object, "failed", json_integer((json_int_t)sample_failed(sample)));
    json_value_set(object, "body_bytes", json_integer((json_int_t)sample->body_bytes));
    json_value_set(object, "latency_p50_ms", json_value_number(sample->latency_p50_ms));
    json_value_set(object, "latency_p90_ms", json_value_number(sample->latency_p90_ms));
    json_value_set(object, "latency_p99_ms", json_value_number(sample->latency_p99_ms));
    json_value_set(object, "latency_max_ms", json_value_number(sample->latency_max_ms));
    json_value_set(object, "first_byte_p50_ms", json_value_number(sample->first_byte_p50_ms));
    json_value_set(object, "voluntary_switches", json_value_count(sample->voluntary_switches));
    json_value_set(object, "involuntary_switches", json_value_count(sample->involuntary_switches));
    json_value_set(object, "syscalls", json_value_count(sample->syscalls));
    json_value_set(object, "max_rss_kib", json_value_count(sample->max_rss_kib));
    json_value_set(object, "connections_opened", json_value_count(sample->connections_opened));
    json_value_set(object, "server_max_in_flight", json_value_count(sample->server_max_in_flight));
    json_value_set(object, "server_cpu_s", json_value_number(sample->server_cpu_s));
    json_value_set(object, "bound_s", json_value_number(sample->bound_s));
    json_value_set(object, "efficiency", json_value_number(sample_efficiency(sample)));
    json_value_set(object, "minor_faults", json_value_count(sample->minor_faults));
    json_value_set(object, "major_faults", json_value_count(sample->major_faults));
    json_value_set(object, "steal_share", json_value_number(sample->steal_share));
    json_value_set(object, "valid", json_boolean(sample->valid));
    json_value_set(object, "invalid_reason",
                   sample->valid ? json_null() : json_value_text(sample->invalid_reason));
    json_value_set(object, "outcomes", outcomes_json(sample->outcomes));
    return object;
}

static json_t *estimate_json(const struct estimate *estimate, bool is_reference)
{
    json_t *object = json_object();

    json_value_set(object, "median", json_value_number(estimate->median));
    json_value_set(object, "ratio", json_value_number(estimate->ratio));
    json_value_set(object, "low", json_value_number(estimate->low));
    json_value_set(object, "high", json_value_number(estimate->high));
    json_value_set(object, "p", json_value_number(estimate->p));
    json_value_set(object, "rounds", json_value_count((int64_t)estimate->rounds));
    json_value_set(
        object, "verdict",
        json_value_text(is_reference ? "reference" : paired_verdict_name(estimate->verdict)));
    json_value_set(object, "detectable", json_value_number(estimate->detectable));
    return object;
}

static json_t *rank_json(const struct cell_summary *summary)
{
    json_t *rank = json_array();

    (void)json_array_append_new(rank, json_integer((json_int_t)summary->rank_first));
    (void)json_array_append_new(rank, json_integer((json_int_t)summary->rank_last));
    return rank;
}

static json_t *cell_json(const struct run *run, size_t index)
{
    const struct cell_summary *summary = &run->summaries[index];
    char name[CELL_NAME_BYTES];
    json_t *object = json_object();
    json_t *metrics = json_object();

    cell_name(name, run, index);
    json_value_set(object, "name", json_value_text(name));
    set_cell(object, run, index);
    json_value_set(object, "rounds", json_value_count((int64_t)summary->rounds));
    json_value_set(object, "invalid", json_value_count((int64_t)summary->invalid));
    json_value_set(object, "rank", summary->rank_first == 0 ? json_null() : rank_json(summary));
    json_value_set(object, "rank_metric", json_value_text(metric_name(summary->rank_metric)));
    json_value_set(object, "server_limited", json_boolean(summary->server_limited));
    json_value_set(object, "server_cpu_share", json_value_number(summary->server_cpu_share));
    json_value_set(object, "efficiency", json_value_number(summary->efficiency));
    json_value_set(object, "syscalls_per_transfer",
                   json_value_number(summary->syscalls_per_transfer));
    json_value_set(object, "outcomes", outcomes_json(summary->outcomes));
    for (enum metric metric = 0; metric < METRIC_COUNT; metric++) {
        json_value_set(metrics, metric_name(metric),
                       estimate_json(&summary->metrics[metric], summary->is_reference));
    }
    json_value_set(object, "metrics", metrics);
    return object;
}

static json_t *rounds_json(const struct run *run)
{
    json_t *rounds = json_array();

    for (uint32_t i = 0; i < run->rounds_begun; i++) {
        json_t *round = json_object();
        json_value_set(round, "steal_share", json_value_number(run->rounds[i].steal_share));
        json_value_set(round, "discarded", json_boolean(run->rounds[i].discarded));
        (void)json_array_append_new(rounds, round);
    }
    return rounds;
}

static json_t *run_json(const struct run *run)
{
    json_t *root = json_object();
    json_t *warnings = json_array();
    json_t *samples = json_array();
    json_t *cells = json_array();

    json_value_set(root, "schema", json_integer(JSON_SCHEMA));
    json_value_set(root, "run_id", json_value_text(run->run_id));
    json_value_set(root, "environment", environment_json(run));
    json_value_set(root, "options", options_json(run->options));
    json_value_set(root, "reference",
                   json_value_text(run->plan.backends[run->plan.reference].label));
    json_value_set(root, "interrupted", json_boolean(run->interrupted));
    json_value_set(root, "stopped_because", json_value_text(run->stop_reason));
    json_value_set(root, "rounds", rounds_json(run));
    json_value_set(root, "harness_us_per_transfer", json_value_number(run->harness_us));
    for (size_t i = 0; i < run->plan.warnings_count; i++) {
        (void)json_array_append_new(warnings, json_value_text(run->plan.warnings[i]));
    }
    for (size_t i = 0; i < run->samples.count; i++) {
        (void)json_array_append_new(samples, sample_json(run, &run->samples.samples[i]));
    }
    for (size_t i = 0; i < run->plan.cells_count; i++) {
        (void)json_array_append_new(cells, cell_json(run, i));
    }
    json_value_set(root, "warnings", warnings);
    json_value_set(root, "samples", samples);
    json_value_set(root, "cells", cells);
    return root;
}

int export_json(FILE *file, const void *content)
{
    return json_value_write(file, run_json(content));
}
