#include "endpoint.h"

#include <assert.h>
#include <errno.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct endpoint *find(const struct endpoint_table *table, const struct url_view *url)
{
    for (size_t i = 0; i < table->count; i++) {
        const struct endpoint *endpoint = &table->endpoints[i];
        /* Spelled the same, as nearly always: no need to look at the parts. */
        if ((endpoint->authority_bytes == url->authority_bytes &&
             memcmp(endpoint->authority, url->authority, url->authority_bytes) == 0) ||
            url_same_authority(&endpoint->view, url)) {
            return endpoint;
        }
    }
    return NULL;
}

/* Connecting tries one address only. Where a name has several, it is an IPv4 one: "localhost"
 * is both ::1 and 127.0.0.1, and many a server listens on the latter alone. */
static const struct addrinfo *choose(const struct addrinfo *all)
{
    for (const struct addrinfo *one = all; one != NULL; one = one->ai_next) {
        if (one->ai_family == AF_INET) {
            return one;
        }
    }
    return all;
}

/* Blocks for as long as resolv.conf(5) lets it (timeout x attempts): before the first transfer. */
static int resolve(struct endpoint *endpoint)
{
    const struct addrinfo hints = {
        .ai_flags = AI_NUMERICSERV,
        .ai_family = AF_UNSPEC,
        .ai_socktype = SOCK_STREAM,
    };
    struct addrinfo *all = NULL;
    char host[URL_BYTES_MAX + 1];
    char port[8];

    assert(endpoint->view.host_bytes < sizeof host);
    memcpy(host, endpoint->view.host, endpoint->view.host_bytes);
    host[endpoint->view.host_bytes] = '\0';
    (void)snprintf(port, sizeof port, "%u", (unsigned)endpoint->view.port);
    int error = getaddrinfo(host, port, &hints, &all);
    if (error == EAI_MEMORY) {
        return -ENOMEM;
    }
    if (error != 0) {
        return 0; /* the transfers that need it will say so */
    }
    const struct addrinfo *chosen = choose(all);
    memcpy(&endpoint->address, chosen->ai_addr, chosen->ai_addrlen);
    endpoint->address_bytes = chosen->ai_addrlen;
    freeaddrinfo(all);
    return 0;
}

static int add(struct endpoint_table *table, const struct url_view *url)
{
    size_t bytes = (table->count + 1) * sizeof *table->endpoints;
    struct endpoint *endpoints = realloc(table->endpoints, bytes);
    if (endpoints == NULL) {
        return -ENOMEM;
    }
    table->endpoints = endpoints;
    struct endpoint *endpoint = &endpoints[table->count];
    *endpoint = (struct endpoint){
        .authority = strndup(url->authority, url->authority_bytes),
        .authority_bytes = url->authority_bytes,
        .view = *url,
    };
    if (endpoint->authority == NULL) {
        return -ENOMEM;
    }
    table->count++;
    return resolve(endpoint);
}

int endpoint_table_add(struct endpoint_table *table, const struct url_view *url)
{
    return find(table, url) == NULL ? add(table, url) : 0;
}

void endpoint_table_release(struct endpoint_table *table)
{
    for (size_t i = 0; i < table->count; i++) {
        free(table->endpoints[i].authority);
    }
    free(table->endpoints);
    *table = (struct endpoint_table){0};
}

const struct endpoint *endpoint_find(const struct endpoint_table *table, const struct url_view *url)
{
    const struct endpoint *endpoint = find(table, url);
    assert(endpoint != NULL);
    return endpoint;
}
