#include "admin.h"

#include "connection.h"
#include "status.h"

#include <jansson.h>

#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void put(json_t *object, const char *name, uint64_t value)
{
    (void)json_object_set_new(object, name, json_integer((json_int_t)value));
}

static void put_sum(json_t *object, const struct counters *counters, const char *name,
                    size_t offset)
{
    put(object, name, counters_sum(counters, offset));
}

static double seconds_since(struct timeval now, struct timeval then)
{
    return (double)(now.tv_sec - then.tv_sec) + (double)(now.tv_usec - then.tv_usec) * 1e-6;
}

void admin_put_usage(struct json_t *stats, const struct counters *counters)
{
    struct rusage usage;
    (void)getrusage(RUSAGE_SELF, &usage);
    double user_s = seconds_since(usage.ru_utime, counters->usage.ru_utime);
    double sys_s = seconds_since(usage.ru_stime, counters->usage.ru_stime);
    (void)json_object_set_new(stats, "cpu_user_s", json_real(user_s));
    (void)json_object_set_new(stats, "cpu_sys_s", json_real(sys_s));
}

/* {"200": 20}, {"status:418": 3}: what has happened at least once. */
static json_t *by_status_json(const struct counters *counters, const char *prefix, size_t offset)
{
    json_t *object = json_object();
    for (size_t status = 0; status < COUNTERS_STATUS_MAX; status++) {
        char name[32];
        uint64_t count = counters_sum(counters, offset + status * sizeof(counter));
        if (count > 0) {
            (void)snprintf(name, sizeof(name), "%s%zu", prefix, status);
            put(object, name, count);
        }
    }
    return object;
}

static json_t *paths_json(const struct counters *counters, const struct corpus *corpus)
{
    json_t *object = json_object();
    for (size_t i = 0; i < 2 * corpus->count; i++) {
        const struct corpus_entry *entry = &corpus->entries[i / 2];
        char path[40];
        uint64_t count =
            counters_sum(counters, offsetof(struct loop_counters, paths) + i * sizeof(counter));
        if (count > 0) {
            (void)snprintf(path, sizeof(path), "/flags/%s/metadata.json", entry->cc);
            put(object, i % 2 == 0 ? entry->path : path, count);
        }
    }
    return object;
}

static void put_traffic(json_t *stats, const struct counters *counters)
{
    put_sum(stats, counters, "accepted", offsetof(struct loop_counters, accepted));
    put(stats, "open", atomic_load(&counters->open));
    put(stats, "max_open", atomic_load(&counters->max_open));
    put_sum(stats, counters, "requests", offsetof(struct loop_counters, requests));
    put(stats, "in_flight", atomic_load(&counters->in_flight));
    put(stats, "max_in_flight", atomic_load(&counters->max_in_flight));
    (void)json_object_set_new(
        stats, "by_status",
        by_status_json(counters, "", offsetof(struct loop_counters, by_status)));
    (void)json_object_set_new(
        stats, "faults",
        by_status_json(counters, "status:", offsetof(struct loop_counters, faults)));
    put_sum(stats, counters, "distinct_keys", offsetof(struct loop_counters, distinct_keys));
    put_sum(stats, counters, "duplicates", offsetof(struct loop_counters, duplicates));
    put_sum(stats, counters, "other_run", offsetof(struct loop_counters, other_run));
    put_sum(stats, counters, "batched", offsetof(struct loop_counters, batched));
    put_sum(stats, counters, "bytes_out", offsetof(struct loop_counters, bytes_out));
    put_sum(stats, counters, "client_aborts", offsetof(struct loop_counters, client_aborts));
    put_sum(stats, counters, "bad_requests", offsetof(struct loop_counters, bad_requests));
}

static void put_us(json_t *object, const char *name, uint64_t ns)
{
    (void)json_object_set_new(object, name, json_real((double)ns / 1000.0));
}

static void put_histogram(json_t *stats, const struct counters *counters, const char *name,
                          size_t offset)
{
    json_t *object = json_object();
    put(object, "count", counters_count(counters, offset));
    put_us(object, "p50_us", counters_percentile_ns(counters, offset, 50));
    put_us(object, "p99_us", counters_percentile_ns(counters, offset, 99));
    put_us(object, "max_us",
           counters_highest(counters, offset + offsetof(struct histogram, longest_ns)));
    (void)json_object_set_new(stats, name, object);
}

void admin_put_times(struct json_t *stats, const struct counters *counters)
{
    put_sum(stats, counters, "sum_delay_ns", offsetof(struct loop_counters, sum_delay_ns));
    put(stats, "max_delay_ns",
        counters_highest(counters, offsetof(struct loop_counters, max_delay_ns)));
    put_histogram(stats, counters, "lateness", offsetof(struct loop_counters, lateness));
    put_histogram(stats, counters, "turn", offsetof(struct loop_counters, turns));
    put(stats, "first_request_ns", counters_first_request_ns(counters));
    put(stats, "last_response_ns",
        counters_highest(counters, offsetof(struct loop_counters, last_response_ns)));
}

char *admin_flag_stats_text(const struct admin_service *admin)
{
    const struct flag_counters *flags = admin->user;
    const struct counters *counters = flags->counters;
    json_t *stats = json_object();
    if (stats == NULL) {
        return NULL;
    }
    (void)json_object_set_new(stats, "run", json_string(counters->run));
    put_traffic(stats, counters);
    admin_put_times(stats, counters);
    admin_put_usage(stats, counters);
    put(stats, "loops", counters->loop_count);
    (void)json_object_set_new(stats, "paths", paths_json(counters, flags->corpus));
    char *text = json_dumps(stats, JSON_COMPACT | JSON_REAL_PRECISION(9));
    json_decref(stats);
    return text;
}

static void reply_text(struct connection *connection, const struct request *request, int status,
                       const char *text, void *owned)
{
    connection_reply(connection,
                     &(struct reply){
                         .status = status,
                         .content_type = owned != NULL ? "application/json" : "text/plain",
                         .body = {.base = text, .ring_bytes = strlen(text), .bytes = strlen(text)},
                         .owned = owned,
                         .head_only = request->method == REQUEST_HEAD,
                     });
}

static bool path_is(const struct request *request, const char *path)
{
    return strlen(path) == request->path_bytes &&
           memcmp(request->path, path, request->path_bytes) == 0;
}

/* "run=ID", or nothing at all. */
static bool parse_run(const struct request *request, char run[REQUEST_RUN_BYTES_MAX + 1])
{
    static const char prefix[] = "run=";
    const size_t prefix_bytes = sizeof(prefix) - 1;
    run[0] = '\0';
    if (request->query == NULL) {
        return true;
    }
    if (request->query_bytes <= prefix_bytes || memcmp(request->query, prefix, prefix_bytes) != 0) {
        return false;
    }
    int bytes = request_decode(request->query + prefix_bytes, request->query_bytes - prefix_bytes,
                               run, REQUEST_RUN_BYTES_MAX);
    if (bytes <= 0) {
        return false;
    }
    run[bytes] = '\0';
    return strpbrk(run, "&=; \"") == NULL;
}

static void reply_reset(struct connection *connection, const struct request *request,
                        const struct admin_service *admin)
{
    char run[REQUEST_RUN_BYTES_MAX + 1];
    if (!parse_run(request, run)) {
        reply_text(connection, request, 400, status_text(400), NULL);
        return;
    }
    admin->reset(admin, run);
    reply_text(connection, request, 200, "ok\n", NULL);
}

static void reply_stats(struct connection *connection, const struct request *request,
                        const struct admin_service *admin)
{
    char *text = admin->stats_text(admin);
    if (text == NULL) {
        reply_text(connection, request, 500, status_text(500), NULL);
    } else {
        reply_text(connection, request, 200, text, text);
    }
}

static void on_request(struct connection *connection, const struct request *request)
{
    const struct admin_service *admin = connection->loop->service->user;
    bool reads = request->method == REQUEST_GET || request->method == REQUEST_HEAD;
    bool is_reset = path_is(request, "/reset");
    int status = 404;
    if (request->has_body) {
        status = 400;
    } else if (is_reset && request->method == REQUEST_POST) {
        reply_reset(connection, request, admin);
        return;
    } else if (is_reset || !reads) {
        status = 405;
    } else if (path_is(request, "/stats")) {
        reply_stats(connection, request, admin);
        return;
    } else if (path_is(request, "/healthz")) {
        reply_text(connection, request, 200, "ok\n", NULL);
        return;
    }
    reply_text(connection, request, status, status_text(status), NULL);
}

void admin_flag_reset(const struct admin_service *admin, const char *run)
{
    const struct flag_counters *flags = admin->user;
    counters_reset(flags->counters, run);
}

void admin_service_init(struct admin_service *admin)
{
    admin->service.on_request = on_request;
    admin->service.user = admin;
}
