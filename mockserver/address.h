/** Addresses of sockets: to bind to, and as text for whoever shall connect. */
#ifndef MOCKSERVER_ADDRESS_H
#define MOCKSERVER_ADDRESS_H

#include <netinet/in.h>

#include <stdint.h>
#include <sys/socket.h>

#define ADDRESS_TEXT_BYTES_MAX 64

union address {
    struct sockaddr any;
    struct sockaddr_in v4;
    struct sockaddr_in6 v6;
};

socklen_t address_bytes(const struct sockaddr *any);

/** @param any  without port. @return 0 or -errno */
int address_bind(int fd, const struct sockaddr *any, uint16_t port);

/** The port that a socket is bound to. @return 0 or -errno */
int address_port(int fd, uint16_t *port);

/**
 * "127.0.0.1:41233" or "[::1]:41233" of a bound socket. A wildcard is no address to connect to:
 * the loopback one stands in.
 * @return 0 or -errno
 */
int address_text(int fd, char text[static ADDRESS_TEXT_BYTES_MAX]);

#endif
