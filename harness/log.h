/** Everything people read that is not a result: one line each, on stderr. */
#ifndef BENCH_LOG_H
#define BENCH_LOG_H

#include <stdbool.h>

enum log_level {
    LOG_ERROR, /* always shown */
    LOG_WARN,  /* hidden by -q */
    LOG_INFO,  /* shown by -v */
};

void log_set_level(enum log_level most_verbose);

/** Each writes "bench: ..." and a newline; unprintable bytes come out as \xNN. */
void log_error(const char *format, ...) __attribute__((format(printf, 1, 2)));
void log_warn(const char *format, ...) __attribute__((format(printf, 1, 2)));
void log_info(const char *format, ...) __attribute__((format(printf, 1, 2)));

/** For command lines: an error, unless `said` already; one line says what was wrong and what is
 *  accepted. @return EINVAL, as a parser of argp has to */
int log_error_once(bool *said, const char *format, ...) __attribute__((format(printf, 2, 3)));

#endif
