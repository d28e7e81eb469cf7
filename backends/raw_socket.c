#include "raw_socket.h"

#include "tcp_reno.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

int raw_socket_open(const struct endpoint *endpoint, int flags)
{
    const int on = 1;

    int fd = socket(endpoint->address.ss_family, SOCK_STREAM | SOCK_CLOEXEC | flags, IPPROTO_TCP);
    if (fd < 0) {
        return -errno;
    }
    /* A request longer than a segment must not wait for an ACK (Nagle's algorithm, tcp(7)). */
    if (setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on) < 0) {
        int result = -errno;
        (void)close(fd);
        return result;
    }
    tcp_use_reno(fd);
    return fd;
}

/* To a server on this machine the handshake takes place within connect(2), which still says
 * EINPROGRESS; asking once more is cheaper than being told by the poller. */
int raw_socket_connect(int fd, const struct endpoint *endpoint)
{
    const struct sockaddr *address = (const struct sockaddr *)&endpoint->address;

    int result = connect(fd, address, endpoint->address_bytes);
    if (result < 0 && errno == EINPROGRESS) {
        result = connect(fd, address, endpoint->address_bytes);
    }
    if (result < 0) {
        return errno == EALREADY ? -EINPROGRESS : -errno;
    }
    return 0;
}

bool raw_socket_is_quiet(int fd)
{
    char byte = 0;

    return recv(fd, &byte, sizeof byte, MSG_PEEK | MSG_DONTWAIT) < 0 && errno == EAGAIN;
}
