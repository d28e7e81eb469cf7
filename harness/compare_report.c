#include "compare_report.h"

#include "json_value.h"
#include "markdown_text.h"
#include "table.h"

#include <errno.h>
#include <libsmartcols.h>
#include <math.h>
#include <stdarg.h>
#include <string.h>
#include <unistd.h>

#define JSON_SCHEMA 1
#define CELL_BYTES 64
#define LINE_BYTES 512

/* ---- numbers as people read them ---- */

static void ratio_text(char out[static CELL_BYTES], double ratio)
{
    if (isfinite(ratio)) {
        (void)snprintf(out, CELL_BYTES, "%.*f", ratio < 0.1 ? 4 : ratio < 10 ? 3 : 1, ratio);
    } else {
        (void)snprintf(out, CELL_BYTES, "-");
    }
}

/* Beyond some hundred percent nobody reads digits; a hostile file may hold anything. */
static void percent_text(char out[static CELL_BYTES], double share)
{
    if (!isfinite(share)) {
        (void)snprintf(out, CELL_BYTES, "?");
    } else if (fabs(share) < 10) {
        (void)snprintf(out, CELL_BYTES, "%+.1f%%", share * 100);
    } else {
        (void)snprintf(out, CELL_BYTES, "%+.3g%%", share * 100);
    }
}

static void change_text(char out[static CELL_BYTES], const struct compare_row *row)
{
    char change[CELL_BYTES];
    char low[CELL_BYTES];
    char high[CELL_BYTES];

    percent_text(change, row->change);
    percent_text(low, row->low);
    percent_text(high, row->high);
    if (!isfinite(row->change)) {
        (void)snprintf(out, CELL_BYTES, "-");
    } else if (isfinite(row->low)) {
        (void)snprintf(out, CELL_BYTES, "%.12s (%.12s to %.12s)", change, low, high);
    } else {
        (void)snprintf(out, CELL_BYTES, "%.12s", change);
    }
}

/* ---- what stands below the table ---- */

typedef void emit_line(FILE *file, const char *line);

static void say(FILE *file, emit_line *emit, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

static void say(FILE *file, emit_line *emit, const char *format, ...)
{
    char line[LINE_BYTES];
    va_list args;

    va_start(args, format);
    (void)vsnprintf(line, sizeof line, format, args);
    va_end(args);
    emit(file, line);
}

struct spread {
    size_t low;
    size_t high;
};

static void include(struct spread *spread, size_t value)
{
    spread->low = value < spread->low ? value : spread->low;
    spread->high = value > spread->high ? value : spread->high;
}

static void spread_text(char out[static CELL_BYTES], const struct spread *spread)
{
    if (spread->low == spread->high) {
        (void)snprintf(out, CELL_BYTES, "%zu", spread->low);
    } else {
        (void)snprintf(out, CELL_BYTES, "%zu to %zu", spread->low, spread->high);
    }
}

static void say_rounds(FILE *file, emit_line *emit, const struct comparison *comparison)
{
    struct spread base = {SIZE_MAX, 0};
    struct spread now = {SIZE_MAX, 0};
    char base_text[CELL_BYTES];
    char now_text[CELL_BYTES];
    char detectable[CELL_BYTES];

    for (size_t i = 0; i < comparison->rows_count; i++) {
        if (comparison->rows[i].verdict != COMPARE_REPORTED) {
            include(&base, comparison->rows[i].base_rounds);
            include(&now, comparison->rows[i].new_rounds);
        }
    }
    spread_text(base_text, &base);
    spread_text(now_text, &now);
    percent_text(detectable, comparison->detectable);
    say(file, emit, "rounds: %s in %zu base run%s, %s in the new run (at least %d each are needed)",
        base_text, comparison->bases_count, comparison->bases_count == 1 ? "" : "s", now_text,
        COMPARE_ROUNDS_MIN);
    if (isfinite(comparison->detectable)) {
        say(file, emit, "smallest detectable: a worsening by %s is found in 80%% of comparisons",
            detectable + 1);
    }
}

/* How far the estimates of several base runs lie apart, beyond what their own errors explain. */
static double largest_tau(const struct comparison *comparison)
{
    double tau = NAN;

    for (size_t i = 0; i < comparison->rows_count; i++) {
        tau = fmax(tau, comparison->rows[i].tau);
    }
    return tau;
}

static void say_history(FILE *file, emit_line *emit, const struct comparison *comparison)
{
    double tau = largest_tau(comparison);

    if (isnan(tau)) {
        say(file, emit,
            "advisory: one base run, so no variation between runs in the interval; give %d BASE "
            "files",
            COMPARE_HISTORY_MIN);
        return;
    }
    say(file, emit, "between base runs: standard deviation up to %.1f%%, included in the interval",
        expm1(tau) * 100);
    if (comparison->advisory) {
        say(file, emit, "advisory: fewer than %d base runs do not show that well",
            COMPARE_HISTORY_MIN);
    }
}

static void noise_text(char out[static CELL_BYTES], const struct compare_noise *noise)
{
    char low[CELL_BYTES];
    char high[CELL_BYTES];

    ratio_text(low, noise->low);
    ratio_text(high, noise->high);
    if (noise->low == noise->high || !isfinite(noise->low)) {
        (void)snprintf(out, CELL_BYTES, "%.20s", low);
    } else {
        (void)snprintf(out, CELL_BYTES, "%.20s to %.20s", low, high);
    }
}

static void say_noise(FILE *file, emit_line *emit, const struct comparison *comparison)
{
    char base[CELL_BYTES];
    char now[CELL_BYTES];

    for (enum metric metric = 0; metric < METRIC_COUNT; metric++) {
        if (compare_judges(comparison, metric)) {
            noise_text(base, &comparison->noise_base[metric]);
            noise_text(now, &comparison->noise_new[metric]);
            say(file, emit, "noise floor, %s of the reference's copy: base %s, new %s",
                metric_name(metric), base, now);
        }
    }
    if (isfinite(comparison->machine_factor)) {
        char factor[CELL_BYTES];
        ratio_text(factor, comparison->machine_factor);
        say(file, emit,
            "machine speed factor: %s (the reference's CPU time, new / base; it cancels in the "
            "ratios)",
            factor);
    }
}

static const char *outcome_name(const struct comparison *comparison)
{
    return comparison->verdict == COMPARE_SAME ? "pass" : compare_verdict_name(comparison->verdict);
}

static size_t count_verdict(const struct comparison *comparison, enum compare_verdict verdict)
{
    size_t count = 0;

    for (size_t i = 0; i < comparison->rows_count; i++) {
        count += comparison->rows[i].verdict == verdict;
    }
    return count;
}

static void say_verdict(FILE *file, emit_line *emit, const struct comparison *comparison)
{
    size_t count = comparison->verdict == COMPARE_SAME
                       ? comparison->judged
                       : count_verdict(comparison, comparison->verdict);

    for (size_t i = 0; i < comparison->rows_count; i++) {
        const struct compare_row *row = &comparison->rows[i];
        if (row->reason[0] != '\0') {
            say(file, emit, "inconclusive: %.200s, %s: %s", row->cell->name, row->metric,
                row->reason);
        }
    }
    say(file, emit, "verdict: %s (%zu of %zu comparisons)", outcome_name(comparison), count,
        comparison->judged);
}

static void say_all(FILE *file, emit_line *emit, const struct comparison *comparison)
{
    say(file, emit, "BASE, NEW: ratio to %.120s of the same run (not judged: the figure itself)",
        comparison->now->reference);
    say(file, emit, "CHANGE: with an interval for all %zu comparisons at once", comparison->judged);
    say(file, emit,
        "threshold %g%%: a regression is an interval wholly beyond it, a pass one wholly short "
        "of it",
        comparison->options->threshold * 100);
    say_rounds(file, emit, comparison);
    say_history(file, emit, comparison);
    say_noise(file, emit, comparison);
    say_verdict(file, emit, comparison);
}

/* ---- the table ---- */

/* Names come from a file: no byte of theirs may steer a terminal. */
static void emit_plain(FILE *file, const char *line)
{
    for (; *line != '\0'; line++) {
        unsigned char byte = (unsigned char)*line;
        (void)fputc(byte < 0x20 || byte == 0x7f ? '?' : *line, file);
    }
    (void)fputc('\n', file);
}

static const char *color_of(enum compare_verdict verdict)
{
    switch (verdict) {
    case COMPARE_REGRESSION:
        return "red";
    case COMPARE_INCONCLUSIVE:
        return "yellow";
    case COMPARE_IMPROVEMENT:
        return "green";
    default:
        return NULL;
    }
}

static int add_line(struct libscols_table *table, const struct compare_row *row)
{
    struct libscols_line *line = scols_table_new_line(table, NULL);
    char base[CELL_BYTES];
    char now[CELL_BYTES];
    char change[CELL_BYTES];

    if (line == NULL) {
        return -ENOMEM;
    }
    ratio_text(base, row->base);
    ratio_text(now, row->now);
    change_text(change, row);
    const char *texts[] = {
        row->cell->backend, row->metric, base, now, change, compare_verdict_name(row->verdict)};
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        if (scols_line_set_data(line, i, texts[i]) != 0) {
            return -ENOMEM;
        }
    }
    (void)scols_line_set_color(line, color_of(row->verdict));
    return 0;
}

static int add_columns(struct libscols_table *table)
{
    static const struct {
        const char *name;
        int flags;
    } columns[] = {
        {"BACKEND", SCOLS_FL_WRAP}, {"METRIC", 0}, {"BASE", SCOLS_FL_RIGHT},
        {"NEW", SCOLS_FL_RIGHT},    {"CHANGE", 0}, {"VERDICT", 0},
    };

    (void)scols_table_enable_colors(table, isatty(STDOUT_FILENO) == 1);
    (void)scols_table_set_column_separator(table, "  ");
    (void)scols_table_set_termforce(table, SCOLS_TERMFORCE_ALWAYS);
    (void)scols_table_set_termwidth(table, TABLE_COLUMNS);
    for (size_t i = 0; i < sizeof columns / sizeof columns[0]; i++) {
        if (scols_table_new_column(table, columns[i].name, 0, columns[i].flags) == NULL) {
            return -ENOMEM;
        }
    }
    return 0;
}

/* The name without the backend, which has a column. */
static void print_title(const struct compare_cell *cell)
{
    size_t length = strlen(cell->backend);
    bool named = strncmp(cell->name, cell->backend, length) == 0 && cell->name[length] == '/';

    emit_plain(stdout, named ? cell->name + length + 1 : cell->name);
}

/* The rows of one point of the sweep. @param next  set to the first row of the next point */
static int print_point(const struct comparison *comparison, size_t first, size_t *next)
{
    const char *point = comparison->rows[first].cell->point;
    struct libscols_table *table = scols_new_table();
    int error = table == NULL ? -ENOMEM : add_columns(table);

    for (*next = first; *next < comparison->rows_count && error == 0; (*next)++) {
        if (strcmp(comparison->rows[*next].cell->point, point) != 0) {
            break;
        }
        error = add_line(table, &comparison->rows[*next]);
    }
    if (error == 0) {
        print_title(comparison->rows[first].cell);
        error = scols_print_table(table) == 0 ? 0 : -EIO;
        (void)printf("\n");
    }
    scols_unref_table(table);
    return error;
}

int compare_print(const struct comparison *comparison)
{
    int error = 0;

    for (size_t i = 0; i < comparison->rows_count && error == 0;) {
        error = print_point(comparison, i, &i);
    }
    if (error == 0) {
        say_all(stdout, emit_plain, comparison);
    }
    return fflush(stdout) == 0 ? error : -EIO;
}

/* ---- Markdown ---- */

static void emit_markdown(FILE *file, const char *line)
{
    (void)fputs("- ", file);
    markdown_put_text(file, line);
    (void)fputc('\n', file);
}

int compare_write_markdown(FILE *file, const void *content)
{
    const struct comparison *comparison = content;
    char base[CELL_BYTES];
    char now[CELL_BYTES];
    char change[CELL_BYTES];

    (void)fprintf(file,
                  "**bench compare: %s**\n\n| cell | metric | base | new | change | verdict |\n"
                  "|---|---|--:|--:|---|---|\n",
                  outcome_name(comparison));
    for (size_t i = 0; i < comparison->rows_count; i++) {
        const struct compare_row *row = &comparison->rows[i];
        ratio_text(base, row->base);
        ratio_text(now, row->now);
        change_text(change, row);
        (void)fputs("| ", file);
        markdown_put_text(file, row->cell->name);
        (void)fprintf(file, " | `%s` | %s | %s | %s | %s |\n", row->metric, base, now, change,
                      compare_verdict_name(row->verdict));
    }
    (void)fputc('\n', file);
    say_all(file, emit_markdown, comparison);
    for (size_t i = 0; i < comparison->warnings_count; i++) {
        emit_markdown(file, comparison->warnings[i]);
    }
    return ferror(file) ? -EIO : 0;
}

/* ---- JSON ---- */

static json_t *document_json(const struct compare_document *document)
{
    json_t *object = json_object();

    json_value_set(object, "file", json_value_text(document->name));
    json_value_set(object, "run_id", json_value_text(document->run_id));
    json_value_set(object, "revision",
                   json_deep_copy(json_object_get(document->environment, "revision")));
    return object;
}

static json_t *range_json(const struct compare_noise *noise)
{
    json_t *array = json_array();

    (void)json_array_append_new(array, json_value_number(noise->low));
    (void)json_array_append_new(array, json_value_number(noise->high));
    return array;
}

static json_t *noise_json(const struct comparison *comparison)
{
    json_t *object = json_object();

    for (enum metric metric = 0; metric < METRIC_COUNT; metric++) {
        if (compare_judges(comparison, metric)) {
            json_t *both = json_object();
            json_value_set(both, "base", range_json(&comparison->noise_base[metric]));
            json_value_set(both, "new", range_json(&comparison->noise_new[metric]));
            json_value_set(object, metric_name(metric), both);
        }
    }
    return object;
}

static json_t *row_json(const struct compare_row *row)
{
    json_t *object = json_object();

    json_value_set(object, "cell", json_value_text(row->cell->name));
    json_value_set(object, "backend", json_value_text(row->cell->backend));
    json_value_set(object, "metric", json_value_text(row->metric));
    json_value_set(object, "base", json_value_number(row->base));
    json_value_set(object, "new", json_value_number(row->now));
    json_value_set(object, "change", json_value_number(row->change));
    json_value_set(object, "low", json_value_number(row->low));
    json_value_set(object, "high", json_value_number(row->high));
    json_value_set(object, "log_change", json_value_number(row->log_change));
    json_value_set(object, "log_error", json_value_number(row->log_error));
    json_value_set(object, "between_runs", json_value_number(row->tau));
    json_value_set(object, "detectable", json_value_number(row->detectable));
    json_value_set(object, "base_runs", json_value_count((int64_t)row->base_runs));
    json_value_set(object, "base_rounds", json_value_count((int64_t)row->base_rounds));
    json_value_set(object, "new_rounds", json_value_count((int64_t)row->new_rounds));
    json_value_set(object, "verdict", json_value_text(compare_verdict_name(row->verdict)));
    json_value_set(object, "reason",
                   row->reason[0] == '\0' ? json_null() : json_value_text(row->reason));
    return object;
}

static json_t *rows_json(const struct comparison *comparison)
{
    json_t *rows = json_array();

    for (size_t i = 0; i < comparison->rows_count; i++) {
        (void)json_array_append_new(rows, row_json(&comparison->rows[i]));
    }
    return rows;
}

int compare_write_json(FILE *file, const void *content)
{
    const struct comparison *comparison = content;
    json_t *root = json_object();
    json_t *bases = json_array();
    json_t *warnings = json_array();

    for (size_t i = 0; i < comparison->bases_count; i++) {
        (void)json_array_append_new(bases, document_json(&comparison->bases[i]));
    }
    for (size_t i = 0; i < comparison->warnings_count; i++) {
        (void)json_array_append_new(warnings, json_value_text(comparison->warnings[i]));
    }
    json_value_set(root, "schema", json_integer(JSON_SCHEMA));
    json_value_set(root, "verdict", json_value_text(outcome_name(comparison)));
    json_value_set(root, "advisory", json_boolean(comparison->advisory));
    json_value_set(root, "threshold", json_value_number(comparison->options->threshold));
    json_value_set(root, "level", json_value_number(COMPARE_LEVEL));
    json_value_set(root, "comparisons", json_value_count((int64_t)comparison->judged));
    json_value_set(root, "z", json_value_number(comparison->z));
    json_value_set(root, "detectable", json_value_number(comparison->detectable));
    json_value_set(root, "reference", json_value_text(comparison->now->reference));
    json_value_set(root, "bases", bases);
    json_value_set(root, "new", document_json(comparison->now));
    json_value_set(root, "machine_factor", json_value_number(comparison->machine_factor));
    json_value_set(root, "noise_floor", noise_json(comparison));
    json_value_set(root, "warnings", warnings);
    json_value_set(root, "cells", rows_json(comparison));
    return json_value_write(file, root);
}
