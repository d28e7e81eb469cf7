/**
 * One libuv loop with what its connections share: deadlines, buffers, the date.
 *
 * Whose turn it is: due answers and new requests alternate, one of each as long as there are
 * both. With due answers first, a loop that has a burst to answer would leave the requests that
 * follow unread, find them all at once at its end, and so answer the next burst later still. The
 * end of a connection is no request: some answers go before it.
 *
 * Answers made before the first request (canned.h) are sent together, at the end of a turn or as
 * soon as there are SEND_BATCH_MAX; but never while there are deadlines, which they would make
 * late.
 *
 * Where answers are prompt, requests are received and answers sent by completion
 * (completion_ring.h): the ring is what the loop sleeps in, and it watches libuv, which keeps all
 * the rest. Where every answer has a deadline it is libuv that sleeps: its timers are nearer.
 */
#ifndef MOCKSERVER_EVENT_LOOP_H
#define MOCKSERVER_EVENT_LOOP_H

#include "completion_ring.h"
#include "counters.h"
#include "deadline.h"
#include "reply_head.h"
#include "send_batch.h"

#include <uv.h>

#include <pthread.h>
#include <time.h>

#define READ_BUFFER_BYTES 65536

struct canned_set;
struct connection;
struct request;

/** Answers requests: must call connection_reply once before it returns. */
struct service {
    void (*on_request)(struct connection *connection, const struct request *request);
    uint64_t idle_ns;      /* a connection that waits for its client longer is closed */
    uint64_t rate;         /* body bytes per second and connection; 0: unlimited */
    uint64_t requests_max; /* per connection; 0: unlimited */
    bool is_prompt;        /* answers wait for no deadline, as a rule */
    void *user;
};

/** Sockets handed to a loop by the thread that accepted them. */
struct handoff {
    pthread_mutex_t lock;
    int *fds;
    size_t count;
    size_t capacity;
};

struct event_loop {
    uv_loop_t uv;
    uv_poll_t timer_poll;
    uv_prepare_t prepare;
    uv_idle_t awake; /* while active, the loop looks at its sockets but does not sleep */
    uv_timer_t sweep;
    uv_async_t wake;
    struct deadline_queue deadlines;
    size_t deadlines_apart; /* room kept for others than connections: event_loop_reserve */
    struct handoff handoff;
    const struct service *service;
    struct counters *counters; /* NULL: nothing is counted here */
    struct loop_counters *own_counters;
    struct histogram *turns;   /* NULL: not timed */
    struct canned_set *canned; /* NULL: none */
    struct send_batch sends;   /* answers that wait for the end of this turn */
    struct completion_ring completions;
    struct connection *open;   /* all */
    struct connection *free;   /* to use again */
    struct connection *patrol; /* all, the one looked at longest ago first */
    struct connection *patrol_last;
    size_t connections; /* open and free */
    char *read_buffer;
    char head_buffer[REPLY_HEAD_BYTES_MAX];
    bool in_turn;           /* it has looked at its sockets and serves what it found */
    uint64_t turn_began_ns; /* since when */
    uint64_t opened_ns;     /* when it accepted one for whichever loop; 0: not lately */
    time_t date_second;
    char date[HTTP_DATE_BYTES + 1];
    atomic_bool stop;
    pthread_t thread;
    bool has_uv;
};

/** @return 0 or -errno; release in either case */
int event_loop_init(struct event_loop *loop, const struct service *service,
                    struct counters *counters, struct loop_counters *own_counters);
void event_loop_release(struct event_loop *loop);

/**
 * Keep room for `count` deadlines that belong to no connection, so that setting one never
 * allocates. Once, before the loop runs.
 * @return 0, -ENOMEM
 */
int event_loop_reserve(struct event_loop *loop, size_t count);

/** Run until event_loop_stop; closes every connection and handle before it returns. */
void event_loop_run(struct event_loop *loop);

/** From any thread, and in the loop itself. */
void event_loop_stop(struct event_loop *loop);

#define EVENT_LOOP_SIGNALS 2

/** Stop it when SIGINT or SIGTERM comes. @return 0 or -errno */
int event_loop_stop_on_signals(struct event_loop *loop, uv_signal_t signals[EVENT_LOOP_SIGNALS]);

/** Give a connected socket to the loop, from any thread. */
void event_loop_hand(struct event_loop *loop, int fd);

/** Called first by whatever the loop has found to do. @return the clock */
uint64_t event_loop_turn(struct event_loop *loop);

/** Send due answers, but no more than `limit`. @param now_ns  the clock, or somewhat before */
void event_loop_serve_due(struct event_loop *loop, uint64_t now_ns, size_t limit);

/** The value of a Date field, as of now (RFC 9110 section 5.6.7). */
const char *event_loop_date(struct event_loop *loop);

#endif
