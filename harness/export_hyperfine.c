/* The document of hyperfine's --export-json: seconds, one result per cell. */
#include "cell_name.h"
#include "exports.h"
#include "json_value.h"
#include "run.h"
#include "statistics.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>

struct cell_times {
    double *wall_s;
    double *user_s;
    double *system_s;
    size_t count;
};

static void collect(struct cell_times *times, const struct run *run, size_t cell)
{
    times->count = 0;
    for (size_t i = 0; i < run->samples.count; i++) {
        const struct sample *sample = &run->samples.samples[i];
        if (sample->cell == cell && sample->valid && !run->rounds[sample->round - 1].discarded) {
            times->wall_s[times->count] = sample->wall_s;
            times->user_s[times->count] = sample->cpu_user_s;
            times->system_s[times->count] = sample->cpu_sys_s;
            times->count++;
        }
    }
}

static double mean(const double *values, size_t count)
{
    double sum = 0;

    for (size_t i = 0; i < count; i++) {
        sum += values[i];
    }
    return sum / (double)count;
}

static double standard_deviation(const double *values, size_t count, double around)
{
    double sum = 0;

    for (size_t i = 0; i < count; i++) {
        sum += (values[i] - around) * (values[i] - around);
    }
    return count < 2 ? NAN : sqrt(sum / (double)(count - 1));
}

static json_t *cell_json(const char *name, struct cell_times *times)
{
    double average = mean(times->wall_s, times->count);
    json_t *result = json_object();
    json_t *list = json_array();
    json_t *exit_codes = json_array();

    for (size_t i = 0; i < times->count; i++) {
        (void)json_array_append_new(list, json_real(times->wall_s[i]));
        (void)json_array_append_new(exit_codes, json_integer(0));
    }
    json_value_set(result, "command", json_value_text(name));
    json_value_set(result, "mean", json_value_number(average));
    json_value_set(result, "stddev",
                   json_value_number(standard_deviation(times->wall_s, times->count, average)));
    json_value_set(result, "user", json_value_number(mean(times->user_s, times->count)));
    json_value_set(result, "system", json_value_number(mean(times->system_s, times->count)));
    json_value_set(result, "times", list);
    json_value_set(result, "exit_codes", exit_codes);
    /* Sorts: the list of times above keeps the order of the rounds. */
    json_value_set(result, "median",
                   json_value_number(statistics_median(times->wall_s, times->count)));
    json_value_set(result, "min", json_value_number(times->wall_s[0]));
    json_value_set(result, "max", json_value_number(times->wall_s[times->count - 1]));
    return result;
}

int export_hyperfine(FILE *file, const void *content)
{
    const struct run *run = content;
    size_t room = run->samples.count + 1;
    double *values = calloc(3 * room, sizeof values[0]);
    json_t *root = json_object();
    json_t *results = json_array();

    if (values == NULL) {
        json_decref(root);
        json_decref(results);
        return -ENOMEM;
    }
    struct cell_times times = {values, values + room, values + 2 * room, 0};
    for (size_t i = 0; i < run->plan.cells_count; i++) {
        char name[CELL_NAME_BYTES];
        collect(&times, run, i);
        if (times.count > 0) {
            cell_name(name, run, i);
            (void)json_array_append_new(results, cell_json(name, &times));
        }
    }
    free(values);
    json_value_set(root, "results", results);
    return json_value_write(file, root);
}
