/** A text cell of a CSV file: RFC 4180 quoting, and no spreadsheet takes it for a formula. */
#ifndef BENCH_CSV_TEXT_H
#define BENCH_CSV_TEXT_H

#include <stdio.h>

void csv_put_text(FILE *file, const char *text);

#endif
