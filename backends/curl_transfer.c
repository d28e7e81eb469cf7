#include "curl_transfer.h"

#include "clock.h"
#include "http1.h"
#include "save.h"
#include "tcp_reno.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PORTS 65536
#define MARK_FORMAT "X-Bench: run=%s;req=%zu;try=%" PRIu32
#define MARK_BYTES_BESIDE_RUN 64 /* the words, two numbers and NUL */

static pthread_once_t curl_once = PTHREAD_ONCE_INIT;
static CURLcode curl_started;

/* NOTHING: no TLS library is started for plain http. Never undone: others in the process may
 * use libcurl too. */
static void curl_start(void)
{
    curl_started = curl_global_init(CURL_GLOBAL_NOTHING);
}

int curl_run_init(struct curl_run *run, const struct download_job *job,
                  struct transfer_result *results)
{
    *run = (struct curl_run){.job = job, .results = results};
    int result = pthread_once(&curl_once, curl_start);
    if (result != 0 || curl_started != CURLE_OK) {
        return -ENOTSUP;
    }
    run->number_of_port = calloc(PORTS, sizeof run->number_of_port[0]);
    return run->number_of_port != NULL ? 0 : -ENOMEM;
}

void curl_run_release(struct curl_run *run)
{
    free(run->number_of_port);
    run->number_of_port = NULL;
}

/* Make libcurl give up: a callback that takes fewer bytes than it was given does that. */
static size_t stop(struct curl_transfer *self, enum transfer_status status, int os_error,
                   const char *message)
{
    self->stop_status = status;
    self->stop_error = os_error;
    self->stop_message = message;
    return 0;
}

/* callback from libcurl when a connection is about to carry the request */
static int on_connected(void *user, char *peer, char *local, int peer_port, int local_port)
{
    struct curl_transfer *self = user;
    struct curl_run *run = self->run;
    long opened = 0;

    (void)peer, (void)local, (void)peer_port;
    if (local_port <= 0 || local_port >= PORTS) {
        return CURL_PREREQFUNC_OK;
    }
    (void)curl_easy_getinfo(self->easy, CURLINFO_NUM_CONNECTS, &opened);
    uint32_t number = atomic_load_explicit(&run->number_of_port[local_port], memory_order_relaxed);
    if (opened > 0 || number == 0) {
        number = atomic_fetch_add_explicit(&run->connections, 1, memory_order_relaxed) + 1;
        atomic_store_explicit(&run->number_of_port[local_port], number, memory_order_relaxed);
    }
    transfer_connection(&self->transfer, number);
    return CURL_PREREQFUNC_OK;
}

/* A limit was passed or memory is short: -EFBIG, -ENOMEM of transfer.h. */
static size_t stop_errno(struct curl_transfer *self, int error)
{
    enum transfer_status status = transfer_status_of_errno(-error);
    return stop(self, status, status == TRANSFER_TOO_LARGE ? 0 : -error, NULL);
}

/* libcurl hands over no more than the lines: the limits are the same as for heads. */
static size_t on_trailer(struct curl_transfer *self, size_t bytes)
{
    self->trailer_bytes += bytes;
    self->trailers++;
    if (self->trailer_bytes > HTTP1_HEAD_BYTES_MAX || self->trailers > HTTP1_FIELDS_MAX) {
        return stop(self, TRANSFER_PROTOCOL, 0, "trailers above the limit");
    }
    return bytes;
}

/* Of a body that is wanted, the length is known from here on; one of an error or a redirect is
 * read and dropped, within the job's limit all the same. */
static int head_arrived(struct curl_transfer *self)
{
    const struct http1_parser *parser = &self->parser;

    self->head_done = true;
    self->transfer.slot->http_status = parser->status;
    if (!parser->has_length || parser->status < 200 || parser->status > 299) {
        return 0;
    }
    return transfer_expect(&self->transfer, parser->content_bytes);
}

/*
 * callback from libcurl for each line of a head: status line, fields, empty line; trailers
 *
 * libcurl forgives what RFC 9112 has clients refuse (two lengths, "5x", HTTP/2.0 in a status
 * line). Our parser looks at each head too, so that a fault has one status in both engines;
 * the framing that is acted on stays libcurl's.
 */
static size_t on_header(char *line, size_t size, size_t count, void *user)
{
    struct curl_transfer *self = user;
    const size_t bytes = size * count;
    size_t at = 0;

    if (self->transfer.slot->first_byte_ns == 0) {
        transfer_first_byte(&self->transfer, clock_now_ns());
    }
    if (self->head_done) {
        return on_trailer(self, bytes);
    }
    while (at < bytes && !self->head_done) {
        struct http1_span span = {0};
        size_t consumed = 0;
        int result = 0;
        int event = http1_parse(&self->parser, line + at, bytes - at, &consumed, &span);
        at += consumed;
        if (event < 0) {
            return stop(self, TRANSFER_PROTOCOL, 0, self->parser.error);
        }
        if (event == HTTP1_LOCATION) {
            result = transfer_location(&self->transfer, span.data, span.bytes);
        } else if (event == HTTP1_HEAD) {
            result = head_arrived(self);
        } else if (consumed == 0) {
            return stop(self, TRANSFER_PROTOCOL, 0, "part of a line in a head");
        }
        if (result == -ENAMETOOLONG) {
            return stop(self, TRANSFER_PROTOCOL, 0, "Location too long");
        }
        if (result < 0) {
            return stop_errno(self, result);
        }
    }
    return bytes;
}

/* callback from libcurl for each piece of the body */
static size_t on_body(char *data, size_t size, size_t count, void *user)
{
    struct curl_transfer *self = user;
    size_t bytes = size * count;

    int result = transfer_body(&self->transfer, data, bytes);
    return result < 0 ? stop_errno(self, result) : bytes;
}

/* The lines we add; libcurl reads the list while a transfer runs and never frees it. */
static void link_headers(struct curl_transfer *self)
{
    static char identity[] = "Accept-Encoding: identity";
    static char close_after[] = "Connection: close";
    const struct download_job *job = self->run->job;
    size_t count = 0;

    self->headers[count++].data = identity;
    if (job->run_mark != NULL) {
        self->headers[count++].data = self->mark;
    }
    if ((job->flags & DOWNLOAD_FRESH_CONNECTIONS) != 0) {
        self->headers[count++].data = close_after;
    }
    for (size_t i = 0; i + 1 < count; i++) {
        self->headers[i].next = &self->headers[i + 1];
    }
}

static int on_socket(void *user, curl_socket_t fd, curlsocktype purpose)
{
    (void)user;
    (void)purpose;
    tcp_use_reno(fd);
    return CURL_SOCKOPT_OK;
}

/* What stays the same for all transfers of the place. */
static CURLcode set_common_options(struct curl_transfer *self, CURL *easy)
{
    const struct download_job *job = self->run->job;
    long fresh = (job->flags & DOWNLOAD_FRESH_CONNECTIONS) != 0;
    CURLcode code = CURLE_OK;

#define SET(option, value) (code = code == CURLE_OK ? curl_easy_setopt(easy, option, value) : code)
    SET(CURLOPT_NOSIGNAL, 1L);
    SET(CURLOPT_PROTOCOLS_STR, "http,https");
    SET(CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
    SET(CURLOPT_HTTP09_ALLOWED, 0L);
    SET(CURLOPT_FOLLOWLOCATION, 0L); /* transfer.h decides */
    SET(CURLOPT_PATH_AS_IS, 1L);     /* the same request target as the raw engine's */
    SET(CURLOPT_PROXY, "");          /* whatever http_proxy says */
    SET(CURLOPT_NOPROXY, "*");
    SET(CURLOPT_TCP_NODELAY, 1L);
    SET(CURLOPT_SOCKOPTFUNCTION, on_socket);
    SET(CURLOPT_FRESH_CONNECT, fresh);
    SET(CURLOPT_FORBID_REUSE, fresh);
    SET(CURLOPT_USERAGENT, "bench");
    SET(CURLOPT_HTTPHEADER, &self->headers[0]);
    SET(CURLOPT_PRIVATE, self);
    SET(CURLOPT_PREREQFUNCTION, on_connected);
    SET(CURLOPT_PREREQDATA, self);
    SET(CURLOPT_HEADERFUNCTION, on_header);
    SET(CURLOPT_HEADERDATA, self);
    SET(CURLOPT_WRITEFUNCTION, on_body);
    SET(CURLOPT_WRITEDATA, self);
    if (job->ca_file != NULL) {
        SET(CURLOPT_CAINFO, job->ca_file);
    }
#undef SET
    return code;
}

/* @return 0; -ENOMEM, then the old handle stays */
static int replace_easy(struct curl_transfer *self)
{
    CURL *easy = curl_easy_init();
    if (easy == NULL || set_common_options(self, easy) != CURLE_OK) {
        curl_easy_cleanup(easy);
        return -ENOMEM;
    }
    curl_easy_cleanup(self->easy);
    self->easy = easy;
    return 0;
}

int curl_transfer_init(struct curl_transfer *self, struct curl_run *run)
{
    const struct download_job *job = run->job;

    *self = (struct curl_transfer){.run = run};
    transfer_init(&self->transfer, job, run->results);
    if (job->run_mark != NULL) {
        self->mark_capacity = strlen(job->run_mark) + MARK_BYTES_BESIDE_RUN;
        self->mark = calloc(1, self->mark_capacity);
        if (self->mark == NULL) {
            return -ENOMEM;
        }
    }
    link_headers(self);
    return replace_easy(self);
}

void curl_transfer_release(struct curl_transfer *self)
{
    curl_easy_cleanup(self->easy);
    (void)curl_multi_cleanup(self->watched);
    free(self->mark);
    transfer_release(&self->transfer);
    *self = (struct curl_transfer){0};
}

/* libcurl counts in milliseconds, of which one may not have passed yet (Curl_timediff rounds
 * towards zero when the second has changed), and takes 0 for "no limit": one more than is left. */
static long remaining_ms(uint64_t deadline_ns, uint64_t now_ns)
{
    if (deadline_ns <= now_ns) {
        return 1;
    }
    uint64_t ms = (deadline_ns - now_ns + NS_PER_MS - 1) / NS_PER_MS + 1;
    return ms < INT_MAX ? (long)ms : (long)INT_MAX;
}

/*
 * libcurl never forgets the last OS error of a handle, and it calls a malformed chunk
 * CURLE_RECV_ERROR as it does a broken connection: only in a handle without such a memory does
 * CURLINFO_OS_ERRNO tell the two apart.
 */
static int forget_os_error(struct curl_transfer *self)
{
    long os_error = 0;

    (void)curl_easy_getinfo(self->easy, CURLINFO_OS_ERRNO, &os_error);
    return os_error == 0 ? 0 : replace_easy(self);
}

/* What differs from attempt to attempt. */
static int set_attempt_options(struct curl_transfer *self, uint64_t now_ns)
{
    const struct transfer *transfer = &self->transfer;

    http1_parser_init(&self->parser);
    self->head_done = false;
    self->trailer_bytes = 0;
    self->trailers = 0;
    self->stop_status = TRANSFER_UNSET;
    if (self->mark != NULL) {
        (void)snprintf(self->mark, self->mark_capacity, MARK_FORMAT, self->run->job->run_mark,
                       transfer->index, transfer->slot->attempts);
    }
    int result = forget_os_error(self);
    if (result < 0) {
        return result;
    }
    long timeout_ms = remaining_ms(transfer->deadline_ns, now_ns);
    if (curl_easy_setopt(self->easy, CURLOPT_URL, transfer->url) != CURLE_OK ||
        curl_easy_setopt(self->easy, CURLOPT_TIMEOUT_MS, timeout_ms) != CURLE_OK) {
        return -ENOMEM;
    }
    return 0;
}

/* Make `easy` ready as long as the transfer wants to be asked (again). */
static enum transfer_step prepare(struct curl_transfer *self, enum transfer_step step,
                                  uint64_t now_ns)
{
    while (step == TRANSFER_AGAIN && set_attempt_options(self, now_ns) < 0) {
        step =
            transfer_fail(&self->transfer, transfer_status_of_errno(ENOMEM), ENOMEM, NULL, now_ns);
    }
    return step;
}

enum transfer_step curl_transfer_start(struct curl_transfer *self, size_t index)
{
    uint64_t now_ns = clock_now_ns();

    transfer_start(&self->transfer, index, now_ns);
    return prepare(self, TRANSFER_AGAIN, now_ns);
}

/* No connection that can be trusted: https only. */
static bool is_tls_failure(CURLcode code)
{
    return code == CURLE_SSL_CONNECT_ERROR || code == CURLE_PEER_FAILED_VERIFICATION ||
           code == CURLE_SSL_CACERT_BADFILE || code == CURLE_SSL_CERTPROBLEM ||
           code == CURLE_SSL_CIPHER || code == CURLE_SSL_ISSUER_ERROR;
}

/* The one map from libcurl's outcome to ours. */
static enum transfer_status status_of_code(CURLcode code, int os_error)
{
    switch (code) {
    case CURLE_OPERATION_TIMEDOUT:
        return TRANSFER_TIMEOUT;
    case CURLE_COULDNT_CONNECT:
        return os_error != 0 ? transfer_status_of_errno(os_error) : TRANSFER_REFUSED;
    case CURLE_COULDNT_RESOLVE_HOST:
    case CURLE_COULDNT_RESOLVE_PROXY:
    case CURLE_URL_MALFORMAT: /* the URL is checked: what libcurl refuses is the host name */
        return TRANSFER_UNRESOLVED;
    case CURLE_GOT_NOTHING:  /* an orderly end before the first byte, */
    case CURLE_PARTIAL_FILE: /* or before the last one */
        return TRANSFER_TRUNCATED;
    case CURLE_SEND_ERROR:
        return TRANSFER_RESET;
    case CURLE_RECV_ERROR: /* without an OS error: a malformed chunk */
        return os_error != 0 ? transfer_status_of_errno(os_error) : TRANSFER_PROTOCOL;
    case CURLE_FILESIZE_EXCEEDED:
        return TRANSFER_TOO_LARGE;
    case CURLE_ABORTED_BY_CALLBACK:
        return TRANSFER_CANCELLED;
    case CURLE_OUT_OF_MEMORY:
        return transfer_status_of_errno(ENOMEM);
    default: /* chunks, fields, status line, version: not HTTP/1.1 as we know it */
        return is_tls_failure(code) ? TRANSFER_REFUSED : TRANSFER_PROTOCOL;
    }
}

/* Why it was not HTTP/1.1, or not to be trusted; NULL for anything else: the common words will
 * do. */
static const char *message_of_code(CURLcode code, enum transfer_status status)
{
    if (status != TRANSFER_PROTOCOL && !is_tls_failure(code)) {
        return NULL;
    }
    switch (code) {
    case CURLE_RECV_ERROR:
        return "malformed chunk";
    case CURLE_UNSUPPORTED_PROTOCOL: /* "HTTP/0.9 when not allowed" */
        return "the response does not begin with HTTP/1";
    default:
        return curl_easy_strerror(code);
    }
}

/* Only these come from the OS. */
static int os_error_of(const struct curl_transfer *self, CURLcode code)
{
    long os_error = 0;

    if (code == CURLE_OUT_OF_MEMORY) {
        return ENOMEM;
    }
    if (code == CURLE_COULDNT_CONNECT || code == CURLE_SEND_ERROR || code == CURLE_RECV_ERROR) {
        (void)curl_easy_getinfo(self->easy, CURLINFO_OS_ERRNO, &os_error);
    }
    return os_error > 0 ? (int)os_error : 0;
}

/* A head line above libcurl's own 100 KB makes its buffer refuse to grow, which it reports as a
 * lack of memory. Once a request is out and no head has come back whole, that is what it means. */
static bool is_endless_line(const struct curl_transfer *self, CURLcode code)
{
    long sent_bytes = 0;

    (void)curl_easy_getinfo(self->easy, CURLINFO_REQUEST_SIZE, &sent_bytes);
    return code == CURLE_OUT_OF_MEMORY && sent_bytes > 0 && !self->head_done;
}

static enum transfer_step attempt_end(struct curl_transfer *self, CURLcode code, uint64_t now_ns)
{
    struct transfer *transfer = &self->transfer;
    long http_status = 0;

    if (self->stop_status != TRANSFER_UNSET) {
        return transfer_fail(transfer, self->stop_status, self->stop_error, self->stop_message,
                             now_ns);
    }
    if (code == CURLE_OK && !self->head_done) {
        code = CURLE_GOT_NOTHING; /* libcurl takes a head that was cut short for a whole one */
    }
    if (is_endless_line(self, code)) {
        return transfer_fail(transfer, TRANSFER_PROTOCOL, 0, "a head line above the limit of 8 KiB",
                             now_ns);
    }
    if (code != CURLE_OK) {
        int os_error = os_error_of(self, code);
        enum transfer_status status = status_of_code(code, os_error);
        return transfer_fail(transfer, status, os_error, message_of_code(code, status), now_ns);
    }
    (void)curl_easy_getinfo(self->easy, CURLINFO_RESPONSE_CODE, &http_status);
    return transfer_complete(transfer, (int)http_status, now_ns);
}

enum transfer_step curl_transfer_finish(struct curl_transfer *self, CURLcode code)
{
    uint64_t now_ns = clock_now_ns();

    return prepare(self, attempt_end(self, code, now_ns), now_ns);
}

/* As curl_easy_perform, but awake often enough to see that the caller cancels: that one sleeps
 * for up to a second at a time, whatever its progress callback would say. */
static CURLcode perform_watched(struct curl_transfer *self)
{
    CURLcode code = CURLE_OUT_OF_MEMORY;
    int running = 1;
    int left = 0;

    if (self->watched == NULL) {
        self->watched = curl_multi_init();
    }
    if (self->watched == NULL || curl_multi_add_handle(self->watched, self->easy) != CURLM_OK) {
        return code;
    }
    while (curl_multi_perform(self->watched, &running) == CURLM_OK && running > 0) {
        if (transfer_cancelled(self->run->job)) {
            code = CURLE_ABORTED_BY_CALLBACK;
            break;
        }
        if (curl_multi_poll(self->watched, NULL, 0, CURL_RUN_CANCEL_POLL_MS, NULL) != CURLM_OK) {
            break;
        }
    }
    const CURLMsg *message = curl_multi_info_read(self->watched, &left);
    if (message != NULL && message->msg == CURLMSG_DONE) {
        code = message->data.result;
    }
    (void)curl_multi_remove_handle(self->watched, self->easy);
    return code;
}

CURLcode curl_transfer_perform(struct curl_transfer *self)
{
    return curl_run_is_watched(self->run) ? perform_watched(self) : curl_easy_perform(self->easy);
}

enum transfer_step curl_transfer_save(struct curl_transfer *self)
{
    int result = save_transfer_blocking(&self->transfer);
    return transfer_saved(&self->transfer, -result, clock_now_ns());
}
