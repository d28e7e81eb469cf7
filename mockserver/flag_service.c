#include "flag_service.h"

#include "canned.h"
#include "connection.h"
#include "draw.h"
#include "manifest.h"
#include "quantity.h"
#include "status.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define PATH_BYTES_MAX 256 /* every path of ours is far shorter */
#define VALUE_BYTES_MAX 128
#define MANIFEST_SIZE_MAX (UINT64_C(4) << 20) /* each body is hashed while others wait */

enum route {
    ROUTE_NONE,
    ROUTE_MANIFEST,
    ROUTE_PICTURE,
    ROUTE_METADATA
};

/** One request, understood. */
struct question {
    enum route route;
    const char *path; /* decoded */
    size_t path_bytes;
    char cc[2];
    const struct corpus_entry *entry; /* NULL: of the right form, but not there */
    bool has_size;
    bool has_delay;
    bool has_fault;
    uint64_t size;
    uint64_t delay_ns;
    struct fault_rule fault;
};

static void reply_text(struct connection *connection, const struct request *request, int status,
                       struct reply reply)
{
    const char *text = status_text(status);
    reply.status = status;
    reply.content_type = "text/plain";
    reply.body = (struct body){
        .base = text,
        .ring_bytes = strlen(text),
        .bytes = strlen(text),
    };
    reply.head_only = request->method == REQUEST_HEAD;
    connection_reply(connection, &reply);
}

static void reply_refused(struct connection *connection, const struct request *request, int status)
{
    struct event_loop *loop = connection->loop;
    counters_add(&loop->own_counters->bad_requests, 1);
    reply_text(connection, request, status,
               (struct reply){.allow = status == 405 ? "GET, HEAD" : NULL});
}

static bool is_code(const char *text)
{
    return text[0] >= 'a' && text[0] <= 'z' && text[1] >= 'a' && text[1] <= 'z';
}

static bool rest_is(const char *rest, size_t bytes, const char *text)
{
    return strlen(text) == bytes && memcmp(rest, text, bytes) == 0;
}

/* "/flags/cc/cc.gif" (png, svg) or "/flags/cc/metadata.json" */
static void route_flag(const struct corpus *corpus, struct question *question)
{
    static const char prefix[] = "/flags/";
    const size_t prefix_bytes = sizeof(prefix) - 1;
    const char *path = question->path;
    size_t bytes = question->path_bytes;
    if (bytes < prefix_bytes + 3 || memcmp(path, prefix, prefix_bytes) != 0 ||
        !is_code(path + prefix_bytes) || path[prefix_bytes + 2] != '/') {
        return;
    }
    const char *cc = path + prefix_bytes;
    const char *rest = cc + 3;
    bytes -= prefix_bytes + 3;
    const struct corpus_entry *entry = corpus_find(corpus, cc);
    memcpy(question->cc, cc, 2);
    if (rest_is(rest, bytes, "metadata.json")) {
        question->route = ROUTE_METADATA;
        question->entry = entry;
    } else if (bytes == 6 && memcmp(rest, cc, 2) == 0 &&
               (rest_is(rest + 2, 4, ".gif") || rest_is(rest + 2, 4, ".png") ||
                rest_is(rest + 2, 4, ".svg"))) {
        question->route = ROUTE_PICTURE;
        /* The extension has to be the real one. */
        bool same = entry != NULL && rest_is(path, question->path_bytes, entry->path);
        question->entry = same ? entry : NULL;
    }
}

static int parse_parameter(const char *name, size_t name_bytes, const char *value,
                           struct question *question)
{
    if (rest_is(name, name_bytes, "delay")) {
        question->has_delay = true;
        int error = quantity_parse_duration_ns(value, &question->delay_ns);
        return error == 0 && question->delay_ns > DELAY_NS_MAX ? -ERANGE : error;
    }
    if (rest_is(name, name_bytes, "fault")) {
        question->has_fault = true;
        if (strcmp(value, "none") == 0) {
            question->fault = (struct fault_rule){.weight = 0}; /* never drawn */
            return 0;
        }
        int error = fault_parse(value, &question->fault);
        return error == 0 && fault_is_dns(&question->fault) ? -EINVAL : error;
    }
    if (rest_is(name, name_bytes, "size") && question->route != ROUTE_METADATA) {
        question->has_size = true;
        /* A plain count of bytes here: no unit is needed in a URL made by programs. */
        char *end = NULL;
        bool plain = *value != '\0' && strspn(value, "0123456789") == strlen(value);
        errno = 0;
        question->size = plain ? strtoull(value, &end, 10) : 0;
        int error = plain ? -errno : quantity_parse_bytes(value, &question->size);
        return error == 0 && question->size > SIZED_BODY_BYTES_MAX ? -ERANGE : error;
    }
    return -EINVAL;
}

static int parse_query(const struct request *request, struct question *question)
{
    const char *at = request->query;
    const char *end = at + request->query_bytes;
    while (request->query != NULL && at < end) {
        const char *next = memchr(at, '&', (size_t)(end - at));
        next = next == NULL ? end : next;
        const char *equals = memchr(at, '=', (size_t)(next - at));
        if (equals == NULL) {
            return -EINVAL;
        }
        char value[VALUE_BYTES_MAX];
        int bytes =
            request_decode(equals + 1, (size_t)(next - equals - 1), value, sizeof(value) - 1);
        if (bytes < 0) {
            return bytes;
        }
        value[bytes] = '\0';
        int error = parse_parameter(at, (size_t)(equals - at), value, question);
        if (error != 0) {
            return error;
        }
        at = next + 1;
    }
    return 0;
}

static void reply_manifest(struct connection *connection, const struct request *request,
                           const struct flag_service *flags, const struct question *question)
{
    struct reply reply = {
        .status = 200,
        .content_type = "application/json",
        .body = {.base = flags->manifest,
                 .ring_bytes = flags->manifest_bytes,
                 .bytes = flags->manifest_bytes},
        .head_only = request->method == REQUEST_HEAD,
    };
    if (question->has_delay || question->has_fault ||
        (question->has_size && question->size > MANIFEST_SIZE_MAX)) {
        reply_refused(connection, request, 400);
        return;
    }
    if (question->has_size) {
        char *text = manifest_text(flags->corpus, flags->admin_url, flags->ring, question->size);
        if (text == NULL) {
            reply_text(connection, request, 500, (struct reply){0});
            return;
        }
        reply.owned = text;
        reply.body = (struct body){
            .base = text,
            .ring_bytes = strlen(text),
            .bytes = strlen(text),
        };
    }
    connection_reply(connection, &reply);
}

static void put_body(struct reply *reply, const struct flag_service *flags,
                     const struct question *question)
{
    const struct corpus_entry *entry = question->entry;
    if (question->route == ROUTE_METADATA) {
        reply->content_type = "application/json";
        reply->body = (struct body){
            .base = entry->metadata,
            .ring_bytes = entry->metadata_bytes,
            .bytes = entry->metadata_bytes,
        };
    } else if (question->has_size) {
        reply->content_type = "application/octet-stream";
        reply->body = (struct body){
            .base = flags->ring,
            .ring_bytes = SIZED_BODY_RING_BYTES,
            .start = sized_body_start(question->cc),
            .bytes = question->size,
        };
    } else {
        reply->content_type = entry->content_type;
        reply->body = (struct body){
            .base = entry->body,
            .ring_bytes = entry->body_bytes,
            .bytes = entry->body_bytes,
        };
    }
}

/* The same reply made before, if there is one: its X-Fault is that of the command line. */
static struct canned *canned_of(const struct connection *connection,
                                const struct flag_service *flags, const struct question *question,
                                size_t path)
{
    struct canned *canned = &connection->loop->canned->replies[path];
    bool same = !question->has_size && (!question->has_fault || flags->faults.count > 0);
    return same && canned->head != NULL ? canned : NULL;
}

/* Which fault, if any: what the URL asks for goes before what the command line says. */
static const struct fault_rule *fault_of(const struct flag_service *flags,
                                         const struct question *question, uint64_t key,
                                         uint32_t attempt)
{
    if (!question->has_fault) {
        return fault_draw(&flags->faults, flags->seed, key, attempt);
    }
    struct fault_set asked = {.rules = {question->fault}, .count = 1};
    return fault_draw(&asked, flags->seed, key, attempt) == NULL ? NULL : &question->fault;
}

/* What its draws depend on; none when nothing is drawn. */
static uint64_t key_of(const struct request *request, const struct flag_service *flags,
                       const struct question *question)
{
    if (flags->delay.kind == DELAY_FIXED && flags->faults.count == 0 && !question->has_fault) {
        return 0;
    }
    return request->has_number
               ? draw_key_numbered(question->path, question->path_bytes, request->number)
               : draw_key(question->path, question->path_bytes);
}

/* A request of a known form: counted, delayed, and hit by faults. */
static void reply_flag(struct connection *connection, const struct request *request,
                       const struct flag_service *flags, const struct question *question)
{
    struct loop_counters *counters = connection->loop->own_counters;
    size_t path = COUNTERS_NO_PATH;
    if (question->entry != NULL) {
        path = (size_t)(question->entry - flags->corpus->entries) * 2 +
               (question->route == ROUTE_METADATA);
    }
    uint32_t attempt =
        counters_request(flags->counters, counters, request, path, connection->now_ns);
    uint64_t key = key_of(request, flags, question);
    const struct fault_rule *fault = fault_of(flags, question, key, attempt);
    struct reply reply = {.counted = true, .head_only = request->method == REQUEST_HEAD};
    reply.delay_ns = question->has_delay ? question->delay_ns
                                         : delay_draw_ns(&flags->delay, flags->seed, key, attempt);
    counters_delay(counters, reply.delay_ns);
    if (question->has_fault || flags->faults.count > 0) {
        reply.fault_name = fault == NULL ? "none" : fault->name;
    }
    if (fault != NULL) {
        counters_add(&counters->faults[fault->status], 1);
        reply_text(connection, request, fault->status, reply);
    } else if (question->entry == NULL) {
        reply_text(connection, request, 404, reply);
    } else {
        reply.status = 200;
        put_body(&reply, flags, question);
        reply.canned = reply.head_only ? NULL : canned_of(connection, flags, question, path);
        connection_reply(connection, &reply);
    }
}

static void on_request(struct connection *connection, const struct request *request)
{
    const struct flag_service *flags = connection->loop->service->user;
    struct question question = {.path = request->path, .path_bytes = request->path_bytes};
    char decoded[PATH_BYTES_MAX];
    if (request->method != REQUEST_GET && request->method != REQUEST_HEAD) {
        reply_refused(connection, request, 405);
        return;
    }
    if (memchr(request->path, '%', request->path_bytes) != NULL) {
        int bytes = request_decode(request->path, request->path_bytes, decoded, sizeof(decoded));
        if (bytes == -EINVAL) {
            reply_refused(connection, request, 400);
            return;
        }
        question.path = decoded;
        question.path_bytes = bytes < 0 ? 0 : (size_t)bytes; /* too long: not one of ours */
    }
    if (rest_is(question.path, question.path_bytes, "/manifest.json")) {
        question.route = ROUTE_MANIFEST;
    } else {
        route_flag(flags->corpus, &question);
    }
    if (request->has_body ||
        (question.route != ROUTE_NONE && parse_query(request, &question) != 0)) {
        reply_refused(connection, request, 400);
        return;
    }
    switch (question.route) {
    case ROUTE_NONE:
        reply_text(connection, request, 404, (struct reply){0});
        break;
    case ROUTE_MANIFEST:
        reply_manifest(connection, request, flags, &question);
        break;
    case ROUTE_PICTURE:
    case ROUTE_METADATA:
        reply_flag(connection, request, flags, &question);
        break;
    }
}

int flag_service_init(struct flag_service *flags)
{
    flags->service.on_request = on_request;
    flags->service.user = flags;
    flags->ring = malloc(SIZED_BODY_RING_BYTES);
    if (flags->ring == NULL) {
        return -ENOMEM;
    }
    sized_body_fill_ring(flags->seed, flags->ring);
    flags->manifest = manifest_text(flags->corpus, flags->admin_url, NULL, 0);
    if (flags->manifest == NULL) {
        flag_service_release(flags);
        return -ENOMEM;
    }
    flags->manifest_bytes = strlen(flags->manifest);
    return 0;
}

void flag_service_release(struct flag_service *flags)
{
    free(flags->manifest);
    free(flags->ring);
    flags->manifest = NULL;
    flags->ring = NULL;
}
