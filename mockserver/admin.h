/** What the admin port answers: /healthz, /stats, /reset. It never counts as traffic. */
#ifndef MOCKSERVER_ADMIN_H
#define MOCKSERVER_ADMIN_H

#include "corpus.h"
#include "counters.h"
#include "event_loop.h"

struct admin_service {
    struct service service; /* its `user` is this */
    const struct corpus *corpus;
    struct counters *counters;
};

void admin_service_init(struct admin_service *admin);

/** The counters as JSON, to be given to free(); NULL when memory is short. */
char *admin_stats_text(const struct counters *counters, const struct corpus *corpus);

#endif
