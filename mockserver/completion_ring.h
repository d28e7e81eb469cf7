/**
 * Requests received and answers sent by completion: each connection has one receive under way that
 * stays ("multishot"), and one io_uring_enter(2) sends what there is to send and brings what has
 * come (as of Linux 6.13 some 40 of many), where epoll would take a call to say which sockets have
 * something and two more for each of them.
 *
 * An owner must stay where it is until its last completion has been told.
 *
 * Threads: it belongs to the thread that opened it.
 */
#ifndef MOCKSERVER_COMPLETION_RING_H
#define MOCKSERVER_COMPLETION_RING_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/uio.h>

#ifdef HAVE_LIBURING
#include "backends/ring_buffers.h"
#endif

/** Zeroed: not open. */
struct completion_ring {
#ifdef HAVE_LIBURING
    struct io_uring ring;
    struct ring_buffers buffers;
#endif
    unsigned buffer_id; /* the one that was told of last, */
    bool has_buffer;    /* when it is not the kernel's again */
    bool is_open;
};

enum completion_kind {
    COMPLETION_RECEIVED,
    COMPLETION_SENT,
    COMPLETION_READABLE /* the descriptor that is watched */
};

struct completion {
    enum completion_kind kind;
    int result;       /* bytes, received: at `data`, 0: the end; -errno */
    void *owner;      /* of a receive */
    const char *data; /* until the next call of completion_ring_next */
    bool is_last;     /* nothing more is told of this receive */
    size_t place;     /* of a send */
};

/** Nothing happens where there is no io_uring(7) with multishot receive (Linux 6.1): is_open. */
void completion_ring_open(struct completion_ring *ring);
/** What is under way ends, and is not told. */
void completion_ring_close(struct completion_ring *ring);

/** @param owner  not NULL, aligned to 8 bytes @return false: no room, nothing has begun */
bool completion_ring_receive(struct completion_ring *ring, int fd, void *owner);
/** Its last completion follows, and what has come before it. */
void completion_ring_stop(struct completion_ring *ring, void *owner);

/** @return whether so many sends can be asked for */
bool completion_ring_has_room(struct completion_ring *ring, size_t sends);

/**
 * Send with the next completion_ring_wait, as much as the socket takes at once: so it is told of
 * when completion_ring_next has nothing more, and before what comes in answer to it (not so when
 * there is more to tell than the kernel has room for).
 * There must be room.
 */
void completion_ring_send(struct completion_ring *ring, int fd, struct iovec piece, size_t place);

/** Begin what was asked for: before a descriptor is closed whose number could be used again. Also
 * of one that is not open. */
void completion_ring_begin(struct completion_ring *ring);

/** Tell once when the descriptor can be read. @return false: no room */
bool completion_ring_watch(struct completion_ring *ring, int fd);

/**
 * Begin what was asked for, and sleep until there is something to tell. What the kernel refuses for
 * now, for want of memory, begins with another call.
 * @param timeout_ms  0: not at all; -1: no limit
 */
void completion_ring_wait(struct completion_ring *ring, int timeout_ms);

/** @return false when there is nothing more just now */
bool completion_ring_next(struct completion_ring *ring, struct completion *completion);

#endif
