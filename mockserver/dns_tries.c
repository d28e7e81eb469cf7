#include "dns_tries.h"

#include "dns_message.h"
#include "draw.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PLACES (2 * DNS_TRIES_MAX)
#define KEY_BYTES_MAX (DNS_NAME_BYTES_MAX + 12)

int dns_tries_init(struct dns_tries *tries)
{
    *tries = (struct dns_tries){.places = calloc(PLACES, sizeof(tries->places[0]))};
    return tries->places == NULL ? -ENOMEM : 0;
}

void dns_tries_clear(struct dns_tries *tries)
{
    for (size_t i = 0; tries->count > 0 && i < PLACES; i++) {
        if (tries->places[i].key != NULL) {
            free(tries->places[i].key);
            tries->places[i] = (struct dns_try){0};
            tries->count--;
        }
    }
}

void dns_tries_release(struct dns_tries *tries)
{
    dns_tries_clear(tries);
    free(tries->places);
    tries->places = NULL;
}

/* A name has no space in it: dns_question_parse escapes it. */
static void make_key(char key[static KEY_BYTES_MAX], const char *name, uint16_t type)
{
    if (type == DNS_TYPE_A) {
        (void)snprintf(key, KEY_BYTES_MAX, "%s", name);
    } else if (type == DNS_TYPE_AAAA) {
        (void)snprintf(key, KEY_BYTES_MAX, "%s AAAA", name);
    } else {
        (void)snprintf(key, KEY_BYTES_MAX, "%s TYPE%u", name, (unsigned)type); /* RFC 3597 */
    }
}

struct dns_try *dns_tries_find(struct dns_tries *tries, const char *name, uint16_t type)
{
    char key[KEY_BYTES_MAX];
    make_key(key, name, type);
    /* Half of the places stay free: the search ends. */
    size_t at = (size_t)draw_mix(draw_key(key, strlen(key))) & (PLACES - 1);
    while (tries->places[at].key != NULL) {
        if (strcmp(tries->places[at].key, key) == 0) {
            return &tries->places[at];
        }
        at = (at + 1) & (PLACES - 1);
    }
    char *kept = tries->count < DNS_TRIES_MAX ? strdup(key) : NULL;
    if (kept == NULL) {
        return NULL;
    }
    tries->count++;
    tries->places[at].key = kept;
    return &tries->places[at];
}

uint32_t dns_try_count(struct dns_try *place, bool over_tcp)
{
    bool goes_on = over_tcp && place->truncated;
    place->truncated = false;
    if (!goes_on && place->attempts < UINT32_MAX) {
        place->attempts++;
    }
    return place->attempts;
}

const struct dns_try *dns_tries_next(const struct dns_tries *tries, size_t *at)
{
    while (*at < PLACES) {
        const struct dns_try *place = &tries->places[(*at)++];
        if (place->key != NULL) {
            return place;
        }
    }
    return NULL;
}
