/**
 * What our own server will do to a request: its delays and faults are pure functions of seed,
 * key and attempt, so the harness can compute them without asking.
 */
#ifndef BENCH_EXPECTATION_H
#define BENCH_EXPECTATION_H

#include "options.h"
#include "workload.h"

#include "backends/backend.h"
#include "mockserver/delay.h"
#include "mockserver/dns_zone.h"
#include "mockserver/fault.h"

struct expectation {
    struct delay_spec delay;
    struct fault_set faults;
    uint64_t seed;
};

/** The specs have been checked by options_parse; a wrong one is misuse. */
void expectation_init(struct expectation *expectation, const struct options *options,
                      const char *delay);

/** The delay before the first answer to request `number` for `path`. */
uint64_t expectation_delay_ns(const struct expectation *expectation, const char *path,
                              uint64_t number);

/**
 * What request `number` must end with after at most `attempts_max` attempts.
 * @param attempts  how many of them that takes
 * @return 0: its body; else the HTTP status of an injected fault
 */
int expectation_fault_status(const struct expectation *expectation, const char *path,
                             uint64_t number, uint32_t attempts_max, uint32_t *attempts);

/** What a lookup at our own server must end with. */
struct expected_lookup {
    enum transfer_status status;
    uint32_t attempts; /* that it takes */
};

/** The delay before the first answer to a lookup of `name`. */
uint64_t expectation_lookup_delay_ns(const struct expectation *expectation, const char *name);

/** @param attempts_max  at most so many attempts */
struct expected_lookup expectation_lookup(const struct expectation *expectation, const char *name,
                                          uint32_t attempts_max);

/** Note in the workload which addresses its names have. */
void expectation_fill_in_addresses(const struct expectation *expectation,
                                   struct workload *workload);

#endif
