/** --json: all of a run in one document. */
#ifndef BENCH_EXPORT_JSON_H
#define BENCH_EXPORT_JSON_H

#include "run.h"

#define JSON_SCHEMA 1

/** Can it be written? Nothing is changed. @return 0 or -errno */
int json_check(const char *path);

/** Written beside and renamed, so that the file is always whole. @return 0 or -errno */
int json_write(const char *path, const struct run *run);

#endif
