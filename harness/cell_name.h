/** A cell in one line, the same in every export: "raw_epoll/n=20000/c=64/delay=0". */
#ifndef BENCH_CELL_NAME_H
#define BENCH_CELL_NAME_H

#include "run.h"

#define CELL_NAME_BYTES 512

void cell_name(char out[static CELL_NAME_BYTES], const struct run *run, size_t cell);

#endif
