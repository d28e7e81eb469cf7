/**
 * From samples to one summary per cell: estimates with intervals, verdicts, ranks. Reads only.
 *
 * The round is the unit: for each metric one number per trial, d = ln(cell / reference) of the
 * same round. See paired.h for what is done with them.
 */
#ifndef BENCH_ANALYSIS_H
#define BENCH_ANALYSIS_H

#include "paired.h"
#include "sample.h"

#include <stdbool.h>
#include <stddef.h>

struct run;

enum metric {
    METRIC_WALL_S,
    METRIC_CPU_US_PER_TRANSFER,
    METRIC_TRANSFERS_PER_S,
    METRIC_LATENCY_P50_MS,
    METRIC_LATENCY_P99_MS,
    METRIC_COUNT
};

#define ANALYSIS_LEVEL 0.05 /* of all comparisons with the reference together */
/* Stopping at a width favours rounds that happen to agree: simulated, 5% become 6.6% with 2% asked
 * for. The stricter level makes up for it. */
#define ANALYSIS_LEVEL_STOPPED 0.035
#define ANALYSIS_MARGIN 0.03 /* closer than this is the same */
#define ANALYSIS_ROUNDS_FOR_PRECISION 10
#define ANALYSIS_SERVER_BUSY 0.85 /* server CPU / wall time of its loops: wall says no more */

/** "wall_s", ...: the names used in every report. */
const char *metric_name(enum metric metric);

/** Is more of it better? */
bool metric_more_is_better(enum metric metric);

/** Its value in one trial; NAN where not measured. */
double metric_of(const struct sample *sample, enum metric metric);

struct estimate {
    double median; /* over valid trials; NAN when there is none */
    size_t rounds; /* pairs that the rest is made of */
    /* of the ratio to the reference's cell; NAN where unknown */
    double ratio; /* Hodges-Lehmann */
    double low;   /* simultaneous over the comparisons of this point of the sweep */
    double high;
    double p;          /* two-sided, Holm-adjusted */
    double detectable; /* smallest change that so many rounds would have shown: 0.03 is 3% */
    enum paired_verdict verdict; /* meaningless for the reference itself */
};

struct cell_summary {
    size_t rounds;  /* valid trials in rounds that count */
    size_t invalid; /* invalid trials */
    bool is_reference;
    uint64_t outcomes[TRANSFER_STATUS_COUNT];
    double efficiency;              /* median; NAN when there is no bound */
    double server_cpu_share;        /* median of server CPU / wall */
    bool server_limited;            /* the server was busy all the time: compare CPU, not wall */
    double syscalls_per_transfer;   /* NAN: not counted */
    double cpu_user_us, cpu_sys_us; /* per transfer, medians */
    double switches_per_transfer;   /* voluntary and involuntary */
    double max_rss_kib, connections_opened; /* medians */
    enum metric rank_metric; /* wall time; CPU per transfer when the point is server-limited */
    size_t rank_first;       /* among the backends of the point, from 1; 0: unknown */
    size_t rank_last;
    struct estimate metrics[METRIC_COUNT];
};

/** @param summaries [plan.cells_count]. @return 0 or -ENOMEM */
int analysis_run(const struct run *run, struct cell_summary *summaries);

/** Is every ratio of wall time and CPU per transfer known to +-half_width (0.02 for 2%)? */
bool analysis_is_precise(const struct run *run, double half_width);

#endif
