/** `bench run`: everything between the options and the exit code. */
#ifndef BENCH_RUN_H
#define BENCH_RUN_H

#include "analysis.h"
#include "environment.h"
#include "plan.h"
#include "sample.h"

#define RUN_ID_BYTES 32

/** What every report is made of. Const for the reports. */
struct run {
    const struct options *options;
    struct plan plan;
    struct environment environment;
    char run_id[RUN_ID_BYTES];
    struct sample_list samples;
    struct cell_summary *summaries; /* [plan.cells_count] */
    uint32_t rounds_begun;
    bool interrupted;
};

/** @return exit code */
int run_command(int argc, char **argv);

#endif
