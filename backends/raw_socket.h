/** What a socket of the raw engine is, whichever way its model waits. */
#ifndef BENCH_RAW_SOCKET_H
#define BENCH_RAW_SOCKET_H

#include "endpoint.h"

#include <stdbool.h>

/**
 * A TCP socket for an endpoint, not yet connected, with TCP_NODELAY and Reno. Never blocks.
 * @param flags  of socket(2): SOCK_NONBLOCK where the model wants it; SOCK_CLOEXEC is added
 * @return the descriptor, or -errno
 */
int raw_socket_open(const struct endpoint *endpoint, int flags);

/**
 * Begin to connect a socket that does not block.
 * @return 0: it is connected; -EINPROGRESS: it can be written to when that has come to an end;
 * -errno
 */
int raw_socket_connect(int fd, const struct endpoint *endpoint);

/**
 * Has the peer neither said anything nor ended the connection, now that nobody has asked? After a
 * pause in which nothing was read, such as the writing of a file: what has come meanwhile would
 * pass for the answer to the next request. Never blocks.
 */
bool raw_socket_is_quiet(int fd);

#endif
