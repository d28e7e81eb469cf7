/**
 * A DNS server of one zone, over UDP and TCP, on a loop: answers late, wrongly or not at all as it
 * is told. All of it runs in the thread of the loop.
 */
#ifndef MOCKSERVER_DNS_SERVICE_H
#define MOCKSERVER_DNS_SERVICE_H

#include "dns_message.h"
#include "dns_socket.h"
#include "dns_tries.h"
#include "dns_zone.h"
#include "event_loop.h"

#include <uv.h>

#define DNS_QUERIES_MAX ((size_t)1 << 16) /* that wait for their time; more are refused */
#define DNS_STREAMS_MAX ((size_t)1 << 13) /* TCP connections; more wait to be accepted */
#define DNS_LENGTH_BYTES 2                /* before each message over TCP: RFC 1035 section 4.2.2 */

struct dns_query;
struct dns_stream;

/** Whom to answer. */
struct dns_client {
    struct dns_stream *stream; /* NULL: over UDP */
    union address peer;        /* of UDP */
};

/** Since the last reset, beside those of struct counters. */
struct dns_counts {
    uint64_t by_outcome[DNS_OUTCOMES];
    uint64_t over_udp;
    uint64_t over_tcp;
    uint64_t faults[FAULT_KINDS];
    uint64_t unsent;      /* answers that the socket did not take */
    uint32_t lost_before; /* dns_socket_lost at the reset */
};

struct dns_service {
    const struct dns_zone *zone;
    struct event_loop *loop;
    struct counters counters; /* of one loop */
    struct loop_counters *own_counters;
    struct dns_counts counts;
    struct dns_tries tries;
    struct dns_query *queries; /* [DNS_QUERIES_MAX]; of it only what is used costs */
    size_t queries_used;
    struct dns_query *free_queries;
    struct dns_stream *streams; /* [DNS_STREAMS_MAX], likewise */
    size_t streams_used;
    struct dns_stream *free_streams;
    bool accepts_later; /* a connection waits for a place */
    uv_udp_t udp;
    uv_tcp_t tcp;
    bool has_udp;
    bool has_tcp;
};

/**
 * Serve on these sockets, which it takes over. The loop and the zone must outlive it.
 * @return 0 or -errno; stop and release in either case
 */
int dns_service_start(struct dns_service *service, struct event_loop *loop,
                      const struct dns_zone *zone, struct dns_sockets *sockets);

/** Close the handles. The loop has to be released, or run on, before dns_service_release. */
void dns_service_stop(struct dns_service *service);
void dns_service_release(struct dns_service *service);

/** Zero all but what is in flight or open now; attempts begin anew. @param run  may be empty */
void dns_service_reset(struct dns_service *service, const char *run);

/** Datagrams that found the socket's buffer full, since the reset. */
uint32_t dns_service_lost(const struct dns_service *service);

/** One message, from wherever. */
void dns_service_take(struct dns_service *service, const uint8_t *data, size_t bytes,
                      const struct dns_client *client);

/** Those who would get these answers have gone. @param queries  of a stream. @return how many */
size_t dns_service_forget(struct dns_query *queries);

#endif
