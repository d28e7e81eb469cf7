/** The command line of `bench get` as values: checked, complete, const from here on. */
#ifndef BENCH_GET_OPTIONS_H
#define BENCH_GET_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define GET_IN_FLIGHT_MAX 65536
#define GET_LOOPS_MAX 256
#define GET_CODES_MAX 676 /* AA to ZZ */

/** Codes of two capital letters, as a set. */
struct get_codes {
    bool wanted[GET_CODES_MAX]; /* by (first - 'A') * 26 + second - 'A' */
};

enum get_label {
    GET_URL,   /* a server of the user's own */
    GET_LOCAL, /* ours, without delay */
    GET_DELAY, /* ours, 0.5 to 5 s before each answer */
    GET_ERROR, /* the same, and a quarter of the answers is a 418 */
};

struct get_options {
    struct get_codes codes; /* what the arguments say, before the limit */
    uint32_t limit;         /* 0: none */
    uint32_t in_flight;
    uint32_t loops; /* 0: not given */
    enum get_label label;
    const char *server;  /* with GET_URL */
    const char *backend; /* NULL: the default one */
    const char *output_dir;
    const char *list;    /* file of URLs, "-" for stdin; NULL: flags */
    const char *ca_file; /* of certificates to trust instead of the system's; NULL: those */
    uint64_t timeout_ns;
    uint64_t body_bytes_max;
    uint32_t retries;
    uint64_t seed;
    bool names;
    bool resume;
    bool verbose;
    bool quiet;
};

/**
 * Parse the arguments of `bench get`. Prints one line on stderr for what is wrong; --help is
 * answered and ends the process.
 * @return 0, or EXIT_USAGE_ERROR
 */
int get_options_parse(int argc, char **argv, struct get_options *options);

/** Take "user:password@" out of what may be a URL, in place: messages go to logs. @return text */
char *get_options_hide_user(char *text);

#endif
