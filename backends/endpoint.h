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

/**
 * Resolve the authority of a URL, unless the table (zeroed at first) has it; blocks. The endpoints
 * may move. One without an address stays in the table with address_bytes 0. @return 0 or -ENOMEM
 */
int endpoint_table_add(struct endpoint_table *table, const struct url_view *url);
void endpoint_table_release(struct endpoint_table *table);

/** @return the endpoint of a URL whose authority was added; never NULL (misuse is an assert) */
const struct endpoint *endpoint_find(const struct endpoint_table *table,
                                     const struct url_view *url);

#endif
