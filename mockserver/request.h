/**
 * Reads one HTTP/1.1 request head (RFC 9112), strictly, without I/O or heap. The views point
 * into the bytes given.
 */
#ifndef MOCKSERVER_REQUEST_H
#define MOCKSERVER_REQUEST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define REQUEST_HEAD_BYTES_MAX 8192
#define REQUEST_RUN_BYTES_MAX 64

enum request_method {
    REQUEST_GET,
    REQUEST_HEAD,
    REQUEST_POST,
    REQUEST_OTHER
};

struct request {
    enum request_method method;
    const char *path; /* as sent, not decoded; without the query */
    size_t path_bytes;
    const char *query; /* after '?'; NULL: none */
    size_t query_bytes;
    bool keep_alive;
    bool version_1_0;
    bool has_body; /* none of ours has: answered with an error, then the connection ends */
    /* X-Bench: run=ID;req=17;try=2 */
    const char *run; /* NULL: no such field */
    size_t run_bytes;
    bool has_number;
    uint64_t number;
    uint32_t attempt; /* 0: not said */
};

/**
 * @param head_bytes  what the head takes, when complete
 * @return 0 complete; -EAGAIN more bytes are needed; -EPROTO malformed; -EMSGSIZE longer than
 *         REQUEST_HEAD_BYTES_MAX
 */
int request_parse(const char *data, size_t bytes, struct request *request, size_t *head_bytes);

/**
 * Undo percent-encoding.
 * @return bytes written; -EINVAL for a bad escape or a control character, -ENOSPC
 */
int request_decode(const char *text, size_t bytes, char *out, size_t out_bytes);

#endif
