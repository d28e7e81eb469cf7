/**
 * Answers sent by one io_uring_enter(2) instead of a send(2) each. It costs server and client less:
 * the requests of a turn are read before its answers go out, and a client is woken for many of them
 * at once.
 *
 * The sends do not wait for room in a socket, so each of them ends within the submission: nothing
 * is pending when send_batch_submit returns, and what was handed to it need not be kept.
 *
 * Threads: it belongs to the thread that opened it.
 */
#ifndef MOCKSERVER_SEND_BATCH_H
#define MOCKSERVER_SEND_BATCH_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/uio.h>

#ifdef HAVE_LIBURING
#include <liburing.h>
#endif

#define SEND_BATCH_MAX 64

struct connection;

struct send_item {
    struct connection *connection; /* NULL: taken back */
    int fd;
    struct iovec piece;
    int sent; /* by send_batch_submit: bytes, fewer when the socket takes no more; -errno */
};

/** Zeroed: not open, and always full. */
struct send_batch {
#ifdef HAVE_LIBURING
    struct io_uring ring;
#endif
    struct send_item items[2 * SEND_BATCH_MAX];
    size_t first;    /* of those that are collected: the beginning of one half or the other */
    size_t count;    /* that many */
    size_t departed; /* that many of the other half have been handed to somebody else */
    bool is_open;
};

/** Nothing happens where there is no io_uring(7): then each answer is sent by itself. */
void send_batch_open(struct send_batch *batch);
void send_batch_close(struct send_batch *batch);

static inline bool send_batch_is_full(const struct send_batch *batch)
{
    return !batch->is_open || batch->count == SEND_BATCH_MAX;
}

/** There must be room. @return its place, from 1, for send_batch_take_back */
static inline size_t send_batch_add(struct send_batch *batch, struct connection *connection, int fd,
                                    struct iovec piece)
{
    size_t place = batch->first + batch->count++;
    batch->items[place] = (struct send_item){
        .connection = connection,
        .fd = fd,
        .piece = piece,
    };
    return place + 1;
}

static inline void send_batch_take_back(struct send_batch *batch, size_t place)
{
    batch->items[place - 1].connection = NULL;
}

static inline bool send_batch_has_departed(const struct send_batch *batch, size_t place)
{
    return (place - 1 < SEND_BATCH_MAX) != (batch->first == 0);
}

/** Send all that are collected and fill in `sent`; they stay until the caller sets `count` to 0. */
void send_batch_submit(struct send_batch *batch);

/**
 * Those that are collected are sent by the caller, who sets `departed`: they keep their places, and
 * others are collected in the other half, which must be free of such.
 */
static inline void send_batch_depart(struct send_batch *batch, size_t departed)
{
    batch->first = SEND_BATCH_MAX - batch->first;
    batch->count = 0;
    batch->departed = departed;
}

#endif
