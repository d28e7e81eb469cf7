/** Where, with what and for what a run was made, as JSON objects of named values. */
#ifndef BENCH_ENVIRONMENT_JSON_H
#define BENCH_ENVIRONMENT_JSON_H

#include "run.h"

#include <jansson.h>

/** The caller's to free or to give away, as with json_value_set(). */
json_t *environment_json(const struct run *run);
json_t *options_json(const struct options *options);

#endif
