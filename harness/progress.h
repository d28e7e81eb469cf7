/** One line on stderr that says what is running; only when stderr is a terminal. */
#ifndef BENCH_PROGRESS_H
#define BENCH_PROGRESS_H

#include <stdbool.h>
#include <stddef.h>

/** @param wanted  false: stay silent even on a terminal (-q) */
void progress_enable(bool wanted);

/** Show trial `done + 1` of `total` (0: unknown) and what it is. */
void progress_show(size_t done, size_t total, size_t round, size_t rounds, const char *what);

/** Wipe the line, before anything else is written to the terminal. */
void progress_clear(void);

#endif
