/** What the server would answer, told without a network: the oracle of tests. */
#ifndef MOCKSERVER_PLAN_H
#define MOCKSERVER_PLAN_H

#include "corpus.h"
#include "options.h"

/**
 * Print "cc attempt status delay_ms", tab-separated, a line per code: the code at position i
 * of options->plan (from 0) as request number i. With faults that end at some attempt (try<=K)
 * each code has a line for every attempt up to K + 1.
 * @return 0; -EINVAL when the list has anything but codes of two letters between commas
 */
int plan_print(const struct options *options, const struct corpus *corpus);

/**
 * Print "name attempt outcome address delay_ms", likewise, for queries for an address (A) over
 * UDP of the names in options->plan. Outcomes are found, nxdomain, servfail, truncate, drop; the
 * address is "-" where an answer has none, and of a truncated answer that over TCP ("-": it is
 * NXDOMAIN there).
 * @return 0; -EINVAL or -ENAMETOOLONG when the list has anything but names between commas
 */
int plan_print_dns(const struct options *options);

#endif
