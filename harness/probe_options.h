/** The command line of `bench probe` as values: checked, complete, const from here on. */
#ifndef BENCH_PROBE_OPTIONS_H
#define BENCH_PROBE_OPTIONS_H

#include "backends/dns_url.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define PROBE_NAMES_MAX 1000000
#define PROBE_IN_FLIGHT_MAX 65536

enum probe_server {
    PROBE_MOCK,   /* a mock DNS server, started for this */
    PROBE_GIVEN,  /* one that runs */
    PROBE_SYSTEM, /* the machine's own resolvers */
};

struct probe_options {
    char **names; /* [names_count], lower case; owned */
    size_t names_count;
    enum probe_server server;
    char dns[DNS_SERVER_BYTES]; /* with PROBE_GIVEN: "address:port" */
    const char *backend;
    const char *delay; /* of the mock server */
    uint32_t in_flight;
    uint64_t timeout_ns;
    uint32_t retries;
    uint64_t seed;
    bool table;
    bool quiet;
};

/**
 * Parse the arguments of `bench probe`. Prints one line on stderr for what is wrong; --help is
 * answered and ends the process. Release the options in either case.
 * @return 0, EXIT_USAGE_ERROR or EXIT_INTERNAL
 */
int probe_options_parse(int argc, char **argv, struct probe_options *options);
void probe_options_release(struct probe_options *options);

#endif
