/**
 * Is the new run worse than the old one? Pure: documents in, a decision out.
 *
 * Only ratios to the reference of the same run are compared, never seconds. Cells are paired by
 * their key. D = ln(new ratio) - ln(base ratio), each the Hodges-Lehmann estimate of the log
 * ratios of the run's rounds. They are taken anew from the samples, not from the intervals in the
 * file: those are simultaneous over the run's own comparisons, so their width depends on how many
 * other backends were in it.
 *
 * SE of an estimate = width of its 95% signed-rank interval / 3.92. For few rounds that is wider
 * than the normal one, which makes up for the normal quantile below. With several base runs
 * (history) SE^2 = SE_new^2 + SE_base^2 + tau^2, tau^2 = max(0, variance of the base estimates -
 * their mean SE^2), base pooled with the weights 1 / (SE_i^2 + tau^2): DerSimonian and Laird's
 * random effects (Controlled Clinical Trials 7, 1986).
 */
#ifndef BENCH_COMPARE_H
#define BENCH_COMPARE_H

#include "compare_document.h"

#define COMPARE_LEVEL 0.05     /* of a wrong "regression", all rows together */
#define COMPARE_THRESHOLD 0.05 /* unless told otherwise */
#define COMPARE_ROUNDS_MIN 6   /* the fewest that give a 95% interval: 2 / 2^6 < 0.05 < 2 / 2^5 */
#define COMPARE_HISTORY_MIN 5  /* with fewer base runs the result is advisory */
#define COMPARE_BASES_MAX 1000
#define COMPARE_ROW_REASON_BYTES 128

struct compare_options {
    double threshold;                  /* 0.05: 5% */
    enum metric metrics[METRIC_COUNT]; /* none: what holds across machines, cell by cell */
    size_t metrics_count;
};

enum compare_verdict {
    COMPARE_REPORTED,     /* not judged */
    COMPARE_SAME,         /* the interval lies within the threshold on both sides */
    COMPARE_NOT_WORSE,    /* on the worse side only; it may well be better */
    COMPARE_IMPROVEMENT,  /* wholly beyond the threshold, on the better side */
    COMPARE_INCONCLUSIVE, /* reaches across the threshold, or there is no interval */
    COMPARE_REGRESSION,   /* wholly beyond the threshold, on the worse side */
};

/** One cell by one metric. NAN where unknown. */
struct compare_row {
    const struct compare_cell *cell; /* of the new run */
    const char *metric;
    enum metric judged; /* meaningless when only reported */
    double base;        /* ratio to the reference; the value itself when only reported */
    double now;
    double log_change; /* D */
    double log_error;  /* SE of it */
    double tau;        /* between base runs; NAN with one */
    double change;     /* new / base - 1, whatever the direction */
    double low;
    double high;
    double detectable; /* worsening that so many rounds find in 80% of comparisons */
    size_t base_runs;
    size_t base_rounds; /* over those runs */
    size_t new_rounds;
    enum compare_verdict verdict;
    char reason[COMPARE_ROW_REASON_BYTES]; /* why there is no interval; else empty */
};

/** Of the copy of the reference to the reference itself, over all points; NAN without a copy. */
struct compare_noise {
    double low;
    double high;
};

struct comparison {
    const struct compare_options *options;
    const struct compare_document *bases;
    size_t bases_count;
    const struct compare_document *now;
    struct compare_row *rows;
    size_t rows_count;
    size_t judged;         /* rows that share the level */
    double z;              /* one-sided normal quantile of level / judged */
    bool advisory;         /* the variation between runs is not known well */
    double detectable;     /* the largest of the rows; NAN when unknown */
    double machine_factor; /* the reference's own CPU per transfer, new / base */
    struct compare_noise noise_base[METRIC_COUNT];
    struct compare_noise noise_new[METRIC_COUNT];
    char **warnings;
    size_t warnings_count;
    enum compare_verdict verdict; /* COMPARE_SAME: pass; _INCONCLUSIVE; _REGRESSION */
};

/**
 * @param bases   [bases_count], 1 or more; they and the options have to outlive the comparison
 * @param reason  one line, set when the result is not 0
 * @return 0; -ENOTSUP: not comparable; -ENODATA: no usable rounds; -ENOMEM.
 *         Release in any case.
 */
int compare_documents(struct comparison *comparison, const struct compare_options *options,
                      const struct compare_document *bases, size_t bases_count,
                      const struct compare_document *now, char reason[static COMPARE_REASON_BYTES]);

void compare_release(struct comparison *comparison);

/** "regression", "improvement", ... */
const char *compare_verdict_name(enum compare_verdict verdict);

/** Is a row of this metric judged somewhere? */
bool compare_judges(const struct comparison *comparison, enum metric metric);

#endif
