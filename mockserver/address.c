#include "address.h"

#include <arpa/inet.h>

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

socklen_t address_bytes(const struct sockaddr *any)
{
    return any->sa_family == AF_INET6 ? sizeof(struct sockaddr_in6) : sizeof(struct sockaddr_in);
}

int address_bind(int fd, const struct sockaddr *any, uint16_t port)
{
    union address address;
    memcpy(&address, any, address_bytes(any));
    if (any->sa_family == AF_INET6) {
        address.v6.sin6_port = htons(port);
    } else {
        address.v4.sin_port = htons(port);
    }
    return bind(fd, &address.any, address_bytes(any)) != 0 ? -errno : 0;
}

static int address_of(int fd, union address *address)
{
    socklen_t bytes = sizeof(*address);
    *address = (union address){0};
    return getsockname(fd, &address->any, &bytes) != 0 ? -errno : 0;
}

int address_port(int fd, uint16_t *port)
{
    union address address;
    int error = address_of(fd, &address);
    *port = ntohs(address.any.sa_family == AF_INET6 ? address.v6.sin6_port : address.v4.sin_port);
    return error;
}

int address_text(int fd, char text[static ADDRESS_TEXT_BYTES_MAX])
{
    union address address;
    char host[INET6_ADDRSTRLEN];
    int error = address_of(fd, &address);
    if (error != 0) {
        return error;
    }
    if (address.any.sa_family == AF_INET6) {
        bool any = IN6_IS_ADDR_UNSPECIFIED(&address.v6.sin6_addr);
        (void)inet_ntop(AF_INET6, any ? &in6addr_loopback : &address.v6.sin6_addr, host,
                        sizeof(host));
        (void)snprintf(text, ADDRESS_TEXT_BYTES_MAX, "[%s]:%u", host, ntohs(address.v6.sin6_port));
    } else {
        if (address.v4.sin_addr.s_addr == htonl(INADDR_ANY)) {
            address.v4.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        }
        (void)inet_ntop(AF_INET, &address.v4.sin_addr, host, sizeof(host));
        (void)snprintf(text, ADDRESS_TEXT_BYTES_MAX, "%s:%u", host, ntohs(address.v4.sin_port));
    }
    return 0;
}
