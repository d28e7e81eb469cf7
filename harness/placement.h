/** Which cores the client and the server run on: apart from each other where there are two. */
#ifndef BENCH_PLACEMENT_H
#define BENCH_PLACEMENT_H

#include <sched.h>
#include <stdbool.h>

#define PLACEMENT_TEXT_BYTES 160

struct placement {
    bool pinned;
    cpu_set_t client;
    cpu_set_t server;
    char text[PLACEMENT_TEXT_BYTES]; /* what was done, for people */
};

/** The cores this process may use. "auto": the last of them for the server, all others for the
 *  client; nothing with one core or "off"; "CLIENT:SERVER": two lists as "0,2-3:1".
 *  @return 0; -EINVAL (not one of these), -ERANGE (a core that is not ours to use, or both) */
int placement_choose(struct placement *placement, const char *wish);

/** How many cores this process may use; 1 when that is not known. */
unsigned placement_processors(void);

/** For the calling process; async-signal-safe. */
void placement_apply_client(const struct placement *placement);
void placement_apply_server(const struct placement *placement);

#endif
