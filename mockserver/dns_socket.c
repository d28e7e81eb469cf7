#include "dns_socket.h"

#include <netinet/tcp.h>

#include <errno.h>
#include <linux/sock_diag.h>
#include <unistd.h>

#define FREE_PORTS_MAX 32 /* tries to find a port that is free for both */
#define BUFFER_BYTES (8 << 20)

static int open_socket(const struct sockaddr *any, int type, uint16_t port, int *fd)
{
    const int on = 1;
    *fd = socket(any->sa_family, type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (*fd < 0) {
        return -errno;
    }
    /* Linux: accepted sockets inherit TCP_NODELAY, which saves a call for each of them. */
    if (type == SOCK_STREAM && (setsockopt(*fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) != 0 ||
                                setsockopt(*fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on)) != 0)) {
        return -errno;
    }
    return address_bind(*fd, any, port);
}

/* Linux gives out a receive buffer in pieces far larger than a query: the usual one holds less
 * than 300. Beyond the system's limit only root may ask. */
static void widen(int udp_fd)
{
    const int bytes = BUFFER_BYTES;
    if (setsockopt(udp_fd, SOL_SOCKET, SO_RCVBUFFORCE, &bytes, sizeof(bytes)) != 0) {
        (void)setsockopt(udp_fd, SOL_SOCKET, SO_RCVBUF, &bytes, sizeof(bytes));
    }
}

static int open_both(struct dns_sockets *sockets, const struct sockaddr *any, uint16_t port)
{
    int error = open_socket(any, SOCK_STREAM, port, &sockets->tcp_fd);
    if (error == 0 && port == 0) {
        error = address_port(sockets->tcp_fd, &port);
    }
    return error != 0 ? error : open_socket(any, SOCK_DGRAM, port, &sockets->udp_fd);
}

int dns_sockets_init(struct dns_sockets *sockets, const struct sockaddr *any, uint16_t port)
{
    int error = -EADDRINUSE;
    *sockets = (struct dns_sockets){.udp_fd = -1, .tcp_fd = -1};
    for (unsigned i = 0; i < (port == 0 ? FREE_PORTS_MAX : 1) && error == -EADDRINUSE; i++) {
        dns_sockets_release(sockets);
        error = open_both(sockets, any, port);
    }
    if (error != 0) {
        return error;
    }
    widen(sockets->udp_fd);
    return address_text(sockets->udp_fd, sockets->text);
}

void dns_sockets_release(struct dns_sockets *sockets)
{
    if (sockets->udp_fd >= 0) {
        (void)close(sockets->udp_fd);
    }
    if (sockets->tcp_fd >= 0) {
        (void)close(sockets->tcp_fd);
    }
    sockets->udp_fd = -1;
    sockets->tcp_fd = -1;
}

uint32_t dns_socket_lost(int udp_fd)
{
    uint32_t memory[SK_MEMINFO_VARS] = {0};
    socklen_t bytes = sizeof(memory);
    (void)getsockopt(udp_fd, SOL_SOCKET, SO_MEMINFO, memory, &bytes); /* none before Linux 4.12 */
    return memory[SK_MEMINFO_DROPS];
}
