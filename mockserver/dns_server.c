#include "dns_server.h"

#include "dns_stats.h"

#include "backends/clock.h"

#define IDLE_NS (60 * NS_PER_S)

static char *stats_text(const struct admin_service *admin)
{
    return dns_stats_text(admin->user);
}

static void reset(const struct admin_service *admin, const char *run)
{
    dns_service_reset(admin->user, run);
}

static int start(struct dns_server *server)
{
    server->admin.stats_text = stats_text;
    server->admin.reset = reset;
    server->admin.user = &server->dns;
    server->admin.service.idle_ns = IDLE_NS;
    admin_service_init(&server->admin);
    server->has_loop = true;
    int error = event_loop_init(&server->loop, &server->admin.service, NULL, NULL);
    if (error == 0) {
        error = dns_service_start(&server->dns, &server->loop, &server->zone, &server->sockets);
    }
    if (error == 0) {
        error = listener_start(&server->admin_listener, &server->loop, 1);
    }
    return error != 0 ? error : event_loop_stop_on_signals(&server->loop, server->signals);
}

int dns_server_init(struct dns_server *server, const struct options *options, const char **problem)
{
    *server = (struct dns_server){
        .zone = {.seed = options->seed, .delay = options->delay, .faults = options->faults},
        .sockets = {.udp_fd = -1, .tcp_fd = -1},
        .admin_listener = {.fd = -1, .spare_fd = -1},
    };
    *problem = "--port";
    int error = dns_sockets_init(&server->sockets, &options->address.any, options->port);
    if (error != 0) {
        return error;
    }
    *problem = "--admin-port";
    error = listener_init(&server->admin_listener, &options->address.any, options->admin_port);
    if (error != 0) {
        return error;
    }
    *problem = "starting";
    return start(server);
}

void dns_server_run(struct dns_server *server)
{
    event_loop_run(&server->loop);
}

void dns_server_release(struct dns_server *server)
{
    if (server->has_loop) {
        dns_service_stop(&server->dns);
        event_loop_release(&server->loop);
        dns_service_release(&server->dns);
    }
    listener_release(&server->admin_listener);
    dns_sockets_release(&server->sockets);
}
