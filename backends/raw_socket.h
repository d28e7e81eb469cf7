/** What a socket of the raw engine is, whichever way its model waits. */
#ifndef BENCH_RAW_SOCKET_H
#define BENCH_RAW_SOCKET_H

#include "endpoint.h"

/**
 * A TCP socket for an endpoint, not yet connected, with TCP_NODELAY. Never blocks.
 * @param flags  of socket(2): SOCK_NONBLOCK where the model wants it; SOCK_CLOEXEC is added
 * @return the descriptor, or -errno
 */
int raw_socket_open(const struct endpoint *endpoint, int flags);

#endif
