/**
 * HTTP/1.1 without I/O: request text out, response bytes in (RFC 9112). No file descriptor,
 * no clock, no heap. The caller owns every byte; the parser keeps only a few counters, so it
 * can be fed in any split.
 *
 * Feeding: give the bytes at hand. What the parser could not use yet (the beginning of a
 * line whose end has not arrived) is not consumed and must stand in front of what is given
 * next. Body bytes are always consumed. Bytes after the end of a response are never touched.
 *
 * Where RFC 9112 lets a recipient be lenient, this one is not, because a benchmark has nothing
 * to gain from guessing what a peer meant: a line ends with CR LF only (section 2.2 would
 * accept LF alone, and then two parsers can disagree on where a message ends), a folded field
 * line is refused (section 5.2 would have it unfolded), and so is any control byte but HTAB.
 */
#ifndef BENCH_HTTP1_H
#define BENCH_HTTP1_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define HTTP1_LINE_BYTES_MAX 8192      /* one header line; status line and chunk size line too */
#define HTTP1_HEAD_BYTES_MAX 65536     /* all heads of one exchange, 1xx included; trailers too */
#define HTTP1_FIELDS_MAX 128           /* header fields of one head; trailer fields */
#define HTTP1_CHUNK_OVERHEAD_MAX 65536 /* chunk lines that carry no body, beyond body bytes */

enum http1_event {
    HTTP1_MORE = 0, /* all that could be used has been; give more */
    HTTP1_LOCATION, /* the span is the value of a Location field */
    HTTP1_HEAD,     /* status and framing of the final response are known */
    HTTP1_BODY,     /* the span is a piece of the body */
    HTTP1_DONE,     /* the response is complete; keep_alive is final */
};

struct http1_span {
    const char *data;
    size_t bytes;
};

/** Read-only for callers. */
struct http1_parser {
    int status;             /* of the final response; 0 before HTTP1_HEAD */
    bool keep_alive;        /* the connection may carry another exchange */
    bool has_length;        /* Content-Length framing */
    bool chunked;           /* Transfer-Encoding: chunked */
    uint64_t content_bytes; /* with has_length */
    const char *error;      /* why -EPROTO, a constant string; else NULL */
    /* private */
    uint8_t state;
    uint8_t minor_version;
    uint16_t head_status; /* of the head at hand, which may be an interim one */
    bool saw_close;
    bool saw_keep_alive;
    uint32_t fields;
    uint64_t remaining_bytes;
    uint64_t head_bytes;
    uint64_t overhead_bytes;
    uint64_t body_bytes;
};

void http1_parser_init(struct http1_parser *parser);

/**
 * Take one step. Call again while it returns anything but HTTP1_MORE, HTTP1_DONE or an error,
 * each time with the rest of the bytes.
 * @param consumed  how many of the bytes are used up
 * @param span      for HTTP1_LOCATION and HTTP1_BODY; points into data
 * @return enum http1_event; -EPROTO with parser->error
 */
int http1_parse(struct http1_parser *parser, const char *data, size_t bytes, size_t *consumed,
                struct http1_span *span);

/**
 * The connection ended in an orderly way.
 * @return HTTP1_DONE when that ends the response (close-delimited body, RFC 9112 section 6.3);
 *         -EPIPE when it cuts the response short
 */
int http1_finish(struct http1_parser *parser);

/** What a GET says of itself. */
struct http1_request {
    const char *authority; /* Host */
    size_t authority_bytes;
    const char *path;
    size_t path_bytes;
    const char *run_mark; /* X-Bench: run=...;req=...;try=...; NULL: no such field */
    uint64_t number;      /* req= */
    uint32_t attempt;     /* try= */
    bool close;           /* Connection: close */
};

/**
 * Request text. Formatted by hand: this is the hot path.
 * @return bytes written (no NUL); 0 when out is too small
 */
size_t http1_request_write(const struct http1_request *request, char *out, size_t out_bytes);

/** Enough for http1_request_write. */
size_t http1_request_bytes_max(const struct http1_request *request);

#endif
