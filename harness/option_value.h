/** Values of a command line, checked. What is wrong is said once: `said` of log_error_once. */
#ifndef BENCH_OPTION_VALUE_H
#define BENCH_OPTION_VALUE_H

#include "backends/dns_url.h"

#include <stdbool.h>
#include <stdint.h>

/** A whole number from `low` to `high`; signs and white space are refused. @return 0 or EINVAL */
int option_number(const char *option, const char *text, uint64_t low, uint64_t high,
                  uint64_t *value, bool *said);
int option_u32(const char *option, const char *text, uint32_t low, uint32_t high, uint32_t *value,
               bool *said);

/** The time limit of an attempt, from 1 ms to 24 h, with a unit. @return 0 or EINVAL */
int option_timeout(const char *option, const char *text, uint64_t *timeout_ns, bool *said);

/** A DNS server to ask; `server` is empty for "system". @return 0 or EINVAL */
int option_dns(const char *option, const char *text, char server[DNS_SERVER_BYTES], bool *said);

#endif
