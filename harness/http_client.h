/** The harness's own few requests (manifest, counters): libcurl, blocking, with a deadline. */
#ifndef BENCH_HTTP_CLIENT_H
#define BENCH_HTTP_CLIENT_H

#include <stddef.h>

#define HTTP_CLIENT_BODY_BYTES_MAX (size_t)(80u << 20)
#define HTTP_CLIENT_ERROR_BYTES 256

struct http_reply {
    int status; /* 0: no answer */
    char *body; /* NUL-terminated; free with http_reply_release */
    size_t body_bytes;
    char error[HTTP_CLIENT_ERROR_BYTES]; /* why there was no answer */
};

/** @return 0 when any HTTP answer came; -EIO (reply->error says why), -ENOMEM */
int http_client_get(const char *url, struct http_reply *reply);
int http_client_post(const char *url, struct http_reply *reply);
void http_reply_release(struct http_reply *reply);

#endif
