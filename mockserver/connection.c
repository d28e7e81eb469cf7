#include "connection.h"

#include "status.h"

#include "backends/clock.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define SPILL_BYTES_STOP 65536 /* with this much unread the client has to wait */
#define DRAIN_NS (1 * NS_PER_S)
#define SLICES_PER_S 100

static void consume_spill(struct connection *connection);
static void send_more(struct connection *connection);

/* --- the list of those that wait for their clients --- */

static void idle_remove(struct connection *connection)
{
    struct event_loop *loop = connection->loop;
    if (!connection->is_idle) {
        return;
    }
    if (connection->idle_previous != NULL) {
        connection->idle_previous->idle_next = connection->idle_next;
    } else {
        loop->idle = connection->idle_next;
    }
    if (connection->idle_next != NULL) {
        connection->idle_next->idle_previous = connection->idle_previous;
    } else {
        loop->idle_last = connection->idle_previous;
    }
    connection->is_idle = false;
}

static void idle_add(struct connection *connection, uint64_t now_ns)
{
    struct event_loop *loop = connection->loop;
    idle_remove(connection);
    connection->idle_since_ns = now_ns;
    connection->idle_next = NULL;
    connection->idle_previous = loop->idle_last;
    if (loop->idle_last != NULL) {
        loop->idle_last->idle_next = connection;
    } else {
        loop->idle = connection;
    }
    loop->idle_last = connection;
    connection->is_idle = true;
}

/* --- the end --- */

static void on_closed(uv_handle_t *handle)
{
    struct connection *connection = handle->data;
    struct event_loop *loop = connection->loop;
    if (connection->open_previous != NULL) {
        connection->open_previous->open_next = connection->open_next;
    } else {
        loop->open = connection->open_next;
    }
    if (connection->open_next != NULL) {
        connection->open_next->open_previous = connection->open_previous;
    }
    free(connection->spill);
    connection->spill = NULL;
    connection->open_next = loop->free;
    loop->free = connection;
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
    free(connection->reply.owned);
    connection->reply.owned = NULL;
}

static uint64_t unsent_bytes(const struct connection *connection)
{
    return connection->head_bytes - connection->head_sent + connection->body_bytes -
           connection->body_sent;
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
    deadline_clear(&loop->deadlines, &connection->deadline);
    idle_remove(connection);
    leave_flight(connection);
    leave_open(connection);
    /* A pending write still points into the body: it ends before the close callback. */
    if (!connection->write_pending) {
        reply_release(connection);
    }
    uv_close((uv_handle_t *)&connection->tcp, on_closed);
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

static void on_shutdown(uv_shutdown_t *shutdown, int status)
{
    (void)shutdown;
    (void)status; /* the drain ends with the client's end, or at its deadline */
}

/* Closing with input unread would reset the connection and could destroy the answer on its
 * way: say that nothing follows, and throw away what comes (RFC 9112 section 9.6). */
static void drain_start(struct connection *connection)
{
    struct event_loop *loop = connection->loop;
    connection->state = CONNECTION_DRAINING;
    connection->spill_bytes = 0;
    idle_remove(connection);
    if (uv_shutdown(&connection->shutdown, (uv_stream_t *)&connection->tcp, on_shutdown) != 0) {
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

/* What may be sent now. @return the number of buffers: 0 when it has to wait for its pace */
static unsigned next_buffers(struct connection *connection, uv_buf_t buffers[2], size_t *bytes)
{
    const struct body *body = &connection->reply.body;
    unsigned count = 0;
    *bytes = 0;
    if (connection->head_sent < connection->head_bytes) {
        *bytes = connection->head_bytes - connection->head_sent;
        buffers[count++] = uv_buf_init(connection->head + connection->head_sent, (unsigned)*bytes);
    }
    uint64_t rest = connection->body_bytes - connection->body_sent;
    rest = rest < connection->slice_left ? rest : connection->slice_left;
    if (rest > 0) {
        uint64_t at = (body->start + connection->body_sent) % body->ring_bytes;
        uint64_t straight = body->ring_bytes - at;
        rest = rest < straight ? rest : straight;
        /* libuv's buffers are not const, but it only reads them here. */
        buffers[count++] = uv_buf_init((char *)(uintptr_t)(body->base + at), (unsigned)rest);
        *bytes += (size_t)rest;
    }
    return count;
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

static void on_written(uv_write_t *write, int status)
{
    struct connection *connection = write->data;
    connection->write_pending = false;
    if (connection->state != CONNECTION_SENDING) {
        reply_release(connection);
        return;
    }
    if (status != 0) {
        connection_abort(connection);
        return;
    }
    note_sent(connection, connection->write_bytes);
    idle_remove(connection);
    send_more(connection);
    connection->now_ns = clock_now_ns();
    consume_spill(connection);
}

/* The client is slower than we are: the loop sends the rest when the socket takes it. */
static void write_rest(struct connection *connection)
{
    uv_buf_t buffers[2];
    unsigned count = next_buffers(connection, buffers, &connection->write_bytes);
    connection->write.data = connection;
    connection->write_pending = true;
    idle_add(connection, clock_now_ns());
    if (uv_write(&connection->write, (uv_stream_t *)&connection->tcp, buffers, count, on_written) !=
        0) {
        connection->write_pending = false;
        connection_abort(connection);
    }
}

static void reply_finish(struct connection *connection)
{
    leave_flight(connection);
    reply_release(connection);
    if (connection->keep_alive) {
        connection->state = CONNECTION_READING;
        idle_add(connection, connection->now_ns);
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
}

static void send_more(struct connection *connection)
{
    while (!connection->write_pending) {
        uv_buf_t buffers[2];
        size_t bytes = 0;
        uint64_t unsent = unsent_bytes(connection);
        if (unsent == 0) {
            reply_finish(connection);
            return;
        }
        unsigned count = next_buffers(connection, buffers, &bytes);
        if (count == 0) {
            pace_wait(connection);
            return;
        }
        if (bytes == unsent) {
            /* Before the write: a client that reacts to the last byte at once must not be
             * counted twice, on whichever loop its next request arrives. */
            leave_flight(connection);
            if (!connection->keep_alive) {
                leave_open(connection);
            }
        }
        int sent = uv_try_write((uv_stream_t *)&connection->tcp, buffers, count);
        if (sent < 0 && sent != UV_EAGAIN) {
            connection_abort(connection);
            return;
        }
        note_sent(connection, sent < 0 ? 0 : (size_t)sent);
        if (sent < 0 || (size_t)sent < bytes) {
            write_rest(connection);
        }
    }
}

static void send_start(struct connection *connection, uint64_t now_ns)
{
    struct event_loop *loop = connection->loop;
    connection->state = CONNECTION_SENDING;
    connection->slice_left = slice_bytes(loop->service);
    connection->pace_ns = now_ns;
    if (connection->reply.counted) {
        counters_response(loop->own_counters, connection->reply.status, unsent_bytes(connection),
                          now_ns);
    }
    send_more(connection);
}

/* --- answering --- */

static void head_put(struct connection *connection, const char *text, size_t bytes)
{
    assert(connection->head_bytes + bytes <= sizeof(connection->head));
    memcpy(connection->head + connection->head_bytes, text, bytes);
    connection->head_bytes += bytes;
}

static void head_put_text(struct connection *connection, const char *text)
{
    head_put(connection, text, strlen(text));
}

static void head_put_number(struct connection *connection, uint64_t number)
{
    char digits[20];
    size_t at = sizeof(digits);
    do {
        digits[--at] = (char)('0' + number % 10);
        number /= 10;
    } while (number > 0);
    head_put(connection, digits + at, sizeof(digits) - at);
}

static void head_put_field(struct connection *connection, const char *name, const char *value)
{
    if (value != NULL) {
        head_put_text(connection, name);
        head_put_text(connection, value);
        head_put(connection, "\r\n", 2);
    }
}

static bool status_has_body(int status)
{
    return status != 204 && status != 304; /* RFC 9112 section 6.3 */
}

static void make_head(struct connection *connection, const struct reply *reply)
{
    const char *reason = status_text(reply->status);
    connection->head_bytes = 0;
    connection->head_sent = 0;
    head_put_text(connection, "HTTP/1.1 ");
    head_put_number(connection, (uint64_t)reply->status);
    head_put(connection, " ", 1);
    head_put(connection, reason, strlen(reason) - 1);
    head_put_text(connection, "\r\nDate: ");
    head_put(connection, event_loop_date(connection->loop), HTTP_DATE_BYTES);
    head_put_text(connection, "\r\nServer: bench-mockserver\r\n");
    if (status_has_body(reply->status)) {
        head_put_field(connection, "Content-Type: ", reply->content_type);
        head_put_text(connection, "Content-Length: ");
        head_put_number(connection, reply->body.bytes);
        head_put(connection, "\r\n", 2);
    }
    head_put_field(connection, "Allow: ", reply->allow);
    head_put_field(connection, "X-Fault: ", reply->fault_name);
    if (!connection->keep_alive) {
        head_put_field(connection, "Connection: ", "close");
    } else if (connection->version_1_0) {
        head_put_field(connection, "Connection: ", "keep-alive");
    }
    head_put(connection, "\r\n", 2);
}

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
    make_head(connection, reply);
    connection->body_sent = 0;
    connection->body_bytes =
        reply->head_only || !status_has_body(reply->status) ? 0 : reply->body.bytes;
    if (reply->delay_ns == 0) {
        send_start(connection, connection->now_ns);
        return;
    }
    connection->state = CONNECTION_DELAYED;
    idle_remove(connection);
    deadline_set(&loop->deadlines, &connection->deadline, connection->now_ns + reply->delay_ns);
}

static void on_deadline(struct deadline *deadline, uint64_t at_ns)
{
    struct connection *connection =
        (struct connection *)((char *)deadline - offsetof(struct connection, deadline));
    uint64_t now_ns = clock_now_ns();
    switch (connection->state) {
    case CONNECTION_DELAYED:
        if (connection->reply.counted) {
            histogram_add(&connection->loop->own_counters->lateness, now_ns - at_ns);
        }
        connection->now_ns = now_ns;
        send_start(connection, now_ns);
        consume_spill(connection);
        break;
    case CONNECTION_SENDING:
        connection->now_ns = now_ns;
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
    connection_reply(connection, &(struct reply){
                                     .status = status,
                                     .content_type = "text/plain",
                                     .body = {.base = (const uint8_t *)text,
                                              .ring_bytes = strlen(text),
                                              .bytes = strlen(text)},
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

static void on_buffer(uv_handle_t *handle, size_t suggested, uv_buf_t *buffer)
{
    const struct connection *connection = handle->data;
    (void)suggested;
    *buffer = uv_buf_init(connection->loop->read_buffer, READ_BUFFER_BYTES);
}

static void receive(struct connection *connection, const char *data, size_t bytes)
{
    if (connection->state == CONNECTION_CLOSING || connection->state == CONNECTION_DRAINING) {
        return;
    }
    if (connection->state == CONNECTION_READING && connection->spill_bytes == 0) {
        size_t used = consume(connection, data, bytes);
        data += used;
        bytes -= used;
        if (bytes == 0 || connection->state == CONNECTION_CLOSING ||
            connection->state == CONNECTION_DRAINING) {
            return;
        }
    }
    if (!spill_append(connection, data, bytes)) {
        return;
    }
    consume_spill(connection);
    if (connection->state != CONNECTION_READING && connection->state != CONNECTION_CLOSING &&
        connection->spill_bytes > SPILL_BYTES_STOP) {
        (void)uv_read_stop((uv_stream_t *)&connection->tcp);
        connection->read_stopped = true;
    }
}

static void on_read(uv_stream_t *stream, ssize_t bytes, const uv_buf_t *buffer)
{
    struct connection *connection = stream->data;
    struct event_loop *loop = connection->loop;
    if (bytes == 0) {
        return;
    }
    if (bytes < 0) {
        connection_abort(connection);
        return;
    }
    uint64_t now_ns = clock_now_ns();
    /* A loop busy with a thousand new requests must not keep due answers waiting. */
    if (deadline_queue_is_due(&loop->deadlines, now_ns)) {
        deadline_queue_run(&loop->deadlines, now_ns);
    }
    connection->now_ns = now_ns;
    receive(connection, buffer->base, (size_t)bytes);
}

/* Requests that came while the one before was not answered yet. */
static void consume_spill(struct connection *connection)
{
    if (connection->state != CONNECTION_READING || connection->spill_bytes == 0) {
        return;
    }
    size_t used = consume(connection, connection->spill, connection->spill_bytes);
    /* Draining has thrown it away already. */
    connection->spill_bytes -= used < connection->spill_bytes ? used : connection->spill_bytes;
    if (connection->spill_bytes > 0) {
        memmove(connection->spill, connection->spill + used, connection->spill_bytes);
    }
    if (connection->read_stopped && connection->state != CONNECTION_CLOSING &&
        connection->spill_bytes <= SPILL_BYTES_STOP) {
        connection->read_stopped = false;
        if (uv_read_start((uv_stream_t *)&connection->tcp, on_buffer, on_read) != 0) {
            connection_abort(connection);
        }
    }
}

/* --- the beginning --- */

static struct connection *connection_take(struct event_loop *loop)
{
    struct connection *connection = loop->free;
    if (connection != NULL) {
        loop->free = connection->open_next;
        return connection;
    }
    if (deadline_queue_reserve(&loop->deadlines, loop->connections + 1) != 0) {
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
    connection->deadline.fire = on_deadline;
    connection->tcp.data = connection;
    connection->open_next = loop->open;
    if (loop->open != NULL) {
        loop->open->open_previous = connection;
    }
    loop->open = connection;
    (void)uv_tcp_init(&loop->uv, &connection->tcp); /* cannot fail without a family */
    if (uv_tcp_open(&connection->tcp, fd) != 0) {
        (void)close(fd);
        connection_close(connection);
        return;
    }
    if (uv_read_start((uv_stream_t *)&connection->tcp, on_buffer, on_read) != 0) {
        connection_close(connection);
        return;
    }
    idle_add(connection, clock_now_ns());
}

void connection_close_idle(struct event_loop *loop, uint64_t now_ns)
{
    while (loop->idle != NULL && now_ns - loop->idle->idle_since_ns > loop->service->idle_ns &&
           now_ns > loop->idle->idle_since_ns) {
        connection_abort(loop->idle);
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
