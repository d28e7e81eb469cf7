/**
 * Where the requests of a job go, found out before the first of them. A job asks for the same few
 * URLs over and over, so each is taken apart once. Const while a job runs; any thread may read.
 */
#ifndef BENCH_TARGET_H
#define BENCH_TARGET_H

#include "endpoint.h"

#define TARGET_ALIGN 64 /* one cache line: looked up for each transfer, each time another one */

struct target {
    _Alignas(TARGET_ALIGN) const char *url; /* NUL-terminated; not ours */
    const char *authority;                  /* in url, as are the others: see url.h */
    size_t authority_bytes;
    const char *path;
    size_t path_bytes;
    const struct endpoint *endpoint;
};

struct target_table {
    struct endpoint_table endpoints; /* every host and port of the job */
    struct target *targets;          /* private: an open hash by the address of the string */
    size_t count;                    /* of targets */
};

/**
 * Every URL of the job must parse: the host has checked them, misuse is an assert.
 * @return 0 or -ENOMEM; target_table_release is fine either way
 */
int target_table_init(struct target_table *table, const struct download_job *job);
void target_table_release(struct target_table *table);

/**
 * @param url    one of the job's, looked up by its address, or another one to a host of the job
 *               (a redirect), taken apart now
 * @param spare  where it is kept when the table does not have it
 */
const struct target *target_find(const struct target_table *table, const char *url,
                                 struct target *spare);

#endif
