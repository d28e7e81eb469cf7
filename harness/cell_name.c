#include "cell_name.h"

#include <stdarg.h>
#include <stdio.h>

static void append(char *out, size_t *used, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

static void append(char *out, size_t *used, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    int written = vsnprintf(out + *used, CELL_NAME_BYTES - *used, format, args);
    va_end(args);
    if (written > 0) {
        *used += (size_t)written;
        *used = *used < CELL_NAME_BYTES ? *used : CELL_NAME_BYTES - 1;
    }
}

void cell_name(char out[static CELL_NAME_BYTES], const struct run *run, size_t cell)
{
    const struct plan_cell *planned = &run->plan.cells[cell];
    size_t used = 0;

    append(out, &used, "%.128s/n=%llu/c=%u", planned->label, (unsigned long long)planned->transfers,
           planned->concurrency);
    if (planned->loops > 1) {
        append(out, &used, "/loops=%u", planned->loops);
    }
    if (planned->source->delay[0] != '\0') {
        append(out, &used, "/delay=%.64s", planned->source->delay);
    }
    if (planned->size[0] != '\0') {
        append(out, &used, "/size=%.32s", planned->size);
    }
    if (run->plan.fault[0] != '\0') {
        append(out, &used, "/fault=%.64s", run->plan.fault);
    }
    if (run->options->fresh_connections) {
        append(out, &used, "/fresh");
    }
}
