#include "dns_stats.h"

#include "admin.h"

#include <jansson.h>

#include <stddef.h>

static void put(json_t *object, const char *name, uint64_t value)
{
    (void)json_object_set_new(object, name, json_integer((json_int_t)value));
}

static void put_sum(json_t *object, const struct dns_service *service, const char *name,
                    size_t offset)
{
    put(object, name, counters_sum(&service->counters, offset));
}

/* What has happened at least once. */
static json_t *outcomes_json(const struct dns_service *service)
{
    json_t *object = json_object();
    for (enum dns_outcome outcome = 0; outcome < DNS_OUTCOMES; outcome++) {
        if (service->counts.by_outcome[outcome] > 0) {
            put(object, dns_outcome_name(outcome), service->counts.by_outcome[outcome]);
        }
    }
    return object;
}

static json_t *rcodes_json(const struct dns_service *service)
{
    json_t *object = json_object();
    for (unsigned rcode = 0; rcode < DNS_RCODES; rcode++) {
        size_t offset = offsetof(struct loop_counters, by_status) + rcode * sizeof(counter);
        uint64_t count = counters_sum(&service->counters, offset);
        if (count > 0) {
            put(object, dns_rcode_name(rcode), count);
        }
    }
    return object;
}

static json_t *faults_json(const struct dns_service *service)
{
    json_t *object = json_object();
    for (enum fault_kind kind = FAULT_SERVFAIL; kind < FAULT_KINDS; kind++) {
        if (service->counts.faults[kind] > 0) {
            put(object, fault_dns_name(kind), service->counts.faults[kind]);
        }
    }
    return object;
}

static json_t *keys_json(const struct dns_service *service)
{
    json_t *object = json_object();
    const struct dns_try *place;
    size_t at = 0;
    while ((place = dns_tries_next(&service->tries, &at)) != NULL) {
        put(object, place->key, place->attempts);
    }
    return object;
}

static void put_traffic(json_t *stats, const struct dns_service *service)
{
    const struct counters *counters = &service->counters;
    json_t *transports = json_object();
    put(transports, "udp", service->counts.over_udp);
    put(transports, "tcp", service->counts.over_tcp);
    put_sum(stats, service, "accepted", offsetof(struct loop_counters, accepted));
    put(stats, "open", atomic_load(&counters->open));
    put(stats, "max_open", atomic_load(&counters->max_open));
    put_sum(stats, service, "requests", offsetof(struct loop_counters, requests));
    put(stats, "in_flight", atomic_load(&counters->in_flight));
    put(stats, "max_in_flight", atomic_load(&counters->max_in_flight));
    (void)json_object_set_new(stats, "by_transport", transports);
    (void)json_object_set_new(stats, "by_outcome", outcomes_json(service));
    (void)json_object_set_new(stats, "by_rcode", rcodes_json(service));
    (void)json_object_set_new(stats, "faults", faults_json(service));
    put(stats, "distinct_keys", service->tries.count);
    put_sum(stats, service, "bytes_out", offsetof(struct loop_counters, bytes_out));
    put_sum(stats, service, "client_aborts", offsetof(struct loop_counters, client_aborts));
    put_sum(stats, service, "bad_requests", offsetof(struct loop_counters, bad_requests));
    put(stats, "lost", dns_service_lost(service));
    put(stats, "unsent", service->counts.unsent);
}

char *dns_stats_text(const struct dns_service *service)
{
    json_t *stats = json_object();
    if (stats == NULL) {
        return NULL;
    }
    (void)json_object_set_new(stats, "run", json_string(service->counters.run));
    put_traffic(stats, service);
    admin_put_times(stats, &service->counters);
    admin_put_usage(stats, &service->counters);
    put(stats, "loops", 1);
    (void)json_object_set_new(stats, "keys", keys_json(service));
    char *text = json_dumps(stats, JSON_COMPACT | JSON_REAL_PRECISION(9));
    json_decref(stats);
    return text;
}
