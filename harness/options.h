/** The command line of `bench run` as values: checked, complete, const from here on. */
#ifndef BENCH_OPTIONS_H
#define BENCH_OPTIONS_H

#include "backends/dns_url.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define OPTION_LIST_MAX 32
#define OPTION_CONCURRENCY_MAX 65536
#define OPTION_LOOPS_MAX 256
#define OPTION_TRANSFERS_MAX 10000000
#define OPTION_ROUNDS_MAX 1000 /* PAIRED_ROUNDS_MAX of paired.h */
#define OPTION_RETRIES_MAX 100
#define OPTION_SIZE_BYTES_MAX (UINT64_C(64) << 20)
#define OPTION_TEXT_LIST_MAX 64

/** A comma-separated list of texts; the array and its texts live as long as argv. */
struct option_texts {
    const char *texts[OPTION_TEXT_LIST_MAX];
    size_t count;
};

struct option_numbers {
    uint32_t values[OPTION_LIST_MAX];
    size_t count;
};

struct option_sizes {
    uint64_t bytes[OPTION_LIST_MAX]; /* 0: the flags themselves */
    const char *texts[OPTION_LIST_MAX];
    size_t count;
};

/** What is transferred. */
enum workload_kind {
    WORKLOAD_FLAGS, /* files, over HTTP */
    WORKLOAD_DNS,   /* lookups of names */
};

struct options {
    const char *scenario;
    enum workload_kind workload;
    bool workload_given;
    bool all_flags; /* of the scenario: all 194, else the 20 most populous countries */
    struct option_texts backends;        /* empty: the default ones */
    const char *const *default_backends; /* of the scenario; NULL: all but null */
    const char *reference;               /* NULL: the first backend */
    uint32_t transfers;                  /* 0: one per URL */
    struct option_numbers concurrency;
    struct option_numbers loops;
    uint32_t rounds;
    bool rounds_given;
    uint64_t time_limit_ns; /* 0: none */
    double precision;       /* stop at this half width of every ratio, 0.02 for 2%; 0: do not */
    const char *pin;        /* "auto", "off" or "CLIENT:SERVER" */
    struct option_texts delays;
    struct option_texts faults;
    const char *rate; /* NULL: unlimited */
    struct option_sizes sizes;
    const char *flags_dir; /* NULL: the built-in corpus */
    const char *save_dir;  /* NULL: nothing is saved */
    bool save_atomic;
    uint64_t timeout_ns;
    uint32_t retries;
    bool fresh_connections;
    const char *server; /* NULL: start our own */
    const char *dns;    /* the same for lookups: "address:port"; "": this machine's resolvers */
    char dns_text[DNS_SERVER_BYTES]; /* backs it */
    const char *urls;                /* NULL: flags */
    uint64_t seed;
    const char *csv;
    const char *json;
    const char *summary;
    const char *markdown;
    const char *bmf;
    const char *gab; /* prefix of two files */
    const char *hyperfine;
    bool quiet;
    bool verbose;
};

/**
 * Parse the arguments of `bench run`. Prints one line on stderr for what is wrong; --help and
 * --version are answered and end the process.
 * @return 0, or EXIT_USAGE_ERROR
 */
int options_parse(int argc, char **argv, struct options *options);

#endif
