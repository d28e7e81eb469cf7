#include "dns_service.h"

#include "dns_stream.h"

#include "backends/clock.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* An answer that waits for its time. */
struct dns_query {
    struct deadline deadline;
    struct dns_service *service;
    struct dns_query *next; /* of the same stream, or free */
    struct dns_query *previous;
    struct dns_client client;
    enum dns_outcome outcome;
    enum dns_rcode rcode;
    size_t bytes;
    uint8_t framed[DNS_LENGTH_BYTES + DNS_ANSWER_BYTES_MAX];
};

/* --- places for those that wait --- */

static struct dns_query *query_take(struct dns_service *service)
{
    struct dns_query *query = service->free_queries;
    if (query != NULL) {
        service->free_queries = query->next;
    } else if (service->queries_used < DNS_QUERIES_MAX) {
        query = &service->queries[service->queries_used++];
    } else {
        return NULL;
    }
    query->service = service;
    query->next = NULL;
    query->previous = NULL;
    return query;
}

static void query_give_back(struct dns_query *query)
{
    query->next = query->service->free_queries;
    query->service->free_queries = query;
}

static void link_to_stream(struct dns_query *query)
{
    struct dns_stream *stream = query->client.stream;
    if (stream == NULL) {
        return;
    }
    query->next = stream->queries;
    if (query->next != NULL) {
        query->next->previous = query;
    }
    stream->queries = query;
}

static void unlink_from_stream(struct dns_query *query)
{
    struct dns_stream *stream = query->client.stream;
    if (stream == NULL) {
        return;
    }
    if (query->previous != NULL) {
        query->previous->next = query->next;
    } else {
        stream->queries = query->next;
    }
    if (query->next != NULL) {
        query->next->previous = query->previous;
    }
}

size_t dns_service_forget(struct dns_query *queries)
{
    size_t count = 0;
    while (queries != NULL) {
        struct dns_query *query = queries;
        queries = query->next;
        deadline_clear(&query->service->loop->deadlines, &query->deadline);
        counters_leave(&query->service->counters);
        query_give_back(query);
        count++;
    }
    return count;
}

/* --- answers --- */

/* @param framed  with room for the length in front */
static void send_answer(struct dns_service *service, const struct dns_client *client,
                        enum dns_rcode rcode, uint8_t *framed, size_t bytes)
{
    counters_response(service->own_counters, (int)rcode, bytes, clock_now_ns());
    if (client->stream != NULL) {
        framed[0] = (uint8_t)(bytes >> 8);
        framed[1] = (uint8_t)bytes;
        dns_stream_send(client->stream, framed, DNS_LENGTH_BYTES + bytes);
        return;
    }
    uv_buf_t piece = uv_buf_init((char *)framed + DNS_LENGTH_BYTES, (unsigned)bytes);
    /* What the socket does not take now is lost, as networks lose datagrams. */
    service->counts.unsent += uv_udp_try_send(&service->udp, &piece, 1, &client->peer.any) < 0;
}

static void query_finish(struct dns_query *query)
{
    struct dns_service *service = query->service;
    unlink_from_stream(query);
    counters_leave(&service->counters);
    service->counts.by_outcome[query->outcome]++;
    send_answer(service, &query->client, query->rcode, query->framed, query->bytes);
    query_give_back(query);
}

static void on_due(struct deadline *deadline, uint64_t at_ns, uint64_t now_ns)
{
    struct dns_query *query =
        (struct dns_query *)(void *)((char *)deadline - offsetof(struct dns_query, deadline));
    histogram_add(&query->service->own_counters->lateness, now_ns - at_ns);
    query_finish(query);
}

/* Without a delay, and without a place to wait in. */
static void answer_at_once(struct dns_service *service, const struct dns_question *question,
                           const uint8_t *data, enum dns_rcode rcode,
                           const struct dns_client *client)
{
    uint8_t framed[DNS_LENGTH_BYTES + DNS_ANSWER_BYTES_MAX];
    size_t bytes = dns_answer_write(&(struct dns_answer){.rcode = rcode}, question, data,
                                    framed + DNS_LENGTH_BYTES);
    send_answer(service, client, rcode, framed, bytes);
}

/* --- queries --- */

/* What the zone and the faults say, for this type and transport. */
static enum dns_outcome settle(const struct dns_verdict *verdict, uint16_t type, bool over_tcp)
{
    enum dns_outcome outcome = verdict->outcome;
    if (outcome == DNS_OUTCOME_TRUNCATE && over_tcp) {
        outcome = verdict->exists ? DNS_OUTCOME_FOUND : DNS_OUTCOME_NXDOMAIN;
    }
    /* ANY is any record that we like: RFC 8482 section 4.1. */
    if (outcome == DNS_OUTCOME_FOUND && type != DNS_TYPE_A && type != DNS_TYPE_ANY) {
        outcome = DNS_OUTCOME_NO_DATA;
    }
    return outcome;
}

static struct dns_answer answer_of(const struct dns_verdict *verdict, enum dns_outcome outcome)
{
    struct dns_answer answer = {
        .rcode = verdict->exists ? DNS_NOERROR : DNS_NXDOMAIN,
        .truncated = outcome == DNS_OUTCOME_TRUNCATE,
        .has_address = outcome == DNS_OUTCOME_FOUND,
        .address = verdict->address,
        .ttl_s = DNS_ZONE_TTL_S,
    };
    if (outcome == DNS_OUTCOME_SERVFAIL) {
        answer.rcode = DNS_SERVFAIL;
    } else if (outcome == DNS_OUTCOME_TRUNCATE) {
        answer.rcode = DNS_NOERROR; /* clients there are that look at the code before they see TC */
    } else if (outcome == DNS_OUTCOME_NXDOMAIN) {
        answer.rcode = DNS_NXDOMAIN;
    }
    return answer;
}

static void note_request(struct dns_service *service, bool over_tcp)
{
    struct loop_counters *counters = service->own_counters;
    counters_add(&counters->requests, 1);
    if (atomic_load(&counters->first_request_ns) == 0) {
        atomic_store(&counters->first_request_ns, clock_now_ns());
    }
    service->counts.over_tcp += over_tcp;
    service->counts.over_udp += !over_tcp;
}

/* Answer at once, or when its delay has passed. */
static void query_wait(struct dns_query *query, uint64_t delay_ns)
{
    struct dns_service *service = query->service;
    counters_delay(service->own_counters, delay_ns);
    counters_enter(&service->counters);
    link_to_stream(query);
    if (delay_ns == 0) {
        query_finish(query);
        return;
    }
    query->deadline = (struct deadline){.fire = on_due};
    deadline_set(&service->loop->deadlines, &query->deadline, clock_now_ns() + delay_ns);
}

/* An attempt at a name. */
static void query_begin(struct dns_query *query, const struct dns_question *question,
                        const uint8_t *data, struct dns_try *place)
{
    struct dns_service *service = query->service;
    bool over_tcp = query->client.stream != NULL;
    uint32_t attempt = dns_try_count(place, over_tcp);
    struct dns_verdict verdict = dns_zone_judge(service->zone, question->name, attempt);
    query->outcome = settle(&verdict, question->type, over_tcp);
    place->truncated = query->outcome == DNS_OUTCOME_TRUNCATE;
    if (verdict.fault != NULL && !(over_tcp && verdict.outcome == DNS_OUTCOME_TRUNCATE)) {
        service->counts.faults[verdict.fault->kind]++;
    }
    if (query->outcome == DNS_OUTCOME_DROP) {
        service->counts.by_outcome[DNS_OUTCOME_DROP]++;
        query_give_back(query);
        return;
    }
    struct dns_answer answer = answer_of(&verdict, query->outcome);
    query->rcode = answer.rcode;
    query->bytes = dns_answer_write(&answer, question, data, query->framed + DNS_LENGTH_BYTES);
    query_wait(query, verdict.delay_ns);
}

void dns_service_take(struct dns_service *service, const uint8_t *data, size_t bytes,
                      const struct dns_client *client)
{
    struct dns_question question;
    int rcode = dns_question_parse(data, bytes, &question);
    if (rcode != DNS_NOERROR) {
        counters_add(&service->own_counters->bad_requests, 1);
        if (rcode > 0) {
            answer_at_once(service, &question, data, (enum dns_rcode)rcode, client);
        }
        return;
    }
    note_request(service, client->stream != NULL);
    struct dns_query *query = query_take(service);
    struct dns_try *place =
        query == NULL ? NULL : dns_tries_find(&service->tries, question.name, question.type);
    if (place != NULL) {
        query->client = *client;
        query_begin(query, &question, data, place);
        return;
    }
    if (query != NULL) {
        query_give_back(query);
    }
    service->counts.by_outcome[DNS_OUTCOME_REFUSED]++;
    answer_at_once(service, &question, data, DNS_REFUSED, client);
}

static void on_buffer(uv_handle_t *handle, size_t suggested, uv_buf_t *buffer)
{
    struct dns_service *service = handle->data;
    (void)suggested;
    *buffer = uv_buf_init(service->loop->read_buffer, READ_BUFFER_BYTES);
}

static void on_datagram(uv_udp_t *udp, ssize_t bytes, const uv_buf_t *buffer,
                        const struct sockaddr *peer, unsigned flags)
{
    struct dns_service *service = udp->data;
    (void)flags; /* no datagram is larger than the buffer */
    if (bytes < 0 || peer == NULL) {
        return; /* nothing more for now */
    }
    struct dns_client client = {.stream = NULL};
    memcpy(&client.peer, peer, address_bytes(peer));
    uint64_t now_ns = event_loop_turn(service->loop);
    dns_service_take(service, (const uint8_t *)buffer->base, (size_t)bytes, &client);
    event_loop_serve_due(service->loop, now_ns, 1);
}

/* --- start and stop --- */

static int make_room(struct dns_service *service)
{
    int error = counters_init(&service->counters, 1);
    if (error != 0) {
        return error;
    }
    service->own_counters = &service->counters.loops[0];
    service->loop->turns = &service->own_counters->turns;
    service->queries = calloc(DNS_QUERIES_MAX, sizeof(service->queries[0]));
    service->streams = calloc(DNS_STREAMS_MAX, sizeof(service->streams[0]));
    if (service->queries == NULL || service->streams == NULL) {
        return -ENOMEM;
    }
    error = dns_tries_init(&service->tries);
    return error != 0 ? error
                      : event_loop_reserve(service->loop, DNS_QUERIES_MAX + DNS_STREAMS_MAX);
}

static int start_udp(struct dns_service *service, struct dns_sockets *sockets)
{
    int error = uv_udp_init(&service->loop->uv, &service->udp);
    if (error != 0) {
        return error;
    }
    service->has_udp = true;
    service->udp.data = service;
    error = uv_udp_open(&service->udp, sockets->udp_fd);
    if (error == 0) {
        sockets->udp_fd = -1;
        error = uv_udp_recv_start(&service->udp, on_buffer, on_datagram);
    }
    return error;
}

int dns_service_start(struct dns_service *service, struct event_loop *loop,
                      const struct dns_zone *zone, struct dns_sockets *sockets)
{
    *service = (struct dns_service){.zone = zone, .loop = loop};
    int error = make_room(service);
    if (error == 0) {
        error = start_udp(service, sockets);
    }
    if (error == 0) {
        error = dns_stream_listen(service, sockets);
    }
    if (error == 0) {
        dns_service_reset(service, "");
    }
    return error;
}

void dns_service_stop(struct dns_service *service)
{
    for (size_t i = 0; i < service->queries_used; i++) {
        deadline_clear(&service->loop->deadlines, &service->queries[i].deadline);
    }
    if (service->has_udp) {
        uv_close((uv_handle_t *)&service->udp, NULL);
        service->has_udp = false;
    }
    dns_stream_stop(service);
    if (service->loop != NULL) {
        service->loop->turns = NULL;
    }
}

void dns_service_release(struct dns_service *service)
{
    free(service->queries);
    free(service->streams);
    dns_tries_release(&service->tries);
    counters_release(&service->counters);
}

static uint32_t lost_ever(const struct dns_service *service)
{
    uv_os_fd_t fd = -1;
    return uv_fileno((const uv_handle_t *)&service->udp, &fd) == 0 ? dns_socket_lost(fd) : 0;
}

void dns_service_reset(struct dns_service *service, const char *run)
{
    dns_tries_clear(&service->tries);
    counters_reset(&service->counters, run);
    service->counts = (struct dns_counts){.lost_before = lost_ever(service)};
}

uint32_t dns_service_lost(const struct dns_service *service)
{
    return lost_ever(service) - service->counts.lost_before;
}
