/**
 * What the DNS server knows, and what it makes of a query: a pure function of the seed, the name
 * and the attempt, so that a client can compute every answer. About half of all names are there.
 */
#ifndef MOCKSERVER_DNS_ZONE_H
#define MOCKSERVER_DNS_ZONE_H

#include "delay.h"
#include "fault.h"

#include <stdbool.h>
#include <stdint.h>

#define DNS_ZONE_TTL_S 0 /* nobody shall keep an answer: every query has to come here */

enum dns_outcome {
    DNS_OUTCOME_FOUND,    /* its address */
    DNS_OUTCOME_NO_DATA,  /* the name is there, but has nothing of the type asked for */
    DNS_OUTCOME_NXDOMAIN, /* no such name, or a fault that says so */
    DNS_OUTCOME_SERVFAIL,
    DNS_OUTCOME_TRUNCATE, /* over UDP: TC and no address; over TCP never */
    DNS_OUTCOME_DROP,     /* no answer */
    DNS_OUTCOME_REFUSED,  /* too many names, or too many queries that wait */
    DNS_OUTCOMES,
};

/** "found", "no_data", ... */
const char *dns_outcome_name(enum dns_outcome outcome);

struct dns_zone {
    uint64_t seed;
    struct delay_spec delay;
    struct fault_set faults;
};

/** Of a query for an address, over UDP. */
struct dns_verdict {
    enum dns_outcome outcome;
    const struct fault_rule *fault; /* of the zone; NULL: none */
    bool exists;                    /* the zone has the name, whatever the fault says */
    uint32_t address;               /* of a name that is there, host byte order; 0: is not */
    uint64_t delay_ns;              /* before the answer, if there is one */
};

/**
 * @param name     as dns_question_parse or dns_name_parse give it
 * @param attempt  from 1
 */
struct dns_verdict dns_zone_judge(const struct dns_zone *zone, const char *name, uint32_t attempt);

#endif
