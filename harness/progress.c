#include "progress.h"

#include <stdio.h>
#include <unistd.h>

static bool enabled;
static bool visible;

void progress_enable(bool wanted)
{
    enabled = wanted && isatty(STDERR_FILENO) == 1;
}

void progress_show(size_t done, size_t total, size_t round, size_t rounds, const char *what)
{
    if (!enabled) {
        return;
    }
    /* \r and "erase to end of line" (ECMA-48 EL): the line is rewritten in place. */
    (void)fprintf(stderr, "\r\033[Kround %zu/%zu, trial %zu/%zu: %s", round, rounds, done + 1,
                  total, what);
    (void)fflush(stderr);
    visible = true;
}

void progress_clear(void)
{
    if (visible) {
        (void)fputs("\r\033[K", stderr);
        (void)fflush(stderr);
        visible = false;
    }
}
