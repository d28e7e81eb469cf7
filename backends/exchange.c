#include "exchange.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define REQUEST_CAPACITY_FIRST 256
#define SPILL_CAPACITY_FIRST 512
#define SPILL_CAPACITY_MAX (HTTP1_LINE_BYTES_MAX + 2) /* with its line end */

void exchange_init(struct exchange *exchange, const struct download_job *job,
                   struct transfer_result *results, const struct target_table *targets)
{
    *exchange = (struct exchange){.targets = targets};
    transfer_init(&exchange->transfer, job, results);
}

void exchange_release(struct exchange *exchange)
{
    transfer_release(&exchange->transfer);
    free(exchange->request);
    free(exchange->spill);
    *exchange = (struct exchange){0};
}

static int request_reserve(struct exchange *exchange, size_t bytes)
{
    if (bytes <= exchange->request_capacity) {
        return 0;
    }
    if (bytes < REQUEST_CAPACITY_FIRST) {
        bytes = REQUEST_CAPACITY_FIRST;
    }
    /* The old text is not needed any more: no realloc, which would copy it. */
    free(exchange->request);
    exchange->request_capacity = 0;
    exchange->request = malloc(bytes);
    if (exchange->request == NULL) {
        return -ENOMEM;
    }
    exchange->request_capacity = bytes;
    return 0;
}

static int request_prepare(struct exchange *exchange, const struct target *target)
{
    const struct transfer *transfer = &exchange->transfer;
    const struct http1_request request = {
        .authority = target->authority,
        .authority_bytes = target->authority_bytes,
        .path = target->path,
        .path_bytes = target->path_bytes,
        .run_mark = transfer->job->run_mark,
        .number = transfer->index,
        .attempt = transfer->slot->attempts,
        .close = (transfer->job->flags & DOWNLOAD_FRESH_CONNECTIONS) != 0,
    };

    int result = request_reserve(exchange, http1_request_bytes_max(&request));
    if (result < 0) {
        return result;
    }
    exchange->request_bytes =
        http1_request_write(&request, exchange->request, exchange->request_capacity);
    assert(exchange->request_bytes > 0);
    return 0;
}

/* Make ready to ask when the step says so; failing at that may lead to yet another attempt. */
static enum transfer_step ask(struct exchange *exchange, enum transfer_step step, uint64_t now_ns)
{
    struct transfer *transfer = &exchange->transfer;
    struct target spare;

    while (step == TRANSFER_AGAIN) {
        http1_parser_init(&exchange->parser);
        exchange->spill_bytes = 0;
        exchange->answered = false;
        exchange->send_error = 0;
        exchange->on_used_connection = false; /* until exchange_connected says more */
        const struct target *target = target_find(exchange->targets, transfer->url, &spare);
        exchange->endpoint = target->endpoint;
        if (exchange->endpoint->address_bytes == 0) {
            return transfer_fail(transfer, TRANSFER_UNRESOLVED, 0, NULL, now_ns);
        }
        int result = request_prepare(exchange, target);
        if (result == 0) {
            return step;
        }
        step = transfer_fail(transfer, transfer_status_of_errno(-result), -result, NULL, now_ns);
    }
    return step;
}

enum transfer_step exchange_start(struct exchange *exchange, size_t index, uint64_t now_ns)
{
    transfer_start(&exchange->transfer, index, now_ns);
    enum transfer_step step = ask(exchange, TRANSFER_AGAIN, now_ns);
    return step == TRANSFER_AGAIN ? TRANSFER_MORE : step;
}

void exchange_connected(struct exchange *exchange, uint32_t number, bool used)
{
    exchange->on_used_connection = used;
    transfer_connection(&exchange->transfer, number);
}

bool exchange_send_failed(struct exchange *exchange, int os_error)
{
    bool may_be_answered = os_error == EPIPE || os_error == ECONNRESET;

    exchange->send_error = may_be_answered ? os_error : 0;
    return may_be_answered;
}

static enum transfer_step fail(struct exchange *exchange, enum transfer_status status, int os_error,
                               const char *message, uint64_t now_ns)
{
    exchange->keeps = false;
    return ask(exchange, transfer_fail(&exchange->transfer, status, os_error, message, now_ns),
               now_ns);
}

/* Too large, timed out and cancelled are verdicts of ours, not errors of the system. */
static enum transfer_step fail_errno(struct exchange *exchange, int os_error, uint64_t now_ns)
{
    enum transfer_status status = transfer_status_of_errno(os_error);
    bool is_ours =
        status == TRANSFER_TOO_LARGE || status == TRANSFER_TIMEOUT || status == TRANSFER_CANCELLED;

    return fail(exchange, status, is_ours ? 0 : os_error, NULL, now_ns);
}

/**
 * @param surplus_bytes  read beyond the end of the response: nobody asked for them, so the
 *                       connection cannot be trusted with another exchange (RFC 9112 section 9.3),
 *                       but the response stands
 */
static enum transfer_step complete(struct exchange *exchange, size_t surplus_bytes, uint64_t now_ns)
{
    struct transfer *transfer = &exchange->transfer;

    exchange->keeps = exchange->parser.keep_alive && surplus_bytes == 0 &&
                      exchange->send_error == 0 && /* else half a request lies on it */
                      (transfer->job->flags & DOWNLOAD_FRESH_CONNECTIONS) == 0;
    return ask(exchange, transfer_complete(transfer, exchange->parser.status, now_ns), now_ns);
}

/* Only of a body that is wanted: one of an error or a redirect is read and dropped, within the
 * job's limit all the same. */
static int head_arrived(struct exchange *exchange)
{
    const struct http1_parser *parser = &exchange->parser;

    exchange->transfer.slot->http_status = parser->status;
    if (!parser->has_length || parser->status < 200 || parser->status > 299) {
        return 0;
    }
    return transfer_expect(&exchange->transfer, parser->content_bytes);
}

/**
 * Parse until the bytes are used up or a step is due.
 * @param used   in: where to begin; out: how far the parser came
 * @param later  bytes that arrived behind these
 */
static enum transfer_step parse(struct exchange *exchange, const char *data, size_t bytes,
                                size_t *used, size_t later, uint64_t now_ns)
{
    struct transfer *transfer = &exchange->transfer;

    for (;;) {
        struct http1_span span = {0};
        size_t consumed = 0;
        int result = 0;
        int event = http1_parse(&exchange->parser, data + *used, bytes - *used, &consumed, &span);

        *used += consumed;
        switch (event) {
        case HTTP1_MORE:
            return TRANSFER_MORE;
        case HTTP1_LOCATION:
            result = transfer_location(transfer, span.data, span.bytes);
            if (result == -ENAMETOOLONG) {
                return fail(exchange, TRANSFER_PROTOCOL, 0, "Location too long", now_ns);
            }
            break;
        case HTTP1_HEAD:
            result = head_arrived(exchange);
            break;
        case HTTP1_BODY:
            result = transfer_body(transfer, span.data, span.bytes);
            break;
        case HTTP1_DONE:
            return complete(exchange, bytes - *used + later, now_ns);
        default:
            return fail(exchange, TRANSFER_PROTOCOL, 0, exchange->parser.error, now_ns);
        }
        if (result < 0) {
            return fail_errno(exchange, -result, now_ns);
        }
    }
}

static int spill_append(struct exchange *exchange, const char *data, size_t bytes)
{
    size_t needed = exchange->spill_bytes + bytes;

    assert(needed <= SPILL_CAPACITY_MAX);
    if (needed > exchange->spill_capacity) {
        size_t capacity = exchange->spill_capacity * 2;
        if (capacity < SPILL_CAPACITY_FIRST) {
            capacity = SPILL_CAPACITY_FIRST;
        }
        if (capacity < needed) {
            capacity = needed;
        }
        char *spill = realloc(exchange->spill, capacity);
        if (spill == NULL) {
            return -ENOMEM;
        }
        exchange->spill = spill;
        exchange->spill_capacity = capacity;
    }
    memcpy(exchange->spill + exchange->spill_bytes, data, bytes);
    exchange->spill_bytes = needed;
    return 0;
}

/* How many of the bytes finish the line that the spill begins: up to its end, or all. */
static size_t line_rest(const struct exchange *exchange, const char *data, size_t bytes)
{
    size_t room = SPILL_CAPACITY_MAX - exchange->spill_bytes;
    const char *end = memchr(data, '\n', bytes);
    size_t rest = end != NULL ? (size_t)(end - data) + 1 : bytes;
    return rest < room ? rest : room;
}

/* Complete the split line in the spill and parse that line alone, so that a body behind it is
 * never copied. @param used  out: how many of the bytes went there */
static enum transfer_step parse_spilled(struct exchange *exchange, const char *data, size_t bytes,
                                        size_t *used, uint64_t now_ns)
{
    size_t parsed = 0;

    *used = line_rest(exchange, data, bytes);
    if (*used == 0) {
        return fail(exchange, TRANSFER_PROTOCOL, 0, "line too long", now_ns);
    }
    int result = spill_append(exchange, data, *used);
    if (result < 0) {
        return fail_errno(exchange, -result, now_ns);
    }
    enum transfer_step step =
        parse(exchange, exchange->spill, exchange->spill_bytes, &parsed, bytes - *used, now_ns);
    if (step != TRANSFER_MORE) {
        return step;
    }
    exchange->spill_bytes -= parsed;
    memmove(exchange->spill, exchange->spill + parsed, exchange->spill_bytes);
    return TRANSFER_MORE;
}

enum transfer_step exchange_feed(struct exchange *exchange, const char *data, size_t bytes,
                                 uint64_t now_ns)
{
    size_t used = 0;

    if (bytes > 0) {
        exchange->answered = true;
        transfer_first_byte(&exchange->transfer, now_ns);
    }
    while (exchange->spill_bytes > 0 && used < bytes) {
        size_t taken = 0;
        enum transfer_step step =
            parse_spilled(exchange, data + used, bytes - used, &taken, now_ns);
        if (step != TRANSFER_MORE) {
            return step;
        }
        used += taken;
    }
    if (used == bytes) {
        return TRANSFER_MORE;
    }
    enum transfer_step step = parse(exchange, data, bytes, &used, 0, now_ns);
    if (step != TRANSFER_MORE || used == bytes) {
        return step;
    }
    if (bytes - used > SPILL_CAPACITY_MAX) {
        return fail(exchange, TRANSFER_PROTOCOL, 0, "line too long", now_ns);
    }
    int result = spill_append(exchange, data + used, bytes - used);
    return result < 0 ? fail_errno(exchange, -result, now_ns) : TRANSFER_MORE;
}

/* The server had closed an idle connection when the request went out: it saw nothing of it, or
 * a GET that may be sent again (RFC 9112 section 9.3.1). Not an attempt of its own. */
static bool is_stale(const struct exchange *exchange)
{
    return exchange->on_used_connection && !exchange->answered;
}

static enum transfer_step ask_elsewhere(struct exchange *exchange, uint64_t now_ns)
{
    exchange->keeps = false;
    return ask(exchange, TRANSFER_AGAIN, now_ns);
}

enum transfer_step exchange_eof(struct exchange *exchange, uint64_t now_ns)
{
    if (is_stale(exchange)) {
        return ask_elsewhere(exchange, now_ns);
    }
    /* The socket tells of a reset once, and the send has heard it: what is left reads as an end. */
    if (exchange->send_error != 0 && !exchange->answered) {
        return fail_errno(exchange, exchange->send_error, now_ns);
    }
    if (http1_finish(&exchange->parser) != HTTP1_DONE) {
        return fail(exchange, TRANSFER_TRUNCATED, 0, NULL, now_ns);
    }
    return complete(exchange, 0, now_ns);
}

enum transfer_step exchange_fail(struct exchange *exchange, int os_error, uint64_t now_ns)
{
    assert(os_error > 0);
    if (is_stale(exchange) && (os_error == ECONNRESET || os_error == EPIPE)) {
        return ask_elsewhere(exchange, now_ns);
    }
    return fail_errno(exchange, os_error, now_ns);
}
