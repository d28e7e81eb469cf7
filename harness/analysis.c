#include "analysis.h"

#include "statistics.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

const char *metric_name(enum metric metric)
{
    static const char *const names[] = {
        [METRIC_WALL_S] = "wall_s",
        [METRIC_CPU_US_PER_TRANSFER] = "cpu_us_per_transfer",
        [METRIC_TRANSFERS_PER_S] = "transfers_per_s",
        [METRIC_LATENCY_P50_MS] = "latency_p50_ms",
        [METRIC_LATENCY_P99_MS] = "latency_p99_ms",
    };
    _Static_assert(sizeof names / sizeof names[0] == METRIC_COUNT, "a name for each metric");
    return names[metric];
}

double metric_of(const struct sample *sample, enum metric metric)
{
    switch (metric) {
    case METRIC_WALL_S:
        return sample->wall_s;
    case METRIC_CPU_US_PER_TRANSFER:
        return sample_cpu_us_per_transfer(sample);
    case METRIC_TRANSFERS_PER_S:
        return sample_transfers_per_s(sample);
    case METRIC_LATENCY_P50_MS:
        return sample->latency_p50_ms;
    case METRIC_LATENCY_P99_MS:
        return sample->latency_p99_ms;
    case METRIC_COUNT:
        break;
    }
    return NAN;
}

static const struct sample *find_sample(const struct sample_list *samples, size_t cell,
                                        uint32_t round)
{
    for (size_t i = 0; i < samples->count; i++) {
        if (samples->samples[i].cell == cell && samples->samples[i].round == round) {
            return &samples->samples[i];
        }
    }
    return NULL;
}

static double median_of_known(double *values, size_t count)
{
    size_t known = 0;

    for (size_t i = 0; i < count; i++) {
        if (isfinite(values[i])) {
            values[known++] = values[i];
        }
    }
    return statistics_median(values, known);
}

/* Paired within the round: what drifts from round to round cancels out. */
static double ratio_to_reference(const struct plan *plan, const struct sample_list *samples,
                                 size_t cell, enum metric metric, double *room)
{
    size_t count = 0;

    for (size_t i = 0; i < samples->count; i++) {
        const struct sample *sample = &samples->samples[i];
        if (sample->cell != cell || !sample->valid) {
            continue;
        }
        const struct sample *reference =
            find_sample(samples, plan->cells[cell].reference, sample->round);
        if (reference != NULL && reference->valid) {
            room[count++] = metric_of(sample, metric) / metric_of(reference, metric);
        }
    }
    return median_of_known(room, count);
}

static double median_over(const struct sample_list *samples, size_t cell,
                          double (*value)(const struct sample *), double *room)
{
    size_t count = 0;

    for (size_t i = 0; i < samples->count; i++) {
        if (samples->samples[i].cell == cell && samples->samples[i].valid) {
            room[count++] = value(&samples->samples[i]);
        }
    }
    return median_of_known(room, count);
}

static double median_of_metric(const struct sample_list *samples, size_t cell, enum metric metric,
                               double *room)
{
    size_t count = 0;

    for (size_t i = 0; i < samples->count; i++) {
        if (samples->samples[i].cell == cell && samples->samples[i].valid) {
            room[count++] = metric_of(&samples->samples[i], metric);
        }
    }
    return median_of_known(room, count);
}

static double server_share(const struct sample *sample)
{
    return sample->server_cpu_s / sample->wall_s;
}

static void summarise(const struct plan *plan, const struct sample_list *samples, size_t cell,
                      struct cell_summary *summary, double *room)
{
    *summary = (struct cell_summary){.rounds = 0};
    for (size_t i = 0; i < samples->count; i++) {
        const struct sample *sample = &samples->samples[i];
        if (sample->cell != cell) {
            continue;
        }
        summary->rounds += sample->valid;
        summary->invalid += !sample->valid;
        for (int status = 0; status < TRANSFER_STATUS_COUNT; status++) {
            summary->outcomes[status] += sample->outcomes[status];
        }
    }
    summary->efficiency = median_over(samples, cell, sample_efficiency, room);
    summary->server_cpu_share = median_over(samples, cell, server_share, room);
    for (enum metric metric = 0; metric < METRIC_COUNT; metric++) {
        summary->metrics[metric] = (struct estimate){
            .median = median_of_metric(samples, cell, metric, room),
            .ratio = ratio_to_reference(plan, samples, cell, metric, room),
        };
    }
}

int analysis_run(const struct plan *plan, const struct sample_list *samples,
                 struct cell_summary *summaries)
{
    double *room = calloc(samples->count + 1, sizeof room[0]);

    if (room == NULL) {
        return -ENOMEM;
    }
    for (size_t i = 0; i < plan->cells_count; i++) {
        summarise(plan, samples, i, &summaries[i], room);
    }
    free(room);
    return 0;
}
