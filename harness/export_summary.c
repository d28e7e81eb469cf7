#include "csv_text.h"
#include "exports.h"
#include "run.h"

#include <errno.h>
#include <math.h>

static void put(FILE *file, double value)
{
    (void)fputc(',', file);
    if (isfinite(value)) {
        (void)fprintf(file, "%.9g", value);
    }
}

static void put_text(FILE *file, const char *text)
{
    (void)fputc(',', file);
    csv_put_text(file, text);
}

static void put_header(FILE *file)
{
    (void)fputs("run_id,backend,engine,model,concurrency,loops,transfers,delay,fault,size,"
                "connections,copy,rounds,invalid,ok,failed,rank_metric,rank_first,rank_last,"
                "server_limited,efficiency,syscalls_per_transfer",
                file);
    for (enum metric metric = 0; metric < METRIC_COUNT; metric++) {
        const char *name = metric_name(metric);
        (void)fprintf(file, ",%s_median,%s_ratio,%s_low,%s_high,%s_verdict,%s_detectable", name,
                      name, name, name, name, name);
    }
    (void)fputc('\n', file);
}

static void put_cell(FILE *file, const struct run *run, size_t index)
{
    const struct plan_cell *cell = &run->plan.cells[index];

    (void)fputs(run->run_id, file);
    put_text(file, cell->label);
    put_text(file, cell->backend->backend->engine);
    put_text(file, cell->backend->backend->model);
    (void)fprintf(file, ",%u,%u,%llu", cell->concurrency, cell->loops,
                  (unsigned long long)cell->transfers);
    put_text(file, cell->source->delay);
    put_text(file, run->plan.fault);
    put_text(file, cell->size);
    put_text(file, run->options->fresh_connections ? "fresh" : "reuse");
    (void)fprintf(file, ",%d", cell->is_copy);
}

static void put_summary(FILE *file, const struct cell_summary *summary)
{
    uint64_t total = 0;

    for (int status = 0; status < TRANSFER_STATUS_COUNT; status++) {
        total += summary->outcomes[status];
    }
    (void)fprintf(file, ",%zu,%zu,%llu,%llu,%s", summary->rounds, summary->invalid,
                  (unsigned long long)summary->outcomes[TRANSFER_OK],
                  (unsigned long long)(total - summary->outcomes[TRANSFER_OK]),
                  metric_name(summary->rank_metric));
    put(file, summary->rank_first > 0 ? (double)summary->rank_first : NAN);
    put(file, summary->rank_last > 0 ? (double)summary->rank_last : NAN);
    (void)fprintf(file, ",%d", summary->server_limited);
    put(file, summary->efficiency);
    put(file, summary->syscalls_per_transfer);
}

int export_summary(FILE *file, const void *content)
{
    const struct run *run = content;

    put_header(file);
    for (size_t i = 0; i < run->plan.cells_count; i++) {
        const struct cell_summary *summary = &run->summaries[i];
        put_cell(file, run, i);
        put_summary(file, summary);
        for (enum metric metric = 0; metric < METRIC_COUNT; metric++) {
            const struct estimate *estimate = &summary->metrics[metric];
            put(file, estimate->median);
            put(file, estimate->ratio);
            put(file, estimate->low);
            put(file, estimate->high);
            put_text(file,
                     summary->is_reference ? "reference" : paired_verdict_name(estimate->verdict));
            put(file, estimate->detectable);
        }
        (void)fputc('\n', file);
    }
    return ferror(file) ? -EIO : 0;
}
