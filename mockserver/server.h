/** The whole server: loops and their threads, both ports, counters. */
#ifndef MOCKSERVER_SERVER_H
#define MOCKSERVER_SERVER_H

#include "admin.h"
#include "canned.h"
#include "flag_service.h"
#include "listener.h"
#include "options.h"

struct server {
    const struct options *options;
    struct corpus corpus;
    struct counters counters;
    struct flag_service flags;
    struct flag_counters admin_counters;
    struct admin_service admin;
    struct event_loop *loops;  /* [options->loops] */
    struct canned_set *canned; /* [options->loops] */
    size_t loop_count;         /* initialised */
    size_t thread_count;       /* running */
    struct event_loop admin_loop;
    bool has_admin_loop;
    uv_signal_t signals[EVENT_LOOP_SIGNALS];
    struct listener listener;
    struct listener admin_listener;
};

/**
 * Bind, and start the loops of the flags. Takes the corpus over.
 * @param problem  on failure: which part, a constant string
 * @return 0 or -errno; release in either case
 */
int server_init(struct server *server, const struct options *options, struct corpus *corpus,
                const char **problem);

/** Serve the admin port in this thread, until SIGINT or SIGTERM. */
void server_run(struct server *server);

void server_release(struct server *server);

#endif
