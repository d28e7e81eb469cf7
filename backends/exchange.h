/**
 * One HTTP exchange of the raw engine: a transfer, its request text and the parser of its
 * response. Everything between "these bytes arrived" and "do this next", and nothing that
 * waits: the model connects, sends `request`, receives, and saves in its own way.
 *
 * The life of a place in flight, in any model:
 *
 *     exchange_start                                  -> connect if needed, send request
 *     exchange_feed / exchange_eof / exchange_fail    -> the step to take:
 *        TRANSFER_MORE   receive again
 *        TRANSFER_AGAIN  send `request` (new text); on the same connection only when
 *                        exchange_keeps_connection, else on a new one
 *        TRANSFER_SAVE   write the file, then exchange_saved
 *        TRANSFER_DONE   next request; the connection may be kept under the same condition
 */
#ifndef BENCH_EXCHANGE_H
#define BENCH_EXCHANGE_H

#include "http1.h"
#include "target.h"
#include "transfer.h"

struct exchange {
    struct transfer transfer;
    struct http1_parser parser;
    const struct target_table *targets;
    const struct endpoint *endpoint; /* where `request` goes */
    char *request;                   /* text to send; valid until the next step */
    size_t request_bytes;
    size_t request_capacity;
    char *spill; /* the beginning of a line whose end has not arrived; rarely used */
    size_t spill_bytes;
    size_t spill_capacity;
    bool on_used_connection; /* the connection has carried a whole exchange before */
    bool answered;           /* a byte of this response has arrived */
    int send_error;          /* of this request: exchange_send_failed; errno value */
    bool keeps;              /* the connection may carry the next exchange */
};

void exchange_init(struct exchange *exchange, const struct download_job *job,
                   struct transfer_result *results, const struct target_table *targets);
void exchange_release(struct exchange *exchange);

/**
 * Begin request `index`; prepares `endpoint` and `request`.
 * @return TRANSFER_MORE; TRANSFER_DONE when it failed at once (unresolved, no memory)
 */
enum transfer_step exchange_start(struct exchange *exchange, size_t index, uint64_t now_ns);

/**
 * The model sends `request` on this connection.
 * @param number  of the connection, from 1
 * @param used    it has carried an exchange before (RFC 9112 section 9.3.1: such a request may
 *                be sent again on a new connection when this one turns out closed)
 */
void exchange_connected(struct exchange *exchange, uint32_t number, bool used);

/**
 * The request could not be sent. EPIPE, ECONNRESET: there may be an answer to read all the same,
 * and what comes of receiving says more; the error is kept for when nothing comes.
 * @return whether to receive on; else the model calls exchange_fail
 */
bool exchange_send_failed(struct exchange *exchange, int os_error);

/** Bytes arrived; `data` is free for reuse on return. */
enum transfer_step exchange_feed(struct exchange *exchange, const char *data, size_t bytes,
                                 uint64_t now_ns);

/** The peer ended the connection in an orderly way (recv returned 0). */
enum transfer_step exchange_eof(struct exchange *exchange, uint64_t now_ns);

/** connect, send or receive failed with an errno value; ETIMEDOUT: the deadline passed;
 *  ECANCELED: the caller stops. */
enum transfer_step exchange_fail(struct exchange *exchange, int os_error, uint64_t now_ns);

static inline enum transfer_step exchange_saved(struct exchange *exchange, int os_error,
                                                uint64_t now_ns)
{
    return transfer_saved(&exchange->transfer, os_error, now_ns);
}

/** After AGAIN, SAVE or DONE: may the connection carry the next exchange? */
static inline bool exchange_keeps_connection(const struct exchange *exchange)
{
    return exchange->keeps;
}

#endif
