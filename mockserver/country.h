/** The 194 countries of the built-in corpus. */
#ifndef MOCKSERVER_COUNTRY_H
#define MOCKSERVER_COUNTRY_H

#include <stddef.h>

#define COUNTRY_COUNT 194

struct country {
    char cc[3]; /* lower case */
    const char *name;
};

/** Sorted by code. */
extern const struct country countries[COUNTRY_COUNT];

/** @param cc  two lower-case letters @return NULL for a code that is not one of them */
const char *country_name(const char cc[static 2]);

#endif
