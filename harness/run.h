/** `bench run`: everything between the options and the exit code. */
#ifndef BENCH_RUN_H
#define BENCH_RUN_H

#include "analysis.h"
#include "environment.h"
#include "perf_counter.h"
#include "plan.h"
#include "port_rest.h"
#include "sample.h"

#define RUN_ID_BYTES 32

/** A round in which the host took away too much CPU time says nothing: it is left out whole. */
#define RUN_STEAL_LIMIT 0.05

struct run_round {
    double steal_share;
    bool discarded;
};

/** What every report is made of. Const for the reports. */
struct run {
    const struct options *options;
    struct plan plan;
    struct environment environment;
    char run_id[RUN_ID_BYTES];
    struct sample_list samples;
    struct cell_summary *summaries; /* [plan.cells_count] */
    int64_t *syscalls;              /* [plan.cells_count], in a trial of their own; -1: unknown */
    struct run_round *rounds;       /* [rounds_begun] */
    struct port_rest port_rest;
    double harness_us; /* per transfer, with nothing downloaded; NAN: unknown */
    uint32_t rounds_begun;
    uint32_t rounds_discarded;
    char stop_reason[64];               /* why no further round was begun */
    char hint[PERF_COUNTER_HINT_BYTES]; /* why system calls are not counted */
    bool interrupted;
};

/** @return exit code */
int run_command(int argc, char **argv);

#endif
