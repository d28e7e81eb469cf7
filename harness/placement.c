#include "placement.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void list_cores(const cpu_set_t *set, char *out, size_t out_bytes)
{
    size_t used = 0;

    out[0] = '\0';
    for (int core = 0; core < CPU_SETSIZE; core++) {
        int last = core;
        if (!CPU_ISSET(core, set)) {
            continue;
        }
        while (last + 1 < CPU_SETSIZE && CPU_ISSET(last + 1, set)) {
            last++;
        }
        const char *comma = used > 0 ? "," : "";
        int written = last > core
                          ? snprintf(out + used, out_bytes - used, "%s%d-%d", comma, core, last)
                          : snprintf(out + used, out_bytes - used, "%s%d", comma, core);
        if (written < 0 || (size_t)written >= out_bytes - used) {
            return;
        }
        used += (size_t)written;
        core = last;
    }
}

static int parse_core(const char **at, long *core)
{
    char *end = NULL;

    if (**at < '0' || **at > '9') {
        return -EINVAL;
    }
    *core = strtol(*at, &end, 10);
    *at = end;
    return *core < CPU_SETSIZE ? 0 : -ERANGE;
}

/* "0,2-3" up to the byte `end`. */
static int parse_cores(const char **at, char end, cpu_set_t *set)
{
    CPU_ZERO(set);
    for (;;) {
        long first;
        int error = parse_core(at, &first);
        long last = first;
        if (error == 0 && **at == '-') {
            ++*at;
            error = parse_core(at, &last);
        }
        if (error != 0 || last < first) {
            return error != 0 ? error : -EINVAL;
        }
        for (long core = first; core <= last; core++) {
            CPU_SET((int)core, set);
        }
        if (**at == end) {
            return 0;
        }
        if (**at != ',') {
            return -EINVAL;
        }
        ++*at;
    }
}

static int choose_given(struct placement *placement, const char *wish, const cpu_set_t *ours)
{
    cpu_set_t both;
    cpu_set_t usable;

    int error = parse_cores(&wish, ':', &placement->client);
    if (error == 0) {
        wish++;
        error = parse_cores(&wish, '\0', &placement->server);
    }
    if (error != 0) {
        return error;
    }
    CPU_OR(&both, &placement->client, &placement->server);
    CPU_AND(&usable, &both, ours);
    return CPU_EQUAL(&both, &usable) ? 0 : -ERANGE;
}

static void choose_apart(struct placement *placement, const cpu_set_t *ours)
{
    int last = CPU_SETSIZE - 1;

    while (!CPU_ISSET(last, ours)) {
        last--;
    }
    placement->client = *ours;
    CPU_CLR(last, &placement->client);
    CPU_ZERO(&placement->server);
    CPU_SET(last, &placement->server);
}

int placement_choose(struct placement *placement, const char *wish)
{
    char client[64];
    char server[64];
    cpu_set_t ours;
    int error = 0;

    *placement = (struct placement){.pinned = false};
    if (strcmp(wish, "off") == 0) {
        (void)snprintf(placement->text, sizeof placement->text, "not pinned (--pin off)");
        return 0;
    }
    if (sched_getaffinity(0, sizeof ours, &ours) != 0) {
        return -errno;
    }
    if (strcmp(wish, "auto") != 0) {
        error = choose_given(placement, wish, &ours);
    } else if (CPU_COUNT(&ours) < 2) {
        (void)snprintf(placement->text, sizeof placement->text,
                       "not pinned: client and server share the only core");
        return 0;
    } else {
        choose_apart(placement, &ours);
    }
    if (error != 0) {
        return error;
    }
    placement->pinned = true;
    list_cores(&placement->client, client, sizeof client);
    list_cores(&placement->server, server, sizeof server);
    (void)snprintf(placement->text, sizeof placement->text, "client on core %s, server on core %s",
                   client, server);
    return 0;
}

static void apply(const struct placement *placement, const cpu_set_t *set)
{
    if (placement->pinned) {
        (void)sched_setaffinity(0, sizeof *set, set);
    }
}

unsigned placement_processors(void)
{
    cpu_set_t ours;

    return sched_getaffinity(0, sizeof ours, &ours) == 0 ? (unsigned)CPU_COUNT(&ours) : 1;
}

void placement_apply_client(const struct placement *placement)
{
    apply(placement, &placement->client);
}

void placement_apply_server(const struct placement *placement)
{
    apply(placement, &placement->server);
}
