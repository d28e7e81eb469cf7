/** The command line. */
#ifndef MOCKSERVER_OPTIONS_H
#define MOCKSERVER_OPTIONS_H

#include "delay.h"
#include "fault.h"

#include <netinet/in.h>

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#define OPTIONS_LOOPS_MAX 64

/* The project's exit codes, after sysexits.h. */
enum exit_code {
    EXIT_FINE = 0,
    EXIT_BAD_USAGE = 64,
    EXIT_NOT_AVAILABLE = 69,
    EXIT_INTERNAL = 70,
};

struct options {
    uint16_t port;
    uint16_t admin_port;
    union {
        struct sockaddr any;
        struct sockaddr_in v4;
        struct sockaddr_in6 v6;
    } address; /* to bind to; without port */
    uint32_t loops;
    const char *flags_folder; /* NULL: built in */
    struct delay_spec delay;
    struct fault_set faults;
    uint64_t rate;         /* bytes per second; 0: unlimited */
    uint64_t requests_max; /* per connection; 0: unlimited */
    uint64_t seed;
    const char *plan;         /* codes, or names with `dns`; NULL: serve */
    bool dns;                 /* a DNS server instead of one of flags */
    const char *flags_option; /* one that was given and is none of a DNS server's; NULL: none */
    bool die_with_parent;
    pid_t parent; /* 0: not said */
};

/** Ends the program with --help, --version, or a line on stderr and EXIT_BAD_USAGE. */
void options_parse(int argc, char **argv, struct options *options);

#endif
