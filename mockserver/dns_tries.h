/**
 * How often each name has been asked for. A DNS query says nothing of attempts, so the server
 * counts: every query that arrives is one more, a retransmission too, for it cannot be told from a
 * new try. The only exception is a query over TCP after an answer that was truncated: it goes on
 * with that attempt. Each type is counted apart, or the attempts of a client that asks for A and
 * AAAA at once would depend on which comes first.
 */
#ifndef MOCKSERVER_DNS_TRIES_H
#define MOCKSERVER_DNS_TRIES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define DNS_TRIES_MAX ((size_t)1 << 17) /* names and types; more are refused until a reset */

struct dns_try {
    char *key; /* "if.dev" for A, "if.dev AAAA", "if.dev TYPE16"; NULL: a free place */
    uint32_t attempts;
    bool truncated; /* the last one was told to come again over TCP */
};

struct dns_tries {
    struct dns_try
        *places; /* open addressing, [2 * DNS_TRIES_MAX]; of it only what is used costs */
    size_t count;
};

/** @return 0, -ENOMEM */
int dns_tries_init(struct dns_tries *tries);
void dns_tries_release(struct dns_tries *tries);
void dns_tries_clear(struct dns_tries *tries);

/** @return that of this name and type, perhaps a new one; NULL: DNS_TRIES_MAX, or no memory */
struct dns_try *dns_tries_find(struct dns_tries *tries, const char *name, uint16_t type);

/** @return the attempt that a query is, from 1 */
uint32_t dns_try_count(struct dns_try *place, bool over_tcp);

/** The used places one after the other. @param at  0 at first. @return NULL at the end */
const struct dns_try *dns_tries_next(const struct dns_tries *tries, size_t *at);

#endif
