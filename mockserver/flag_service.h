/** What the main port answers: flags, their metadata, the manifest. */
#ifndef MOCKSERVER_FLAG_SERVICE_H
#define MOCKSERVER_FLAG_SERVICE_H

#include "corpus.h"
#include "counters.h"
#include "delay.h"
#include "event_loop.h"
#include "fault.h"

struct flag_service {
    struct service service; /* its `user` is this */
    const struct corpus *corpus;
    struct counters *counters;
    struct delay_spec delay;
    struct fault_set faults;
    uint64_t seed;
    uint8_t *ring; /* of sized bodies */
    const char *admin_url;
    char *manifest; /* without ?size */
    size_t manifest_bytes;
};

/** corpus, counters, delay, faults, seed and admin_url are set. @return 0, -ENOMEM */
int flag_service_init(struct flag_service *flags);
void flag_service_release(struct flag_service *flags);

#endif
