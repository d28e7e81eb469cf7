/** What the admin port answers: /healthz, /stats, /reset. It never counts as traffic. */
#ifndef MOCKSERVER_ADMIN_H
#define MOCKSERVER_ADMIN_H

#include "corpus.h"
#include "counters.h"
#include "event_loop.h"

struct admin_service {
    struct service service; /* its `user` is this */
    /** The counters as JSON, to be given to free(); NULL when memory is short. */
    char *(*stats_text)(const struct admin_service *admin);
    /** Zero them. @param run  mark of the run, may be empty */
    void (*reset)(const struct admin_service *admin, const char *run);
    void *user; /* what the two need */
};

/** The two and `user` are the caller's to set. */
void admin_service_init(struct admin_service *admin);

struct flag_counters {
    const struct corpus *corpus;
    struct counters *counters;
};

/** For a server of flags: `user` is a struct flag_counters. */
char *admin_flag_stats_text(const struct admin_service *admin);
void admin_flag_reset(const struct admin_service *admin, const char *run);

struct json_t; /* of jansson */

/** Delays, lateness, turns, the first and the last: what any kind of server counts. */
void admin_put_times(struct json_t *stats, const struct counters *counters);
/** CPU time since the reset. */
void admin_put_usage(struct json_t *stats, const struct counters *counters);

#endif
