/** Where and with what a run was made: kept beside its figures. */
#ifndef BENCH_ENVIRONMENT_H
#define BENCH_ENVIRONMENT_H

#define ENVIRONMENT_TEXT_BYTES 128

struct environment {
    char bench_version[ENVIRONMENT_TEXT_BYTES];
    char build_type[ENVIRONMENT_TEXT_BYTES];
    char compiler[ENVIRONMENT_TEXT_BYTES];
    int trusted_build; /* 0: sanitizers, coverage or no optimisation */
    char kernel[ENVIRONMENT_TEXT_BYTES];
    char arch[ENVIRONMENT_TEXT_BYTES];
    char cpu_model[ENVIRONMENT_TEXT_BYTES];
    long cores;
    double load_1min;
    char libcurl[ENVIRONMENT_TEXT_BYTES];
    char corpus[ENVIRONMENT_TEXT_BYTES]; /* empty: bodies are not known beforehand */
};

void environment_read(struct environment *environment, const char *corpus);

#endif
