/** Writes the head of a response (RFC 9112 section 4). */
#ifndef MOCKSERVER_REPLY_HEAD_H
#define MOCKSERVER_REPLY_HEAD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define REPLY_HEAD_BYTES_MAX 512
#define HTTP_DATE_BYTES 29 /* "Sun, 06 Nov 1994 08:49:37 GMT" */

struct reply_head {
    int status;
    const char *date;         /* HTTP_DATE_BYTES */
    const char *content_type; /* NULL: no such field, as of those below */
    uint64_t body_bytes;
    const char *allow;
    const char *fault_name; /* X-Fault */
    const char *connection;
};

/** Whether a response of this status has a body and says how long it is. */
bool reply_status_has_body(int status);

/** @param date_at  where the date stands; may be NULL. @return bytes written */
size_t reply_head_write(const struct reply_head *head, char out[static REPLY_HEAD_BYTES_MAX],
                        size_t *date_at);

#endif
