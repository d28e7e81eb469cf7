/**
 * Statistics of paired log ratios: one difference d = ln(a / b) per round. Pure; no I/O.
 *
 * Estimate: the median of the Walsh averages (Hodges and Lehmann 1963). Interval and p-value:
 * inverted from the exact null distribution of Wilcoxon's signed-rank statistic, which needs no
 * normality, only that a difference is as likely to fall on either side under the null
 * hypothesis; a random order within rounds sees to that. See Hollander, Wolfe and Chicken,
 * Nonparametric Statistical Methods, 3rd ed., sections 3.1 to 3.3.
 */
#ifndef BENCH_PAIRED_H
#define BENCH_PAIRED_H

#include <stdbool.h>
#include <stddef.h>

#define PAIRED_ROUNDS_MAX 1000      /* of n; the Walsh averages are n(n+1)/2 */
#define PAIRED_EXACT_ROUNDS_MAX 100 /* above, the normal approximation of the distribution */

enum paired_verdict {
    PAIRED_UNRESOLVED = 0, /* the interval reaches both sides, and beyond the margin */
    PAIRED_FASTER,         /* the interval lies wholly on the better side */
    PAIRED_SLOWER,         /* or on the worse one */
    PAIRED_SAME,           /* the interval lies wholly within the margin */
};

/** All on the scale of natural logarithms. */
struct paired_estimate {
    size_t n;
    double log_ratio;      /* Hodges-Lehmann */
    double log_low;        /* -INFINITY when n is too small for the level */
    double log_high;       /* INFINITY likewise */
    double p;              /* two-sided, of this comparison alone */
    double log_detectable; /* change that n such rounds find in 80% of runs; NAN for n < 2 */
};

/**
 * @param differences  [n], 1 <= n <= PAIRED_ROUNDS_MAX, finite
 * @param level        of the whole family, as 0.05
 * @param family       comparisons that the level is shared by (Bonferroni); >= 1
 */
void paired_estimate(const double *differences, size_t n, double level, size_t family,
                     struct paired_estimate *estimate);

/** P(W <= w) of the signed-rank statistic without ties under the null hypothesis. */
double paired_signed_rank_cdf(size_t n, double w);

/** Two-sided p-value: mid-ranks for ties, zeros dropped (Wilcoxon's way); exact for
 *  n <= PAIRED_EXACT_ROUNDS_MAX, given the ties. */
double paired_p_value(const double *differences, size_t n);

/** Holm's step-down adjustment, in place. */
void paired_holm(double *p, size_t count);

/** @param margin  half width of "same", on the log scale */
enum paired_verdict paired_verdict(double log_low, double log_high, double margin,
                                   bool more_is_better);

/** "faster", "slower", "same", "unresolved" */
const char *paired_verdict_name(enum paired_verdict verdict);

/** Standard normal distribution: P(Z <= z), and the z of a probability in (0, 1). */
double paired_normal_cdf(double z);
double paired_normal_quantile(double probability);

#endif
