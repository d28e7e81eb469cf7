#include "raw_blocking.h"

#include "clock.h"
#include "raw_socket.h"
#include "save.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#define BUFFER_BYTES 65536

#define WAIT_MAX_NS NS_PER_S
/* backend.h says 100 ms at least; the kernel rounds up, to ticks of as much as 10 ms. */
#define CANCEL_POLL_NS (80 * NS_PER_MS)
#define PATIENCE_EXACT_NS (10 * NS_PER_MS)

/* ---- how long a call may block ---- */

/*
 * The kernel keeps the timeout of a socket in a timer wheel (kernel/time/timer.c), which is late
 * by up to an eighth. So all but an eighth of what is left is asked for, then all but an eighth
 * of the rest, until a tick or two are left: a transfer that times out is woken a few times.
 */
static uint64_t patience_of(const struct blocking_place *place, uint64_t left_ns)
{
    const uint64_t max_ns = job_run_is_watched(place->run) ? CANCEL_POLL_NS : WAIT_MAX_NS;
    uint64_t patience_ns = left_ns > PATIENCE_EXACT_NS ? left_ns - left_ns / 8 : left_ns;

    return patience_ns < max_ns ? patience_ns : max_ns;
}

/*
 * The deadline is one moment for all the calls of an attempt, but a socket knows durations only.
 * Setting one before every call would be a third system call per transfer. It is due only when
 * the one that is set could sleep through the deadline; one that is too short does no harm, since
 * the call that it wakes sets another.
 *
 * @param set_ns  what the socket has
 * @return 0, or why the call must not be made: an errno value as exchange_fail takes it
 */
static int patience_set(const struct blocking_place *place, int option, uint64_t *set_ns)
{
    const uint64_t deadline_ns = place->exchange.transfer.deadline_ns;

    if (!job_run_goes_on(place->run) || transfer_cancelled(place->run->job)) {
        return ECANCELED;
    }
    if (place->now_ns >= deadline_ns) {
        return ETIMEDOUT;
    }
    const uint64_t left_ns = deadline_ns - place->now_ns;
    if (*set_ns != 0 && *set_ns <= left_ns) {
        return 0;
    }
    const uint64_t patience_ns = patience_of(place, left_ns);
    const uint64_t patience_us = patience_ns / NS_PER_US + 1; /* 0 is for ever */
    const struct timeval patience = {
        .tv_sec = (time_t)(patience_us / (NS_PER_S / NS_PER_US)),
        .tv_usec = (suseconds_t)(patience_us % (NS_PER_S / NS_PER_US)),
    };
    if (setsockopt(place->fd, SOL_SOCKET, option, &patience, sizeof patience) < 0) {
        return errno;
    }
    *set_ns = patience_ns;
    return 0;
}

/* Has the call come back only because the patience set for it is over? */
static bool is_out_of_patience(int os_error)
{
    return os_error == EAGAIN || os_error == EINPROGRESS || os_error == EALREADY;
}

/* ---- connect ---- */

static void connection_close(struct blocking_place *place)
{
    if (place->fd >= 0) {
        (void)close(place->fd);
        place->fd = -1;
    }
}

static bool connection_is_kept(const struct blocking_place *place)
{
    return place->fd >= 0 && exchange_keeps_connection(&place->exchange) &&
           place->unsent_bytes == 0 && place->peer == place->exchange.endpoint;
}

static int connection_open(struct blocking_place *place)
{
    const struct endpoint *peer = place->exchange.endpoint;

    int fd = raw_socket_open(peer, 0);
    if (fd < 0) {
        return -fd;
    }
    place->fd = fd;
    place->peer = peer;
    place->send_patience_ns = 0;
    place->receive_patience_ns = 0;
    place->unsent_bytes = 0;
    place->used = false;
    return 0;
}

/* SO_SNDTIMEO holds for connect(2) too (socket(7)); called again, it goes on waiting for the same
 * connection. @return 0 or an errno value */
static int connection_wait(struct blocking_place *place)
{
    const struct endpoint *peer = place->peer;

    for (;;) {
        int os_error = patience_set(place, SO_SNDTIMEO, &place->send_patience_ns);
        if (os_error != 0) {
            return os_error;
        }
        int result =
            connect(place->fd, (const struct sockaddr *)&peer->address, peer->address_bytes);
        os_error = result < 0 ? errno : 0;
        place->now_ns = clock_now_ns();
        if (is_out_of_patience(os_error)) {
            place->send_patience_ns = 0;
        } else if (os_error != EINTR) {
            return os_error;
        }
    }
}

enum transfer_step blocking_connect(struct blocking_place *place)
{
    if (connection_is_kept(place)) {
        return TRANSFER_MORE;
    }
    connection_close(place);
    int os_error = connection_open(place);
    if (os_error == 0) {
        os_error = connection_wait(place);
    }
    if (os_error != 0) {
        return exchange_fail(&place->exchange, os_error, place->now_ns);
    }
    place->number = job_run_connection(place->run);
    return TRANSFER_MORE;
}

/* ---- send ---- */

/* One call, for as much as the socket takes. @return 0 or an errno value */
static int rest_send(struct blocking_place *place)
{
    const struct exchange *exchange = &place->exchange;
    const char *rest = exchange->request + exchange->request_bytes - place->unsent_bytes;

    int os_error = patience_set(place, SO_SNDTIMEO, &place->send_patience_ns);
    if (os_error != 0) {
        return os_error;
    }
    ssize_t sent = send(place->fd, rest, place->unsent_bytes, MSG_NOSIGNAL);
    if (sent == (ssize_t)place->unsent_bytes) {
        place->unsent_bytes = 0; /* as nearly always, and then it has not blocked */
        return 0;
    }
    os_error = sent < 0 ? errno : 0;
    place->now_ns = clock_now_ns();
    if (sent >= 0) {
        place->unsent_bytes -= (size_t)sent;
        place->send_patience_ns = 0;
    } else if (is_out_of_patience(os_error)) {
        place->send_patience_ns = 0;
        os_error = 0;
    }
    return os_error == EINTR ? 0 : os_error;
}

enum transfer_step blocking_send(struct blocking_place *place)
{
    struct exchange *exchange = &place->exchange;

    exchange_connected(exchange, place->number, place->used);
    place->used = true;
    place->unsent_bytes = exchange->request_bytes;
    while (place->unsent_bytes > 0) {
        int os_error = rest_send(place);
        if (os_error != 0 && exchange_send_failed(exchange, os_error)) {
            break;
        }
        if (os_error != 0) {
            return exchange_fail(exchange, os_error, place->now_ns);
        }
    }
    return TRANSFER_MORE;
}

/* ---- receive ---- */

enum transfer_step blocking_receive(struct blocking_place *place)
{
    struct exchange *exchange = &place->exchange;

    int os_error = patience_set(place, SO_RCVTIMEO, &place->receive_patience_ns);
    if (os_error != 0) {
        return exchange_fail(exchange, os_error, place->now_ns);
    }
    ssize_t bytes = recv(place->fd, place->buffer, BUFFER_BYTES, 0); /* here it waits */
    os_error = bytes < 0 ? errno : 0;
    place->now_ns = clock_now_ns();
    if (bytes > 0) {
        return exchange_feed(exchange, place->buffer, (size_t)bytes, place->now_ns);
    }
    if (bytes == 0) {
        return exchange_eof(exchange, place->now_ns);
    }
    if (is_out_of_patience(os_error)) {
        place->receive_patience_ns = 0;
        return TRANSFER_MORE;
    }
    return os_error == EINTR ? TRANSFER_MORE : exchange_fail(exchange, os_error, place->now_ns);
}

/* ---- around it ---- */

enum transfer_step blocking_start(struct blocking_place *place, size_t index)
{
    if (place->fd >= 0 && !connection_is_kept(place)) {
        connection_close(place); /* before: no transfer's time holds the end of another */
        place->now_ns = clock_now_ns();
    }
    return exchange_start(&place->exchange, index, place->now_ns) == TRANSFER_MORE ? TRANSFER_AGAIN
                                                                                   : TRANSFER_DONE;
}

enum transfer_step blocking_save(struct blocking_place *place)
{
    int result = save_transfer_blocking(&place->exchange.transfer);
    place->now_ns = clock_now_ns();
    if (connection_is_kept(place) && !raw_socket_is_quiet(place->fd)) {
        connection_close(place);
    }
    return exchange_saved(&place->exchange, -result, place->now_ns);
}

int blocking_place_init(struct blocking_place *place, struct job_run *run)
{
    *place = (struct blocking_place){.run = run, .fd = -1, .now_ns = clock_now_ns()};
    exchange_init(&place->exchange, run->job, run->results, &run->targets);
    transfer_lend(&place->exchange.transfer); /* saves before it receives again */
    place->buffer = malloc(BUFFER_BYTES);
    return place->buffer != NULL ? 0 : -ENOMEM;
}

void blocking_place_release(struct blocking_place *place)
{
    connection_close(place);
    exchange_release(&place->exchange);
    free(place->buffer);
}
