/**
 * Where the requests of a job connect to: each distinct host and port, resolved once before
 * the first transfer, so that no loop ever blocks in a resolver. Const while a job runs;
 * any thread may read.
 */
#ifndef BENCH_ENDPOINT_H
#define BENCH_ENDPOINT_H

#include "backend.h"
#include "url.h"

#include <sys/socket.h>

struct endpoint {
    char *authority; /* as first written in a URL; owned by the table */
    size_t authority_bytes;
    struct sockaddr_storage address;
    socklen_t address_bytes; /* 0: not resolved */
    struct url_view view;    /* private: of the URL that named it first; host and port count */
};

struct endpoint_table {
    struct endpoint *endpoints;
    size_t count;
};

/** Collect and resolve every authority of the job. @return 0 or -ENOMEM; an authority without
 *  an address stays in the table with address_bytes 0. */
int endpoint_table_init(struct endpoint_table *table, const struct download_job *job);
void endpoint_table_release(struct endpoint_table *table);

/** @return the endpoint of a URL of the job; never NULL (misuse is an assert) */
const struct endpoint *endpoint_find(const struct endpoint_table *table,
                                     const struct url_view *url);

#endif
