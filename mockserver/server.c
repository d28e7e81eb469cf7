#include "server.h"

#include "backends/clock.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define IDLE_NS (60 * NS_PER_S)

static int start_admin(struct server *server)
{
    server->admin_counters =
        (struct flag_counters){.corpus = &server->corpus, .counters = &server->counters};
    server->admin.stats_text = admin_flag_stats_text;
    server->admin.reset = admin_flag_reset;
    server->admin.user = &server->admin_counters;
    server->admin.service.idle_ns = IDLE_NS;
    admin_service_init(&server->admin);
    server->has_admin_loop = true;
    int error = event_loop_init(&server->admin_loop, &server->admin.service, NULL, NULL);
    if (error == 0) {
        error = listener_start(&server->admin_listener, &server->admin_loop, 1);
    }
    return error != 0 ? error : event_loop_stop_on_signals(&server->admin_loop, server->signals);
}

static void *loop_thread(void *loop)
{
    event_loop_run(loop);
    return NULL;
}

static int make_loop(struct server *server, size_t i)
{
    const char *fault_name = server->options->faults.count > 0 ? "none" : NULL;
    server->loop_count++;
    int error = event_loop_init(&server->loops[i], &server->flags.service, &server->counters,
                                &server->counters.loops[i]);
    if (error == 0) {
        error = canned_set_init(&server->canned[i], &server->corpus, fault_name);
        server->loops[i].canned = &server->canned[i];
    }
    return error;
}

static int start_loops(struct server *server)
{
    for (size_t i = 0; i < server->options->loops; i++) {
        int error = make_loop(server, i);
        if (error != 0) {
            return error;
        }
    }
    int error = listener_start(&server->listener, server->loops, server->loop_count);
    for (size_t i = 0; error == 0 && i < server->loop_count; i++) {
        error = -pthread_create(&server->loops[i].thread, NULL, loop_thread, &server->loops[i]);
        server->thread_count += error == 0;
    }
    return error;
}

static int start_flags(struct server *server)
{
    const struct options *options = server->options;
    struct flag_service *flags = &server->flags;
    flags->service.idle_ns = IDLE_NS;
    flags->service.rate = options->rate;
    flags->service.requests_max = options->requests_max;
    flags->service.is_prompt = delay_is_zero(&options->delay) && options->rate == 0;
    flags->corpus = &server->corpus;
    flags->counters = &server->counters;
    flags->delay = options->delay;
    flags->faults = options->faults;
    flags->seed = options->seed;
    flags->admin_url = server->admin_listener.url;
    return flag_service_init(flags);
}

int server_init(struct server *server, const struct options *options, struct corpus *corpus,
                const char **problem)
{
    *server = (struct server){
        .options = options,
        .corpus = *corpus,
        .listener = {.fd = -1, .spare_fd = -1},
        .admin_listener = {.fd = -1, .spare_fd = -1},
    };
    *corpus = (struct corpus){0};
    *problem = "--port";
    int error = listener_init(&server->listener, &options->address.any, options->port);
    if (error != 0) {
        return error;
    }
    *problem = "--admin-port";
    error = listener_init(&server->admin_listener, &options->address.any, options->admin_port);
    if (error != 0) {
        return error;
    }
    *problem = "starting";
    server->loops = calloc(options->loops, sizeof(server->loops[0]));
    server->canned = calloc(options->loops, sizeof(server->canned[0]));
    if (server->loops == NULL || server->canned == NULL) {
        return -ENOMEM;
    }
    error = counters_init(&server->counters, options->loops);
    if (error == 0) {
        error = start_flags(server);
    }
    if (error == 0) {
        error = start_admin(server);
    }
    return error != 0 ? error : start_loops(server);
}

void server_run(struct server *server)
{
    event_loop_run(&server->admin_loop);
}

void server_release(struct server *server)
{
    for (size_t i = 0; i < server->thread_count; i++) {
        event_loop_stop(&server->loops[i]);
    }
    for (size_t i = 0; i < server->thread_count; i++) {
        (void)pthread_join(server->loops[i].thread, NULL);
    }
    for (size_t i = 0; i < server->loop_count; i++) {
        event_loop_release(&server->loops[i]);
        canned_set_release(&server->canned[i]);
    }
    if (server->has_admin_loop) {
        event_loop_release(&server->admin_loop);
    }
    listener_release(&server->listener);
    listener_release(&server->admin_listener);
    flag_service_release(&server->flags);
    counters_release(&server->counters);
    corpus_release(&server->corpus);
    free(server->loops);
    free(server->canned);
}
