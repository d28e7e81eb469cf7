/**
 * One HTTP/1.1 connection of the server: reads requests, answers them one at a time and in
 * order, after a delay when the reply says so. Belongs to one loop and its thread.
 */
#ifndef MOCKSERVER_CONNECTION_H
#define MOCKSERVER_CONNECTION_H

#include "event_loop.h"
#include "request.h"

/** Bytes to send: byte i is base[(start + i) % ring_bytes]. */
struct body {
    const void *base;
    uint64_t ring_bytes;
    uint64_t start;
    uint64_t bytes;
};

struct reply {
    int status;
    const char *content_type;
    struct body body;
    struct canned *canned;  /* the same reply made before; NULL: none is */
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
    CONNECTION_SENDING,  /* the client, the pace or the batch holds it up */
    CONNECTION_DRAINING, /* answered with an error: what still comes is thrown away */
    CONNECTION_CLOSING,
};

struct connection {
    uv_poll_t poll;
    struct event_loop *loop;
    int fd;
    int watched;       /* what the loop watches the socket for */
    bool is_receiving; /* loop->completions has not told of its last completion yet */
    bool has_ended;    /* nothing follows from the client, whose answer is on its way */
    bool has_closed;   /* libuv is done with it */
    enum connection_state state;
    bool was_counted; /* has brought a counted request, and counts as open */
    bool in_flight;   /* its request counts as in flight */
    bool drain;       /* the client may still be sending when the reply is over */
    bool keep_alive;  /* of the request at hand */
    bool version_1_0;
    bool followed; /* more of what has come is at hand */
    struct deadline deadline;
    uint64_t waiting_since_ns; /* for its client, while it does */
    uint64_t requests;
    uint64_t now_ns; /* just before the bytes at hand were read */
    uint64_t due_ns; /* of a delayed reply */

    struct reply reply;
    const char *head;
    size_t head_bytes;
    size_t head_sent;
    uint64_t body_bytes; /* to send: none for HEAD */
    uint64_t body_sent;
    uint64_t slice_left; /* body bytes that may be sent before the next slice is due */
    uint64_t pace_ns;    /* when that is */
    char *own_head;      /* a head that could not be sent at once; to free */
    size_t batch_place;  /* in loop->sends; 0: not there */

    char *spill; /* read, but not used yet */
    size_t spill_bytes;
    size_t spill_capacity;

    struct connection *open_next; /* all of the loop; also links the free ones */
    struct connection *open_previous;
    struct connection *patrol_next;
    struct connection *patrol_previous;
    uint64_t patrolled_ns;
};

/** Take over a connected socket; closes it when that fails. */
void connection_open(struct event_loop *loop, int fd);

/** Answer the request at hand; takes over reply->owned. */
void connection_reply(struct connection *connection, const struct reply *reply);

/** Send the answers that wait for the end of the turn, and those to what follows them.
 * @return the clock */
uint64_t connection_send_batch(struct event_loop *loop);

/** The same by loop->completions, when it is waited for next; at once if it has no room. */
void connection_hand_batch(struct event_loop *loop);
/** What has become of one of them. */
void connection_answered(struct event_loop *loop, const struct completion *completion);

/** A receive of its own has come to something: loop->completions. */
void connection_received(struct connection *connection, const struct completion *completion);
/** No receive goes on: closes loop->completions, if it is open. All connections have been closed.
 */
void connection_end_completions(struct event_loop *loop);

/** Those that have waited for their clients too long; serves due answers in between. */
void connection_close_idle(struct event_loop *loop);
void connection_close_all(struct event_loop *loop);
/** After the close callbacks have run. */
void connection_free_all(struct event_loop *loop);

#endif
