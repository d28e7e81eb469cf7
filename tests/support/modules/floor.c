/*
 * The floor under every client that waits for readiness: epoll_wait(2), recv(2), send(2), and next
 * to nothing in between. Of an answer it looks for the end of the head and counts the rest; what
 * it claims about a body is what was expected. So it is a plug-in for scripts/floor, which tells
 * what of a model's CPU any client would have to pay, and no backend: it believes the server all.
 *
 * With FLOOR_HASH each body that arrives in one piece, as nearly all do, is hashed as well, in the
 * way of the backends, and must be the expected one.
 */
#include "backends/backend.h"
#include "backends/body_hash.h"
#include "backends/clock.h"
#include "backends/http1.h"
#include "backends/raw_socket.h"
#include "backends/target.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#define BUFFER_BYTES 65536
#define EVENTS_MAX 256
#define REQUEST_BYTES_MAX 1024 /* of a flag's URL and a token */

struct connection {
    int fd;       /* 0: none yet */
    size_t index; /* of the request at hand */
    uint64_t body_bytes;
    bool in_body;
};

struct client {
    const struct download_job *job;
    struct transfer_result *results;
    struct connection *connections;
    struct target_table targets;
    size_t started;
    size_t done;
    int epoll_fd;
    char *buffer;
};

/* The text that the backends send. @return 0; -errno of a request that is too long or not sent */
static int request_send(const struct client *client, const struct connection *connection)
{
    const struct download_job *job = client->job;
    struct target spare;
    char text[REQUEST_BYTES_MAX];

    const struct target *target =
        target_find(&client->targets, job->requests[connection->index].url, &spare);
    const struct http1_request request = {
        .authority = target->authority,
        .authority_bytes = target->authority_bytes,
        .path = target->path,
        .path_bytes = target->path_bytes,
        .run_mark = job->run_mark,
        .number = connection->index,
        .attempt = 1,
    };
    if (http1_request_bytes_max(&request) > sizeof text) {
        return -ENAMETOOLONG;
    }
    size_t bytes = http1_request_write(&request, text, sizeof text);
    return send(connection->fd, text, bytes, MSG_NOSIGNAL) == (ssize_t)bytes ? 0 : -EIO;
}

/* @return 0 or -errno */
static int start(struct client *client, struct connection *connection, uint64_t started_ns)
{
    if (client->started == client->job->count) {
        return 0;
    }
    connection->index = client->started++;
    connection->body_bytes = 0;
    connection->in_body = false;
    client->results[connection->index].started_ns = started_ns;
    return request_send(client, connection);
}

static int finish(struct client *client, struct connection *connection, uint64_t finished_ns)
{
    const struct transfer_request *request = &client->job->requests[connection->index];
    struct transfer_result *slot = &client->results[connection->index];

    slot->status = TRANSFER_OK;
    slot->http_status = 200;
    slot->attempts = 1;
    slot->connection = (uint32_t)(connection - client->connections) + 1;
    slot->body_bytes = request->expected_bytes;
    slot->body_xxh3 = request->expected_xxh3;
    slot->first_byte_ns = finished_ns;
    slot->finished_ns = finished_ns;
    client->done++;
    return start(client, connection, finished_ns);
}

static bool is_expected(const struct transfer_request *request, const char *body, size_t bytes)
{
    return !FLOOR_HASH || bytes != request->expected_bytes ||
           body_hash(body, bytes) == request->expected_xxh3;
}

static int receive(struct client *client, struct connection *connection)
{
    const struct transfer_request *request = &client->job->requests[connection->index];
    const char *body = client->buffer;

    ssize_t bytes = recv(connection->fd, client->buffer, BUFFER_BYTES, 0);
    if (bytes <= 0) {
        return bytes == 0 ? -ECONNRESET : -errno;
    }
    if (!connection->in_body) {
        const char *end = memmem(body, (size_t)bytes, "\r\n\r\n", 4);
        if (end == NULL) {
            return -EPROTO;
        }
        bytes -= end + 4 - body;
        body = end + 4;
        connection->in_body = true;
    }
    connection->body_bytes += (size_t)bytes;
    if (connection->body_bytes > request->expected_bytes ||
        !is_expected(request, body, (size_t)bytes)) {
        return -EPROTO;
    }
    return connection->body_bytes == request->expected_bytes
               ? finish(client, connection, clock_now_ns())
               : 0;
}

static int turn(struct client *client)
{
    struct epoll_event events[EVENTS_MAX];
    int result = 0;

    int count = epoll_wait(client->epoll_fd, events, EVENTS_MAX,
                           (int)(client->job->timeout_ns / NS_PER_MS));
    if (count == 0) {
        return -ETIMEDOUT;
    }
    if (count < 0) {
        return errno == EINTR ? 0 : -errno;
    }
    for (int i = 0; i < count && result == 0; i++) {
        result = receive(client, events[i].data.ptr);
    }
    return result;
}

static int connection_open(struct client *client, struct connection *connection)
{
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = connection};
    struct target spare;
    const struct endpoint *endpoint =
        target_find(&client->targets, client->job->requests[0].url, &spare)->endpoint;

    int fd = raw_socket_open(endpoint, 0);
    if (fd < 0) {
        return fd;
    }
    connection->fd = fd;
    if (connect(fd, (const struct sockaddr *)&endpoint->address, endpoint->address_bytes) < 0 ||
        epoll_ctl(client->epoll_fd, EPOLL_CTL_ADD, fd, &event) < 0) {
        return -errno;
    }
    return start(client, connection, clock_now_ns());
}

static int client_run(struct client *client)
{
    int result = target_table_init(&client->targets, client->job);

    for (uint32_t i = 0; result == 0 && i < client->job->concurrency; i++) {
        result = connection_open(client, &client->connections[i]);
    }
    while (result == 0 && client->done < client->job->count) {
        result = turn(client);
    }
    return result;
}

static int download_many(const struct download_job *job, struct transfer_result *results)
{
    struct client client = {
        .job = job,
        .results = results,
        .connections = calloc(job->concurrency, sizeof *client.connections),
        .epoll_fd = epoll_create1(EPOLL_CLOEXEC),
        .buffer = malloc(BUFFER_BYTES),
    };
    int result = -ENOMEM;

    if (client.connections != NULL && client.buffer != NULL && client.epoll_fd >= 0) {
        result = client_run(&client);
    }
    for (uint32_t i = 0; client.connections != NULL && i < job->concurrency; i++) {
        if (client.connections[i].fd > 0) {
            (void)close(client.connections[i].fd);
        }
    }
    if (client.epoll_fd >= 0) {
        (void)close(client.epoll_fd);
    }
    target_table_release(&client.targets);
    free(client.buffer);
    free(client.connections);
    return result;
}

const struct bench_backend *bench_backend_v1(void)
{
    static const struct bench_backend backend = {
        .magic = BENCH_BACKEND_MAGIC,
        .abi_major = BENCH_ABI_MAJOR,
        .abi_minor = BENCH_ABI_MINOR,
        .struct_size = sizeof backend,
        .caps = BENCH_CAP_CONCURRENT,
        .name = FLOOR_HASH ? "floor_hash" : "floor",
        .engine = "none",
        .model = "epoll",
        .waits_in = "epoll_wait(2)",
        .summary = "receives and sends, and believes what it receives",
        .download_many = download_many,
    };
    return &backend;
}
