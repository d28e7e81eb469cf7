/**
 * What will be run: cells (a backend at one point of the sweep), each with its workload, and
 * the servers they need. Const once built.
 */
#ifndef BENCH_PLAN_H
#define BENCH_PLAN_H

#include "options.h"
#include "placement.h"
#include "server_process.h"
#include "workload.h"

#include "backends/backend.h"

struct plan_backend {
    const char *label; /* what reports call it */
    const struct bench_backend *backend;
    const char *path; /* of a plug-in; NULL: a built-in */
};

/** One behaviour of the server, with what is downloaded from it. */
struct plan_source {
    struct server server;
    const char *delay;          /* as given; "" when the server is not ours */
    struct workload *workloads; /* [options->sizes.count] */
};

struct plan_cell {
    char *label;  /* of the backend; the second copy of the reference has "#2" behind it */
    bool is_copy; /* the A/A arm: what it differs from the reference by is noise */
    const struct plan_backend *backend;
    const struct plan_source *source;
    const struct workload *workload;
    const char *size; /* as given, "" for flags */
    uint32_t concurrency;
    uint32_t loops;
    uint64_t transfers;
    double bound_s;   /* no schedule of these delays can be faster; NAN when unknown */
    size_t reference; /* the cell of the reference backend at the same point */
};

#define PLAN_BACKENDS_MAX 64

struct plan {
    const struct options *options;
    struct plan_backend backends[PLAN_BACKENDS_MAX];
    size_t backends_count;
    size_t reference; /* index into backends */
    struct placement placement;
    struct plan_source *sources;
    size_t sources_count;
    struct plan_cell *cells; /* point after point of the sweep */
    size_t point_cells;      /* of one point: every backend, and the copy of the reference last */
    size_t cells_count;
    const char *fault; /* the specs as one text, "" for none */
    char fault_text[512];
    const char *warnings[8]; /* for the report: what its reader has to know */
    size_t warnings_count;
};

/**
 * Choose the backends: names, model names, globs, label=path.so, path.so.
 * @return 0, EXIT_USAGE_ERROR (unknown), EXIT_UNAVAILABLE (none can run), with a line on stderr
 */
int plan_choose_backends(struct plan *plan, const struct options *options);

/** Start the servers, learn the workloads, lay out the cells. Same return, and
 *  EXIT_INTERRUPTED. Release with plan_release also after a failure. */
int plan_build(struct plan *plan);

void plan_release(struct plan *plan);

#endif
