/**
 * Feeding a response to the parser in pieces, as a connection would, and what came of it.
 * Each piece is shown at a guard page together with what the parser left over, and each step
 * is held against the promises of http1.h; a broken one ends up in `broken`.
 */
#ifndef BENCH_HTTP1_FEED_H
#define BENCH_HTTP1_FEED_H

#include "backends/http1.h"

#include "tests/support/guard_page.h"

#define HTTP1_FEED_TEXT_BYTES 1024

struct http1_outcome {
    int result; /* HTTP1_DONE, -EPROTO or -EPIPE */
    bool head;  /* HTTP1_HEAD came */
    bool ended; /* the end of the connection decided, not a byte */
    int status;
    bool keep_alive;
    bool has_length;
    bool chunked;
    uint64_t content_bytes;
    uint64_t body_bytes;
    uint64_t body_sum;                    /* over all body bytes, in order */
    char body[HTTP1_FEED_TEXT_BYTES];     /* its beginning, NUL-terminated */
    char location[HTTP1_FEED_TEXT_BYTES]; /* the last one */
    unsigned locations;
    size_t rest_bytes; /* given, but not part of the response; 0 unless HTTP1_DONE */
    const char *error;
    const char *broken; /* a promise of http1.h that did not hold; NULL: all did */
};

/** How long the next piece is, at least 1; `left` bytes remain. */
typedef size_t http1_piece_fn(size_t left, void *user);

/** Feed all of it, then the end of the connection if the response is still open. */
void http1_feed(struct guard_page *page, const char *data, size_t bytes, http1_piece_fn *piece,
                void *user, struct http1_outcome *outcome);

/** @return NULL when equal, else the name of the member that differs */
const char *http1_outcome_difference(const struct http1_outcome *a, const struct http1_outcome *b);

#endif
