/** A comparison for people, pages and programs. */
#ifndef BENCH_COMPARE_REPORT_H
#define BENCH_COMPARE_REPORT_H

#include "compare.h"

#include <stdio.h>

/** On stdout. @return 0 or -errno */
int compare_print(const struct comparison *comparison);

/** Writers for output_file_write; the content is a struct comparison. */
int compare_write_markdown(FILE *file, const void *comparison);
int compare_write_json(FILE *file, const void *comparison);

#endif
