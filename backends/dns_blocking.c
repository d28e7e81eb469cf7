#include "dns_blocking.h"

#include "clock.h"

#include <poll.h>

#define CANCEL_POLL_NS (50 * NS_PER_MS) /* backend.h: every 100 ms at least */
#define WAIT_MAX_NS NS_PER_S

/* ares_getsock(3), not ares_fds(3): that one writes beyond an fd_set for sockets from 1024 on.
 * @return how many there are */
static nfds_t sockets_of(const struct dns_channel *channel, struct pollfd polled[])
{
    ares_socket_t sockets[ARES_GETSOCK_MAXNUM];
    nfds_t count = 0;

    int bits = ares_getsock(channel->ares, sockets, ARES_GETSOCK_MAXNUM);
    for (int i = 0; i < ARES_GETSOCK_MAXNUM; i++) {
        short events = 0;
        events |= ARES_GETSOCK_READABLE(bits, i) ? POLLIN : 0;
        events |= ARES_GETSOCK_WRITABLE(bits, i) ? POLLOUT : 0;
        if (events == 0) {
            break;
        }
        polled[count++] = (struct pollfd){.fd = sockets[i], .events = events};
    }
    return count;
}

static int patience_ms(const struct dns_channel *channel)
{
    uint64_t limit_ns = job_run_is_watched(channel->run) ? CANCEL_POLL_NS : WAIT_MAX_NS;
    uint64_t now_ns = clock_now_ns();
    uint64_t left_ns = channel->look_ns > now_ns ? channel->look_ns - now_ns : 0;

    return (int)(((left_ns < limit_ns ? left_ns : limit_ns) + NS_PER_MS - 1) / NS_PER_MS);
}

static enum transfer_step sockets_ready(struct dns_channel *channel, const struct pollfd polled[],
                                        nfds_t count)
{
    enum transfer_step step = TRANSFER_MORE;

    for (nfds_t i = 0; i < count && step == TRANSFER_MORE; i++) {
        /* An error is heard by reading. */
        bool readable = (polled[i].revents & (POLLIN | POLLERR | POLLHUP)) != 0;
        bool writable = (polled[i].revents & POLLOUT) != 0;
        if (readable || writable) {
            step = dns_channel_ready(channel, readable ? polled[i].fd : ARES_SOCKET_BAD,
                                     writable ? polled[i].fd : ARES_SOCKET_BAD);
        }
    }
    return step;
}

enum transfer_step dns_blocking_wait(struct dns_channel *channel)
{
    struct pollfd polled[ARES_GETSOCK_MAXNUM];
    nfds_t count = sockets_of(channel, polled);

    int ready = poll(polled, count, patience_ms(channel));
    enum transfer_step step = ready > 0 ? sockets_ready(channel, polled, count) : TRANSFER_MORE;
    if (step != TRANSFER_MORE) {
        return step;
    }
    /* Wrong answers are no reason to wait longer, however many there are. */
    if (transfer_cancelled(channel->run->job)) {
        return dns_channel_cancel(channel);
    }
    return clock_now_ns() >= channel->look_ns ? dns_channel_look(channel) : TRANSFER_MORE;
}
