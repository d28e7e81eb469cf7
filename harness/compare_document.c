#include "compare_document.h"

#include "statistics.h"

#include <errno.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define READ_BYTES ((size_t)1 << 16)

/* Where in the document we are, for a message that names the member. */
struct place {
    char *reason;
    const char *list; /* "cells" */
    size_t index;
};

static int refuse(char *reason, const char *format, ...) __attribute__((format(printf, 2, 3)));

static int refuse(char *reason, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    (void)vsnprintf(reason, COMPARE_REASON_BYTES, format, args);
    va_end(args);
    return -EINVAL;
}

static int refuse_member(const struct place *place, const char *name, const char *wanted)
{
    return refuse(place->reason, "not a result of bench: %s[%zu].%s: want %s", place->list,
                  place->index, name, wanted);
}

/* ---- members; null and absent are the same ---- */

static int get_text(const json_t *object, const struct place *place, const char *name,
                    const char **text)
{
    const json_t *value = json_object_get(object, name);

    *text = "";
    if (value == NULL || json_is_null(value)) {
        return 0;
    }
    if (!json_is_string(value)) {
        return refuse_member(place, name, "a text");
    }
    *text = json_string_value(value);
    return 0;
}

static int get_flag(const json_t *object, const struct place *place, const char *name, bool *flag)
{
    const json_t *value = json_object_get(object, name);

    *flag = json_is_true(value);
    if (value != NULL && !json_is_null(value) && !json_is_boolean(value)) {
        return refuse_member(place, name, "true or false");
    }
    return 0;
}

/* No figure of ours is below 0; its logarithm would be none. */
static int get_number(const json_t *object, const struct place *place, const char *name,
                      double *number)
{
    const json_t *value = json_object_get(object, name);

    *number = NAN;
    if (value == NULL || json_is_null(value)) {
        return 0;
    }
    if (!json_is_number(value) || json_number_value(value) < 0) {
        return refuse_member(place, name, "a number, not below 0, or null");
    }
    *number = json_number_value(value);
    return 0;
}

static int get_count(const json_t *object, const struct place *place, const char *name,
                     json_int_t low, json_int_t high, json_int_t *count)
{
    const json_t *value = json_object_get(object, name);

    *count = json_integer_value(value);
    if (!json_is_integer(value) || *count < low || *count > high) {
        return refuse_member(place, name, "a whole number in range");
    }
    return 0;
}

/* ---- cells ---- */

struct key_texts {
    const char *backend, *engine, *model, *delay, *fault, *size, *connections;
};

/* What has to be equal for two cells to be the same, as one text; the point is its end. */
static int make_key(const json_t *object, const struct place *place, char **key, size_t *point_at,
                    struct key_texts *texts)
{
    json_int_t concurrency = 0;
    json_int_t loops = 0;
    json_int_t transfers = 0;

    if (get_text(object, place, "backend", &texts->backend) != 0 ||
        get_text(object, place, "engine", &texts->engine) != 0 ||
        get_text(object, place, "model", &texts->model) != 0 ||
        get_text(object, place, "delay", &texts->delay) != 0 ||
        get_text(object, place, "fault", &texts->fault) != 0 ||
        get_text(object, place, "size", &texts->size) != 0 ||
        get_text(object, place, "connections", &texts->connections) != 0 ||
        get_count(object, place, "concurrency", 1, UINT32_MAX, &concurrency) != 0 ||
        get_count(object, place, "loops", 1, UINT32_MAX, &loops) != 0 ||
        get_count(object, place, "transfers", 0, INT64_MAX, &transfers) != 0) {
        return -EINVAL;
    }
    if (texts->backend[0] == '\0') {
        return refuse_member(place, "backend", "a text");
    }
    int written = asprintf(key, "%s\x1f%s\x1f%s\x1f%lld\x1f%lld\x1f%lld\x1f%s\x1f%s\x1f%s\x1f%s",
                           texts->backend, texts->engine, texts->model, (long long)concurrency,
                           (long long)loops, (long long)transfers, texts->delay, texts->fault,
                           texts->size, texts->connections);
    *point_at = strlen(texts->backend) + strlen(texts->engine) + strlen(texts->model) + 3;
    return written < 0 ? -ENOMEM : 0;
}

static int read_cell(const json_t *object, const struct place *place, const char *reference,
                     struct compare_cell *cell)
{
    struct key_texts texts;
    size_t point_at = 0;

    if (!json_is_object(object)) {
        return refuse(place->reason, "not a result of bench: cells[%zu] is no object",
                      place->index);
    }
    int error = make_key(object, place, &cell->key, &point_at, &texts);
    if (error != 0) {
        cell->key = NULL;
        return error;
    }
    cell->point = cell->key + point_at;
    cell->backend = texts.backend;
    cell->delay = texts.delay;
    if (get_text(object, place, "name", &cell->name) != 0 ||
        get_flag(object, place, "copy", &cell->is_copy) != 0 ||
        get_flag(object, place, "server_limited", &cell->server_limited) != 0 ||
        get_number(object, place, "efficiency", &cell->efficiency) != 0 ||
        get_number(object, place, "syscalls_per_transfer", &cell->syscalls_per_transfer) != 0) {
        return -EINVAL;
    }
    cell->name = cell->name[0] == '\0' ? cell->backend : cell->name;
    cell->is_reference = !cell->is_copy && strcmp(cell->backend, reference) == 0;
    return 0;
}

static int compare_keys(const void *a, const void *b)
{
    return strcmp((*(const struct compare_cell *const *)a)->key,
                  (*(const struct compare_cell *const *)b)->key);
}

static int compare_points(const void *a, const void *b)
{
    return strcmp((*(const struct compare_cell *const *)a)->point,
                  (*(const struct compare_cell *const *)b)->point);
}

const struct compare_cell *compare_document_find(const struct compare_document *document,
                                                 const char *key)
{
    const struct compare_cell wanted = {.key = (char *)key};
    const struct compare_cell *pointer = &wanted;
    const struct compare_cell **found = bsearch(&pointer, document->by_key, document->cells_count,
                                                sizeof(struct compare_cell *), compare_keys);

    return found == NULL ? NULL : *found;
}

static int find_references(struct compare_document *document, char *reason)
{
    size_t count = 0;
    int error = 0;

    const struct compare_cell **references =
        calloc(document->cells_count + 1, sizeof(struct compare_cell *));
    if (references == NULL) {
        return -ENOMEM;
    }
    for (size_t i = 0; i < document->cells_count; i++) {
        if (document->cells[i].is_reference) {
            references[count++] = &document->cells[i];
        }
    }
    qsort(references, count, sizeof(struct compare_cell *), compare_points);
    for (size_t i = 0; i < document->cells_count && error == 0; i++) {
        const struct compare_cell *cell = &document->cells[i];
        const struct compare_cell **found =
            bsearch(&cell, references, count, sizeof(struct compare_cell *), compare_points);
        if (found == NULL) {
            error = refuse(reason, "not a result of bench: cells[%zu] has no reference '%s'", i,
                           document->reference);
        } else {
            document->cells[i].reference = *found;
            if (cell->is_copy) {
                document->cells[*found - document->cells].copy = cell;
            }
        }
    }
    free(references);
    return error;
}

static int index_cells(struct compare_document *document, char *reason)
{
    document->by_key = calloc(document->cells_count + 1, sizeof(struct compare_cell *));
    if (document->by_key == NULL) {
        return -ENOMEM;
    }
    for (size_t i = 0; i < document->cells_count; i++) {
        document->by_key[i] = &document->cells[i];
    }
    qsort(document->by_key, document->cells_count, sizeof(struct compare_cell *), compare_keys);
    for (size_t i = 1; i < document->cells_count; i++) {
        if (compare_keys(&document->by_key[i - 1], &document->by_key[i]) == 0) {
            return refuse(reason, "not a result of bench: cell '%s' stands twice",
                          document->by_key[i]->name);
        }
    }
    return find_references(document, reason);
}

static int read_cells(struct compare_document *document, char *reason)
{
    const json_t *array = json_object_get(document->root, "cells");
    struct place place = {.reason = reason, .list = "cells"};

    if (!json_is_array(array) || json_array_size(array) == 0) {
        return refuse(reason, "not a result of bench: no 'cells'");
    }
    document->cells = calloc(json_array_size(array), sizeof document->cells[0]);
    if (document->cells == NULL) {
        return -ENOMEM;
    }
    for (place.index = 0; place.index < json_array_size(array); place.index++) {
        document->cells_count++;
        int error = read_cell(json_array_get(array, place.index), &place, document->reference,
                              &document->cells[place.index]);
        if (error != 0) {
            return error;
        }
    }
    return index_cells(document, reason);
}

/* ---- samples ---- */

static bool was_discarded(const struct compare_document *document, json_int_t round)
{
    const json_t *rounds = json_object_get(document->root, "rounds");

    return json_is_true(json_object_get(json_array_get(rounds, (size_t)round - 1), "discarded"));
}

static int find_cell(const struct compare_document *document, const json_t *object,
                     const struct place *place, size_t *cell)
{
    struct key_texts texts;
    size_t point_at = 0;
    char *key = NULL;

    int error = make_key(object, place, &key, &point_at, &texts);
    if (error != 0) {
        return error;
    }
    const struct compare_cell *found = compare_document_find(document, key);
    free(key);
    if (found == NULL) {
        return refuse(place->reason, "not a result of bench: samples[%zu] belongs to no cell",
                      place->index);
    }
    *cell = (size_t)(found - document->cells);
    return 0;
}

static int read_sample(struct compare_document *document, const json_t *object,
                       const struct place *place, struct compare_sample *sample)
{
    json_int_t round = 0;
    bool valid = false;
    double ok = 0;
    double failed = 0;

    if (!json_is_object(object)) {
        return refuse(place->reason, "not a result of bench: samples[%zu] is no object",
                      place->index);
    }
    int error = find_cell(document, object, place, &sample->cell);
    if (error != 0) {
        return error;
    }
    if (get_count(object, place, "round", 1, UINT32_MAX, &round) != 0 ||
        get_flag(object, place, "valid", &valid) != 0 ||
        get_number(object, place, "ok", &ok) != 0 ||
        get_number(object, place, "failed", &failed) != 0) {
        return -EINVAL;
    }
    for (enum metric metric = 0; metric < METRIC_COUNT; metric++) {
        if (get_number(object, place, metric_name(metric), &sample->values[metric]) != 0) {
            return -EINVAL;
        }
    }
    sample->round = (uint32_t)round;
    sample->counts = valid && !was_discarded(document, round);
    sample->failed_share = failed / (ok + failed);
    document->cells[sample->cell].invalid += !valid;
    return 0;
}

static int compare_samples(const void *a, const void *b)
{
    const struct compare_sample *x = a;
    const struct compare_sample *y = b;

    if (x->cell != y->cell) {
        return x->cell < y->cell ? -1 : 1;
    }
    return (x->round > y->round) - (x->round < y->round);
}

static int hand_out_samples(struct compare_document *document, char *reason)
{
    qsort(document->samples, document->samples_count, sizeof document->samples[0], compare_samples);
    for (size_t i = 0; i < document->samples_count; i++) {
        const struct compare_sample *sample = &document->samples[i];
        struct compare_cell *cell = &document->cells[sample->cell];
        if (cell->samples_count == 0) {
            cell->samples = sample;
        } else if (sample[-1].round == sample->round) {
            return refuse(reason, "not a result of bench: round %u of '%s' stands twice",
                          sample->round, cell->name);
        }
        cell->samples_count++;
    }
    return 0;
}

static int read_samples(struct compare_document *document, char *reason)
{
    const json_t *array = json_object_get(document->root, "samples");
    struct place place = {.reason = reason, .list = "samples"};

    if (!json_is_array(array)) {
        return refuse(reason, "not a result of bench: no 'samples'");
    }
    document->samples = calloc(json_array_size(array) + 1, sizeof document->samples[0]);
    if (document->samples == NULL) {
        return -ENOMEM;
    }
    document->samples_count = json_array_size(array);
    for (; place.index < document->samples_count; place.index++) {
        int error = read_sample(document, json_array_get(array, place.index), &place,
                                &document->samples[place.index]);
        if (error != 0) {
            return error;
        }
    }
    return hand_out_samples(document, reason);
}

/* ---- the document ---- */

static int read_head(struct compare_document *document, char *reason)
{
    const json_t *schema = json_object_get(document->root, "schema");
    const json_t *run_id = json_object_get(document->root, "run_id");

    document->environment = json_object_get(document->root, "environment");
    document->options = json_object_get(document->root, "options");
    document->reference = json_string_value(json_object_get(document->root, "reference"));
    document->run_id = json_is_string(run_id) ? json_string_value(run_id) : "";
    if (!json_is_integer(schema) || !json_is_object(document->environment) ||
        !json_is_object(document->options) || document->reference == NULL) {
        return refuse(reason,
                      "not a result of bench: no 'schema', 'environment', 'options', 'reference'");
    }
    if (json_integer_value(schema) != COMPARE_DOCUMENT_SCHEMA) {
        return refuse(reason, "not comparable: schema is %lld, this bench reads %d",
                      (long long)json_integer_value(schema), COMPARE_DOCUMENT_SCHEMA);
    }
    return 0;
}

int compare_document_parse(struct compare_document *document, const char *name, const char *text,
                           size_t bytes, char reason[static COMPARE_REASON_BYTES])
{
    json_error_t error;

    *document = (struct compare_document){.name = name};
    document->root = json_loadb(text, bytes, JSON_REJECT_DUPLICATES, &error);
    if (document->root == NULL) {
        return refuse(reason, "not JSON: line %d: %s", error.line, error.text);
    }
    int result = read_head(document, reason);
    if (result == 0) {
        result = read_cells(document, reason);
    }
    if (result == 0) {
        result = read_samples(document, reason);
    }
    if (result == -ENOMEM) {
        (void)refuse(reason, "out of memory");
    }
    if (result != 0) {
        compare_document_release(document);
    }
    return result;
}

/* All of it, or -errno. A pipe will do. */
static int read_all(FILE *file, char **text, size_t *bytes)
{
    size_t capacity = 0;

    *text = NULL;
    *bytes = 0;
    for (;;) {
        if (capacity - *bytes < READ_BYTES) {
            capacity = capacity * 2 + READ_BYTES;
            char *grown = realloc(*text, capacity);
            if (grown == NULL) {
                return -ENOMEM;
            }
            *text = grown;
        }
        errno = 0;
        size_t got = fread(*text + *bytes, 1, READ_BYTES, file);
        if (got == 0) {
            return ferror(file) ? (errno != 0 ? -errno : -EIO) : 0;
        }
        *bytes += got;
        if (*bytes > COMPARE_DOCUMENT_BYTES_MAX) {
            return -EFBIG;
        }
    }
}

int compare_document_read(struct compare_document *document, const char *path,
                          char reason[static COMPARE_REASON_BYTES])
{
    char *text = NULL;
    size_t bytes = 0;

    FILE *file = fopen(path, "re");
    int error = file == NULL ? -errno : read_all(file, &text, &bytes);
    if (error != 0) {
        (void)refuse(reason, "cannot read: %s", strerrordesc_np(-error));
    } else {
        error = compare_document_parse(document, path, text, bytes, reason);
    }
    if (file != NULL) {
        (void)fclose(file);
    }
    free(text);
    return error;
}

void compare_document_release(struct compare_document *document)
{
    for (size_t i = 0; i < document->cells_count; i++) {
        free(document->cells[i].key);
    }
    free(document->cells);
    free(document->by_key);
    free(document->samples);
    json_decref(document->root);
    *document = (struct compare_document){.root = NULL};
}

/* ---- figures of a cell ---- */

static const struct compare_sample *sample_of_round(const struct compare_cell *cell, uint32_t round)
{
    size_t low = 0;
    size_t high = cell->samples_count;

    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (cell->samples[middle].round < round) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low < cell->samples_count && cell->samples[low].round == round ? &cell->samples[low]
                                                                          : NULL;
}

/* NAN: that round has none. */
static double log_of_round(const struct compare_cell *cell, uint32_t round, enum metric metric)
{
    const struct compare_sample *sample = sample_of_round(cell, round);

    return sample != NULL && sample->counts ? log(sample->values[metric]) : NAN;
}

/* The reference ran twice: the mean of both has half the noise of one. What is asked of the copy
 * is how far the two lie apart, so it is compared with the one alone. */
static double log_of_reference(const struct compare_cell *cell, uint32_t round, enum metric metric)
{
    double one = log_of_round(cell->reference, round, metric);

    if (cell->is_copy || cell->reference->copy == NULL) {
        return one;
    }
    double other = log_of_round(cell->reference->copy, round, metric);
    return isfinite(other) ? (one + other) / 2 : one;
}

size_t compare_cell_log_ratios(const struct compare_cell *cell, enum metric metric,
                               double out[static PAIRED_ROUNDS_MAX])
{
    size_t count = 0;

    for (size_t i = 0; i < cell->samples_count && count < PAIRED_ROUNDS_MAX; i++) {
        const uint32_t round = cell->samples[i].round;
        double difference =
            log_of_round(cell, round, metric) - log_of_reference(cell, round, metric);
        if (isfinite(difference)) {
            out[count++] = difference;
        }
    }
    return count;
}

double compare_cell_median(const struct compare_cell *cell, enum metric metric)
{
    double *values = calloc(cell->samples_count + 1, sizeof values[0]);
    size_t count = 0;

    if (values == NULL) {
        return NAN;
    }
    for (size_t i = 0; i < cell->samples_count; i++) {
        if (cell->samples[i].counts && isfinite(cell->samples[i].values[metric])) {
            values[count++] = cell->samples[i].values[metric];
        }
    }
    double median = statistics_median(values, count);
    free(values);
    return median;
}

double compare_cell_failed_share(const struct compare_cell *cell)
{
    double sum = 0;
    size_t count = 0;

    for (size_t i = 0; i < cell->samples_count; i++) {
        if (cell->samples[i].counts && isfinite(cell->samples[i].failed_share)) {
            sum += cell->samples[i].failed_share;
            count++;
        }
    }
    return count == 0 ? NAN : sum / (double)count;
}
