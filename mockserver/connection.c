#include "connection.h"

#include "canned.h"
#include "status.h"

#include "backends/clock.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define SPILL_BYTES_STOP 65536       /* with this much unread the client has to wait */
#define SEND_TURN_BYTES (256 * 1024) /* of one reply, before others have their turn */
#define DRAIN_NS (1 * NS_PER_S)
#define SLICES_PER_S 100
/* A client that has gone does not wait, and closing takes 20 us: as many as take 50 us go first. */
#define DUE_BEFORE_END 8

static void consume_spill(struct connection *connection);

/* --- the round of those that may wait for their clients --- */

static void patrol_remove(struct connection *connection)
{
    struct event_loop *loop = connection->loop;
    if (connection->patrol_previous != NULL) {
        connection->patrol_previous->patrol_next = connection->patrol_next;
    } else {
        loop->patrol = connection->patrol_next;
    }
    if (connection->patrol_next != NULL) {
        connection->patrol_next->patrol_previous = connection->patrol_previous;
    } else {
        loop->patrol_last = connection->patrol_previous;
    }
}

static void patrol_append(struct connection *connection, uint64_t now_ns)
{
    struct event_loop *loop = connection->loop;
    connection->patrolled_ns = now_ns;
    connection->patrol_next = NULL;
    connection->patrol_previous = loop->patrol_last;
    if (loop->patrol_last != NULL) {
        loop->patrol_last->patrol_next = connection;
    } else {
        loop->patrol = connection;
    }
    loop->patrol_last = connection;
}

/* --- watching the socket --- */

static void on_ready(uv_poll_t *poll, int status, int events);

/* A receive that ought to end is under way until it says so. */
static bool watch_receive(struct connection *connection)
{
    struct completion_ring *ring = &connection->loop->completions;
    bool wanted = (connection->watched & UV_READABLE) != 0;
    if (wanted && !connection->is_receiving) {
        connection->is_receiving = completion_ring_receive(ring, connection->fd, connection);
        return connection->is_receiving;
    }
    if (!wanted && connection->is_receiving) {
        completion_ring_stop(ring, connection);
    }
    return true;
}

/* Costs a system call, so only when something changes. */
static bool watch(struct connection *connection, int events)
{
    int changed = events ^ connection->watched;
    connection->watched = events;
    if (connection->loop->completions.is_open) {
        if ((changed & UV_READABLE) != 0 && !watch_receive(connection)) {
            return false;
        }
        changed &= ~UV_READABLE;
        events &= ~UV_READABLE;
    }
    if (changed == 0) {
        return true;
    }
    return events == 0 ? uv_poll_stop(&connection->poll) == 0
                       : uv_poll_start(&connection->poll, events, on_ready) == 0;
}

/* A client that sends on and on without reading has to wait. */
static int reading(const struct connection *connection)
{
    return connection->spill_bytes > SPILL_BYTES_STOP ? 0 : UV_READABLE;
}

/* --- the end --- */

/* To be used again: neither libuv nor the ring knows of it any more. */
static void give_back(struct connection *connection)
{
    struct event_loop *loop = connection->loop;
    if (connection->open_previous != NULL) {
        connection->open_previous->open_next = connection->open_next;
    } else {
        loop->open = connection->open_next;
    }
    if (connection->open_next != NULL) {
        connection->open_next->open_previous = connection->open_previous;
    }
    connection->open_next = loop->free;
    loop->free = connection;
}

static void on_closed(uv_handle_t *handle)
{
    struct connection *connection = handle->data;
    connection->has_closed = true;
    if (!connection->is_receiving) {
        give_back(connection);
    }
}

static void leave_flight(struct connection *connection)
{
    if (connection->in_flight) {
        connection->in_flight = false;
        counters_leave(connection->loop->counters);
    }
}

/* A connection that we end is over for the client with its last byte. */
static void leave_open(struct connection *connection)
{
    if (connection->was_counted) {
        connection->was_counted = false;
        counters_close(connection->loop->counters);
    }
}

static void reply_release(struct connection *connection)
{
    if (connection->reply.owned != NULL || connection->own_head != NULL) {
        free(connection->reply.owned);
        free(connection->own_head);
        connection->reply.owned = NULL;
        connection->own_head = NULL;
    }
}

static uint64_t unsent_bytes(const struct connection *connection)
{
    return connection->head_bytes - connection->head_sent + connection->body_bytes -
           connection->body_sent;
}

/* The receive holds the socket until it ends, so the client is told by itself; and the number is
 * not used again before the receive has ended, for it may not have begun. Cancelled too: a kernel
 * may forget to tell of a shutdown that follows data at once (CVE-2026-23473). */
static void receive_end(struct connection *connection)
{
    (void)shutdown(connection->fd, SHUT_RDWR);
    completion_ring_stop(&connection->loop->completions, connection);
}

static void connection_close(struct connection *connection)
{
    struct event_loop *loop = connection->loop;
    if (connection->state == CONNECTION_CLOSING) {
        return;
    }
    if (connection->state == CONNECTION_SENDING && connection->reply.counted) {
        /* All of it was counted when sending began. */
        counters_add(&loop->own_counters->bytes_out, 0 - unsent_bytes(connection));
    }
    connection->state = CONNECTION_CLOSING;
    if (connection->batch_place > 0) {
        send_batch_take_back(&loop->sends, connection->batch_place);
    }
    deadline_clear(&loop->deadlines, &connection->deadline);
    patrol_remove(connection);
    leave_flight(connection);
    leave_open(connection);
    reply_release(connection);
    free(connection->spill);
    connection->spill = NULL;
    /* In this order: the loop has to forget the descriptor before its number is used again. */
    uv_close((uv_handle_t *)&connection->poll, on_closed);
    if (connection->is_receiving) {
        receive_end(connection);
    } else {
        completion_ring_begin(&loop->completions); /* what names the descriptor */
        (void)close(connection->fd);
    }
}

/* The client went away, or made us wait too long, before it had its answer. */
static void connection_abort(struct connection *connection)
{
    struct event_loop *loop = connection->loop;
    bool answering =
        connection->state == CONNECTION_DELAYED || connection->state == CONNECTION_SENDING;
    bool asking = connection->state == CONNECTION_READING && connection->spill_bytes > 0;
    if (loop->own_counters != NULL && ((answering && connection->reply.counted) || asking)) {
        counters_add(&loop->own_counters->client_aborts, 1);
    }
    connection_close(connection);
}

/* Closing with input unread would reset the connection and could destroy the answer on its
 * way: say that nothing follows, and throw away what comes (RFC 9112 section 9.6). */
static void drain_start(struct connection *connection)
{
    struct event_loop *loop = connection->loop;
    connection->state = CONNECTION_DRAINING;
    connection->spill_bytes = 0;
    if (shutdown(connection->fd, SHUT_WR) != 0 || !watch(connection, UV_READABLE)) {
        connection_close(connection);
        return;
    }
    deadline_set(&loop->deadlines, &connection->deadline, clock_now_ns() + DRAIN_NS);
}

/* --- sending --- */

static uint64_t slice_bytes(const struct service *service)
{
    if (service->rate == 0) {
        return UINT64_MAX;
    }
    return service->rate < SLICES_PER_S ? 1 : service->rate / SLICES_PER_S;
}

/* What of the body may be sent now, as far as it lies in one piece. */
static struct iovec next_of_body(const struct connection *connection)
{
    const struct body *body = &connection->reply.body;
    uint64_t bytes = connection->body_bytes - connection->body_sent;
    bytes = bytes < connection->slice_left ? bytes : connection->slice_left;
    bytes = bytes < SEND_TURN_BYTES ? bytes : SEND_TURN_BYTES;
    if (bytes == 0) {
        return (struct iovec){0};
    }
    uint64_t at = body->start + connection->body_sent;
    at = at < body->ring_bytes ? at : at % body->ring_bytes;
    uint64_t straight = body->ring_bytes - at;
    bytes = bytes < straight ? bytes : straight;
    /* An iovec is not const, but sending only reads. */
    return (struct iovec){(char *)(uintptr_t)body->base + at, (size_t)bytes};
}

/* What may be sent now. @return the number of pieces: 0 when it has to wait for its pace */
static size_t next_pieces(const struct connection *connection, struct iovec pieces[2])
{
    size_t head_bytes = connection->head_bytes - connection->head_sent;
    struct iovec head = {(char *)(uintptr_t)connection->head + connection->head_sent, head_bytes};
    struct iovec body = next_of_body(connection);
    if (head_bytes == 0 || body.iov_len == 0) {
        pieces[0] = head_bytes == 0 ? body : head;
        return pieces[0].iov_len > 0;
    }
    pieces[0] = head;
    if ((char *)head.iov_base + head.iov_len == body.iov_base) {
        pieces[0].iov_len += body.iov_len;
        return 1;
    }
    pieces[1] = body;
    return 2;
}

static ssize_t send_pieces(const struct connection *connection, struct iovec *pieces, size_t count)
{
    if (count == 1) {
        return send(connection->fd, pieces[0].iov_base, pieces[0].iov_len, MSG_NOSIGNAL);
    }
    struct msghdr message = {.msg_iov = pieces, .msg_iovlen = count};
    return sendmsg(connection->fd, &message, MSG_NOSIGNAL);
}

static void note_sent(struct connection *connection, size_t bytes)
{
    size_t head = connection->head_bytes - connection->head_sent;
    head = head < bytes ? head : bytes;
    connection->head_sent += head;
    connection->body_sent += bytes - head;
    if (connection->slice_left != UINT64_MAX) {
        connection->slice_left -= bytes - head;
    }
}

/* Heads lie in buffers that the next reply writes to, or with dates that change. */
static bool keep_head(struct connection *connection)
{
    size_t bytes = connection->head_bytes - connection->head_sent;
    if (bytes == 0 || connection->own_head != NULL) {
        return true;
    }
    connection->own_head = malloc(bytes);
    if (connection->own_head == NULL) {
        return false;
    }
    memcpy(connection->own_head, connection->head + connection->head_sent, bytes);
    connection->head = connection->own_head;
    connection->head_bytes = bytes;
    connection->head_sent = 0;
    return true;
}

/* The client is slower than we are: the loop tells when the socket takes more. */
static void send_later(struct connection *connection)
{
    connection->waiting_since_ns = clock_now_ns();
    if (!keep_head(connection) || !watch(connection, reading(connection) | UV_WRITABLE)) {
        connection_abort(connection);
    }
}

static void reply_finish(struct connection *connection)
{
    leave_flight(connection);
    reply_release(connection);
    if (connection->keep_alive) {
        connection->state = CONNECTION_READING;
        connection->waiting_since_ns = connection->now_ns;
        if (!watch(connection, reading(connection))) {
            connection_abort(connection);
        }
    } else if (connection->drain || connection->spill_bytes > 0) {
        drain_start(connection);
    } else {
        connection_close(connection);
    }
}

static void pace_wait(struct connection *connection)
{
    const struct service *service = connection->loop->service;
    connection->slice_left = slice_bytes(service);
    connection->pace_ns += connection->slice_left * NS_PER_S / service->rate;
    deadline_set(&connection->loop->deadlines, &connection->deadline, connection->pace_ns);
    if (!keep_head(connection) || !watch(connection, reading(connection))) {
        connection_abort(connection);
    }
}

/* Before the write that may be the last: a client that reacts to the last byte at once must not
 * be counted twice, on whichever loop its next request arrives. */
static void leave_before_last(struct connection *connection)
{
    leave_flight(connection);
    if (!connection->keep_alive) {
        leave_open(connection);
    }
}

/* It was not the last. */
static void enter_again(struct connection *connection, bool was_in_flight)
{
    if (was_in_flight && !connection->in_flight) {
        connection->in_flight = true;
        counters_enter(connection->loop->counters);
    }
}

/* @return bytes sent, below `bytes` when the socket takes no more; -errno */
static ssize_t send_some(struct connection *connection, struct iovec *pieces, size_t count,
                         size_t bytes)
{
    bool was_in_flight = connection->in_flight;
    if (bytes == unsent_bytes(connection)) {
        leave_before_last(connection);
    }
    ssize_t sent = send_pieces(connection, pieces, count);
    if (sent < 0 && errno != EAGAIN && errno != EINTR) {
        return -errno;
    }
    note_sent(connection, sent < 0 ? 0 : (size_t)sent);
    if (unsent_bytes(connection) > 0) {
        enter_again(connection, was_in_flight);
    }
    return sent < 0 ? 0 : sent;
}

static void send_more(struct connection *connection)
{
    for (size_t total = 0; total < SEND_TURN_BYTES;) {
        struct iovec pieces[2];
        size_t count = next_pieces(connection, pieces);
        if (count == 0) {
            pace_wait(connection);
            return;
        }
        size_t bytes = pieces[0].iov_len + (count > 1 ? pieces[1].iov_len : 0);
        ssize_t sent = send_some(connection, pieces, count, bytes);
        if (sent < 0) {
            connection_abort(connection);
            return;
        }
        if (unsent_bytes(connection) == 0) {
            reply_finish(connection);
            return;
        }
        if ((size_t)sent < bytes) {
            break;
        }
        total += (size_t)sent;
    }
    send_later(connection);
}

/* An answer that nothing holds up waits for the others of this turn, when all of it lies in one
 * piece that stays: not so a head in loop->head_buffer, which the next answer writes to. It does
 * not wait where it would make others late: those that have a deadline, or those to the requests
 * that follow it. @return whether it waits */
static bool send_with_others(struct connection *connection)
{
    struct event_loop *loop = connection->loop;
    struct iovec pieces[2];
    if (send_batch_is_full(&loop->sends) || loop->deadlines.count > 0 || connection->followed ||
        connection->head == loop->head_buffer || next_pieces(connection, pieces) != 1 ||
        pieces[0].iov_len != unsent_bytes(connection)) {
        return false;
    }
    connection->batch_place = send_batch_add(&loop->sends, connection, connection->fd, pieces[0]);
    return true;
}

/* @param sent  bytes or -errno, of an answer that has left the batch. No other connection is
 * touched: it may be one whose turn is yet to come. */
static void batch_sent(struct connection *connection, int sent, uint64_t now_ns)
{
    assert(connection->state == CONNECTION_SENDING && connection->batch_place > 0);
    connection->batch_place = 0;
    connection->now_ns = now_ns;
    if (sent < 0 && sent != -EAGAIN && sent != -EINTR) {
        connection_abort(connection);
        return;
    }
    note_sent(connection, sent < 0 ? 0 : (size_t)sent);
    if (unsent_bytes(connection) == 0) {
        reply_finish(connection);
    } else {
        enter_again(connection, connection->reply.counted);
        send_more(connection);
    }
    consume_spill(connection);
}

/* @return how many there were; what is at `items` may be in the batch again later */
static size_t batch_send(struct event_loop *loop, struct send_item items[SEND_BATCH_MAX])
{
    struct send_batch *batch = &loop->sends;
    size_t kept = 0;
    for (size_t i = batch->first; i < batch->first + batch->count; i++) {
        if (batch->items[i].connection != NULL) {
            leave_before_last(batch->items[i].connection);
        }
    }
    send_batch_submit(batch);
    for (size_t i = batch->first; i < batch->first + batch->count; i++) {
        if (batch->items[i].connection != NULL) {
            items[kept++] = batch->items[i];
        }
    }
    batch->count = 0;
    counters_add(&loop->own_counters->batched, kept);
    return kept;
}

uint64_t connection_send_batch(struct event_loop *loop)
{
    uint64_t now_ns = 0;
    do {
        struct send_item items[SEND_BATCH_MAX];
        size_t count = batch_send(loop, items);
        now_ns = clock_now_ns();
        for (size_t i = 0; i < count; i++) {
            batch_sent(items[i].connection, items[i].sent, now_ns);
        }
    } while (loop->sends.count > 0);
    return now_ns;
}

/* All or none. @return whether the ring has them */
static bool batch_depart(struct event_loop *loop)
{
    struct send_batch *batch = &loop->sends;
    size_t departed = 0;
    if (batch->departed > 0 || !completion_ring_has_room(&loop->completions, batch->count)) {
        return false;
    }
    for (size_t i = batch->first; i < batch->first + batch->count; i++) {
        const struct send_item *item = &batch->items[i];
        if (item->connection != NULL) {
            leave_before_last(item->connection);
            completion_ring_send(&loop->completions, item->fd, item->piece, i);
            departed++;
        }
    }
    send_batch_depart(batch, departed);
    counters_add(&loop->own_counters->batched, departed);
    return true;
}

void connection_hand_batch(struct event_loop *loop)
{
    if (!batch_depart(loop)) {
        (void)connection_send_batch(loop);
    }
}

void connection_answered(struct event_loop *loop, const struct completion *completion)
{
    struct send_batch *batch = &loop->sends;
    struct connection *connection = batch->items[completion->place].connection;
    batch->departed--;
    if (connection == NULL) {
        return;
    }
    batch_sent(connection, completion->result, clock_now_ns());
    if (connection->has_ended && connection->state != CONNECTION_CLOSING) {
        connection_abort(connection);
    }
    if (loop->sends.count > 0) {
        (void)event_loop_turn(loop); /* it brought a request that waited for this */
    }
}

static void make_head(struct connection *connection)
{
    struct event_loop *loop = connection->loop;
    const struct reply *reply = &connection->reply;
    const char *date = event_loop_date(loop);
    connection->head_sent = 0;
    if (reply->canned != NULL && connection->keep_alive && !connection->version_1_0) {
        canned_set_date(reply->canned, loop->date_second, date);
        connection->head = reply->canned->head;
        connection->head_bytes = reply->canned->head_bytes;
        connection->reply.body.base = connection->head + connection->head_bytes;
        return;
    }
    connection->head = loop->head_buffer;
    connection->head_bytes = reply_head_write(
        &(struct reply_head){
            .status = reply->status,
            .date = date,
            .content_type = reply->content_type,
            .body_bytes = reply->body.bytes,
            .allow = reply->allow,
            .fault_name = reply->fault_name,
            .connection = !connection->keep_alive   ? "close"
                          : connection->version_1_0 ? "keep-alive"
                                                    : NULL,
        },
        loop->head_buffer, NULL);
}

static void send_start(struct connection *connection, uint64_t now_ns)
{
    struct event_loop *loop = connection->loop;
    const struct reply *reply = &connection->reply;
    connection->state = CONNECTION_SENDING;
    connection->slice_left = slice_bytes(loop->service);
    connection->pace_ns = now_ns;
    connection->body_sent = 0;
    connection->body_bytes =
        reply->head_only || !reply_status_has_body(reply->status) ? 0 : reply->body.bytes;
    make_head(connection);
    if (reply->counted) {
        counters_response(loop->own_counters, reply->status, unsent_bytes(connection), now_ns);
        if (reply->delay_ns > 0) {
            histogram_add(&loop->own_counters->lateness, clock_now_ns() - connection->due_ns);
        }
    }
    if (reply->delay_ns > 0 || !send_with_others(connection)) {
        send_more(connection);
    }
}

/* --- answering --- */

static void note_counted(struct connection *connection)
{
    struct event_loop *loop = connection->loop;
    const struct service *service = loop->service;
    connection->requests++;
    if (service->requests_max > 0 && connection->requests >= service->requests_max) {
        connection->keep_alive = false;
    }
    if (!connection->was_counted) {
        connection->was_counted = true;
        counters_open(loop->counters, loop->own_counters);
    }
    connection->in_flight = true;
    counters_enter(loop->counters);
}

void connection_reply(struct connection *connection, const struct reply *reply)
{
    struct event_loop *loop = connection->loop;
    assert(connection->state == CONNECTION_READING);
    connection->reply = *reply;
    if (reply->close) {
        connection->keep_alive = false;
    }
    if (reply->counted) {
        note_counted(connection);
    }
    if (reply->delay_ns == 0) {
        send_start(connection, connection->now_ns);
        return;
    }
    connection->state = CONNECTION_DELAYED;
    connection->due_ns = connection->now_ns + reply->delay_ns;
    deadline_set(&loop->deadlines, &connection->deadline, connection->due_ns);
}

static void on_deadline(struct deadline *deadline, uint64_t at_ns, uint64_t now_ns)
{
    struct connection *connection =
        (struct connection *)((char *)deadline - offsetof(struct connection, deadline));
    (void)at_ns;
    connection->now_ns = now_ns;
    switch (connection->state) {
    case CONNECTION_DELAYED:
        send_start(connection, now_ns);
        consume_spill(connection);
        break;
    case CONNECTION_SENDING:
        send_more(connection);
        consume_spill(connection);
        break;
    case CONNECTION_DRAINING:
        connection_close(connection);
        break;
    case CONNECTION_READING:
    case CONNECTION_CLOSING:
        assert(false);
    }
}

/* --- reading --- */

static void refuse(struct connection *connection, int status)
{
    const char *text = status_text(status);
    struct event_loop *loop = connection->loop;
    if (loop->own_counters != NULL) {
        counters_add(&loop->own_counters->bad_requests, 1);
    }
    connection->drain = true;
    connection->version_1_0 = false;
    connection_reply(connection,
                     &(struct reply){
                         .status = status,
                         .content_type = "text/plain",
                         .body = {.base = text, .ring_bytes = strlen(text), .bytes = strlen(text)},
                         .close = true,
                     });
}

/* Answer requests as long as nothing holds us up. @return bytes used */
static size_t consume(struct connection *connection, const char *data, size_t bytes)
{
    size_t at = 0;
    while (connection->state == CONNECTION_READING && at < bytes) {
        struct request request;
        size_t head_bytes = 0;
        int error = request_parse(data + at, bytes - at, &request, &head_bytes);
        if (error == -EAGAIN) {
            break;
        }
        if (error != 0) {
            refuse(connection, error == -EMSGSIZE ? 431 : 400);
            return bytes;
        }
        at += head_bytes;
        connection->followed = at < bytes;
        connection->keep_alive = request.keep_alive;
        connection->version_1_0 = request.version_1_0;
        if (request.has_body) {
            connection->keep_alive = false;
            connection->drain = true;
        }
        connection->loop->service->on_request(connection, &request);
        assert(connection->state != CONNECTION_READING || connection->keep_alive);
    }
    return at;
}

static bool is_over(const struct connection *connection)
{
    return connection->state == CONNECTION_CLOSING || connection->state == CONNECTION_DRAINING;
}

static bool spill_append(struct connection *connection, const char *data, size_t bytes)
{
    size_t needed = connection->spill_bytes + bytes;
    if (needed > connection->spill_capacity) {
        char *spill = realloc(connection->spill, needed);
        if (spill == NULL) {
            connection_abort(connection);
            return false;
        }
        connection->spill = spill;
        connection->spill_capacity = needed;
    }
    memcpy(connection->spill + connection->spill_bytes, data, bytes);
    connection->spill_bytes = needed;
    return true;
}

static void receive(struct connection *connection, const char *data, size_t bytes)
{
    if (connection->state == CONNECTION_READING && connection->spill_bytes == 0) {
        size_t used = consume(connection, data, bytes);
        data += used;
        bytes -= used;
    }
    if (bytes == 0 || is_over(connection) || !spill_append(connection, data, bytes)) {
        return;
    }
    consume_spill(connection);
    if (!is_over(connection) && connection->state != CONNECTION_READING &&
        reading(connection) == 0 && !watch(connection, connection->watched & ~UV_READABLE)) {
        connection_abort(connection);
    }
}

/* Requests that came while the one before was not answered yet. */
static void consume_spill(struct connection *connection)
{
    if (connection->state != CONNECTION_READING || connection->spill_bytes == 0) {
        return;
    }
    size_t used = consume(connection, connection->spill, connection->spill_bytes);
    if (is_over(connection)) {
        return; /* it has thrown them away */
    }
    connection->spill_bytes -= used;
    memmove(connection->spill, connection->spill + used, connection->spill_bytes);
    if (!watch(connection, (connection->watched & UV_WRITABLE) | reading(connection))) {
        connection_abort(connection);
    }
}

/* @param result  of a receive: bytes at `data`; 0: the end; -errno, none that passes */
static void received(struct connection *connection, const char *data, ssize_t result)
{
    if (result > 0) {
        if (connection->state != CONNECTION_DRAINING) {
            receive(connection, data, (size_t)result);
        }
        return;
    }
    struct event_loop *loop = connection->loop;
    event_loop_serve_due(loop, connection->now_ns, DUE_BEFORE_END);
    if (connection->batch_place > 0) { /* who says that nothing follows may still listen */
        if (send_batch_has_departed(&loop->sends, connection->batch_place)) {
            connection->has_ended = true;
            return;
        }
        (void)connection_send_batch(loop);
    }
    connection_abort(connection);
}

/* One receive for each time that the loop tells: level-triggered, it tells again. */
static void receive_once(struct connection *connection)
{
    char *buffer = connection->loop->read_buffer;
    ssize_t bytes = recv(connection->fd, buffer, READ_BUFFER_BYTES, 0);
    if (bytes >= 0 || (errno != EAGAIN && errno != EINTR)) {
        received(connection, buffer, bytes);
    }
}

/* libuv and the ring may tell of one connection after the other before the turn ends. */
static void let_others_on(struct event_loop *loop, uint64_t now_ns)
{
    if (loop->sends.count == SEND_BATCH_MAX ||
        (loop->sends.count > 0 && loop->deadlines.count > 0)) {
        (void)connection_send_batch(loop);
    }
    event_loop_serve_due(loop, now_ns, 1);
}

/* Out of buffers, or stopped by ourselves: that says nothing of the client. */
static bool is_passing(int result)
{
    return result == -ENOBUFS || result == -ECANCELED || result == -EINTR || result == -EAGAIN;
}

/* Of a connection that has been closed. */
static void receive_over(struct connection *connection)
{
    (void)close(connection->fd);
    if (connection->has_closed) {
        give_back(connection);
    }
}

void connection_received(struct connection *connection, const struct completion *completion)
{
    struct event_loop *loop = connection->loop;
    uint64_t now_ns = event_loop_turn(loop);
    connection->is_receiving = !completion->is_last;
    if (connection->state == CONNECTION_CLOSING) {
        if (completion->is_last) {
            receive_over(connection);
        }
        return;
    }
    connection->now_ns = now_ns;
    if (!is_passing(completion->result)) {
        received(connection, completion->data, completion->result);
    }
    if (completion->is_last && connection->state != CONNECTION_CLOSING && !connection->has_ended &&
        !watch_receive(connection)) {
        connection_abort(connection);
    }
    let_others_on(loop, now_ns);
}

void connection_end_completions(struct event_loop *loop)
{
    completion_ring_close(&loop->completions);
    for (struct connection *each = loop->open; each != NULL;) {
        struct connection *next = each->open_next;
        if (each->is_receiving) {
            each->is_receiving = false;
            receive_over(each);
        }
        each = next;
    }
}

static void on_ready(uv_poll_t *poll, int status, int events)
{
    struct connection *connection = poll->data;
    struct event_loop *loop = connection->loop;
    uint64_t now_ns = event_loop_turn(loop);
    connection->now_ns = now_ns;
    if (status != 0) { /* only of a socket in error, which is no longer watched */
        connection_abort(connection);
        return;
    }
    if ((events & UV_WRITABLE) != 0 && connection->state == CONNECTION_SENDING) {
        send_more(connection);
        consume_spill(connection);
    }
    if ((events & UV_READABLE) != 0 && connection->state != CONNECTION_CLOSING) {
        receive_once(connection);
    }
    let_others_on(loop, now_ns);
}

/* --- the beginning --- */

static struct connection *connection_take(struct event_loop *loop)
{
    struct connection *connection = loop->free;
    if (connection != NULL) {
        loop->free = connection->open_next;
        return connection;
    }
    if (deadline_queue_reserve(&loop->deadlines, loop->deadlines_apart + loop->connections + 1) !=
        0) {
        return NULL;
    }
    connection = malloc(sizeof(*connection));
    loop->connections += connection != NULL;
    return connection;
}

void connection_open(struct event_loop *loop, int fd)
{
    struct connection *connection = connection_take(loop);
    if (connection == NULL) {
        (void)close(fd);
        return;
    }
    memset(connection, 0, sizeof(*connection));
    connection->loop = loop;
    connection->fd = fd;
    connection->deadline.fire = on_deadline;
    connection->poll.data = connection;
    if (uv_poll_init(&loop->uv, &connection->poll, fd) != 0) {
        (void)close(fd);
        connection->open_next = loop->free;
        loop->free = connection;
        return;
    }
    connection->open_next = loop->open;
    if (loop->open != NULL) {
        loop->open->open_previous = connection;
    }
    loop->open = connection;
    connection->waiting_since_ns = clock_now_ns();
    patrol_append(connection, connection->waiting_since_ns);
    if (!watch(connection, UV_READABLE)) {
        connection_close(connection);
    }
}

static bool waits_for_client(const struct connection *connection)
{
    return connection->state == CONNECTION_READING ||
           (connection->state == CONNECTION_SENDING && (connection->watched & UV_WRITABLE) != 0);
}

/* Each is looked at once in idle_ns, so that a request costs no more than noting the time. */
void connection_close_idle(struct event_loop *loop)
{
    const uint64_t idle_ns = loop->service->idle_ns;
    uint64_t now_ns = clock_now_ns();
    while (loop->patrol != NULL && now_ns > loop->patrol->patrolled_ns + idle_ns) {
        struct connection *connection = loop->patrol;
        if (waits_for_client(connection) && now_ns > connection->waiting_since_ns + idle_ns) {
            connection_abort(connection);
        } else {
            patrol_remove(connection);
            patrol_append(connection, now_ns);
        }
        event_loop_serve_due(loop, now_ns, 1);
        now_ns = clock_now_ns();
    }
}

void connection_close_all(struct event_loop *loop)
{
    for (struct connection *each = loop->open; each != NULL; each = each->open_next) {
        connection_close(each);
    }
}

void connection_free_all(struct event_loop *loop)
{
    while (loop->free != NULL) {
        struct connection *connection = loop->free;
        loop->free = connection->open_next;
        free(connection);
    }
}
