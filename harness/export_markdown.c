#include "exports.h"
#include "run.h"

#include <errno.h>
#include <math.h>

/* A pipe would end the cell; a line break the row. */
static void put_text(FILE *file, const char *text)
{
    for (; *text != '\0'; text++) {
        if (*text == '|' || *text == '\\' || *text == '<' || *text == '`' || *text == '*' ||
            *text == '_') {
            (void)fputc('\\', file);
        }
        (void)fputc((unsigned char)*text < 0x20 ? ' ' : *text, file);
    }
}

static void put_number(FILE *file, double value, int digits)
{
    if (isfinite(value)) {
        (void)fprintf(file, " %.*f |", digits, value);
    } else {
        (void)fputs(" - |", file);
    }
}

static void put_estimate(FILE *file, const struct cell_summary *summary, enum metric metric)
{
    const struct estimate *estimate = &summary->metrics[metric];

    if (summary->is_reference) {
        (void)fputs(" 1 | reference |", file);
        return;
    }
    if (isfinite(estimate->low)) {
        (void)fprintf(file, " %.3f (%.3f to %.3f) |", estimate->ratio, estimate->low,
                      estimate->high);
    } else {
        put_number(file, estimate->ratio, 3);
    }
    (void)fprintf(file, " %s |", paired_verdict_name(estimate->verdict));
}

static void put_cell(FILE *file, const struct run *run, size_t index)
{
    const struct cell_summary *summary = &run->summaries[index];

    (void)fputs("| ", file);
    put_text(file, run->plan.cells[index].label);
    (void)fputs(" |", file);
    if (summary->rank_first > 0) {
        (void)fprintf(file, summary->rank_first == summary->rank_last ? " %zu |" : " %zu-%zu |",
                      summary->rank_first, summary->rank_last);
    } else {
        (void)fputs(" - |", file);
    }
    put_number(file, summary->metrics[METRIC_WALL_S].median * 1e3, 1);
    put_estimate(file, summary, METRIC_WALL_S);
    put_number(file, summary->metrics[METRIC_CPU_US_PER_TRANSFER].median, 2);
    put_estimate(file, summary, METRIC_CPU_US_PER_TRANSFER);
    put_number(file, summary->syscalls_per_transfer, 2);
    put_number(file, summary->efficiency, 3);
    (void)fputc('\n', file);
}

static void put_title(FILE *file, const struct run *run, const struct plan_cell *cell)
{
    (void)fprintf(file, "**%llu transfers, %u in flight", (unsigned long long)cell->transfers,
                  cell->concurrency);
    if (cell->source->delay[0] != '\0') {
        (void)fprintf(file, ", delay %s", cell->source->delay);
    }
    if (cell->size[0] != '\0') {
        (void)fprintf(file, ", bodies of %s", cell->size);
    }
    (void)fprintf(file, "**, %u rounds", run->rounds_begun);
    if (run->rounds_discarded > 0) {
        (void)fprintf(file, " (%u discarded)", run->rounds_discarded);
    }
    (void)fprintf(file,
                  "\n\n| backend | rank | wall ms | ratio (95%% interval) | wall | CPU us | ratio "
                  "(95%% interval) | CPU | syscalls | efficiency |\n"
                  "|---|--:|--:|--:|---|--:|--:|---|--:|--:|\n");
}

int export_markdown(FILE *file, const void *content)
{
    const struct run *run = content;

    for (size_t i = 0; i < run->plan.cells_count; i++) {
        if (i % run->plan.point_cells == 0) {
            (void)fputs(i > 0 ? "\n" : "", file);
            put_title(file, run, &run->plan.cells[i]);
        }
        put_cell(file, run, i);
    }
    (void)fprintf(file, "\nRatios to ");
    put_text(file, run->plan.backends[run->plan.reference].label);
    (void)fprintf(file,
                  " of the same round. CPU and system calls per transfer. %s, %s, bench %s.\n",
                  run->environment.cpu_model, run->environment.kernel, run->environment.revision);
    for (size_t i = 0; i < run->plan.warnings_count; i++) {
        (void)fputs("\n> ", file);
        put_text(file, run->plan.warnings[i]);
        (void)fputc('\n', file);
    }
    return ferror(file) ? -EIO : 0;
}
