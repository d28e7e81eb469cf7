#include "table.h"

#include "backends/registry.h"
#include "backends/transfer.h"

#include <errno.h>
#include <libsmartcols.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* How busy the server may be before wall time says more about it than about a backend. */
#define SERVER_BUSY_SHARE 0.85

static struct libscols_table *table_new(void)
{
    struct libscols_table *table = scols_new_table();

    if (table == NULL) {
        return NULL;
    }
    (void)scols_table_enable_colors(table, isatty(STDOUT_FILENO) == 1);
    (void)scols_table_set_column_separator(table, "  ");
    (void)scols_table_set_termforce(table, SCOLS_TERMFORCE_ALWAYS);
    (void)scols_table_set_termwidth(table, TABLE_COLUMNS);
    (void)scols_table_enable_nowrap(table, 0);
    return table;
}

static int add_columns(struct libscols_table *table, const char *const *names, const int *flags,
                       size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (scols_table_new_column(table, names[i], 0, flags[i]) == NULL) {
            return -ENOMEM;
        }
    }
    return 0;
}

static void put(struct libscols_line *line, size_t column, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

static void put(struct libscols_line *line, size_t column, const char *format, ...)
{
    char text[BENCH_REASON_BYTES + 64];
    va_list args;

    va_start(args, format);
    (void)vsnprintf(text, sizeof text, format, args);
    va_end(args);
    (void)scols_line_set_data(line, column, text);
}

static void put_number(struct libscols_line *line, size_t column, double value, int digits)
{
    if (isfinite(value)) {
        put(line, column, "%.*f", digits, value);
    } else {
        put(line, column, "-");
    }
}

enum run_column {
    COLUMN_BACKEND,
    COLUMN_WALL,
    COLUMN_RATIO,
    COLUMN_CPU,
    COLUMN_RATE,
    COLUMN_P50,
    COLUMN_P99,
    COLUMN_EFFICIENCY,
    COLUMN_OK,
    COLUMN_FAILED,
    COLUMN_VALID,
    COLUMN_COUNT
};

static void put_ratio(struct libscols_line *line, double ratio, bool is_reference)
{
    if (is_reference) {
        put(line, COLUMN_RATIO, "1");
    } else if (isfinite(ratio)) {
        put(line, COLUMN_RATIO, ratio < 0.1 ? "%.3f" : "%.2f", ratio);
    } else {
        put(line, COLUMN_RATIO, "-");
    }
}

static int add_cell(struct libscols_table *table, const struct run *run, size_t index)
{
    const struct plan_cell *cell = &run->plan.cells[index];
    const struct cell_summary *summary = &run->summaries[index];
    struct libscols_line *line = scols_table_new_line(table, NULL);
    uint64_t ok = summary->outcomes[TRANSFER_OK];
    uint64_t total = 0;

    if (line == NULL) {
        return -ENOMEM;
    }
    for (int status = 0; status < TRANSFER_STATUS_COUNT; status++) {
        total += summary->outcomes[status];
    }
    put(line, COLUMN_BACKEND, "%s", cell->backend->label);
    put_number(line, COLUMN_WALL, summary->metrics[METRIC_WALL_S].median * 1e3, 1);
    put_ratio(line, summary->metrics[METRIC_WALL_S].ratio, cell->reference == index);
    put_number(line, COLUMN_CPU, summary->metrics[METRIC_CPU_US_PER_TRANSFER].median, 1);
    put_number(line, COLUMN_RATE, summary->metrics[METRIC_TRANSFERS_PER_S].median, 0);
    put_number(line, COLUMN_P50, summary->metrics[METRIC_LATENCY_P50_MS].median, 2);
    put_number(line, COLUMN_P99, summary->metrics[METRIC_LATENCY_P99_MS].median, 2);
    put_number(line, COLUMN_EFFICIENCY, summary->efficiency, 2);
    put(line, COLUMN_OK, "%llu", (unsigned long long)ok);
    put(line, COLUMN_FAILED, "%llu", (unsigned long long)(total - ok));
    put(line, COLUMN_VALID, "%zu/%zu", summary->rounds, summary->rounds + summary->invalid);
    if (summary->invalid > 0 || total != ok) {
        (void)scols_line_set_color(line, "red");
    }
    return 0;
}

/* The cells of one point of the sweep: same job, every backend. */
static int print_point(const struct run *run, size_t first)
{
    static const char *const names[] = {"BACKEND", "WALL ms", "RATIO", "CPU us", "PER s", "p50 ms",
                                        "p99 ms",  "EFFIC.",  "OK",    "FAILED", "VALID"};
    static const int flags[] = {0,
                                SCOLS_FL_RIGHT,
                                SCOLS_FL_RIGHT,
                                SCOLS_FL_RIGHT,
                                SCOLS_FL_RIGHT,
                                SCOLS_FL_RIGHT,
                                SCOLS_FL_RIGHT,
                                SCOLS_FL_RIGHT,
                                SCOLS_FL_RIGHT,
                                SCOLS_FL_RIGHT,
                                SCOLS_FL_RIGHT};
    _Static_assert(sizeof names / sizeof names[0] == COLUMN_COUNT, "a name for each column");
    struct libscols_table *table = table_new();
    int error = table == NULL ? -ENOMEM : add_columns(table, names, flags, COLUMN_COUNT);

    for (size_t i = 0; i < run->plan.backends_count && error == 0; i++) {
        error = add_cell(table, run, first + i);
    }
    if (error == 0 && scols_print_table(table) != 0) {
        error = -EIO;
    }
    scols_unref_table(table);
    return error;
}

static void print_point_title(const struct run *run, const struct plan_cell *cell)
{
    (void)printf("%llu transfers, %u in flight", (unsigned long long)cell->transfers,
                 cell->concurrency);
    if (cell->loops > 1) {
        (void)printf(", %u loops", cell->loops);
    }
    if (cell->source->delay[0] != '\0') {
        (void)printf(", delay %s", cell->source->delay);
    }
    if (cell->size[0] != '\0') {
        (void)printf(", bodies of %s", cell->size);
    }
    if (run->plan.fault[0] != '\0') {
        (void)printf(", fault %s", run->plan.fault);
    }
    if (run->options->fresh_connections) {
        (void)printf(", a connection each");
    }
    (void)printf("; medians of %u round%s", run->rounds_begun, run->rounds_begun == 1 ? "" : "s");
    for (size_t i = 0; i < run->plan.backends_count; i++) {
        if (isfinite(cell[i].bound_s)) {
            (void)printf("; no schedule beats %.1f ms", cell[i].bound_s * 1e3);
            break;
        }
    }
    (void)printf("\n");
}

static bool server_limited(const struct run *run)
{
    for (size_t i = 0; i < run->plan.cells_count; i++) {
        if (run->summaries[i].server_cpu_share > SERVER_BUSY_SHARE) {
            return true;
        }
    }
    return false;
}

static void print_invalid(const struct run *run)
{
    for (size_t i = 0; i < run->samples.count; i++) {
        const struct sample *sample = &run->samples.samples[i];
        if (!sample->valid) {
            (void)printf("invalid: %s, round %u: %s\n",
                         run->plan.cells[sample->cell].backend->label, sample->round,
                         sample->invalid_reason);
        }
    }
}

static void print_failures(const struct run *run)
{
    for (size_t i = 0; i < run->plan.cells_count; i++) {
        const struct cell_summary *summary = &run->summaries[i];
        for (int status = 0; status < TRANSFER_STATUS_COUNT; status++) {
            if (status != TRANSFER_OK && summary->outcomes[status] > 0) {
                (void)printf("failed: %s: %llu %s\n", run->plan.cells[i].backend->label,
                             (unsigned long long)summary->outcomes[status],
                             transfer_status_name((enum transfer_status)status));
            }
        }
    }
}

static void print_notes(const struct run *run)
{
    (void)printf("RATIO: wall time / that of %s, in the same round. EFFIC.: bound of the delays / "
                 "wall.\n",
                 run->plan.backends[run->plan.reference].label);
    if (server_limited(run)) {
        (void)printf("server-limited: the server used a whole core; compare CPU us, not wall "
                     "time.\n");
    }
    for (size_t i = 0; i < run->plan.warnings_count; i++) {
        (void)printf("note: %s\n", run->plan.warnings[i]);
    }
    if (run->interrupted) {
        (void)printf("note: interrupted; these are the trials that had ended\n");
    }
    print_failures(run);
    print_invalid(run);
}

int table_print_run(const struct run *run)
{
    int error = 0;

    for (size_t i = 0; i < run->plan.cells_count && error == 0; i += run->plan.backends_count) {
        print_point_title(run, &run->plan.cells[i]);
        error = print_point(run, i);
        (void)printf("\n");
    }
    print_notes(run);
    return fflush(stdout) == 0 ? error : -EIO;
}

static int add_backend(struct libscols_table *table, const struct bench_backend *backend)
{
    char reason[BENCH_REASON_BYTES] = "";
    struct libscols_line *line = scols_table_new_line(table, NULL);
    const char *why = backend->unavailable;

    if (line == NULL) {
        return -ENOMEM;
    }
    if (why == NULL && backend->probe != NULL && backend->probe(reason) != 0) {
        why = reason;
    }
    put(line, 0, "%s", backend->name);
    put(line, 1, "%s", backend->engine);
    put(line, 2, "%s", backend->waits_in);
    put(line, 3, "%s", why == NULL ? backend->summary : "unavailable: ");
    if (why != NULL) {
        put(line, 3, "unavailable: %s", why);
        (void)scols_line_set_color(line, "red");
    }
    return 0;
}

int table_print_backends(void)
{
    static const char *const names[] = {"BACKEND", "ENGINE", "WAITS IN", "WHAT IT IS"};
    static const int flags[] = {0, 0, 0, SCOLS_FL_WRAP};
    struct libscols_table *table = table_new();
    int error = table == NULL ? -ENOMEM : add_columns(table, names, flags, 4);

    for (size_t i = 0; i < backend_registry_count && error == 0; i++) {
        error = add_backend(table, backend_registry[i]);
    }
    if (error == 0 && scols_print_table(table) != 0) {
        error = -EIO;
    }
    scols_unref_table(table);
    return fflush(stdout) == 0 ? error : -EIO;
}
