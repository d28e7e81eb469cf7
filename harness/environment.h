/** Where and with what a run was made: kept beside its figures. */
#ifndef BENCH_ENVIRONMENT_H
#define BENCH_ENVIRONMENT_H

#include <stdbool.h>

#define ENVIRONMENT_TEXT_BYTES 160

/** Texts are empty where something could not be found out. */
struct environment {
    char bench_version[ENVIRONMENT_TEXT_BYTES];
    char revision[ENVIRONMENT_TEXT_BYTES]; /* of the sources; "-dirty" behind uncommitted ones */
    char build_type[ENVIRONMENT_TEXT_BYTES];
    char compiler[ENVIRONMENT_TEXT_BYTES];
    bool trusted_build; /* false: sanitizers, coverage or no optimisation */
    char kernel[ENVIRONMENT_TEXT_BYTES];
    char os[ENVIRONMENT_TEXT_BYTES];
    char arch[ENVIRONMENT_TEXT_BYTES];
    char cpu_model[ENVIRONMENT_TEXT_BYTES];
    long cores; /* that this process may use */
    char governor[ENVIRONMENT_TEXT_BYTES];
    char mitigations[ENVIRONMENT_TEXT_BYTES]; /* of the kernel command line, and what is vulnerable
                                               */
    char container[ENVIRONMENT_TEXT_BYTES];   /* "docker", ...; "none" */
    char hypervisor[ENVIRONMENT_TEXT_BYTES];  /* "none" on bare metal */
    double load_1min;
    long descriptor_limit;
    char libcurl[ENVIRONMENT_TEXT_BYTES];
    char libuv[ENVIRONMENT_TEXT_BYTES];
    char liburing[ENVIRONMENT_TEXT_BYTES];
    char libc[ENVIRONMENT_TEXT_BYTES];
    char corpus[ENVIRONMENT_TEXT_BYTES]; /* hash of all bodies; empty: not known beforehand */
};

void environment_read(struct environment *environment, const char *corpus);

#endif
