/**
 * Local ports that a trial has used cannot be used by the next one at once: their connections are
 * in TIME_WAIT, and the kernel gives such a port out again only after a second, to a peer with
 * timestamps (net.ipv4.tcp_tw_reuse in ip-sysctl.rst). A connect that has to search for a port
 * among used ones takes ten times as long (300 us instead of 30 with half of them used), so a
 * trial would pay for what the one before it did.
 */
#ifndef BENCH_PORT_REST_H
#define BENCH_PORT_REST_H

#include <stdint.h>

struct port_rest {
    uint64_t ports;   /* that there are */
    uint64_t used;    /* by connections that ended less than PORT_REST_NS before last_ns */
    uint64_t last_ns; /* when the last trial ended */
};

#define PORT_REST_NS UINT64_C(1100000000) /* the second, and some for the clock of timestamps */

/** @param ports  for connections to one address: usage_local_ports */
void port_rest_init(struct port_rest *rest, uint64_t ports);

/** A trial has ended. @param connections  that it opened; -1: unknown */
void port_rest_note(struct port_rest *rest, int64_t connections, uint64_t now_ns);

/** How long the next trial has to wait until few enough ports are in use; 0: it may begin. */
uint64_t port_rest_left_ns(const struct port_rest *rest, uint64_t now_ns);

#endif
