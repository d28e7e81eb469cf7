/** The table that people read on stdout. */
#ifndef BENCH_TABLE_H
#define BENCH_TABLE_H

#include "run.h"

#define TABLE_COLUMNS 100 /* the widest a table gets */

/** @return 0 or -errno */
int table_print_run(const struct run *run);

/** `bench list`. @return 0 or -errno */
int table_print_backends(void);

#endif
