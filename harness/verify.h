/**
 * Is a trial to be believed? The slots are checked against each other, against the bodies
 * expected, and against what the server itself counted. A trial that fails is invalid, not slow.
 */
#ifndef BENCH_VERIFY_H
#define BENCH_VERIFY_H

#include "plan.h"
#include "sample.h"
#include "server_stats.h"

struct trial_memory;

/** Bodies seen so far of a workload without a manifest: all backends must get the same. */
struct body_agreement {
    uint64_t *xxh3; /* [targets], valid where seen */
    uint64_t *bytes;
    bool *seen;
    size_t count;
};

int body_agreement_init(struct body_agreement *agreement, size_t targets);
void body_agreement_release(struct body_agreement *agreement);

/**
 * Fill in what the slots tell (outcomes, latencies, connections) and decide on validity.
 * @param stats      NULL: the server cannot be asked
 * @param agreement  used when the workload is not verified
 */
void verify_trial(struct sample *sample, const struct plan_cell *cell,
                  const struct options *options, const struct trial_memory *memory,
                  const struct server_stats *stats, struct body_agreement *agreement);

/** Mark invalid; the first reason stays. */
void sample_invalidate(struct sample *sample, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

#endif
