/** A result file of `bench run --json`, read back: what a comparison needs of it. */
#ifndef BENCH_COMPARE_DOCUMENT_H
#define BENCH_COMPARE_DOCUMENT_H

#include "analysis.h"

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define COMPARE_REASON_BYTES 512
#define COMPARE_DOCUMENT_SCHEMA 1
#define COMPARE_DOCUMENT_BYTES_MAX ((size_t)128 << 20) /* some 100,000 trials */

struct compare_sample {
    size_t cell;
    uint32_t round; /* from 1 */
    bool counts;    /* valid, in a round that was not discarded */
    double failed_share;
    double values[METRIC_COUNT]; /* NAN: not measured */
};

struct compare_cell {
    const char *name;
    const char *backend;
    const char *delay;
    char *key;         /* equal in two files: the same work by the same backend */
    const char *point; /* end of the key; equal in one file: the same reference */
    bool is_copy;      /* the A/A arm */
    bool is_reference;
    bool server_limited;
    double efficiency;
    double syscalls_per_transfer;
    const struct compare_cell *reference;
    const struct compare_cell *copy;      /* of a reference: its A/A arm; NULL: none */
    const struct compare_sample *samples; /* by round, each once */
    size_t samples_count;
    size_t invalid;
};

struct compare_document {
    const char *name; /* of the file; the caller's */
    json_t *root;     /* owns the texts */
    const json_t *environment;
    const json_t *options;
    const char *reference;
    const char *run_id;
    struct compare_cell *cells;
    const struct compare_cell **by_key;
    size_t cells_count;
    struct compare_sample *samples;
    size_t samples_count;
};

/**
 * @param name    of the file, for messages; has to outlive the document
 * @param reason  one line, set on failure
 * @return 0; -EINVAL: not JSON, or not a result file; -ENOMEM. Release only after success.
 */
int compare_document_parse(struct compare_document *document, const char *name, const char *text,
                           size_t bytes, char reason[static COMPARE_REASON_BYTES]);

/** The same from a file. @return also -errno of opening or reading, -EFBIG */
int compare_document_read(struct compare_document *document, const char *path,
                          char reason[static COMPARE_REASON_BYTES]);

void compare_document_release(struct compare_document *document);

/** @return NULL when there is none */
const struct compare_cell *compare_document_find(const struct compare_document *document,
                                                 const char *key);

/** ln(cell / reference) for each round that has both; the reference is the geometric mean of its
 * two trials where both count. @return how many */
size_t compare_cell_log_ratios(const struct compare_cell *cell, enum metric metric,
                               double out[static PAIRED_ROUNDS_MAX]);

/** Over the trials that count; NAN when there is none. */
double compare_cell_median(const struct compare_cell *cell, enum metric metric);
double compare_cell_failed_share(const struct compare_cell *cell);

#endif
