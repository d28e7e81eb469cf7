#include "compare.h"

#include "statistics.h"

#include "mockserver/delay.h"

#include <errno.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define WIDTH_IN_ERRORS 3.92 /* of a 95% interval, in standard errors */
#define POWER 0.8
#define OUTCOMES_MARGIN 0.01 /* more or fewer failures than this is other work */
#define COUNTS_MARGIN 0.05   /* a count that moved by less is not worth a line */

static void tell(char *reason, const char *format, ...) __attribute__((format(printf, 2, 3)));

static void tell(char *reason, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    (void)vsnprintf(reason, COMPARE_REASON_BYTES, format, args);
    va_end(args);
}

static int warn(struct comparison *comparison, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

static int warn(struct comparison *comparison, const char *format, ...)
{
    va_list args;
    char *text = NULL;
    char **grown = reallocarray(comparison->warnings, comparison->warnings_count + 1,
                                sizeof comparison->warnings[0]);

    if (grown == NULL) {
        return -ENOMEM;
    }
    comparison->warnings = grown;
    va_start(args, format);
    int written = vasprintf(&text, format, args);
    va_end(args);
    if (written < 0) {
        return -ENOMEM;
    }
    comparison->warnings[comparison->warnings_count++] = text;
    return 0;
}

/* ---- comparable? ---- */

enum field_rule {
    MUST_BE_EQUAL,
    MUST_BE_SET_IN_BOTH, /* or in neither; another value is only told */
    MAY_DIFFER,          /* told */
};

struct field {
    const char *group;
    const char *name;
    enum field_rule rule;
};

static const struct field fields[] = {
    {"environment", "arch", MUST_BE_EQUAL},
    {"environment", "cores", MUST_BE_EQUAL},
    {"environment", "corpus", MUST_BE_EQUAL},
    {"environment", "build_type", MUST_BE_EQUAL},
    {"environment", "untrusted_build", MUST_BE_EQUAL},
    {"options", "scenario", MUST_BE_EQUAL},
    {"options", "rate", MUST_BE_EQUAL},
    {"options", "retries", MUST_BE_EQUAL},
    {"options", "connections", MUST_BE_EQUAL},
    {"options", "save_mode", MUST_BE_EQUAL},
    {"options", "save", MUST_BE_SET_IN_BOTH},
    {"options", "server", MUST_BE_SET_IN_BOTH},
    {"options", "urls", MUST_BE_SET_IN_BOTH},
    {"options", "pin", MAY_DIFFER},
    {"environment", "cpu_model", MAY_DIFFER},
    {"environment", "kernel", MAY_DIFFER},
    {"environment", "mitigations", MAY_DIFFER},
    {"environment", "compiler", MAY_DIFFER},
    {"environment", "libc", MAY_DIFFER},
    {"environment", "libcurl", MAY_DIFFER},
    {"environment", "libuv", MAY_DIFFER},
    {"environment", "liburing", MAY_DIFFER},
};

/* As JSON text; absent and null are the same. */
static void show(const json_t *value, char out[static 128])
{
    char *text = value == NULL ? NULL : json_dumps(value, JSON_ENCODE_ANY | JSON_COMPACT);

    (void)snprintf(out, 128, "%.120s", text == NULL ? "null" : text);
    free(text);
}

static bool is_null(const json_t *value)
{
    return value == NULL || json_is_null(value);
}

static bool are_equal(const json_t *a, const json_t *b)
{
    return (is_null(a) && is_null(b)) || json_equal(a, b);
}

static int check_field(struct comparison *comparison, const struct field *field,
                       const struct compare_document *base, char *reason)
{
    const struct compare_document *now = comparison->now;
    const json_t *old = json_object_get(json_object_get(base->root, field->group), field->name);
    const json_t *new = json_object_get(json_object_get(now->root, field->group), field->name);
    char old_text[128];
    char new_text[128];

    if (are_equal(old, new)) {
        return 0;
    }
    show(old, old_text);
    show(new, new_text);
    if (field->rule == MAY_DIFFER ||
        (field->rule == MUST_BE_SET_IN_BOTH && is_null(old) == is_null(new))) {
        return warn(comparison, "%s.%s is %s in '%s' and %s in '%s'", field->group, field->name,
                    old_text, base->name, new_text, now->name);
    }
    tell(reason, "not comparable: %s.%s is %s in '%s' and %s in '%s'", field->group, field->name,
         old_text, base->name, new_text, now->name);
    return -ENOTSUP;
}

/* Fixed delays and no faults: then the seed only orders the trials. */
static bool draws_at_random(const struct compare_document *document)
{
    const json_t *faults = json_object_get(document->options, "fault");
    struct delay_spec spec;

    for (size_t i = 0; i < document->cells_count; i++) {
        const char *delay = document->cells[i].delay;
        if (delay[0] != '\0' && (delay_parse(delay, &spec) != 0 || spec.kind != DELAY_FIXED)) {
            return true;
        }
    }
    return json_array_size(faults) > 0;
}

static int check_comparable(struct comparison *comparison, const struct compare_document *base,
                            char *reason)
{
    static const struct field seed = {"options", "seed", MUST_BE_EQUAL};
    int error = 0;

    for (size_t i = 0; i < sizeof fields / sizeof fields[0] && error == 0; i++) {
        error = check_field(comparison, &fields[i], base, reason);
    }
    if (error == 0 && (draws_at_random(base) || draws_at_random(comparison->now))) {
        error = check_field(comparison, &seed, base, reason);
    }
    if (error == 0 && strcmp(base->reference, comparison->now->reference) != 0) {
        tell(reason, "not comparable: reference is \"%.120s\" in '%s' and \"%.120s\" in '%s'",
             base->reference, base->name, comparison->now->reference, comparison->now->name);
        error = -ENOTSUP;
    }
    return error;
}

/* ---- what was measured at all ---- */

static bool is_contestant(const struct compare_cell *cell)
{
    return !cell->is_copy && !cell->is_reference;
}

static bool has_rounds(const struct compare_document *document)
{
    double ratios[PAIRED_ROUNDS_MAX];

    for (size_t i = 0; i < document->cells_count; i++) {
        for (enum metric metric = 0; metric < METRIC_COUNT; metric++) {
            if (is_contestant(&document->cells[i]) &&
                compare_cell_log_ratios(&document->cells[i], metric, ratios) > 0) {
                return true;
            }
        }
    }
    return false;
}

static int check_rounds(const struct comparison *comparison, char *reason)
{
    const char *empty = has_rounds(comparison->now) ? NULL : comparison->now->name;
    size_t usable = 0;

    for (size_t i = 0; i < comparison->bases_count; i++) {
        usable += has_rounds(&comparison->bases[i]);
    }
    if (usable == 0) {
        empty = comparison->bases[0].name;
    }
    if (empty == NULL) {
        return 0;
    }
    tell(reason, "%s'%s' has no round in which a backend and the reference both count",
         usable == 0 ? "no baseline: " : "", empty);
    return -ENODATA;
}

static bool is_same_run(const struct compare_document *a, const struct compare_document *b)
{
    return a->run_id[0] != '\0' && strcmp(a->run_id, b->run_id) == 0;
}

/* The same run twice would make the variation between runs look small: the first counts. */
static const struct compare_document *repeats(const struct comparison *comparison, size_t base)
{
    for (size_t i = 0; i < base; i++) {
        if (is_same_run(&comparison->bases[i], &comparison->bases[base])) {
            return &comparison->bases[i];
        }
    }
    return NULL;
}

static int warn_of_repeats(struct comparison *comparison)
{
    int error = 0;

    for (size_t i = 0; i < comparison->bases_count && error == 0; i++) {
        const struct compare_document *base = &comparison->bases[i];
        const struct compare_document *first = repeats(comparison, i);
        if (first != NULL) {
            error = warn(comparison, "'%s' and '%s' are the same run: counted once", first->name,
                         base->name);
        } else if (is_same_run(base, comparison->now)) {
            error = warn(comparison, "'%s' and '%s' are the same run", base->name,
                         comparison->now->name);
        }
    }
    return error;
}

static const struct compare_cell *find_in_bases(const struct comparison *comparison,
                                                const char *key)
{
    const struct compare_cell *found = NULL;

    for (size_t i = 0; i < comparison->bases_count && found == NULL; i++) {
        found = compare_document_find(&comparison->bases[i], key);
    }
    return found;
}

static int warn_of_trials(struct comparison *comparison, const struct compare_cell *cell)
{
    double failed_share = compare_cell_failed_share(cell);
    int error = 0;

    if (cell->invalid > 0) {
        error = warn(comparison, "%s: %zu of %zu trials of '%s' are invalid", cell->name,
                     cell->invalid, cell->samples_count, comparison->now->name);
    }
    if (error == 0 && failed_share > 0) {
        error = warn(comparison, "%s: %.2f%% of the transfers of '%s' failed", cell->name,
                     failed_share * 100, comparison->now->name);
    }
    return error;
}

static int warn_of_cells(struct comparison *comparison)
{
    int error = 0;

    for (size_t i = 0; i < comparison->now->cells_count && error == 0; i++) {
        const struct compare_cell *cell = &comparison->now->cells[i];
        error = warn_of_trials(comparison, cell);
        if (error == 0 && is_contestant(cell) && find_in_bases(comparison, cell->key) == NULL) {
            error = warn(comparison, "%s: only in '%s', not compared", cell->name,
                         comparison->now->name);
        }
    }
    for (size_t b = 0; b < comparison->bases_count; b++) {
        const struct compare_document *base = &comparison->bases[b];
        for (size_t i = 0; i < base->cells_count && error == 0; i++) {
            const struct compare_cell *cell = &base->cells[i];
            if (is_contestant(cell) && compare_document_find(comparison->now, cell->key) == NULL) {
                error = warn(comparison, "%s: only in '%s', not compared", cell->name, base->name);
            }
        }
    }
    return error;
}

/* ---- estimates ---- */

struct one_estimate {
    double log_ratio;
    double log_error; /* NAN: too few rounds */
    size_t rounds;
};

static struct one_estimate estimate(const struct compare_cell *cell, enum metric metric)
{
    double ratios[PAIRED_ROUNDS_MAX];
    struct one_estimate result = {.log_ratio = NAN, .log_error = NAN};
    struct paired_estimate paired;

    result.rounds = compare_cell_log_ratios(cell, metric, ratios);
    if (result.rounds == 0) {
        return result;
    }
    paired_estimate(ratios, result.rounds, 0.05, 1, &paired);
    result.log_ratio = paired.log_ratio;
    if (isfinite(paired.log_low) && isfinite(paired.log_high)) {
        result.log_error = (paired.log_high - paired.log_low) / WIDTH_IN_ERRORS;
    }
    return result;
}

/* The base runs with an interval as one estimate. @param runs [count], count >= 1 */
static void pool(const struct one_estimate *runs, size_t count, double *log_ratio,
                 double *log_error, double *tau)
{
    double mean = 0;
    double mean_square = 0; /* of the errors */
    double variance = 0;
    double weights = 0;
    double sum = 0;

    for (size_t i = 0; i < count; i++) {
        mean += runs[i].log_ratio / (double)count;
        mean_square += runs[i].log_error * runs[i].log_error / (double)count;
    }
    *tau = NAN;
    *log_ratio = runs[0].log_ratio;
    *log_error = runs[0].log_error;
    if (count == 1) {
        return;
    }
    for (size_t i = 0; i < count; i++) {
        double difference = runs[i].log_ratio - mean;
        variance += difference * difference / (double)(count - 1);
    }
    double tau_square = fmax(0, variance - mean_square);
    *tau = sqrt(tau_square);
    *log_ratio = mean;
    *log_error = sqrt((mean_square + tau_square) / (double)count);
    for (size_t i = 0; i < count; i++) {
        double own = runs[i].log_error * runs[i].log_error + tau_square;
        weights += 1 / own;
        sum += runs[i].log_ratio / own;
    }
    if (isfinite(weights) && isfinite(sum)) { /* else some errors are 0: unweighted */
        *log_ratio = sum / weights;
        *log_error = sqrt(1 / weights);
    }
}

/* More rounds will not help when the two did not do the same work. */
static bool outcomes_differ(const struct comparison *comparison, struct compare_row *row)
{
    double now = compare_cell_failed_share(row->cell);

    for (size_t i = 0; i < comparison->bases_count; i++) {
        const struct compare_cell *cell =
            compare_document_find(&comparison->bases[i], row->cell->key);
        double base = cell == NULL ? NAN : compare_cell_failed_share(cell);
        if (fabs(base - now) > OUTCOMES_MARGIN) {
            (void)snprintf(row->reason, sizeof row->reason,
                           "%.1f%% of the transfers failed in a base run, %.1f%% in the new one",
                           base * 100, now * 100);
            return true;
        }
    }
    return false;
}

static void estimate_change(struct compare_row *row, const struct one_estimate *runs, size_t count,
                            const struct one_estimate *now)
{
    double base_log;
    double base_error;

    pool(runs, count, &base_log, &base_error, &row->tau);
    double tau = isnan(row->tau) ? 0 : row->tau;
    row->base = exp(base_log);
    row->base_runs = count;
    row->log_change = now->log_ratio - base_log;
    row->log_error = sqrt(now->log_error * now->log_error + base_error * base_error + tau * tau);
    row->change = expm1(row->log_change);
}

/* Everything but the verdict, which needs the number of rows. */
static int fill_row(const struct comparison *comparison, struct compare_row *row)
{
    struct one_estimate now = estimate(row->cell, row->judged);
    size_t count = 0;
    size_t most = 0;

    struct one_estimate *runs = calloc(comparison->bases_count, sizeof runs[0]);
    if (runs == NULL) {
        return -ENOMEM;
    }
    for (size_t i = 0; i < comparison->bases_count; i++) {
        const struct compare_cell *cell =
            compare_document_find(&comparison->bases[i], row->cell->key);
        struct one_estimate one = {.log_error = NAN};
        if (cell != NULL && repeats(comparison, i) == NULL) {
            one = estimate(cell, row->judged);
        }
        if (one.rounds > most) {
            most = one.rounds;
            row->base = exp(one.log_ratio);
        }
        if (isfinite(one.log_error)) {
            row->base_rounds += one.rounds;
            runs[count++] = one;
        }
    }
    row->now = exp(now.log_ratio);
    row->new_rounds = now.rounds;
    if (outcomes_differ(comparison, row)) {
        row->base_rounds = count == 0 ? most : row->base_rounds;
    } else if (count == 0 || !isfinite(now.log_error)) {
        row->base_rounds = count == 0 ? most : row->base_rounds;
        (void)snprintf(row->reason, sizeof row->reason,
                       "%zu rounds in the base and %zu in the new run; each needs %d",
                       row->base_rounds, row->new_rounds, COMPARE_ROUNDS_MIN);
    } else {
        estimate_change(row, runs, count, &now);
    }
    free(runs);
    return 0;
}

/* ---- rows ---- */

static struct compare_row *add_row(struct comparison *comparison, const struct compare_cell *cell,
                                   const char *metric)
{
    struct compare_row *grown =
        reallocarray(comparison->rows, comparison->rows_count + 1, sizeof grown[0]);

    if (grown == NULL) {
        return NULL;
    }
    comparison->rows = grown;
    grown += comparison->rows_count++;
    *grown = (struct compare_row){
        .cell = cell,
        .metric = metric,
        .base = NAN,
        .now = NAN,
        .log_change = NAN,
        .log_error = NAN,
        .tau = NAN,
        .change = NAN,
        .low = NAN,
        .high = NAN,
        .detectable = NAN,
    };
    return grown;
}

static int judge(struct comparison *comparison, const struct compare_cell *cell, enum metric metric)
{
    struct compare_row *row = add_row(comparison, cell, metric_name(metric));

    if (row == NULL) {
        return -ENOMEM;
    }
    row->judged = metric;
    row->verdict = COMPARE_INCONCLUSIVE;
    comparison->judged++;
    return fill_row(comparison, row);
}

/* A figure that is no ratio: shown where both runs have it. */
static int show_figure(struct comparison *comparison, const struct compare_cell *cell,
                       const char *name, bool is_efficiency, double margin)
{
    double now = is_efficiency ? cell->efficiency : cell->syscalls_per_transfer;
    size_t count = 0;

    double *values = calloc(comparison->bases_count, sizeof values[0]);
    if (values == NULL) {
        return -ENOMEM;
    }
    for (size_t i = 0; i < comparison->bases_count; i++) {
        const struct compare_cell *old = compare_document_find(&comparison->bases[i], cell->key);
        double value = old == NULL     ? NAN
                       : is_efficiency ? old->efficiency
                                       : old->syscalls_per_transfer;
        if (isfinite(value)) {
            values[count++] = value;
        }
    }
    double base = statistics_median(values, count);
    free(values);
    if (!(base > 0) || !isfinite(now) || fabs(now / base - 1) < margin) {
        return 0;
    }
    struct compare_row *row = add_row(comparison, cell, name);
    if (row == NULL) {
        return -ENOMEM;
    }
    row->base = base;
    row->now = now;
    row->change = now / base - 1;
    row->base_runs = count;
    return 0;
}

static bool is_without_delay(const struct compare_cell *cell)
{
    struct delay_spec spec;

    return delay_parse(cell->delay, &spec) == 0 && delay_is_zero(&spec);
}

static bool was_server_limited(const struct comparison *comparison, const struct compare_cell *cell)
{
    bool limited = cell->server_limited || cell->reference->server_limited;

    for (size_t i = 0; i < comparison->bases_count; i++) {
        const struct compare_cell *old = compare_document_find(&comparison->bases[i], cell->key);
        limited =
            limited || (old != NULL && (old->server_limited || old->reference->server_limited));
    }
    return limited;
}

/*
 * A delay is the same on every machine, so with one the ratio of wall times does not cancel the
 * machine's speed, and hides a slow-down behind the waiting; and a busy server's wall time is
 * the server's. CPU time per transfer holds in both cases.
 */
static int add_default_rows(struct comparison *comparison, const struct compare_cell *cell)
{
    int error = judge(comparison, cell, METRIC_CPU_US_PER_TRANSFER);

    if (error == 0 && is_without_delay(cell) && !was_server_limited(comparison, cell)) {
        error = judge(comparison, cell, METRIC_WALL_S);
    }
    return error;
}

static int add_rows_of(struct comparison *comparison, const struct compare_cell *cell)
{
    const struct compare_options *options = comparison->options;
    int error = options->metrics_count == 0 ? add_default_rows(comparison, cell) : 0;

    for (size_t i = 0; i < options->metrics_count && error == 0; i++) {
        error = judge(comparison, cell, options->metrics[i]);
    }
    if (error == 0) {
        error = show_figure(comparison, cell, "efficiency", true, 0);
    }
    if (error == 0) {
        error = show_figure(comparison, cell, "syscalls_per_transfer", false, COUNTS_MARGIN);
    }
    return error;
}

static int add_rows(struct comparison *comparison, char *reason)
{
    const struct compare_document *now = comparison->now;
    int error = 0;

    for (size_t i = 0; i < now->cells_count && error == 0; i++) {
        const struct compare_cell *cell = &now->cells[i];
        if (is_contestant(cell) && find_in_bases(comparison, cell->key) != NULL) {
            error = add_rows_of(comparison, cell);
        }
    }
    if (error == 0 && comparison->judged == 0) {
        tell(reason, "not comparable: no cell of '%s', beside its reference, is in '%s'", now->name,
             comparison->bases[0].name);
        error = -ENOTSUP;
    }
    return error;
}

/* ---- verdicts ---- */

/* On the log scale, where 5% more time and 1/1.05 of the rate are the same distance. */
static enum compare_verdict verdict_of(const struct compare_row *row, double z, double margin)
{
    double worse = metric_more_is_better(row->judged) ? -row->log_change : row->log_change;
    double low = worse - z * row->log_error;
    double high = worse + z * row->log_error;

    if (!isfinite(low) || !isfinite(high)) {
        return COMPARE_INCONCLUSIVE;
    }
    if (low > margin) {
        return COMPARE_REGRESSION;
    }
    if (high >= margin) {
        return COMPARE_INCONCLUSIVE;
    }
    if (low > -margin) {
        return COMPARE_SAME;
    }
    return high < -margin ? COMPARE_IMPROVEMENT : COMPARE_NOT_WORSE;
}

static void decide(struct comparison *comparison)
{
    double margin = log1p(comparison->options->threshold);
    double z = paired_normal_quantile(1 - COMPARE_LEVEL / (double)comparison->judged);
    double power = paired_normal_quantile(POWER);

    comparison->z = z;
    comparison->verdict = COMPARE_SAME;
    comparison->detectable = NAN;
    for (size_t i = 0; i < comparison->rows_count; i++) {
        struct compare_row *row = &comparison->rows[i];
        if (row->verdict == COMPARE_REPORTED) {
            continue;
        }
        row->low = expm1(row->log_change - z * row->log_error);
        row->high = expm1(row->log_change + z * row->log_error);
        row->detectable = expm1(margin + (z + power) * row->log_error);
        row->verdict = verdict_of(row, z, margin);
        comparison->detectable = fmax(comparison->detectable, row->detectable);
        comparison->advisory = comparison->advisory || row->base_runs < COMPARE_HISTORY_MIN;
        if (row->verdict >= COMPARE_INCONCLUSIVE && row->verdict > comparison->verdict) {
            comparison->verdict = row->verdict;
        }
    }
}

/* ---- information ---- */

static void widen(struct compare_noise *noise, const struct compare_document *document,
                  enum metric metric)
{
    for (size_t i = 0; i < document->cells_count; i++) {
        if (document->cells[i].is_copy) {
            double ratio = exp(estimate(&document->cells[i], metric).log_ratio);
            /* fmin and fmax pass over what is not a number */
            noise->low = fmin(noise->low, ratio);
            noise->high = fmax(noise->high, ratio);
        }
    }
}

static void find_noise(struct comparison *comparison)
{
    for (enum metric metric = 0; metric < METRIC_COUNT; metric++) {
        comparison->noise_base[metric] = (struct compare_noise){NAN, NAN};
        comparison->noise_new[metric] = (struct compare_noise){NAN, NAN};
        widen(&comparison->noise_new[metric], comparison->now, metric);
        for (size_t i = 0; i < comparison->bases_count; i++) {
            widen(&comparison->noise_base[metric], &comparison->bases[i], metric);
        }
    }
}

static int find_machine_factor(struct comparison *comparison)
{
    const struct compare_document *now = comparison->now;
    size_t count = 0;

    double *factors = calloc(now->cells_count * comparison->bases_count, sizeof factors[0]);
    if (factors == NULL) {
        return -ENOMEM;
    }
    for (size_t i = 0; i < now->cells_count; i++) {
        for (size_t b = 0; now->cells[i].is_reference && b < comparison->bases_count; b++) {
            const struct compare_cell *old =
                compare_document_find(&comparison->bases[b], now->cells[i].key);
            double factor = old == NULL
                                ? NAN
                                : compare_cell_median(&now->cells[i], METRIC_CPU_US_PER_TRANSFER) /
                                      compare_cell_median(old, METRIC_CPU_US_PER_TRANSFER);
            if (isfinite(factor)) {
                factors[count++] = factor;
            }
        }
    }
    comparison->machine_factor = statistics_median(factors, count);
    free(factors);
    return 0;
}

/* ---- the whole ---- */

static int gather(struct comparison *comparison, char *reason)
{
    int error = 0;

    for (size_t i = 0; i < comparison->bases_count && error == 0; i++) {
        error = check_comparable(comparison, &comparison->bases[i], reason);
    }
    if (error == 0) {
        error = add_rows(comparison, reason);
    }
    if (error == 0) {
        error = check_rounds(comparison, reason);
    }
    if (error == 0) {
        error = warn_of_repeats(comparison);
    }
    if (error == 0) {
        error = warn_of_cells(comparison);
    }
    if (error == 0) {
        error = find_machine_factor(comparison);
    }
    return error;
}

int compare_documents(struct comparison *comparison, const struct compare_options *options,
                      const struct compare_document *bases, size_t bases_count,
                      const struct compare_document *now, char reason[static COMPARE_REASON_BYTES])
{
    *comparison = (struct comparison){
        .options = options,
        .bases = bases,
        .bases_count = bases_count,
        .now = now,
    };
    int error = gather(comparison, reason);
    if (error == 0) {
        decide(comparison);
        find_noise(comparison);
    } else if (error == -ENOMEM) {
        tell(reason, "out of memory");
    }
    return error;
}

void compare_release(struct comparison *comparison)
{
    for (size_t i = 0; i < comparison->warnings_count; i++) {
        free(comparison->warnings[i]);
    }
    free(comparison->warnings);
    free(comparison->rows);
    *comparison = (struct comparison){.rows = NULL};
}

bool compare_judges(const struct comparison *comparison, enum metric metric)
{
    for (size_t i = 0; i < comparison->rows_count; i++) {
        if (comparison->rows[i].verdict != COMPARE_REPORTED &&
            comparison->rows[i].judged == metric) {
            return true;
        }
    }
    return false;
}

const char *compare_verdict_name(enum compare_verdict verdict)
{
    static const char *const names[] = {
        [COMPARE_REPORTED] = "not judged",       [COMPARE_SAME] = "same",
        [COMPARE_NOT_WORSE] = "not worse",       [COMPARE_IMPROVEMENT] = "improvement",
        [COMPARE_INCONCLUSIVE] = "inconclusive", [COMPARE_REGRESSION] = "regression",
    };
    return names[verdict];
}
