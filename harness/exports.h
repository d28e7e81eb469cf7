/** One writer per format, each an output_writer of output_file.h whose content is a struct run. */
#ifndef BENCH_EXPORTS_H
#define BENCH_EXPORTS_H

#include <stdio.h>

/** --json: everything. */
int export_json(FILE *file, const void *run);

/** Beside --csv: environment and options, CSV of names and values. */
int export_environment(FILE *file, const void *run);

/** --summary: CSV, one row per cell with estimates and intervals. */
int export_summary(FILE *file, const void *run);

/** --markdown: a table for a pull request or a page. */
int export_markdown(FILE *file, const void *run);

/** --bmf: Bencher Metric Format. Ratios first: they hold across machines. */
int export_bmf(FILE *file, const void *run);

/** --gab: github-action-benchmark knows one direction per file. */
int export_gab_smaller(FILE *file, const void *run);
int export_gab_bigger(FILE *file, const void *run);

/** --hyperfine: the shape of hyperfine's --export-json. */
int export_hyperfine(FILE *file, const void *run);

#endif
