/** Exit codes of `bench`; see README. 1 and 2 are never used: make and shells make those up. */
#ifndef BENCH_EXIT_CODE_H
#define BENCH_EXIT_CODE_H

enum exit_code {
    EXIT_FINE = 0,
    EXIT_REGRESSION = 3,
    EXIT_INCONCLUSIVE = 4,
    EXIT_NOT_COMPARABLE = 5,
    EXIT_WRONG_DOWNLOADS = 6, /* failed or wrong transfers nobody asked for, invalid trials */
    EXIT_USAGE_ERROR = 64,
    EXIT_UNAVAILABLE = 69, /* the server, or every chosen backend */
    EXIT_INTERNAL = 70,
    EXIT_CANNOT_WRITE = 73,
    EXIT_INTERRUPTED = 130,
};

#endif
