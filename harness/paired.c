#include "paired.h"

#include "statistics.h"

#include <assert.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#define RANK_SUM_MAX (PAIRED_EXACT_ROUNDS_MAX * (PAIRED_EXACT_ROUNDS_MAX + 1))
#define POWER 0.8
/* Asymptotic efficiency of the signed-rank test relative to the t test under normality, 3/pi. */
#define RANK_EFFICIENCY (3 / 3.14159265358979323846)
#define MAD_TO_SIGMA 1.4826

/* ---- the normal distribution ---- */

double paired_normal_cdf(double z)
{
    return erfc(-z / sqrt(2)) / 2;
}

/* Bisection of the cdf: 60 halvings of [-9, 9] end below 2e-17, and it is called a few times. */
double paired_normal_quantile(double probability)
{
    double low = -9;
    double high = 9;

    assert(probability > 0);
    assert(probability < 1);
    for (int i = 0; i < 60; i++) {
        double middle = (low + high) / 2;
        if (paired_normal_cdf(middle) < probability) {
            low = middle;
        } else {
            high = middle;
        }
    }
    return (low + high) / 2;
}

/* ---- the signed-rank distribution ---- */

/*
 * Probabilities of every sum of a random subset of the ranks, doubled so that mid-ranks are whole.
 * Each rank is in the subset with probability 1/2, independently.
 */
static void subset_sums(const unsigned *doubled_ranks, size_t n, double *probability, size_t *top)
{
    *top = 0;
    probability[0] = 1;
    for (size_t i = 0; i < n; i++) {
        size_t rank = doubled_ranks[i];
        for (size_t sum = *top + 1; sum <= *top + rank; sum++) {
            probability[sum] = 0;
        }
        *top += rank;
        for (size_t sum = *top + 1; sum-- > 0;) {
            double with = sum >= rank ? probability[sum - rank] : 0;
            probability[sum] = (probability[sum] + with) / 2;
        }
    }
}

static double normal_cdf_of_rank_sum(size_t n, double w)
{
    double count = (double)n;
    double mean = count * (count + 1) / 4;
    double deviation = sqrt(count * (count + 1) * (2 * count + 1) / 24);

    return paired_normal_cdf((w + 0.5 - mean) / deviation);
}

/* Of W without ties, doubled: probability[2w] = P(W = w). */
static size_t signed_rank_probabilities(size_t n, double *probability)
{
    unsigned ranks[PAIRED_EXACT_ROUNDS_MAX];
    size_t top;

    for (size_t i = 0; i < n; i++) {
        ranks[i] = 2 * ((unsigned)i + 1);
    }
    subset_sums(ranks, n, probability, &top);
    return top;
}

double paired_signed_rank_cdf(size_t n, double w)
{
    static double probability[RANK_SUM_MAX + 1];
    double sum = 0;

    if (n > PAIRED_EXACT_ROUNDS_MAX) {
        return normal_cdf_of_rank_sum(n, w);
    }
    size_t top = signed_rank_probabilities(n, probability);
    for (size_t i = 0; i <= top && (double)i <= 2 * w; i++) {
        sum += probability[i];
    }
    return sum < 1 ? sum : 1;
}

/* ---- the p-value ---- */

static int compare_magnitudes(const void *a, const void *b)
{
    double x = fabs(*(const double *)a);
    double y = fabs(*(const double *)b);
    return (x > y) - (x < y);
}

/* Doubled mid-ranks of sorted magnitudes. @return the doubled rank sum of the positive ones */
static double mid_ranks(const double *sorted, size_t n, unsigned *doubled)
{
    double positive = 0;

    for (size_t first = 0; first < n;) {
        size_t last = first;
        while (last + 1 < n && fabs(sorted[last + 1]) == fabs(sorted[first])) {
            last++;
        }
        for (size_t i = first; i <= last; i++) {
            doubled[i] = (unsigned)(first + last + 2);
            positive += sorted[i] > 0 ? doubled[i] : 0;
        }
        first = last + 1;
    }
    return positive;
}

static double exact_p_value(const unsigned *doubled, size_t n, double positive)
{
    static double probability[RANK_SUM_MAX + 1];
    double below = 0;
    double above = 0;
    size_t top;

    subset_sums(doubled, n, probability, &top);
    for (size_t i = 0; i <= top; i++) {
        below += (double)i <= positive ? probability[i] : 0;
        above += (double)i >= positive ? probability[i] : 0;
    }
    double p = 2 * (below < above ? below : above);
    return p < 1 ? p : 1;
}

static double normal_p_value(const unsigned *doubled, size_t n, double positive)
{
    double mean = 0;
    double variance = 0;

    for (size_t i = 0; i < n; i++) {
        mean += doubled[i] / 2.0;
        variance += (double)doubled[i] * doubled[i] / 4;
    }
    double z = (fabs(positive - mean) - 1) / sqrt(variance);
    return z <= 0 ? 1 : 2 * paired_normal_cdf(-z);
}

double paired_p_value(const double *differences, size_t n)
{
    double sorted[PAIRED_ROUNDS_MAX];
    unsigned doubled[PAIRED_ROUNDS_MAX];
    size_t count = 0;

    assert(n <= PAIRED_ROUNDS_MAX);
    for (size_t i = 0; i < n; i++) {
        if (differences[i] != 0) {
            sorted[count++] = differences[i];
        }
    }
    if (count == 0) {
        return 1;
    }
    qsort(sorted, count, sizeof sorted[0], compare_magnitudes);
    double positive = mid_ranks(sorted, count, doubled);
    return count <= PAIRED_EXACT_ROUNDS_MAX ? exact_p_value(doubled, count, positive)
                                            : normal_p_value(doubled, count, positive);
}

/* ---- the estimate ---- */

static int compare_doubles(const void *a, const void *b)
{
    double x = *(const double *)a;
    double y = *(const double *)b;
    return (x > y) - (x < y);
}

/* The largest c with P(W <= c) <= alpha / 2, or -1. */
static long critical_value(size_t n, double alpha)
{
    static double probability[RANK_SUM_MAX + 1];
    double sum = 0;
    long c = -1;

    if (n > PAIRED_EXACT_ROUNDS_MAX) {
        while (normal_cdf_of_rank_sum(n, (double)c + 1) <= alpha / 2) {
            c++;
        }
        return c;
    }
    size_t top = signed_rank_probabilities(n, probability);
    for (size_t w = 0; 2 * w <= top; w++) {
        sum += probability[2 * w];
        if (sum > alpha / 2) {
            break;
        }
        c = (long)w;
    }
    return c;
}

static double detectable(const double *differences, size_t n, double level, size_t family)
{
    double values[PAIRED_ROUNDS_MAX];
    double mean = 0;
    double squares = 0;

    if (n < 2) {
        return NAN;
    }
    memcpy(values, differences, n * sizeof values[0]);
    double median = statistics_median(values, n);
    for (size_t i = 0; i < n; i++) {
        values[i] = fabs(differences[i] - median);
        mean += differences[i] / (double)n;
    }
    double deviation = MAD_TO_SIGMA * statistics_median(values, n);
    if (deviation == 0) { /* more than half of them are equal */
        for (size_t i = 0; i < n; i++) {
            squares += (differences[i] - mean) * (differences[i] - mean);
        }
        deviation = sqrt(squares / (double)(n - 1));
    }
    double z =
        paired_normal_quantile(1 - level / (2 * (double)family)) + paired_normal_quantile(POWER);
    return z * deviation / sqrt(RANK_EFFICIENCY * (double)n);
}

void paired_estimate(const double *differences, size_t n, double level, size_t family,
                     struct paired_estimate *estimate)
{
    size_t count = n * (n + 1) / 2;

    assert(n >= 1);
    assert(n <= PAIRED_ROUNDS_MAX);
    assert(family >= 1);
    *estimate = (struct paired_estimate){
        .n = n, .log_ratio = NAN, .log_low = -INFINITY, .log_high = INFINITY, .p = 1};
    estimate->log_detectable = detectable(differences, n, level, family);
    double *walsh = calloc(count, sizeof walsh[0]);
    if (walsh == NULL) {
        return; /* reads as unresolved, by the interval and by p */
    }
    estimate->p = paired_p_value(differences, n);
    size_t used = 0;
    for (size_t i = 0; i < n; i++) {
        for (size_t j = i; j < n; j++) {
            walsh[used++] = (differences[i] + differences[j]) / 2;
        }
    }
    qsort(walsh, count, sizeof walsh[0], compare_doubles);
    estimate->log_ratio =
        count % 2 == 1 ? walsh[count / 2] : (walsh[count / 2 - 1] + walsh[count / 2]) / 2;
    long c = critical_value(n, level / (double)family);
    if (c >= 0) {
        /* [w_(c+1), w_(M-c)], counted from 1 */
        estimate->log_low = walsh[c];
        estimate->log_high = walsh[count - 1 - (size_t)c];
    }
    free(walsh);
}

/* ---- several comparisons ---- */

void paired_holm(double *p, size_t count)
{
    bool done_stack[64] = {false};
    bool *done = count <= 64 ? done_stack : calloc(count, sizeof done[0]);
    double least = 0;

    if (done == NULL) { /* Bonferroni is never too bold */
        for (size_t i = 0; i < count; i++) {
            p[i] = fmin(1, p[i] * (double)count);
        }
        return;
    }
    for (size_t step = 0; step < count; step++) {
        size_t smallest = count;
        for (size_t i = 0; i < count; i++) {
            if (!done[i] && (smallest == count || p[i] < p[smallest])) {
                smallest = i;
            }
        }
        done[smallest] = true;
        least = fmax(least, fmin(1, p[smallest] * (double)(count - step)));
        p[smallest] = least;
    }
    if (done != done_stack) {
        free(done);
    }
}

enum paired_verdict paired_verdict(double log_low, double log_high, double margin,
                                   bool more_is_better)
{
    if (log_low >= -margin && log_high <= margin) {
        return PAIRED_SAME; /* also when it excludes 0: too little to matter */
    }
    if (log_high < 0) {
        return more_is_better ? PAIRED_SLOWER : PAIRED_FASTER;
    }
    if (log_low > 0) {
        return more_is_better ? PAIRED_FASTER : PAIRED_SLOWER;
    }
    return PAIRED_UNRESOLVED;
}

const char *paired_verdict_name(enum paired_verdict verdict)
{
    switch (verdict) {
    case PAIRED_FASTER:
        return "faster";
    case PAIRED_SLOWER:
        return "slower";
    case PAIRED_SAME:
        return "same";
    case PAIRED_UNRESOLVED:
        break;
    }
    return "unresolved";
}
