#include "dns_stream.h"

#include "backends/clock.h"

#include <stdint.h>
#include <string.h>

#define BACKLOG 65535           /* the system cuts it to net.core.somaxconn */
#define IDLE_NS (10 * NS_PER_S) /* "of the order of a few seconds": RFC 7766 section 6.2.3 */

static void accept_stream(struct dns_service *service);

static struct dns_stream *stream_take(struct dns_service *service)
{
    struct dns_stream *stream = service->free_streams;
    if (stream != NULL) {
        service->free_streams = stream->next_free;
    } else if (service->streams_used < DNS_STREAMS_MAX) {
        stream = &service->streams[service->streams_used++];
    }
    return stream;
}

static void stream_give_back(struct dns_stream *stream)
{
    stream->next_free = stream->service->free_streams;
    stream->service->free_streams = stream;
}

static void on_closed(uv_handle_t *handle)
{
    struct dns_stream *stream = handle->data;
    struct dns_service *service = stream->service;
    stream_give_back(stream);
    if (service->accepts_later && service->has_tcp) {
        service->accepts_later = false;
        accept_stream(service);
    }
}

/* What it still waits for is not sent: RFC 7766 section 6.2.4. */
static void stream_close(struct dns_stream *stream)
{
    struct dns_service *service = stream->service;
    if (!stream->is_open) {
        return;
    }
    stream->is_open = false;
    struct dns_query *queries = stream->queries;
    stream->queries = NULL;
    counters_add(&service->own_counters->client_aborts, dns_service_forget(queries) > 0);
    deadline_clear(&service->loop->deadlines, &stream->idle);
    counters_close(&service->counters);
    uv_close((uv_handle_t *)&stream->tcp, on_closed);
}

static void on_idle(struct deadline *deadline, uint64_t at_ns, uint64_t now_ns)
{
    struct dns_stream *stream =
        (struct dns_stream *)(void *)((char *)deadline - offsetof(struct dns_stream, idle));
    (void)at_ns;
    uint64_t since_ns = stream->queries != NULL ? now_ns : stream->active_ns;
    if (now_ns >= since_ns + IDLE_NS) {
        stream_close(stream);
    } else {
        deadline_set(&stream->service->loop->deadlines, &stream->idle, since_ns + IDLE_NS);
    }
}

void dns_stream_send(struct dns_stream *stream, const uint8_t *framed, size_t bytes)
{
    uv_buf_t piece = uv_buf_init((char *)(uintptr_t)framed, (unsigned)bytes);
    stream->active_ns = clock_now_ns();
    if (uv_try_write((uv_stream_t *)&stream->tcp, &piece, 1) != (int)bytes) {
        stream_close(stream);
    }
}

/* Whole messages of what has come. */
static void take_messages(struct dns_stream *stream)
{
    size_t at = 0;
    while (stream->is_open && stream->used - at >= DNS_LENGTH_BYTES) {
        const uint8_t *message = stream->buffer + at + DNS_LENGTH_BYTES;
        size_t bytes = (size_t)stream->buffer[at] << 8 | stream->buffer[at + 1];
        if (bytes > DNS_STREAM_QUERY_BYTES_MAX) {
            counters_add(&stream->service->own_counters->bad_requests, 1);
            stream_close(stream);
            return;
        }
        if (stream->used - at - DNS_LENGTH_BYTES < bytes) {
            break;
        }
        dns_service_take(stream->service, message, bytes, &(struct dns_client){.stream = stream});
        at += DNS_LENGTH_BYTES + bytes;
    }
    stream->used -= at;
    memmove(stream->buffer, stream->buffer + at, stream->used);
}

/* There always is room: what fills the buffer is a message, and was taken. */
static void on_buffer(uv_handle_t *handle, size_t suggested, uv_buf_t *buffer)
{
    struct dns_stream *stream = handle->data;
    (void)suggested;
    *buffer = uv_buf_init((char *)stream->buffer + stream->used,
                          (unsigned)(sizeof(stream->buffer) - stream->used));
}

static void on_bytes(uv_stream_t *handle, ssize_t bytes, const uv_buf_t *buffer)
{
    struct dns_stream *stream = handle->data;
    (void)buffer;
    uint64_t now_ns = event_loop_turn(stream->service->loop);
    if (bytes < 0) {
        stream_close(stream);
        return;
    }
    stream->active_ns = now_ns;
    stream->used += (size_t)bytes;
    take_messages(stream);
    event_loop_serve_due(stream->service->loop, now_ns, 1);
}

static void stream_begin(struct dns_service *service, struct dns_stream *stream)
{
    stream->is_open = true;
    stream->tcp.data = stream;
    stream->idle.fire = on_idle;
    stream->active_ns = clock_now_ns();
    counters_open(&service->counters, service->own_counters);
    deadline_set(&service->loop->deadlines, &stream->idle, stream->active_ns + IDLE_NS);
    if (uv_accept((uv_stream_t *)&service->tcp, (uv_stream_t *)&stream->tcp) != 0 ||
        uv_read_start((uv_stream_t *)&stream->tcp, on_buffer, on_bytes) != 0) {
        stream_close(stream);
    }
}

/* Until it is accepted, libuv looks for no other. */
static void accept_stream(struct dns_service *service)
{
    struct dns_stream *stream = stream_take(service);
    if (stream == NULL) {
        service->accepts_later = true;
        return;
    }
    *stream = (struct dns_stream){.service = service};
    (void)uv_tcp_init(&service->loop->uv, &stream->tcp); /* makes no socket yet: cannot fail */
    stream_begin(service, stream);
}

static void on_stream(uv_stream_t *listener, int status)
{
    struct dns_service *service = listener->data;
    (void)event_loop_turn(service->loop);
    if (status == 0) {
        accept_stream(service);
    }
}

int dns_stream_listen(struct dns_service *service, struct dns_sockets *sockets)
{
    int error = uv_tcp_init(&service->loop->uv, &service->tcp);
    if (error != 0) {
        return error;
    }
    service->has_tcp = true;
    service->tcp.data = service;
    error = uv_tcp_open(&service->tcp, sockets->tcp_fd);
    if (error == 0) {
        sockets->tcp_fd = -1;
        error = uv_listen((uv_stream_t *)&service->tcp, BACKLOG, on_stream);
    }
    return error;
}

void dns_stream_stop(struct dns_service *service)
{
    if (service->has_tcp) {
        uv_close((uv_handle_t *)&service->tcp, NULL);
        service->has_tcp = false;
    }
    for (size_t i = 0; i < service->streams_used; i++) {
        stream_close(&service->streams[i]);
    }
}
