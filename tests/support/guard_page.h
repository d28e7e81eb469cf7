/**
 * Bytes whose end is the end of the readable world: one byte further is a page without any
 * rights, so that a read past the input ends the test, with or without a sanitizer.
 */
#ifndef BENCH_GUARD_PAGE_H
#define BENCH_GUARD_PAGE_H

#include <stddef.h>

struct guard_page {
    char *map;
    size_t map_bytes; /* with the guard */
    char *end;        /* where the guard begins */
    size_t capacity_bytes;
};

/** Room for `capacity_bytes` in front of a guard. Failure ends the program: it is a test's. */
void guard_page_init(struct guard_page *page, size_t capacity_bytes);
void guard_page_release(struct guard_page *page);

/** Copy the bytes so that the last one touches the guard. @return where they begin */
char *guard_page_put(struct guard_page *page, const void *data, size_t bytes);

#endif
