#include "port_rest.h"

/* connect looks through one half of the ports first, the even or the odd ones: up to a quarter of
 * that half the search is short. */
#define SHARE 8

void port_rest_init(struct port_rest *rest, uint64_t ports)
{
    *rest = (struct port_rest){.ports = ports};
}

void port_rest_note(struct port_rest *rest, int64_t connections, uint64_t now_ns)
{
    if (now_ns - rest->last_ns >= PORT_REST_NS) {
        rest->used = 0;
    }
    rest->used += connections > 0 ? (uint64_t)connections : 0;
    rest->last_ns = now_ns;
}

uint64_t port_rest_left_ns(const struct port_rest *rest, uint64_t now_ns)
{
    uint64_t rested_ns = now_ns - rest->last_ns;

    if (rest->used <= rest->ports / SHARE || rested_ns >= PORT_REST_NS) {
        return 0;
    }
    return PORT_REST_NS - rested_ns;
}
