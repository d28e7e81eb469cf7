/** JSON values that are always valid JSON: no NaN, no bytes that are not UTF-8. */
#ifndef BENCH_JSON_VALUE_H
#define BENCH_JSON_VALUE_H

#include <jansson.h>
#include <stdint.h>
#include <stdio.h>

/** null when not finite */
json_t *json_value_number(double value);

/** null when negative: not measured */
json_t *json_value_count(int64_t value);

/** null for NULL; bytes that are not UTF-8 become '?' */
json_t *json_value_text(const char *text);

/** A failed allocation shows as a missing member, and as -ENOMEM when the document is written. */
void json_value_set(json_t *object, const char *name, json_t *value);

/** Write and release the document. @return 0 or -errno */
int json_value_write(FILE *file, json_t *root);

#endif
