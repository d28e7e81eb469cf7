/** From samples to one line per cell. Reads only. */
#ifndef BENCH_ANALYSIS_H
#define BENCH_ANALYSIS_H

#include "plan.h"
#include "sample.h"

enum metric {
    METRIC_WALL_S,
    METRIC_CPU_US_PER_TRANSFER,
    METRIC_TRANSFERS_PER_S,
    METRIC_LATENCY_P50_MS,
    METRIC_LATENCY_P99_MS,
    METRIC_COUNT
};

/** "wall_s", ...: the names used in every report. */
const char *metric_name(enum metric metric);

/** Its value in one trial; NAN where not measured. */
double metric_of(const struct sample *sample, enum metric metric);

struct estimate {
    double median; /* over valid trials; NAN when there is none */
    double ratio;  /* median over rounds of this cell / reference cell; NAN when unknown */
};

struct cell_summary {
    size_t rounds;  /* valid trials */
    size_t invalid; /* the others */
    uint64_t outcomes[TRANSFER_STATUS_COUNT];
    double efficiency;       /* median */
    double server_cpu_share; /* median of server CPU / wall */
    struct estimate metrics[METRIC_COUNT];
};

/** @param summaries [plan->cells_count]. @return 0 or -ENOMEM */
int analysis_run(const struct plan *plan, const struct sample_list *samples,
                 struct cell_summary *summaries);

#endif
