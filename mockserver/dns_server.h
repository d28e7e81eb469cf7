/** The DNS server as a whole: one loop, for the zone and the admin port. */
#ifndef MOCKSERVER_DNS_SERVER_H
#define MOCKSERVER_DNS_SERVER_H

#include "admin.h"
#include "dns_service.h"
#include "listener.h"
#include "options.h"

struct dns_server {
    struct dns_zone zone;
    struct dns_sockets sockets;
    struct dns_service dns;
    struct event_loop loop;
    bool has_loop;
    struct admin_service admin;
    struct listener admin_listener;
    uv_signal_t signals[EVENT_LOOP_SIGNALS];
};

/**
 * Bind, and start.
 * @param problem  on failure: which part, a constant string
 * @return 0 or -errno; release in either case
 */
int dns_server_init(struct dns_server *server, const struct options *options, const char **problem);

/** Serve in this thread, until SIGINT or SIGTERM. */
void dns_server_run(struct dns_server *server);

void dns_server_release(struct dns_server *server);

#endif
