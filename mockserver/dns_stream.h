/** DNS over TCP (RFC 7766): connections, and messages with their length in front. */
#ifndef MOCKSERVER_DNS_STREAM_H
#define MOCKSERVER_DNS_STREAM_H

#include "dns_service.h"

#define DNS_STREAM_QUERY_BYTES_MAX 1024 /* a question, and OPT with the options that are usual */

struct dns_stream {
    uv_tcp_t tcp;
    struct dns_service *service;
    struct dns_stream *next_free;
    struct dns_query *queries; /* that wait for their answers */
    struct deadline idle;
    uint64_t active_ns; /* when it last said something, or was told */
    bool is_open;
    size_t used;
    uint8_t buffer[DNS_LENGTH_BYTES + DNS_STREAM_QUERY_BYTES_MAX];
};

/** Accept connections on the socket, which is taken over. @return 0 or -errno */
int dns_stream_listen(struct dns_service *service, struct dns_sockets *sockets);

/** Close the listener and all connections. */
void dns_stream_stop(struct dns_service *service);

/** All at once: who does not read so little has lost the connection. */
void dns_stream_send(struct dns_stream *stream, const uint8_t *framed, size_t bytes);

#endif
