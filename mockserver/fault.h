/**
 * What the server does wrong, and when. Pure functions, shared with the harness.
 *
 * Grammar of one rule: NAME[:ARG][@P][,try<=K]. P is a probability in [0, 1], 1 when left out;
 * K the last attempt that can be hit. One draw per (seed, key, attempt) picks at most one rule
 * of a set. Names: status:CODE for HTTP; servfail, nxdomain, drop, truncate for DNS.
 */
#ifndef MOCKSERVER_FAULT_H
#define MOCKSERVER_FAULT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define FAULT_RULES_MAX 16
#define FAULT_NAME_BYTES_MAX 32 /* NUL included */
#define FAULT_STATUS_MIN 200    /* a final response; 1xx is not one */
#define FAULT_STATUS_MAX 599
#define FAULT_CERTAIN (UINT64_C(1) << 53)

enum fault_kind {
    FAULT_STATUS,   /* another status, with a short text for a body */
    FAULT_SERVFAIL, /* from here on of DNS: response code 2 */
    FAULT_NXDOMAIN, /* response code 3, whatever the zone has */
    FAULT_DROP,     /* no answer */
    FAULT_TRUNCATE, /* over UDP only that the answer is too long for it */
    FAULT_KINDS,
};

struct fault_rule {
    enum fault_kind kind;
    int status;                      /* of FAULT_STATUS */
    uint64_t weight;                 /* probability in units of 2^-53 */
    uint32_t attempts_max;           /* last attempt that can be hit; UINT32_MAX: every one */
    char name[FAULT_NAME_BYTES_MAX]; /* "status:418": in X-Fault and in the counters */
};

static inline bool fault_is_dns(const struct fault_rule *rule)
{
    return rule->kind != FAULT_STATUS;
}

/** "servfail", ...; NULL for FAULT_STATUS */
const char *fault_dns_name(enum fault_kind kind);

struct fault_set {
    struct fault_rule rules[FAULT_RULES_MAX];
    size_t count;
};

/** @return 0; -EINVAL (not a rule), -ERANGE (probability, status or K out of range) */
int fault_parse(const char *text, struct fault_rule *rule);

/**
 * Parse a rule and append it.
 * @return 0; as fault_parse; -ENOSPC (FAULT_RULES_MAX); -EOVERFLOW (for some attempt the
 *         probabilities would sum above 1). The set is unchanged on failure.
 */
int fault_set_add(struct fault_set *set, const char *text);

/** The fault of one request, or NULL. @param attempt  from 1 */
const struct fault_rule *fault_draw(const struct fault_set *set, uint64_t seed, uint64_t key,
                                    uint32_t attempt);

#define FAULT_ATTEMPTS_TOLD_MAX 100

/** From this attempt on nothing changes any more: as far as a plan has to tell. */
uint32_t fault_set_attempts(const struct fault_set *set);

#endif
