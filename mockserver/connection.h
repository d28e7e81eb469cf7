/**
 * One HTTP/1.1 connection of the server: reads requests, answers them one at a time and in
 * order, after a delay when the reply says so. Belongs to one loop and its thread.
 */
#ifndef MOCKSERVER_CONNECTION_H
#define MOCKSERVER_CONNECTION_H

#include "event_loop.h"
#include "request.h"

#define CONNECTION_HEAD_BYTES_MAX 512

/** Bytes to send: byte i is base[(start + i) % ring_bytes]. */
struct body {
    const uint8_t *base;
    uint64_t ring_bytes;
    uint64_t start;
    uint64_t bytes;
};

struct reply {
    int status;
    const char *content_type;
    struct body body;
    void *owned;            /* given to free() when the reply is over; NULL: nothing */
    const char *fault_name; /* X-Fault; NULL: no such field */
    const char *allow;      /* Allow; NULL: no such field */
    uint64_t delay_ns;      /* from now until the first byte is sent */
    bool head_only;         /* the request was HEAD */
    bool counted;           /* an entry of counters_request has been made for it */
    bool close;             /* the connection ends after it */
};

enum connection_state {
    CONNECTION_READING,  /* for the next request */
    CONNECTION_DELAYED,  /* the reply is due at a deadline */
    CONNECTION_SENDING,  /* the client or the pace holds it up */
    CONNECTION_DRAINING, /* answered with an error: what still comes is thrown away */
    CONNECTION_CLOSING,
};

struct connection {
    uv_tcp_t tcp;
    uv_write_t write;
    uv_shutdown_t shutdown;
    struct event_loop *loop;
    struct connection *open_next; /* all of the loop; also links the free ones */
    struct connection *open_previous;
    struct connection *idle_next;
    struct connection *idle_previous;
    struct deadline deadline;
    uint64_t idle_since_ns;
    uint64_t requests;
    enum connection_state state;
    bool is_idle;      /* in the loop's idle list */
    bool was_counted;  /* has brought a counted request, and counts as open */
    bool in_flight;    /* its request counts as in flight */
    bool read_stopped; /* a client that sends on and on without reading */
    bool write_pending;
    bool drain;      /* the client may still be sending when the reply is over */
    bool keep_alive; /* of the request at hand */
    bool version_1_0;
    uint64_t now_ns; /* when the bytes at hand arrived */
    char *spill;     /* read, but not used yet */
    size_t spill_bytes;
    size_t spill_capacity;
    struct reply reply;
    char head[CONNECTION_HEAD_BYTES_MAX];
    size_t head_bytes;
    size_t head_sent;
    uint64_t body_bytes; /* to send: none for HEAD */
    uint64_t body_sent;
    size_t write_bytes;  /* of the pending write */
    uint64_t slice_left; /* body bytes that may be sent before the next slice is due */
    uint64_t pace_ns;    /* when that is */
};

/** Take over a connected socket; closes it when that fails. */
void connection_open(struct event_loop *loop, int fd);

/** Answer the request at hand; takes over reply->owned. */
void connection_reply(struct connection *connection, const struct reply *reply);

void connection_close_idle(struct event_loop *loop, uint64_t now_ns);
void connection_close_all(struct event_loop *loop);
/** After the close callbacks have run. */
void connection_free_all(struct event_loop *loop);

#endif
