/**
 * Accepts connections and deals them out to loops in turn. One acceptor, not SO_REUSEPORT:
 * its hash spreads a few connections unevenly.
 */
#ifndef MOCKSERVER_LISTENER_H
#define MOCKSERVER_LISTENER_H

#include "event_loop.h"

#include <sys/socket.h>

#define LISTENER_URL_BYTES_MAX 80

struct listener {
    int fd;
    int spare_fd;   /* given up for a moment when descriptors run out */
    bool said_full; /* that they did: one line is enough */
    uv_poll_t poll;
    struct event_loop *loops; /* [loop_count] */
    size_t loop_count;
    size_t next;
    char url[LISTENER_URL_BYTES_MAX]; /* "http://127.0.0.1:41233" */
};

/** Bind and listen. @return 0, -EADDRINUSE, -EACCES, ...; release in either case */
int listener_init(struct listener *listener, const struct sockaddr *address, uint16_t port);
void listener_release(struct listener *listener);

/**
 * Accept in loops[0], which gets its connections directly; the others are handed theirs.
 * @return 0 or -errno
 */
int listener_start(struct listener *listener, struct event_loop *loops, size_t loop_count);

#endif
