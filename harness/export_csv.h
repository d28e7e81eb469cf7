/** --csv: one raw row per trial, flushed as each trial ends; where and with what it was made, in a
 *  file beside it. */
#ifndef BENCH_EXPORT_CSV_H
#define BENCH_EXPORT_CSV_H

#include "run.h"

#include <stdio.h>

struct csv_file {
    FILE *file; /* NULL: not wanted */
    const char *path;
    bool begun; /* old content has been replaced by the header */
};

/** Check that it can be written, without touching what is in it. @return 0 or -errno */
int csv_open(struct csv_file *csv, const char *path);

/** The first row replaces what was in the file. @return 0 or -errno */
int csv_write(struct csv_file *csv, const struct run *run, const struct sample *sample);

/** @return 0 or -errno of what could not be written */
int csv_close(struct csv_file *csv);

/** The column names, in order, as one line. */
extern const char csv_header[];

#define CSV_SCHEMA 1
#define CSV_ENVIRONMENT_SUFFIX ".environment" /* t.csv.environment: names and values, CSV */

#endif
