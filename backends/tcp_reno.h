/** What both engines ask of the TCP sockets of their connections. */
#ifndef BENCH_TCP_RENO_H
#define BENCH_TCP_RENO_H

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

/**
 * A request is one small packet: there is no bandwidth to estimate and nothing to pace, as BBR does
 * where it is the default, at 1% of the CPU per transfer (docs/performance.md). Every Linux has
 * Reno and lets everybody choose it (tcp(7), tcp_allowed_congestion_control); where a sandbox
 * refuses, the default stays, which is slower and not wrong.
 */
static inline void tcp_use_reno(int fd)
{
    static const char name[] = "reno";

    (void)setsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, name, sizeof name - 1);
}

#endif
