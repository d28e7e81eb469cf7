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

struct column {
    const char *name;
    int flags;
};

static const struct column verdict_columns[] = {
    {"BACKEND", 0},
    {"RANK", SCOLS_FL_RIGHT},
    {"WALL ms", SCOLS_FL_RIGHT},
    {"RATIO (95%)", SCOLS_FL_RIGHT},
    {"WALL", 0},
    {"CPU us", SCOLS_FL_RIGHT},
    {"RATIO (95%)", SCOLS_FL_RIGHT},
    {"CPU", 0},
};

static const struct column evidence_columns[] = {
    {"WHY", 0},
    {"VALID", SCOLS_FL_RIGHT},
    {"PER s", SCOLS_FL_RIGHT},
    {"p50 ms", SCOLS_FL_RIGHT},
    {"p99 ms", SCOLS_FL_RIGHT},
    {"EFFIC.", SCOLS_FL_RIGHT},
    {"SYSC", SCOLS_FL_RIGHT},
    {"SYS us", SCOLS_FL_RIGHT},
    {"CSW", SCOLS_FL_RIGHT},
    {"MiB", SCOLS_FL_RIGHT},
    {"CONN", SCOLS_FL_RIGHT},
};

static int add_columns(struct libscols_table *table, const struct column *columns, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (scols_table_new_column(table, columns[i].name, 0, columns[i].flags) == NULL) {
            return -ENOMEM;
        }
    }
    return 0;
}

static int ratio_digits(double ratio)
{
    return ratio < 0.1 ? 3 : ratio < 10 ? 2 : 1;
}

static void put_ratio(struct libscols_line *line, size_t column, const struct estimate *estimate,
                      bool is_reference)
{
    int digits = ratio_digits(estimate->ratio);

    if (is_reference) {
        put(line, column, "1");
    } else if (isfinite(estimate->ratio) && isfinite(estimate->low)) {
        put(line, column, "%.*f (%.*f-%.*f)", digits, estimate->ratio, digits, estimate->low,
            digits, estimate->high);
    } else if (isfinite(estimate->ratio)) {
        put(line, column, "%.*f", digits, estimate->ratio);
    } else {
        put(line, column, "-");
    }
}

static void put_verdict(struct libscols_line *line, size_t column, const struct estimate *estimate,
                        bool is_reference)
{
    if (is_reference) {
        put(line, column, "-");
    } else if (estimate->verdict != PAIRED_UNRESOLVED) {
        put(line, column, "%s", paired_verdict_name(estimate->verdict));
    } else if (isfinite(estimate->detectable)) {
        put(line, column, "? %.1f%%", estimate->detectable * 100);
    } else {
        put(line, column, "?");
    }
}

static void put_rank(struct libscols_line *line, size_t column, const struct cell_summary *summary)
{
    if (summary->rank_first == 0) {
        put(line, column, "-");
    } else if (summary->rank_first == summary->rank_last) {
        put(line, column, "%zu", summary->rank_first);
    } else {
        put(line, column, "%zu-%zu", summary->rank_first, summary->rank_last);
    }
}

static uint64_t failures(const struct cell_summary *summary)
{
    uint64_t failed = 0;

    for (int status = 0; status < TRANSFER_STATUS_COUNT; status++) {
        failed += status == TRANSFER_OK ? 0 : summary->outcomes[status];
    }
    return failed;
}

static int add_verdicts(struct libscols_table *table, const struct run *run, size_t index)
{
    const struct cell_summary *summary = &run->summaries[index];
    const struct estimate *wall = &summary->metrics[METRIC_WALL_S];
    const struct estimate *cpu = &summary->metrics[METRIC_CPU_US_PER_TRANSFER];
    struct libscols_line *line = scols_table_new_line(table, NULL);

    if (line == NULL) {
        return -ENOMEM;
    }
    put(line, 0, "%s", run->plan.cells[index].label);
    put_rank(line, 1, summary);
    put_number(line, 2, wall->median * 1e3, 1);
    put_ratio(line, 3, wall, summary->is_reference);
    put_verdict(line, 4, wall, summary->is_reference);
    put_number(line, 5, cpu->median, 1);
    put_ratio(line, 6, cpu, summary->is_reference);
    put_verdict(line, 7, cpu, summary->is_reference);
    if (summary->invalid > 0 || failures(summary) > 0) {
        (void)scols_line_set_color(line, "red");
    }
    return 0;
}

static int add_evidence(struct libscols_table *table, const struct run *run, size_t index)
{
    const struct cell_summary *summary = &run->summaries[index];
    struct libscols_line *line = scols_table_new_line(table, NULL);

    if (line == NULL) {
        return -ENOMEM;
    }
    put(line, 0, "%s", run->plan.cells[index].label);
    put(line, 1, "%zu/%zu", summary->rounds, summary->rounds + summary->invalid);
    put_number(line, 2, summary->metrics[METRIC_TRANSFERS_PER_S].median, 0);
    put_number(line, 3, summary->metrics[METRIC_LATENCY_P50_MS].median, 2);
    put_number(line, 4, summary->metrics[METRIC_LATENCY_P99_MS].median, 2);
    put_number(line, 5, summary->efficiency, 2);
    put_number(line, 6, summary->syscalls_per_transfer, 2);
    put_number(line, 7, summary->cpu_sys_us, 1);
    put_number(line, 8, summary->switches_per_transfer, 2);
    put_number(line, 9, summary->max_rss_kib / 1024, 1);
    put_number(line, 10, summary->connections_opened, 0);
    return 0;
}

typedef int add_line(struct libscols_table *table, const struct run *run, size_t index);

/* The cells of one point of the sweep: same job, every backend, and the reference once more. */
static int print_point(const struct run *run, size_t first, const struct column *columns,
                       size_t columns_count, add_line *add)
{
    struct libscols_table *table = table_new();
    int error = table == NULL ? -ENOMEM : add_columns(table, columns, columns_count);

    for (size_t i = 0; i < run->plan.point_cells && error == 0; i++) {
        error = add(table, run, first + i);
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
    (void)printf("; %u round%s", run->rounds_begun, run->rounds_begun == 1 ? "" : "s");
    if (run->rounds_discarded > 0) {
        (void)printf(" (%u discarded)", run->rounds_discarded);
    }
    for (size_t i = 0; i < run->plan.point_cells; i++) {
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
        if (run->summaries[i].server_limited) {
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
            (void)printf("invalid: %s, round %u: %s\n", run->plan.cells[sample->cell].label,
                         sample->round, sample->invalid_reason);
        }
    }
}

static void print_failures(const struct run *run)
{
    for (size_t i = 0; i < run->plan.cells_count; i++) {
        const struct cell_summary *summary = &run->summaries[i];
        for (int status = 0; status < TRANSFER_STATUS_COUNT; status++) {
            bool is_answer = status == TRANSFER_OK || (status == TRANSFER_NOT_FOUND &&
                                                       run->options->workload == WORKLOAD_DNS);
            if (!is_answer && summary->outcomes[status] > 0) {
                (void)printf("failed: %s: %llu %s\n", run->plan.cells[i].label,
                             (unsigned long long)summary->outcomes[status],
                             transfer_status_name((enum transfer_status)status));
            }
        }
    }
}

static void print_legend(const struct run *run)
{
    const char *reference = run->plan.backends[run->plan.reference].label;
    bool by_wall = run->summaries[0].rank_metric == METRIC_WALL_S;

    (void)printf(
        "RATIO: to %s in the same round, with its 95%% interval. CPU us, SYSC (system\n"
        "calls), SYS us and CSW (context switches) are per transfer. EFFIC.: bound / wall.\n"
        "? 3%%: unresolved; a difference of 3%% is the least that would have shown. ?: too few "
        "rounds.\n",
        reference);
    (void)printf("%s#2 is %s once more: what it differs by is noise.\nRanks are by %s.\n",
                 reference, reference, by_wall ? "wall time" : "CPU per transfer");
}

static void print_notes(const struct run *run)
{
    print_legend(run);
    (void)printf("%s; %s.\n", run->plan.placement.text, run->stop_reason);
    if (isfinite(run->harness_us)) {
        (void)printf("The harness itself: %.2f us per transfer.\n", run->harness_us);
    }
    if (server_limited(run)) {
        (void)printf(
            "server-limited: the server was busy all the time; compare CPU, not wall time.\n");
    }
    if (run->rounds_discarded > 0) {
        (void)printf("note: rounds with more than %.0f%% of CPU time taken by the host are "
                     "discarded\n",
                     RUN_STEAL_LIMIT * 100);
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

    for (size_t i = 0; i < run->plan.cells_count && error == 0; i += run->plan.point_cells) {
        print_point_title(run, &run->plan.cells[i]);
        error = print_point(run, i, verdict_columns,
                            sizeof verdict_columns / sizeof verdict_columns[0], add_verdicts);
        (void)printf("\n");
        if (error == 0) {
            error = print_point(run, i, evidence_columns,
                                sizeof evidence_columns / sizeof evidence_columns[0], add_evidence);
            (void)printf("\n");
        }
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
    static const struct column columns[] = {
        {"BACKEND", 0}, {"ENGINE", 0}, {"WAITS IN", 0}, {"WHAT IT IS", SCOLS_FL_WRAP}};
    struct libscols_table *table = table_new();
    int error = table == NULL ? -ENOMEM : add_columns(table, columns, 4);

    for (size_t i = 0; i < backend_registry_count && error == 0; i++) {
        error = add_backend(table, backend_registry[i]);
    }
    if (error == 0 && scols_print_table(table) != 0) {
        error = -EIO;
    }
    scols_unref_table(table);
    return fflush(stdout) == 0 ? error : -EIO;
}
