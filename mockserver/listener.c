#include "listener.h"

#include "address.h"
#include "connection.h"

#include "backends/clock.h"

#include <netinet/in.h>
#include <netinet/tcp.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#define BACKLOG 65535  /* the system cuts it to net.core.somaxconn */
#define ACCEPTS_MAX 64 /* before others have their turn */

static int bind_and_listen(int fd, const struct sockaddr *any, uint16_t port)
{
    const int on = 1;
    /* Linux: accepted sockets inherit TCP_NODELAY, which saves a call for each of them. */
    if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) != 0 ||
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on)) != 0) {
        return -errno;
    }
    int error = address_bind(fd, any, port);
    if (error == 0 && listen(fd, BACKLOG) != 0) {
        error = -errno;
    }
    return error;
}

static int make_url(struct listener *listener)
{
    char text[ADDRESS_TEXT_BYTES_MAX];
    int error = address_text(listener->fd, text);
    if (error == 0) {
        (void)snprintf(listener->url, sizeof(listener->url), "http://%s", text);
    }
    return error;
}

int listener_init(struct listener *listener, const struct sockaddr *address, uint16_t port)
{
    *listener = (struct listener){.fd = -1, .spare_fd = -1};
    listener->fd = socket(address->sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (listener->fd < 0) {
        return -errno;
    }
    int error = bind_and_listen(listener->fd, address, port);
    return error != 0 ? error : make_url(listener);
}

void listener_release(struct listener *listener)
{
    if (listener->fd >= 0) {
        (void)close(listener->fd);
    }
    if (listener->spare_fd >= 0) {
        (void)close(listener->spare_fd);
    }
    listener->fd = -1;
    listener->spare_fd = -1;
}

static int open_spare(void)
{
    return open("/dev/null", O_RDONLY | O_CLOEXEC);
}

/* Out of descriptors: take the connection off the queue with the spare one and end it, or it
 * would wait there for ever and keep the loop awake. */
static void turn_away(struct listener *listener)
{
    if (!listener->said_full) {
        struct rlimit limit = {0};
        listener->said_full = true;
        (void)getrlimit(RLIMIT_NOFILE, &limit);
        (void)fprintf(stderr,
                      "mockserver: out of descriptors, connections are turned away: the hard limit "
                      "is %llu (ulimit -Hn), each connection takes one\n",
                      (unsigned long long)limit.rlim_cur);
    }
    if (listener->spare_fd >= 0) {
        (void)close(listener->spare_fd);
    }
    int fd = accept4(listener->fd, NULL, NULL, SOCK_CLOEXEC);
    if (fd >= 0) {
        (void)close(fd);
    }
    listener->spare_fd = open_spare();
}

static void on_connection(uv_poll_t *poll, int status, int events)
{
    struct listener *listener = poll->data;
    (void)event_loop_turn(listener->loops);
    (void)status;
    (void)events;
    for (unsigned i = 0; i < ACCEPTS_MAX; i++) {
        int fd = accept4(listener->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd < 0 && (errno == EMFILE || errno == ENFILE)) {
            turn_away(listener);
            continue;
        }
        if (fd < 0 && (errno == EINTR || errno == ECONNABORTED)) {
            continue;
        }
        if (fd < 0) {
            return;
        }
        struct event_loop *loop = &listener->loops[listener->next];
        listener->next = (listener->next + 1) % listener->loop_count;
        if (loop == listener->loops) {
            connection_open(loop, fd);
        } else {
            event_loop_hand(loop, fd);
        }
        listener->loops->opened_ns = clock_now_ns();
        event_loop_serve_due(listener->loops, listener->loops->opened_ns, 1);
    }
}

int listener_start(struct listener *listener, struct event_loop *loops, size_t loop_count)
{
    listener->loops = loops;
    listener->loop_count = loop_count;
    listener->spare_fd = open_spare();
    listener->poll.data = listener;
    int error = uv_poll_init(&loops[0].uv, &listener->poll, listener->fd);
    if (error == 0) {
        error = uv_poll_start(&listener->poll, UV_READABLE, on_connection);
    }
    return error;
}
