/** The two sockets of a DNS server: UDP, and TCP on the same port (RFC 7766 section 5). */
#ifndef MOCKSERVER_DNS_SOCKET_H
#define MOCKSERVER_DNS_SOCKET_H

#include "address.h"

struct dns_sockets {
    int udp_fd;
    int tcp_fd;
    char text[ADDRESS_TEXT_BYTES_MAX]; /* "127.0.0.1:41233" */
};

/**
 * Bind both, without blocking; listening is left to the owner.
 * @param any   without port
 * @param port  0: any that is free for both
 * @return 0, -EADDRINUSE, -EACCES, ...; release in either case
 */
int dns_sockets_init(struct dns_sockets *sockets, const struct sockaddr *any, uint16_t port);

/** Closes what is still its own: a descriptor given away is to be set to -1. */
void dns_sockets_release(struct dns_sockets *sockets);

/** Datagrams that came when the socket's buffer was full: nobody saw them. */
uint32_t dns_socket_lost(int udp_fd);

#endif
