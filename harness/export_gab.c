/* github-action-benchmark, customSmallerIsBetter and customBiggerIsBetter: a list of values of
 * one direction. A missing value is left out: null would be read as 0. */
#include "cell_name.h"
#include "exports.h"
#include "json_value.h"
#include "run.h"

#include <math.h>
#include <stdio.h>

static void add(json_t *list, const char *cell, const char *measure, const char *unit, double value,
                const struct estimate *interval)
{
    char text[CELL_NAME_BYTES + 64];
    json_t *entry;

    if (!isfinite(value)) {
        return;
    }
    entry = json_object();
    (void)snprintf(text, sizeof text, "%s %s", cell, measure);
    json_value_set(entry, "name", json_value_text(text));
    json_value_set(entry, "unit", json_string(unit));
    json_value_set(entry, "value", json_real(value));
    if (interval != NULL && isfinite(interval->low) && isfinite(interval->high)) {
        (void)snprintf(text, sizeof text, "\u00b1 %.4f", (interval->high - interval->low) / 2);
        json_value_set(entry, "range", json_value_text(text));
    }
    if (interval != NULL) {
        (void)snprintf(text, sizeof text, "rounds: %zu", interval->rounds);
        json_value_set(entry, "extra", json_value_text(text));
    }
    (void)json_array_append_new(list, entry);
}

static int write_list(FILE *file, const struct run *run, bool bigger)
{
    json_t *list = json_array();

    for (size_t i = 0; i < run->plan.cells_count; i++) {
        const struct cell_summary *summary = &run->summaries[i];
        const struct estimate *wall = &summary->metrics[METRIC_WALL_S];
        const struct estimate *cpu = &summary->metrics[METRIC_CPU_US_PER_TRANSFER];
        char name[CELL_NAME_BYTES];
        if (run->plan.cells[i].is_copy) {
            continue;
        }
        cell_name(name, run, i);
        if (bigger) {
            add(list, name, "rate", "transfers/s", summary->metrics[METRIC_TRANSFERS_PER_S].median,
                NULL);
        } else if (summary->is_reference) {
            add(list, name, "cpu_us_per_transfer", "us/transfer", cpu->median, NULL);
        } else {
            add(list, name, "wall_ratio_vs_ref", "x", wall->ratio, wall);
            add(list, name, "cpu_ratio_vs_ref", "x", cpu->ratio, cpu);
        }
    }
    return json_value_write(file, list);
}

int export_gab_smaller(FILE *file, const void *run)
{
    return write_list(file, run, false);
}

int export_gab_bigger(FILE *file, const void *run)
{
    return write_list(file, run, true);
}
