#include "dns_zone.h"

#include "draw.h"

#include <string.h>

#define NETWORK UINT32_C(0xc0000200) /* 192.0.2.0/24, for documentation: RFC 5737 section 3 */
#define HOSTS 254                    /* .1 to .254 */

const char *dns_outcome_name(enum dns_outcome outcome)
{
    static const char *const names[DNS_OUTCOMES] = {
        [DNS_OUTCOME_FOUND] = "found",       [DNS_OUTCOME_NO_DATA] = "no_data",
        [DNS_OUTCOME_NXDOMAIN] = "nxdomain", [DNS_OUTCOME_SERVFAIL] = "servfail",
        [DNS_OUTCOME_TRUNCATE] = "truncate", [DNS_OUTCOME_DROP] = "drop",
        [DNS_OUTCOME_REFUSED] = "refused",
    };
    return names[outcome];
}

static enum dns_outcome outcome_of(const struct fault_rule *fault, bool exists)
{
    switch (fault == NULL ? FAULT_STATUS : fault->kind) {
    case FAULT_SERVFAIL:
        return DNS_OUTCOME_SERVFAIL;
    case FAULT_NXDOMAIN:
        return DNS_OUTCOME_NXDOMAIN;
    case FAULT_DROP:
        return DNS_OUTCOME_DROP;
    case FAULT_TRUNCATE:
        return DNS_OUTCOME_TRUNCATE;
    case FAULT_STATUS:
    case FAULT_KINDS:
        break;
    }
    return exists ? DNS_OUTCOME_FOUND : DNS_OUTCOME_NXDOMAIN;
}

struct dns_verdict dns_zone_judge(const struct dns_zone *zone, const char *name, uint32_t attempt)
{
    uint64_t key = draw_key(name, strlen(name));
    /* What is there does not change with attempts. */
    bool exists = draw_unit(zone->seed, key, 1, DRAW_STREAM_ZONE) < 0.5;
    double place = draw_unit(zone->seed, key, 1, DRAW_STREAM_ADDRESS);
    const struct fault_rule *fault = fault_draw(&zone->faults, zone->seed, key, attempt);
    return (struct dns_verdict){
        .outcome = outcome_of(fault, exists),
        .fault = fault,
        .exists = exists,
        .address = exists ? NETWORK + 1 + (uint32_t)(place * HOSTS) : 0,
        .delay_ns = delay_draw_ns(&zone->delay, zone->seed, key, attempt),
    };
}
