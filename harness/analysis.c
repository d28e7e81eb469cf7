#include "analysis.h"

#include "run.h"
#include "statistics.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Scratch of one analysis: the samples by cell and round, and room for one number per round. */
struct analysis {
    const struct run *run;
    const struct sample **by_round; /* [cells][rounds], NULL: none that counts */
    double *room;                   /* [rounds] */
    size_t rounds;
};

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

bool metric_more_is_better(enum metric metric)
{
    return metric == METRIC_TRANSFERS_PER_S;
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

/* ---- the samples that count ---- */

static int analysis_init(struct analysis *analysis, const struct run *run)
{
    size_t cells = run->plan.cells_count;

    *analysis = (struct analysis){.run = run, .rounds = run->rounds_begun};
    analysis->by_round = calloc(cells * analysis->rounds + 1, sizeof(const struct sample *));
    analysis->room = calloc(analysis->rounds + 1, sizeof analysis->room[0]);
    if (analysis->by_round == NULL || analysis->room == NULL) {
        return -ENOMEM;
    }
    for (size_t i = 0; i < run->samples.count; i++) {
        const struct sample *sample = &run->samples.samples[i];
        if (sample->valid && !run->rounds[sample->round - 1].discarded) {
            analysis->by_round[sample->cell * analysis->rounds + sample->round - 1] = sample;
        }
    }
    return 0;
}

static void analysis_release(struct analysis *analysis)
{
    free(analysis->by_round);
    free(analysis->room);
}

static const struct sample *sample_at(const struct analysis *analysis, size_t cell, size_t round)
{
    return analysis->by_round[cell * analysis->rounds + round];
}

typedef double sample_value(const struct sample *sample);

static double median_over(struct analysis *analysis, size_t cell, sample_value *value)
{
    size_t count = 0;

    for (size_t round = 0; round < analysis->rounds; round++) {
        const struct sample *sample = sample_at(analysis, cell, round);
        double number = sample == NULL ? NAN : value(sample);
        if (isfinite(number)) {
            analysis->room[count++] = number;
        }
    }
    return statistics_median(analysis->room, count);
}

static double median_of_metric(struct analysis *analysis, size_t cell, enum metric metric,
                               size_t *rounds)
{
    size_t count = 0;

    for (size_t round = 0; round < analysis->rounds; round++) {
        const struct sample *sample = sample_at(analysis, cell, round);
        double number = sample == NULL ? NAN : metric_of(sample, metric);
        if (isfinite(number)) {
            analysis->room[count++] = number;
        }
    }
    *rounds = count;
    return statistics_median(analysis->room, count);
}

/* d = ln(a / b) for each round that has both. @return how many; into analysis->room */
static size_t log_ratios(struct analysis *analysis, size_t a, size_t b, enum metric metric)
{
    size_t count = 0;

    for (size_t round = 0; round < analysis->rounds; round++) {
        const struct sample *of_a = sample_at(analysis, a, round);
        const struct sample *of_b = sample_at(analysis, b, round);
        if (of_a != NULL && of_b != NULL) {
            double difference = log(metric_of(of_a, metric)) - log(metric_of(of_b, metric));
            if (isfinite(difference) && count < PAIRED_ROUNDS_MAX) {
                analysis->room[count++] = difference;
            }
        }
    }
    return count;
}

/* ---- ratios to the reference ---- */

static double level_of(const struct run *run)
{
    return run->options->precision > 0 ? ANALYSIS_LEVEL_STOPPED : ANALYSIS_LEVEL;
}

/* Backends of a point that are compared with its reference; the copy is no contestant. */
static size_t comparisons(const struct run *run)
{
    return run->plan.backends_count > 1 ? run->plan.backends_count - 1 : 1;
}

static void estimate_ratio(struct analysis *analysis, size_t cell, enum metric metric,
                           struct estimate *estimate)
{
    const struct run *run = analysis->run;
    bool is_copy = run->plan.cells[cell].is_copy;
    size_t family = is_copy ? 1 : comparisons(run);
    struct paired_estimate paired;

    estimate->ratio = estimate->low = estimate->high = NAN;
    estimate->p = estimate->detectable = NAN;
    estimate->verdict = PAIRED_UNRESOLVED;
    size_t count = log_ratios(analysis, cell, run->plan.cells[cell].reference, metric);
    estimate->rounds = count;
    if (count == 0) {
        return;
    }
    paired_estimate(analysis->room, count, level_of(run), family, &paired);
    estimate->ratio = exp(paired.log_ratio);
    estimate->p = paired.p;
    if (isfinite(paired.log_low) && isfinite(paired.log_high)) {
        estimate->detectable = expm1(paired.log_detectable); /* else nothing can be shown */
        estimate->low = exp(paired.log_low);
        estimate->high = exp(paired.log_high);
        estimate->verdict = paired_verdict(paired.log_low, paired.log_high, log1p(ANALYSIS_MARGIN),
                                           metric_more_is_better(metric));
    }
}

/* Holm over the comparisons with the reference at one point; the interval stays at level/m. */
static void adjust_p_values(struct cell_summary *summaries, const struct plan *plan, size_t first,
                            enum metric metric)
{
    double p[PLAN_BACKENDS_MAX];
    size_t of[PLAN_BACKENDS_MAX];
    size_t count = 0;

    for (size_t i = first; i < first + plan->backends_count; i++) {
        double value = summaries[i].metrics[metric].p;
        if (plan->cells[i].reference != i && isfinite(value)) {
            of[count] = i;
            p[count++] = value;
        }
    }
    paired_holm(p, count);
    for (size_t i = 0; i < count; i++) {
        summaries[of[i]].metrics[metric].p = p[i];
    }
}

/* ---- ranks ---- */

/*
 * One backend against every other of its point, Holm over these: each interval of ranks holds with
 * 95% by itself. Over all pairs together ten rounds could never tell two of twelve apart: the
 * smallest p is 2 / 2^10, and there are 66 pairs.
 */
static void rank_cell(struct analysis *analysis, struct cell_summary *summaries, size_t first,
                      size_t self)
{
    const size_t backends = analysis->run->plan.backends_count;
    struct cell_summary *summary = &summaries[self];
    double p[PLAN_BACKENDS_MAX];
    bool is_better[PLAN_BACKENDS_MAX]; /* self than the other */
    size_t count = 0;

    for (size_t other = first; other < first + backends; other++) {
        size_t rounds = other == self ? 0 : log_ratios(analysis, self, other, summary->rank_metric);
        if (rounds > 0) {
            struct paired_estimate paired;
            paired_estimate(analysis->room, rounds, level_of(analysis->run), 1, &paired);
            is_better[count] = paired.log_ratio < 0;
            p[count++] = paired.p;
        }
    }
    paired_holm(p, count);
    for (size_t i = 0; i < count; i++) {
        if (p[i] <= level_of(analysis->run)) {
            summary->rank_first += !is_better[i];
            summary->rank_last -= is_better[i];
        }
    }
}

static void rank_point(struct analysis *analysis, struct cell_summary *summaries, size_t first)
{
    const size_t backends = analysis->run->plan.backends_count;
    size_t live = 0;

    for (size_t i = first; i < first + backends; i++) {
        live += summaries[i].rounds > 0;
    }
    for (size_t i = first; i < first + backends; i++) {
        if (summaries[i].rounds > 0) {
            summaries[i].rank_first = 1;
            summaries[i].rank_last = live;
            rank_cell(analysis, summaries, first, i);
        }
    }
}

/* ---- evidence ---- */

static double server_share(const struct sample *sample)
{
    return sample->server_cpu_s / sample->wall_s;
}

static double transfers_of(const struct sample *sample)
{
    return (double)(sample_ok(sample) + sample_failed(sample));
}

static double user_us(const struct sample *sample)
{
    return sample->cpu_user_s * 1e6 / transfers_of(sample);
}

static double system_us(const struct sample *sample)
{
    return sample->cpu_sys_s * 1e6 / transfers_of(sample);
}

static double switches(const struct sample *sample)
{
    return (double)(sample->voluntary_switches + sample->involuntary_switches) /
           transfers_of(sample);
}

static double syscalls(const struct sample *sample)
{
    return sample->syscalls < 0 ? NAN : (double)sample->syscalls / transfers_of(sample);
}

static double max_rss(const struct sample *sample)
{
    return (double)sample->max_rss_kib;
}

static double connections(const struct sample *sample)
{
    return (double)sample->connections_opened;
}

static void count_outcomes(const struct run *run, size_t cell, struct cell_summary *summary)
{
    for (size_t i = 0; i < run->samples.count; i++) {
        const struct sample *sample = &run->samples.samples[i];
        if (sample->cell != cell) {
            continue;
        }
        summary->invalid += !sample->valid;
        for (int status = 0; status < TRANSFER_STATUS_COUNT; status++) {
            summary->outcomes[status] += sample->outcomes[status];
        }
    }
}

static void summarise(struct analysis *analysis, size_t cell, struct cell_summary *summary)
{
    const struct run *run = analysis->run;

    *summary = (struct cell_summary){.is_reference = run->plan.cells[cell].reference == cell};
    count_outcomes(run, cell, summary);
    summary->efficiency = median_over(analysis, cell, sample_efficiency);
    summary->server_cpu_share = median_over(analysis, cell, server_share);
    summary->server_limited = summary->server_cpu_share > ANALYSIS_SERVER_BUSY;
    summary->cpu_user_us = median_over(analysis, cell, user_us);
    summary->cpu_sys_us = median_over(analysis, cell, system_us);
    summary->switches_per_transfer = median_over(analysis, cell, switches);
    summary->syscalls_per_transfer = median_over(analysis, cell, syscalls);
    summary->max_rss_kib = median_over(analysis, cell, max_rss);
    summary->connections_opened = median_over(analysis, cell, connections);
    for (enum metric metric = 0; metric < METRIC_COUNT; metric++) {
        struct estimate *estimate = &summary->metrics[metric];
        size_t rounds = 0;
        estimate->median = median_of_metric(analysis, cell, metric, &rounds);
        summary->rounds = metric == METRIC_WALL_S ? rounds : summary->rounds;
        estimate_ratio(analysis, cell, metric, estimate);
    }
}

static void summarise_point(struct analysis *analysis, struct cell_summary *summaries, size_t first)
{
    const struct plan *plan = &analysis->run->plan;
    bool server_limited = false;

    for (size_t i = first; i < first + plan->point_cells; i++) {
        summarise(analysis, i, &summaries[i]);
        server_limited = server_limited || summaries[i].server_limited;
    }
    for (size_t i = first; i < first + plan->point_cells; i++) {
        summaries[i].rank_metric = server_limited ? METRIC_CPU_US_PER_TRANSFER : METRIC_WALL_S;
    }
    for (enum metric metric = 0; metric < METRIC_COUNT; metric++) {
        adjust_p_values(summaries, plan, first, metric);
    }
    rank_point(analysis, summaries, first);
}

int analysis_run(const struct run *run, struct cell_summary *summaries)
{
    struct analysis analysis;
    int error = analysis_init(&analysis, run);

    for (size_t first = 0; error == 0 && first < run->plan.cells_count;
         first += run->plan.point_cells) {
        summarise_point(&analysis, summaries, first);
    }
    analysis_release(&analysis);
    return error;
}

static bool is_precise(const struct estimate *estimate, double half_width)
{
    return isfinite(estimate->low) && isfinite(estimate->high) &&
           log(estimate->high / estimate->low) / 2 <= log1p(half_width);
}

bool analysis_is_precise(const struct run *run, double half_width)
{
    for (size_t i = 0; i < run->plan.cells_count; i++) {
        const struct cell_summary *summary = &run->summaries[i];
        if (!summary->is_reference && !run->plan.cells[i].is_copy &&
            (!is_precise(&summary->metrics[METRIC_WALL_S], half_width) ||
             !is_precise(&summary->metrics[METRIC_CPU_US_PER_TRANSFER], half_width))) {
            return false;
        }
    }
    return true;
}
