#include "transfer.h"

#include "dns_url.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define BODY_CAPACITY_FIRST 16384 /* where growth begins when no length is announced */

static const char *const status_names[] = {
    [TRANSFER_UNSET] = "unset",         [TRANSFER_OK] = "ok",
    [TRANSFER_NOT_FOUND] = "not_found", [TRANSFER_HTTP_ERROR] = "http_error",
    [TRANSFER_TIMEOUT] = "timeout",     [TRANSFER_REFUSED] = "refused",
    [TRANSFER_RESET] = "reset",         [TRANSFER_TRUNCATED] = "truncated",
    [TRANSFER_TOO_LARGE] = "too_large", [TRANSFER_PROTOCOL] = "protocol",
    [TRANSFER_MISMATCH] = "mismatch",   [TRANSFER_SAVE_FAILED] = "save_failed",
    [TRANSFER_CANCELLED] = "cancelled", [TRANSFER_UNRESOLVED] = "unresolved",
};

/* Said when nobody has anything more precise to say. */
static const char *const status_messages[] = {
    [TRANSFER_UNSET] = "",
    [TRANSFER_OK] = "",
    [TRANSFER_NOT_FOUND] = "HTTP status 404",
    [TRANSFER_HTTP_ERROR] = "HTTP error",
    [TRANSFER_TIMEOUT] = "timed out",
    [TRANSFER_REFUSED] = "cannot connect",
    [TRANSFER_RESET] = "connection broken",
    [TRANSFER_TRUNCATED] = "connection closed before the end of the response",
    [TRANSFER_TOO_LARGE] = "body above the limit",
    [TRANSFER_PROTOCOL] = "not HTTP/1.1",
    [TRANSFER_MISMATCH] = "not the expected body",
    [TRANSFER_SAVE_FAILED] = "cannot save",
    [TRANSFER_CANCELLED] = "cancelled",
    [TRANSFER_UNRESOLVED] = "no address for the host",
};

_Static_assert(sizeof status_names / sizeof status_names[0] == TRANSFER_STATUS_COUNT,
               "a name for every status");
_Static_assert(sizeof status_messages / sizeof status_messages[0] == TRANSFER_STATUS_COUNT,
               "a message for every status");

const char *transfer_status_name(enum transfer_status status)
{
    assert((unsigned)status < TRANSFER_STATUS_COUNT);
    return status_names[status];
}

enum transfer_status transfer_status_of_errno(int os_error)
{
    switch (os_error) {
    case ETIMEDOUT:
        return TRANSFER_TIMEOUT;
    case ECANCELED:
        return TRANSFER_CANCELLED;
    case EPROTO:
        return TRANSFER_PROTOCOL;
    case EFBIG:
        return TRANSFER_TOO_LARGE;
    case ECONNREFUSED:
    case EHOSTUNREACH:
    case EHOSTDOWN:
    case ENETUNREACH:
    case ENETDOWN:
    case EADDRNOTAVAIL: /* no local port left */
    case EAFNOSUPPORT:
    case EACCES: /* a local firewall rule (connect(2)) */
    case EPERM:
    case EMFILE:
    case ENFILE:
        return TRANSFER_REFUSED;
    default:
        return TRANSFER_RESET;
    }
}

/* Reports go to terminals and to CSV: no control bytes, whatever a message was made from. */
static void message_set(struct transfer_result *slot, const char *text, const char *detail)
{
    (void)snprintf(slot->message, sizeof slot->message, "%s%s%s", text, detail != NULL ? ": " : "",
                   detail != NULL ? detail : "");
    for (char *c = slot->message; *c != '\0'; c++) {
        if (*c < 0x20 || *c > 0x7e) {
            *c = '?';
        }
    }
}

void transfer_init(struct transfer *transfer, const struct download_job *job,
                   struct transfer_result *results)
{
    *transfer = (struct transfer){.job = job, .results = results};
}

void transfer_release(struct transfer *transfer)
{
    free(transfer->redirect_url);
    free(transfer->location);
    free(transfer->kept);
    body_hash_stream_destroy(transfer->stream);
    *transfer = (struct transfer){0};
}

/* Forget the response at hand: the slot tells of the last one only. */
static void response_begin(struct transfer *transfer)
{
    transfer->slot->http_status = 0;
    transfer->slot->body_bytes = 0;
    transfer->slot->body_xxh3 = 0;
    transfer->slot->first_byte_ns = 0;
    transfer->has_location = false;
    transfer->body = NULL;
    transfer->body_bytes = 0;
    transfer->body_xxh3 = 0;
    transfer->streaming = false;
    transfer->limit_bytes = transfer->job->body_bytes_max;
    transfer->has_length = false;
}

static void attempt_begin(struct transfer *transfer, uint64_t now_ns)
{
    transfer->url = transfer->request->url;
    transfer->slot->attempts++;
    transfer->deadline_ns = now_ns + transfer->job->timeout_ns;
    transfer->redirects = 0;
    response_begin(transfer);
}

/* Each request and slot is touched for the first time when its turn comes, one after the other but
 * with thousands of the kernel's cache lines in between: nothing but us can know what is next. */
static void next_prefetch(const struct transfer *transfer, size_t index)
{
    if (index + 1 < transfer->job->count) {
        const char *slot = (const char *)&transfer->results[index + 1];
        __builtin_prefetch(&transfer->job->requests[index + 1]);
        __builtin_prefetch(slot, 1);
        __builtin_prefetch(slot + sizeof(struct transfer_result) / 2, 1);
    }
}

void transfer_start(struct transfer *transfer, size_t index, uint64_t now_ns)
{
    assert(index < transfer->job->count);
    next_prefetch(transfer, index);
    transfer->index = index;
    transfer->request = &transfer->job->requests[index];
    transfer->slot = &transfer->results[index];
    transfer->slot->started_ns = now_ns;
    transfer->is_lookup = dns_url_is(transfer->request->url);
    attempt_begin(transfer, now_ns);
}

int transfer_location(struct transfer *transfer, const char *value, size_t bytes)
{
    if (bytes > URL_BYTES_MAX) {
        return -ENAMETOOLONG;
    }
    if (transfer->location == NULL) {
        transfer->location = malloc(URL_BYTES_MAX);
        if (transfer->location == NULL) {
            return -ENOMEM;
        }
    }
    memcpy(transfer->location, value, bytes);
    transfer->location_bytes = bytes;
    transfer->has_location = true;
    return 0;
}

int transfer_expect(struct transfer *transfer, uint64_t body_bytes)
{
    if (body_bytes > transfer->job->body_bytes_max) {
        return -EFBIG;
    }
    transfer->limit_bytes = body_bytes;
    transfer->has_length = true;
    return 0;
}

static bool saves(const struct transfer *transfer)
{
    return transfer->job->output_dir_fd >= 0 && transfer->request->save_name != NULL;
}

static bool shows_body(const struct transfer *transfer)
{
    return transfer->job->hooks != NULL && transfer->job->hooks->on_body != NULL;
}

/* The piece at hand is all of the body. */
static bool is_whole(const struct transfer *transfer, size_t bytes)
{
    return transfer->has_length && transfer->body_bytes == 0 && bytes == transfer->limit_bytes;
}

/* @param needed  bytes, within job->body_bytes_max: limit_bytes has been checked */
static int kept_reserve(struct transfer *transfer, size_t needed)
{
    size_t capacity = transfer->kept_capacity * 2;

    if (needed <= transfer->kept_capacity) {
        return 0;
    }
    if (capacity < BODY_CAPACITY_FIRST) {
        capacity = BODY_CAPACITY_FIRST;
    }
    if (transfer->has_length || capacity > transfer->limit_bytes) {
        capacity = (size_t)transfer->limit_bytes;
    }
    if (capacity < needed) {
        capacity = needed;
    }
    unsigned char *kept = realloc(transfer->kept, capacity);
    if (kept == NULL) {
        return -ENOMEM;
    }
    transfer->kept = kept;
    transfer->kept_capacity = capacity;
    return 0;
}

static int body_keep(struct transfer *transfer, const void *data, size_t bytes)
{
    if (transfer->is_lent && is_whole(transfer, bytes)) {
        transfer->body = data;
        return 0;
    }
    int result = kept_reserve(transfer, (size_t)transfer->body_bytes + bytes);
    if (result == 0) {
        memcpy(transfer->kept + transfer->body_bytes, data, bytes);
        transfer->body = transfer->kept;
    }
    return result;
}

/* One call for a body that arrives whole is about three times as cheap as a stream. */
static int body_digest(struct transfer *transfer, const void *data, size_t bytes)
{
    if (is_whole(transfer, bytes)) {
        transfer->body_xxh3 = body_hash(data, bytes);
        return 0;
    }
    if (!transfer->streaming) {
        if (transfer->stream == NULL) {
            transfer->stream = body_hash_stream_create();
            if (transfer->stream == NULL) {
                return -ENOMEM;
            }
        }
        body_hash_stream_reset(transfer->stream);
        transfer->streaming = true;
    }
    body_hash_stream_update(transfer->stream, data, bytes);
    return 0;
}

int transfer_body(struct transfer *transfer, const void *data, size_t bytes)
{
    if (bytes > transfer->limit_bytes - transfer->body_bytes) {
        return -EFBIG;
    }
    if (bytes == 0) {
        return 0;
    }
    int result = 0;
    if (saves(transfer) || shows_body(transfer)) {
        result = body_keep(transfer, data, bytes);
    }
    if (result == 0) {
        result = body_digest(transfer, data, bytes);
    }
    if (result == 0) {
        transfer->body_bytes += bytes;
    }
    return result;
}

bool transfer_is_worth_another_attempt(enum transfer_status status, int http_status)
{
    switch (status) {
    case TRANSFER_TIMEOUT:
    case TRANSFER_REFUSED:
    case TRANSFER_RESET:
    case TRANSFER_TRUNCATED:
    case TRANSFER_MISMATCH:
        return true;
    case TRANSFER_HTTP_ERROR:
        /* 418 is how the seeds' slow server says "this time I failed". */
        return http_status == 408 || http_status == 418 || http_status == 425 ||
               http_status == 429 || http_status >= 500;
    default:
        return false;
    }
}

bool transfer_is_worth_another_lookup(enum transfer_status status)
{
    return status == TRANSFER_UNRESOLVED || transfer_is_worth_another_attempt(status, 0);
}

static bool is_worth_another(const struct transfer *transfer, enum transfer_status status)
{
    return transfer->is_lookup
               ? transfer_is_worth_another_lookup(status)
               : transfer_is_worth_another_attempt(status, transfer->slot->http_status);
}

static enum transfer_step finish(struct transfer *transfer, enum transfer_status status,
                                 uint64_t now_ns)
{
    struct transfer_result *slot = transfer->slot;
    const struct download_hooks *hooks = transfer->job->hooks;

    slot->status = status;
    slot->finished_ns = now_ns;
    if (hooks != NULL && hooks->on_complete != NULL) {
        hooks->on_complete(hooks->user, transfer->index, slot);
    }
    return TRANSFER_DONE;
}

enum transfer_step transfer_fail(struct transfer *transfer, enum transfer_status status,
                                 int os_error, const char *message, uint64_t now_ns)
{
    const struct transfer_result *slot = transfer->slot;

    assert(status > TRANSFER_OK);
    assert(status < TRANSFER_STATUS_COUNT);
    assert(os_error >= 0);
    if (slot->attempts < transfer->job->attempts_max && is_worth_another(transfer, status)) {
        attempt_begin(transfer, now_ns);
        return TRANSFER_AGAIN;
    }
    return transfer_give_up(transfer, status, os_error, message, now_ns);
}

enum transfer_step transfer_give_up(struct transfer *transfer, enum transfer_status status,
                                    int os_error, const char *message, uint64_t now_ns)
{
    struct transfer_result *slot = transfer->slot;

    slot->body_bytes = transfer->body_bytes;
    slot->os_error = os_error;
    if (message != NULL) {
        message_set(slot, message, NULL);
    } else {
        message_set(slot, status_messages[status],
                    os_error != 0 ? strerrordesc_np(os_error) : NULL);
    }
    return finish(transfer, status, now_ns);
}

/* @return NULL when `url` is where to go now, else why it is not followed */
static const char *redirect_follow(struct transfer *transfer)
{
    char resolved[URL_BYTES_MAX + 1];
    struct url_view from;
    struct url_view to;

    int result = url_parse_any(transfer->url, &from);
    assert(result == 0);
    /* A relative reference refers to the URL that gave it (RFC 3986 section 5.1.3). */
    result = url_resolve(transfer->url, transfer->location, transfer->location_bytes, resolved,
                         sizeof resolved);
    if (result == 0) {
        result = url_parse_any(resolved, &to);
    }
    if (result == -EPROTONOSUPPORT || (result == 0 && !url_same_authority(&to, &from))) {
        return "redirect to another host or scheme";
    }
    if (result < 0) {
        return "redirect to a malformed URL";
    }
    if (transfer->redirect_url == NULL) {
        transfer->redirect_url = malloc(sizeof resolved);
        if (transfer->redirect_url == NULL) {
            return "redirect without memory to follow it";
        }
    }
    memcpy(transfer->redirect_url, resolved, strlen(resolved) + 1);
    transfer->url = transfer->redirect_url;
    transfer->redirects++;
    return NULL;
}

static bool is_redirect(const struct transfer *transfer)
{
    switch (transfer->slot->http_status) {
    case 301:
    case 302:
    case 303:
    case 307:
    case 308:
        return transfer->has_location;
    default:
        return false;
    }
}

static enum transfer_step redirect(struct transfer *transfer, uint64_t now_ns)
{
    char message[TRANSFER_MESSAGE_BYTES];

    if (transfer->redirects >= transfer->job->redirects_max) {
        (void)snprintf(message, sizeof message, "more than %" PRIu32 " redirects",
                       transfer->job->redirects_max);
        return transfer_fail(transfer, TRANSFER_PROTOCOL, 0, message, now_ns);
    }
    const char *problem = redirect_follow(transfer);
    if (problem != NULL) {
        return transfer_fail(transfer, TRANSFER_PROTOCOL, 0, problem, now_ns);
    }
    response_begin(transfer);
    return TRANSFER_AGAIN;
}

/* Compare a body with what was expected. */
static enum transfer_status body_verdict(const struct transfer *transfer,
                                         char message[TRANSFER_MESSAGE_BYTES])
{
    const struct transfer_request *request = transfer->request;

    if ((request->flags & TRANSFER_EXPECT_BODY) == 0) {
        return TRANSFER_OK;
    }
    if (transfer->body_bytes != request->expected_bytes) {
        (void)snprintf(message, TRANSFER_MESSAGE_BYTES, "%" PRIu64 " bytes, expected %" PRIu64,
                       transfer->body_bytes, request->expected_bytes);
        return TRANSFER_MISMATCH;
    }
    if (transfer->body_xxh3 != request->expected_xxh3) {
        (void)snprintf(message, TRANSFER_MESSAGE_BYTES, "hash %016" PRIx64 ", expected %016" PRIx64,
                       transfer->body_xxh3, request->expected_xxh3);
        return TRANSFER_MISMATCH;
    }
    return TRANSFER_OK;
}

static enum transfer_status verdict(const struct transfer *transfer,
                                    char message[TRANSFER_MESSAGE_BYTES])
{
    int http_status = transfer->slot->http_status;

    if (!transfer->is_lookup && (http_status < 200 || http_status > 299)) {
        (void)snprintf(message, TRANSFER_MESSAGE_BYTES, "HTTP status %d", http_status);
        return http_status == 404 ? TRANSFER_NOT_FOUND : TRANSFER_HTTP_ERROR;
    }
    return body_verdict(transfer, message);
}

/* @return TRANSFER_OK; else what was done about it is in *step */
static enum transfer_status settle(struct transfer *transfer, uint64_t now_ns,
                                   enum transfer_step *step)
{
    struct transfer_result *slot = transfer->slot;
    char message[TRANSFER_MESSAGE_BYTES];

    if (transfer->streaming) {
        transfer->body_xxh3 = body_hash_stream_digest(transfer->stream);
    } else if (transfer->body_bytes == 0) {
        transfer->body_xxh3 = body_hash("", 0);
    }
    slot->body_xxh3 = transfer->body_xxh3;
    enum transfer_status status = verdict(transfer, message);
    if (status != TRANSFER_OK) {
        *step = transfer_fail(transfer, status, 0, message, now_ns);
        return status;
    }
    slot->body_bytes = transfer->body_bytes;
    if (shows_body(transfer)) {
        const struct download_hooks *hooks = transfer->job->hooks;
        hooks->on_body(hooks->user, transfer->index, transfer->body, (size_t)transfer->body_bytes);
    }
    return TRANSFER_OK;
}

enum transfer_step transfer_complete(struct transfer *transfer, int http_status, uint64_t now_ns)
{
    enum transfer_step step = TRANSFER_DONE;

    assert(!transfer->is_lookup);
    transfer->slot->http_status = http_status;
    if (is_redirect(transfer)) {
        return redirect(transfer, now_ns);
    }
    if (settle(transfer, now_ns, &step) != TRANSFER_OK) {
        return step;
    }
    return saves(transfer) ? TRANSFER_SAVE : finish(transfer, TRANSFER_OK, now_ns);
}

enum transfer_step transfer_found(struct transfer *transfer, uint64_t now_ns)
{
    enum transfer_step step = TRANSFER_DONE;

    assert(transfer->is_lookup);
    return settle(transfer, now_ns, &step) == TRANSFER_OK ? finish(transfer, TRANSFER_OK, now_ns)
                                                          : step;
}

enum transfer_step transfer_saved(struct transfer *transfer, int os_error, uint64_t now_ns)
{
    if (os_error != 0) {
        return transfer_fail(transfer, TRANSFER_SAVE_FAILED, os_error, NULL, now_ns);
    }
    return finish(transfer, TRANSFER_OK, now_ns);
}

void transfer_cancel_unstarted(const struct download_job *job, struct transfer_result *results,
                               size_t index, uint64_t now_ns)
{
    struct transfer transfer;

    assert(index < job->count);
    transfer_init(&transfer, job, results);
    transfer.index = index;
    transfer.request = &job->requests[index];
    transfer.slot = &results[index];
    transfer.slot->started_ns = now_ns;
    (void)transfer_fail(&transfer, TRANSFER_CANCELLED, 0, NULL, now_ns);
}
