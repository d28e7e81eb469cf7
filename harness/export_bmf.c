/* https://bencher.dev/docs/reference/bencher-metric-format/: a flat map, no metadata, no null;
 * what was not measured is left out. */
#include "cell_name.h"
#include "exports.h"
#include "json_value.h"
#include "run.h"

#include <math.h>

static void set_measure(json_t *cell, const char *name, double value, double low, double high)
{
    json_t *measure = json_object();

    if (!isfinite(value)) {
        json_decref(measure);
        return;
    }
    json_value_set(measure, "value", json_real(value));
    if (isfinite(low) && isfinite(high)) {
        json_value_set(measure, "lower_value", json_real(low));
        json_value_set(measure, "upper_value", json_real(high));
    }
    json_value_set(cell, name, measure);
}

static json_t *cell_json(const struct cell_summary *summary)
{
    const struct estimate *wall = &summary->metrics[METRIC_WALL_S];
    const struct estimate *cpu = &summary->metrics[METRIC_CPU_US_PER_TRANSFER];
    json_t *cell = json_object();

    if (!summary->is_reference) {
        set_measure(cell, "wall-ratio", wall->ratio, wall->low, wall->high);
        set_measure(cell, "cpu-ratio", cpu->ratio, cpu->low, cpu->high);
    }
    /* Units are fixed by the built-in names: latency in ns, throughput in operations/s. */
    set_measure(cell, "latency", summary->metrics[METRIC_LATENCY_P50_MS].median * 1e6, NAN, NAN);
    set_measure(cell, "throughput", summary->metrics[METRIC_TRANSFERS_PER_S].median, NAN, NAN);
    set_measure(cell, "cpu-us-per-transfer", cpu->median, NAN, NAN);
    set_measure(cell, "syscalls-per-transfer", summary->syscalls_per_transfer, NAN, NAN);
    return cell;
}

int export_bmf(FILE *file, const void *content)
{
    const struct run *run = content;
    json_t *root = json_object();

    for (size_t i = 0; i < run->plan.cells_count; i++) {
        char name[CELL_NAME_BYTES];
        json_t *cell = cell_json(&run->summaries[i]);
        cell_name(name, run, i);
        if (run->plan.cells[i].is_copy || json_object_size(cell) == 0) {
            json_decref(cell);
        } else {
            json_value_set(root, name, cell);
        }
    }
    return json_value_write(file, root);
}
